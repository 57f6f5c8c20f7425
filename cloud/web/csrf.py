"""CSRF: a token bound to the session (HMAC), and the browser's own word about where a request comes from (SR7)."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from flask import request

from cloud.web.faults import CsrfFailed

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
HEADER = "X-CSRF-Token"
FIELD = "_csrf"


def token_for(session_token: str, secret: str) -> str:
    """The CSRF token of a session."""
    return hmac.new(secret.encode(), b"csrf:" + session_token.encode(), hashlib.sha256).hexdigest()


def check(session_token: str, secret: str) -> None:
    """Raise CsrfFailed unless an unsafe request carries its session's token and comes from our own pages."""
    if request.method in SAFE:
        return
    same_origin()
    given = request.headers.get(HEADER) or request.form.get(FIELD, "")
    if not hmac.compare_digest(given, token_for(session_token, secret)):
        raise CsrfFailed


def same_origin() -> None:
    """Refuse what the browser itself says comes from elsewhere."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise CsrfFailed
    origin = request.headers.get("Origin")
    if origin and urlsplit(origin).netloc != request.host:
        raise CsrfFailed
