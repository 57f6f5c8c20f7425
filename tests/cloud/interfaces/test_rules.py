"""Delivery rules: the retry schedule, what an answer means, and the order of a key."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.modules.interfaces.rules import (
    SCHEDULE,
    TRANSITIONS,
    Health,
    NotAllowed,
    Outcome,
    State,
    Waiting,
    after_attempt,
    backoff,
    blocked_by,
    health,
    judge,
    move,
    sendable,
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


def row(number: int, key: str, state: State = State.PENDING, due: timedelta = timedelta(0)) -> Waiting:
    return Waiting(number, key, state, NOW + due)


def test_a_later_message_of_a_key_waits_and_other_keys_go() -> None:
    queue = [
        row(1, "a", State.RETRYING, timedelta(minutes=2)),
        row(2, "a"),
        row(3, "b"),
        row(4, "b"),
        row(5, "c", State.DEAD_LETTER),
        row(6, "c"),
    ]
    assert sendable(queue, NOW, 10) == [3]
    assert sendable(queue, NOW + timedelta(minutes=2), 10) == [1, 3]
    assert (blocked_by(queue, queue[1]), blocked_by(queue, queue[2]), blocked_by(queue, queue[5])) == (1, None, 5)


def test_a_lease_that_ran_out_is_sent_again() -> None:
    assert sendable([row(1, "a", State.SENT, timedelta(seconds=30))], NOW, 10) == []
    assert sendable([row(1, "a", State.SENT, timedelta(seconds=30))], NOW + timedelta(seconds=30), 10) == [1]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(sorted(State)), st.integers(-5, 5)), max_size=30),
    st.integers(1, 10),
)
def test_never_two_of_a_key_never_out_of_order(rows: list[tuple[str, State, int]], limit: int) -> None:
    queue = [
        row(i, key, state, timedelta(seconds=due)) for i, (key, state, due) in enumerate(rows) if state not in (State.ACKED, State.CLOSED)
    ]
    by_id = {r.id: r for r in queue}
    chosen = [by_id[i] for i in sendable(queue, NOW, limit)]
    assert len(chosen) <= limit
    assert len({r.order_key for r in chosen}) == len(chosen)
    for picked in chosen:
        assert picked.next_at <= NOW
        assert picked.state is not State.DEAD_LETTER
        assert not [r for r in queue if r.order_key == picked.order_key and r.id < picked.id]


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
