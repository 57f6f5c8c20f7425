"""Pure rules of mappings: suggestions, units, the comparison with the print-out, what keeps a version from going on."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cloud.modules.edge import comparing, mapping, suggesting
from cloud.modules.edge.comparing import Check
from cloud.modules.edge.mapping import Row, State
from cloud.modules.edge.suggesting import Item

ITEMS = [
    Item(1, "GLU", "0300101A", ("葡萄糖", "Glucose", "GLU"), "mmol/L"),
    Item(2, "WBC", "0100101A", ("白细胞计数", "WBC", "WBC"), "10^9/L"),
    Item(3, "NEU%", "", ("中性粒细胞百分比", "NEU%", "NEU%"), "%"),
    Item(4, "NEU#", "", ("中性粒细胞计数", "NEU#", "NEU#"), "10^9/L"),
    Item(5, "HGB", "", ("血红蛋白", "Hemoglobin", "HGB"), "g/L"),
    Item(6, "CK-MB", "", ("肌酸激酶同工酶", "CK-MB", "CK-MB"), "U/L"),
]


@pytest.mark.parametrize(
    ("code", "name", "unit", "item", "why", "sure"),
    [
        ("GLU", None, "mmol/L", 1, "代码相同", True),
        ("glu", None, None, 1, "代码相同", True),
        ("0100101A", None, None, 2, "WS/T 886 代码相同", True),
        ("6690-2", "WBC", None, 2, "代码相同", True),
        ("717", "血红蛋白", "g/dL", 5, "名称相同", True),
        ("^^^GLU", None, None, 1, "代码相同", True),
        ("CKMB", None, None, 6, "代码相同", True),
        ("GLU-2", None, None, 1, "代码相近", False),
        ("NEU％", None, None, 3, "代码相同", True),
    ],
)
def test_a_code_suggests_the_item_with_its_reason(code: str, name: str | None, unit: str | None, item: int, why: str, sure: bool) -> None:
    best = suggesting.suggest(code, name, unit, ITEMS)[0]
    assert (best.item_id, best.why, best.sure) == (item, why, sure)


def test_a_percentage_is_never_suggested_for_a_count() -> None:
    assert [s.item_id for s in suggesting.suggest("NEU%", None, "%", ITEMS)] == [3]
    assert [s.item_id for s in suggesting.suggest("NEU#", None, None, ITEMS)] == [4]
    assert suggesting.suggest("XYZ", None, None, ITEMS) == []


@pytest.mark.parametrize(
    ("said", "wanted", "factor"),
    [
        ("g/dL", "g/L", "10"),
        ("mmol/L", "umol/L", "1000"),
        ("µmol/L", "umol/L", "1"),
        ("10*9/L", "10^9/L", "1"),
        ("10^3/uL", "10^9/L", "1"),
        ("10^6/uL", "×10¹²/L", "1"),
        ("U/L", "IU/L", "1"),
        ("mg/dL", "mmol/L", None),
        ("fL", "g/L", None),
        ("%", "%", "1"),
        ("mm/h", "g/L", None),
        ("%", "L/L", "0.01"),
        ("‰", "%", "0.1"),
        ("mmol/mol", "%", None),
        ("%", "g/L", None),
    ],
)
def test_units_are_converted_only_where_that_is_arithmetic(said: str, wanted: str, factor: str | None) -> None:
    assert comparing.factor_between(said, wanted) == (None if factor is None else Decimal(factor))


@pytest.mark.parametrize(
    ("here", "printed", "unit", "item_unit", "equal", "why"),
    [
        ("5.60", "5.6", "mmol/L", "mmol/L", True, ""),
        ("0", "0", "", "", True, ""),
        ("135", "13.5", "g/dL", "g/L", True, ""),
        ("13.5", "13.5", "g/dL", "g/L", False, "小了 10 倍"),
        ("56.0", "5.6", "mmol/L", "mmol/L", False, "大了 10 倍"),
        ("5.6", "5.64", "mmol/L", "mmol/L", True, ""),
        ("0.452", "45.2", "%", "L/L", True, ""),
        ("45.2", "45.2", "%", "L/L", False, "大了 100 倍"),
        ("5.6", "5.65", "mmol/L", "mmol/L", False, "应为 5.65"),
        ("<0.05", "<0.05", "", "", True, ""),
        ("0.05", "<0.05", "", "", False, "比较符号不同"),
        ("阴性", "阴性", "", "", True, ""),
        ("-", "阴性", "", "", True, ""),
        ("1:160", "1:160", "", "", True, ""),
        ("160", "1:160", "", "", False, "打印"),
        ("5.6", "", "", "", False, "未填写"),
        ("", "-----", "", "", True, ""),
        ("5.6", "-----", "", "", False, "打印"),
        ("5.6", "100", "mg/dL", "mmol/L", False, "不能换算"),
    ],
)
def test_the_print_out_is_compared_in_its_own_unit(here: str, printed: str, unit: str, item_unit: str, equal: bool, why: str) -> None:
    found = comparing.compare(here, printed, unit, item_unit)
    assert found.equal is equal and why in found.why


def test_every_mapped_item_is_compared_before_a_version_is_tested() -> None:
    rows = [Row("A", 1), Row("B", 2), Row("C", None)]
    assert comparing.test_problems(rows, []) == [(1, "未与打印值比对"), (2, "未与打印值比对")]
    assert comparing.test_problems(rows, [Check(1, "normal", True), Check(2, "normal", False)]) == [(2, "与打印值不符")]
    assert comparing.test_problems(rows, [Check(1, "normal", True), Check(2, "low", True)]) == []


@pytest.mark.parametrize(
    ("here", "level"),
    [
        ("3.4", "low"),
        ("3.5", "normal"),
        ("5.5", "normal"),
        ("6.0", "normal"),
        ("6.1", "high"),
        ("", "normal"),
        ("阴性", "normal"),
        (">90", "high"),
    ],
)
def test_the_level_a_line_begins_with_where_the_analyzer_sends_no_flag(here: str, level: str) -> None:
    """Beyond every interval of the item; between two of them nobody knows the patient's age and sex."""
    intervals = [(Decimal("3.5"), Decimal("5.3")), (Decimal("4.0"), Decimal("6.0")), (None, None)]
    assert comparing.likely_level(here, intervals) == level
    assert comparing.likely_level(here, []) == "normal"


def test_a_record_needs_low_normal_and_high_of_each_numeric_item() -> None:
    rows = [Row("A", 1), Row("B", 2)]
    all_levels = [Check(1, level, True) for level in comparing.LEVELS]
    assert comparing.acceptance_problems(rows, [*all_levels, Check(2, "", True)], frozenset({1})) == []
    assert comparing.acceptance_problems(rows, [*all_levels[:2], Check(2, "", True)], frozenset({1})) == [(1, "缺高值标本")]


def test_rows_that_cannot_stand_together() -> None:
    assert mapping.row_problems([Row("A", 1), Row("A", 2)]) == ["代码 A 出现两次"]
    assert mapping.row_problems([Row("A", 1), Row("B", 1)]) == ["两个代码对照到同一项目：A、B"]
    assert mapping.row_problems([Row("A", 1, Decimal(0))]) == ["代码 A 的系数不能为 0"]
    assert mapping.row_problems([Row("A", 1), Row("B", None), Row("C", None)]) == []


def test_the_table_of_states() -> None:
    allowed = {(a, b) for a in State for b in State if mapping.may_move(a, b)}
    assert allowed == {
        (State.DRAFT, State.TESTED), (State.DRAFT, State.REFUSED), (State.TESTED, State.DRAFT), (State.TESTED, State.APPROVED),
        (State.TESTED, State.REFUSED), (State.APPROVED, State.DRAFT), (State.APPROVED, State.ACTIVE), (State.APPROVED, State.REFUSED),
        (State.ACTIVE, State.RETIRED),
    }  # fmt: skip


def test_changes_name_what_means_something_else() -> None:
    old, new = [Row("A", 1), Row("B", 2), Row("D", 4)], [Row("A", 1), Row("B", 2, Decimal(10)), Row("C", 3), Row("D", None)]
    assert [(c.code, c.before is None, c.after is None) for c in mapping.changes(old, new)] == [
        ("B", False, False), ("C", True, False), ("D", False, True),
    ]  # fmt: skip
    assert mapping.row_of(new[1].to_json()) == new[1]
