"""Tickets of somebody who leaves: another person becomes their owner or backup."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, or_, select

from cloud.db.session import UnitOfWork
from cloud.modules.servicedesk.models import Ticket
from cloud.modules.servicedesk.rules import State
from cloud.web.module import Colleague, OpenTask
from common.errors import UserError
from common.say import say


def open_of(uow: UnitOfWork, leaver: Colleague) -> Sequence[OpenTask]:
    """Tickets not closed that name the person."""
    return [OpenTask(say("工单 {id}：{title}", id=row.id, title=row.title), f"/desk/{row.id}") for row in uow.s.scalars(_named(leaver))]


def hand_over(uow: UnitOfWork, leaver: Colleague, to: Colleague) -> None:
    """The successor's name in place of the leaver's. UserError conflict: owner and backup would be one person."""
    for row in uow.s.scalars(_named(leaver).with_for_update()):
        if to.name in (row.owner, row.backup):
            raise UserError("conflict", say("工单 {id} 的负责人和后备不能是同一人（{name}），请先在工单上换人。", id=row.id, name=to.name))
        before = {"owner": row.owner, "backup": row.backup}
        row.owner, row.backup = (to.name if each == leaver.name else each for each in (row.owner, row.backup))
        uow.audit("ticket", row.id, "hand_over", before=before, after={"owner": row.owner, "backup": row.backup})


def _named(leaver: Colleague) -> Select[Ticket]:
    named = or_(Ticket.owner == leaver.name, Ticket.backup == leaver.name)
    return select(Ticket).where(named, Ticket.state != State.CLOSED.value).order_by(Ticket.id)
