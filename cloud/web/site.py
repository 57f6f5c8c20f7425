"""Pages of no module: the start page, health, metrics, live stream, language, the top bar's scan field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog
from flask import Response, current_app, g, request
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.web import metrics
from cloud.web.module import Start, Waiting
from cloud.web.page import page, redirect_to
from cloud.web.principal import Principal
from cloud.web.view import Access, Views, principal, web
from common import ids

log = structlog.get_logger("web")
VIEWS = Views("site", __name__)


@VIEWS.get("/", Access.LOGIN)
def home(uow: UnitOfWork) -> Any:
    """The start page: what waits for this person now, by section; each number opens the list of exactly these."""
    who, found = principal(), dict[str, dict[str, Waiting]]()
    mine = [
        (module, permission, start)
        for module, permission, start in current_app.extensions["starts"]
        if permission == Access.LOGIN or who.may(permission)
    ]
    waiting, failed = _asked(uow, who, mine)
    for one in waiting:
        if one.n:
            found.setdefault(one.place, {})[one.url] = one
    rows = {
        place: sorted(some.values(), key=lambda one: one.light != "bad") for place, some in sorted(found.items(), key=lambda f: f[0] != "")
    }
    return page("home.html", found=rows, failed=failed)


def _asked(uow: UnitOfWork, who: Principal, mine: Sequence[tuple[str, str, Start]]) -> tuple[list[Waiting], list[str]]:
    """What waits by each module, and the modules that could not say: what of one is broken must not take everybody's first page away."""
    waiting, failed = list[Waiting](), list[str]()
    point = uow.s.begin_nested()
    everywhere = uow.actor
    for module, permission, start in mine:
        own = who if permission == Access.LOGIN else who.within(permission)
        uow.actor = replace(everywhere, reach=own.reach)
        try:
            waiting += list(start(uow, own))
        except Exception:  # whatever it is: the others are counted all the same
            log.exception("start_failed", module=module, request=uow.actor.request_id)
            # They only read: nothing of anybody's is lost with it.
            point.rollback()
            point = uow.s.begin_nested()
            if module not in failed:
                failed.append(module)
    uow.actor = everywhere
    return waiting, failed


@VIEWS.get("/healthz", Access.PUBLIC)
def healthz() -> Any:
    """Alive: the process answers."""
    return Response("ok\n", mimetype="text/plain")


@VIEWS.get("/readyz", Access.PUBLIC)
def readyz() -> Any:
    """Ready: the database answers too."""
    try:
        with web().db.registry() as s:
            s.execute(text("SELECT 1"))
    except Exception as exc:
        return Response(f"database: {type(exc).__name__}\n", 503, mimetype="text/plain")
    return Response("ready\n", mimetype="text/plain")


@VIEWS.get("/metrics", Access.PUBLIC)
def prometheus() -> Any:
    """Figures for Prometheus; only from this machine or with the configured token."""
    token = web().settings.metrics_token
    given = request.headers.get("Authorization", "")
    if (token and given == f"Bearer {token}") or (not token and request.remote_addr in ("127.0.0.1", "::1")):
        return Response(metrics.text(), mimetype="text/plain; version=0.0.4")
    return Response("forbidden\n", 403)


@VIEWS.get("/live", Access.LOGIN)
def stream(uow: UnitOfWork) -> Any:
    """SSE: notices of this hospital on the asked channels (``?ch=bench,queue`` or ``?ch=bench&ch=queue``)."""
    channels = ",".join(request.args.getlist("ch")).split(",")
    hub = web().extras["live"]
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(
        hub.subscribe(uow.tenant_id, channels, "Last-Event-ID" in request.headers), mimetype="text/event-stream", headers=headers
    )


@VIEWS.post("/lang/<code>", Access.LOGIN, reads=True)
def language(uow: UnitOfWork, code: str) -> Any:
    """Switch between Chinese and English."""
    response = redirect_to(request.form.get("next") or "/")
    response.set_cookie("lang", "en" if code == "en" else "zh", samesite="Lax", secure=True)
    return response


@VIEWS.post("/scan", Access.LOGIN, reads=True)
def scan(uow: UnitOfWork) -> Any:
    """A barcode scanned on a page that does not take scans itself: go to that tube."""
    g.scanned = ids.normalise_scan(request.form.get("code", ""))
    target = "/sp/find" if not principal().may("portal:read") or principal().may("specimens:read") else "/clinic/find"
    return redirect_to(f"{target}?code={g.scanned}")
