"""Validation cases are made for every expression of a set, too: without them a section with a logic rule could never be validated."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from cloud.modules.autoverify.case import Case, Expression, Item, Policy
from cloud.modules.autoverify.decision import decide, prepare
from cloud.modules.autoverify.variants import shows, variants

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
    expected = f"{kind.upper()} RULE"
    assert not shows(expected, [f.text for f in decide(CLEAN, ready).failures]), "the clean report does not show it"
    [made] = [m for m in variants(CLEAN, ready) if m.expected == expected]
    assert shows(expected, [f.text for f in decide(made.case, ready).failures])


def test_an_expression_that_no_value_breaks_gets_none() -> None:
    ready = prepare(Policy(logic=(Expression("NEVER", '"K" < "K"', ""),)), CODES)
    assert not [m for m in variants(CLEAN, ready) if m.expected.startswith("LOGIC")]
