"""Tickets that wait for the engineer: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import func, select

from cloud.db.session import UnitOfWork
from cloud.modules.servicedesk.models import Ticket
from cloud.modules.servicedesk.rules import State
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say


def tickets(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Those that are not closed."""
    n = uow.s.execute(select(func.count()).select_from(Ticket).where(Ticket.state != State.CLOSED.value)).scalar_one()
    yield Waiting(say("未关闭的工单"), n, "/desk")
