"""Read-only looks at tickets."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import or_, select

from cloud.db.session import UnitOfWork
from cloud.modules.servicedesk.models import Ticket, TicketStep
from cloud.modules.servicedesk.rules import State

PAGE = 60


def listed(uow: UnitOfWork, section_id: int | None = None, *, closed: bool = False, before: int | None = None) -> Sequence[Ticket]:
    """A page, newest first: those not closed (or closed ones); of a section with the whole laboratory's."""
    t = Ticket
    query = select(t).where(t.state == State.CLOSED.value if closed else t.state != State.CLOSED.value)
    if section_id is not None:
        query = query.where(or_(t.section_id == section_id, t.section_id.is_(None)))
    query = query.where(t.id < before) if before else query
    return uow.s.execute(query.order_by(t.id.desc()).limit(PAGE)).scalars().all()


def open_title(uow: UnitOfWork, number: int) -> str | None:
    """The title of a ticket that is not closed yet; None where there is none of this number."""
    query = select(Ticket.title).where(Ticket.id == number, Ticket.state != State.CLOSED.value)
    return uow.s.execute(query).scalar_one_or_none()


def opened_by(uow: UnitOfWork, user_id: int, before: int | None = None) -> Sequence[Ticket]:
    """A page of what this person opened, newest first."""
    query = select(Ticket).where(Ticket.opened_by == user_id)
    query = query.where(Ticket.id < before) if before else query
    return uow.s.execute(query.order_by(Ticket.id.desc()).limit(PAGE)).scalars().all()


def one(uow: UnitOfWork, ticket_id: int, opened_by: int | None = None) -> tuple[Ticket, Sequence[TicketStep]] | None:
    """A ticket with its steps, or None. ``opened_by``: only where this person opened it."""
    query = select(Ticket).where(Ticket.id == ticket_id)
    row = uow.s.execute(query if opened_by is None else query.where(Ticket.opened_by == opened_by)).scalar_one_or_none()
    if row is None:
        return None
    steps = select(TicketStep).where(TicketStep.ticket_id == ticket_id).order_by(TicketStep.id)
    return row, uow.s.execute(steps).scalars().all()
