"""Pages of identity: login, lock, quick-switch, signing PIN, accounts, matrix, sessions, workstations, audit."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from flask import Response, g, make_response, request

from cloud.db.session import Actor, UnitOfWork
from cloud.modules.platform import (
    accounts,
    alerts,
    archive,
    delegation,
    glass,
    grants,
    lists,
    mlps,
    queries,
    registers,
    rules,
    service,
    sso,
)
from cloud.modules.platform.models import Tenant
from cloud.modules.platform.rules import Level, Perm
from cloud.web import cookie, csrf
from cloud.web.faults import Invalid, NotFound
from cloud.web.page import fragment, page, redirect_to
from cloud.web.throttle import Attempts
from cloud.web.view import Access, Views, principal, web
from common.errors import UserError
from common.say import say

ATTEMPTS = Attempts(60, "尝试过于频繁，请一分钟后再试。")
VIEWS = Views("platform", __name__)
WORKSTATION_COOKIE = "jl-ws"


def _next() -> str:
    """The local page to go on with; never another site."""
    target = request.values.get("next", "/")
    # Browsers take a backslash for a slash: /\elsewhere would leave this site.
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable() else "/"


def _at_the_door() -> Tenant | None:
    """What every way in checks before it looks at a secret: our own form, not too often, which hospital."""
    csrf.same_origin()
    ATTEMPTS.check(request.remote_addr or "")
    with web().db.registry() as s:
        return service.find_tenant(s, request.form.get("tenant", ""), request.host.split(":")[0])


def _nobody_yet(name: str) -> Actor:
    return Actor(name[:64], ip=request.remote_addr or "", request_id=g.request_id)


@VIEWS.get("/login", Access.PUBLIC)
def login_page() -> Any:
    """The login form; the hospital is told by host name or by its code."""
    with web().db.registry() as s:
        tenant = service.find_tenant(s, "", request.host.split(":")[0])
    return page("platform/login.html", tenant=tenant, next=_next(), step="password", form={})


@VIEWS.post("/login", Access.PUBLIC)
def login() -> Any:
    """Check password and second factor; a new session id at every login (SR9)."""
    form, tenant = request.form, _at_the_door()
    if tenant is None:
        return _login_again(None, service.LoginRefused())
    with web().db.tenant(tenant.id, _nobody_yet(form.get("employee_no", ""))) as uow:
        workstation = service.workstation_of(uow, request.cookies.get(WORKSTATION_COOKIE, ""))
        result = service.log_in(
            uow,
            form.get("employee_no", ""),
            form.get("password", ""),
            form.get("totp", ""),
            web().settings.secret,
            workstation=workstation,
            agent=request.headers.get("User-Agent", ""),
            proof=form.get("proof", ""),
        )
    if isinstance(result, UserError):
        return _login_again(tenant, result)
    response = redirect_to(_next())
    cookie.write(response, tenant.id, result.token)
    return response


def _login_again(tenant: Any, error: UserError) -> Any:
    step = {"second_factor": "totp", "grant": "grant"}.get(error.code, "password")
    status = 422 if step == "password" else 200
    proof = error.fields.get("proof", "")
    return page("platform/login.html", status=status, tenant=tenant, next=_next(), step=step, form=request.form, error=error, proof=proof)


@VIEWS.post("/login/access", Access.PUBLIC)
def ask_access() -> Any:
    """An outside engineer, whose password and code were right just now, asks for some hours (R7)."""
    form, tenant = request.form, _at_the_door()
    if tenant is None:
        return _login_again(None, service.LoginRefused())
    with web().db.tenant(tenant.id, _nobody_yet(form.get("employee_no", ""))) as uow:
        user = service.proven_user(uow, form.get("employee_no", ""), form.get("proof", ""), web().settings.secret)
        if user is None:
            return _login_again(tenant, service.LoginRefused("验证已过期，请重新登录后再申请。"))
        try:
            grants.ask(uow, user, form.get("hours", 0, type=int), form.get("purpose", ""), form.get("change_ticket", ""))
        except UserError as exc:
            again = UserError("grant", exc.message, proof=form.get("proof", ""))
            return _login_again(tenant, again)
    return page("platform/login.html", tenant=tenant, next="/", step="asked", form={}, error=None)


@VIEWS.get("/sso", Access.PUBLIC)
def sso_page() -> Any:
    """Where a neighbouring system sends its person; the page hands the ticket on by POST, so that a GET never writes."""
    return page("platform/sso.html", tenant=request.args.get("tenant", ""), ticket=request.args.get("ticket", ""), error=None)


@VIEWS.post("/sso", Access.PUBLIC)
def sso_enter() -> Any:
    """Come in with a one-time ticket (R5)."""
    form, tenant = request.form, _at_the_door()
    if tenant is None:
        return _sso_refused(sso.TicketRefused())
    with web().db.tenant(tenant.id, _nobody_yet("sso")) as uow:
        agent = request.headers.get("User-Agent", "")
        result = sso.enter(uow, tenant.code, form.get("ticket", ""), web().settings.secret, agent=agent)
    if isinstance(result, UserError):
        return _sso_refused(result)
    entered, target = result
    response = redirect_to(target)
    cookie.write(response, tenant.id, entered.token)
    return response


def _sso_refused(error: UserError) -> Any:
    return page("platform/sso.html", status=401, tenant="", ticket="", error=error)


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
    """One's own account and rights, and who stands in for whom."""
    who = principal()
    return page(
        "platform/me.html", delegations=delegation.of(uow, who.user_id), rights=delegation.own_rights(uow, who.user_id), now=uow.now
    )


@VIEWS.post("/me/delegations", Access.LOGIN)
def delegate(uow: UnitOfWork) -> Any:
    """Let somebody stand in for a time."""
    f = request.form
    first, until = (_typed_time(f.get(k, ""), k) for k in ("first", "until"))
    if until is None:
        raise Invalid(say("请填写结束时间。"), "until")
    delegation.give(uow, principal(), f.get("to", ""), first or uow.now, until, f.getlist("permission"), f.get("reason", ""))
    return redirect_to("/me")


@VIEWS.post("/me/delegations/<int:delegation_id>/end", Access.LOGIN)
def end_delegation(uow: UnitOfWork, delegation_id: int) -> Any:
    """End it early."""
    delegation.end(uow, principal(), delegation_id)
    return redirect_to("/me")


def _typed_time(text: str, field: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=ZoneInfo(web().settings.timezone)) if text.strip() else None
    except ValueError as error:
        raise Invalid(say("时间写法不对，请按 2026-01-31 08:30 填写。"), field) from error


@VIEWS.get("/me/password", Access.LOGIN, while_locked=True)
def password_page(uow: UnitOfWork) -> Any:
    """Change the own password; where it is past its life nothing else is open."""
    return page("platform/password.html", error=None, done="")


@VIEWS.post("/me/password", Access.LOGIN, while_locked=True)
def change_password(uow: UnitOfWork) -> Any:
    """Change the own password."""
    f, who = request.form, principal()
    if who.locked:
        return redirect_to("/locked")
    error = accounts.change_own_password(uow, who, f.get("old", ""), f.get("new", ""), f.get("again", ""))
    return page(
        "platform/password.html", status=422 if error else 200, error=error, done="" if error else "密码已更改，其他地方的登录已退出。"
    )


@VIEWS.post("/me/pin", Access.LOGIN)
def change_pin(uow: UnitOfWork) -> Any:
    """Set the own signing PIN."""
    error = accounts.set_own_pin(uow, principal(), request.form.get("password", ""), request.form.get("pin", ""))
    return page("platform/password.html", status=422 if error else 200, error=error, done="" if error else "签名 PIN 已更改。")


@VIEWS.get("/admin/users", Perm.USERS)
def users(uow: UnitOfWork) -> Any:
    """Accounts."""
    after, q = request.args.get("after", 0, type=int), request.args.get("q", "").strip()
    rows = queries.users(uow, after, q)
    return page("platform/users.html", "rows", users=rows, roles=queries.roles(uow), page_size=queries.PAGE, q=q)


@VIEWS.post("/admin/users", Perm.USERS)
def add_user(uow: UnitOfWork) -> Any:
    """Open an account; the second-factor seed is shown once."""
    from cloud.modules.platform.secrets import new_seed

    f = request.form
    seed = new_seed() if f.get("totp") else None
    new = service.NewUser(
        f.get("employee_no", "").strip(),
        f.get("name", "").strip(),
        f.get("password", ""),
        tuple(f.getlist("role")),
        totp_seed=seed,
        temporary=True,
    )
    service.create_user(uow, new, web().settings.secret)
    return page("platform/users.html", users=queries.users(uow), roles=queries.roles(uow), page_size=queries.PAGE, seed=seed, made=new)


@VIEWS.get("/admin/users/<int:user_id>", Perm.USERS)
def user_page(uow: UnitOfWork, user_id: int) -> Any:
    """One account: facts, roles, what it may really do, its life."""
    return _user(uow, user_id)


def _user(uow: UnitOfWork, user_id: int, done: str = "", seed: str | None = None) -> Any:
    user = accounts.load(uow, user_id)
    moves = rules.USER_MOVES[rules.UserState(user.status)] - {rules.UserState.LOCKED}
    return page(
        "platform/user.html",
        user=user,
        held=accounts.roles_of(uow, user_id),
        roles=queries.roles(uow),
        effective=queries.effective(uow, user_id),
        tasks=alerts.held_by(uow, user_id),
        moves=[each for each in rules.UserState if each in moves],
        done=done,
        seed=seed,
    )


@VIEWS.post("/admin/users/<int:user_id>", Perm.USERS)
def change_user(uow: UnitOfWork, user_id: int) -> Any:
    """Save the account page."""
    f = request.form
    words = {key: tuple(filter(None, f.get(key, "").replace("，", ",").replace("、", ",").split(","))) for key in ("sections", "wards")}
    new = accounts.Changes(
        f.get("version", 0, type=int),
        f.get("name", ""),
        f.get("dept", ""),
        f.get("title", ""),
        f.get("badge", ""),
        tuple(w.strip() for w in words["sections"]),
        tuple(w.strip() for w in words["wards"]),
        tuple(f.getlist("role")),
    )
    accounts.change(uow, user_id, new)
    uow.s.flush()
    return _user(uow, user_id, "已保存。")


@VIEWS.post("/admin/users/<int:user_id>/move", Perm.USERS)
def move_user(uow: UnitOfWork, user_id: int) -> Any:
    """Suspend, take up again, let leave."""
    to = request.form.get("to", "")
    if to not in set(rules.UserState):
        raise Invalid("请选择要改成的状态。", "to")
    accounts.move(uow, user_id, rules.UserState(to), request.form.get("successor", ""))
    uow.s.flush()
    return _user(uow, user_id, "状态已更改。")


@VIEWS.post("/admin/users/<int:user_id>/unlock", Perm.USERS)
def unlock_user(uow: UnitOfWork, user_id: int) -> Any:
    """Open an account shut by wrong passwords."""
    accounts.unlock(uow, user_id)
    uow.s.flush()
    return _user(uow, user_id, "已解锁。")


@VIEWS.post("/admin/users/<int:user_id>/password", Perm.USERS)
def reset_password(uow: UnitOfWork, user_id: int) -> Any:
    """Give a first password again."""
    accounts.reset_password(uow, user_id, request.form.get("password", ""))
    uow.s.flush()
    return _user(uow, user_id, "已设置临时密码，本人下次登录时必须更改。")


@VIEWS.post("/admin/users/<int:user_id>/totp", Perm.USERS)
def reset_totp(uow: UnitOfWork, user_id: int) -> Any:
    """A new second-factor seed, shown once."""
    _changed, seed = accounts.reset_second_factor(uow, user_id, web().settings.secret)
    uow.s.flush()
    return _user(uow, user_id, seed=seed)


@VIEWS.get("/admin/roles", Perm.MATRIX)
def roles(uow: UnitOfWork) -> Any:
    """The permission matrix: every permission × every role."""
    return _roles(uow)


def _roles(uow: UnitOfWork, done: str = "") -> Any:
    matrix = sorted(queries.matrix(uow).items())
    chosen = request.args.get("role", "")
    open_to_compose = [p for p, _ in matrix if p not in rules.ADMINISTRATION]
    return page(
        "platform/matrix.html", roles=queries.roles(uow), matrix=matrix, choices=open_to_compose, chosen=chosen, Perm=Perm, done=done
    )


@VIEWS.post("/admin/roles", Perm.ROLES)
def compose_role(uow: UnitOfWork) -> Any:
    """Make or change a role of the hospital's own."""
    f = request.form
    known = frozenset(queries.matrix(uow))
    accounts.compose_role(uow, f.get("code", ""), f.get("name", ""), f.getlist("permission"), known)
    uow.s.flush()
    return _roles(uow, "角色已保存。")


@VIEWS.get("/admin/grants", Perm.GRANTS)
def grant_list(uow: UnitOfWork) -> Any:
    """Accesses asked for and given."""
    rows = grants.page(uow, request.args.get("before", None, type=int))
    return page("platform/grants.html", "rows", rows=rows, page_size=grants.PAGE)


@VIEWS.post("/admin/grants/<int:grant_id>", Perm.GRANTS)
def decide_grant(uow: UnitOfWork, grant_id: int) -> Any:
    """Approve, refuse or end."""
    to = request.form.get("to", "")
    if to not in (rules.GrantState.APPROVED, rules.GrantState.REFUSED, rules.GrantState.ENDED):
        raise Invalid("请选择批准、拒绝或结束。", "to")
    grants.decide(uow, grant_id, rules.GrantState(to))
    uow.s.flush()
    return page("platform/grants.html", "rows", rows=grants.page(uow), page_size=grants.PAGE)


@VIEWS.get("/admin/sso", Perm.SSO)
def sso_sources(uow: UnitOfWork) -> Any:
    """Systems whose tickets are taken."""
    return page("platform/sso_sources.html", rows=queries.sources(uow), key=None)


@VIEWS.post("/admin/sso", Perm.SSO)
def add_sso_source(uow: UnitOfWork) -> Any:
    """Register a system or renew its key; the key is shown once."""
    key = sso.add_source(uow, request.form.get("code", ""), request.form.get("name", ""), web().settings.secret)
    return page("platform/sso_sources.html", rows=queries.sources(uow), key=key)


@VIEWS.get("/admin/reports", Perm.AUDIT)
def security_reports(uow: UnitOfWork) -> Any:
    """Failed logins, privileged actions, dormant accounts."""
    return page(
        "platform/reports.html",
        failed=queries.failed_logins(uow),
        done=queries.privileged(uow, request.args.get("before", None, type=int)),
        dormant=queries.dormant(uow),
        page_size=queries.PAGE,
    )


@VIEWS.get("/admin/breaks", Perm.BREAKS)
def breaks(uow: UnitOfWork) -> Any:
    """Who looked past a wall and why: what waits for review, or all."""
    return _breaks(uow, request.args.get("before", None, type=int))


def _breaks(uow: UnitOfWork, before: int | None = None) -> Any:
    every = bool(request.args.get("all"))
    rows = glass.looks(uow, every=every, before=before)
    return page(
        "platform/breaks.html", "rows", rows=rows, every=every, words=rules.GLASS_WORDS, verdicts=rules.VERDICT_WORDS, page_size=glass.PAGE
    )


@VIEWS.post("/admin/breaks/<int:look_id>", Perm.BREAKS)
def review_break(uow: UnitOfWork, look_id: int) -> Any:
    """Say of a look whether it was fit."""
    glass.review(uow, look_id, request.form.get("verdict", ""), request.form.get("note", ""))
    uow.s.flush()
    return _breaks(uow)


@VIEWS.post("/admin/breaks/print", Perm.BREAKS)
def print_breaks(uow: UnitOfWork) -> Any:
    """The review list on paper or in a workbook."""
    made = registers.breaks(glass.looks(uow, every=True, limit=5000), principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), "/admin/breaks?all=1", identifying=True))


@VIEWS.get("/admin/exports", Perm.EXPORTS)
def exports(uow: UnitOfWork) -> Any:
    """Exports of many rows that name patients: what waits for approval, and what was decided."""
    return page("platform/exports.html", "rows", rows=lists.asked(uow))


@VIEWS.post("/admin/exports/<int:job_id>", Perm.EXPORTS)
def decide_export(uow: UnitOfWork, job_id: int) -> Any:
    """Approve or refuse."""
    lists.decide(uow, job_id, request.form.get("to") == "approve")
    uow.s.flush()
    return page("platform/exports.html", "rows", rows=lists.asked(uow))


@VIEWS.post("/lists/<int:job_id>/purpose", Access.LOGIN)
def export_purpose(uow: UnitOfWork, job_id: int) -> Any:
    """Say what the waiting export is for."""
    lists.give_purpose(uow, job_id, request.form.get("purpose", ""))
    return redirect_to(f"/lists/{job_id}")


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
    shown: dict[str, Any] = {"entries": queries.audit_page(uow, f), "f": f, "days": days, "archives": archive.files(uow)}
    return page("platform/audit.html", "rows", **shown, page_size=queries.PAGE)


@VIEWS.post("/audit/verify", Perm.AUDIT)
def audit_verify(uow: UnitOfWork) -> Any:
    """Walk the hash chain and name the first broken entry."""
    count, broken = queries.audit_verify(uow)
    return fragment("platform/audit.html", "verdict", count=count, broken=broken)


@VIEWS.get("/audit/archive/<int:archive_id>", Perm.AUDIT)
def audit_archive_file(uow: UnitOfWork, archive_id: int) -> Any:
    """An archived block as it was written; it can be checked without this software."""
    row = archive.one(uow, archive_id)
    if row is None:
        raise NotFound("该归档")
    name = row.key.rsplit("/", 1)[-1]
    return Response(
        archive.content(uow, row), mimetype="application/gzip", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@VIEWS.get("/mlps", Perm.MLPS)
def mlps_page(uow: UnitOfWork) -> Any:
    """等保 self-check with today's figures, and the yearly assessments."""
    due, today = mlps.next_due(uow), uow.now.astimezone(rules.ZONE).date()
    soon, rows = today + timedelta(days=rules.MLPS_SOON), mlps.controls(uow, web().settings)
    return page("platform/mlps.html", rows=rows, assessments=mlps.assessments(uow), due=due, soon=soon)


@VIEWS.post("/mlps", Perm.MLPS)
def record_mlps(uow: UnitOfWork) -> Any:
    """Write a yearly assessment down."""
    f = request.form
    try:
        done_on = date.fromisoformat(f.get("done_on", ""))
    except ValueError as error:
        raise Invalid(say("测评日期请写成 2026-05-04 的样子。"), "done_on") from error
    mlps.record(uow, done_on, f.get("level", 0, type=int), f.get("assessor", ""), f.get("result", ""), f.get("report_no", ""))
    return redirect_to("/mlps")


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


@VIEWS.get("/lists/<int:job_id>", Access.LOGIN)
def list_job(uow: UnitOfWork, job_id: int) -> Any:
    """A list on its way to paper or Excel; the page refreshes until it is there."""
    return page("platform/list.html", job=_list(uow, job_id))


@VIEWS.get("/lists/<int:job_id>/file", Access.LOGIN)
def list_file(uow: UnitOfWork, job_id: int) -> Any:
    """The file, for who asked for it."""
    job = _list(uow, job_id)
    if job.data is None:
        raise NotFound("该文件")
    way = "inline" if job.kind == lists.Kind.PDF else "attachment"
    headers = {"Content-Disposition": f'{way}; filename="list-{job.id}.{job.kind}"', "Cache-Control": "no-store"}
    return Response(job.data, mimetype=lists.MIME[lists.Kind(job.kind)], headers=headers)


def _list(uow: UnitOfWork, job_id: int) -> Any:
    found = lists.job(uow, job_id)
    if found is None:
        raise NotFound("该文件")
    return found
