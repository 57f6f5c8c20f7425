"""The coverage map against the choice itself, age by age; gaps in words; and the choice against a slow, obvious second implementation."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.modules.catalog.coverage import LIFE, YEAR, age_of, gaps, lanes, place
from cloud.modules.catalog.rules import Age, Interval, NoInterval, Subject, age_at, choose

D = Decimal


def row(id: int, **given: Any) -> Interval:
    return Interval(id, **{"item_id": 1, "low": D(1), "high": D(2), **given})


def test_gaps_in_words() -> None:
    assert gaps([row(1)]) == []
    assert gaps([row(1, sex="M")]) == ["女 0小时–"]
    assert gaps([row(1, age_low=18)]) == ["男 0小时–18岁", "女 0小时–18岁"]
    assert gaps([row(1, age_high=28, age_unit="day"), row(2, age_low=1, age_unit="month")]) == ["男 28天–1月", "女 28天–1月"]
    assert gaps([row(1, age_high=18), row(2, age_low=18, age_high=60)]) == ["男 60岁–", "女 60岁–"]


def test_rows_of_one_specimen_are_their_own_lane() -> None:
    found = lanes([row(1, specimen_type_id=7)])
    assert [(each.sex, each.subject.specimen_type_id) for each in found] == [("M", 7), ("F", 7)]
    assert len(lanes([row(1), row(2, specimen_type_id=7, sex="F")])) == 4


def test_a_gap_beside_a_specimens_own_rows_is_still_shown() -> None:
    """Only a lane without any row says nothing: one that is partly covered has gaps."""
    assert gaps([row(1, age_high=18), row(2, specimen_type_id=7)]) == ["男 18岁–", "女 18岁–"]
    found = lanes([row(1, specimen_type_id=7), row(2, analyzer_id=3)])
    assert [(each.subject.specimen_type_id, each.subject.analyzer_id) for each in found] == [(7, None)] * 2 + [(None, 3)] * 2


def test_a_gap_is_not_cut_where_only_the_other_sex_has_a_limit() -> None:
    assert gaps([row(1, sex="F", age_high=50), row(2, sex="F", age_low=50)]) == ["男 0小时–"]


def test_a_limit_beyond_life_cuts_nothing() -> None:
    assert gaps([row(1, age_low=0, age_high=150)]) == []
    assert max(piece.end for lane in lanes([row(1, age_high=150)]) for piece in lane.pieces) == LIFE


def test_the_axis_runs_from_birth_to_the_end() -> None:
    assert place(0) == 0 and place(LIFE) == 1 and place(LIFE * 2) == 1
    assert [place(h) for h in (10, 100, 2000, 40000, 300000)] == sorted(place(h) for h in (10, 100, 2000, 40000, 300000))


ROWS = st.builds(
    lambda id, sex, unit, low, span: row(id, sex=sex, age_unit=unit, age_low=low, age_high=None if span is None else (low or 0) + span),
    st.integers(1, 10**6),
    st.sampled_from([None, "M", "F"]),
    st.sampled_from(["hour", "day", "month", "year"]),
    st.none() | st.integers(0, 30),
    st.none() | st.integers(1, 30),
)


@given(st.lists(ROWS, max_size=5, unique_by=lambda r: r.id), st.integers(0, 100 * YEAR), st.sampled_from(["M", "F"]))
def test_the_map_says_what_the_choice_says(rows: list[Interval], hours: int, sex: str) -> None:
    lane = next(each for each in lanes(rows) if each.sex == sex)
    piece = next(each for each in lane.pieces if each.start <= hours < each.end)
    assert piece.found == choose(rows, Subject(age_of(hours), sex))


# --- the second implementation ----------------------------------------------------------------------------------------------------

FULL = st.builds(
    lambda id, method, specimen, phase, weeks, sex, unit, low, span: row(
        id,
        method=method,
        specimen_type_id=specimen,
        phase=phase,
        gest_low=weeks,
        gest_high=None if weeks is None else weeks + 10,
        sex=sex,
        age_unit=unit,
        age_low=low,
        age_high=None if span is None else (low or 0) + span,
    ),
    st.integers(1, 10**6),
    st.sampled_from([None, "A", "B"]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, "黄体期"]),
    st.sampled_from([None, 10, 20]),
    st.sampled_from([None, "M", "F"]),
    st.sampled_from(["hour", "day", "month", "year"]),
    st.none() | st.integers(0, 60),
    st.none() | st.integers(1, 40),
)
SUBJECTS = st.builds(
    lambda hours, sex, specimen, method, week, phase: Subject(
        None if hours is None else age_of(hours), sex, specimen, None, method, week, phase
    ),
    st.none() | st.integers(0, 90 * YEAR),
    st.sampled_from([None, "M", "F"]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, "A", "B"]),
    st.none() | st.integers(5, 35),
    st.sampled_from([None, "黄体期"]),
)


def slow_choice(rows: list[Interval], s: Subject) -> object:
    """Each sentence of the specification in turn: leave out what does not match, add up the weights, take the highest."""
    points: dict[int, list[Interval]] = {}
    for r in rows:
        total = 0
        if r.method is not None:
            if s.method != r.method:
                continue
            total += 32
        if r.specimen_type_id is not None:
            if s.specimen_type_id != r.specimen_type_id:
                continue
            total += 16
        special = False
        if r.gest_low is not None:
            if s.gest_week is None or s.gest_week not in range(r.gest_low, r.gest_high or 99):
                continue
            special = True
        if r.phase is not None:
            if s.phase != r.phase:
                continue
            special = True
        total += 8 if special else 0
        if r.sex is not None:
            if s.sex != r.sex:
                continue
            total += 4
        if r.age_low is not None or r.age_high is not None:
            if s.age is None:
                continue
            whole = {"hour": s.age.hours, "day": s.age.days, "month": s.age.months, "year": s.age.years}[r.age_unit]
            if r.age_low is not None and whole < r.age_low:
                continue
            if r.age_high is not None and whole >= r.age_high:
                continue
            total += 2
        points.setdefault(total, []).append(r)
    if not points:
        return NoInterval.NO_RI
    best = points[max(points)]
    return best[0] if len(best) == 1 else NoInterval.CONFLICT


@given(st.lists(FULL, max_size=8, unique_by=lambda r: r.id), SUBJECTS)
def test_the_choice_agrees_with_the_obvious_one(rows: list[Interval], subject: Subject) -> None:
    assert choose(rows, subject) == slow_choice(rows, subject)


@given(st.integers(0, 27_000), st.integers(0, 30000 * 24))
def test_ages_agree_with_counting(born: int, hours: int) -> None:
    """Completed months by counting birthdays a month at a time; where there is no 29th–31st, the first of the next month counts."""
    birth = datetime(1950, 1, 1, 7, tzinfo=UTC) + timedelta(days=born)
    at = birth + timedelta(hours=hours)
    found = age_at(birth, at, UTC)
    months, year, month = 0, birth.year, birth.month
    while True:
        month += 1
        if month == 13:
            year, month = year + 1, 1
        last = (datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC) - timedelta(days=1)).day
        birthday = datetime(year, month, min(birth.day, last), tzinfo=UTC) + timedelta(days=int(birth.day > last))
        if birthday.date() > at.date():
            break
        months += 1
    assert found == Age(hours, hours // 24, months, months // 12)


@pytest.mark.parametrize(
    ("low", "high", "years", "fits"), [(18, 60, 18, True), (18, 60, 59, True), (18, 60, 60, False), (18, 60, 17, False)]
)
def test_intervals_are_half_open(low: int, high: int, years: int, fits: bool) -> None:
    found = choose([row(1, age_low=low, age_high=high)], Subject(Age(0, 0, years * 12, years)))
    assert (found is not NoInterval.NO_RI) is fits
