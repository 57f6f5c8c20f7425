"""Delivery of one message to one system (M23 R1, RELIABILITY F12): states, retries, order. Pure.

``pending → sent → acked``; anything but a matching positive answer goes to ``retrying`` or, when trying again cannot help, to
``dead_letter``, which a person sends again (``resent``) or closes with a reason (``closed``).

Order: a message waits for the earlier ones of its key (a patient) that a machine still works on, and behind a dead letter about the
same subject (a report): a correction must not overtake what it corrects, and one refused report must not hold back all others.
"""

from __future__ import annotations

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


STATE_TEXT = {
    State.PENDING: "待发送",
    State.SENT: "已发送，等应答",
    State.RETRYING: "重试中",
    State.RESENT: "人工重发",
    State.ACKED: "已送达",
    State.DEAD_LETTER: "投递失败，待处理",
    State.CLOSED: "已关闭",
}


class Perm(StrEnum):
    """Permissions of this module."""

    BOARD = "interfaces:board"
    MESSAGES = "interfaces:messages"
    RAW = "interfaces:raw"
    RESEND = "interfaces:resend"
    MAPS = "interfaces:maps"


class Outcome(StrEnum):
    """What came of one attempt."""

    ACCEPTED = "accepted"  # AA or CA with our MSA-2
    ERROR = "error"  # AE: the other side had a fault, try again
    REJECTED = "rejected"  # AR: it will never take this message
    SILENT = "silent"  # sent, and no answer, a broken or a foreign one
    UNREACHABLE = "unreachable"  # no connection: nothing was sent


WAITING = frozenset({State.PENDING, State.RETRYING, State.RESENT, State.SENT})
FINISHED = frozenset({State.ACKED, State.CLOSED})

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
# A system that cannot be reached is asked again at least this often, with the first message of the queue: so the queue keeps its
# order, 120 waiting messages do not each pay a connection time-out, and all of them go as soon as it is back.
PROBE = timedelta(seconds=30)
# A system that takes messages and does not answer: after so many in a row it rests for PROBE.
SILENT_IN_A_ROW = 2
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
    wait = min(backoff(attempts), PROBE) if outcome is Outcome.UNREACHABLE else backoff(attempts)
    return Attempted(move(State.SENT, State.RETRYING), now + wait, error)


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
