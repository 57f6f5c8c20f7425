"""Targets, immediate method, patient-based control, sigma: the acceptance examples of M11 and their edges."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.modules.qc import immediate, metrics, moving, qualitative, targets
from cloud.modules.qc.immediate import Verdict
from cloud.modules.qc.metrics import Fault, Tea
from cloud.modules.qc.targets import Stats

D = Decimal


def to(value: Decimal | None, places: int) -> Decimal:
    assert value is not None
    return value.quantize(D(1).scaleb(-places), ROUND_HALF_UP)


def values(text: str) -> list[Decimal]:
    return [D(each) for each in text.split()]


def test_ac_qc_12_immediate_method_warns() -> None:
    found = immediate.judge(values("5.0 5.1 4.9 5.0 5.6"))
    assert (to(found.mean, 2), to(found.sd, 4), to(found.si_up, 3)) == (D("5.12"), D("0.2775"), D("1.730"))
    assert found.verdict is Verdict.WARNING


def test_ac_qc_13_mean_sd_cv() -> None:
    found = targets.stats(values("4.90 5.00 5.10 5.05 4.95"))
    assert found is not None
    assert (to(found.mean, 2), to(found.sd, 4), to(found.cv, 2)) == (D("5.00"), D("0.0791"), D("1.58"))


def test_ac_qc_14_pooled() -> None:
    found = targets.pool(Stats(20, D("5.00"), D("0.10")), Stats(30, D("5.04"), D("0.09")))
    assert found is not None
    assert (found.n, to(found.mean, 3), to(found.sd, 4)) == (50, D("5.024"), D("0.0952"))


@pytest.mark.parametrize(
    ("tea", "bias", "cv", "sigma", "qgi", "fault"),
    [
        ("7", "1.5", "1.5", "3.67", "0.67", Fault.IMPRECISION),
        ("6", "0.6", "0.9", "6.00", "0.44", Fault.IMPRECISION),
        ("15", "4.0", "2.0", "5.50", "1.33", Fault.BIAS),
    ],
)
def test_ac_qc_15_sigma_and_qgi(tea: str, bias: str, cv: str, sigma: str, qgi: str, fault: Fault) -> None:
    assert to(metrics.sigma(D(tea), D(bias), D(cv)), 2) == D(sigma)
    assert to(metrics.qgi(D(bias), D(cv)), 2) == D(qgi)
    index = metrics.qgi(D(bias), D(cv))
    assert index is not None and metrics.fault(index) is fault


@pytest.mark.parametrize(("index", "fault"), [("0.79", Fault.IMPRECISION), ("0.8", Fault.BOTH), ("1.2", Fault.BOTH), ("1.21", Fault.BIAS)])
def test_edges_of_the_quality_goal_index(index: str, fault: Fault) -> None:
    assert metrics.fault(D(index)) is fault


def test_no_cv_no_sigma() -> None:
    assert metrics.sigma(D(7), D(1), D(0)) is None and metrics.qgi(D(1), D(0)) is None


def test_cv_goal_of_the_standard_before_a_third_of_tea() -> None:
    assert metrics.cv_goal(D("2.5"), D(6)) == D("2.5")
    assert metrics.cv_goal(None, D(6)) == 2
    assert metrics.cv_goal(None, None) is None


@pytest.mark.parametrize(
    ("before", "again", "needed"),
    [
        ("3.3", "3.40", False),
        ("3.3", "3.401", True),
        ("4.0", "4.12", False),
        ("4.0", "4.1201", True),
        ("4.0", "3.87", True),
        ("0", "0.1", False),
    ],
)
def test_a_recall_needs_more_than_half_the_allowed_error(before: str, again: str, needed: bool) -> None:
    potassium = Tea(D(6), D("0.2"), D("3.3"))
    assert metrics.recall_needed(D(before), D(again), potassium.allowed(D(before))) is needed


# --- targets --------------------------------------------------------------------------------------------------------


@given(st.lists(st.decimals(-1000, 1000, places=3), min_size=2, max_size=30))
def test_sample_statistics_agree_with_exact_fractions(found: list[Decimal]) -> None:
    exact = [Fraction(v) for v in found]
    mean = sum(exact) / len(exact)
    variance = sum((v - mean) ** 2 for v in exact) / (len(exact) - 1)
    got = targets.stats(found)
    assert got is not None and got.sd is not None
    assert abs(Fraction(got.mean) - mean) < Fraction(1, 10**18)
    assert abs(Fraction(got.sd) ** 2 - variance) < Fraction(1, 10**12)


@given(
    st.lists(st.decimals(-100, 100, places=2), min_size=1, max_size=12), st.lists(st.decimals(-100, 100, places=2), min_size=1, max_size=12)
)
def test_pooling_is_the_statistics_of_all_values(a: list[Decimal], b: list[Decimal]) -> None:
    parts = [s for s in (targets.stats(a), targets.stats(b)) if s is not None]
    pooled, whole = targets.pool(*parts), targets.stats(a + b)
    assert pooled is not None and whole is not None and pooled.n == whole.n
    assert abs(pooled.mean - whole.mean) < D("1e-20")
    assert pooled.sd is not None and whole.sd is not None and abs(pooled.sd - whole.sd) < D("1e-12")


def test_statistics_of_little() -> None:
    assert targets.stats([]) is None and targets.pool() is None
    assert targets.stats([D(5)]) == Stats(1, D(5), None)
    assert Stats(3, D(0), D(1)).cv is None


DAY = date(2026, 1, 1)


@pytest.mark.parametrize(
    ("n", "days", "short", "ok"),
    [
        (20, 20, False, True),
        (19, 19, False, False),
        (20, 19, False, False),
        (25, 20, False, True),
        (10, 3, True, True),
        (9, 9, True, False),
    ],
)
def test_provisional_targets_need_twenty_values_of_twenty_days(n: int, days: int, short: bool, ok: bool) -> None:
    found = [DAY + timedelta(days=min(k, days - 1)) for k in range(n)]
    assert (targets.provisional_problem(found, short) is None) is ok


def test_a_new_lot_takes_the_historical_cv() -> None:
    assert targets.transferred_sd(D("1.8"), D("10.00")) == D("0.18")


@pytest.mark.parametrize(
    ("mean", "sd", "ok"), [("5", "0.1", True), ("5", "0", False), ("5", "-1", False), ("NaN", "1", False), ("5", "Infinity", False)]
)
def test_a_target_without_spread_is_refused(mean: str, sd: str, ok: bool) -> None:
    assert (targets.target_problem(D(mean), D(sd)) is None) is ok
    assert targets.target_problem(D(mean), None) is not None


# --- immediate method -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(3, 21))
def test_every_row_of_the_immediate_table_has_both_edges(n: int) -> None:
    """One value at distance, all others equal: SI_up is then (n - 1)/√n whatever the distance, so edges come from the table itself."""
    n2s, n3s = immediate.TABLE[n]
    assert n2s < n3s and (n == 3 or immediate.TABLE[n - 1] < (n2s, n3s))
    assert immediate.judge([D(5)] * (n - 1) + [D(6)]).verdict is (Verdict.REJECTED if (n - 1) / D(n).sqrt() > n3s else Verdict.WARNING)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ("5.0", "in_control"),
        ("5.2", "in_control"),
        ("5.2001", "warning"),
        ("5.3", "warning"),
        ("5.3001", "rejected"),
        ("4.6999", "rejected"),
    ],
)
def test_past_twenty_values_their_mean_and_sd_judge_the_next(value: str, verdict: str) -> None:
    before = values("4.9 5.1 " * 9) + values("5.0 5.0")
    sd = targets.stats(before)
    assert sd is not None and sd.sd is not None
    scaled = D(5) + (D(value) - 5) / D("0.1") * sd.sd
    assert len(before) == 20 and immediate.newest(before, scaled) == verdict


def test_past_twenty_equal_values_any_other_is_rejected() -> None:
    assert immediate.newest([D(5)] * 20, D(5)) is Verdict.IN_CONTROL and immediate.newest([D(5)] * 20, D("5.01")) is Verdict.REJECTED


def test_immediate_method_ends_and_begins() -> None:
    assert immediate.judge([]).verdict is Verdict.TOO_FEW and immediate.judge(values("5 6")).verdict is Verdict.TOO_FEW
    assert immediate.judge([D(5)] * 3).verdict is Verdict.IN_CONTROL
    assert immediate.judge([D(5)] * 21).verdict is Verdict.CONVERT
    assert immediate.judge(values("5.0 5.1 4.9 5.0 5.05")).verdict is Verdict.IN_CONTROL
    assert immediate.judge(values("5.0 5.01 4.99 5.0 9.0")).verdict is Verdict.REJECTED
    assert immediate.judge(values("5.0 5.01 4.99 5.0 1.0")).verdict is Verdict.REJECTED


# --- patient-based --------------------------------------------------------------------------------------------------


def test_moving_average_and_median_of_what_is_not_truncated() -> None:
    setting = moving.Setting(moving.Kind.AVERAGE, D(0), D(10), size=3, trunc_low=D(1), trunc_high=D(9))
    data = values("1 2 3 99 6 0.5 9")
    assert moving.kept(data, setting) == values("1 2 3 6 9")
    assert moving.smooth(data, setting) == [D(2), D(11) / 3, D(6)]
    median = moving.Setting(moving.Kind.MEDIAN, D(0), D(10), size=4)
    assert moving.smooth(values("1 5 3 9 2"), median) == [D(4), D(4)]
    assert moving.smooth(values("1 2"), setting) == []


def test_ewma_weighs_the_newest() -> None:
    setting = moving.Setting(moving.Kind.EWMA, D("3.5"), D("4.5"), weight=D("0.2"), start=D(4))
    assert moving.smooth(values("5 4 3"), setting) == values("4.2 4.16 3.928")
    assert moving.smooth(values("5 4"), moving.Setting(moving.Kind.EWMA, D(0), D(9), weight=D("0.5"))) == values("5 4.5")
    assert moving.out_of_control(D("4.51"), setting) and not moving.out_of_control(D("4.5"), setting)
    assert moving.out_of_control(D("3.49"), setting) and not moving.out_of_control(D("3.5"), setting)


# --- qualitative ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "text", "agrees"),
    [
        ("neg", "-", True),
        ("neg", "阴性", True),
        ("neg", "Negative", True),
        ("neg", "+-", False),
        ("neg", "1+", False),
        ("weak", "±", True),
        ("weak", "+", True),
        ("weak", "阴性", False),
        ("pos", "阳性", True),
        ("pos", "3+", True),
        ("pos", "弱阳性", False),
        ("pos", "-", False),
        ("pos", "12.5", False),
        ("neg", "", False),
    ],
)
def test_the_wrong_sign_is_never_taken_for_the_right_one(expected: str, text: str, agrees: bool) -> None:
    assert qualitative.agrees(expected, text) is agrees
