"""The session cookie: ``<tenant id>.<random token>``; everything else is on the server."""

from __future__ import annotations

import re
from collections.abc import Mapping

from werkzeug.wrappers import Response

NAME = "__Host-jl"
_FORM = re.compile(r"([1-9][0-9]{0,8})\.([A-Za-z0-9_-]{43})")


def read(cookies: Mapping[str, str]) -> tuple[int, str] | None:
    """(tenant id, token) of the request, or None when absent or malformed."""
    match = _FORM.fullmatch(cookies.get(NAME, ""))
    return (int(match[1]), match[2]) if match else None


def write(response: Response, tenant_id: int, token: str) -> None:
    """Hand the token to the browser: https only, no script, same site, whole host."""
    response.set_cookie(NAME, f"{tenant_id}.{token}", secure=True, httponly=True, samesite="Lax", path="/")


def clear(response: Response) -> None:
    """Take the cookie back at logout."""
    response.delete_cookie(NAME, secure=True, httponly=True, samesite="Lax", path="/")
