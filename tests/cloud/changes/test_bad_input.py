"""M02 *Bad input*, a test a line of the specification, where master data are typed: named in words, kept in the form, not written."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from werkzeug.test import TestResponse

from cloud.modules.catalog import queries as md
from cloud.modules.catalog import rule_models
from cloud.modules.catalog import service as catalog
from cloud.modules.changes import forms, queries, service, watch
from cloud.modules.changes.rules import Perm
from cloud.modules.platform import alerts
from cloud.web import sheet
from tests.cloud.bench.world import World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer

ITEM = {"code": "X", "name": "新项目", "abbr": "X", "section": "CHEM", "result_type": "numeric", "decimals": "1", "unit": "g/L"}
INTERVAL = {"item": "K", "low": "3.0", "high": "5.0", "source": "本室", "age_unit": "year"}


@pytest.fixture(scope="module")
def world(pg: TestServer, schema_template: TestDatabase) -> Iterator[World]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    yield build(lab)
    lab.db.dispose()
    pg.drop(made.name)


def propose(world: World, kind: str, values: dict[str, str]) -> TestResponse:
    return world.lab.client("leader").post(f"/md/edit/{kind}/0", values | {"reason": "换方法"})


def refused(world: World, kind: str, values: dict[str, str], words: str) -> None:
    answer = propose(world, kind, values)
    assert answer.status_code == 422 and words in answer.text, answer.text
    for each in ("换方法", *(v for k, v in values.items() if k not in ("item", "section", "result_type", "age_unit", "sex", "expression"))):
        assert f'value="{each}"' in answer.text or f">{each}</textarea>" in answer.text, f"{each} is kept in the form"
    with world.lab.uow() as uow:
        assert queries.listed(uow, "all") == ([], 0)


def test_m02_bad_input_overlap_ri_is_refused_naming_the_other_row(world: World) -> None:
    """overlap RI → refuse naming the other row"""
    with world.lab.uow() as uow:
        other = md.catalog(uow).intervals[world.items["K"]][0].id
    refused(world, "ri", INTERVAL, f"与已有的第 {other} 行（")
    assert "3.5–5.3" in propose(world, "ri", INTERVAL).text and "重叠，请修改其中一行的条件。" in propose(world, "ri", INTERVAL).text


@pytest.mark.parametrize(("low", "high"), [("5.0", "5.0"), ("5.1", "5.0")])
def test_m02_bad_input_low_not_below_high(world: World, low: str, high: str) -> None:
    """low≥high"""
    refused(world, "ri", INTERVAL | {"sex": "F", "low": low, "high": high}, f"下限 {low} 不小于上限 {high}。")


def test_m02_bad_input_unit_not_ucum(world: World) -> None:
    """unit not UCUM"""
    refused(world, "item", ITEM | {"unit": "μmol/L"}, "单位“μmol/L”不是 UCUM 写法，例如 mmol/L、10^9/L、g/(24.h)、[IU]/L。")


def test_m02_bad_input_decimals_below_zero(world: World) -> None:
    """decimals<0"""
    refused(world, "item", ITEM | {"decimals": "-1"}, "小数位数 -1 不在 0 到 6 之间。")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ('"NOPE" + 1', "第 1 个字符 “&#34;NOPE&#34;”：没有编码为 NOPE"),
        ('"K" + ) 1', "第 7 个字符 “)”"),
        ('"K" +', "没有写完"),
    ],
)
def test_m02_bad_input_formula_syntax_is_told_by_position_and_token(world: World, expression: str, words: str) -> None:
    """formula syntax → position and token"""
    refused(world, "calc", {"item": "EXTRA", "name": "和", "expression": expression}, words)


def test_m02_bad_input_import_with_3_bad_rows_of_200_writes_nothing(world: World) -> None:
    """import with 3 bad rows of 200 → nothing written, 3 errors listed (all-or-nothing)"""
    kind = catalog.KINDS["ri"]
    with world.lab.uow() as uow:
        head = sheet.read(forms.template(uow, kind))[0]
    names = {f"{f.label}{'*' if f.required else ''}": f.name for f in kind.fields}
    rows = [{"item": "GLU", "method": f"M{n}", "low": "1", "high": "2", "source": "说明书"} for n in range(200)]
    rows[9]["low"], rows[99]["item"], rows[150]["high"] = "3", "NOPE", "两"
    data = sheet.write("x", head, [[row.get(names.get(word, ""), "") for word in head] for row in rows])
    form = {"kind": "ri", "file": (io.BytesIO(data), "a.xlsx"), "reason": "换试剂"}
    answer = world.lab.client("infogroup").post("/md/import", form, content_type="multipart/form-data")
    assert answer.status_code == 422
    assert all(words in answer.text for words in ("下限 3 不小于上限 2", "没有编码为“NOPE”的检验项目", "“两”不是数值"))
    with world.lab.uow() as uow:
        wrong = forms.read_sheet(uow, kind, data).wrong
        assert [line for line, _ in wrong] == [11, 101, 152], "each by the line of the sheet"
        assert queries.listed(uow, "all") == ([], 0)


def test_m02_a_qualitative_item_says_what_may_be_typed(world: World) -> None:
    """M07 R6 where the list is made"""
    for values, words in (
        ({"result_type": "enum"}, "定性项目请填写可选结果，例如 阴性,阳性；手工录入只能从中选。"),
        ({"result_type": "enum", "choices": "阴性,阳性,阴性"}, "可选结果“阴性”写了两次。"),
        ({"choices": "阴性,阳性"}, "只有定性、半定量项目有可选结果；这个项目请留空。"),
    ):
        answer = propose(world, "item", ITEM | values)
        assert answer.status_code == 422 and words in answer.text


# --- rows of one sheet beside one another, and what still uses a row that goes -----------------------------------------------------------


def two(kind: str, first: dict[str, str], second: dict[str, str], world: World) -> list[tuple[int, str]]:
    """What is wrong with a sheet of these two rows."""
    described = catalog.KINDS[kind]
    with world.lab.uow() as uow:
        head = [f"{f.label}{'*' if f.required else ''}" for f in described.fields]
        texts = [[row.get(f.name, "") for f in described.fields] for row in (first, second)]
        return forms.read_sheet(uow, described, sheet.write("x", head, texts)).wrong


CRITICAL = {"item": "EXTRA", "high": "30"}


@pytest.mark.parametrize(
    ("kind", "first", "second", "words"),
    [
        ("critical", CRITICAL, CRITICAL | {"high": "25"}, "适合同一患者"),
        ("critical", CRITICAL | {"age_low": "1", "age_high": "5"}, CRITICAL | {"age_low": "4", "age_high": "9"}, "适合同一患者"),
        ("av_range", {"item": "GLU", "low": "3", "high": "6"}, {"item": "GLU", "low": "3", "high": "7"}, "适合同一患者"),
        ("hil", *([{"item": "GLU", "index_kind": "H", "above": "1"}] * 2), "条件完全相同，请只留一行"),
        ("judge", *([{"item": "GLU", "branches": "x < 3 => 低\n* => 高"}] * 2), "条件完全相同，请只留一行"),
        ("calc", *([{"item": "EXTRA", "name": "a", "expression": '"K" + 1', "units": "K: mmol/L"}] * 2), "条件完全相同，请只留一行"),
        ("channel", *([{"analyzer": "AU1", "channel_code": "ZZ", "item": "GLU"}] * 2), "条件完全相同，请只留一行"),
    ],
)
def test_two_rows_of_a_sheet_that_would_both_count_are_told_by_line(
    world: World, kind: str, first: dict[str, str], second: dict[str, str], words: str
) -> None:
    wrong = two(kind, first, second, world)
    assert [line for line, message in wrong if words in message] == [2, 3], wrong
    assert all(words in message for _, message in wrong), wrong


def test_rows_of_a_sheet_for_other_people_stand_beside_each_other(world: World) -> None:
    young, old = CRITICAL | {"age_low": "0", "age_high": "18"}, CRITICAL | {"age_low": "18", "age_high": "120"}
    assert two("critical", young, old, world) == []
    assert two("critical", CRITICAL, CRITICAL | {"dept_class": "急诊"}, world) == []


@pytest.mark.parametrize("age", ["99999999999", "--5", "1.5", "-1"])
def test_an_age_that_no_column_holds_is_told_in_words(world: World, age: str) -> None:
    answer = propose(world, "ri", INTERVAL | {"sex": "F", "age_low": age})
    assert answer.status_code == 422 and ("不是整数" in answer.text or "年龄不能小于 0" in answer.text)
    assert propose(world, "critical", {"item": "GLU", "high": "30", "age_low": age}).status_code == 422


@pytest.mark.parametrize(("week", "words"), [("46", "孕周要在 0 到 45 之间"), ("-1", "孕周要在 0 到 45 之间")])
def test_a_week_of_pregnancy_nobody_reaches_is_refused(world: World, week: str, words: str) -> None:
    assert words in propose(world, "ri", INTERVAL | {"sex": "F", "gest_low": week}).text


def test_an_item_goes_or_is_renamed_only_when_nothing_reads_it(world: World) -> None:
    """Also by the button 提出停用, which says nothing of the row; a rule that cannot be read would stop every result."""
    with world.lab.uow() as uow:
        item = world.items["K"]
        row = rule_models.ReflexRule(code="RX", name="高钾复查", expression='"K" > 6', item_id=item, action="repeat", message="")
        uow.s.add(row)
        uow.s.flush()
        catalog.changed(uow)
        rule_id = row.id
    try:
        with world.lab.uow() as uow:
            values = catalog.present(uow, catalog.KINDS["item"], item)
            assert values is not None
            wrong = [message for _, message in service.check(uow, "item", [(item, None)])]
            assert any("高钾复查" in each and "还在使用这个项目" in each for each in wrong), wrong
            assert any("医嘱项目" in each and "还在使用它" in each for each in wrong), wrong
            for changed in ({"code": "K2"}, {"result_type": "text"}):
                wrong = [message for _, message in service.check(uow, "item", [(item, values | changed)])]
                assert any("高钾复查" in each and "改后不能再读" in each for each in wrong), (changed, wrong)
            assert service.check(uow, "item", [(item, values | {"name": "血钾"})]) == []
        answer = world.lab.client("leader").post(f"/md/edit/item/{item}", {"retire": "1", "reason": "不做了"})
        assert answer.status_code == 422 and "高钾复查" in answer.text
    finally:
        with world.lab.uow() as uow:
            uow.s.delete(uow.s.get_one(rule_models.ReflexRule, (uow.tenant_id, rule_id)))
            catalog.changed(uow)


def test_a_rule_left_unreadable_is_alerted_and_no_result_waits_for_it(world: World) -> None:
    with world.lab.uow() as uow:
        row = rule_models.ReflexRule(
            code="RY", name="旧规则", expression='"GONE" > 6', item_id=world.items["K"], action="repeat", message=""
        )
        uow.s.add(row)
        uow.s.flush()
        catalog.changed(uow)
        rule_id = row.id
    try:
        with world.lab.uow() as uow:
            watch.look(uow)
            told = [
                (a.kind, a.subject, a.fields["name"]) for a in alerts.visible(uow, frozenset({Perm.PROPOSE})) if a.subject == "reflex:RY"
            ]
            assert told == [("catalog.formula", "reflex:RY", "旧规则")]
    finally:
        with world.lab.uow() as uow:
            uow.s.delete(uow.s.get_one(rule_models.ReflexRule, (uow.tenant_id, rule_id)))
            catalog.changed(uow)
