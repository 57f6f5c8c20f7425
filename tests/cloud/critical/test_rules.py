"""Critical values decided over values alone (M10): states, read-back, clocks, double check, repeats, escalation, what a call needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from cloud.modules.critical import queries, rules
from cloud.modules.critical.models import CriticalEvent
from cloud.modules.critical.rules import Light, State

RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
ALLOWED = {
    ("detected", "confirmed"),
    ("detected", "false_alarm"),
    ("confirmed", "notifying"),
    ("confirmed", "received"),
    ("confirmed", "escalated"),
    ("confirmed", "false_alarm"),
    ("notifying", "received"),
    ("notifying", "escalated"),
    ("notifying", "unreachable"),
    ("notifying", "false_alarm"),  # only where the value does not stand: test_corrected
    ("unreachable", "escalated"),
    ("unreachable", "false_alarm"),
    ("escalated", "received"),
    ("escalated", "false_alarm"),
    ("received", "doctor_acknowledged"),
    ("received", "handled"),
    ("doctor_acknowledged", "handled"),
    ("handled", "closed"),
}


@pytest.mark.parametrize(("state", "to"), list(product(State, State)))
def test_every_pair_of_states_is_decided(state: State, to: State) -> None:
    assert rules.may_move(state, to) is ((state.value, to.value) in ALLOWED)


@pytest.mark.parametrize(
    ("told", "readback", "equal"),
    [
        ("6.8", "6.8", True),
        ("6.8", "6.80", True),
        ("6.8", " ６．８ ", True),
        ("6.8", "5.8", False),
        ("6.8", "68", False),
        ("6.8", "", False),
        ("<2.0", "2.0", False),
        ("<2.0", "<2", True),
        ("6.8", "六点八", False),
        ("阳性", "阳性", True),
        ("阳性", "6.8", False),
        ("-----", "-----", False),
    ],
)
def test_ac_cv_4_a_readback_is_equal_or_refused(told: str, readback: str, equal: bool) -> None:
    assert rules.readback_equal(told, readback) is equal


@pytest.mark.parametrize(
    ("kind", "ward", "minutes"),
    [
        ("emergency", "", 10),
        ("inpatient", "ICU", 10),
        ("inpatient", "心内科监护室", 10),
        ("inpatient", "内科", 15),
        ("outpatient", "", 30),
        ("inpatient", "重症医学科", 10),
        ("inpatient", "心内CCU", 10),
        ("inpatient", "急诊抢救室", 10),
        ("outpatient", "急诊留观", 10),
        ("external", "", 30),
        (None, "", 10),  # nobody said what kind of visit it is: the strictest
    ],
)
def test_how_many_minutes_there_are(kind: str | None, ward: str, minutes: int) -> None:
    assert rules.notify_minutes(kind, ward) == rules.notify_minutes(kind, "", ward) == minutes


@pytest.mark.parametrize(
    ("told", "direction", "number"),
    [
        ("6.8", "high", "6.8"),
        (">6.8", "high", None),
        ("≥6.8", "high", None),
        ("<1.0", "low", None),
        ("≤1.0", "low", None),
        ("<1.0", "high", "6.8"),
    ],
)
def test_a_limit_open_on_the_bad_side_compares_with_nothing(told: str, direction: str, number: str | None) -> None:
    assert rules.comparable(told, Decimal("6.8"), direction) == (None if number is None else Decimal(number))


@pytest.mark.parametrize(
    ("rule", "first", "needs"),
    [
        ("none", True, False),
        ("repeat", True, True),
        ("repeat", False, True),
        ("first", True, True),
        ("first", False, False),
        ("", True, False),
    ],
)
def test_which_values_are_measured_again_before_the_call(rule: str, first: bool, needs: bool) -> None:
    assert rules.needs_rerun(rule, first) is needs


@pytest.mark.parametrize(
    ("needs", "reruns", "waived", "done", "refused"),
    [(True, 0, "", 1, True), (True, 1, "", 1, False), (True, 0, "量少", 1, False), (True, 0, "", 0, False), (False, 0, "", 1, False)],
)
def test_only_the_check_that_confirms_waits_for_the_rerun(needs: bool, reruns: int, waived: str, done: int, refused: bool) -> None:
    assert (rules.rerun_problem(needs, reruns, waived, done) is not None) is refused


def test_an_episode_lasts_a_day() -> None:
    assert rules.first_of_episode(sight(0, "6.8", 24.01), [sight(1, "6.8", 0)])
    assert not rules.first_of_episode(sight(0, "6.8", 24), [sight(1, "6.8", 0)])
    assert rules.first_of_episode(sight(0, "6.8", 0), [sight(1, "6.8", 1)])


def test_a_call_before_the_second_check_took_no_time_by_the_edition_of_2015() -> None:
    got = rules.intervals(RUN, RUN + timedelta(minutes=5), RUN + timedelta(minutes=3))
    assert (got.y2015, got.y2025) == (timedelta(), timedelta(minutes=3))


@pytest.mark.parametrize(("spent", "light"), [(0, Light.OK), (4.9, Light.OK), (5, Light.SOON), (10, Light.SOON), (10.1, Light.LATE)])
def test_the_clock_warns_at_half_time_and_is_late_after_the_limit(spent: float, light: Light) -> None:
    assert rules.clock(RUN, None, 10, RUN + timedelta(minutes=spent)).light is light


def test_the_clock_stops_at_receipt() -> None:
    assert rules.clock(RUN, RUN + timedelta(minutes=4), 10, RUN + timedelta(hours=9)).light is Light.OK


# --- rules: double check, clocks, suppression, escalation -----------------------------------------------------------


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-05-04T{clock}+08:00")


def test_ac_cv_1_found_10_02_confirmed_10_05_received_10_11_30() -> None:
    found = rules.intervals(at("10:02:00"), at("10:05:00"), at("10:11:30"))
    assert (found.y2015, found.y2025) == (timedelta(minutes=6.5), timedelta(minutes=9.5))
    assert rules.timely(found.y2015, 10) and rules.timely(found.y2025, 10)


def test_ac_cv_2_received_10_14_is_timely_by_2015_and_late_by_2025() -> None:
    found = rules.intervals(at("10:02:00"), at("10:05:00"), at("10:14:00"))
    assert (found.y2015, found.y2025) == (timedelta(minutes=9), timedelta(minutes=12))
    assert rules.timely(found.y2015, 10) and not rules.timely(found.y2025, 10)
    assert rules.timely(timedelta(minutes=10), 10) and not rules.timely(None, 10)


def test_ac_cv_5_320_needing_318_notified_305_in_time() -> None:
    found, confirmed = at("10:02:00"), at("10:05:00")
    told = [at("10:12:00")] * 305 + [at("10:16:00")] * 13 + [None] * 2
    events = [CriticalEvent(found_at=found, confirmed_at=confirmed, received_at=t, minutes=10) for t in told]
    kpi = queries._kpi("", "", events)
    assert (kpi.needing, kpi.told, kpi.timely2025) == (320, 318, 305)
    assert (kpi.told_rate, kpi.rate2025) == (Decimal("99.38"), Decimal("95.31"))


def test_rates_are_percentages_with_two_decimals() -> None:
    assert (rules.percent(318, 320), rules.percent(305, 320)) == (Decimal("99.38"), Decimal("95.31"))
    assert rules.percent(0, 0) is None and rules.percent(0, 3) == Decimal("0.00")


@pytest.mark.parametrize(
    ("done", "who", "after", "alone", "refused"),
    [
        ((), 1, 0, False, None),
        ((1,), 2, 0, False, None),
        ((1,), 1, 300, False, "两人"),
        ((1,), 1, 59, True, "1 分钟"),
        ((1,), 1, 60, True, None),
        ((1, 2), 3, 600, True, "已完成"),
    ],
)
def test_two_persons_or_one_twice_a_minute_apart(done: tuple[int, ...], who: int, after: int, alone: bool, refused: str | None) -> None:
    problem = rules.check_problem([rules.Check(p, RUN) for p in done], who, RUN + timedelta(seconds=after), alone)
    assert problem is None if refused is None else refused in str(problem)


@pytest.mark.parametrize(
    ("hour", "urgent", "alone"), [(19, False, False), (20, False, True), (7, False, True), (8, False, False), (12, True, True)]
)
def test_one_person_may_check_twice_only_at_night_or_when_urgent(hour: int, urgent: bool, alone: bool) -> None:
    assert rules.alone_allowed(hour, urgent) is alone


def sight(n: int, value: str | None, hours: float, direction: str = "high", day: str = "d") -> rules.Sight:
    return rules.Sight(n, None if value is None else Decimal(value), direction, RUN + timedelta(hours=hours), day)


@pytest.mark.parametrize(
    ("new", "told", "chronic", "how"),
    [
        (sight(0, "6.8", 3), [], False, "full"),
        (sight(0, "6.8", 3), [sight(1, "6.8", 0)], False, "merged"),
        (sight(0, "6.8", 24), [sight(1, "6.8", 0)], False, "merged"),
        (sight(0, "6.8", 24.01), [sight(1, "6.8", 0)], False, "full"),
        (sight(0, "6.8", 20, day="e"), [sight(1, "6.8", 0)], False, "daily"),
        (sight(0, "2.1", 3, "low"), [sight(1, "6.8", 0)], False, "full"),
        (sight(0, "8.16", 3), [sight(1, "6.8", 0)], False, "merged"),  # exactly 20 % further out
        (sight(0, "8.17", 3), [sight(1, "6.8", 0)], False, "full"),
        (sight(0, "5", 3), [sight(1, "10", 0)], False, "merged"),  # better
        (sight(0, "8", 3, "low"), [sight(1, "10", 0, "low")], False, "merged"),
        (sight(0, "7.9", 3, "low"), [sight(1, "10", 0, "low")], False, "full"),
        # Small steps, each below the limit, are compared with the mildest told.
        (sight(0, "8.4", 3), [sight(1, "6.8", 0), sight(2, "7.6", 1)], False, "full"),
        (sight(0, None, 3, ""), [sight(1, None, 0, "")], False, "full"),
        (sight(0, "6.8", 24 * 20, day="e"), [sight(1, "6.8", 0)], True, "daily"),
        (sight(0, "6.8", 24 * 31, day="e"), [sight(1, "6.8", 0)], True, "full"),
        # One of those told turned round, or one cannot be compared: it is loud, whatever the others say.
        (sight(0, "6.8", 3), [sight(1, "6.8", 0), sight(2, "2.1", 1, "low")], False, "full"),
        (sight(0, "6.8", 3), [sight(1, "2.1", 0, "low"), sight(2, "6.8", 1)], False, "full"),
        (sight(0, "5.5", 3), [sight(1, "5.0", 0, "low"), sight(2, "5.0", 1)], False, "full"),
        (sight(0, "6.8", 3), [sight(1, None, 0), sight(2, "6.8", 1)], False, "full"),
        (sight(0, None, 3), [sight(1, "6.8", 0)], False, "full"),
        (sight(0, "6.8", 3), [sight(1, "0", 0)], False, "full"),
        (sight(0, "6.8", 3, ""), [sight(1, "6.8", 0, "")], False, "full"),
        (sight(0, "6.8", -1), [sight(1, "6.8", 0)], False, "full"),  # told later than this was found: it rests on nothing
    ],
)
def test_repeats_are_told_quietly_never_when_turned_or_worse(new: rules.Sight, told: list[rules.Sight], chronic: bool, how: str) -> None:
    assert rules.handling(new, told, chronic)[0] == how


def test_a_repeat_rests_on_the_last_one_told_and_on_the_later_of_two_at_once() -> None:
    told = [sight(1, "6.8", 1), sight(3, "6.8", 0), sight(2, "6.8", 1)]
    assert rules.handling(sight(9, "6.8", 3), told, False) == (rules.Handling.MERGED, 2)
    assert rules.handling(sight(9, "6.8", 3, day="e"), [*told, sight(4, "6.8", 0.5, day="e")], False)[0] == "merged"


def test_an_episode_goes_on_when_any_of_those_told_was_within_the_day() -> None:
    old, near = sight(1, "6.8", 0), sight(2, "6.8", 20)
    assert rules.first_of_episode(sight(9, "6.8", 30), [old]) and not rules.first_of_episode(sight(9, "6.8", 30), [old, near])


def test_three_calls_that_nobody_answered_are_enough() -> None:
    assert [rules.is_unreachable(n) for n in (0, 2, 3, 4)] == [False, False, True, True]


def running(state: str, level: int = 0, reminded: bool = False, received: float | None = None, nagged: bool = False) -> rules.Running:
    when = None if received is None else RUN + timedelta(minutes=received)
    return rules.Running(State(state), RUN, 10, level, reminded, when, nagged)


@pytest.mark.parametrize(
    ("event", "minutes", "due"),
    [
        (running("confirmed"), 4.9, None),
        (running("confirmed"), 5, ("remind", 0)),
        (running("confirmed", reminded=True), 9.9, None),
        (running("confirmed", reminded=True), 10, ("escalate", 1)),
        (running("escalated", 1, True), 14.9, None),
        (running("escalated", 1, True), 15, ("escalate", 2)),
        (running("escalated", 2, True), 20, ("escalate", 3)),
        (running("escalated", 3, True), 600, None),
        (running("detected", 0, True), 10, ("escalate", 2)),
        (running("detected", 2, True), 19.9, None),
        (running("detected", 2, True), 20, ("escalate", 3)),
        (running("received"), 99, None),  # received, nobody knows when: there is nothing to count from
        (running("unreachable", 0, True), 1, ("escalate", 2)),
        (running("unreachable", 3, True), 1, ("escalate", 3)),
        (running("received", received=3), 32.9, None),
        (running("received", received=3), 33, ("nag", 0)),
        (running("doctor_acknowledged", received=3, nagged=True), 99, None),
        (running("handled", received=3), 99, None),
        (running("merged"), 99, None),
    ],
)
def test_what_the_clock_asks_for(event: rules.Running, minutes: float, due: tuple[str, int] | None) -> None:
    assert rules.due(event, RUN + timedelta(minutes=minutes)) == due


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"receiver": " "}, "姓名"),
        ({"dept": ""}, "科室"),
        ({"at": RUN - timedelta(seconds=1)}, "早于发现"),
        ({"at": RUN + timedelta(hours=3)}, "将来"),
        ({"at": RUN + timedelta(minutes=61, seconds=1)}, "将来"),
        ({"at": RUN + timedelta(minutes=61)}, None),  # their clock may go a minute fast
        ({"readback": " "}, "请让对方复述"),
        ({"readback": ""}, "复述"),
        ({"readback": "5.8"}, "不一致"),
        ({"identity": False}, "患者姓名"),
        ({}, None),
    ],
)
def test_bad_input_of_a_call_is_named(change: dict[str, Any], why: str | None) -> None:
    call = rules.Call(**({"receiver": "王护士", "dept": "内科", "readback": "6.8", "identity": True, "at": RUN} | change))
    problem = rules.call_problem(call, "6.8", RUN, RUN + timedelta(hours=1))
    assert problem is None if why is None else problem is not None and why in problem[0]
    # Only a wrong read-back is kept as a call that was made.
    assert problem is None or problem[1] is (why == "不一致")
    # Who repeats the value is told what to do themselves, and it counts or not for the same reasons.
    at_ward = rules.call_problem(call, "6.8", RUN, RUN + timedelta(hours=1), at_ward=True)
    assert (problem is None) is (at_ward is None)
    if at_ward is not None and problem is not None:
        assert at_ward[1] is problem[1] and ("对方" in at_ward[0]) is (not change.get("identity", True))
        assert (at_ward[0] == problem[0]) is ("readback" not in change)
