"""Ages, the choice of a reference interval, and contradictions found at save time."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.expression import Env, Function, Kind, Symbol, Symbols
from cloud.expression import compile as compile_rule
from cloud.modules.catalog.reflexes import STARTING_REFLEXES
from cloud.modules.catalog.rules import (
    Age,
    Ages,
    AgeUnit,
    Interval,
    NoInterval,
    Specific,
    Subject,
    age_at,
    age_from_text,
    allowed_error,
    ambiguous_ages,
    choose,
    describe,
    gest_week,
    gestation,
    in_life_order,
    most_specific,
    overlapping,
    phase_of,
    problems,
    score,
)
from common.values import parse

D = Decimal
SHANGHAI = ZoneInfo("Asia/Shanghai")
AT = datetime(2026, 11, 22, 8, 0, tzinfo=SHANGHAI)


def interval(id: int = 1, **given: Any) -> Interval:
    return Interval(id, **{"item_id": 1, "low": D(1), "high": D(2), **given})


def years(n: int) -> Age:
    return Age(n * 8766, n * 365, n * 12, n)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (timedelta(), "0小时"),
        (timedelta(hours=71, minutes=59), "71小时"),
        (timedelta(hours=72), "3天"),
        (timedelta(days=27, hours=23), "27天"),
        (timedelta(days=28), "28天"),
        (timedelta(days=40), "1月"),
    ],
)
def test_unit_of_the_age(before: timedelta, told: str) -> None:
    age = age_at(AT - before, AT, SHANGHAI)
    assert age is not None and age.text() == told


@pytest.mark.parametrize(
    ("born", "told"), [((2024, 11, 23), "23月"), ((2024, 11, 22), "2岁"), ((1998, 11, 23), "27岁"), ((1998, 11, 22), "28岁")]
)
def test_months_until_two_years(born: tuple[int, int, int], told: str) -> None:
    age = age_at(datetime(*born, tzinfo=SHANGHAI), AT, SHANGHAI)
    assert age is not None and age.text() == told


@pytest.mark.parametrize(("day", "year"), [((2026, 2, 28), 1), ((2026, 3, 1), 2), ((2028, 2, 28), 3), ((2028, 2, 29), 4)])
def test_ac_md_5_born_on_29_february(day: tuple[int, int, int], year: int) -> None:
    age = age_at(datetime(2024, 2, 29, tzinfo=SHANGHAI), datetime(*day, 9, tzinfo=SHANGHAI), SHANGHAI)
    assert age is not None and age.years == year


def test_birthday_is_the_hospitals_day_not_utc() -> None:
    birth = datetime(2000, 11, 22, 1, 0, tzinfo=SHANGHAI)
    at = datetime(2026, 11, 21, 17, 30, tzinfo=UTC)  # 01:30 on the 22nd in Shanghai
    assert age_at(birth, at, SHANGHAI) == age_at(birth, at.astimezone(SHANGHAI), SHANGHAI)
    age = age_at(birth, at, SHANGHAI)
    assert age is not None and age.years == 26


def test_a_birth_in_chinese_summer_time_keeps_its_day() -> None:
    birth = datetime(1988, 7, 1, 0, 0, tzinfo=SHANGHAI).astimezone(UTC)
    age = age_at(birth, datetime(2026, 6, 30, 12, tzinfo=SHANGHAI), SHANGHAI)
    assert age is not None and age.years == 37


def test_no_birth_or_a_birth_in_the_future_is_no_age() -> None:
    assert age_at(None, AT) is None
    assert age_at(AT + timedelta(minutes=1), AT) is None


@given(st.integers(0, 130 * 365 * 24 * 60), st.integers(0, 110 * 365 * 24))
def test_ages_grow_and_agree_with_each_other(minutes: int, hours: int) -> None:
    birth = datetime(1900, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    age = age_at(birth, birth + timedelta(hours=hours), SHANGHAI)
    later = age_at(birth, birth + timedelta(hours=hours + 30), SHANGHAI)
    assert age is not None and later is not None
    assert age.hours == hours and age.days == hours // 24 and age.years == age.months // 12
    assert abs(age.days - age.months * 30.4375) < 34
    for unit in AgeUnit:
        assert age.in_unit(unit) <= later.in_unit(unit)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("28岁", "28岁"),
        ("28", "28岁"),
        ("28Y", "28岁"),
        ("3月", "3月"),
        ("3个月", "3月"),
        ("1岁6月", "18月"),
        ("5天", "5天"),
        ("36小时", "36小时"),
    ]
    + [(" 28 岁 ", "28岁"), ("2周", "14天"), ("90小时", "3天"), ("28周岁", "28岁"), ("0天", "0小时"), ("30天", "30天")],
)
def test_age_text_of_a_his(text: str, told: str) -> None:
    age = age_from_text(text)
    assert age is not None and age.text() == told


def test_age_text_counts_in_every_unit() -> None:
    """Intervals of newborns are in hours and days: an age told in months has them too."""
    assert age_from_text("3月") == Age(91 * 24, 91, 3, 0)
    assert age_from_text("1月15天") == Age(45 * 24, 45, 1, 0)
    assert age_from_text("1月40天") == Age(70 * 24, 70, 2, 0)
    assert age_from_text("24月") == Age(730 * 24, 730, 24, 2)
    assert age_from_text("36小时") == Age(36, 1, 0, 0)


@pytest.mark.parametrize(("hours", "unit"), [(71, "hour"), (72, "day"), (27 * 24 + 23, "day"), (28 * 24, "month")])
def test_a_newborns_age_is_spoken_in_its_unit(hours: int, unit: str) -> None:
    assert Age(hours, hours // 24, 0, 0).unit == unit


@pytest.mark.parametrize("text", [None, "", "成人", "二十岁", "-3岁", "28岁左右", "1998-01-01", "12345岁", "٣岁"])
def test_what_is_no_age_text(text: str | None) -> None:
    assert age_from_text(text) is None


# --- choice ------------------------------------------------------------------------------------------------------------------------------


def test_limits_of_age_are_half_open() -> None:
    rows = [interval(1, age_low=0, age_high=18), interval(2, age_low=18)]
    assert [getattr(choose(rows, Subject(age=years(n))), "id", None) for n in (0, 17, 18, 90)] == [1, 1, 2, 2]


def test_rows_in_other_units_count_completed_units() -> None:
    rows = [
        interval(1, age_high=3, age_unit="day"),
        interval(2, age_low=3, age_high=28, age_unit="day"),
        interval(3, age_low=1, age_unit="month"),
    ]
    at = {h: age_at(AT - timedelta(hours=h), AT, SHANGHAI) for h in (71, 72, 27 * 24, 40 * 24, 20 * 8766)}
    assert [getattr(choose(rows, Subject(age=a)), "id", None) for a in at.values()] == [1, 2, 2, 3, 3]


def test_hours_matter_for_the_newborn() -> None:
    rows = [interval(n, age_low=low, age_high=low + 24, age_unit="hour") for n, low in enumerate((0, 24, 48), start=1)]
    assert [getattr(choose(rows, Subject(age=age_at(AT - timedelta(hours=h), AT))), "id", None) for h in (0, 23, 24, 47, 48, 71)] == [
        1,
        1,
        2,
        2,
        3,
        3,
    ]


@pytest.mark.parametrize(
    ("strong", "weak"),
    [
        ({"method": "HK"}, {"specimen_type_id": 5, "phase": "L", "sex": "F", "age_low": 0}),
        ({"analyzer_id": 9}, {"specimen_type_id": 5, "phase": "L", "sex": "F", "age_low": 0}),
        ({"specimen_type_id": 5}, {"phase": "L", "sex": "F", "age_low": 0}),
        ({"gest_low": 10, "gest_high": 20}, {"sex": "F", "age_low": 0}),
        ({"phase": "L"}, {"sex": "F", "age_low": 0}),
        ({"sex": "F"}, {"age_low": 0}),
        ({"age_low": 0}, {}),
    ],
)
def test_weights(strong: dict[str, Any], weak: dict[str, Any]) -> None:
    subject = Subject(years(30), "F", 5, 9, "HK", 12, "L")
    for rows in ([interval(1, **strong), interval(2, **weak)], [interval(2, **weak), interval(1, **strong)]):
        chosen = choose(rows, subject)
        assert isinstance(chosen, Interval) and chosen.id == 1


@pytest.mark.parametrize(
    "asked", [{"sex": "F"}, {"age_low": 0}, {"analyzer_id": 1}, {"method": "HK"}, {"specimen_type_id": 1}, {"gest_low": 1}, {"phase": "L"}]
)
def test_what_is_not_known_satisfies_nothing(asked: dict[str, Any]) -> None:
    assert choose([interval(1, **asked)], Subject()) is NoInterval.NO_RI
    assert choose([interval(1, **asked), interval(2)], Subject()) == interval(2)


def test_age_limit_zero_is_a_limit() -> None:
    assert choose([interval(1, age_low=0)], Subject(age=None)) is NoInterval.NO_RI
    assert choose([interval(1, age_low=0)], Subject(age=Age(0, 0, 0, 0))) == interval(1, age_low=0)


def test_two_equal_rows_are_never_guessed() -> None:
    assert choose([interval(1), interval(2)], Subject()) is NoInterval.CONFLICT
    assert choose([interval(1), interval(2), interval(3, sex="F")], Subject(sex="F")) == interval(3, sex="F")


# --- save time ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [({"low": D(2), "high": D(2)}, "不小于上限"), ({"low": D(3)}, "不小于上限"), ({"low": None, "high": None}, "至少填写一项")]
    + [({"age_low": 5, "age_high": 5}, "年龄下限"), ({"age_unit": "week"}, "不认识"), ({"gest_low": 9, "gest_high": 3}, "孕周")]
    + [({"age_low": -1}, "小于 0"), ({"age_high": -1}, "小于 0"), ({"gest_low": -1}, "0 到 45"), ({"gest_high": 46}, "0 到 45")]
    + [({"gest_low": 9, "gest_high": 9}, "不小于孕周上限")],
)
def test_a_row_that_cannot_be_saved(given: dict[str, Any], words: str) -> None:
    assert any(words in each for each in problems(interval(1, **given)))


def test_a_row_with_limit_zero_or_words_only_is_fine() -> None:
    assert problems(interval(1, low=D(0), high=D(40))) == []
    assert problems(interval(1, low=None, high=None, text="阴性")) == []
    assert problems(interval(1, low=None)) == [] and problems(interval(1, high=None)) == []
    assert problems(interval(1, age_low=0, age_high=1, gest_low=0, gest_high=45)) == []


def test_an_intervals_conditions_in_words() -> None:
    def said(**given: Any) -> str:
        return str(describe(interval(1, **given)))

    assert (said(), said(sex="M"), said(age_low=18), said(age_high=18)) == ("不限性别", "男", "不限性别，≥18岁", "不限性别，<18岁")
    assert said(sex="F", age_low=0, age_high=28, age_unit="day", phase="卵泡期", method="ISE") == "女，0–<28天，卵泡期，ISE"
    assert (said(gest_low=13), said(gest_high=28)) == ("不限性别，孕 ≥13 周", "不限性别，孕 0–28 周")


@pytest.mark.parametrize(
    ("a", "b", "clash"),
    [
        ({}, {}, True),
        ({}, {"sex": "F"}, False),
        ({"sex": "M"}, {"sex": "F"}, False),
        ({"age_high": 18}, {"age_low": 18}, False),
        ({"age_high": 19}, {"age_low": 18}, True),
        ({"age_high": 18}, {"age_high": 2}, True),
        ({"age_high": 28, "age_unit": "day"}, {"age_low": 1, "age_unit": "month"}, False),
        ({"age_high": 30, "age_unit": "day"}, {"age_low": 1, "age_unit": "month"}, True),
        # A month is at most 31 days and at least 28.
        ({"age_high": 1, "age_unit": "month"}, {"age_low": 30, "age_unit": "day"}, True),
        ({"age_high": 1, "age_unit": "month"}, {"age_low": 31, "age_unit": "day"}, False),
        ({"gest_low": 13, "gest_high": 28}, {"gest_low": 28, "gest_high": 40}, False),
        ({"gest_low": 13, "gest_high": 28}, {"gest_low": 27, "gest_high": 40}, True),
        ({"gest_high": 28}, {"gest_low": 28}, False),
        ({"age_high": 72, "age_unit": "hour"}, {"age_low": 3, "age_unit": "day"}, False),
        ({"age_high": 24, "age_unit": "month"}, {"age_low": 2}, False),
        ({"age_high": 25, "age_unit": "month"}, {"age_low": 2}, True),
        ({"method": "A"}, {"analyzer_id": 1}, True),
        ({"method": "A"}, {"method": "B"}, False),
        ({"phase": "L"}, {"gest_low": 1, "gest_high": 4}, True),
        ({"item_id": 2}, {}, False),
        ({"sex": "F", "age_low": 18}, {"sex": "F", "age_low": 18, "specimen_type_id": 3}, False),
    ],
)
def test_overlaps(a: dict[str, Any], b: dict[str, Any], clash: bool) -> None:
    one, other = interval(1, **a), interval(2, **b)
    assert bool(overlapping(one, [other])) is clash
    assert bool(overlapping(other, [one])) is clash
    assert overlapping(one, [one]) == []


ROWS = st.builds(
    lambda sex, spec, unit, low, span, id: interval(
        id, sex=sex, specimen_type_id=spec, age_unit=unit, age_low=low, age_high=None if span is None else (low or 0) + span
    ),
    st.sampled_from([None, "M", "F"]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from(["day", "month", "year"]),
    st.none() | st.integers(0, 40),
    st.none() | st.integers(1, 30),
    st.integers(1, 10**6),
)


@given(st.lists(ROWS, max_size=6, unique_by=lambda r: r.id), st.integers(0, 30000), st.sampled_from(["M", "F"]), st.sampled_from([1, 2]))
def test_rows_that_passed_the_check_never_conflict(rows: list[Interval], days: int, sex: str, spec: int) -> None:
    """The overlap check is whole: whatever it lets through has one best row for every patient."""
    kept: list[Interval] = []
    for row in rows:
        if not overlapping(row, kept):
            kept.append(row)
    subject = Subject(age_at(AT - timedelta(days=days), AT, SHANGHAI), sex, spec)
    chosen = choose(kept, subject)
    assert chosen is not NoInterval.CONFLICT
    if isinstance(chosen, Interval):
        assert all(score(each) <= score(chosen) for each in kept if choose([each], subject) == each)


def test_shown_text() -> None:
    assert interval(low=D("3.5"), high=D("5.3")).shown == "3.5–5.3"
    assert interval(low=None, high=D(40)).shown == "≤40"
    assert interval(low=D("0"), high=None).shown == "≥0"
    assert interval(text="阴性").shown == "阴性"


# --- rows chosen by person and place ----------------------------------------------------------------------------------------------------


def _critical(id: int, dept: str | None = None, low: int | None = None, high: int | None = None, unit: str = "year") -> tuple[Any, ...]:
    return id, dept, low, high, unit


@pytest.mark.parametrize(
    ("dept", "years", "expected"),
    [
        ("ICU", 30, 2),  # the department's own before the general
        ("ICU", 0, 2),  # … and before the general one for the age
        (None, 0, 3),
        (None, 1, 1),
        (None, 65, 4),
        (None, 70, 5),  # narrower age first: both limits before one
        (None, 80, 4),
        (None, None, 1),
    ],
)
def test_the_most_specific_row_counts(dept: str | None, years: int | None, expected: int) -> None:
    table = [_critical(1), _critical(2, "ICU"), _critical(3, None, 0, 1), _critical(4, None, 65), _critical(5, None, 70, 80)]
    age = None if years is None else Age(0, years * 365, years * 12, years)
    found = most_specific(table, lambda r: Specific(((r[1], dept),), r[2], r[3], r[4]), age)
    assert found is not None and found[0] == expected
    assert most_specific(table[1:], lambda r: Specific(((r[1], "ER"),), r[2], r[3], r[4]), Age(0, 0, 24, 2)) is None


@pytest.mark.parametrize(
    ("a", "b", "unclear"),
    [
        ((None, None, "year"), (None, None, "year"), True),
        ((18, None, "year"), (None, 18, "year"), False),
        ((18, None, "year"), (60, None, "year"), True),
        ((0, 28, "day"), (None, None, "year"), False),  # one asks, the other does not
        ((0, 28, "day"), (0, 18, "year"), False),  # inside: the narrower counts
        ((0, 10, "year"), (5, 20, "year"), True),
        ((0, 10, "year"), (10, 20, "year"), False),
        ((0, 24, "month"), (0, 2, "year"), True),
    ],
)
def test_two_rows_of_ages_must_not_fit_one_patient_alike(a: Any, b: Any, unclear: bool) -> None:
    assert ambiguous_ages(Ages(*a), Ages(*b)) is ambiguous_ages(Ages(*b), Ages(*a)) is unclear


def test_of_two_ranges_of_ages_the_narrower_counts() -> None:
    table = [(1, (0, 18, "year")), (2, (0, 28, "day"))]
    baby, child = (age_at(AT - timedelta(days=n), AT) for n in (3, 300))
    assert [most_specific(table, lambda r: Specific((), *r[1]), who) for who in (baby, child)] == [table[1], table[0]]


def test_the_narrower_is_told_by_its_span_and_of_equals_the_first_counts() -> None:
    def chosen(*rows: tuple[object, tuple[int | None, int | None]]) -> int:
        table = list(enumerate(rows))
        found = most_specific(table, lambda r: Specific(((r[1][0], "ICU"),), *r[1][1]), years(65))
        assert found is not None
        return found[0]

    assert chosen((None, (0, 100)), (None, (60, 70))) == 1 and chosen((None, (60, 70)), (None, (0, 100))) == 0
    assert chosen((None, (60, 70)), (None, (65, 75))) == 0
    # What a row does not ask for it does not refuse.
    assert chosen(("ICU", (None, None)), (None, (60, 70))) == 0 and chosen(("ER", (None, None)), (None, (None, None))) == 1


WOMAN, BABY = (age_at(AT - timedelta(days=n), AT) for n in (30 * 365, 3))


@pytest.mark.parametrize(
    ("diagnosis", "week"),
    [
        *(("孕24周", 24), ("G2P1，妊娠 24+3 周，贫血", 24), ("宫内孕12 周", 12), ("孕8+周", 8), ("孕24周，妊娠24周", 24)),
        *(("", None), ("贫血", None), ("停经8周", None), ("孕24周（外院），妊娠25周", None), ("孕99周", None), ("孕24", None)),
    ],
)
def test_the_week_of_pregnancy_is_what_the_diagnosis_names(diagnosis: str, week: int | None) -> None:
    assert gestation(diagnosis, "F", WOMAN) == week
    assert {gestation(diagnosis, "M", WOMAN), gestation(diagnosis, "F", None), gestation(diagnosis, None, WOMAN)} == {None}
    assert gestation(diagnosis, "F", BABY) is None  # born in that week
    assert (gestation(diagnosis, "F", years(10)), gestation(diagnosis, "F", years(9))) == (week, None)


@pytest.mark.parametrize(
    ("days", "week"), [(0, 0), (6, 0), (7, 1), (167, 23), (168, 24), (174, 24), (175, 25), (321, 45), (322, None), (-1, None)]
)
def test_the_week_of_pregnancy_on_a_day_is_the_completed_one(days: int, week: int | None) -> None:
    day = date(2026, 5, 6)
    began = day - timedelta(days=days)
    assert gest_week([began], day, "F", WOMAN) == week
    assert {gest_week([began], day, s, a) for s, a in (("M", WOMAN), (None, WOMAN), ("F", None), ("F", BABY))} == {None}


def test_requests_of_one_tube_that_name_two_weeks_name_none() -> None:
    day = date(2026, 5, 6)
    assert gest_week([], day, "F", WOMAN) is None
    assert gest_week([day - timedelta(days=168), day - timedelta(days=170)], day, "F", WOMAN) == 24  # one week, told on two days
    assert gest_week([day - timedelta(days=168), day - timedelta(days=175)], day, "F", WOMAN) is None


def test_a_pregnancys_interval_counts_before_the_womans_own() -> None:
    rows = [interval(1, sex="F"), interval(2, sex="F", gest_low=13, gest_high=28), interval(3, phase="卵泡期"), interval(4, phase="黄体期")]
    weeks = (None, 12, 13, 27, 28)
    found = [choose(rows, Subject(WOMAN, "F", gest_week=week)) for week in weeks]
    assert [row.id for row in found if isinstance(row, Interval)] == [1, 1, 2, 2, 1]
    assert [phase_of(text, rows) for text in ("月经第 3 天，卵泡期", "黄体期？卵泡期？", "")] == ["卵泡期", None, None]


def test_intervals_stand_in_the_order_of_life() -> None:
    rows = [interval(1, sex="F", age_low=18), interval(2, sex="M", age_low=18), interval(3, sex="M", age_low=28, age_unit="day"),
            interval(4), interval(5, sex="M", age_high=28, age_unit="day"), interval(6, sex="M", analyzer_id=9)]  # fmt: skip
    assert [row.id for row in sorted(rows, key=in_life_order)] == [4, 5, 3, 2, 1, 6]


@pytest.mark.parametrize(("value", "expected"), [("3.0", "0.2"), ("3.3", "0.2"), ("3.31", "0.1986"), ("5", "0.300"), ("-5", "0.300")])
def test_allowed_error_is_piecewise(value: str, expected: str) -> None:
    tea = {"steps": [{"to": "3.3", "abs": "0.2"}, {"pct": "6.0"}]} if value != "-5" else {"steps": [{"pct": 6}]}
    assert allowed_error(tea, D(value)) == D(expected)
    assert allowed_error({}, D(value)) is None
    assert allowed_error({"steps": [{"to": "1", "abs": "1"}]}, D(2)) is None


# --- starting reflex rules (M07 R5) ----------------------------------------------------------------------------------

STRIP_AND_COUNT = (
    ("-", "", False),
    ("-", "H", True),
    ("+-", "", False),
    ("+-", "H", False),
    ("1+", "", True),
    ("1+", "H", False),
    ("4+", "", True),
)


def reflex(code: str, values: dict[str, str], flags: dict[str, str]) -> object:
    rule = next(each for each in STARTING_REFLEXES if each.code == code)
    kinds = {each: Symbol(Kind.TEXT if each in ("U-BLD", "U-LEU", "HIV") else Kind.NUMBER) for each in rule.items}
    program = compile_rule(rule.expression, Symbols(kinds, {}, {"flag": Function((Kind.REF,), Kind.TEXT)}), Kind.BOOL)
    return program.evaluate(Env({k: parse(v) for k, v in values.items()}, {}, {"flag": flags.__getitem__}))


@pytest.mark.parametrize(("strip", "count", "adds"), STRIP_AND_COUNT)
def test_a_strip_and_a_count_that_disagree_ask_for_the_microscope(strip: str, count: str, adds: bool) -> None:
    assert reflex("URINE_BLD", {"U-BLD": strip, "U-RBC": "20"}, {"U-RBC": count}) is adds
    assert reflex("URINE_LEU", {"U-LEU": strip, "U-WBC": "20"}, {"U-WBC": count}) is adds


@pytest.mark.parametrize(("value", "repeats"), [("0.89", False), ("0.9", True), ("1.09", True), ("1.1", False)])
def test_a_grey_zone_is_measured_again(value: str, repeats: bool) -> None:
    assert reflex("HBSAG_GREY", {"HBSAG": value}, {}) is repeats


@pytest.mark.parametrize(("code", "item"), [("TSH_FT4", "TSH"), ("HIV_REACTIVE", "HIV")])
def test_what_is_flagged_sets_off_its_rule(code: str, item: str) -> None:
    assert reflex(code, {item: "5"}, {item: "H"}) is True and reflex(code, {item: "1"}, {item: ""}) is False
