"""Duty of somebody who leaves: from today on another person has it, or nobody would answer for the section."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import Select, select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog.queries import HOSPITAL_ZONE, catalog
from cloud.modules.scheduling import service
from cloud.modules.scheduling.models import Duty
from cloud.web.module import Colleague, OpenTask
from common.say import say


def open_of(uow: UnitOfWork, leaver: Colleague) -> Sequence[OpenTask]:
    """Duty of today and later."""
    sections = catalog(uow).sections
    return [
        OpenTask(
            say("值班 {section} {first} 至 {last}", section=sections[row.section_id].name, first=row.first, last=row.last), "/sch/duty"
        )
        for row in uow.s.scalars(_coming(leaver, _today(uow)))
    ]


def hand_over(uow: UnitOfWork, leaver: Colleague, to: Colleague) -> None:
    """What is past stays the leaver's. UserErrors of ``service.assign``: the successor would stand in two places."""
    today = _today(uow)
    for row in uow.s.scalars(_coming(leaver, today).with_for_update()).all():
        first, last = max(row.first, today), row.last
        if row.first < today:
            row.last = today - timedelta(days=1)
            uow.audit("duty", row.id, "hand_over", before={"last": str(last)}, after={"last": str(row.last), "to": to.employee_no})
        else:
            service.cancel(uow, row.id, f"离职交接给 {to.employee_no}")
        uow.s.flush()
        service.assign(uow, to.id, row.section_id, row.shift_id, first, last, row.phone, alone=row.alone)


def _today(uow: UnitOfWork) -> date:
    return uow.now.astimezone(HOSPITAL_ZONE).date()


def _coming(leaver: Colleague, today: date) -> Select[Duty]:
    query = select(Duty).where(Duty.user_id == leaver.id, Duty.cancelled_at.is_(None), Duty.last >= today)
    return query.order_by(Duty.first, Duty.id)
