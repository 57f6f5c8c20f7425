"""Validation cases are made for every expression of a set, too: without them a section with a logic rule could never be validated."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from cloud.modules.autoverify.case import Case, Expression, Failure, Item, Policy
from cloud.modules.autoverify.decision import Verdict, decide, prepare
from cloud.modules.autoverify.variants import Expected, variants

VALUES = {"TP": "70", "ALB": "44", "TC": "4.5", "HDL": "1.3", "LDL": "2.4", "HGB": "140", "HCT": "0.42", "INR": "1.0", "K": "4.1"}
CODES = dict.fromkeys(VALUES, True)
CLEAN = Case(
    1,
    datetime(2026, 5, 4, 2, tzinfo=UTC),
    tuple(Item(code, code, text=v, value=Decimal(v), reported=Decimal(v)) for code, v in VALUES.items()),
    sex="M",
    age_years=Decimal(40),
)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ('"TP" < "ALB"', "logic"),
        ('"TC" < "HDL" + "LDL"', "logic"),
        ('abs("HGB" * 3 / 10 - "HCT" * 100) > 3', "logic"),
        ('"K" > 7 and "INR" < 2', "logic"),
        ("said('华法林') and \"INR\" > 3", "context"),
        ('age < 1 and "K" > 5', "context"),
        ("dept = '血液透析'", "context"),
        ('abs("K" - prev("K")) > 5', "context"),
    ],
)
def test_each_expression_gets_a_case_that_it_holds(source: str, kind: str) -> None:
    rules = (Expression("RULE", source, "规则"),)
    ready = prepare(Policy(logic=rules) if kind == "logic" else Policy(context=rules), CODES)
    expected = Expected(f"{kind.upper()} RULE")
    assert not expected.met_by(decide(CLEAN, ready), False), "the clean report does not show it"
    [made] = [m for m in variants(CLEAN, ready) if m.expected == expected]
    assert expected.met_by(decide(made.case, ready), False)


def test_an_expression_that_no_value_breaks_gets_none() -> None:
    ready = prepare(Policy(logic=(Expression("NEVER", '"K" < "K"', ""),)), CODES)
    assert not [m for m in variants(CLEAN, ready) if m.expected.reason.startswith("LOGIC")]


HELD = Verdict((Failure(5, "QC", "K", "rejected"),), ("NA", "CL"))


@pytest.mark.parametrize(
    ("stored", "partial", "met"),
    [
        (["QC K"], True, True),  # nothing said of a part
        (["QC K", "PART NA CL"], True, True),
        (["QC K", "PART CL NA"], True, True),
        (["QC K", "PART NA"], True, False),
        (["QC K", "PART"], True, False),
        (["QC K", "PART"], False, True),  # a set that lets no part leave is not asked for one
        (["QC"], True, True),
        (["Q"], True, False),
        (["QC KK"], True, False),
        ([], True, False),
    ],
)
def test_a_case_may_say_which_items_leave_before_the_rest(stored: list[str], partial: bool, met: bool) -> None:
    expected = Expected.of(stored)
    assert expected.stored() == stored and expected.met_by(HELD, partial) is met
    assert Expected.of([]).met_by(Verdict(()), partial) and not expected.met_by(Verdict(()), partial) or not stored


def test_cases_say_the_part_and_what_is_compared_with_a_late_item_waits() -> None:
    ready = prepare(Policy(partial=True, logic=(Expression("LIPIDS", '"TC" < "HDL" + "LDL"', ""),)), CODES)
    made = {m.name: m.expected for m in variants(CLEAN, ready)}
    assert made["5 质控失控"] == Expected("QC TP", ("ALB", "TC", "HDL", "LDL", "HGB", "HCT", "INR", "K"))
    assert made["1 一项未出"] == Expected("MISSING K", ("TP", "ALB", "TC", "HDL", "LDL", "HGB", "HCT", "INR"))
    assert made["1 逻辑相关项目未出"] == Expected("MISSING TC", ("TP", "ALB", "HGB", "HCT", "INR", "K"))
    assert made["8 危急值"].part == () and made["干净的报告"] == Expected()
    late = {m.name: m.case for m in variants(CLEAN, ready)}
    for name in ("1 一项未出", "1 逻辑相关项目未出"):
        assert set(decide(late[name], ready).cleared) == set()  # nobody on duty in this case: that holds all
