"""Delta checks with the specification's own numbers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from cloud.modules.autoverify.case import Delta, Item, Prior
from cloud.modules.autoverify.delta import check, rcv

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
RCV = Delta("rcv", cva=Decimal("2.0"), cvi=Decimal("4.5"), window_h=90 * 24)


def crea(value: str, before: str = "88", days: int = 12) -> Item:
    return Item("CREA", "肌酐", value=Decimal(value), priors=(Prior(NOW - timedelta(days=days), before, Decimal(before)),))


def test_ac_av_4_rcv_of_13_65_percent_lets_100_pass_and_holds_100_1() -> None:
    assert rcv(Decimal("2.0"), Decimal("4.5"), Decimal("1.96")).quantize(Decimal("0.01")) == Decimal("13.65")
    assert check(crea("100"), [RCV], NOW) == []
    (held,) = check(crea("100.1"), [RCV], NOW)
    assert (held.category, held.code, held.figures) == (9, "DELTA_RCV", "13.75>13.65")


def test_ac_av_2_140_after_80_three_days_ago_is_75_percent_and_20_a_day() -> None:
    percent, rate = Delta("percent", Decimal(50), Decimal(50), window_h=168), Delta("rate", Decimal("19.9"), Decimal("19.9"), window_h=168)
    (held,) = check(crea("140", "80", 3), [percent], NOW)
    assert (held.code, held.figures) == ("DELTA_PCT", "75.0>50")
    (held,) = check(crea("140", "80", 3), [rate], NOW)
    assert (held.code, held.figures) == ("DELTA_RATE", "20.0>19.9/d")
    assert check(crea("140", "80", 3), [replace(rate, up=Decimal(20))], NOW) == [], "20 µmol/L a day is not more than 20"
    assert check(crea("88", "84", 12), [percent], NOW) == [], "AC-AV-1: 12 days ago lies outside the window of 7"


@pytest.mark.parametrize("value", ["76", "75.98"])
def test_a_fall_is_judged_by_the_same_limit(value: str) -> None:
    assert (check(crea(value), [RCV], NOW) == []) is (value == "76")


def test_outside_the_window_nothing_is_compared() -> None:
    assert check(crea("300", days=91), [RCV], NOW) == []


ABS, PCT = Delta("absolute", Decimal(1), Decimal(1), window_h=999), Delta("percent", Decimal(50), Decimal(50), window_h=999)
NARROW = replace(ABS, window_h=24)


@pytest.mark.parametrize(
    ("value", "before", "rules", "found"),
    [
        ("3", "0", (ABS, replace(PCT, not_evaluable="hold")), "DELTA_NE"),  # 3 more, and of a percentage of nothing nobody can say
        ("1", "0", (ABS, replace(PCT, not_evaluable="hold")), ""),  # 1 is not more than 1: the group passes, whatever the percentage
        ("3", "0", (ABS, PCT), ""),
        ("3", "2", (replace(ABS, up=Decimal("0.5")), replace(PCT, up=Decimal(49))), "fails"),
        ("3", "2", (ABS, PCT), ""),
        ("9", "2", (NARROW, PCT), ""),  # the one that has nothing to compare with lets the group pass
        ("9", "0", (NARROW, replace(PCT, not_evaluable="hold")), ""),
    ],
)
def test_rules_of_a_group_must_all_fail_in_whatever_order_they_stand(value: str, before: str, rules: tuple[Delta, ...], found: str) -> None:
    first = {"absolute": "DELTA_ABS", "percent": "DELTA_PCT"}
    for order in permutations(rules):
        expected = {"": [], "DELTA_NE": ["DELTA_NE"], "fails": [first[order[0].kind]]}[found]
        assert [f.code for f in check(crea(value, before), order, NOW)] == expected


def test_each_group_speaks_for_itself() -> None:
    other = replace(PCT, group=2, up=Decimal(10))
    assert [f.code for f in check(crea("3", "2"), [ABS, other], NOW)] == ["DELTA_PCT"]
    assert [f.code for f in check(crea("4", "2"), [ABS, other], NOW)] == ["DELTA_ABS", "DELTA_PCT"]
