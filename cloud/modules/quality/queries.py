"""Read-only looks at nonconformities."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from cloud.db.session import UnitOfWork
from cloud.modules.quality.models import Nonconformity, NonconformityStep
from cloud.modules.quality.rules import State

PAGE = 60


def listed(uow: UnitOfWork, state: str = "", before: int | None = None) -> Sequence[Nonconformity]:
    """A page, newest first: one state's, or (no state) all that are not closed."""
    t = Nonconformity
    query = select(t).where(t.state == state) if state in tuple(State) else select(t).where(t.state != State.CLOSED.value)
    query = query.where(t.id < before) if before else query
    return uow.s.execute(query.order_by(t.id.desc()).limit(PAGE)).scalars().all()


def counts(uow: UnitOfWork) -> dict[str, int]:
    """State → how many."""
    rows = uow.s.execute(select(Nonconformity.state, func.count().label("n")).group_by(Nonconformity.state))
    return {r.state: r.n for r in rows}


def one(uow: UnitOfWork, nc_id: int) -> tuple[Nonconformity, Sequence[NonconformityStep]] | None:
    """A nonconformity with its steps, or None."""
    row = uow.s.execute(select(Nonconformity).where(Nonconformity.id == nc_id)).scalar_one_or_none()
    if row is None:
        return None
    steps = select(NonconformityStep).where(NonconformityStep.nc_id == nc_id).order_by(NonconformityStep.id)
    return row, uow.s.execute(steps).scalars().all()


def of_subject(uow: UnitOfWork, subjects: Sequence[str]) -> Sequence[Nonconformity]:
    """Those opened by some matters ('report:12/2')."""
    t = Nonconformity
    return uow.s.execute(select(t).where(t.subject.in_(subjects)).order_by(t.id)).scalars().all() if subjects else []
