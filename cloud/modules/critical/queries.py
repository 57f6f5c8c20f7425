"""Read-only looks at critical values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from cloud.db.session import UnitOfWork
from cloud.modules.critical import rules
from cloud.modules.critical.models import CriticalAttempt, CriticalEvent
from cloud.modules.critical.rules import State


@dataclass(frozen=True)
class Line:
    """An event as the board shows it."""

    event: CriticalEvent
    clock: rules.Clock
    word: str
    attempts: Sequence[CriticalAttempt]


def board(uow: UnitOfWork, limit: int = 100) -> list[Line]:
    """Events that still wait for somebody, oldest first."""
    query = select(CriticalEvent).where(CriticalEvent.state.in_([s.value for s in rules.OPEN])).order_by(CriticalEvent.id).limit(limit)
    events = uow.s.execute(query).scalars().all()
    tried = _attempts(uow, [e.id for e in events])
    return [_line(uow, e, tried.get(e.id, [])) for e in events]


def one(uow: UnitOfWork, event_id: int) -> Line | None:
    """One event with its attempts, or None."""
    event = uow.s.execute(select(CriticalEvent).where(CriticalEvent.id == event_id)).scalar_one_or_none()
    return None if event is None else _line(uow, event, _attempts(uow, [event_id]).get(event_id, []))


def count_open(uow: UnitOfWork) -> int:
    """How many have not yet reached anybody."""
    untold = [State.DETECTED.value, State.CONFIRMED.value, State.NOTIFYING.value, State.ESCALATED.value]
    return uow.s.execute(select(func.count()).select_from(CriticalEvent).where(CriticalEvent.state.in_(untold))).scalar_one()


def states_of(uow: UnitOfWork, test_ids: Iterable[int]) -> dict[int, str]:
    """Test id → state of its event, for those that have one."""
    query = select(CriticalEvent.test_id, CriticalEvent.state).where(CriticalEvent.test_id.in_(list(test_ids)))
    return {row.test_id: row.state for row in uow.s.execute(query)}


def notify_minutes(visit_kind: str | None, ward: str) -> int:
    """How many minutes there are to tell the clinical unit (R4)."""
    return rules.notify_minutes(visit_kind, ward)


def _attempts(uow: UnitOfWork, ids: Sequence[int]) -> dict[int, list[CriticalAttempt]]:
    out: dict[int, list[CriticalAttempt]] = {}
    if ids:
        query = select(CriticalAttempt).where(CriticalAttempt.event_id.in_(ids)).order_by(CriticalAttempt.id)
        for attempt in uow.s.execute(query).scalars():
            out.setdefault(attempt.event_id, []).append(attempt)
    return out


def _line(uow: UnitOfWork, event: CriticalEvent, attempts: Sequence[CriticalAttempt]) -> Line:
    made = rules.clock(event.found_at, event.received_at, event.minutes, uow.now)
    return Line(event, made, rules.WORDS[State(event.state)], attempts)
