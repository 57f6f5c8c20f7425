"""Control rules: the acceptance examples of M11, each edge, and every rule against a slow second implementation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.modules.qc import targets, westgard
from cloud.modules.qc.westgard import Freeze, Point, Rule, Scope
from tests.cloud.qc import slow_westgard

D = Decimal
L1, L2 = (D("5.00"), D("0.10")), (D("10.00"), D("0.25"))
ALL = frozenset(Rule)
CLASSIC = frozenset({*westgard.DEFAULT_RULES, Rule.R8X})


def runs_of(table: Iterable[Sequence[str | None]], epoch: int = 0) -> list[list[Point]]:
    """Runs of z values; None is a level that was not measured."""
    return [[Point(n, k, D(z), epoch) for k, z in enumerate(row, 1) if z is not None] for n, row in enumerate(table, 1)]


def said(runs: Sequence[Sequence[Point]], rules: frozenset[Rule] = CLASSIC, freeze: Freeze = Freeze.OFF) -> list[set[str]]:
    """What each run breaks when it comes, in the spec's words."""
    out = []
    for n in range(1, len(runs) + 1):
        found = westgard.evaluate(runs[:n], rules, freeze)
        out.append({f"{v.rule}({'across' if v.scope is Scope.ACROSS else f'L{v.level}'})" for v in found})
    return out


def from_values(*table: tuple[str, str]) -> list[list[Point]]:
    """Runs of measured values of L1 and L2 with the spec's targets."""
    z = [[targets.z_score(D(x), *t) for x, t in zip(row, (L1, L2), strict=True)] for row in table]
    return [[Point(n, k, v) for k, v in enumerate(row, 1)] for n, row in enumerate(z, 1)]


def rejects(broken: set[str]) -> set[str]:
    return {b for b in broken if not b.startswith("1-2s")}


def test_ac_qc_1_two_2s_within_a_level() -> None:
    assert said(from_values(("5.22", "10.10"), ("5.21", "10.05"))) == [{"1-2s(L1)"}, {"1-2s(L1)", "2-2s(L1)"}]


def test_ac_qc_2_r_4s_within_a_run() -> None:
    assert said(from_values(("5.21", "9.45"))) == [{"1-2s(L1)", "1-2s(L2)", "R-4s(across)"}]


@pytest.mark.parametrize(
    ("one", "other", "broken"),
    [("2.01", "-2.01", True), ("2", "-2.01", False), ("2.01", "-2", False), ("-2.01", "2.01", True), ("3.5", "1.9", False)],
)
def test_r_4s_is_strict_on_both_sides(one: str, other: str, broken: bool) -> None:
    assert ("R-4s(across)" in said(runs_of([(one, other)]))[0]) is broken


def test_ac_qc_3_range_over_four_only_as_a_variant() -> None:
    run = runs_of([("2.4", "-1.8")])
    assert said(run) == [{"1-2s(L1)"}]
    assert said(run, CLASSIC | {Rule.R_RANGE4}) == [{"1-2s(L1)", "R-range4(across)"}]


def test_ac_qc_4_three_sd_is_strict() -> None:
    first, second = said(from_values(("5.30", "10.125"), ("5.31", "10.125")))
    assert first == {"1-2s(L1)"}
    assert rejects(second) == {"1-3s(L1)", "2-2s(L1)"}


def test_ac_qc_5_two_2s_across_levels() -> None:
    (only,) = said(runs_of([("2.3", "2.1")]))
    assert rejects(only) == {"2-2s(across)"}


def test_ac_qc_6_four_1s_across_levels() -> None:
    assert said(runs_of([("1.2", "1.1"), ("1.3", "1.4")])) == [set(), {"4-1s(across)"}]


@pytest.mark.parametrize(("third", "expected"), [("1.3", {"4-1s(L1)"}), ("1.0", set())])
def test_ac_qc_7_four_1s_within_a_level(third: str, expected: set[str]) -> None:
    runs = runs_of([("1.1", "0.4"), ("1.2", "-0.3"), (third, "0.2"), ("1.05", "-0.6")])
    assert said(runs) == [set(), set(), set(), expected]


@pytest.mark.parametrize(("fifth", "eight", "ten"), [(".4", {"8x(L1)"}, {"8x(L1)", "10x(L1)"}), ("0.0", set(), set())])
def test_ac_qc_8_ten_x_within_a_level(fifth: str, eight: set[str], ten: set[str]) -> None:
    level_1 = [".3", ".5", ".2", ".6", fifth, ".1", ".7", ".2", ".3", ".5"]
    found = said(runs_of((z, ".2" if n % 2 else "-.2") for n, z in enumerate(level_1)))
    assert found[:7] == [set()] * 7
    assert found[7] == eight and found[9] == ten


def test_ac_qc_9_ten_x_across_levels() -> None:
    found = said(runs_of([(".3", ".2"), (".5", ".1"), (".2", ".3"), (".6", ".2"), (".4", ".1")]))
    assert found == [set(), set(), set(), {"8x(across)"}, {"8x(across)", "10x(across)"}]


@pytest.mark.parametrize(("fourth", "expected"), [(".1", {"7T(L1)"}), ("-.1", set())])
def test_ac_qc_10_seven_trend_when_enabled(fourth: str, expected: set[str]) -> None:
    runs = runs_of([(z,) for z in ("-.6", "-.4", "-.1", fourth, ".3", ".6", ".9")])
    assert said(runs, frozenset({Rule.R7T}))[-1] == expected
    assert said(runs) == [set()] * 7


def test_ac_qc_11_opposite_sides_in_two_runs_are_no_r_4s() -> None:
    assert said(runs_of([("2.1",), ("-2.1",)])) == [{"1-2s(L1)"}, {"1-2s(L1)"}]


# --- three levels, look-back, frozen points --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([("2.1", "2.2", "0")], {"2-2s(across)", "2of3-2s(across)", "1-2s(L1)", "1-2s(L2)"}),
        ([("2.1", "2.0", "0")], {"1-2s(L1)"}),
        ([("1.1", "1.2", "1.01")], {"3-1s(across)"}),
        ([("1.1", "1.2", "1.0")], set()),
        ([("1.1", "0", "-1"), ("1.2", "0", "1"), ("1.3", "0", "-1")], {"3-1s(L1)"}),
        ([(".1", ".1", ".1"), (".2", ".2", ".2")], {"6x(across)"}),
        ([(".1", ".1", ".1")] * 3, {"6x(across)", "9x(across)"}),
        ([("-.1", "-.1", "-.1"), ("-.2", "0", "-.2")], set()),
    ],
)
def test_sets_of_three_levels(table: list[tuple[str, ...]], expected: set[str]) -> None:
    assert said(runs_of(table), ALL - {Rule.R_RANGE4})[-1] == expected


def test_rules_of_three_levels_say_nothing_of_two() -> None:
    assert said(runs_of([(".1", ".1")] * 6), frozenset({Rule.R6X, Rule.R9X, Rule.R3_1S, Rule.R2OF3_2S}))[-1] == set()


@pytest.mark.parametrize(("freeze", "expected"), [(Freeze.OFF, True), (Freeze.SKIPPED, True), (Freeze.BREAKS, False)])
def test_a_frozen_point_breaks_a_count_or_is_skipped(freeze: Freeze, expected: bool) -> None:
    column = ["1.1", "1.2", "1.3", "1.4", "1.5"]
    runs = [[Point(n, 1, D(z), frozen=n == 3)] for n, z in enumerate(column, 1)]
    found = westgard.evaluate(runs, {Rule.R4_1S}, freeze)
    assert bool(found) is expected
    if freeze is Freeze.SKIPPED:
        assert [p.run for p in found[0].points] == [1, 2, 4, 5]


def test_look_back_ends_where_the_target_or_the_lot_changed() -> None:
    old, new = runs_of([("2.3", "0.1")], epoch=1), [[Point(2, 1, D("2.4"), 2), Point(2, 2, D("0.1"), 1)]]
    assert not westgard.evaluate([*old, *new], {Rule.R2_2S}, Freeze.OFF)
    across = [*runs_of([("1.3", "1.1")], epoch=1), [Point(2, 1, D("1.4"), 2), Point(2, 2, D("1.1"), 1)]]
    assert not westgard.evaluate(across, {Rule.R4_1S}, Freeze.OFF)


def test_a_missing_level_breaks_whole_runs_but_not_the_level_itself() -> None:
    assert said(runs_of([("1.3", "1.1"), ("1.2", None), ("1.3", "1.4")]))[-1] == set()
    assert said(runs_of([("2.3", None), (None, "0"), ("2.4", None)]))[-1] == {"1-2s(L1)", "2-2s(L1)"}


@pytest.mark.parametrize(
    ("z", "rule", "hit"), [("2", Rule.R1_2S, False), ("2.0001", Rule.R1_2S, True), ("-3", Rule.R1_3S, False), ("-3.0001", Rule.R1_3S, True)]
)
def test_every_limit_is_strict(z: str, rule: Rule, hit: bool) -> None:
    assert bool(westgard.evaluate(runs_of([(z,)]), {rule})) is hit


def test_nothing_measured_breaks_nothing() -> None:
    assert westgard.evaluate([], ALL) == () and westgard.evaluate([[]], ALL) == ()


@pytest.mark.parametrize(
    ("sigma", "expected"),
    [
        ("6", {Rule.R1_3S}),
        ("5.99", {Rule.R1_3S, Rule.R2_2S, Rule.R_4S}),
        ("5", {Rule.R1_3S, Rule.R2_2S, Rule.R_4S}),
        ("4.99", {Rule.R1_3S, Rule.R2_2S, Rule.R_4S, Rule.R4_1S}),
        ("4", {Rule.R1_3S, Rule.R2_2S, Rule.R_4S, Rule.R4_1S}),
        ("3.99", {Rule.R1_3S, Rule.R2_2S, Rule.R_4S, Rule.R4_1S, Rule.R8X}),
    ],
)
def test_the_better_the_method_the_fewer_rules(sigma: str, expected: set[Rule]) -> None:
    assert set(westgard.rules_for_sigma(D(sigma))) == expected


# --- against the second implementation ------------------------------------------------------------------------------

Z = st.sampled_from([D(z) for z in ("-3.1", "-3", "-2.3", "-2", "-1.4", "-1", "-.5", "0", ".3", ".5", "1", "1.2", "2", "2.4", "3", "3.2")])
# Many histories lean to one side, or the counting rules would hardly ever meet.
LEANING = st.sampled_from([D(z) for z in (".1", ".2", ".3", ".5", "1.1", "1.3", "2.2", "0", "-.2")])


@st.composite
def histories(draw: st.DrawFn) -> slow_westgard.History:
    levels = draw(st.integers(1, 4))
    values = draw(st.sampled_from([Z, LEANING, LEANING.map(lambda z: -z)]))
    cell = st.tuples(values, st.sampled_from([1, 1, 1, 1, 1, 1, 1, 1, 1, 2]), st.sampled_from([False] * 9 + [True]))
    full = st.fixed_dictionaries(dict.fromkeys(range(1, levels + 1), cell))
    part = st.dictionaries(st.integers(1, levels), cell, min_size=1)
    n = draw(st.integers(1, 14))
    return [draw(full) if draw(st.integers(0, 9)) else draw(part) for _ in range(n)]


@settings(max_examples=400, deadline=None)
@given(histories(), st.sampled_from(list(Freeze)))
def test_every_rule_agrees_with_a_slow_second_implementation(history: slow_westgard.History, freeze: Freeze) -> None:
    runs = [[Point(n, k, z, epoch, frozen) for k, (z, epoch, frozen) in run.items()] for n, run in enumerate(history)]
    found = westgard.evaluate(runs, ALL, freeze)
    assert {(v.rule.value, v.level) for v in found} == slow_westgard.broken(history, freeze.value)
    assert all(any(p.run == len(history) - 1 for p in v.points) for v in found), "a violation has a point of the newest run"


def test_the_second_implementation_meets_every_rule() -> None:
    """The comparison is worth something: each rule fires somewhere in a small exhaustive world."""
    seen: set[str] = set()
    for zs in product([D("-2.1"), D("1.1"), D("2.1"), D("3.1")], repeat=3):
        seen |= {r for r, _ in slow_westgard.broken([{k: (z, 0, False) for k, z in enumerate(zs)}] * 12)}
        seen |= {r for r, _ in slow_westgard.broken([{0: (zs[0] + n, 0, False), 1: (zs[1], 0, False)} for n in range(7)])}
    assert seen == {r.value for r in Rule}
