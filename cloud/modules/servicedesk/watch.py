"""The minute's look at tickets: nobody accepted it within five minutes, half and four fifths of the solution clock, the breach."""

from __future__ import annotations

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Alert, Level
from cloud.modules.servicedesk.models import Ticket
from cloud.modules.servicedesk.rules import SOLVE_WITHIN, UNASSIGNED, Perm, State, breached


def look(uow: UnitOfWork) -> None:
    """Raise what is so now, clear what no longer is."""
    query = select(Ticket).where(Ticket.solved_at.is_(None), Ticket.state != State.CLOSED.value).order_by(Ticket.id)
    rows = uow.s.execute(query).scalars().all()

    def told(row: Ticket, kind: str, level: Level, words: str) -> Alert:
        given = {"no": row.id, "title": row.title[:60]}
        return Alert(kind, f"ticket:{row.id}", level, words, f"/desk/{row.id}", Perm.READ, given, at=places.code(uow, row.section_id))

    alone = [r for r in rows if r.state == State.NEW and uow.now - r.typed_at > UNASSIGNED]
    words = "工单 %(no)s 登记后 5 分钟仍未受理：%(title)s"
    alerts.sync(uow, "servicedesk.unassigned", [told(r, "servicedesk.unassigned", Level.WARNING, words) for r in alone])
    late = []
    for row in rows:
        spent = (uow.now - row.notified_at) / SOLVE_WITHIN
        if breached(row.due_at, uow.now):
            late.append(told(row, "servicedesk.clock", Level.URGENT, "工单 %(no)s 已超过 1 小时给出方案的时限：%(title)s"))
        elif spent >= 0.8:
            late.append(told(row, "servicedesk.clock", Level.WARNING, "工单 %(no)s 的方案时限已用去 80%%：%(title)s"))
        elif spent >= 0.5:
            late.append(told(row, "servicedesk.clock", Level.NOTICE, "工单 %(no)s 的方案时限已用去一半：%(title)s"))
    alerts.sync(uow, "servicedesk.clock", late)
