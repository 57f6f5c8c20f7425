"""A sheet that changes rows which are there (M02 /md/import): each named by its number, all lines or none, what is as it was left out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from cloud.modules.catalog import queries as md
from cloud.modules.catalog import rule_models
from cloud.modules.catalog import service as catalog
from cloud.modules.changes import forms, queries
from cloud.web import sheet
from common.errors import UserError
from tests.cloud.bench.world import World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase
from tests.support.lab import Client


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    made = build(labs.make(fresh_db))
    with made.lab.uow() as uow:
        branches = [{"when": "x < 3.5", "text": "低", "flag": "L"}, {"text": "正常", "flag": ""}]
        uow.s.add(rule_models.JudgeFormula(item_id=made.items["K"], branches=branches))
        units = {"K": "mmol/L", "NA": "mmol/L"}
        uow.s.add(rule_models.CalcFormula(item_id=made.items["EXTRA"], name="和", expression='"K" + "NA"', units=units))
        tea = {"steps": [{"to": "3.3", "abs": "0.2"}, {"pct": "6"}]}
        uow.s.execute(text("UPDATE test_item SET tea = CAST(:t AS jsonb), dilutions = '[2,5]' WHERE code = 'K'"), {"t": json.dumps(tea)})
        uow.s.execute(text("UPDATE ref_interval SET source = '本室'"))
        catalog.changed(uow)
    yield made
    made.lab.db.dispose()


def lines(world: World, kind: str) -> list[list[str]]:
    """The downloaded sheet."""
    got = world.lab.client("infogroup").get(f"/md/import/{kind}.xlsx?rows=1")
    assert got.status_code == 200
    return sheet.read(got.data)


def book(rows: list[list[str]]) -> bytes:
    return sheet.write("x", rows[0], rows[1:])


def upload(client: Client, kind: str, rows: list[list[str]], **more: str) -> Any:
    data = {"kind": kind, "file": (io.BytesIO(book(rows)), "a.xlsx"), **more}
    return client.post("/md/import", data, content_type="multipart/form-data")


@pytest.mark.parametrize("kind", catalog.KINDS)
def test_what_was_downloaded_and_brought_back_changes_nothing(world: World, kind: str) -> None:
    rows = lines(world, kind)
    with world.lab.uow() as uow:
        found = forms.read_sheet(uow, catalog.KINDS[kind], book(rows))
        assert (found.rows, found.wrong, found.same) == ([], [], len(rows) - 1)
        if found.same:
            with pytest.raises(UserError, match="没有要变更的内容"):
                forms.import_sheet(uow, catalog.KINDS[kind], book(rows), "x")


def test_changed_lines_become_one_change_that_is_approved_like_any_other(world: World) -> None:
    group = world.lab.client("infogroup")
    rows = lines(world, "ri")
    head, high, row = rows[0], rows[0].index("上限"), rows[0].index("行号")
    line = next(r for r in rows[1:] if r[high] == "5.3")
    line[high] = "5.5"
    rows.append([{"行号": "", "检验项目*": "EXTRA", "性别": "女", "上限": "35", "来源*": "本室", "来源": "本室"}.get(w, "") for w in head])
    tried = upload(group, "ri", rows, **{"try": "1"})
    assert "新增 1 行，修改 1 行，" in tried.text, tried.text
    with world.lab.uow() as uow:
        assert queries.listed(uow, "all")[1] == 0
    done = upload(group, "ri", rows, reason="换方法")
    assert done.status_code == 303
    with world.lab.uow() as uow:
        change = queries.detail(uow, int(done.headers["Location"].rsplit("/", 1)[1]))
        assert change is not None and change.row.count == 2
        drawn = uow.s.execute(text("SELECT rows FROM catalog_change")).scalar_one()
        assert [(each["id"], each["before"] is None) for each in drawn] == [(int(line[row]), False), (None, True)]
        assert md.catalog(uow).intervals[world.items["K"]][0].shown == "3.5–5.3"  # not before it is approved
    assert "5.5" in group.get(done.headers["Location"]).text


def test_two_rows_that_change_places_are_looked_at_as_they_will_be(world: World) -> None:
    with world.lab.uow() as uow:
        for whose, low in (("M", "1"), ("F", "2")):
            catalog.add_interval(uow, item_id=world.items["EXTRA"], sex=whose, low=low, high="50", method="甲", source="本室")
    rows = lines(world, "ri")
    sex, method = rows[0].index("性别"), rows[0].index("方法")
    mine = [r for r in rows[1:] if r[method] == "甲"]
    mine[0][sex], mine[1][sex] = mine[1][sex], mine[0][sex]
    with world.lab.uow() as uow:
        found = forms.read_sheet(uow, catalog.KINDS["ri"], book(rows))
        assert found.wrong == [] and len(found.rows) == 2
        mine[1][sex] = mine[0][sex]
        assert "重叠" in str(forms.read_sheet(uow, catalog.KINDS["ri"], book(rows)).wrong)


def test_a_column_that_was_taken_out_keeps_what_the_row_has(world: World) -> None:
    rows = lines(world, "item")
    keep = [rows[0].index(word) for word in ("行号", "名称*")]
    short = [[line[i] for i in keep] for line in rows]
    short[1][1] = "血清钾"
    with world.lab.uow() as uow:
        found = forms.read_sheet(uow, catalog.KINDS["item"], book(short))
        assert found.wrong == []
        [(target, values)] = found.rows
        assert target is not None and values is not None
        before = catalog.present(uow, catalog.KINDS["item"], target)
        assert before is not None and values == before | {"name": "血清钾"}


@pytest.mark.parametrize(
    ("typed", "words"), [("999", "没有第 999 行"), ("x", "没有第 x 行"), ("-1", "没有第 -1 行"), ("first", "出现两次")]
)
def test_a_row_number_that_names_nothing_or_twice_the_same_writes_nothing(world: World, typed: str, words: str) -> None:
    rows = lines(world, "ri")
    row = rows[0].index("行号")
    rows[2][row] = rows[1][row] if typed == "first" else typed
    answer = upload(world.lab.client("infogroup"), "ri", rows, reason="x")
    assert answer.status_code == 422 and words in answer.text
    with world.lab.uow() as uow:
        assert queries.listed(uow, "all")[1] == 0
