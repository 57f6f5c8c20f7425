"""Read-only: who is on duty where, now or at another moment."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog.queries import HOSPITAL_ZONE
from cloud.modules.scheduling.rules import Hours, Stretch, on_duty


@dataclass(frozen=True, slots=True)
class OnDuty:
    """Somebody on duty."""

    section_id: int
    user_id: int
    name: str
    shift: str
    phone: str
    alone: bool = False


_DUTY = text("""
SELECT d.section_id, d.user_id, u.name, sh.name AS shift, d.phone, sh.start, sh."end", d.first, d.last, d.alone
FROM duty d
JOIN shift sh ON sh.tenant_id = d.tenant_id AND sh.id = d.shift_id
JOIN app_user u ON u.tenant_id = d.tenant_id AND u.id = d.user_id AND u.status = 'active'
WHERE d.tenant_id = :t AND (:any OR d.section_id = ANY(:sections)) AND d.cancelled_at IS NULL AND d.last >= :from AND d.first <= :to
ORDER BY d.section_id, d.id
""")


def duty(uow: UnitOfWork, at: datetime, sections: Collection[int] | None = None) -> list[OnDuty]:
    """Who is on duty at a moment, in some sections or (None) everywhere; one statement."""
    day = at.astimezone(HOSPITAL_ZONE).date()
    params = {"t": uow.tenant_id, "any": sections is None, "sections": sorted(sections or ()), "from": day - timedelta(days=1), "to": day}
    return [
        OnDuty(r.section_id, r.user_id, r.name, r.shift, r.phone, r.alone)
        for r in uow.s.execute(_DUTY, params)
        if on_duty(Stretch(r.user_id, Hours(r.start, r.end), r.first, r.last), at, HOSPITAL_ZONE)
    ]


def alone(uow: UnitOfWork, user_id: int, at: datetime) -> frozenset[int]:
    """Sections in which the roster leaves this person alone with both checks at this moment (M09 R1)."""
    return frozenset(d.section_id for d in duty(uow, at) if d.alone and d.user_id == user_id)


_PLANNED = text("""
SELECT d.id, d.section_id, s.name AS section, u.name, u.employee_no, sh.name AS shift, sh.start, sh."end", d.first, d.last, d.phone, d.alone
FROM duty d
JOIN shift sh ON sh.tenant_id = d.tenant_id AND sh.id = d.shift_id
JOIN section s ON s.tenant_id = d.tenant_id AND s.id = d.section_id
JOIN app_user u ON u.tenant_id = d.tenant_id AND u.id = d.user_id
WHERE d.tenant_id = :t AND d.cancelled_at IS NULL AND d.last >= :day ORDER BY d.first, d.section_id, d.id LIMIT :n OFFSET :start
""")


PAGE = 100


def planned(uow: UnitOfWork, start: int = 0) -> Sequence[Any]:
    """A page of the duty from yesterday's nights on."""
    day = uow.now.astimezone(HOSPITAL_ZONE).date() - timedelta(days=1)
    return uow.s.execute(_PLANNED, {"t": uow.tenant_id, "day": day, "n": PAGE, "start": start}).all()


def shifts(uow: UnitOfWork) -> Sequence[Any]:
    """Shifts in use."""
    query = text('SELECT id, code, name, start, "end" FROM shift WHERE tenant_id = :t AND active ORDER BY start, id')
    return uow.s.execute(query, {"t": uow.tenant_id}).all()
