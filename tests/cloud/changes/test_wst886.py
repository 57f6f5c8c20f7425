"""The hospital's own WS/T 886 list: loaded whole or not at all, suggestions by name, proposals like any other change (M02)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pytest

from cloud.modules.catalog import queries as md
from cloud.modules.catalog import wst886
from cloud.web import sheet
from tests.cloud.bench.world import World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase

# Invented codes: the standard's list is not in this repository.
LIST = [["9900101A", "项目K", "血清"], ["9900102A", "项目NA", ""], ["9900103A", "别的项目", ""]]


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = labs.make(fresh_db)
    yield build(lab)
    lab.db.dispose()


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ([["代码", "名称"], ["0100101a", "甲"]], []),
        ([], [(1, "文件是空的")]),
        ([["名称", "备注"], ["甲", ""]], [(1, "“代码”和“名称”")]),
        ([["代码", "名称"]], [(1, "文件里没有代码")]),
        ([["代码", "名称"], ["010010A", "甲"], ["", ""], ["0100101E", "乙"]], [(2, "7 位数字加 A–D"), (4, "7 位数字加 A–D")]),
        ([["代码", "名称"], ["0100101A", "甲"], ["0100101A", "乙"]], [(3, "与第 2 行重复")]),
        ([["代码", "名称"], ["0100101A", " "]], [(2, "没有名称")]),
    ],
)
def test_each_wrong_line_is_named(lines: Sequence[Sequence[str]], wrong: list[tuple[int, str]]) -> None:
    _rows, found = wst886.read(lines)
    assert [n for n, _ in found] == [n for n, _ in wrong]
    assert all(words in said for (_, said), (_, words) in zip(found, wrong, strict=True))


def upload(world: World, rows: Sequence[Sequence[str]]) -> tuple[int, str]:
    data = sheet.write("x", ("代码", "名称", "标本"), rows)
    answer = world.lab.client("infogroup").post("/md/wst886/load", {"file": (io.BytesIO(data), "list.xlsx")})
    return answer.status_code, answer.text


def test_a_list_with_errors_changes_nothing(world: World) -> None:
    assert upload(world, LIST)[0] == 303
    status, words = upload(world, [*LIST, ["坏", "x", ""], ["9900101A", "又一个", ""]])
    assert status == 422 and "2 处错误" in words and "与第 2 行重复" in words
    with world.lab.uow() as uow:
        assert len(md.listed_codes(uow)) == 3
    with world.lab.uow(world.lab.b) as uow:
        assert md.listed_codes(uow) == {}, "each hospital its own"
    assert upload(world, LIST[:1])[0] == 303
    with world.lab.uow() as uow:
        assert md.listed_codes(uow) == {"9900101A": "项目K"}, "a new list takes the place of the old"


def test_equal_names_are_ticked_and_proposed_as_one_change(world: World) -> None:
    upload(world, LIST)
    group = world.lab.client("infogroup")
    page = group.get("/md/wst886").text
    assert page.count(" checked>") == 2 and page.count("✓ 名称一致") == 2 and "已导入代码表 3" in page
    k, na = world.items["K"], world.items["NA"]
    asked = group.post("/md/wst886/propose", {"item": [k, na], f"code-{k}": "9900101a", f"code-{na}": "9900102A"})
    assert asked.status_code == 303
    shown = group.get(asked.headers["Location"]).text
    assert "9900101A" in shown and "9900102A" in shown and "等 2 行" in shown
    none = group.post("/md/wst886/propose", {}, htmx=True)
    assert none.status_code == 422 and "请先勾选项目" in none.text
    assert world.lab.client("tester").post("/md/wst886/propose", {"item": [k]}).status_code == 403
    assert group.post("/md/wst886/load", {}, htmx=True).status_code == 422


def test_a_code_that_is_not_in_the_list_is_shown(world: World) -> None:
    from sqlalchemy import text

    from cloud.modules.catalog import service as catalog

    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE test_item SET wst886_code = '9900999A' WHERE code = 'GLU'"))
        catalog.changed(uow)
    assert "不在已导入的标准代码表中" not in world.lab.client("infogroup").get("/md/wst886").text
    upload(world, LIST)
    assert "不在已导入的标准代码表中" in world.lab.client("infogroup").get("/md/wst886").text
