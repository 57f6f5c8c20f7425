"""The verbs of identity: log in, lock, switch at the bench, open a signing window, give roles."""

from __future__ import annotations

import secrets as pysecrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from cloud.db import audit as chain
from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts, grants, networks, rules, secrets, wework
from cloud.modules.platform.identity import set_session
from cloud.modules.platform.models import LoginEvent, Role, Tenant, User, UserRole, UserSession
from cloud.web.faults import Conflict, Invalid, ReauthRequired
from cloud.web.principal import Principal
from common.errors import UserError
from common.say import say

if TYPE_CHECKING:
    from cloud.modules.platform.certificates import Shown

log = structlog.get_logger("platform")
WRONG = "工号或密码不正确。连续 5 次错误将锁定 30 分钟。"
REMOTE = say("从院外登录须用动态口令或 UKey，您的账号还没有启用，请联系安全管理员。")
WRONG_CODE = say("动态口令不正确或已用过，请等手机上换出下一个再输入。连续 5 次错误将锁定 30 分钟。")


class LoginRefused(UserError):
    """Wrong, locked or inactive; the text is equal for known and unknown people."""

    def __init__(self, message: str = WRONG) -> None:
        super().__init__("invalid", message)


class SecondFactorNeeded(UserError):
    """The password was right; a TOTP code must follow (``totp``), or a scan with WeChat-Work (``state``). ``proof`` stands for
    the password in that step; ``why`` says what was wrong with the factor shown just now."""

    def __init__(self, proof: str, why: str = "", state: str = "", totp: bool = True, employee_no: str = "") -> None:
        words = why or "请输入动态口令（6 位数字）。"
        super().__init__("second_factor", words, proof=proof, wrong=bool(why), state=state, totp=totp, employee_no=employee_no)


class GrantNeeded(UserError):
    """An outside engineer showed both factors but has no approved access now (R7); ``proof`` lets this person ask for one."""

    def __init__(self, proof: str) -> None:
        super().__init__("grant", "您目前没有已批准的访问。请填写目的和时长，由医院信息管理组批准后再登录。", proof=proof)


@dataclass(frozen=True)
class Entered:
    """A fresh session."""

    token: str
    session_id: int
    user_id: int


_WINDOW = text("SELECT signing_until, signing_id, locked_at FROM user_session WHERE tenant_id = :t AND id = :id")


def log_read(uow: UnitOfWork, patient_id: int, purpose: str, path: str) -> None:
    """Record that a person looked at a patient's data."""
    uow.look(uow.actor.user_id, uow.actor.name, patient_id, purpose, path)


def find_tenant(session: Session, code: str, host: str) -> Tenant | None:
    """The hospital by host name, else by the code typed at login; None is answered neutrally."""
    found = session.execute(select(Tenant).where(Tenant.host == host)).scalar_one_or_none()
    if found is None and code:
        found = session.execute(select(Tenant).where(Tenant.code == code.strip().lower())).scalar_one_or_none()
    return found if found is not None and found.status != "closed" else None


def log_in(
    uow: UnitOfWork,
    employee_no: str,
    password: str,
    totp: str,
    secret: str,
    *,
    workstation: str = "",
    agent: str = "",
    proof: str = "",
    card: Shown | None = None,
) -> Entered | UserError:
    """Check password (or the proof of it from the step before), lockout and second factor: a code, or the person's own certificate
    (``card``) shown to the TLS front.

    Returns a refusal (so that its counters commit) or a session.
    """
    user = uow.s.execute(select(User).where(User.employee_no == employee_no.strip()).with_for_update()).scalar_one_or_none()
    if user is None:
        secrets.check_secret(None, password)
        return _refuse(uow, employee_no, "unknown")
    if rules.is_locked(rules.Lockout(user.failures, user.locked_until), uow.now):
        secrets.check_secret(None, password)
        return _refuse(uow, employee_no, "locked")
    now_s = uow.now.timestamp()
    known = secrets.proven(proof, user.employee_no, user.password_hash, secret, now_s) if proof else None
    if user.status not in rules.ENTERING or not (secrets.check_secret(user.password_hash, password) if known is None else known):
        return _fail(uow, user, "password")
    by_card = card is not None and card.sha256 == user.cert_sha256
    refusal = _card(uow, user, card) if card is not None and by_card else _second_factor(uow, user, totp, secret)
    if refusal is not None:
        return refusal
    return _enter(uow, user, secret, workstation, agent, mfa=by_card or user.totp_sealed is not None)


def _enter(uow: UnitOfWork, user: User, secret: str, workstation: str, agent: str, *, mfa: bool) -> Entered | UserError:
    """Everything was shown: the session, or what an outside engineer still needs."""
    user.failures, user.locked_until = 0, None
    if grants.needed(uow, user.id) and (user.valid_until is None or uow.now >= user.valid_until):
        login_event(uow, user.employee_no, "no_grant")
        return GrantNeeded(secrets.proof(user.employee_no, user.password_hash, secret, uow.now.timestamp(), stage="grant"))
    login_event(uow, user.employee_no, "ok")
    entered = enter_as(uow, user, workstation, agent, mfa=mfa)
    if rules.password_expired(user.password_set_at, uow.now):
        set_session(uow, entered.session_id, must_change=True)
    return entered


def scanned(uow: UnitOfWork, user_id: int, wework_id: str, secret: str, *, workstation: str = "", agent: str = "") -> Entered | UserError:
    """The password was right and WeChat-Work told who scanned: a session for its own person, a failure counted for anybody else."""
    user = uow.s.execute(select(User).where(User.id == user_id).with_for_update()).scalar_one()
    if user.status not in rules.ENTERING or rules.is_locked(rules.Lockout(user.failures, user.locked_until), uow.now):
        return _refuse(uow, user.employee_no, "locked")
    if user.wework_id is None or user.wework_id.lower() != wework_id.lower():
        _fail(uow, user, "wework")
        return LoginRefused(wework.OTHER) if user.locked_until is not None else _scan_again(uow, user, wework.OTHER, secret)
    return _enter(uow, user, secret, workstation, agent, mfa=True)


def not_confirmed(uow: UnitOfWork, user_id: int, why: str, secret: str) -> UserError:
    """WeChat-Work did not say who scanned: back to the step of the second factor, for another scan or the code."""
    user = uow.s.execute(select(User).where(User.id == user_id).with_for_update()).scalar_one()
    login_event(uow, user.employee_no, "wework_away")
    return _scan_again(uow, user, why, secret)


def _scan_again(uow: UnitOfWork, user: User, why: str, secret: str) -> UserError:
    proof = secrets.proof(user.employee_no, user.password_hash, secret, uow.now.timestamp())
    return SecondFactorNeeded(proof, why, wework.begin(uow, user), user.totp_sealed is not None, user.employee_no)


def _card(uow: UnitOfWork, user: User, card: Shown) -> UserError | None:
    """The person's own certificate is the second factor, as long as it is good."""
    problem = card.problem(uow.now)
    return None if problem is None else _refuse(uow, user.employee_no, "certificate", problem)


def _second_factor(uow: UnitOfWork, user: User, totp: str, secret: str) -> UserError | None:
    """None when the second factor is shown, or none is needed."""
    scan = user.wework_id is not None and wework.app_of(uow, secret) is not None

    def proof() -> str:
        return secrets.proof(user.employee_no, user.password_hash, secret, uow.now.timestamp())

    if user.totp_sealed is None and scan:
        return SecondFactorNeeded(proof(), state=wework.begin(uow, user), totp=False)
    if user.totp_sealed is None:
        away = networks.remote(uow, uow.actor.ip)
        if away or needs_second_factor(uow, user.id):
            if user.cert_sha256 is not None:
                words = say("请插入登记在您名下的 UKey（客户端证书），关闭浏览器后重新打开本页登录。")
                return _refuse(uow, user.employee_no, "no_certificate", words)
            if away:
                return _refuse(uow, user.employee_no, "remote", REMOTE)
            return _refuse(uow, user.employee_no, "no_second_factor", "您的角色须启用动态口令，请联系安全管理员。")
        return None
    if not totp.strip():
        return SecondFactorNeeded(proof(), state=wework.begin(uow, user) if scan else "")
    step = secrets.totp_step(user.totp_sealed, secret, totp, uow.now.timestamp())
    if step is None or step <= (user.totp_last_step or -1):
        refused = _fail(uow, user, "second_factor")
        # The step before has told already that the password was right: who mistypes a code is not sent back to it, until the lockout.
        return (
            refused if user.locked_until is not None else SecondFactorNeeded(proof(), WRONG_CODE, wework.begin(uow, user) if scan else "")
        )
    user.totp_last_step = step
    return None


def proven_user(uow: UnitOfWork, employee_no: str, proof: str, secret: str) -> User | None:
    """The outside engineer whose both factors were right within the last minutes."""
    user = uow.s.execute(select(User).where(User.employee_no == employee_no.strip(), User.status == "active")).scalar_one_or_none()
    if user is None or not secrets.proven(proof, user.employee_no, user.password_hash, secret, uow.now.timestamp(), stage="grant"):
        return None
    return user if grants.needed(uow, user.id) else None


def needs_second_factor(uow: UnitOfWork, user_id: int) -> bool:
    """True when a role of this person demands two factors (R2)."""
    query = select(func.bool_or(Role.second_factor)).join(UserRole, (UserRole.tenant_id == Role.tenant_id) & (UserRole.role_id == Role.id))
    return bool(uow.s.execute(query.where(UserRole.user_id == user_id)).scalar())


def enter_as(uow: UnitOfWork, user: User, workstation: str, agent: str, mfa: bool) -> Entered:
    """A fresh session for somebody whose proof was checked by the caller."""
    token = secrets.new_token()
    row = UserSession(
        token_hash=secrets.token_hash(token),
        user_id=user.id,
        workstation=workstation,
        ip=uow.actor.ip,
        agent=agent[:200],
        created_at=uow.now,
        seen_at=uow.now,
        mfa_at=uow.now if mfa else None,
    )
    uow.s.add(row)
    uow.s.flush()
    uow.audit("session", row.id, "login", after={"user": user.employee_no, "mfa": mfa, "workstation": workstation})
    return Entered(token, row.id, user.id)


def login_event(uow: UnitOfWork, employee_no: str, outcome: str) -> None:
    """Record an attempt to come in."""
    uow.s.add(LoginEvent(at=uow.now, employee_no=employee_no[:64], ip=uow.actor.ip, outcome=outcome))


def _refuse(uow: UnitOfWork, employee_no: str, outcome: str, message: str = WRONG) -> UserError:
    login_event(uow, employee_no, outcome)
    return LoginRefused(message)


def _fail(uow: UnitOfWork, user: User, outcome: str) -> UserError:
    after = rules.after_failure(rules.Lockout(user.failures, user.locked_until), uow.now)
    user.failures, user.locked_until = after.failures, after.locked_until
    if after.locked_until is not None:
        uow.audit("user", user.id, "lock", after={"until": after.locked_until.isoformat()})
    return _refuse(uow, user.employee_no, outcome)


def log_out(uow: UnitOfWork, principal: Principal) -> None:
    """End the session for good."""
    set_session(uow, principal.session_id, revoked_at=uow.now, signing_until=None)
    uow.audit("session", principal.session_id, "logout")


def lock(uow: UnitOfWork, principal: Principal) -> None:
    """Lock the screen; a signing window ends with it."""
    set_session(uow, principal.session_id, locked_at=uow.now, signing_until=None, signing_id=None)


def unlock(uow: UnitOfWork, principal: Principal, secret: str) -> bool:
    """Open one's own locked session with PIN or password."""
    if not _own_secret(uow, principal.user_id, secret):
        return False
    set_session(uow, principal.session_id, locked_at=None, seen_at=uow.now)
    return True


def switch_user(uow: UnitOfWork, principal: Principal, badge: str, pin: str) -> Entered | None:
    """Bench quick-switch (R2): another person's badge and PIN, on a registered workstation, inside a fresh two-factor session."""
    if not principal.workstation or not principal.mfa:
        raise Conflict("快速换人只能在已登记的工作站、12 小时内用动态口令登录过的会话中使用。请退出后重新登录。")
    user = uow.s.execute(select(User).where(User.badge == badge.strip(), User.status == "active").with_for_update()).scalar_one_or_none()
    if user is None or not _pin_ok(uow, user, pin) or grants.needed(uow, user.id):
        return None
    log_out(uow, principal)
    entered = enter_as(uow, user, principal.workstation, "", mfa=False)
    # The two-factor proof stays that of the bench's session, and so does its age.
    row = uow.s.execute(select(UserSession.mfa_at).where(UserSession.id == principal.session_id)).scalar_one()
    # A badge does not outlive the password: who only ever switches would never renew it (R1).
    set_session(uow, entered.session_id, mfa_at=row, must_change=rules.password_expired(user.password_set_at, uow.now))
    uow.audit("session", entered.session_id, "switch", before={"user": principal.employee_no}, after={"user": user.employee_no})
    return entered


def _pin_ok(uow: UnitOfWork, user: User, pin: str) -> bool:
    if rules.is_locked(rules.Lockout(user.failures, user.locked_until), uow.now):
        return False
    if secrets.check_secret(user.pin_hash, pin):
        user.pin_failures = 0
        return True
    if rules.looks_scanned(pin):
        return False
    user.pin_failures += 1
    if user.pin_failures >= rules.PIN_FAILURES:
        user.locked_until, user.pin_failures = uow.now + rules.LOCK_FOR, 0
        uow.audit("user", user.id, "lock", reason="pin")
    login_event(uow, user.employee_no, "pin")
    return False


def _own_secret(uow: UnitOfWork, user_id: int, secret: str) -> bool:
    user = uow.s.execute(select(User).where(User.id == user_id).with_for_update()).scalar_one()
    if rules.is_locked(rules.Lockout(user.failures, user.locked_until), uow.now):
        return False
    if user.pin_hash is not None and secrets.check_secret(user.pin_hash, secret):
        user.pin_failures = 0
        return True
    if len(secret) >= 10 and secrets.check_secret(user.password_hash, secret):
        return True
    return _pin_ok(uow, user, secret)  # counts a wrong one also where there is no PIN: a locked screen is no place to try passwords


NO_SECOND_FACTOR = "审核签名需要动态口令登录的会话，请退出后重新登录。"


def open_signing(uow: UnitOfWork, principal: Principal, secret: str) -> str | None:
    """Re-authenticate for signing: a window of 5 minutes on this session's workstation. None when the secret is wrong."""
    if not principal.mfa and needs_second_factor(uow, principal.user_id):
        raise Conflict(NO_SECOND_FACTOR)
    if not _own_secret(uow, principal.user_id, secret):
        return None
    signing_id = pysecrets.token_hex(8)
    set_session(uow, principal.session_id, signing_until=uow.now + rules.SIGNING_WINDOW, signing_id=signing_id)
    uow.audit("session", principal.session_id, "signing_opened", after={"window": signing_id})
    return signing_id


def require_signing(uow: UnitOfWork, principal: Principal, *, release: bool = False) -> str:
    """The id of the open signing window of this session; raises ReauthRequired without one.

    ``release``: what is signed leaves the laboratory, which takes a session with a second factor whoever signs (R2).
    """
    if release and not principal.mfa:
        raise Conflict(NO_SECOND_FACTOR)
    row = uow.s.execute(_WINDOW, {"t": uow.tenant_id, "id": principal.session_id}).one()
    if row.locked_at is not None or not rules.signing_open(row.signing_until, uow.now) or row.signing_id is None:
        raise ReauthRequired
    return str(row.signing_id)


def grant_role(uow: UnitOfWork, user_id: int, role_code: str) -> None:
    """Give a role; refuses two of the three admin roles in one hand (R10)."""
    held = uow.s.execute(
        select(Role.code)
        .join(UserRole, (UserRole.tenant_id == Role.tenant_id) & (UserRole.role_id == Role.id))
        .where(UserRole.user_id == user_id)
    )
    codes = [c for (c,) in held]
    if rules.admin_conflict([*codes, role_code]):
        raise Invalid("系统、安全、审计三个管理员角色不能由同一人兼任。", "role")
    role = uow.s.execute(select(Role).where(Role.code == role_code)).scalar_one_or_none()
    if role is None:
        raise Invalid(say("没有角色 {role}。", role=role_code), "role")
    if role_code not in codes:
        uow.s.add(UserRole(user_id=user_id, role_id=role.id))
        uow.audit("user", user_id, "grant_role", before={"roles": codes}, after={"roles": [*codes, role_code]})


@dataclass(frozen=True)
class NewUser:
    """What a new account starts with."""

    employee_no: str
    name: str
    password: str
    roles: tuple[str, ...]
    pin: str | None = None
    badge: str | None = None
    totp_seed: str | None = None
    dept: str = ""
    sections: tuple[str, ...] = ()
    wards: tuple[str, ...] = ()
    temporary: bool = False
    """The password is somebody else's choice and must be changed at the first login; until then the account is pending."""


def create_user(uow: UnitOfWork, new: NewUser, secret: str) -> User:
    """Open an account. The password must pass the policy; nothing has a default."""
    problem = rules.password_problem(new.password, new.employee_no)
    if problem:
        raise Invalid(problem, "password")
    if uow.s.execute(select(User.id).where(User.employee_no == new.employee_no)).first():
        raise Invalid(say("工号 {employee_no} 已存在。", employee_no=new.employee_no), "employee_no")
    user = User(
        employee_no=new.employee_no,
        name=new.name,
        dept=new.dept,
        password_hash=secrets.hash_secret(new.password),
        password_set_at=uow.now - rules.PASSWORD_LIFE if new.temporary else uow.now,
        status=(rules.UserState.PENDING if new.temporary else rules.UserState.ACTIVE).value,
        pin_hash=secrets.hash_secret(new.pin) if new.pin else None,
        badge=new.badge,
        totp_sealed=secrets.seal_totp(new.totp_seed, secret) if new.totp_seed else None,
        sections=list(new.sections),
        wards=list(new.wards),
    )
    uow.s.add(user)
    uow.s.flush()
    uow.audit("user", user.id, "create", after={"employee_no": new.employee_no, "name": new.name})
    for role in new.roles:
        grant_role(uow, user.id, role)
    return user


def kick(uow: UnitOfWork, session_id: int) -> bool:
    """End somebody's session from the sessions page."""
    row = uow.s.execute(select(UserSession).where(UserSession.id == session_id, UserSession.revoked_at.is_(None))).scalar_one_or_none()
    if row is None:
        return False
    row.revoked_at, row.signing_until = uow.now, None
    uow.audit("session", session_id, "kick")
    return True


def verify_chain(uow: UnitOfWork) -> None:
    """Calendar job (00:30): walk the audit chain; a break is an error in the log and stays in the chain itself (C4)."""
    count, broken = chain.verify(uow.s)
    if broken is None:
        uow.audit("audit", "chain", "verified", after={"whole": count})
        alerts.clear(uow, "platform.chain", "chain")
    else:
        words = "审计链条从第 %(seq)s 条起断裂（%(reason)s），请立即报告信息安全负责人，不要改动数据库。"
        told = {"seq": broken.seq, "reason": broken.reason}
        alerts.raise_alert(uow, alerts.Alert("platform.chain", "chain", rules.Level.URGENT, words, "/audit", rules.Perm.AUDIT, told))
        log.error("audit_chain_broken", tenant=uow.tenant_id, seq=broken.seq, reason=broken.reason)
        uow.audit("audit", broken.seq, "chain_broken", after={"reason": broken.reason, "whole": count})
