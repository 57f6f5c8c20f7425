"""Registered bench and window PCs (M01): quick-switch is theirs alone, so one that is lost, sold or replaced must lose it at once."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select, update

from cloud.db.session import UnitOfWork
from cloud.modules.platform import campuses, rules, secrets
from cloud.modules.platform.models import UserSession, Workstation
from cloud.web.faults import Conflict, Invalid, NotFound
from common.say import say


def register(
    uow: UnitOfWork, code: str, name: str, section_code: str | None = None, location: str = "", campus: str = "", *, replace: bool = False
) -> str:
    """Register a PC; returns the token its browser keeps (shown once).

    A code that another PC has is refused unless it takes its place (``replace``): that PC's sessions end.
    """
    code, name = code.strip(), name.strip()
    if not code or not name:
        raise Invalid(say("请填写工作站编号和名称。"), "code" if not code else "name")
    row = _locked(uow, Workstation.code == code)
    if row is not None and row.token_hash is not None and not replace:
        raise Conflict(say("编号 {code} 已登记为“{name}”。要用这台电脑代替它，请勾选“代替原来的电脑”。", code=code, name=row.name))
    before = None if row is None else _facts(row)
    if row is None:
        row = Workstation(code=code, name=name)
        uow.s.add(row)
    elif row.token_hash is not None:
        _end_sessions(uow, row)
    token = secrets.new_token()
    row.name, row.section_code, row.location = name, section_code or row.section_code, location.strip() or row.location
    row.campus = campuses.of_code(uow, campus) or row.campus or ""
    row.token_hash, row.active = secrets.token_hash(token), True
    uow.s.flush()
    uow.audit("workstation", row.id, "register", before, _facts(row))
    return token


def change(
    uow: UnitOfWork,
    workstation_id: int,
    name: str,
    location: str,
    section_code: str,
    mac: str = "",
    printers: Iterable[str] = (),
    campus: str = "",
) -> None:
    """Its name, where it stands, whose bench it is, its network card and what it prints on."""
    row = _by_id(uow, workstation_id)
    if not name.strip():
        raise Invalid(say("请填写工作站编号和名称。"), "name")
    card = rules.mac(mac)
    if card is None:
        raise Invalid(say("网卡地址应为 12 位十六进制，例如 3C:52:82:1A:2B:3C。"), "mac")
    before = _facts(row)
    row.name, row.location, row.section_code = name.strip(), location.strip(), section_code.strip() or None
    row.campus = campuses.of_code(uow, campus)
    row.mac, row.printers = card, [p for each in printers if (p := each.strip()[:60])]
    if _facts(row) != before:
        uow.audit("workstation", row.id, "change", before, _facts(row))


def retire(uow: UnitOfWork, workstation_id: int, reason: str) -> int:
    """Lost, sold or scrapped: its token opens nothing from now on, and whoever is in at it is out. How many sessions ended."""
    row = _by_id(uow, workstation_id)
    if not row.active:
        raise Conflict(say("这台工作站已经停用，请刷新。"))
    if not reason.strip():
        raise Invalid(say("请写明停用原因，例如：报废、遗失。"), "reason")
    row.active, row.token_hash = False, None
    ended = _end_sessions(uow, row)
    uow.audit("workstation", row.id, "suspended", {"active": True}, {"active": False, "sessions": ended}, reason.strip()[:200])
    return ended


def of_token(uow: UnitOfWork, token: str) -> str:
    """The code of the registered workstation whose browser shows this token, or ''."""
    if not token:
        return ""
    found = uow.s.execute(select(Workstation.code).where(Workstation.token_hash == secrets.token_hash(token), Workstation.active)).scalar()
    return str(found or "")


def _facts(row: Workstation) -> dict[str, object]:
    return {
        "code": row.code,
        "name": row.name,
        "location": row.location,
        "section": row.section_code,
        "campus": row.campus,
        "active": row.active,
        "mac": row.mac,
        "printers": list(row.printers),
    }


def _end_sessions(uow: UnitOfWork, row: Workstation) -> int:
    living = UserSession.workstation == row.code, UserSession.revoked_at.is_(None)
    ended = update(UserSession).where(*living).values(revoked_at=uow.now, signing_until=None).returning(UserSession.id)
    return len(uow.s.execute(ended).all())


def _by_id(uow: UnitOfWork, workstation_id: int) -> Workstation:
    row = _locked(uow, Workstation.id == workstation_id)
    if row is None:
        raise NotFound("这台工作站")
    return row


def _locked(uow: UnitOfWork, which: object) -> Workstation | None:
    return uow.s.execute(select(Workstation).where(which).with_for_update()).scalar_one_or_none()  # type: ignore[arg-type]
