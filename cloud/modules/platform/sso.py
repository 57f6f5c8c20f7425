"""Single sign-on from a neighbouring system (M01 R5): a signed ticket, good for 60 seconds and once.

A ticket is ``payload.signature``: the payload is base64url of JSON ``{"s": source, "u": employee no., "n": nonce, "t": epoch seconds,
"to": local path}``, the signature HMAC-SHA-256 (hex) of ``tenant code . payload`` under the source's key. It gives no second factor:
whose roles need one logs in by password and code.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts, networks, rules, secrets, service
from cloud.modules.platform.models import SsoNonce, SsoSource, User
from cloud.web.faults import Invalid
from common.errors import UserError


class TicketRefused(UserError):
    """Forged, too old, used before, or for nobody here; told alike."""

    def __init__(self) -> None:
        super().__init__("sso", "单点登录票据无效或已过期，请回到原系统重新打开，或用工号和密码登录。")


@dataclass(frozen=True)
class Ticket:
    """What a ticket says."""

    source: str
    employee_no: str
    nonce: str
    issued: datetime
    target: str


def sign(key: bytes, tenant_code: str, payload: str) -> str:
    """The hex signature of a payload."""
    return hmac.new(key, f"{tenant_code}.{payload}".encode(), hashlib.sha256).hexdigest()


def make_ticket(key: bytes, tenant_code: str, ticket: Ticket) -> str:
    """As the neighbouring system makes it; our tests and its developers use this."""
    issued = int(ticket.issued.timestamp())
    body = {"s": ticket.source, "u": ticket.employee_no, "n": ticket.nonce, "t": issued, "to": ticket.target}
    payload = base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=")
    return f"{payload}.{sign(key, tenant_code, payload)}"


def read(text: str) -> tuple[Ticket, str, str] | None:
    """The ticket, its payload and signature, or None when it is none."""
    payload, dot, signature = text.partition(".")
    try:
        body = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        issued = datetime.fromtimestamp(int(body["t"]), UTC)
        ticket = Ticket(str(body["s"]), str(body["u"]), str(body["n"]), issued, str(body.get("to") or "/"))
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError, binascii.Error):
        return None
    return (ticket, payload, signature) if dot and len(ticket.nonce) >= 16 else None


def enter(uow: UnitOfWork, tenant_code: str, text: str, secret: str, *, agent: str = "") -> tuple[service.Entered, str] | UserError:
    """A session for the ticket's person and where to go. A refusal is returned, so that its record commits."""
    found = read(text)
    if found is None:
        return _refuse(uow, "?", "sso_malformed")
    ticket, payload, signature = found
    source = uow.s.execute(select(SsoSource).where(SsoSource.code == ticket.source, SsoSource.active)).scalar_one_or_none()
    key = secrets.unseal(source.key_sealed, secret) if source else b"none"
    if not hmac.compare_digest(sign(key, tenant_code, payload), signature) or source is None:
        return _refuse(uow, ticket.employee_no, "sso_forged")
    problem = rules.ticket_problem(ticket.issued, uow.now)
    if problem is not None:
        return _refuse(uow, ticket.employee_no, f"sso_{problem}")
    if not _first_use(uow, ticket):
        _tell_replay(uow, source, ticket)
        return _refuse(uow, ticket.employee_no, "sso_replay")
    user = uow.s.execute(select(User).where(User.employee_no == ticket.employee_no, User.status == "active")).scalar_one_or_none()
    if user is None or rules.is_locked(rules.Lockout(user.failures, user.locked_until), uow.now):
        return _refuse(uow, ticket.employee_no, "sso_unknown")
    if networks.remote(uow, uow.actor.ip):
        service.login_event(uow, ticket.employee_no, "remote")
        return UserError("sso", "从院外须用密码和动态口令登录，不能从其他系统直接进入。")
    if service.needs_second_factor(uow, user.id):
        service.login_event(uow, ticket.employee_no, "sso_second_factor")
        return UserError("sso", "您的角色须用动态口令登录，不能从其他系统直接进入。")
    service.login_event(uow, ticket.employee_no, "sso")
    local = ticket.target.startswith("/") and not ticket.target.startswith("//") and "\\" not in ticket.target
    return service.enter_as(uow, user, "", agent, mfa=False), ticket.target if local else "/"


def _first_use(uow: UnitOfWork, ticket: Ticket) -> bool:
    """Store the nonce; False when it was there. Nonces that could not pass for their age any more are swept."""
    uow.s.execute(delete(SsoNonce).where(SsoNonce.at < uow.now - 2 * (rules.TICKET_LIFE + rules.TICKET_SKEW)))
    row = {"tenant_id": uow.tenant_id, "source": ticket.source, "nonce": ticket.nonce, "at": uow.now}
    return uow.s.execute(insert(SsoNonce).values(**row).on_conflict_do_nothing().returning(SsoNonce.id)).first() is not None


def _refuse(uow: UnitOfWork, employee_no: str, outcome: str) -> UserError:
    service.login_event(uow, employee_no, outcome)
    return TicketRefused()


def _tell_replay(uow: UnitOfWork, source: SsoSource, ticket: Ticket) -> None:
    alerts.raise_alert(
        uow,
        alerts.Alert(
            "platform.sso_replay",
            f"{source.code}:{ticket.nonce[:40]}",
            rules.Level.URGENT,
            "%(source)s 的单点登录票据被重复使用（工号 %(who)s，来自 %(ip)s）：可能有人截获了票据。",
            "/sessions",
            rules.Perm.SESSIONS,
            {"source": source.name, "who": ticket.employee_no, "ip": uow.actor.ip},
            once=True,
        ),
    )


def add_source(uow: UnitOfWork, code: str, name: str, secret: str) -> str:
    """Register a neighbouring system, or give it a new key; the key is returned once (base64url)."""
    code, name = code.strip().lower(), name.strip()
    if not code or not code.isalnum() or not name:
        raise Invalid("请填写来源代码（字母和数字）和名称。", "code")
    key = secrets.new_token()
    row = uow.s.execute(select(SsoSource).where(SsoSource.code == code)).scalar_one_or_none()
    if row is None:
        row = SsoSource(code=code, name=name, key_sealed=b"")
        uow.s.add(row)
    row.name, row.key_sealed, row.active = name, secrets.seal(key.encode(), secret), True
    uow.s.flush()
    uow.audit("sso_source", row.id, "key", after={"code": code, "name": name})
    return key
