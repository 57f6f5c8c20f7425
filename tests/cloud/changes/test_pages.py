"""The pages of master data as their people use them: propose, test, approve, import, formulas, coverage, exports."""

import html
import io
import re
from collections.abc import Iterator
from decimal import Decimal

import openpyxl
import pytest
from sqlalchemy import text

from cloud import relay
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.catalog.models import CriticalLimit
from cloud.modules.catalog.rule_models import AvRange, DeltaRule, HilLimit, LogicRule, ReflexRule
from cloud.modules.changes import forms, queries, watch
from cloud.web import sheet
from cloud.worker import all_handlers
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, World, build
from tests.support.database import TestDatabase
from tests.support.lab import make


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = make(fresh_db)
    yield build(lab)
    lab.db.dispose()


def test_the_way_of_a_change_through_the_pages(world: World) -> None:
    engineer, leader, group, tester = (world.lab.client(role) for role in ("engineer", "leader", "infogroup", "tester"))
    with world.lab.uow() as uow:
        row = md.catalog(uow).intervals[world.items["K"]][0].id
        world.send(uow, world.tube(uow), NORMAL)
    form = engineer.get(f"/md/edit/ri/{row}")
    assert form.status_code == 200 and "5.3" in form.text
    given = {"item": "K", "low": "5.0", "high": "4.0", "source": "本室", "age_unit": "year", "reason": "复核"}
    refused = engineer.post(f"/md/edit/ri/{row}", given)
    assert refused.status_code == 422 and "下限 5.0 不小于上限 4.0" in refused.text and 'value="本室"' in refused.text
    bad = engineer.post(f"/md/edit/ri/{row}", given | {"low": "3,5", "item": "无此"})
    assert bad.status_code == 422 and "“3,5”不是数值" in bad.text and "没有编码为“无此”的检验项目" in bad.text
    done = engineer.post(f"/md/edit/ri/{row}", given | {"low": "3.5", "high": "5.0"})
    assert done.status_code == 303
    url = done.headers["Location"]
    shown = engineer.get(url)
    assert "5.3" in shown.text and "还没有测试" in shown.text and "/test" not in shown.text
    for path in ("test", "approve/section", "approve/group", "schedule", "emergency"):  # a vendor engineer proposes only
        assert engineer.post(f"{url}/{path}").status_code == 403
    assert tester.get("/md/edit/ri/0").status_code == 403 and tester.get(url).status_code == 200
    running = leader.post(f"{url}/test", {"sample": "50"})
    assert running.status_code == 200 and "正在用最近的报告测试" in running.text
    assert leader.post(f"{url}/test", {"sample": "50"}, htmx=True).status_code == 409, "one at a time"
    relay.drain(world.lab.db, world.lab.a, all_handlers())
    assert "份已发布报告" in leader.get(url).text
    assert group.post(f"{url}/schedule").status_code == 409
    assert leader.post(f"{url}/approve/section").status_code == 200
    assert leader.post(f"{url}/approve/group").status_code == 403
    approved = group.post(f"{url}/approve/group")
    assert "已批准" in approved.text
    late = group.post(f"{url}/schedule", {"at": "2020-01-01T08:00"})
    assert late.status_code == 422 and "已经过去" in late.text
    assert "生效" in group.post(f"{url}/schedule").text
    with world.lab.uow() as uow:
        assert md.catalog(uow).intervals[world.items["K"]][0].shown == "3.5–5.0"
    assert "参考区间" in tester.get("/md/changes?show=all&item=K").text
    panel = tester.get("/md/changes/of/K")
    assert "复核" in panel.text and "新项目核对表" in panel.text
    month = world.lab.clock().strftime("%Y-%m")
    log = sheet.read(tester.get(f"/md/changes.xlsx?month={month}").data)
    assert len(log) == 2 and "复核" in log[1]
    assert tester.get("/md/changes.xlsx?month=x").status_code == 422


def upload(client: object, data: bytes, **more: str) -> object:
    return client.post("/md/import", {"kind": "ri", "file": (io.BytesIO(data), "a.xlsx"), **more}, content_type="multipart/form-data")  # type: ignore[attr-defined]


def test_an_import_with_3_bad_rows_of_200_writes_nothing(world: World) -> None:
    group = world.lab.client("infogroup")
    kind = catalog.KINDS["ri"]
    with world.lab.uow() as uow:
        head = sheet.read(forms.template(uow, kind))[0]
    names = {f"{f.label}{'*' if f.required else ''}": f.name for f in kind.fields}
    rows = [{"item": "GLU", "method": f"M{n}", "low": "1", "high": "2", "source": "说明书"} for n in range(200)]
    rows[9]["low"] = "3"  # line 11: low ≥ high
    rows[99]["item"] = "NOPE"  # line 101
    rows[150]["method"] = "M149"  # line 152 overlaps 151, and 151 it
    data = sheet.write("x", head, [[row.get(names.get(word, ""), "") for word in head] for row in rows])
    answer = upload(group, data, reason="换试剂")
    assert answer.status_code == 422  # type: ignore[attr-defined]
    text = answer.text  # type: ignore[attr-defined]
    assert "下限 3 不小于上限 2" in text and "没有编码为“NOPE”的检验项目" in text and "本批第" in text
    with world.lab.uow() as uow:
        assert queries.listed(uow, "all")[1] == 0
        wrong = forms.read_sheet(uow, kind, data).wrong
        assert {line for line, _ in wrong} == {11, 101, 151, 152}
        with pytest.raises(UserError, match="没有导入任何一行"):
            forms.import_sheet(uow, kind, data, "x")
    rows[9]["low"], rows[99]["item"], rows[150]["method"] = "1", "GLU", "M150"
    good = sheet.write("x", head, [[row.get(names.get(word, ""), "") for word in head] for row in rows])
    tried = upload(group, good, **{"try": "1"})
    assert "试导入通过：新增 200 行" in tried.text  # type: ignore[attr-defined]  # a page's answer
    with world.lab.uow() as uow:
        assert queries.listed(uow, "all")[1] == 0
    assert upload(group, good, reason="换试剂").status_code == 303  # type: ignore[attr-defined]
    with world.lab.uow() as uow:
        found, total = queries.listed(uow, "all")
        assert total == 1 and found[0].count == 200
    for data, words in ((b"PK", "Excel"), (sheet.write("x", ["乱"], []), "不认识的列"), (sheet.write("x", [], []), "空的")):
        refused = upload(group, data, reason="x")
        assert refused.status_code == 422 and words in refused.text  # type: ignore[attr-defined]
    assert group.post("/md/import", {"kind": "ri"}).status_code == 422
    assert group.get("/md/import").status_code == 200 and group.get("/md/import/nope.xlsx").status_code == 404


def test_rules_lead_to_their_change_only_who_may_propose_one(world: World) -> None:
    with world.lab.uow() as uow:
        uow.s.add(LogicRule(code="K_NA", name="钾不低于钠", section_id=world.section, expression='"K" >= "NA"', message="钾钠颠倒"))
        uow.s.add(ReflexRule(code="K_R", name="钾高复查", expression='"K" > 7', item_id=world.items["K"]))
    for role, leads in (("leader", True), ("verifier", False)):
        page = world.lab.client(role).get("/md/formulas").text
        assert "钾不低于钠" in page and "钾高复查" in page
        assert ('href="/md/edit/logic/' in page, 'href="/md/edit/reflex/' in page) == (leads, leads), role


def test_the_formula_editor(world: World) -> None:
    leader = world.lab.client("leader")
    assert 'data-insert="&#34;K&#34;"' in leader.get("/md/formulas?item=EXTRA").text
    wrong = leader.post("/md/formulas/check", {"kind": "calc", "expression": '"K" + nope'})
    assert "第 7 个字符 “nope”" in wrong.text and 'data-at="6" data-length="4"' in wrong.text
    text = '("K" + "NA") / 3'
    right = leader.post("/md/formulas/check", {"kind": "calc", "item": "EXTRA", "expression": text, "in:K": "4.0", "in:NA": "140"})
    assert "= 48 U/L（48.0）" in right.text and "mmol/L" in right.text
    why = leader.post("/md/formulas/check", {"kind": "calc", "expression": text, "in:K": "<2", "in:NA": "140"})
    assert "无法计算" in why.text and "只有界限" in why.text
    judged = leader.post("/md/formulas/check", {"kind": "judge", "item": "K", "expression": "x < 3 => 低 | L\n* => 可", "in:x": "2.94"})
    assert "2.9 → 低 L" in judged.text
    tried = leader.post("/md/formulas/dryrun", {"kind": "calc", "item": "EXTRA", "name": "和", "expression": text})
    assert tried.status_code == 200 and "正在用最近的报告测试" in tried.text
    followed = re.search(r'hx-get="(/md/trials/[0-9]+)"', tried.text)
    assert followed is not None
    relay.drain(world.lab.db, world.lab.a, all_handlers())
    assert "份已发布报告" in leader.fragment(followed[1]).text
    assert leader.post("/md/formulas/dryrun", {"kind": "calc", "item": "EXTRA", "name": "和", "expression": '"EXTRA"'}).status_code == 422
    done = leader.post("/md/formulas", {"kind": "calc", "item": "EXTRA", "name": "和", "expression": text, "reason": "新公式"})
    assert done.status_code == 303 and "新公式" in leader.get(done.headers["Location"]).text
    done = leader.post("/md/formulas", {"kind": "judge", "item": "K", "expression": "x < 3 => 低 | L\n* => 可", "reason": "r"})
    assert done.status_code == 303


def test_catalog_pages_and_exports(world: World) -> None:
    tester = world.lab.client("tester")
    with world.lab.uow() as uow:
        catalog.add_interval(uow, item_id=world.items["K"], sex="F", age_low=18, low=3, high=4)
    for url, words in (
        ("/md/items/K", "年龄与性别的覆盖"),
        ("/md/ri", "没有空缺"),
        ("/md/ri?show=all", "K"),
        ("/md/ri?item=K", "<svg"),
        ("/md/maps", "仪器通道与编码对照"),
        ("/md/wst886", "未对应"),
        ("/md/changes", "变更控制"),
    ):
        answer = tester.get(url)
        assert answer.status_code == 200 and words in answer.text, url
    handbook = sheet.read(tester.get("/md/items.xlsx").data)
    assert len(handbook) == 6 and "占位值，未经本实验室批准" in handbook[1]
    missing = sheet.read(tester.get("/md/unmapped.xlsx").data)
    assert [row[2] for row in missing[1:]] == ["K", "NA", "GLU", "CREA", "EXTRA"]
    assert tester.get("/md/items/NOPE").status_code == 404 and tester.get("/md/changes/999").status_code == 404


def test_whatever_the_items_page_shows_leads_to_its_change(world: World) -> None:
    """What could only be changed by a sheet before: limits, rules, ranges, channels and order sets have their form a click away."""
    leader, tester = world.lab.client("leader"), world.lab.client("tester")
    with world.lab.uow() as uow:
        item = world.items["K"]
        uow.s.add_all([
            CriticalLimit(item_id=item, low=Decimal("2.5"), high=Decimal("6.5")),
            DeltaRule(item_id=item, kind="percent", limit_up=Decimal(20), window_h=72),
            AvRange(item_id=item, low=Decimal(3), high=Decimal(6)),
            HilLimit(item_id=item, index_kind="H", above=Decimal(100), action="hold"),
        ])  # fmt: skip
        catalog.changed(uow)
    page = leader.fragment("/md/items/K").text
    links = set(re.findall(r'href="(/md/edit/([a-z_]+)/[1-9]\d*)"', page))
    assert {kind for _, kind in links} >= {"critical", "delta", "av_range", "hil", "channel", "order_set"}
    sets = set(re.findall(r'href="(/md/edit/(order_set)/\d+)"', leader.get("/md/ordersets").text))
    assert len(sets) > 1
    assert {url: leader.get(url).status_code for url, _ in links | sets} == {url: 200 for url, _ in links | sets}
    assert "/md/edit/" not in tester.fragment("/md/items/K").text and "/md/edit/" not in tester.get("/md/ordersets").text


def test_what_is_left_undone_alerts(world: World) -> None:
    with world.lab.uow() as uow:
        from cloud.modules.catalog import models, rule_models

        item = uow.s.get(models.TestItem, (world.tenant, world.items["GLU"]))
        assert item is not None
        row = uow.s.query(models.RefInterval).filter_by(item_id=item.id).one()
        row.age_low = 18
        uow.s.add(rule_models.CalcFormula(item_id=world.items["EXTRA"], name="x", expression='"K" + 1', units={"K": "mg/dL"}))
        uow.s.flush()
        watch.look(uow)
    leader = world.lab.client("leader")
    shown = leader.get("/alerts").text
    assert "没有 WS/T 886 代码" in shown and "公式不能计算" in shown
    # One a section, and its link shows exactly the items it counts.
    [(link, words)] = re.findall(r'<a href="(/md/ri\?show=holes[^"]*)">([^<]*)</a>', shown)
    assert words.startswith("生化组有 1 个项目的参考区间有空缺：项目GLU"), words
    listed = leader.get(html.unescape(link)).text
    assert re.findall(r'href="/md/ri\?item=(\w+)"', listed) == ["GLU"] and "男 0小时–18岁" in listed
    assert leader.get("/md/ri?show=holes&section=NOPE").status_code == 404
    with world.lab.uow() as uow:
        row = uow.s.query(models.RefInterval).filter_by(item_id=world.items["GLU"]).one()
        row.age_low = None
        uow.s.flush()
        watch.look(uow)
    assert "项目GLU" not in leader.get("/alerts?show=open").text.split("已消除")[0]


def test_a_number_that_nothing_flags_is_told_to_its_section(world: World) -> None:
    """Neither an interval nor a judgement: no result of it is ever high or low, and nobody would notice."""
    from cloud.modules.catalog import models, rule_models

    def told() -> list[tuple[str, str]]:
        with world.lab.uow() as uow:
            watch.look(uow)
        return re.findall(r'<a href="(/md/ri\?show=none[^"]*)">([^<]*)</a>', world.lab.client("leader").get("/alerts").text)

    with world.lab.uow() as uow:
        uow.s.query(models.RefInterval).filter_by(item_id=world.items["GLU"]).delete()
        catalog.changed(uow)
    [(link, words)] = told()
    listed = re.findall(r'href="/md/ri\?item=([\w%#-]+)"', world.lab.client("leader").get(html.unescape(link)).text)
    assert "GLU" in listed and f"有 {len(listed)} 个数值项目没有参考区间" in words
    with world.lab.uow() as uow:
        known = md.catalog(uow)
        assert all(known.items_by_code[code].result_type == "numeric" for code in listed)
        uow.s.add(rule_models.JudgeFormula(item_id=world.items["GLU"], branches=[{"text": "见报告"}]))
        catalog.changed(uow)
    after = told()
    assert not after or f"有 {len(listed) - 1} 个" in after[0][1]


def test_an_unreadable_rule_is_told_where_its_items_are_examined(world: World) -> None:
    from cloud.modules.catalog import rule_models
    from cloud.modules.platform import models as platform

    with world.lab.uow() as uow:
        uow.s.add(rule_models.LogicRule(code="BAD", name="坏规则", expression='"K" + "GONE" >', action="hold", message="x"))
        uow.s.add(rule_models.LogicRule(code="NONE", name="无项目的坏规则", expression="1 +", action="hold", message="x"))
        catalog.changed(uow)
    with world.lab.uow() as uow:
        watch.look(uow)
    with world.lab.uow() as uow:
        found = {a.subject: list(a.at) for a in uow.s.query(platform.Alert).filter_by(kind="catalog.formula")}
        home = md.catalog(uow)
        assert found == {"logic:BAD": [home.sections[home.items[world.items["K"]].section_id].code], "logic:NONE": []}


def test_the_tests_a_change_would_touch_are_a_list(world: World) -> None:
    leader, clinician = world.lab.client("leader"), world.lab.client("clinician")
    none = leader.get("/md/changes/of/K").text
    assert "/md/waiting" not in none
    with world.lab.uow() as uow:
        tubes = [world.tube(uow) for _ in range(3)]
        world.send(uow, tubes[0], NORMAL)
        barcodes = {row[0] for row in uow.s.execute(text("SELECT barcode FROM specimen"))}
    panel = leader.get("/md/changes/of/K").text
    found = re.search(r'href="(/md/waiting[^"]*)">[^<]*<b>(\d+)</b>', panel)
    assert found is not None and found[2] == "3"
    shown = leader.get(found[1]).text
    assert all(code in shown for code in barcodes) and "已出结果" in shown and "待检" in shown
    both = leader.get("/md/waiting?item=K&item=NA&item=NONE").text
    assert both.count("<tr>") > shown.count("<tr>")
    book = leader.get("/md/waiting.xlsx?item=K")
    rows = list(openpyxl.load_workbook(io.BytesIO(book.data)).active.values)  # type: ignore[union-attr]  # a book made just now has a sheet
    assert {row[0] for row in rows} >= barcodes and len([r for r in rows if r[0] in barcodes]) == 3
    assert leader.get("/md/waiting?item=NONE").status_code == 404 and leader.get("/md/waiting").status_code == 404
    assert clinician.get("/md/waiting?item=K").status_code == 403


def test_the_items_page_draws_what_its_intervals_cover(world: World) -> None:
    tester = world.lab.client("tester")
    for shown in (tester.get("/md/items/K").text, tester.fragment("/md/items/K").text, tester.get("/md/ri?item=K").text):
        assert '<svg class="coverage"' in shown
    assert "formulas.css" in tester.get("/md/items/K").text and "formulas.css" in tester.get("/md/items").text


@pytest.mark.parametrize(
    ("text_", "wrong"),
    [
        ("x < 3 => 低 | L\nx < nope => 高\n* => 可", "nope"),
        ("x < 3 => 低 | L\r\n  x <  => 高\r\n* => 可", ""),
        ("x < 3 => 低 | L\r\nnope > 1 => 高\r\n* => 可", "nope"),
        ("x < 3 => 低 | L\r\n 没有箭头\r\n* => 可", "没有箭头"),
        ("  没有箭头", "没有箭头"),
    ],
)
def test_a_judgement_that_cannot_be_read_leads_to_its_place(world: World, text_: str, wrong: str) -> None:
    """The place counts in the whole text as the browser counts it, one for the end of a line."""
    answer = world.lab.client("leader").post("/md/formulas/check", {"kind": "judge", "item": "K", "expression": text_})
    found = re.search(r'data-at="(-?\d+)" data-length="(\d+)"', answer.text)
    assert found is not None and "data-goto" in answer.text, answer.text
    at, length, shown = int(found[1]), int(found[2]), text_.replace("\r\n", "\n")
    assert shown[at : at + length] == wrong if wrong else shown[:at].rstrip().endswith("x <"), (at, length)


def test_a_formula_of_several_lines_leads_to_its_place_as_the_browser_counts(world: World) -> None:
    answer = world.lab.client("leader").post("/md/formulas/check", {"kind": "calc", "expression": '"K"\r\n+ 1\r\n+ nope'})
    found = re.search(r'data-at="(\d+)"', answer.text)
    assert found is not None and '"K"\n+ 1\n+ nope'[int(found[1]) :] == "nope"


def test_a_change_is_told_to_whose_turn_it_is(world: World) -> None:
    """A proposal lay until somebody happened upon the list: neither who tests nor who schedules was told."""
    from cloud.modules.changes.models import CatalogChange

    with world.lab.uow() as uow:
        for n, state in enumerate(("draft", "draft", "tested", "approved", "scheduled", "active")):
            uow.s.add(CatalogChange(kind="ri", title=f"变更{n}", reason="本室验证", items=["K"], rows=[], requested_name="甲",
                                    requested_at=uow.now, state=state))  # fmt: skip
    turns = {"待测试": 2, "待批准": 1, "待排期": 1}
    seen = {}
    for role in ("leader", "quality", "infogroup", "engineer"):
        shown = world.lab.client(role).get("/").text
        found = re.findall(r'href="/md/changes\?show=(\w+)"[^>]*>(.*?)</a>', shown, re.S)
        seen[role] = {word: int(re.sub(r"\D", "", re.sub("<[^>]*>", "", text_))) for _, text_ in found for word in turns if word in text_}
    assert seen["infogroup"] == turns
    assert seen["leader"] == seen["quality"] == {"待测试": 2, "待批准": 1}
    assert seen["engineer"] == {}
