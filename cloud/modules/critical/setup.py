"""Whom to call at each level, and which departments are told once a day (R4, R6)."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import delete, select

from cloud.db.session import UnitOfWork
from cloud.modules.critical import rules
from cloud.modules.critical.models import CriticalContact, CriticalEvent, CriticalQuiet
from cloud.modules.scheduling import queries as scheduling
from common.errors import UserError
from common.say import say


def contact_for(uow: UnitOfWork, level: int, event: CriticalEvent) -> str:
    """Name and telephone of a level; '' where nobody is entered.

    Level 2 is whoever the duty roster has in the section now (M18); otherwise the list of contacts, the place's own before the general.
    """
    if level == 2 and event.section_id is not None:
        on_duty = scheduling.duty(uow, uow.now, [event.section_id])
        if on_duty:
            return "、".join(f"{p.name} {p.phone}".strip() for p in on_duty)
    places = [p for p in (event.ward, event.dept) if p]
    query = select(CriticalContact).where(CriticalContact.level == level, CriticalContact.place.in_([*places, ""]))
    found = {c.place: c for c in uow.s.execute(query).scalars()}
    one = next((found[p] for p in (*places, "") if p in found), None)
    return "" if one is None else f"{one.contact} {one.phone}".strip()


def _require_here(uow: UnitOfWork, ward: str | None) -> None:
    """Whose right counts for some wards alone sets nothing for others, and nothing that serves all (M01). None: there is no such row."""
    if uow.actor.reach is not None and ward is not None and ward not in uow.actor.reach.wards:
        raise UserError("not_found", say("“{ward}”不属于您所在的院区，请由该院区或全院的负责人设置。", ward=ward or say("全院")))


def save_contact(uow: UnitOfWork, level: int, place: str, contact: str, phone: str) -> None:
    """Enter or change whom to call."""
    if level not in rules.LEVEL_WORDS:
        raise UserError("invalid", say("请选择升级级别。"), field="level")
    if not phone.strip():
        raise UserError("invalid", say("请填写电话。"), field="phone")
    place = place.strip()[:60]
    _require_here(uow, place)
    row = uow.s.execute(select(CriticalContact).where(CriticalContact.level == level, CriticalContact.place == place)).scalar_one_or_none()
    before = None if row is None else {"contact": row.contact, "phone": row.phone}
    if row is None:
        row = CriticalContact(level=level, place=place, contact="", phone="")
        uow.s.add(row)
    row.contact, row.phone = contact.strip()[:60], phone.strip()[:40]
    uow.audit("critical_contact", f"{level}:{place}", "save", before=before, after={"contact": row.contact, "phone": row.phone})


def remove_contact(uow: UnitOfWork, contact_id: int) -> None:
    """Take a contact out."""
    _require_here(uow, uow.s.execute(select(CriticalContact.place).where(CriticalContact.id == contact_id)).scalar())
    uow.s.execute(delete(CriticalContact).where(CriticalContact.id == contact_id))
    uow.audit("critical_contact", contact_id, "remove")


def save_quiet(uow: UnitOfWork, dept: str, item_id: int, worse_percent: Decimal | None) -> None:
    """A department whose patients live with this critical value is told once a day, unless it is worse by more than the limit."""
    if not dept.strip():
        raise UserError("invalid", say("请填写科室。"), field="dept")
    if worse_percent is None or not Decimal(0) <= worse_percent <= Decimal(100):
        raise UserError("invalid", say("加重比例须在 0 到 100 之间。"), field="worse")
    _require_here(uow, dept.strip())
    row = uow.s.execute(
        select(CriticalQuiet).where(CriticalQuiet.dept == dept.strip(), CriticalQuiet.item_id == item_id)
    ).scalar_one_or_none()
    if row is None:
        row = CriticalQuiet(dept=dept.strip()[:60], item_id=item_id)
        uow.s.add(row)
    row.worse_percent = worse_percent
    uow.audit("critical_quiet", f"{dept.strip()}:{item_id}", "save", after={"worse_percent": str(worse_percent)})


def remove_quiet(uow: UnitOfWork, quiet_id: int) -> None:
    """Tell every critical value of that department in full again."""
    _require_here(uow, uow.s.execute(select(CriticalQuiet.dept).where(CriticalQuiet.id == quiet_id)).scalar())
    uow.s.execute(delete(CriticalQuiet).where(CriticalQuiet.id == quiet_id))
    uow.audit("critical_quiet", quiet_id, "remove")
