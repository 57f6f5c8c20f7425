"""Changes of master data from proposal to retirement, on PostgreSQL; what each refuses, in words."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text

from cloud.db.session import Actor, UnitOfWork
from cloud.modules.bench import models as bench
from cloud.modules.catalog import models as rows_of
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.changes import forms, models, queries, service
from cloud.modules.changes.rules import BOXES, State
from cloud.modules.qc.models import QcPlan
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, World, build
from tests.support.database import TestDatabase
from tests.support.lab import Clock, make

NOW = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
ENGINEER, LEADER, GROUP = (Actor(name, user_id=n) for n, name in enumerate(("工程师", "组长", "信息组"), 1001))


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = make(fresh_db, Clock(NOW))
    yield build(lab)
    lab.db.dispose()


def as_(world: World, who: Actor) -> Any:
    return world.lab.db.tenant(world.tenant, who)


def row_of(uow: UnitOfWork, kind: str, item: str) -> tuple[int, dict[str, Any]]:
    """Id and plain values of an item's row of a kind."""
    known = md.catalog(uow)
    rows: Any = {"ri": known.intervals, "critical": known.criticals}[kind][known.items_by_code[item].id]
    values = catalog.present(uow, catalog.KINDS[kind], rows[0].id)
    assert values is not None
    return rows[0].id, values


def propose_k(world: World, who: Actor = ENGINEER, **new: Any) -> int:
    with as_(world, who) as uow:
        target, values = row_of(uow, "ri", "K")
        return service.propose(uow, "ri", [(target, values | {"high": "5.0", "source": "本室验证"} | new)], "试剂换代后复核", "T-1")


def past_reports(world: World, values: list[str]) -> None:
    with world.lab.uow() as uow:
        for value in values:
            world.send(uow, world.tube(uow), NORMAL | {"K": value})
        uow.s.execute(text("UPDATE result_version SET released_at = at"))
        uow.s.execute(text("UPDATE test /* by hand */ SET state = 'released' WHERE current_id IS NOT NULL"))


def k_high(world: World) -> Decimal | None:
    with world.lab.uow() as uow:
        known = md.catalog(uow)
        return known.intervals[world.items["K"]][0].high


def test_the_whole_way_of_a_change(world: World) -> None:
    past_reports(world, ["4.1", "5.1", "5.2", "5.4"])
    change = propose_k(world)
    assert k_high(world) == Decimal("5.3")
    with as_(world, LEADER) as uow:
        report = service.put_to_test(uow, change)
        assert (report["sample"], report["changed"], report["flags"], report["critical"]) == (4, 2 + 2, 2, 0)
        # 5.4 was high before; all four print the new interval, two get a new arrow.
        assert {(d["old"], d["new"]) for d in report["differences"]} == {
            ("4.1", "4.1"),
            ("5.1", "5.1 ↑"),
            ("5.2", "5.2 ↑"),
            ("5.4 ↑", "5.4 ↑"),
        }
    assert k_high(world) == Decimal("5.3"), "a dry run writes nothing"
    with as_(world, LEADER) as uow:
        assert service.approve(uow, change, "section") is State.TESTED
    with as_(world, GROUP) as uow:
        assert service.approve(uow, change, "group") is State.APPROVED
        assert service.schedule(uow, change, NOW + timedelta(days=1)) is State.SCHEDULED
        assert service.activate_due(uow) == []
    world.lab.clock.set(NOW + timedelta(days=1))
    with world.lab.uow() as uow:
        assert service.activate_due(uow) == [change]
        found = md.catalog(uow).intervals[world.items["K"]][0]
        assert (found.high, found.placeholder, found.source) == (Decimal("5.0"), False, "本室验证")
        log = queries.month_log(uow, NOW, NOW + timedelta(days=9))
        assert [(r.id, r.requested_name, r.section_name, r.group_name, r.ticket) for r in log] == [
            (change, "工程师", "组长", "信息组", "T-1")
        ]
    # Yesterday's report keeps its own interval (C8).
    with world.lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM outbox_event WHERE topic = 'catalog.changed'")).scalar_one() == 1
        kept = uow.s.scalars(select(bench.ResultVersion).where(bench.ResultVersion.item_id == world.items["K"])).all()
        assert {each.ref_text for each in kept} == {"3.5–5.3"}
    again = propose_k(world, high="5.1")
    with as_(world, LEADER) as uow:
        service.emergency(uow, again, "批准前误报过多")
        row = uow.s.get(models.CatalogChange, (uow.tenant_id, change))
        assert row is not None and row.state == State.RETIRED
    assert k_high(world) == Decimal("5.1")


def test_an_emergency_is_approved_afterwards_or_alerts(world: World) -> None:
    change = propose_k(world)
    with as_(world, LEADER) as uow, pytest.raises(UserError, match="写明原因"):
        service.emergency(uow, change, " ")
    with as_(world, LEADER) as uow:
        service.emergency(uow, change, "错误区间")
    assert k_high(world) == Decimal("5.0")
    with world.lab.uow() as uow:
        assert [each.id for each in queries.unapproved_emergencies(uow)] == [change]
    with as_(world, LEADER) as uow:
        assert service.approve(uow, change, "section") is State.ACTIVE
    with as_(world, GROUP) as uow:
        service.approve(uow, change, "group")
        assert queries.unapproved_emergencies(uow) == []


def test_four_eyes_and_states(world: World) -> None:
    change = propose_k(world, LEADER)
    with as_(world, GROUP) as uow, pytest.raises(UserError, match="须先完成测试"):
        service.approve(uow, change, "group")
    with as_(world, LEADER) as uow:
        service.put_to_test(uow, change)
    with as_(world, LEADER) as uow, pytest.raises(UserError, match="申请人不能批准"):
        service.approve(uow, change, "section")
    with as_(world, ENGINEER) as uow:
        service.approve(uow, change, "section")
    with as_(world, ENGINEER) as uow, pytest.raises(UserError, match="两个人"):
        service.approve(uow, change, "group")
    with as_(world, GROUP) as uow, pytest.raises(UserError, match="不能改为“已排期”"):
        service.schedule(uow, change)
    with as_(world, GROUP) as uow:
        row = queries.detail(uow, change)
        assert row is not None
        version = row.row.version
        service.approve(uow, change, "group", version)
    with as_(world, GROUP) as uow, pytest.raises(UserError, match="已被他人处理") as caught:
        service.withdraw(uow, change, "不用了", version)
    assert caught.value.code == "stale"
    with as_(world, GROUP) as uow:
        service.withdraw(uow, change, "不用了")
    with as_(world, GROUP) as uow, pytest.raises(UserError, match="已撤回"):
        service.put_to_test(uow, change)
    with as_(world, GROUP) as uow, pytest.raises(UserError, match="不存在"):
        service.withdraw(uow, 999_999, "x")


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(world: World) -> None:
    first, second = propose_k(world), propose_k(world, high="4.9")
    with as_(world, LEADER) as uow:
        service.emergency(uow, first, "x")
    with as_(world, LEADER) as uow, pytest.raises(UserError, match="已被修改") as caught:
        service.emergency(uow, second, "x")
    assert caught.value.code == "stale" and k_high(world) == Decimal("5.0")


def test_a_scheduled_change_that_no_longer_fits_goes_back_and_says_why(world: World) -> None:
    change = propose_k(world)
    for who, side in ((LEADER, "section"), (GROUP, "group")):
        with as_(world, who) as uow:
            if side == "section":
                service.put_to_test(uow, change)
            service.approve(uow, change, side)
    with as_(world, GROUP) as uow:
        service.schedule(uow, change, NOW + timedelta(hours=1))
    with as_(world, LEADER) as uow:
        service.emergency(uow, propose_k_in(uow, "4.8"), "x")
    world.lab.clock.set(NOW + timedelta(hours=2))
    with world.lab.uow() as uow:
        assert service.activate_due(uow) == []
        row = queries.detail(uow, change)
        assert row is not None and row.row.state is State.DRAFT and "已被修改" in row.closed_reason
    assert k_high(world) == Decimal("4.8")


def propose_k_in(uow: UnitOfWork, high: str) -> int:
    target, values = row_of(uow, "ri", "K")
    return service.propose(uow, "ri", [(target, values | {"high": high, "source": "x"})], "y")


BAD: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("ri", {"item": "K", "low": "3.0", "high": "5.0", "source": "x"}, "重叠"),
    ("ri", {"item": "K", "sex": "F", "low": "5.0", "high": "5.0", "source": "x"}, "不小于上限"),
    ("critical", {"item": "NA", "dept_class": "ICU", "low": "160", "high": "120"}, "不小于上限"),
    ("critical", {"item": "NA", "low": "110", "high": "170"}, "条件完全相同"),
    ("item", {"code": "X", "unit": "μmol/L"}, "UCUM"),
    ("item", {"code": "X", "decimals": -1}, "小数位数 -1"),
    ("item", {"code": "K"}, "已被第"),
    ("item", {"code": 'X"Y'}, "引号"),
    ("item", {"code": "X", "wst886_code": "010"}, "WS/T 886"),
    ("item", {"code": "X", "amr_low": "5", "amr_high": "1"}, "不小于上限"),
    ("item", {"code": "X", "amr_high": "10", "crr_high": "1"}, "可报告上限"),
    ("item", {"code": "X", "tea": {"steps": [{"abs": "1"}, {"pct": "1"}]}}, "最后一段"),
    *(("item", {"code": "X", "dilutions": f"2,{wrong}"}, "大于 1 的倍数") for wrong in ("1_0", "五", "1", "NaN")),
    ("av_range", {"item": "K", "low": "2.5", "high": "6.0"}, "越过危急值下限 2.8"),
    ("av_range", {"item": "K", "low": "2.8", "high": None}, "越过危急值上限 6.2"),
    ("delta", {"item": "K", "kind": "absolute", "window_h": 72}, "至少填写一项"),
    ("delta", {"item": "K", "kind": "rcv", "window_h": 72}, "RCV"),
    ("delta", {"item": "K", "kind": "percent", "limit_up": "-5", "window_h": 0}, "大于 0"),
    ("logic", {"code": "L", "name": "n", "expression": '"K" >'}, "没有写完"),
    ("logic", {"code": "L", "name": "n", "expression": '"K" + 1'}, "条件"),
    ("calc", {"item": "EXTRA", "name": "n", "expression": '"NOPE" + 1'}, '第 1 个字符 “"NOPE"”：没有编码为 NOPE'),
    ("calc", {"item": "EXTRA", "name": "n", "expression": '"K" + 1', "units": {"K": "mg/dL"}}, "单位 mg/dL 书写，项目现为 mmol/L"),
    ("calc", {"item": "EXTRA", "name": "n", "expression": '"K" + 1', "units": {}}, "没有声明"),
    ("judge", {"item": "K", "branches": [{"when": "x < 3", "text": "低"}]}, "默认分支"),
    ("judge", {"item": "K", "branches": [{"when": "x <", "text": "低"}, {"text": "高"}]}, "没有写完"),
    ("hil", {"item": "K", "index_kind": "H", "above": "-1"}, "不能小于 0"),
    ("order_set", {"members": ["K", "NOPE"]}, "没有编码为 NOPE"),
    ("channel", {"factor": "0"}, "不能为 0"),
)


def test_bad_input_is_named_and_nothing_is_written(world: World) -> None:
    base: dict[str, dict[str, Any]] = {
        "item": {"name": "新项目", "abbr": "X", "section": "CHEM", "result_type": "numeric", "decimals": 1},
        "order_set": {"code": "N", "name": "新", "abbr": "N", "section": "CHEM", "specimen": "SER", "container": "Y", "volume_ml": "2"},
        "channel": {"analyzer": "AU1", "channel_code": "Z", "item": "K", "factor": "1"},
    }
    for kind, values, words in BAD:
        with as_(world, ENGINEER) as uow:
            with pytest.raises(UserError) as caught:
                service.propose(uow, kind, [(None, base.get(kind, {}) | values)], "x")
            assert words in caught.value.message and caught.value.code == "invalid", (kind, values)
    with world.lab.uow() as uow:
        assert uow.s.scalars(select(models.CatalogChange)).all() == []


@pytest.mark.parametrize("wrong", ["1_0", "1e999", "六", ""])
def test_bad_input_an_allowed_error_that_is_no_number_is_named(world: World, wrong: str) -> None:
    with world.lab.uow() as uow:
        item = catalog.KINDS["item"]
        for written in (f"≤3.3: 0.2\n{wrong}%", f"≤{wrong}: 0.2\n6%"):
            found = forms.values_of(item, {"code": "X", "tea": written}, md.catalog(uow))[1]
            assert [w.field for w in found if f"“{wrong}”不是数值" in str(w.message)] == ["允许总误差"], written
        found = forms.values_of(item, {"code": "X", "amr_low": wrong}, md.catalog(uow))[1]
        assert [w.field for w in found if f"“{wrong}”不是数值" in str(w.message)] == (["分析测量范围下限"] if wrong else [])
        assert forms.values_of(item, {"code": "X", "tea": "≤3.3: 0.20\n6%"}, md.catalog(uow))[0]["tea"] == {
            "steps": [{"to": "3.3", "abs": "0.20"}, {"pct": "6"}]
        }


def test_ac_md_7_a_circle_of_formulas_is_refused(world: World) -> None:
    def calc(item: str, uses: str) -> dict[str, Any]:
        return {"item": item, "name": item, "expression": f'"{uses}" + 1', "units": {uses: {"K": "mmol/L", "EXTRA": "U/L"}[uses]}}

    with as_(world, LEADER) as uow:
        service.emergency(uow, service.propose(uow, "calc", [(None, calc("EXTRA", "K"))], "x"), "x")
    with as_(world, LEADER) as uow, pytest.raises(UserError, match="循环引用：.*K.*EXTRA"):
        service.propose(uow, "calc", [(None, calc("K", "EXTRA"))], "x")
    with as_(world, LEADER) as uow, pytest.raises(UserError, match="循环引用：K → K"):
        service.propose(uow, "calc", [(None, calc("K", "K"))], "x")
    with as_(world, LEADER) as uow, pytest.raises(UserError, match="公式 项目EXTRA 还在使用"):
        known = md.catalog(uow)
        values = catalog.present(uow, catalog.KINDS["item"], known.items_by_code["K"].id)
        assert values is not None
        service.propose(uow, "item", [(world.items["K"], values | {"active": False})], "x")


def test_two_new_formulas_of_one_batch_make_no_circle_either(world: World) -> None:
    rows = [
        (None, {"item": "K", "name": "k", "expression": '"NA"', "units": {"NA": "mmol/L"}}),
        (None, {"item": "NA", "name": "n", "expression": '"K"', "units": {"K": "mmol/L"}}),
    ]
    with as_(world, LEADER) as uow, pytest.raises(UserError, match="循环引用"):
        service.propose(uow, "calc", rows, "x")


def test_a_formula_is_dry_run_over_past_reports(world: World) -> None:
    past_reports(world, ["4.0", "5.0"])
    formula = {"item": "EXTRA", "name": "和", "expression": '"K" + "NA"', "units": {"K": "mmol/L", "NA": "mmol/L"}}
    with as_(world, LEADER) as uow:
        report = service.put_to_test(uow, service.propose(uow, "calc", [(None, formula)], "x"))
        assert report["sample"] == 2
        # 144.2 and 145.2: over 40, so high; EXTRA prints with no decimals.
        assert sorted((d["old"], d["new"]) for d in report["differences"]) == [("", "144 ↑"), ("", "145 ↑")]


def test_a_new_item_is_not_activated_with_open_boxes(world: World) -> None:
    new = {
        "code": "NEW",
        "name": "新项目",
        "abbr": "NEW",
        "section": "CHEM",
        "result_type": "numeric",
        "decimals": 1,
        "unit": "g/L",
        "active": False,
    }
    values, wrong = None, None
    with as_(world, LEADER) as uow:
        values, wrong = catalog.parse(catalog.KINDS["item"], new, md.catalog(uow))
        assert wrong == []
        service.emergency(uow, service.propose(uow, "item", [(None, values)], "开展新项目"), "x")
    with as_(world, LEADER) as uow:
        item = md.catalog(uow).items_by_code["NEW"]
        assert not item.active and item.pinyin == "xxm"
        before = catalog.present(uow, catalog.KINDS["item"], item.id)
        assert before is not None
        with pytest.raises(UserError, match="未完成的必填项：仪器通道、参考区间") as caught:
            service.propose(uow, "item", [(item.id, before | {"active": True})], "启用")
        assert "项目资料" not in caught.value.message
        with pytest.raises(UserError, match="写明"):
            service.close_box(uow, "NEW", "qc", "")
        for code, _ in BOXES:
            service.close_box(uow, "NEW", code, "不适用：外送")
        service.emergency(uow, service.propose(uow, "item", [(item.id, before | {"active": True})], "启用"), "x")
    with world.lab.uow() as uow:
        assert md.catalog(uow).items_by_code["NEW"].active


def test_a_plan_on_every_analyzer_closes_the_box_of_quality_control(world: World) -> None:
    def closed() -> tuple[bool, str]:
        with world.lab.uow() as uow:
            [box] = [b for b in queries.checklist(uow, md.catalog(uow).items_by_code["K"]) if b.code == "qc"]
            return box.closed, box.how

    assert closed() == (False, "")
    with world.lab.uow() as uow:
        uow.s.execute(text("DELETE FROM analyzer_item_map WHERE item_id = :i"), {"i": world.items["K"]})
        for code in ("QX1", "QX2"):
            row = rows_of.Analyzer(code=code, name=code, section_id=world.section)
            uow.s.add(row)
            uow.s.flush()
            uow.s.add(rows_of.AnalyzerItemMap(analyzer_id=row.id, channel_code="K", item_id=world.items["K"]))
            if code == "QX1":
                uow.s.add(QcPlan(analyzer_id=row.id, item_id=world.items["K"]))
            else:
                second = row.id
    assert closed() == (False, "")  # one of the two has none
    with world.lab.uow() as uow:
        plan = QcPlan(analyzer_id=second, item_id=world.items["K"])
        uow.s.add(plan)
    assert closed() == (True, "2 台仪器有质控计划")
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE qc_plan SET active = false WHERE analyzer_id = :a"), {"a": second})
    assert closed() == (False, "")


def test_a_retired_row_is_kept_and_taken_up_again(world: World) -> None:
    channel = {
        "analyzer": "AU1",
        "channel_code": "K+",
        "item": "K",
        "factor": "1",
        "offset": "0",
        "dilution": "1",
        "priority": 1,
        "unit": "",
    }
    with as_(world, LEADER) as uow:
        service.emergency(uow, service.propose(uow, "channel", [(None, channel)], "x"), "x")
        first = md.catalog(uow).channel(world.analyzer, "K+")
        assert first is not None
        service.emergency(uow, service.propose(uow, "channel", [(first.id, None)], "停用"), "x")
        assert md.catalog(uow).channel(world.analyzer, "K+") is None
        service.emergency(uow, service.propose(uow, "channel", [(None, channel | {"factor": "2"})], "恢复"), "x")
        again = md.catalog(uow).channel(world.analyzer, "K+")
        assert again is not None and (again.id, again.factor) == (first.id, Decimal(2))


def test_another_hospital_sees_and_touches_nothing(world: World) -> None:
    change = propose_k(world)
    with world.lab.db.tenant(world.lab.b, replace(LEADER)) as uow:
        assert queries.listed(uow, "all") == ([], 0)
        assert queries.detail(uow, change) is None
        with pytest.raises(UserError, match="不存在"):
            service.put_to_test(uow, change)


def test_lists_by_state_and_item(world: World) -> None:
    change = propose_k(world)
    with world.lab.uow() as uow:
        assert [each.id for each in queries.listed(uow)[0]] == [change]
        assert queries.listed(uow, item="K")[1] == 1 and queries.listed(uow, item="NA")[1] == 0
        assert queries.listed(uow, "active")[1] == 0
        found = queries.detail(uow, change)
        assert found is not None
        fields = {each.label: (each.before, each.after) for each in found.diffs[0].fields}
        assert fields == {"上限": ("5.3", "5.0"), "来源": ("—", "本室验证")}


def test_an_edition_of_breakpoints_is_a_change_like_any_other(world: World) -> None:
    kinds = {name: {f.name: "" for f in catalog.KINDS[name].fields} | {"active": "是"} for name in ("breakpoint_set", "breakpoint")}
    with as_(world, ENGINEER) as uow:
        known = md.catalog(uow)
        edition, wrong = catalog.parse(catalog.KINDS["breakpoint_set"], kinds["breakpoint_set"] | {"standard": "CLSI"}, known)
        assert [each.message for each in wrong] == ["版本（年）没有填写。", "启用日期没有填写。", "来源没有填写。"]
        given = kinds["breakpoint_set"] | {"standard": "CLSI", "edition": "2026", "effective": "2026/05/01", "source": "虚构"}
        edition, wrong = catalog.parse(catalog.KINDS["breakpoint_set"], given, known)
        assert not wrong and edition["effective"] == "2026-05-01"
        for number, year in ((1, 2025), (2, 2026)):
            assert service.propose(uow, "breakpoint_set", [(None, edition | {"edition": year})], "新版本") == number
    for change in (1, 2):
        approve(world, change)
    rows = [
        {"organism": "肠杆菌目", "level": "组群", "drug": "TZP", "method": "MIC", "s": "16", "r": "128", "set": "CLSI-2025"},
        {"organism": "肠杆菌目", "level": "组群", "drug": "TZP", "method": "MIC", "s": "8", "sdd": "16", "r": "32", "set": "CLSI-2026"},
        {
            "organism": "肠杆菌目",
            "level": "组群",
            "drug": "FEP",
            "method": "纸片",
            "disk_ug": "30",
            "s": "25",
            "r": "18",
            "set": "CLSI-2026",
        },
    ]
    with as_(world, ENGINEER) as uow:
        known = md.catalog(uow)
        drawn = [(None, catalog.parse(catalog.KINDS["breakpoint"], kinds["breakpoint"] | each, known)[0]) for each in rows]
        double = [*drawn, drawn[2]]
        with pytest.raises(UserError, match="本批中另有一行"):
            service.propose(uow, "breakpoint", [*double[:3], (None, dict(double[3][1]))], "新版本")
        for limit, words in (
            ({"s": "3"}, "MIC 3 不是倍比稀释值"),
            ({"s": "64"}, "敏感 < 剂量依赖 < 耐药"),
            ({"set": ""}, "折点版本没有填写"),
        ):
            values, unread = catalog.parse(catalog.KINDS["breakpoint"], kinds["breakpoint"] | rows[1] | limit, known)
            said = [each.message for each in unread] or [text for _, text in service.check(uow, "breakpoint", [(None, values)])]
            assert any(words in each for each in said), said
        change = service.propose(uow, "breakpoint", drawn, "新版本", "T-9")
    page = world.lab.client("tester").get("/md/breakpoints").text
    assert "这一版还没有这样的折点" in page and "CLSI 2026" in page, "nothing counts before it is approved"
    approve(world, change)
    client = world.lab.client("tester")
    page = client.get("/md/breakpoints?value=16").text
    assert "原为 S 16 R 128" in page and "SDD" in page and "新增" in page and "占位值" not in page
    assert "不是 MIC 或抑菌圈" in client.get("/md/breakpoints?value=x").text and "FEP" not in client.get("/md/breakpoints?q=tzp").text
    with as_(world, ENGINEER) as uow, pytest.raises(UserError, match="条件完全相同"):
        service.propose(uow, "breakpoint", [drawn[1]], "再来一次")


def test_a_container_in_use_cannot_be_retired(world: World) -> None:
    with as_(world, ENGINEER) as uow:
        used = next(iter(md.catalog(uow).order_sets.values())).container_id
        values = catalog.present(uow, catalog.KINDS["container"], used)
        assert values is not None
        with pytest.raises(UserError, match="还在使用它"):
            service.propose(uow, "container", [(used, values | {"active": False})], "不再使用")
        with pytest.raises(UserError, match="标称量要大于 0 ml"):
            service.propose(uow, "container", [(used, values | {"nominal_ml": "0"})], "写错")


def approve(world: World, change: int) -> None:
    """The whole way to active."""
    with as_(world, LEADER) as uow:
        service.put_to_test(uow, change)
        service.approve(uow, change, "section", None)
    with as_(world, GROUP) as uow:
        service.approve(uow, change, "group", None)
        service.schedule(uow, change, None, None)
        service.activate_job(uow)
