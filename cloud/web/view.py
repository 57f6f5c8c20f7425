"""The one way to add a route: it declares its permission, or the app does not start (SR1).

A view is called as ``view(uow, **url_args)`` inside one tenant transaction that commits after it returns.
``Access.PUBLIC`` views get no unit of work; they open their own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, g, make_response, redirect, request, url_for
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.wrappers import Response as BaseResponse

from cloud.config import Settings
from cloud.db.session import Actor, Database, UnitOfWork
from cloud.web import cookie, csrf
from cloud.web.faults import Forbidden, HospitalReadOnly, NotFound, OutsideEdition, ReadOnly, Stale
from cloud.web.principal import Ended, Identity, Principal


class Access(StrEnum):
    """Declarations that are not a permission of a role."""

    PUBLIC = "*public"
    LOGIN = "*login"


@dataclass
class Web:
    """What views may reach besides their unit of work; ``app.extensions["jianlian"]``."""

    settings: Settings
    db: Database
    identity: Identity
    extras: dict[str, Any]


def web() -> Web:
    """The current app's Web."""
    ext: Web = current_app.extensions["jianlian"]
    return ext


def principal() -> Principal:
    """The person of this request."""
    who: Principal = g.principal
    return who


def opens(url: str) -> bool:
    """True when the person of this request may open the page: pages link to what their reader can follow."""
    endpoint, _ = current_app.url_map.bind("").match(urlsplit(url).path, method="GET")
    permission: str = current_app.extensions["permissions"][endpoint]
    if _module(current_app.view_functions[endpoint]) in principal().without:
        return False
    return permission in Access.__members__.values() or principal().may(permission)


Places = Mapping[str, Callable[[UnitOfWork, Any], bool]]
"""Argument of an address → whether the row it names is of the place of the person at work; asked only for who is bound to one."""


class Views:
    """All URLs of a module in one table. ``at``: where what an address names must be of one's own place."""

    def __init__(self, name: str, import_name: str, at: Places | None = None) -> None:
        self.at = at or {}
        self.blueprint = Blueprint(name, import_name, template_folder="templates")
        self.declared: dict[str, str] = {}
        self.while_locked: set[str] = set()

    def route(
        self, rule: str, permission: str, *, methods: tuple[str, ...] = ("GET",), while_locked: bool = False, reads: bool = False
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Add a route under a permission (a module's StrEnum value, or Access). ``reads``: a POST that only finds or prints."""

        def add(fn: Callable[..., Any]) -> Callable[..., Any]:
            endpoint = f"{self.blueprint.name}.{fn.__name__}"
            self.declared[endpoint] = str(permission)
            self.blueprint.add_url_rule(rule, fn.__name__, _guard(fn, str(permission), while_locked, reads, self.at), methods=list(methods))
            return fn

        return add

    def get(self, rule: str, permission: str, **kw: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """A read."""
        return self.route(rule, permission, methods=("GET",), **kw)

    def post(self, rule: str, permission: str, **kw: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """A change; CSRF-checked."""
        return self.route(rule, permission, methods=("POST",), **kw)


def _guard(fn: Callable[..., Any], permission: str, while_locked: bool, reads: bool, at: Places) -> Callable[..., BaseResponse]:
    @functools.wraps(fn)
    def call(**kwargs: Any) -> BaseResponse:
        if permission == Access.PUBLIC:
            return make_response(fn(**kwargs))
        return _in_tenant(fn, permission, while_locked, reads, at, kwargs)

    return call


def _in_tenant(
    fn: Callable[..., Any], permission: str, while_locked: bool, reads: bool, at: Places, kwargs: dict[str, Any]
) -> BaseResponse:
    ext = web()
    found = cookie.read(request.cookies)
    if found is None:
        return to_login()
    tenant_id, token = found
    actor = Actor("anonymous", ip=request.remote_addr or "", request_id=g.request_id)
    try:
        with ext.db.tenant(tenant_id, actor) as uow:
            who = ext.identity.authenticate(uow, token, actor.ip, _idle())
            if not isinstance(who, Principal):
                return to_login(who)
            g.principal = who
            uow.actor = replace(actor, name=who.name, user_id=who.user_id, workstation=who.workstation)
            if who.locked and not while_locked:
                return _redirect(url_for("platform.lock_page", next=_here()))
            if who.must_change and not while_locked:
                return _redirect(url_for("platform_me.password_page"))
            csrf.check(token, ext.settings.secret)
            if (module := _module(fn)) in who.without:
                raise OutsideEdition(current_app.extensions["titles"][module])
            if permission != Access.LOGIN and not who.may(permission):
                raise Forbidden(permission)
            g.principal = who = who.within(permission)
            uow.actor = replace(uow.actor, reach=who.reach)
            if who.reach is not None and not all(at[name](uow, value) for name, value in kwargs.items() if name in at):
                raise NotFound
            if who.read_only and request.method != "GET" and not while_locked:
                raise ReadOnly
            if who.hospital_read_only and request.method != "GET" and not (while_locked or reads):
                raise HospitalReadOnly
            if who.recorded:
                ext.identity.visited(uow, who, _step())
            return make_response(fn(uow, **kwargs))
    except NotFound:
        with ext.db.tenant(tenant_id, actor) as uow:
            ext.identity.failed_lookup(uow, g.get("principal"), request.path)
        _attempted(tenant_id, actor)
        raise
    except StaleDataError as exc:
        _attempted(tenant_id, actor)
        raise Stale from exc
    except Exception:
        _attempted(tenant_id, actor)
        raise


def _step() -> str:
    """What was asked for, with what it was searched by."""
    return f"{request.method} {request.full_path.rstrip('?')}"[:300]


def _attempted(tenant_id: int, actor: Actor) -> None:
    """What an outside engineer was refused, or what failed, is recorded too (M01 R7); its transaction went with the refusal."""
    who: Principal | None = g.get("principal")
    if who is not None and who.recorded:
        with web().db.tenant(tenant_id, actor) as uow:
            web().identity.visited(uow, who, f"{_step()} ✕")


def _module(fn: Callable[..., Any]) -> str:
    """The module whose page this is; "" for those of no module."""
    parts = fn.__module__.split(".")
    return parts[2] if parts[:2] == ["cloud", "modules"] else ""


def _idle() -> int:
    """Seconds since the person last touched the page, as the page tells (app.js); 0 when it does not."""
    told = request.headers.get("X-Idle", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 9 else 0


def to_login(why: Ended | None = None) -> BaseResponse:
    """Send the browser to the login page, which says ``why``; a whole page even when a fragment was asked for."""
    return _redirect(url_for("platform.login_page", next=_here(), why=why))


def _here() -> str:
    if request.headers.get("HX-Request") == "true":
        from urllib.parse import urlsplit

        parts = urlsplit(request.headers.get("HX-Current-URL", "/"))
        return parts.path or "/"
    return request.full_path.rstrip("?") if request.method == "GET" else "/"


def _redirect(target: str) -> BaseResponse:
    if request.headers.get("HX-Request") == "true":
        return Response("", 204, {"HX-Redirect": target})
    return redirect(target)


def register(app: Flask, views: Views) -> None:
    """Put a module's views into the app and remember what they declared."""
    app.register_blueprint(views.blueprint)
    app.extensions.setdefault("permissions", {}).update(views.declared)


def check_declared(app: Flask) -> None:
    """Refuse to start when any URL has no declared permission."""
    declared: dict[str, str] = app.extensions.get("permissions", {})
    missing = sorted({r.endpoint for r in app.url_map.iter_rules() if r.endpoint not in declared})
    if missing:
        raise RuntimeError(f"routes without a declared permission: {', '.join(missing)}")
