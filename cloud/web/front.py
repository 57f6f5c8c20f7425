"""Behind a TLS front (nginx): who it says the other side is. Believed only together with the secret that the front and we share."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def behind(app: Wsgi, key: str) -> Wsgi:
    """The app with ``REMOTE_ADDR`` as the front saw it. Without the right ``X-Front-Key`` the headers are anybody's: nothing changes."""

    def front(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        given = str(environ.get("HTTP_X_FRONT_KEY", ""))
        if hmac.compare_digest(given.encode("latin-1", "replace"), key.encode()):
            # The last one is what the front itself added; what stands before it came from outside.
            told = str(environ.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip()
            if _is_address(told):
                environ["REMOTE_ADDR"] = told
        return app(environ, start)

    return front if key else app


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
