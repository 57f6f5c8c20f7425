"""Pages of the door: login, single sign-on, lock, quick-switch, the signing window."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import current_app, g, make_response, request

from cloud.db.session import Actor, UnitOfWork
from cloud.modules.platform import certificates, grants, rules, service, sso, wework, workstations
from cloud.modules.platform.models import Tenant
from cloud.ports import wework as ports
from cloud.web import cookie, csrf
from cloud.web.faults import Conflict, NotFound
from cloud.web.page import fragment, page, redirect_to
from cloud.web.principal import Ended
from cloud.web.throttle import Attempts
from cloud.web.view import Access, Views, principal, web
from common.errors import PeerError, UserError
from common.say import Said, say, word

ATTEMPTS = Attempts(60, "尝试过于频繁，请一分钟后再试。")
VIEWS = Views("platform", __name__)
WORKSTATION_COOKIE, SCAN_COOKIE = "jl-ws", "jl-scan"
SCANNED = say("这是扫描的条码，不是 PIN，没有计为输错。请先输入 PIN，再重新扫描。")
LEFT = say("您已离开院内网络，这次登录已结束，没有保存的内容须重新录入。从院外登录须用密码加动态口令或 UKey。")
ENDED: dict[str, Said] = {Ended.REMOTE: LEFT}


def _next() -> str:
    """The local page to go on with; never another site."""
    target = request.values.get("next", "/")
    return target if _local(target) else "/"


def _local(target: str) -> bool:
    # Browsers take a backslash for a slash: /\elsewhere would leave this site.
    return target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()


def _at_the_door() -> Tenant | None:
    """What every way in checks before it looks at a secret: our own form, not too often, which hospital."""
    csrf.same_origin()
    ATTEMPTS.check(request.remote_addr or "")
    return _hospital(request.form.get("tenant", ""))


def _hospital(code: str = "") -> Tenant | None:
    """Which hospital this address or code means. An address below ours that is nobody's answers like any page that is not there."""
    host, ours = request.host.split(":")[0], urlsplit(web().settings.base_url).hostname
    with web().db.registry() as s:
        found = service.find_tenant(s, code, host)
    if found is None and ours and host.endswith(f".{ours}"):
        raise NotFound("该页面")
    return found


def _nobody_yet(name: str) -> Actor:
    return Actor(name[:64], ip=request.remote_addr or "", request_id=g.request_id)


@VIEWS.get("/login", Access.PUBLIC)
def login_page() -> Any:
    """The login form; the hospital is told by host name or by its code."""
    ended = ENDED.get(request.args.get("why", ""))
    return page("platform/login.html", tenant=_hospital(), next=_next(), step="password", form={}, ended=ended)


@VIEWS.post("/login", Access.PUBLIC)
def login() -> Any:
    """Check password and second factor; a new session id at every login (SR9)."""
    form, tenant = request.form, _at_the_door()
    if tenant is None:
        return _login_again(None, service.LoginRefused())
    with web().db.tenant(tenant.id, _nobody_yet(form.get("employee_no", ""))) as uow:
        workstation = workstations.of_token(uow, request.cookies.get(WORKSTATION_COOKIE, ""))
        result = service.log_in(
            uow,
            form.get("employee_no", ""),
            form.get("password", ""),
            form.get("totp", ""),
            web().settings.secret,
            workstation=workstation,
            agent=request.headers.get("User-Agent", ""),
            proof=form.get("proof", ""),
            card=certificates.shown_by(web().settings, dict(request.headers)),
        )
    if isinstance(result, UserError):
        return _login_again(tenant, result)
    response = redirect_to(_next())
    cookie.write(response, tenant.id, result.token)
    return response


def _login_again(tenant: Any, error: UserError, following: str = "") -> Any:
    """The step that ``error`` asks for; ``following``: the page to go on with, where a scan came back without the form."""
    step = {"second_factor": "totp", "grant": "grant"}.get(error.code, "password")
    status = 422 if step == "password" or error.fields.get("wrong") else 200
    proof, state = error.fields.get("proof", ""), str(error.fields.get("state", ""))
    number, following = str(error.fields.get("employee_no", "")), following or _next()
    form = {"tenant": tenant.code, "employee_no": number} if number else request.form
    context = {"tenant": tenant, "next": following, "step": step, "form": form, "error": error, "proof": proof, "scan": ""}
    if not state:
        return page("platform/login.html", status=status, **context)
    with web().db.tenant(tenant.id, _nobody_yet("")) as uow:
        app = wework.app_of(uow, web().settings.secret)
    inside = "wxwork" in request.headers.get("User-Agent", "").lower()
    context["scan"] = "" if app is None else app.page(f"https://{request.host}/login/wework", state, inside)
    context["inside"] = inside
    response = make_response(page("platform/login.html", status=status, **context))
    life = int(wework.STATE_LIFE.total_seconds())
    kept = f"{tenant.id}.{state}.{following}"
    response.set_cookie(SCAN_COOKIE, kept, secure=True, httponly=True, samesite="Lax", max_age=life, path="/login/wework")
    return response


@VIEWS.get("/login/wework", Access.PUBLIC)
def scan_page() -> Any:
    """Where WeChat-Work sends the browser back; the page hands code and state on by POST, so that a GET never writes."""
    return page("platform/wework_back.html", code=request.args.get("code", ""), state=request.args.get("state", ""))


@VIEWS.post("/login/wework", Access.PUBLIC)
def scan_enter() -> Any:
    """Come in by a scan: the state is this browser's and unused, and WeChat-Work says whose the code is."""
    csrf.same_origin()
    ATTEMPTS.check(request.remote_addr or "")
    number, _, rest = request.cookies.get(SCAN_COOKIE, "").partition(".")
    nonce, _, target = rest.partition(".")
    target = target if _local(target) else "/"
    with web().db.registry() as s:
        tenant = s.get(Tenant, int(number)) if number.isdecimal() and len(number) < 9 else None
    if tenant is None or tenant.status == "closed":
        return _login_again(None, service.LoginRefused(wework.OVER), target)
    secret = web().settings.secret
    with web().db.tenant(tenant.id, _nobody_yet("wework")) as uow:
        user_id, app = wework.take(uow, request.form.get("state", ""), nonce), wework.app_of(uow, secret)
    if user_id is None or app is None:
        return _login_again(tenant, service.LoginRefused(wework.OVER), target)
    try:  # outside of any transaction: WeChat-Work may take its time
        who = ports.user_of(app, request.form.get("code", ""))
    except PeerError as refused:
        words = say("企业微信没有确认这次扫码：{why}请再扫一次，或改用动态口令。", why=word(refused.message))
        with web().db.tenant(tenant.id, _nobody_yet("wework")) as uow:
            again = service.not_confirmed(uow, user_id, words, secret)
        return _login_again(tenant, again, target)
    with web().db.tenant(tenant.id, _nobody_yet("wework")) as uow:
        workstation = workstations.of_token(uow, request.cookies.get(WORKSTATION_COOKIE, ""))
        agent = request.headers.get("User-Agent", "")
        result = service.scanned(uow, user_id, who, secret, workstation=workstation, agent=agent)
    if isinstance(result, UserError):
        return _login_again(tenant, result, target)
    response = redirect_to(target)
    response.delete_cookie(SCAN_COOKIE, path="/login/wework")
    cookie.write(response, tenant.id, result.token)
    return response


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
            grants.ask(
                uow,
                current_app.extensions["tickets"],
                user,
                form.get("hours", 0, type=int),
                form.get("purpose", ""),
                form.get("change_ticket", ""),
            )
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
    pin = request.form.get("pin", "")
    if service.unlock(uow, principal(), pin):
        return redirect_to(_next())
    wrong = SCANNED if rules.looks_scanned(pin) else "PIN 不正确。连续 5 次错误将锁定账号 30 分钟。"
    return page("platform/locked.html", status=422, next=_next(), error=wrong)


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
    error: str = SCANNED if rules.looks_scanned(request.form.get("pin", "")) else "PIN 不正确，签名窗口没有打开。"
    try:
        opened = service.open_signing(uow, principal(), request.form.get("pin", ""))
    except Conflict as refused:  # said where the person looks: in the dialog
        opened, error = None, refused.message
    if opened is None:
        return fragment("platform/signing.html", "pin", 422, trigger='{"sound":"bad"}', error=error)
    return fragment("platform/signing.html", "opened", trigger='{"sound":"ok","signing-open":true}', minutes=5)


@VIEWS.get("/sign/dialog", Access.LOGIN)
def signing_dialog(uow: UnitOfWork) -> Any:
    """The PIN dialog for signing."""
    return fragment("platform/signing.html", "pin", error=None)
