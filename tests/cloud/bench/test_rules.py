"""Rules of the bench: states without gaps, flags at their edges, entry and review."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.modules.bench import rules
from cloud.modules.bench.rules import Critical, Flag, Limits, ReviewItem, TestState, TubeState
from common import values

S = TestState
numbers = st.decimals(min_value=-1000, max_value=1000, places=2)


def flag(text: str, low: str | None, high: str | None) -> Flag:
    value = values.parse(text)
    assert value.number is not None
    return rules.flag_interval(value.comparator, value.number, _d(low), _d(high))


def critical(text: str, low: str | None, high: str | None) -> Critical:
    value = values.parse(text)
    assert value.number is not None
    return rules.judge_critical(value.comparator, value.number, _d(low), _d(high))


def _d(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


# --- states ---------------------------------------------------------------------------------------------------------

ALLOWED = (
    {(S.EXPECTED, to) for to in (S.RECEIVED, S.HELD, S.NO_RESULT, S.CANCELLED)}
    | {(S.RECEIVED, to) for to in (S.RECEIVED, S.HELD, S.REVIEWED, S.NO_RESULT, S.CANCELLED)}
    | {(S.HELD, to) for to in (S.HELD, S.RECEIVED, S.NO_RESULT, S.CANCELLED)}
    | {(S.REVIEWED, to) for to in (S.RECEIVED, S.HELD, S.RELEASED)}
    | {(S.RELEASED, to) for to in (S.AMENDED, S.RECALLED)}
    | {(S.AMENDED, to) for to in (S.AMENDED, S.RECALLED)}
    | {(S.RECALLED, to) for to in (S.AMENDED, S.CANCELLED)}
    | {(S.NO_RESULT, to) for to in (S.RECEIVED, S.HELD, S.RELEASED, S.CANCELLED)}
)


@pytest.mark.parametrize(("state", "to"), list(product(S, S)))
def test_every_pair_of_states_is_decided(state: TestState, to: TestState) -> None:
    assert rules.may_move(state, to) is ((state, to) in ALLOWED)


F = rules.FollowState
FOLLOWS = {(F.ASKED, to) for to in (F.BACK, F.REFUSED, F.DONE, F.CANCELLED)}
FOLLOWS |= {(F.BACK, F.DONE), (F.BACK, F.CANCELLED), (F.REFUSED, F.ASKED), (F.REFUSED, F.CANCELLED)}


@pytest.mark.parametrize(("state", "to"), list(product(F, F)))
def test_every_step_of_a_follow_up_is_decided(state: rules.FollowState, to: rules.FollowState) -> None:
    assert (to in rules.FOLLOW_MOVES[state]) is ((state, to) in FOLLOWS)


def test_nothing_told_ever_becomes_untold() -> None:
    for state in (S.RELEASED, S.AMENDED, S.RECALLED):
        assert not rules.TRANSITIONS[state] & {S.EXPECTED, S.RECEIVED, S.HELD, S.REVIEWED, S.NO_RESULT}


@pytest.mark.parametrize(
    ("tests", "state"),
    [
        ([], TubeState.CLOSED),
        ([(S.CANCELLED, True, False)], TubeState.CLOSED),
        ([(S.EXPECTED, True, False)] * 2, TubeState.WAITING),
        ([(S.RECEIVED, True, False), (S.EXPECTED, True, False)], TubeState.PARTIAL),
        ([(S.RECEIVED, True, False), (S.EXPECTED, False, False)], TubeState.READY),
        ([(S.RECEIVED, True, False), (S.HELD, True, False)], TubeState.HELD),
        ([(S.HELD, True, False), (S.EXPECTED, True, False)], TubeState.HELD),
        ([(S.REVIEWED, True, False), (S.EXPECTED, False, False)], TubeState.REVIEWED),
        ([(S.REVIEWED, True, False), (S.RECEIVED, True, False)], TubeState.READY),
        ([(S.REVIEWED, True, False), (S.NO_RESULT, True, False)], TubeState.REVIEWED),
        ([(S.RELEASED, True, False), (S.EXPECTED, False, False)], TubeState.RELEASED),
        ([(S.RELEASED, True, True)], TubeState.HELD),
        ([(S.AMENDED, True, False), (S.CANCELLED, True, False)], TubeState.RELEASED),
        ([(S.EXPECTED, False, False)], TubeState.WAITING),
        ([(S.RELEASED, True, False), (S.EXPECTED, True, False)], TubeState.PARTIAL),
        # Told in part, and of the rest there will be nothing: one more look, and the report is final.
        ([(S.RELEASED, True, False), (S.NO_RESULT, True, False)], TubeState.READY),
        ([(S.NO_RESULT, True, False)], TubeState.READY),
    ],
)
def test_a_tube_is_the_sum_of_its_tests(tests: list[tuple[TestState, bool, bool]], state: TubeState) -> None:
    assert rules.tube_state(tests) is state


def test_a_tube_without_any_value_counts_as_reviewed_once_somebody_looked() -> None:
    """The tests alone do not show it: before, such a tube stood on the bench for ever, and what a preliminary report left open too."""
    for tests in ([(S.NO_RESULT, True, False)], [(S.RELEASED, True, False), (S.NO_RESULT, True, False)]):
        assert [rules.tube_state(tests, looked) for looked in (False, True)] == [TubeState.READY, TubeState.REVIEWED]
    for state, there in ((S.RECEIVED, TubeState.READY), (S.HELD, TubeState.HELD), (S.EXPECTED, TubeState.WAITING)):
        assert rules.tube_state([(state, True, False)], True) is there


@given(st.lists(st.tuples(st.sampled_from(S), st.booleans(), st.booleans())))
def test_a_tube_counts_as_reviewed_only_without_open_work(tests: list[tuple[TestState, bool, bool]]) -> None:
    live = {(state, mandatory) for state, mandatory, _ in tests if state is not S.CANCELLED}
    if rules.tube_state(tests) in (TubeState.REVIEWED, TubeState.RELEASED):
        assert not any(state in (S.RECEIVED, S.HELD) for state, _ in live)
        assert not any(waits for state, _, waits in tests if state is not S.CANCELLED)


# --- flags ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "low", "high", "expected"),
    [
        ("3.5", "3.5", "5.3", ""),
        ("5.3", "3.5", "5.3", ""),
        ("3.4", "3.5", "5.3", "L"),
        ("5.4", "3.5", "5.3", "H"),
        ("0", "0", "5", ""),
        ("0", "0.1", None, "L"),
        ("-3", "-3", "3", ""),
        ("0", None, "40", ""),
        ("41", None, "40", "H"),
        ("<0.5", "0.5", "5", "L"),
        (">100", None, "40", "H"),
        ("<5", "2", "8", "?"),
        ("<0.05", "0", "0.04", "?"),
        ("<0.04", "0", "0.04", ""),
        ("<5", None, "5", ""),
        ("<6", None, "5", "?"),
        (">5", "2", "8", "?"),
        (">8", "2", "8", "H"),
        ("≥8", "2", "8", "?"),
        ("≤2", "2", "8", "?"),
        (">2", "2", None, ""),
        ("<1", "-3", "3", "?"),
        # A base excess beyond what can be measured is low; only what starts at zero is never below it.
        ("<-30", "-3", "3", "L"),
        ("<-3", "-3", "3", "L"),
        ("≤-3", "-3", "3", "?"),
        ("<0", "0", "5", ""),
        ("<0", "0.5", "5", "L"),
        ("<5", None, None, ""),
        (">5", None, None, ""),
        (">1", "2", None, "?"),
    ],
)
def test_ac_md_6_flags_at_the_edges(text: str, low: str | None, high: str | None, expected: str) -> None:
    assert flag(text, low, high) == expected


@pytest.mark.parametrize(
    ("text", "low", "high", "expected"),
    [
        ("2.8", "2.8", "6.2", ""),
        ("2.7", "2.8", "6.2", "low"),
        ("6.2", "2.8", "6.2", ""),
        ("6.3", "2.8", "6.2", "high"),
        ("<2.8", "2.8", "6.2", "low"),
        ("<3.0", "2.8", "6.2", "maybe"),
        (">6.2", "2.8", "6.2", "high"),
        (">6.0", "2.8", "6.2", "maybe"),
        ("0", "1", None, "low"),
        ("<5", None, "650", ""),
        (">100", None, "650", "maybe"),
        (">700", None, "650", "high"),
        ("7", None, None, ""),
        ("≤2.8", "2.8", "6.2", "maybe"),
        ("≤2.7", "2.8", "6.2", "low"),
        ("≥6.2", "2.8", "6.2", "maybe"),
        ("≥6.3", "2.8", "6.2", "high"),
        # One limit, and the value open to its side.
        ("<650", None, "650", ""),
        ("<651", None, "650", "maybe"),
        (">2.8", "2.8", None, ""),
        (">2.7", "2.8", None, "maybe"),
        (">3.0", "2.8", None, ""),
        ("<3", None, None, ""),
        (">3", None, None, ""),
    ],
)
def test_critical_limits_are_strict_and_doubt_is_said(text: str, low: str | None, high: str | None, expected: str) -> None:
    assert critical(text, low, high) == expected


@given(numbers, numbers, numbers)
def test_a_value_is_normal_exactly_inside_its_interval(value: Decimal, a: Decimal, b: Decimal) -> None:
    low, high = min(a, b), max(a, b)
    assert (rules.flag_interval("", value, low, high) is Flag.NONE) is (low <= value <= high)


@given(numbers, numbers, numbers, st.sampled_from(("<", "≤", ">", "≥")), st.decimals(min_value=0, max_value=500, places=2))
def test_a_limit_is_never_flagged_against_what_it_may_be(limit: Decimal, a: Decimal, b: Decimal, sign: str, step: Decimal) -> None:
    """Whatever the true value behind "<x" is, a flag given to "<x" is the flag of the true value."""
    low, high = min(a, b), max(a, b)
    true = limit - step if sign in "<≤" else limit + step
    if (sign in "<>" and step == 0) or (low == 0 and true < 0):
        return
    found = rules.flag_interval(sign, limit, low, high)
    if found is not Flag.UNSURE:
        assert rules.flag_interval("", true, low, high) is found


@given(numbers, numbers, numbers, st.sampled_from(("<", "≤", ">", "≥")), st.decimals(min_value=0, max_value=500, places=2))
def test_a_limit_is_never_passed_over_as_not_critical(limit: Decimal, a: Decimal, b: Decimal, sign: str, step: Decimal) -> None:
    low, high = min(a, b), max(a, b)
    true = limit - step if sign in "<≤" else limit + step
    if sign in "<>" and step == 0:
        return
    found = rules.judge_critical(sign, limit, low, high)
    if found is not Critical.MAYBE:
        assert rules.judge_critical("", true, low, high) is found


def test_a_qualitative_result_is_judged_by_its_grade() -> None:
    normal = Limits(None, None, "阴性")
    assert rules.judge(values.parse("阳性(++)", "semi-quant"), False, normal, None).flag is Flag.ABNORMAL
    assert rules.judge(values.parse("-", "semi-quant"), False, normal, None).flag is Flag.NONE
    assert rules.judge(values.parse("黄色", "text"), False, Limits(None, None, "淡黄色"), None).flag is Flag.NONE


@pytest.mark.parametrize(
    ("said", "flag"),
    [
        *(("未见异常", ""), ("(±)", "A"), ("弱阳性(±)", "A"), ("", ""), ("-----", "")),
        # What nobody knows the grade of is never taken for normal.
        *(("少量", "?"), ("1+～2+", "?"), ("阳性（1:32）", "?"), ("阳性 3.2", "?")),
    ],
)
def test_a_word_nobody_knows_the_grade_of_is_unsure(said: str, flag: str) -> None:
    assert rules.judge(values.parse(said, "semi-quant"), False, Limits(None, None, "阴性"), None).flag == flag


@pytest.mark.parametrize(
    ("said", "interval", "flag"),
    [
        *(("1:40", "<1:80", ""), ("1:80", "<1:80", "H"), ("1:160", "<1:80", "H"), ("<1:20", "<1:80", ""), ("<1:80", "<1:80", "")),
        *(("≤1:80", "<1:80", "?"), (">1:320", "<1:80", "H"), (">1:80", "<1:80", "H"), (">1:40", "<1:80", "?")),
        *(("1:80", "≤1:80", ""), ("1:160", "≤1:80", "H"), ("1:80", ">1:80", "L"), ("1:160", ">1:80", ""), (">1:80", ">1:80", "")),
        *(("≥1:80", ">1:80", "?"), ("<1:80", ">1:80", "L"), ("<1:160", ">1:80", "?"), ("1:80", "≥1:80", ""), ("1:40", "≥1:80", "L")),
        *(("1:40", "阴性", "?"), ("1:40", "1:80", "?"), ("1:40", "", "")),
        # Prose beside a number is the laboratory's own choice; its release ranges and critical limits judge all the same.
        *(("40", "见说明", ""), ("0", "<0.5", ""), ("0.5", "<0.5", "H")),
    ],
)
def test_an_interval_in_words_judges_where_it_is_a_limit(said: str, interval: str, flag: str) -> None:
    kind = "titer" if "1:" in said else "numeric"
    assert rules.judge(values.parse(said, kind), False, Limits(None, None, interval), None).flag == flag


def test_an_interval_in_words_never_flags_against_what_a_limit_may_be() -> None:
    for sign, n, bound in product("<≤>≥", range(6), ("<3", ">3", "≤3", "≥3")):
        limits = Limits(None, None, bound)
        found = rules.judge(values.parse(f"{sign}{n}"), True, limits, None).flag
        behind = [v for v in (Decimal(k) / 2 for k in range(13)) if {"<": v < n, "≤": v <= n, ">": v > n, "≥": v >= n}[sign]]
        true = {rules.judge(values.parse(f"{v}"), True, limits, None).flag for v in behind}
        assert found is Flag.UNSURE or true <= {found}, (sign, n, bound)


def test_an_interval_with_a_limit_is_judged_by_it_whatever_its_words() -> None:
    for low, high in ((_d("3.5"), None), (None, _d("3.5"))):
        found = [rules.judge(values.parse(v), True, Limits(low, high, "见说明"), None).flag for v in ("3.4", "3.5", "3.6")]
        assert found == (["L", "", ""] if high is None else ["", "", "H"])


def test_a_comparator_nobody_knows_is_no_normal_value() -> None:
    for judge in (rules.flag_interval, rules.judge_critical):
        with pytest.raises(ValueError, match="comparator"):
            judge("~", Decimal(5), Decimal(1), Decimal(9))


def test_what_is_certain_is_not_held() -> None:
    for text, grade in (("2.7", "low"), ("2.8", ""), ("6.3", "high"), ("<2.8", "low")):
        found = rules.judge(values.parse(text), True, None, Limits(_d("2.8"), _d("6.2")))
        assert (found.critical, found.holds) == (grade, ())


def test_letters_in_a_number_are_held_and_absence_is_not() -> None:
    assert rules.judge(values.parse("ERR 12"), False, None, None).holds == ()
    assert [h.code for h in rules.judge(values.parse("ERR 12"), True, None, None).holds] == ["NOT_NUMERIC"]
    assert rules.judge(values.parse("-----"), True, None, None).holds == ()
    assert [h.code for h in rules.judge(values.parse("<3.0"), True, None, Limits(_d("2.8"), None)).holds] == ["MAYBE_CRITICAL"]


@pytest.mark.parametrize(
    ("f", "c", "sign"), [("H", True, "危↑"), ("L", True, "危↓"), ("", True, "危"), ("H", False, "↑"), ("?", False, "?")]
)
def test_marks(f: str, c: bool, sign: str) -> None:
    assert rules.mark(f, c) == sign


# --- entry and review -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "last", "hint"),
    [
        *(("5000", "5.1", True), ("0.0051", "5.1", True), ("5.2", "5.1", False), ("0", "5", False), ("9", None, False)),
        *(("9", "0", False), ("0", "0", False), ("-5000", "5", True)),
        *(("500", "1", True), ("499.9", "1", False), ("2000", "1", True), ("2000.1", "1", False)),
        *(("1", "500", True), ("1", "499.9", False), ("1", "2000", True), ("1", "2000.1", False)),
    ],
)
def test_a_slip_of_the_unit_is_hinted_at(value: str, last: str | None, hint: bool) -> None:
    assert (rules.unit_slip(Decimal(value), _d(last)) is not None) is hint


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["F6"], "有待处理的结果：I0。接受请按 F6。"),
        (["Alt+X"], "有待处理的结果：I0。两个结果选用其一请按 Alt+X。"),
        (["F8"], "有待处理的结果：I0。不能报告的值登记无结果请按 F8。"),
        (["Alt+X", "F6"], "有待处理的结果：I0、I1。接受请按 F6，两个结果选用其一请按 Alt+X。"),
    ],
)
def test_review_names_only_the_keys_that_settle_what_is_held(keys: list[str], words: str) -> None:
    items = [ReviewItem(f"I{n}", S.HELD, True, key=key) for n, key in enumerate(keys)]
    # What is not held has no part in it.
    assert rules.review_problem([*items, ReviewItem("钠", S.RECEIVED, True, key="F8")]) == words


def test_review_names_what_is_missing_and_what_is_held() -> None:
    items = [ReviewItem("钾", S.EXPECTED, True), ReviewItem("钠", S.RECEIVED, True), ReviewItem("镁", S.EXPECTED, False)]
    assert "钾" in str(rules.review_problem(items)) and "镁" not in str(rules.review_problem(items))
    assert "钠" in str(rules.review_problem([ReviewItem("钠", S.HELD, True)]))
    assert [str(rules.review_problem([ReviewItem(f"I{k}", S.HELD, True) for k in range(n)]))[:2] for n in (6, 7)] == ["有待", "7 "]
    assert rules.review_problem([ReviewItem("钠", S.RECEIVED, True), ReviewItem("镁", S.EXPECTED, False)]) is None
    assert rules.review_problem([ReviewItem("钠", S.NO_RESULT, True)]) is None
    assert "没有可初审" in str(rules.review_problem([ReviewItem("钠", S.CANCELLED, True), ReviewItem("镁", S.EXPECTED, False)]))
    assert rules.review_problem([ReviewItem("钾", S.CANCELLED, True), ReviewItem("钠", S.RECEIVED, True)]) is None
    waits = ReviewItem("钠", S.RECEIVED, True, waits="复查")
    assert "钠复查" in str(rules.review_problem([waits])) and rules.may_go_ahead(waits.state, waits.waits) is False


def test_a_part_is_what_is_ready_while_something_is_open() -> None:
    ready, open_ = ReviewItem("钾", S.RECEIVED, True), ReviewItem("钠", S.EXPECTED, True)
    assert rules.part_problem([ready, open_]) is None and rules.part_problem([replace(ready, state=S.REVIEWED), open_]) is None
    assert "已齐" in str(rules.part_problem([ready, ReviewItem("镁", S.EXPECTED, False)]))
    for none in (
        [open_],
        [replace(ready, waits="复查"), open_],
        [replace(ready, state=S.HELD), open_],
        [replace(ready, state=S.RELEASED), open_],
    ):
        assert "没有可先发" in str(rules.part_problem(none))
    assert "没有可先发" in str(rules.part_problem([replace(ready, state=S.CANCELLED), open_]))
