"""Delivery of one message to one system (M23 R1, RELIABILITY F12): states, retries, order. Pure.

``pending → sent → acked``; anything but a matching positive answer goes to ``retrying`` or, when trying again cannot help, to
``dead_letter``, which a person sends again (``resent``) or closes with a reason (``closed``). A message waits while an earlier one
of the same key is not finished, a dead letter included: a correction must not overtake what it corrects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class State(StrEnum):
    """Where a delivery stands. Only the first four wait for a machine, ``dead_letter`` waits for a person."""

    PENDING = "pending"
    SENT = "sent"
    RETRYING = "retrying"
    RESENT = "resent"
    ACKED = "acked"
    DEAD_LETTER = "dead_letter"
    CLOSED = "closed"


class Outcome(StrEnum):
    """What came of one attempt."""

    ACCEPTED = "accepted"  # AA or CA with our MSA-2
    ERROR = "error"  # AE: the other side had a fault, try again
    REJECTED = "rejected"  # AR: it will never take this message
    SILENT = "silent"  # no connection, no answer, a broken or foreign answer


DUE = frozenset({State.PENDING, State.RETRYING, State.RESENT, State.SENT})
FINISHED = frozenset({State.ACKED, State.CLOSED})
UNFINISHED = frozenset(State) - FINISHED

TRANSITIONS: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.SENT}),
    State.RETRYING: frozenset({State.SENT}),
    State.RESENT: frozenset({State.SENT}),
    # sent → sent: the sender died between sending and noting the answer; the lease ran out and it is sent again.
    State.SENT: frozenset({State.SENT, State.ACKED, State.RETRYING, State.DEAD_LETTER}),
    State.DEAD_LETTER: frozenset({State.RESENT, State.CLOSED}),
    State.ACKED: frozenset(),
    State.CLOSED: frozenset(),
}

# R1: 5 s, 30 s, 2 min, 10 min, then hourly, for 24 h.
SCHEDULE = (timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(hours=1))
GIVE_UP = timedelta(hours=24)
# An endpoint that does not answer at all is asked again at this pace whatever its messages' own times say, so that 120 waiting
# messages do not each pay a connection time-out, and all of them go as soon as it is back.
PROBE = timedelta(seconds=30)
LATE = timedelta(minutes=15)


class NotAllowed(ValueError):
    """A transition the table does not have."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """A delivery after an attempt: its new state, when it is due next (None: not by itself), and what to show."""

    state: State
    next_at: datetime | None
    error: str | None


def move(state: State, to: State) -> State:
    """The new state, or NotAllowed."""
    if to not in TRANSITIONS[state]:
        raise NotAllowed(f"{state} → {to}")
    return to


def judge(code: str | None, answered_id: str | None, msg_id: str) -> Outcome:
    """What an answer means. One for another message is no answer at all (F12); enhanced mode counts like original mode."""
    if code is None or answered_id != msg_id:
        return Outcome.SILENT
    if code in ("AA", "CA"):
        return Outcome.ACCEPTED
    if code in ("AR", "CR"):
        return Outcome.REJECTED
    return Outcome.ERROR


def backoff(attempts: int) -> timedelta:
    """How long to wait after that many attempts (1 = the first)."""
    return SCHEDULE[min(max(attempts, 1), len(SCHEDULE)) - 1]


def after_attempt(outcome: Outcome, attempts: int, first_try: datetime, now: datetime, error: str | None) -> Attempted:
    """The delivery after attempt number ``attempts``. ``first_try``: when the row (or its last resend) began to be tried."""
    if outcome is Outcome.ACCEPTED:
        return Attempted(move(State.SENT, State.ACKED), None, None)
    if outcome is Outcome.REJECTED:
        return Attempted(move(State.SENT, State.DEAD_LETTER), None, error)
    if now - first_try >= GIVE_UP:
        return Attempted(move(State.SENT, State.DEAD_LETTER), None, error)
    return Attempted(move(State.SENT, State.RETRYING), now + backoff(attempts), error)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery not finished, as the sender sees the queue. ``next_at`` of a sent one is the end of its lease."""

    id: int
    order_key: str
    state: State
    next_at: datetime


def sendable(queue: Iterable[Waiting], now: datetime, limit: int) -> list[int]:
    """Which deliveries of one endpoint may go now: at most the first of each key, by id, and only when it is due."""
    seen: set[str] = set()
    out: list[int] = []
    for row in sorted(queue, key=lambda r: r.id):
        if row.order_key in seen:
            continue
        seen.add(row.order_key)
        if row.state in DUE and row.next_at <= now:
            out.append(row.id)
            if len(out) == limit:
                break
    return out


def blocked_by(queue: Sequence[Waiting], row: Waiting) -> int | None:
    """The earlier delivery of the same key this one waits for, or None."""
    earlier = [r.id for r in queue if r.order_key == row.order_key and r.id < row.id and r.state not in FINISHED]
    return min(earlier, default=None)


class Health(StrEnum):
    """An endpoint as the board shows it."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    DISABLED = "disabled"
    IDLE = "idle"


def health(
    enabled: bool, last_ok: datetime | None, last_error_at: datetime | None, oldest_unsent: datetime | None, now: datetime
) -> Health:
    """Down: the last attempt failed and something has waited over 15 min (R3). Degraded: the last attempt failed."""
    if not enabled:
        return Health.DISABLED
    failing = last_error_at is not None and (last_ok is None or last_error_at > last_ok)
    if failing and oldest_unsent is not None and now - oldest_unsent > LATE:
        return Health.DOWN
    if failing or (oldest_unsent is not None and now - oldest_unsent > LATE):
        return Health.DEGRADED
    return Health.UP if last_ok is not None else Health.IDLE
