"""Delivery rules: the retry schedule, what an answer means, and the order of a key."""

from datetime import UTC, datetime, timedelta

import pytest

from cloud.modules.interfaces.rules import (
    SCHEDULE,
    TRANSITIONS,
    Health,
    NotAllowed,
    Outcome,
    State,
    after_attempt,
    backoff,
    health,
    judge,
    move,
)

NOW = datetime(2026, 5, 6, 8, 0, tzinfo=UTC)


def test_retry_schedule_of_m23_r1() -> None:
    seconds = [backoff(n).total_seconds() for n in range(1, 8)]
    assert seconds == [5, 30, 120, 600, 3600, 3600, 3600]
    assert backoff(0) == backoff(1) == SCHEDULE[0]


@pytest.mark.parametrize(
    ("code", "answered", "outcome"),
    [
        ("AA", "7", Outcome.ACCEPTED),
        ("CA", "7", Outcome.ACCEPTED),
        ("AE", "7", Outcome.ERROR),
        ("CE", "7", Outcome.ERROR),
        ("AR", "7", Outcome.REJECTED),
        ("CR", "7", Outcome.REJECTED),
        ("AA", "6", Outcome.SILENT),
        ("AR", "6", Outcome.SILENT),
        ("AA", "", Outcome.SILENT),
        ("AA", None, Outcome.SILENT),
        (None, "7", Outcome.SILENT),
        ("??", "7", Outcome.ERROR),
    ],
)
def test_an_answer_counts_only_for_its_own_message(code: str | None, answered: str | None, outcome: Outcome) -> None:
    assert judge(code, answered, "7") is outcome


def test_accepted_is_the_end() -> None:
    done = after_attempt(Outcome.ACCEPTED, 3, NOW, NOW, None)
    assert (done.state, done.next_at) == (State.ACKED, None)
    assert TRANSITIONS[State.ACKED] == frozenset()


def test_rejected_goes_to_a_person_at_once() -> None:
    dead = after_attempt(Outcome.REJECTED, 1, NOW, NOW, "AR 没有此人")
    assert (dead.state, dead.next_at, dead.error) == (State.DEAD_LETTER, None, "AR 没有此人")


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.SILENT])
def test_retry_until_a_day_has_passed(outcome: Outcome) -> None:
    again = after_attempt(outcome, 2, NOW, NOW + timedelta(hours=23, minutes=59), "timeout")
    assert (again.state, again.next_at) == (State.RETRYING, NOW + timedelta(hours=23, minutes=59, seconds=30))
    dead = after_attempt(outcome, 30, NOW, NOW + timedelta(hours=24), "timeout")
    assert (dead.state, dead.error) == (State.DEAD_LETTER, "timeout")


def test_transitions_of_the_specification() -> None:
    assert move(State.PENDING, State.SENT) is State.SENT
    assert move(State.DEAD_LETTER, State.RESENT) is State.RESENT
    for state, to in [(State.ACKED, State.SENT), (State.PENDING, State.ACKED), (State.CLOSED, State.RESENT), (State.RETRYING, State.ACKED)]:
        with pytest.raises(NotAllowed):
            move(state, to)


def test_an_unreachable_system_is_asked_at_least_every_half_minute() -> None:
    waits = [after_attempt(Outcome.UNREACHABLE, n, NOW, NOW, "connect").next_at for n in (1, 2, 3, 9)]
    assert [w - NOW for w in waits if w is not None] == [timedelta(seconds=s) for s in (5, 30, 30, 30)]


@pytest.mark.parametrize(
    ("enabled", "ok", "failed", "oldest", "expected"),
    [
        (False, NOW, None, None, Health.DISABLED),
        (True, None, None, None, Health.IDLE),
        (True, NOW, None, None, Health.UP),
        (True, NOW - timedelta(hours=1), NOW, NOW - timedelta(minutes=1), Health.DEGRADED),
        (True, NOW - timedelta(hours=1), NOW, NOW - timedelta(minutes=16), Health.DOWN),
        (True, NOW, NOW - timedelta(hours=1), NOW - timedelta(minutes=16), Health.DEGRADED),
        (True, NOW, NOW - timedelta(hours=1), None, Health.UP),
    ],
)
def test_health_of_an_endpoint(
    enabled: bool, ok: datetime | None, failed: datetime | None, oldest: datetime | None, expected: Health
) -> None:
    assert health(enabled, ok, failed, oldest, NOW) is expected
