"""Pages of identity: login, lock, quick-switch, signing PIN, accounts, matrix, sessions, workstations, audit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Response, g, make_response, request

from cloud.db.session import Actor, UnitOfWork
from cloud.modules.platform import alerts, queries, service
from cloud.modules.platform.rules import Level, Perm
from cloud.web import cookie, csrf
from cloud.web.faults import NotFound
from cloud.web.page import fragment, page, redirect_to
from cloud.web.throttle import Attempts
from cloud.web.view import Access, Views, principal, web
from common.errors import UserError

ATTEMPTS = Attempts(60, "尝试过于频繁，请一分钟后再试。")
VIEWS = Views("platform", __name__)
WORKSTATION_COOKIE = "jl-ws"


def _next() -> str:
    """The local page to go on with; never another site."""
    target = request.values.get("next", "/")
    parts = urlsplit(target)
    return target if not parts.scheme and not parts.netloc and target.startswith("/") and not target.startswith("//") else "/"


@VIEWS.get("/login", Access.PUBLIC)
def login_page() -> Any:
    """The login form; the hospital is told by host name or by its code."""
    with web().db.registry() as s:
        tenant = service.find_tenant(s, "", request.host.split(":")[0])
    return page("platform/login.html", tenant=tenant, next=_next(), step="password", form={})


@VIEWS.post("/login", Access.PUBLIC)
def login() -> Any:
    """Check password and second factor; a new session id at every login (SR9)."""
    csrf.same_origin()
    form = request.form
    ATTEMPTS.check(request.remote_addr or "")
    with web().db.registry() as s:
        tenant = service.find_tenant(s, form.get("tenant", ""), request.host.split(":")[0])
    if tenant is None:
        return _login_again(None, service.LoginRefused())
    actor = Actor(form.get("employee_no", "")[:64], ip=request.remote_addr or "", request_id=g.request_id)
    with web().db.tenant(tenant.id, actor) as uow:
        workstation = service.workstation_of(uow, request.cookies.get(WORKSTATION_COOKIE, ""))
        result = service.log_in(
            uow,
            form.get("employee_no", ""),
            form.get("password", ""),
            form.get("totp", ""),
            web().settings.secret,
            workstation=workstation,
            agent=request.headers.get("User-Agent", ""),
        )
    if isinstance(result, UserError):
        return _login_again(tenant, result)
    response = redirect_to(_next())
    cookie.write(response, tenant.id, result.token)
    return response


def _login_again(tenant: Any, error: UserError) -> Any:
    step = "totp" if error.code == "second_factor" else "password"
    status = 200 if step == "totp" else 422
    return page("platform/login.html", status=status, tenant=tenant, next=_next(), step=step, form=request.form, error=error)


@VIEWS.post("/logout", Access.LOGIN, while_locked=True)
def logout(uow: UnitOfWork) -> Any:
    """End the session and clean the browser."""
    service.log_out(uow, principal())
    response = redirect_to("/login")
    cookie.clear(response)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@VIEWS.post("/lock", Access.LOGIN, while_locked=True)
def lock(uow: UnitOfWork) -> Any:
    """Lock now (F9)."""
    service.lock(uow, principal())
    return redirect_to(f"/locked?next={urlsplit(request.referrer or '/').path}")


@VIEWS.get("/locked", Access.LOGIN, while_locked=True)
def lock_page(uow: UnitOfWork) -> Any:
    """The locked screen: go on with one's PIN, or switch person by badge and PIN."""
    return page("platform/locked.html", next=_next(), error=None)


@VIEWS.post("/unlock", Access.LOGIN, while_locked=True)
def unlock(uow: UnitOfWork) -> Any:
    """Open the own session again."""
    if service.unlock(uow, principal(), request.form.get("pin", "")):
        return redirect_to(_next())
    return page("platform/locked.html", status=422, next=_next(), error="PIN 不正确。连续 5 次错误将锁定账号 30 分钟。")


@VIEWS.post("/switch", Access.LOGIN, while_locked=True)
def switch(uow: UnitOfWork) -> Any:
    """Bench quick-switch: another person takes over with badge and PIN."""
    entered = service.switch_user(uow, principal(), request.form.get("badge", ""), request.form.get("pin", ""))
    if entered is None:
        return page("platform/locked.html", status=422, next=_next(), error="工牌或 PIN 不正确。")
    response = redirect_to(_next())
    cookie.write(response, uow.tenant_id, entered.token)
    return response


@VIEWS.post("/sign/open", Access.LOGIN)
def open_signing(uow: UnitOfWork) -> Any:
    """Re-authenticate for signing; the page that asked goes on at HX-Trigger signing-open."""
    if service.open_signing(uow, principal(), request.form.get("pin", "")) is None:
        return fragment("platform/signing.html", "pin", 422, trigger='{"sound":"bad"}', error="PIN 不正确，签名窗口没有打开。")
    return fragment("platform/signing.html", "opened", trigger='{"sound":"ok","signing-open":true}', minutes=5)


@VIEWS.get("/sign/dialog", Access.LOGIN)
def signing_dialog(uow: UnitOfWork) -> Any:
    """The PIN dialog for signing."""
    return fragment("platform/signing.html", "pin", error=None)


@VIEWS.get("/me", Access.LOGIN)
def me(uow: UnitOfWork) -> Any:
    """One's own account and rights."""
    return page("platform/me.html")


@VIEWS.get("/admin/users", Perm.USERS)
def users(uow: UnitOfWork) -> Any:
    """Accounts."""
    after = request.args.get("after", 0, type=int)
    return page("platform/users.html", "rows", users=queries.users(uow, after), roles=queries.roles(uow), page_size=queries.PAGE)


@VIEWS.post("/admin/users", Perm.USERS)
def add_user(uow: UnitOfWork) -> Any:
    """Open an account; the second-factor seed is shown once."""
    from cloud.modules.platform.secrets import new_seed

    f = request.form
    seed = new_seed() if f.get("totp") else None
    new = service.NewUser(
        f.get("employee_no", "").strip(), f.get("name", "").strip(), f.get("password", ""), tuple(f.getlist("role")), totp_seed=seed
    )
    service.create_user(uow, new, web().settings.secret)
    return page("platform/users.html", users=queries.users(uow), roles=queries.roles(uow), page_size=queries.PAGE, seed=seed, made=new)


@VIEWS.get("/admin/roles", Perm.MATRIX)
def roles(uow: UnitOfWork) -> Any:
    """The permission matrix: every permission × every role."""
    return page("platform/matrix.html", roles=queries.roles(uow), matrix=sorted(queries.matrix(uow).items()))


@VIEWS.get("/sessions", Perm.SESSIONS)
def sessions(uow: UnitOfWork) -> Any:
    """Who is in, and from where."""
    return page("platform/sessions.html", "rows", sessions=queries.sessions(uow))


@VIEWS.post("/sessions/<int:session_id>/kick", Perm.SESSIONS)
def kick(uow: UnitOfWork, session_id: int) -> Any:
    """End a session."""
    if not service.kick(uow, session_id):
        raise NotFound("这个会话")
    return page("platform/sessions.html", "rows", sessions=queries.sessions(uow))


@VIEWS.get("/workstations", Perm.WORKSTATIONS)
def workstations(uow: UnitOfWork) -> Any:
    """Registered workstations."""
    return page("platform/workstations.html", workstations=queries.workstations(uow))


@VIEWS.post("/workstations", Perm.WORKSTATIONS)
def register_workstation(uow: UnitOfWork) -> Any:
    """Register this browser as a workstation."""
    code, name = request.form.get("code", "").strip(), request.form.get("name", "").strip()
    token = service.register_workstation(uow, code, name)
    response = make_response(page("platform/workstations.html", workstations=queries.workstations(uow)))
    response.set_cookie(WORKSTATION_COOKIE, token, secure=True, httponly=True, samesite="Lax", max_age=10 * 365 * 86400)
    return response


@VIEWS.get("/audit", Perm.AUDIT)
def audit(uow: UnitOfWork) -> Any:
    """Search the audit."""
    a = request.args
    days = a.get("days", 0, type=int)
    f = queries.AuditFilter(
        a.get("entity", "").strip(),
        a.get("entity_id", "").strip(),
        a.get("actor", "").strip(),
        datetime.now(UTC) - timedelta(days=days) if days else None,
        a.get("before", None, type=int),
    )
    return page("platform/audit.html", "rows", entries=queries.audit_page(uow, f), f=f, days=days, page_size=queries.PAGE)


@VIEWS.post("/audit/verify", Perm.AUDIT)
def audit_verify(uow: UnitOfWork) -> Any:
    """Walk the hash chain and name the first broken entry."""
    count, broken = queries.audit_verify(uow)
    return fragment("platform/audit.html", "verdict", count=count, broken=broken)


@VIEWS.get("/audit/export", Perm.AUDIT)
def audit_export(uow: UnitOfWork) -> Any:
    """The newest entries as text, a JSON body a line, for outside holders."""
    lines = [e.body for e in queries.audit_page(uow, queries.AuditFilter())]
    return Response("\n".join(lines) + "\n", mimetype="application/x-ndjson")


@VIEWS.get("/alerts", Access.LOGIN)
def alert_list(uow: UnitOfWork) -> Any:
    """What is open for this person, or with ``?cleared=1`` what was within the last week."""
    cleared, before = bool(request.args.get("cleared")), request.args.get("before", None, type=int)
    rows = alerts.visible(uow, principal().permissions, cleared=cleared, before=before)
    return page("platform/alerts.html", "rows", rows=rows, cleared=cleared, Level=Level, page_size=alerts.PAGE)


@VIEWS.get("/alerts/count", Access.LOGIN)
def alert_count(uow: UnitOfWork) -> Any:
    """The top bar's sign."""
    total, urgent = alerts.counts(uow, principal().permissions)
    return fragment("platform/alerts.html", "count", total=total, urgent=urgent)


@VIEWS.post("/alerts/<int:alert_id>/acknowledge", Access.LOGIN)
def alert_acknowledge(uow: UnitOfWork, alert_id: int) -> Any:
    """Take an alert on."""
    row = alerts.acknowledge(uow, alert_id, principal().permissions, request.form.get("note", ""))
    return fragment("platform/alerts.html", "one", trigger='{"sound":"ok"}', a=row, Level=Level)
