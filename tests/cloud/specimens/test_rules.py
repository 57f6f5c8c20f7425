"""States of a tube, merging, sample numbers, and what a scan means."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.modules.specimens.rules import (
    STATE_WORDS,
    TRANSITIONS,
    Asked,
    Finding,
    Known,
    State,
    collect_problem,
    may_move,
    merge,
    must_pay_first,
    own_number_problem,
    preparation,
    receive_problem,
    sample_number,
    scan_problem,
    tube_priority,
    way,
)
from common import ids

D = Decimal
NOW = datetime(2026, 11, 22, 0, 30, tzinfo=UTC)
# Colours of the seeds: draw order as in M05.
CITRATE, SERUM, HEPARIN, EDTA = (1, 2, "2.7"), (2, 3, "5"), (3, 4, "5"), (4, 5, "2")
HEM, CHEM, IMM, COAG = 1, 2, 3, 4

# The machine written out by hand from M05 "States" and the table S, arrow by arrow.
WANTED = """
planned labelled | labelled collected | collected sent | sent arrived | arrived received | collected received | sent received
received centrifuged | received aliquoted | centrifuged aliquoted | received on_analyzer | centrifuged on_analyzer | aliquoted on_analyzer
on_analyzer tested | tested reviewed | reviewed released | released archived | archived discarded
collected rejected | sent rejected | arrived rejected
received conditional | conditional on_analyzer | conditional tested | received tested
received referred | referred tested | referred cancelled
planned cancelled | labelled cancelled | collected cancelled | sent cancelled | arrived cancelled | received cancelled
centrifuged cancelled | aliquoted cancelled | on_analyzer cancelled | conditional cancelled
"""
ARROWS = {tuple(pair.split()) for line in WANTED.strip().splitlines() for pair in line.split("|")}


@pytest.mark.parametrize("to", State)
@pytest.mark.parametrize("state", State)
def test_every_pair_of_states(state: State, to: State) -> None:
    lost = to is State.LOST and state not in (State.LOST, State.CANCELLED, State.DISCARDED)
    assert may_move(state, to) is ((state.value, to.value) in ARROWS or lost)


@pytest.mark.parametrize(
    ("state", "to", "steps"),
    [
        (State.RECEIVED, State.TESTED, (State.TESTED,)),
        (State.CENTRIFUGED, State.TESTED, (State.ON_ANALYZER, State.TESTED)),
        (State.ALIQUOTED, State.TESTED, (State.ON_ANALYZER, State.TESTED)),
        (State.CENTRIFUGED, State.ON_ANALYZER, (State.ON_ANALYZER,)),
        (State.TESTED, State.RELEASED, ()),
        (State.COLLECTED, State.TESTED, ()),
        (State.REJECTED, State.TESTED, ()),
    ],
)
def test_the_way_of_a_tube_to_where_its_results_put_it(state: State, to: State, steps: tuple[State, ...]) -> None:
    assert way(state, to) == steps


def test_every_state_has_a_row_and_a_word() -> None:
    assert set(TRANSITIONS) == set(STATE_WORDS) == set(State)
    assert len(set(STATE_WORDS.values())) == len(State)


def test_every_state_can_be_reached() -> None:
    seen = {State.PLANNED}
    while more := {to for state in seen for to in TRANSITIONS[state]} - seen:
        seen |= more
    assert seen == set(State)


# --- payment -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "priority", "charge", "first"),
    [
        ("outpatient", "routine", "unpaid", True),
        ("outpatient", "routine", "paid", False),
        ("outpatient", "stat", "unpaid", False),
        ("outpatient", "green", "unpaid", False),
        ("emergency", "routine", "unpaid", True),
        (None, "routine", "unpaid", True),
        ("inpatient", "routine", "unpaid", False),
        ("exam", "routine", "unpaid", False),
        ("outpatient", "routine", "exempt", False),
    ],
)
def test_who_pays_first(kind: str | None, priority: str, charge: str, first: bool) -> None:
    assert must_pay_first(kind, priority, charge) is first


# --- merge -------------------------------------------------------------------------------------------------------------------------------


def asked(id: int, tube: tuple[int, int, str], section: int, volume: str, abbr: str = "", **more: Any) -> Asked:
    container, draw, nominal = tube
    values = {"patient_id": 1, "visit_id": 1, "container_id": container, "specimen_type_id": container, "draw_order": draw, **more}
    return Asked(id, section_id=section, volume_ml=D(volume), nominal_ml=D(nominal), abbr=abbr or str(id), **values)


def panel(share: str | None) -> list[Asked]:
    return [
        asked(1, SERUM, CHEM, "0.5", "TP", share_group=share),
        asked(2, SERUM, IMM, "0.5", "HBsAg", share_group=share),
        asked(3, EDTA, HEM, "1.0", "CBC"),
        asked(4, EDTA, CHEM, "0.5", "HbA1c", share_group=share),
        asked(5, CITRATE, COAG, "2.0", "PT"),
    ]


def test_ac_sp_2_sections_that_never_share() -> None:
    assert len(merge(panel(None))) == 5


def test_ac_sp_2_a_share_group_and_the_draw_order() -> None:
    tubes = merge(panel("生化免疫"))
    assert [[x.abbr for x in t.asked] for t in tubes] == [["PT"], ["TP", "HBsAg"], ["CBC"], ["HbA1c"]]
    assert [(t.k, t.n) for t in tubes] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert tubes[1].volume_ml == D("1.2")


def test_ac_sp_3_urgent_and_routine_get_two_labels() -> None:
    tubes = merge([asked(1, SERUM, CHEM, "0.5", "K", priority="stat"), asked(2, SERUM, CHEM, "0.5", "K")])
    assert [t.first.priority for t in tubes] == ["stat", "routine"]


def test_green_channel_rides_with_urgent() -> None:
    assert len(merge([asked(1, SERUM, CHEM, "0.5", priority="stat"), asked(2, SERUM, CHEM, "0.5", priority="green")])) == 1
    assert [tube_priority(p) for p in ("routine", "stat", "green")] == ["routine", "stat", "stat"]


@pytest.mark.parametrize(
    "other",
    [
        {"visit_id": 2},
        {"patient_id": 2},
        {"handling": "冰浴"},
        {"site": "左臂"},
        {"planned_at": NOW},
        {"specimen_type_id": 9},
        {"no_merge": True},
    ],
)
def test_what_keeps_two_orders_apart(other: dict[str, Any]) -> None:
    assert len(merge([asked(1, SERUM, CHEM, "0.5"), asked(2, SERUM, CHEM, "0.5")])) == 1
    assert len(merge([asked(1, SERUM, CHEM, "0.5"), asked(2, SERUM, CHEM, "0.5", **other)])) == 2


def test_a_tube_holds_volumes_and_dead_volume_exactly_to_its_nominal() -> None:
    fits = [asked(1, SERUM, CHEM, "2.4"), asked(2, SERUM, CHEM, "2.4")]
    assert [t.volume_ml for t in merge(fits)] == [D("5.0")]
    assert len(merge([*fits, asked(3, SERUM, CHEM, "0.1")])) == 2
    assert len(merge(fits, dead_ml=D("0.3"))) == 2


def test_one_order_larger_than_the_tube_still_gets_one() -> None:
    assert [t.volume_ml for t in merge([asked(1, CITRATE, COAG, "9")])] == [D("9.2")]


ASKED = st.builds(
    lambda id, tube, section, volume, priority, visit, alone: asked(
        id, tube, section, str(volume / 10), priority=priority, visit_id=visit, no_merge=alone
    ),
    st.integers(1, 10**6),
    st.sampled_from([CITRATE, SERUM, HEPARIN, EDTA]),
    st.sampled_from([HEM, CHEM]),
    st.integers(1, 30),
    st.sampled_from(["routine", "stat", "green"]),
    st.sampled_from([1, 2]),
    st.booleans(),
)


@given(st.lists(ASKED, max_size=12, unique_by=lambda x: x.order_item_id), st.randoms())
def test_merging_loses_nothing_and_mixes_nothing(orders: list[Asked], random: Any) -> None:
    tubes = merge(orders)
    assert sorted(x.order_item_id for t in tubes for x in t.asked) == sorted(x.order_item_id for x in orders)
    for tube in tubes:
        keys = {(x.patient_id, x.visit_id, x.container_id, x.section_id, tube_priority(x.priority)) for x in tube.asked}
        assert len(keys) == 1
        assert len(tube.asked) == 1 or (tube.volume_ml <= tube.first.nominal_ml and not any(x.no_merge for x in tube.asked))
        assert tube.volume_ml == sum(x.volume_ml for x in tube.asked) + D("0.2")
    assert all(a.first.draw_order <= b.first.draw_order for a, b in pairwise(tubes))
    assert [(t.k, t.n) for t in tubes] == [(k, len(tubes)) for k in range(1, len(tubes) + 1)]
    shuffled = list(orders)
    random.shuffle(shuffled)
    assert merge(shuffled) == tubes


# --- sample numbers ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("priority", "count", "number"),
    [
        ("routine", 1, "0001"),
        ("routine", 7999, "7999"),
        ("routine", 8000, None),
        ("stat", 1, "8001"),
        ("stat", 999, "8999"),
        ("stat", 1000, None),
    ],
)
def test_ranges_of_sample_numbers(priority: str, count: int, number: str | None) -> None:
    assert sample_number("", priority, count) == number


@pytest.mark.parametrize(
    ("number", "good"),
    [
        *(("B0001", True), ("B7999", True), ("B8001", True), ("B8999", True)),
        *(("B0000", False), ("B8000", False), ("B9000", False), ("0042", False), ("C0042", False), ("B042", False), ("B00042", False)),
        *(("B００４２", False), ("B", False), ("", False), ("BX042", False)),
    ],
)
def test_a_number_by_hand_is_one_of_the_sections_own(number: str, good: bool) -> None:
    assert (own_number_problem("B", number) is None) is good


@pytest.mark.parametrize(
    ("told", "prep"), [([], ""), ([None], "fasting"), ([True, None], "fasting"), ([False], "broken"), ([True, None, False], "broken")]
)
def test_one_request_that_was_not_fasting_outweighs_the_others(told: list[bool | None], prep: str) -> None:
    assert preparation(told) == prep


# --- scans -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "finding", "words"),
    [
        ("126326000422", None, ""),
        ("126326000423", Finding.CHECK_DIGIT, "校验位不对"),
        (ids.ticket_code(1, NOW.date(), "N", 1), Finding.WRONG_KIND, "排队小票"),
        (ids.patient_card(1, NOW.date(), 1), Finding.WRONG_KIND, "患者卡"),
        (ids.report_number(1, NOW.date(), 1), Finding.WRONG_KIND, "报告单"),
        (ids.bag_code(1, NOW.date(), 1), Finding.WRONG_KIND, "转运袋"),
        (ids.badge_code(1, NOW.date(), 1), Finding.WRONG_KIND, "工牌"),
        ("HELLO", None, ""),
        ("126400" + "00042" + str(ids.luhn_digit("12640000042")), Finding.CHECK_DIGIT, "日期不存在"),
        ("", Finding.UNKNOWN, "没有扫到"),
        (" ", Finding.UNKNOWN, "没有扫到"),
    ],
)
def test_ac_sp_1_and_codes_in_the_wrong_field(code: str, finding: Finding | None, words: str) -> None:
    found = scan_problem(ids.recognise(code))
    assert (found[0] if found else None) is finding
    assert found is None or words in found[1]


def known(state: State = State.COLLECTED, **more: Any) -> Known:
    return Known(state, **{"unpaid": False, "section": "CHEM", "section_name": "生化", "collected_at": NOW - timedelta(hours=1), **more})


@pytest.mark.parametrize(
    ("tube", "sections", "limit", "finding"),
    [
        (known(), "", None, None),
        (known(State.SENT), "", None, None),
        (known(State.ARRIVED), "CHEM", None, None),
        (known(State.CANCELLED, unpaid=True), "", None, Finding.CANCELLED),
        (known(State.REJECTED), "", None, Finding.REJECTED),
        (known(unpaid=True), "HEM", None, Finding.UNPAID),
        (known(State.RECEIVED), "HEM", None, Finding.SECTION),
        (known(State.RECEIVED), "", None, Finding.DOUBLE),
        (known(State.RELEASED), "", None, Finding.DOUBLE),
        (known(State.LABELLED), "", None, Finding.NOT_COLLECTED),
        (known(), "", 60, None),
        (known(), "", 59, Finding.LATE),
        (known(collected_at=None), "", 59, None),
    ],
)
def test_checks_of_a_receipt_in_their_order(tube: Known, sections: str, limit: int | None, finding: Finding | None) -> None:
    found = receive_problem(tube, frozenset(sections.split()), NOW, None if limit is None else timedelta(minutes=limit))
    assert (found[0] if found else None) is finding


@pytest.mark.parametrize("state", State)
def test_only_a_labelled_tube_of_this_patient_is_collected(state: State) -> None:
    found = collect_problem(state, True)
    assert (found is None) is (state is State.LABELLED)
    gone = (State.REJECTED, State.LOST, State.DISCARDED, State.PLANNED)
    finding = Finding.CANCELLED if state is State.CANCELLED else Finding.STATE if state in gone else Finding.DOUBLE
    assert found is None or found[0] is finding
    other = collect_problem(state, False)
    assert other is not None and other[0] is Finding.OTHER_PATIENT
