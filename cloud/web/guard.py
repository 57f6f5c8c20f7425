"""What every response carries: a strict CSP without inline script, no store, no framing; every request an id."""

from __future__ import annotations

import secrets
import time

import structlog
from flask import Flask, Response, g, request

from cloud.web import metrics

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; media-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'; manifest-src 'self'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def init(app: Flask) -> None:
    """Register the before and after hooks."""

    @app.before_request
    def begin() -> None:
        g.request_id = secrets.token_hex(6)
        g.started = time.perf_counter()
        g.locale = "en" if request.cookies.get("lang") == "en" else "zh"
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=g.request_id, path=request.path, method=request.method)

    @app.after_request
    def end(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Request-Id"] = g.get("request_id", "")
        spent = time.perf_counter() - g.get("started", time.perf_counter())
        response.headers["Server-Timing"] = f"app;dur={spent * 1000:.1f}"
        metrics.observe(request.endpoint or "none", response.status_code, spent)
        return response
