"""Fair calling, passing, waiting time and masking (M04)."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.modules.queue.rules import (
    STATE_WORDS,
    TICKET_TRANSITIONS,
    WINDOW_TRANSITIONS,
    WINDOW_WORDS,
    Klass,
    Return,
    Ticket,
    Waiting,
    Window,
    call_problem,
    choose,
    downgraded,
    effective_at,
    eta_minutes,
    eta_range,
    line,
    line_of,
    mask,
    next_run,
    on_return,
    order_of,
    pass_problem,
    return_place,
    voice,
)

DAY = datetime(2026, 11, 22, tzinfo=UTC)


def at(text: str) -> datetime:
    hours, minutes = text.split(":")
    return DAY + timedelta(hours=int(hours), minutes=int(minutes))


def ticket(name: str, checkin: str, slot: str | None = None) -> Waiting:
    klass = Klass(name[0])
    start = None if slot is None else at(slot)
    return Waiting(int(name[1:]) + 100 * list(Klass).index(klass), klass, int(name[1:]), effective_at(klass, at(checkin), start))


def names(tickets: list[Waiting]) -> list[str]:
    return [f"{t.klass.value}{t.id % 100}" for t in tickets]


def test_ac_q_1_call_order() -> None:
    hall = [
        ticket("N1", "8:00"),
        ticket("N2", "8:05"),
        ticket("A5", "8:10", "8:15"),
        ticket("P1", "8:20"),
        ticket("P2", "8:22"),
        ticket("P3", "8:24"),
        ticket("P4", "8:25"),
        ticket("E1", "8:28"),
    ]
    random.Random(1).shuffle(hall)
    assert names(order_of(hall, 0)) == ["E1", "P1", "P2", "P3", "N1", "P4", "N2", "A5"]


HALL_2 = [ticket("P4", "8:00"), ticket("N2", "8:05"), ticket("A5", "8:10", "8:15"), ticket("N3", "8:20"), ticket("N4", "8:25")]


def came_back(name: str, hall: list[Waiting], how: Return = Return.BEHIND_NEXT, now: str = "8:40", run: int = 0) -> list[Waiting]:
    back = ticket(name, "7:50")
    eff_at, place = return_place(hall, run, back.klass, how, at(now))
    return [*hall, replace(back, eff_at=eff_at, place=place)]


def test_ac_q_2_a_passed_ticket_comes_back_behind_the_next_three() -> None:
    assert names(order_of(came_back("N1", HALL_2), 0)) == ["P4", "N2", "A5", "N1", "N3", "N4"]


def test_its_place_moves_up_as_others_are_called() -> None:
    hall = came_back("N1", HALL_2)
    for expected in ("P4", "N2", "A5", "N1", "N3", "N4"):
        head = choose(hall, 0)
        assert head is not None and names([head]) == [expected]
        hall.remove(head)


def test_newcomers_stay_behind_one_who_came_back() -> None:
    hall = [*came_back("N1", HALL_2), ticket("N9", "8:41")]
    assert names(order_of(hall, 0)) == ["P4", "N2", "A5", "N1", "N3", "N4", "N9"]


def test_two_who_come_back_keep_their_order() -> None:
    hall = came_back("N7", came_back("N1", HALL_2))
    assert names(order_of(hall, 0)) == ["P4", "N2", "A5", "N7", "N1", "N3", "N4"]


def test_same_slot_still_leaves_room_between() -> None:
    hall = [ticket(f"A{n}", "8:00", "8:15") for n in range(1, 6)]
    assert names(order_of(came_back("N9", hall), 0)) == ["A1", "A2", "A3", "N9", "A4", "A5"]


def test_second_pass_goes_to_the_end() -> None:
    assert names(order_of(came_back("N1", HALL_2, Return.END), 0))[-1] == "N1"
    later = [*HALL_2, ticket("A9", "8:30", "9:00")]
    assert names(order_of(came_back("N1", later, Return.END), 0))[-1] == "N1"


def test_a_return_into_an_empty_line_is_its_head() -> None:
    assert names(order_of(came_back("N1", []), 0)) == ["N1"]
    only_p = [ticket(f"P{n}", f"8:0{n}") for n in range(1, 4)]
    assert names(order_of(came_back("N1", only_p), 0)) == ["P1", "P2", "P3", "N1"]
    first_three_p = [*only_p, ticket("N5", "8:20")]
    assert names(order_of(came_back("N1", first_three_p), 0))[3] == "N1"


@pytest.mark.parametrize(("passes", "how"), [(1, Return.BEHIND_NEXT), (2, Return.END), (3, Return.EXPIRED), (4, Return.EXPIRED)])
def test_what_a_return_gives(passes: int, how: Return) -> None:
    assert on_return(passes) is how


TICKETS = st.builds(
    lambda klass, seq, minute: Waiting(seq, klass, seq, DAY + timedelta(minutes=minute)),
    st.sampled_from(Klass),
    st.integers(1, 10**6),
    st.integers(0, 60),
)


@given(st.lists(TICKETS, max_size=25, unique_by=lambda t: t.seq), st.integers(0, 5))
def test_calling_is_fair(hall: list[Waiting], run: int) -> None:
    order = order_of(hall, run)
    assert sorted(t.id for t in order) == sorted(t.id for t in hall)
    for klass in Klass:
        mine = [t for t in order if t.klass in line_of(klass)]
        assert mine == line(hall, line_of(klass))
    emergencies = sum(t.klass is Klass.EMERGENCY for t in hall)
    assert all(t.klass is Klass.EMERGENCY for t in order[:emergencies])
    counted = min(run, 3)
    for n, t in enumerate(order):
        rest = order[n:]
        if t.klass is Klass.PRIORITY:
            counted += 1
            assert counted <= 3 or not [r for r in rest if r.klass in (Klass.APPOINTMENT, Klass.NORMAL)]
        elif t.klass is not Klass.EMERGENCY:
            counted = 0


@given(st.lists(TICKETS, max_size=15, unique_by=lambda t: t.seq), st.integers(0, 3), st.sampled_from(Klass))
def test_a_return_never_overtakes_more_than_it_should(hall: list[Waiting], run: int, klass: Klass) -> None:
    eff_at, place = return_place(hall, run, klass, Return.BEHIND_NEXT, DAY + timedelta(minutes=61))
    back = Waiting(0, klass, 0, eff_at, place)
    before, after = order_of(hall, run), order_of([*hall, back], run)
    mine = [t for t in after if t.klass in line_of(klass)]
    ahead = len([t for t in before[:3] if t.klass in line_of(klass)])
    assert mine.index(back) == ahead
    assert [t for t in mine if t is not back] == [t for t in before if t.klass in line_of(klass)]


def test_the_head_of_nobody_is_nobody() -> None:
    assert choose([], 3) is None


@pytest.mark.parametrize(("run", "called", "then"), [(2, "P", 3), (3, "E", 3), (3, "N", 0), (1, "A", 0), (0, "P", 1)])
def test_emergencies_do_not_count_towards_k(run: int, called: str, then: int) -> None:
    assert next_run(Klass(called), run) == then


@pytest.mark.parametrize(
    ("checkin", "eff", "klass"), [("8:00", "8:15", "A"), ("8:15", "8:15", "A"), ("8:30", "8:15", "A"), ("8:31", "8:31", "N")]
)
def test_an_appointment_counts_from_its_slot_until_15_minutes_late(checkin: str, eff: str, klass: str) -> None:
    assert effective_at(Klass.APPOINTMENT, at(checkin), at("8:15")) == at(eff)
    assert downgraded(Klass.APPOINTMENT, at(checkin), at("8:15")) is Klass(klass)
    assert effective_at(Klass.NORMAL, at(checkin), at("8:15")) == at(checkin)


# --- calls -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("calls", "seconds", "words"), [(0, None, None), (1, 29, "1 秒"), (1, 30, None), (2, 5, "25 秒"), (3, 99, "3 次")])
def test_calls_are_thirty_seconds_apart_and_three_at_most(calls: int, seconds: int | None, words: str | None) -> None:
    found = call_problem(calls, None if seconds is None else DAY, DAY + timedelta(seconds=seconds or 0))
    assert (found is None) is (words is None) and (words or "") in (found or "")


@pytest.mark.parametrize(("calls", "seconds", "words"), [(2, 99, "才叫了 2 次"), (3, 29, "1 秒"), (3, 30, None)])
def test_passing_needs_three_calls_and_time(calls: int, seconds: int, words: str | None) -> None:
    found = pass_problem(calls, DAY, DAY + timedelta(seconds=seconds))
    assert (found is None) is (words is None) and (words or "") in (found or "")


# --- states ------------------------------------------------------------------------------------------------------------------------------

WANTED = """booked checked_in|checked_in waiting|waiting called|called serving|serving done|called passed|passed waiting
passed expired|waiting held|held waiting|called waiting|booked cancelled|checked_in cancelled|waiting cancelled
called cancelled|passed cancelled|held cancelled
booked expired"""
WINDOWS = "closed open|open busy|busy open|busy paused|open paused|paused open|paused closed|open closed"


def arrows(text: str) -> set[tuple[str, ...]]:
    return {tuple(pair.split()) for row in text.splitlines() for pair in row.split("|")}


@pytest.mark.parametrize("to", Ticket)
@pytest.mark.parametrize("state", Ticket)
def test_every_pair_of_ticket_states(state: Ticket, to: Ticket) -> None:
    assert (to in TICKET_TRANSITIONS[state]) is ((state.value, to.value) in arrows(WANTED))


@pytest.mark.parametrize("to", Window)
@pytest.mark.parametrize("state", Window)
def test_every_pair_of_window_states(state: Window, to: Window) -> None:
    assert (to in WINDOW_TRANSITIONS[state]) is ((state.value, to.value) in arrows(WINDOWS))


def test_every_state_has_a_word() -> None:
    assert set(STATE_WORDS) == set(Ticket) and set(WINDOW_WORDS) == set(Window)


# --- what people see ---------------------------------------------------------------------------------------------------------------------


def test_ac_q_3_expected_wait() -> None:
    assert eta_minutes(12, 4, 2.5) == 7.5
    assert eta_range(7.5) == (5, 10)
    assert eta_minutes(0, 4, 2.5) == 0
    assert eta_minutes(13, 4, 2.5) == 10.0
    assert eta_minutes(3, 0, 2.5) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [("张小伟", "张*伟"), ("王芳", "王*"), ("欧阳振锋", "欧**锋"), ("李", "*"), ("", ""), (" 张小伟 ", "张*伟"), ("𠮷田㼆", "𠮷*㼆")],
)
def test_masking(name: str, shown: str) -> None:
    assert mask(name) == shown


def test_voice() -> None:
    assert voice("N001", "张小伟", 3) == "请 N001 号 张*伟 到 3 号窗口采血"
