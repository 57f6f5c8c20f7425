"""The yearly review of reference intervals and critical limits: the list, and the word that they still hold."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.changes import queries, reviews
from cloud.modules.changes.rules import LIMITS, Perm
from cloud.modules.platform import lists
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal

REVIEWS = Views("limit_reviews", __name__)


@REVIEWS.get("/md/review", Perm.READ)
def review_page(uow: UnitOfWork) -> Any:
    """What is due, or all of it, of one section or every one."""
    found, show = _rows(uow)
    start = max(0, request.args.get("from", 0, int))
    context: dict[str, Any] = {"rows": found[start : start + queries.PAGE], "total": len(found), "start": start, "size": queries.PAGE}
    context |= {"show": show, "section": request.args.get("section", ""), "sections": md.catalog(uow).sections, "words": LIMITS}
    return page("changes/review.html", "rows", **context)


@REVIEWS.post("/md/review", Perm.SECTION)
def review(uow: UnitOfWork) -> Any:
    """These still hold."""
    reviews.review(uow, request.form.getlist("row"), request.form.get("note", ""), principal().sections)
    return redirect_to(f"/md/review?{urlencode({'section': request.form.get('section', '')})}")


@REVIEWS.post("/md/review/export", Perm.READ, reads=True)
def review_export(uow: UnitOfWork) -> Any:
    """The list on paper or in a workbook."""
    found, show = _rows(uow)
    made = reviews.document(uow, found, principal().tenant_name, principal().name)
    back = urlencode({"section": request.values.get("section", ""), "show": show})
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), f"/md/review?{back}"))


def _rows(uow: UnitOfWork) -> tuple[list[reviews.Row], str]:
    show, code = request.values.get("show", "due"), request.values.get("section", "")
    section = next((s.id for s in md.catalog(uow).sections.values() if s.code == code), None)
    return reviews.listed(uow, section, due=show != "all"), show
