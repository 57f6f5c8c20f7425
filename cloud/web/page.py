"""Whole page or fragment from one template: the fragment is a named block of it."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, make_response
from htmx_flask import request as hx_request
from jinja2_fragments import render_block

from cloud.web import i18n


def page(template: str, block: str | None = None, status: int = 200, trigger: str | None = None, **context: Any) -> Response:
    """Render ``template``; for an htmx request that is not boosted only its ``block`` when one is named. ``trigger`` as for a fragment."""
    response = make_response(filled(template, block if block is not None and is_fragment() else None, **context), status)
    if trigger:
        response.headers["HX-Trigger"] = trigger
    return response


def fragment(template: str, block: str, status: int = 200, trigger: str | None = None, **context: Any) -> Response:
    """Render one block, whatever was asked; ``trigger`` becomes HX-Trigger (e.g. a sound)."""
    response = make_response(filled(template, block, **context), status)
    if trigger:
        response.headers["HX-Trigger"] = trigger
    return response


def filled(template: str, block: str | None = None, **context: Any) -> str:
    """The template, or one block of it, in the reader's language."""
    current_app.update_template_context(context)
    found = i18n.pages()
    return found.get_template(template).render(context) if block is None else render_block(found, template, block, **context)


def is_fragment() -> bool:
    """True when htmx asks for a piece of a page (not a boosted or restored whole one)."""
    htmx = hx_request.htmx
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def redirect_to(url: str) -> Response:
    """Go to another page, for htmx and for plain forms alike."""
    url = "".join(c for c in url if c.isprintable())  # a header has one line
    if bool(hx_request.htmx):
        return Response("", 204, {"HX-Redirect": url})
    return Response("", 303, {"Location": url})
