"""M02 *Bad input*, a test a line of the specification, where master data are typed: named in words, kept in the form, not written."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from werkzeug.test import TestResponse

from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.changes import forms, queries
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
        head = sheet.read(forms.template(kind, md.catalog(uow)))[0]
    names = {f"{f.label}{'*' if f.required else ''}": f.name for f in kind.fields}
    rows = [{"item": "GLU", "method": f"M{n}", "low": "1", "high": "2", "source": "说明书"} for n in range(200)]
    rows[9]["low"], rows[99]["item"], rows[150]["high"] = "3", "NOPE", "两"
    data = sheet.write("x", head, [[row.get(names[word], "") for word in head] for row in rows])
    form = {"kind": "ri", "file": (io.BytesIO(data), "a.xlsx"), "reason": "换试剂"}
    answer = world.lab.client("infogroup").post("/md/import", form, content_type="multipart/form-data")
    assert answer.status_code == 422
    assert all(words in answer.text for words in ("下限 3 不小于上限 2", "没有编码为“NOPE”的检验项目", "“两”不是数值"))
    with world.lab.uow() as uow:
        _, wrong = forms.read_sheet(uow, kind, data)
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
