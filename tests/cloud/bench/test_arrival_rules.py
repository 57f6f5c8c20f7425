"""What a second value of a test means (arrival_rules): a repeat, an older one, a correction, an answer to a rerun."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.modules.bench import arrival_rules
from cloud.modules.bench.arrival_rules import Incoming, Known, Outcome
from cloud.modules.bench.rules import Hold, TestState

S = TestState
AT = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
WINDOW = timedelta(minutes=10)


def incoming(raw: str, run: datetime | None = AT, seq: int | None = None, analyzer: int | None = 1) -> Incoming:
    return Incoming(1, 1, None, analyzer, raw, run_at=run, stream=None if seq is None else "s", seq=seq)


def known(raw: str, run: datetime | None = AT, seq: int | None = None, source: str = "analyzer", no: int = 1) -> Known:
    return Known(no, 1 if source == "analyzer" else None, source, raw, raw, "", run, AT, None if seq is None else "s", seq)


def decide(state: TestState, before: list[Known], new: Incoming, holds: tuple[Hold, ...] = (), at: datetime = AT) -> arrival_rules.Decision:
    return arrival_rules.decide(state, before, before[-1] if before else None, new, new.raw_text, "", holds, at, WINDOW)


def test_the_first_value_counts() -> None:
    found = decide(S.EXPECTED, [], incoming("5"))
    assert (found.outcome, found.state, found.current) == (Outcome.RECORDED, S.RECEIVED, True)


def test_a_hold_of_its_own_holds_the_first_value() -> None:
    found = decide(S.EXPECTED, [], incoming("5"), (Hold("ID_MISMATCH", "姓名不符"),))
    assert (found.outcome, found.state) == (Outcome.HELD, S.HELD)


@pytest.mark.parametrize("state", [S.RECEIVED, S.HELD, S.REVIEWED, S.RELEASED, S.AMENDED])
def test_the_same_measurement_is_a_repeat_whatever_the_state(state: TestState) -> None:
    assert decide(state, [known("5")], incoming("5")).outcome is Outcome.REPEAT


@pytest.mark.parametrize(("after", "answer"), [(-1, False), (0, False), (59, False), (60, True), (600, True)])
def test_only_what_came_long_enough_after_the_question_answers_it(after: int, answer: bool) -> None:
    assert arrival_rules.answers_rerun(AT, AT + timedelta(seconds=after)) is answer
    assert arrival_rules.answers_rerun(None, AT) is False


@pytest.mark.parametrize(
    ("run", "taken", "first", "before"),
    [
        (None, -1, None, True),
        (None, 0, None, False),
        (-61, 600, None, True),
        (-60, 600, None, False),  # a clock of whole minutes
        (600, -1, None, False),  # the run's own time goes before the moment it was taken
        (5, 600, 5, True),  # no later than the first run by the same clock
        (5, 600, 4, False),
        (-30, 600, -30, True),
    ],
)
def test_a_value_of_before_the_question_is_told_by_its_run(run: int | None, taken: int, first: int | None, before: bool) -> None:
    def at(seconds: int | None) -> datetime | None:
        return None if seconds is None else AT + timedelta(seconds=seconds)

    assert arrival_rules.measured_before(AT, at(run), AT + timedelta(seconds=taken), at(first)) is before


@pytest.mark.parametrize("run", [None, AT])
def test_the_same_value_without_a_run_time_is_a_repeat_unless_it_answers_a_rerun(run: datetime | None) -> None:
    """With a run time on both sides the time alone tells: the same run is never a rerun."""
    before, new = [known("5", run)], incoming("5", run)
    for rerun, outcome in ((False, Outcome.REPEAT), (True, Outcome.HELD if run is None else Outcome.REPEAT)):
        found = arrival_rules.decide(S.RECEIVED, before, before[0], new, "5", "", (), AT, WINDOW, asked=True, rerun=rerun)
        assert found.outcome is outcome
    # Nobody asked: it stays one result.
    assert arrival_rules.decide(S.RECEIVED, before, before[0], new, "5", "", (), AT, WINDOW).outcome is Outcome.REPEAT


def test_an_older_version_sent_again_stays_a_repeat() -> None:
    later = AT + timedelta(minutes=30)
    before = [known("5"), known("6", later, no=2)]
    assert decide(S.HELD, before, incoming("5"), at=later).outcome is Outcome.REPEAT


def test_a_new_run_with_an_old_value_is_not_swallowed() -> None:
    later = AT + timedelta(minutes=30)
    before = [known("5"), known("6", AT + timedelta(minutes=5), no=2)]
    assert decide(S.RECEIVED, before, incoming("5", later), at=later).outcome is Outcome.HELD


def test_a_typed_value_is_never_replaced_by_the_instrument() -> None:
    """RELIABILITY F26: both are kept, a person chooses."""
    found = decide(S.RECEIVED, [known("5", None, source="manual")], incoming("6"))
    assert (found.outcome, found.current, found.other_waits, found.state) == (Outcome.HELD, False, True, S.HELD)


@pytest.mark.parametrize("state", [S.RELEASED, S.AMENDED, S.RECALLED])
def test_another_value_after_the_report_waits_beside_it(state: TestState) -> None:
    found = decide(state, [known("5")], incoming("6", AT + timedelta(minutes=5)))
    assert (found.outcome, found.state, found.current, found.other_waits) == (Outcome.LATE, state, False, True)
    assert [h.code for h in found.holds] == ["LATE"] and found.written


def test_the_same_value_of_a_later_run_says_nothing_new_but_in_another_unit_it_does() -> None:
    later = incoming("5", AT + timedelta(minutes=5))
    for unit, outcome in (("", Outcome.REPEAT), ("mmol/L", Outcome.HELD)):
        assert arrival_rules.decide(S.RECEIVED, [known("5")], known("5"), later, "5", unit, (), AT, WINDOW).outcome is outcome


@pytest.mark.parametrize(
    ("before", "new", "minutes", "same"),
    [
        (known("5", None), incoming("5", None), 10, True),
        (known("5", None), incoming("5", None), 10.1, False),
        (known("5", None), incoming("5", None), -10, True),
        # One clock alone tells nothing: the window does.
        (known("5", AT), incoming("5", None), 1, True),
        (known("5", None), incoming("5", AT), 11, False),
        (known("5", AT), incoming("5", AT), 60, True),
        (known("5", AT), incoming("5", AT, analyzer=2), 0, False),
        (known("5", AT, source="manual"), incoming("5", AT, analyzer=None), 0, False),
        (known("5", AT), incoming("5.0", AT), 0, False),
        (known("5", AT), incoming(" 5", AT), 0, True),
    ],
)
def test_what_counts_as_the_same_measurement(before: Known, new: Incoming, minutes: float, same: bool) -> None:
    assert arrival_rules.same_measurement(before, new, AT + timedelta(minutes=minutes), WINDOW) is same


@pytest.mark.parametrize(("one", "two", "older"), [(2, 1, True), (2, 2, False), (2, 3, False), (None, 1, False), (2, None, False)])
def test_only_a_lower_number_of_the_same_stream_is_older(one: int | None, two: int | None, older: bool) -> None:
    was, new = known("5", seq=one), incoming("6", seq=two)
    assert arrival_rules.is_older(was, new) is older
    assert arrival_rules.is_older(replace(was, stream="other"), new) is False
    assert arrival_rules.is_older(replace(was, stream=None), replace(new, stream=None)) is False


def test_an_asked_rerun_waits_for_a_choice_only_while_the_report_is_open_and_a_value_is_there() -> None:
    def asked(state: TestState, *before: Known) -> arrival_rules.Decision:
        new = incoming("6", AT + timedelta(minutes=5))
        return arrival_rules.decide(state, before, before[0] if before else None, new, "6", "", (), AT, WINDOW, asked=True, rerun=True)

    found = asked(S.RECEIVED, known("5"))
    assert (found.state, found.current, found.other_waits, [h.code for h in found.holds]) == (S.HELD, False, True, ["RERUN"])
    assert [h.code for h in asked(S.RELEASED, known("5")).holds] == ["LATE"]
    for none in ((), (known(""),)):
        found = asked(S.EXPECTED, *none)
        assert (found.outcome, found.state, found.current, found.holds) == (Outcome.RECORDED, S.RECEIVED, True, ())


@pytest.mark.parametrize(("follow", "current", "waits"), [("", True, True), ("asked", False, True), ("back", False, False)])
def test_while_a_rerun_is_open_its_first_value_stays_and_its_answer_too(follow: str, current: bool, waits: bool) -> None:
    before, new = [known("5")], incoming("6", AT + timedelta(minutes=5))
    found = arrival_rules.decide(S.RECEIVED, before, before[0], new, "6", "", (), AT, WINDOW, follow=follow)
    assert (found.outcome, found.state, found.current, found.other_waits) == (Outcome.HELD, S.HELD, current, waits)
    assert [h.code for h in found.holds] == ["DIFFERENT"]


def test_two_values_are_named_in_the_order_of_their_numbers() -> None:
    """The one sent first is named first, whichever came first."""
    for first, second in ((1, 2), (2, 1)):
        new = incoming(f"{second}", AT + timedelta(minutes=second), second)
        found = decide(S.RECEIVED, [known(f"{first}", AT + timedelta(minutes=first), first)], new)
        assert "1 与 2" in str(found.holds[0].text) and found.current is (second > first)


def test_a_cancelled_item_takes_nothing() -> None:
    assert decide(S.CANCELLED, [], incoming("6")).outcome is Outcome.REFUSED


@given(st.permutations([(1, "5"), (2, "6"), (3, "7")]))
def test_in_any_order_the_highest_sequence_ends_up_current(order: list[tuple[int, str]]) -> None:
    before: list[Known] = []
    current: Known | None = None
    state = S.EXPECTED
    for no, (seq, raw) in enumerate(order, 1):
        found = arrival_rules.decide(state, before, current, incoming(raw, AT + timedelta(minutes=seq), seq), raw, "", (), AT, WINDOW)
        assert found.written
        entry = known(raw, AT + timedelta(minutes=seq), seq, no=no)
        before.append(entry)
        current = entry if found.current else current
        state = found.state
    assert current is not None and current.raw_text == "7" and state is S.HELD


def test_only_alarms_are_alarms() -> None:
    assert arrival_rules.alarm_flags(("H", "", "Blast?", "l", "*")) == ("Blast?", "*")
