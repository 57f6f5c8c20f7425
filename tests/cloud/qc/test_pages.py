"""The pages: entry with what it asks back, analyzer results by their material, charts, out-of-control work by hand, months, jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import models as catalog
from cloud.modules.catalog import queries as md
from cloud.modules.platform.models import Alert
from cloud.modules.qc import charts, intake, jobs, months, plans, queries, record, targets
from cloud.modules.qc.models import QcMaterial, QcMonth
from cloud.modules.qc.plans import NewPlan, NewTarget
from cloud.modules.qc.rules import GateState, Method, RunState
from cloud.modules.qc.westgard import DEFAULT_RULES, Rule
from cloud.relay import drain
from cloud.worker import all_handlers
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, build
from tests.cloud.qc.shop import T0, D, Shop, open_shop
from tests.support import lab as labs
from tests.support.database import TestDatabase

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 5, 4, 4, 0, tzinfo=UTC)


@pytest.fixture
def shop(fresh_db: TestDatabase) -> Iterator[Shop]:
    lab = labs.make(fresh_db, labs.Clock(T0))
    made = open_shop(build(lab))
    lab.clock.set(NOON)
    yield made
    lab.db.dispose()


def fields(shop: Shop, **values: str) -> dict[str, str]:
    """The form: K1='4.02' is level 1 of K."""
    out = {"analyzer": str(shop.world.analyzer)}
    for key, value in values.items():
        item, level = key[:-1], int(key[-1])
        out[f"v-{shop.plans[item]}-{level}-{shop.materials[level]}"] = value
    return out


def count(shop: Shop, table: str = "qc_result") -> int:
    with shop.world.lab.uow() as uow:
        return int(uow.s.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


# --- entry ----------------------------------------------------------------------------------------------------------


def test_typed_values_are_judged_and_a_rejection_points_to_its_work(shop: Shop) -> None:
    tester = shop.world.lab.client("tester")
    shown = tester.get("/qc/entry").text
    assert shown.count("data-next") == 4 and "4.00 ± 0.10" in shown
    good = tester.post("/qc/entry", fields(shop, K1="4.02", K2="6.52"), htmx=True)
    assert "✓ 在控 项目K" in good.text and '"ok"' in good.headers["HX-Trigger"]
    bad = tester.post("/qc/entry", fields(shop, NA1="131", NA2="145"), htmx=True)
    assert "✕ 失控 项目NA" in bad.text and "1-3s(L1)" in bad.text and "/qc/ooc/" in bad.text and '"bad"' in bad.headers["HX-Trigger"]
    board = tester.get("/qc/today").text
    assert "✕ 失控" in board and "✓ 在控" in board
    with shop.world.lab.uow() as uow:
        assert uow.s.query(Alert).filter_by(kind="qc.rejected").one().fields["rules"] == "1-3s(L1)"


def test_a_slipped_decimal_point_is_asked_back_with_everything_typed(shop: Shop) -> None:
    tester = shop.world.lab.client("tester")
    typed = fields(shop, K1="40.2", K2="6.52") | {"reagent_lot": "R77"}
    asked = tester.post("/qc/entry", typed, htmx=True)
    assert "小数点是否有误" in asked.text and 'value="40.2"' in asked.text and 'value="6.52"' in asked.text and 'value="R77"' in asked.text
    assert count(shop) == 0
    found = re.search(r'name="confirm" value="(\w+)"', asked.text)
    assert found is not None
    other = tester.post("/qc/entry", fields(shop, K1="402", K2="6.52") | {"confirm": found[1]}, htmx=True)
    assert "小数点是否有误" in other.text and count(shop) == 0, "a confirmation is for what was shown, nothing else"
    assert "失控" in tester.post("/qc/entry", typed | {"confirm": found[1]}, htmx=True).text and count(shop) == 2


def test_a_doubled_run_is_asked_back(shop: Shop) -> None:
    tester = shop.world.lab.client("tester")
    tester.post("/qc/entry", fields(shop, K1="4.02", K2="6.52"), htmx=True)
    asked = tester.post("/qc/entry", fields(shop, K1="4.02", K2="6.52"), htmx=True)
    assert asked.text.count("是否重复录入") == 2 and count(shop) == 2


@pytest.mark.parametrize(("value", "words"), [("4,02", "4,02"), ("abc", "abc"), ("<4", "不能带"), ("", "还没有填写")])
def test_bad_values_are_named_and_nothing_is_stored(shop: Shop, value: str, words: str) -> None:
    answer = shop.world.lab.client("tester").post("/qc/entry", fields(shop, K1=value), htmx=True)
    assert answer.status_code == 422 and words in answer.text and count(shop) == 0


def test_an_expired_lot_is_refused_and_a_spread_of_zero_too(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        uow.s.get_one(QcMaterial, (1, shop.materials[1])).expires_at = NOON
    answer = lab.client("tester").post("/qc/entry", fields(shop, K1="4.00"), htmx=True)
    assert answer.status_code == 422 and "已过有效期" in answer.text and count(shop) == 0
    form = {"plan": shop.plans["K"], "level": 1, "material": shop.materials[1], "mean": "4", "sd": "0", "basis": "maker"}
    refused = lab.client("leader").post("/qc/targets", form, htmx=True)
    assert refused.status_code == 422 and "标准差不能为 0" in refused.text


def test_a_missing_level_is_incomplete_until_it_comes_within_the_hour(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        run = shop.run(uow, "K", NOON, {1: "4.00"})
        assert uow.s.execute(text("SELECT state FROM qc_run WHERE id = :i"), {"i": run}).scalar_one() == RunState.INCOMPLETE
        assert shop.run(uow, "K", NOON + 61 * timedelta(minutes=1), {2: "6.50"}) != run
        assert shop.run(uow, "K", NOON + HOUR, {2: "6.50"}) == run
    assert count(shop, "qc_run") == 2


def test_a_new_lot_without_a_target_is_collected_and_judges_nothing(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        lot = plans.add_material(uow, plans.NewMaterial("QC-L1", "化学质控（虚构）水平1", 1, "LOT9"))
        run = record.record(uow, [record.Measured(shop.plans["K"], lot.id, 1, NOON, "9.99", D("9.99"), "manual")])[0]
        assert uow.s.execute(text("SELECT state FROM qc_run WHERE id = :i"), {"i": run}).scalar_one() == RunState.TRIAL
    assert count(shop, "qc_ooc") == 0
    assert "新批号，只积累不判断" in shop.world.lab.client("tester").get("/qc/entry").text


# --- analyzers ------------------------------------------------------------------------------------------------------


def observe(uow: UnitOfWork, analyzer: int, rows: list[tuple[str, str, str]], at: datetime, first: int = 0) -> list[int]:
    """Control observations as the edge stores them; their ids."""
    raw = uow.s.execute(text("SELECT id FROM raw_message LIMIT 1")).scalar()
    if raw is None:
        agent = uow.s.execute(text("INSERT INTO agent (tenant_id, uuid, name) VALUES (1, 'u', 'a') RETURNING id")).scalar_one()
        insert = (
            "INSERT INTO raw_message (tenant_id, agent_id, stream_uuid, seq, sha256, conn_key, received_at, body, meta, state) "
            "VALUES (1, :a, 's', 1, 'x', 'c', :now, '', '{}', 'interpreted') RETURNING id"
        )
        raw = uow.s.execute(text(insert), {"a": agent, "now": at}).scalar_one()
    out = []
    for n, (material, code, value) in enumerate(rows, first):
        insert = (
            "INSERT INTO observation (tenant_id, raw_message_id, idx, analyzer_id, specimen_text, code, value, received_at, state) "
            "VALUES (1, :raw, :n, :a, :m, :c, :v, :now, 'qc') RETURNING id"
        )
        params = {"raw": raw, "n": n, "a": analyzer, "m": material, "c": code, "v": value, "now": at}
        out.append(uow.s.execute(text(insert), params).scalar_one())
    return out


def test_what_analyzers_say_of_control_material_becomes_runs_once_and_the_rest_stays_listed(shop: Shop) -> None:
    lab, world = shop.world.lab, shop.world
    with lab.uow() as uow:
        uow.s.add(catalog.AnalyzerItemMap(analyzer_id=world.analyzer, channel_code="51", item_id=world.items["K"], factor=D("0.1")))
        ids = observe(
            uow, world.analyzer, [("qc-l1", "51", "40.1"), ("QC-L2", "51", "65.2"), ("QC-L9", "51", "1"), ("QC-L1", "99", "1")], NOON
        )
        told = {"observations": [[i, (NOON - HOUR).isoformat()] for i in ids]}
        uow.emit("qc.observed", "qc:a1", told)
        uow.emit("qc.observed", "qc:a1", told)
    drain(lab.db, 1, all_handlers())
    with lab.uow() as uow:
        rows = uow.s.execute(text("SELECT level, value, at, z FROM qc_result ORDER BY level")).all()
        assert [(r.level, r.value, r.at) for r in rows] == [(1, D("4.01"), NOON - HOUR), (2, D("6.52"), NOON - HOUR)]
        assert uow.s.execute(text("SELECT state FROM qc_run")).scalar_one() == RunState.IN_CONTROL
        assert [why for _, why in intake.unplaced(uow, NOON - DAY)] == ["通道代码未对照", "质控品编号未登记"]
        plans.add_material(uow, plans.NewMaterial("QC-L9", "另一种（虚构）", 1, "X1"))
    tester = lab.client("tester")
    assert "通道代码未对照" in tester.get("/qc/today").text
    tester.post("/qc/today/again")
    with lab.uow() as uow:
        assert [why for _, why in intake.unplaced(uow, NOON - DAY)] == ["通道代码未对照"]


def test_a_future_time_of_an_analyzer_is_not_believed(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        uow.s.add(catalog.AnalyzerItemMap(analyzer_id=shop.world.analyzer, channel_code="K", item_id=shop.world.items["K"]))
        uow.s.flush()
        (one,) = observe(uow, shop.world.analyzer, [("QC-L1", "K", "4.0")], NOON)
        intake.take(uow, {"observations": [[one, (NOON + DAY).isoformat()]]})
        row = uow.s.execute(text("SELECT at, note FROM qc_result")).one()
        assert row.at == NOON and "晚于接收" in row.note


# --- methods --------------------------------------------------------------------------------------------------------


def test_qualitative_control_of_the_wrong_sign_is_rejected(shop: Shop) -> None:
    world = shop.world
    with world.lab.uow() as uow:
        plan = plans.save_plan(
            uow, NewPlan(world.analyzer, world.items["EXTRA"], (1,), method=Method.QUALITATIVE, rules=(), warnings=frozenset())
        )
        made = plans.propose_target(uow, NewTarget(plan.id, 1, shop.materials[1], None, None, targets.Basis.MAKER, expected="neg"))
        plans.approve_target(uow, made.id, made.version)
        for at, said, state in ((NOON, "阴性", "in_control"), (NOON + 2 * HOUR, "1+", "rejected"), (NOON + 4 * HOUR, "??", "rejected")):
            run = record.record(uow, [record.Measured(plan.id, shop.materials[1], 1, at, said, None, "manual")])[0]
            assert uow.s.execute(text("SELECT state FROM qc_run WHERE id = :i"), {"i": run}).scalar_one() == state


def test_the_immediate_method_needs_no_target(shop: Shop) -> None:
    world = shop.world
    with world.lab.uow() as uow:
        plan = plans.save_plan(uow, NewPlan(world.analyzer, world.items["EXTRA"], (1,), method=Method.IMMEDIATE))
        states = []
        for n, said in enumerate(("5.0", "5.1", "4.9", "5.0", "5.6", "5.05", "9.0")):
            new = record.Measured(plan.id, shop.materials[1], 1, NOON + n * 2 * HOUR, said, D(said), "manual")
            run = record.record(uow, [new])[0]
            states.append(uow.s.execute(text("SELECT state FROM qc_run WHERE id = :i"), {"i": run}).scalar_one())
    assert states == ["in_control"] * 4 + ["warning", "in_control", "rejected"]


def test_look_back_restarts_at_a_new_target(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        shop.run(uow, "K", NOON, {1: "4.21", 2: "6.50"})
        made = plans.propose_target(uow, NewTarget(shop.plans["K"], 1, shop.materials[1], D("4.00"), D("0.10"), targets.Basis.CUMULATIVE))
        plans.approve_target(uow, made.id, made.version)
        run = shop.run(uow, "K", NOON + 2 * HOUR, {1: "4.22", 2: "6.50"})
        assert uow.s.execute(text("SELECT state, rules FROM qc_run WHERE id = :i"), {"i": run}).one() == ("warning", "1-2s(L1)")


# --- plans and targets ----------------------------------------------------------------------------------------------


def test_a_target_counts_once_another_person_has_approved_it(shop: Shop) -> None:
    lab = shop.world.lab
    leader, quality = lab.client("leader"), lab.client("quality")
    form = {"plan": shop.plans["K"], "level": 1, "material": shop.materials[1], "mean": "4.10", "cv": "2.5", "basis": "maker"}
    assert leader.post("/qc/targets", form).status_code == 303
    with lab.uow() as uow:
        new = queries.targets(uow, [shop.plans["K"]])[0]
        assert (new.sd, new.basis, new.effective_at) == (D("0.1025"), "transfer", None)
        assert len(queries.targets(uow, [shop.plans["K"]], current=True)) == 2
    url = f"/qc/targets/{new.id}/approve"
    assert leader.post(url, {"version": new.version}).status_code == 403
    with lab.uow() as uow, pytest.raises(UserError, match="本人"):
        shop.person(uow, "leader")
        plans.approve_target(uow, new.id, new.version)
    assert quality.post(url, {"version": 99}, htmx=True).status_code == 409
    assert quality.post(url, {"version": new.version}).status_code == 303
    assert quality.post(url, {"version": new.version + 1}, htmx=True).status_code == 409
    with lab.uow() as uow:
        current = queries.targets(uow, [shop.plans["K"]], current=True)
        assert {t.mean for t in current} == {D("4.10"), D("6.50")}
    assert "4.10" in lab.client("tester").get(f"/qc/targets?plan={shop.plans['K']}").text


def test_a_plan_changed_by_somebody_else_meanwhile_is_not_overwritten(shop: Shop) -> None:
    leader = shop.world.lab.client("leader")
    with shop.world.lab.uow() as uow:
        plan = shop.plan(uow, "K")
    form = {
        "analyzer_id": plan.analyzer_id,
        "item_id": plan.item_id,
        "levels": ["1", "2"],
        "window_hours": 12,
        "method": "lj",
        "freeze": "skipped",
        "rules": ["1-3s", "R-4s"],
        "version": plan.version,
        "active": "1",
        "tea_percent": "6",
    }
    assert leader.post("/qc/plans", form).status_code == 303
    stale = leader.post("/qc/plans", form | {"window_hours": 8}, htmx=True)
    assert stale.status_code == 409
    only_warn = leader.post("/qc/plans", form | {"version": plan.version + 1, "rules": ["1-2s"], "warnings": ["1-2s"]}, htmx=True)
    assert only_warn.status_code == 422 and "失控" in only_warn.text
    with shop.world.lab.uow() as uow:
        now = shop.plan(uow, "K")
        assert (now.window_hours, now.freeze, now.rules) == (12, "skipped", ["1-3s", "R-4s"])


# --- charts ---------------------------------------------------------------------------------------------------------


def test_a_chart_marks_by_shape_and_costs_three_statements(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        for n in range(6):
            shop.good(uow, "K", T0 + n * 20 * HOUR)
        shop.run(uow, "K", T0 + 6 * 20 * HOUR, {1: "4.22", 2: "6.50"})
        bad = shop.bad(uow, "K", T0 + 7 * 20 * HOUR)
        plans.add_note(uow, shop.world.analyzer, "calibration", T0 + 50 * HOUR, "两点校准<b>")
    lab.clock.set(T0 + 10 * DAY)
    reader = lab.client("director")
    url = f"/qc/lj?plan={shop.plans['K']}&month=2026-05"
    shown = reader.get(url).text
    assert shown.count("<circle") == 14 and shown.count("l5.5 9.5h-11z") == 1 and shown.count("l9 9m0 -9l-9 9") == 1
    assert (
        "批号 LOT1  靶值 4.00 ± 0.10 mmol/L  CV 2.50%" in shown and "两点校准&lt;b&gt;" in shown and "<b>" not in shown.split("</svg>")[0]
    )
    assert "4.30" in shown and "+3SD" in shown and "style=" not in shown
    for view in ("z", "youden"):
        assert "<svg" in reader.get(f"{url}&view={view}").text
    assert "还没有质控点" in reader.get(f"/qc/lj?plan={shop.plans['NA']}&month=2026-05").text
    assert reader.get("/qc/lj?plan=x&month=2026-99&view=q").status_code == 200
    with lab.uow() as uow:
        plan, asked = shop.plan(uow, "K"), charts.Asked(date(2026, 5, 1), "lj")
        md.catalog(uow)
        seen: list[str] = []
        event.listen(lab.db.engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
        charts.draw(uow, plan, asked)
        assert len(seen) == 2
    leader = lab.client("leader")
    with lab.uow() as uow:
        point = uow.s.execute(text("SELECT id FROM qc_result WHERE run_id = :r AND rejected"), {"r": bad}).scalar_one()
    assert leader.post(f"/qc/result/{point}/exclude", {"cause": ""}, htmx=True).status_code == 422
    assert leader.post(f"/qc/result/{point}/exclude", {"cause": "校准品误用"}).status_code == 303
    after = reader.get(url).text
    assert "校准品误用" in after and 'fill="#ffffff"' in after


def test_a_year_of_other_months_does_not_cost_this_month(shop: Shop) -> None:
    """The plan of the chart's statement walks the index of plan and time, whatever lies in the years before."""
    with shop.world.lab.uow() as uow:
        shop.good(uow, "K", T0)
        insert = """
        INSERT INTO qc_result (tenant_id, run_id, plan_id, level, material_id, raw_text, value, z, at, received_at)
        SELECT 1, (SELECT min(id) FROM qc_run), :p, 1, :m, '4', 4, 0, CAST(:at AS timestamptz) - n * interval '8 hours', :at
        FROM generate_series(1, 11000) n"""
        uow.s.execute(text(insert), {"p": shop.plans["K"], "m": shop.materials[1], "at": T0 - 30 * DAY})
        uow.s.execute(text("ANALYZE qc_result"))
        params = {"t": 1, "plan": shop.plans["K"], "start": T0 - DAY, "end": T0 + DAY}
        found = uow.s.execute(text("EXPLAIN " + queries._POINTS.text), params).scalars()
        plan = "\n".join(found)
        assert "ix_qc_result_plan" in plan and "Seq Scan on qc_result" not in plan


# --- out-of-control work by hand ---------------------------------------------------------------------------------------


def test_a_rejection_is_worked_off_through_the_pages(shop: Shop) -> None:
    lab, world = shop.world.lab, shop.world
    with lab.uow() as uow:
        shop.good(uow, "K", NOON - 2 * HOUR)
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, NOON - HOUR)
        shop.bad(uow, "K", NOON)
        work = shop.work(uow, "K")
    tester, leader = lab.client("tester"), lab.client("leader")
    url = f"/qc/ooc/{work.id}"
    assert "期间患者结果 1 个" in tester.get(url).text
    assert "开始查找原因" not in lab.client("director").get(url).text

    def version() -> int:
        with lab.uow() as uow:
            return shop.work(uow, "K").version

    old = version()
    assert tester.post(f"{url}/verify", {"version": old}, htmx=True).status_code == 409
    assert tester.post(f"{url}/investigate", {"version": old}, htmx=True).status_code == 200
    assert (
        tester.post(f"{url}/correct", {"version": old, "cause_class": "reagent", "cause": "x", "action": "y"}, htmx=True).status_code == 409
    )
    assert tester.post(f"{url}/correct", {"version": version(), "cause_class": "reagent", "cause": "x"}, htmx=True).status_code == 422
    done = tester.post(f"{url}/correct", {"version": version(), "cause_class": "reagent", "cause": "气泡", "action": "更换试剂"}, htmx=True)
    assert "还没有复测" in done.text
    lab.clock.set(NOON + HOUR)
    tester, leader = lab.client("tester"), lab.client("leader")
    tester.post("/qc/entry", fields(shop, K1="4.01", K2="6.51"), htmx=True)
    assert "签名放行" in tester.get(url).text
    assert tester.post(f"{url}/verify", {"version": version()}, htmx=True).status_code == 401, "the PIN first"
    lab.sign(tester)
    assert "复测在控，待组长关闭" in tester.post(f"{url}/verify", {"version": version()}, htmx=True).text
    with lab.uow() as uow:
        assert uow.s.query(Alert).filter_by(kind="qc.rejected").one().cleared_at is not None
        ask = queries.Ask(world.items["K"], world.analyzer, NOON + HOUR)
        assert queries.gate_state(uow, [ask])[ask].state is GateState.OPEN
        result = uow.s.execute(text("SELECT id FROM result_version WHERE item_id = :i"), {"i": world.items["K"]}).scalar_one()
    lab.sign(leader)
    assert leader.post(f"{url}/close", {"version": version(), "conclusion": "已处理"}, htmx=True).status_code == 409
    assert "✓" in tester.post(f"{url}/examine/{result}", {"again": "4.15"}, htmx=True).text
    assert tester.post(f"{url}/examine/{result}", {"again": "abc"}, htmx=True).status_code == 422
    assert tester.post(f"{url}/close", {"version": version(), "conclusion": "已处理"}, htmx=True).status_code == 403
    closed = leader.post(f"{url}/close", {"version": version(), "conclusion": "已处理"}, htmx=True)
    assert closed.status_code == 200 and "已关闭" in closed.text
    assert f"/qc/ooc/{work.id}" in tester.get("/qc/ooc?all=1").text and "没有失控处理" in tester.get("/qc/ooc").text
    assert lab.client("leader", lab.b).get(url).status_code == 404


def test_only_the_director_may_bypass_and_at_most_four_hours(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        shop.bad(uow, "K", NOON)
    url = f"/qc/bypass/{shop.plans['K']}"
    assert lab.client("leader").post(url, {"hours": "1", "reason": "x"}).status_code == 403
    director = lab.client("director")
    assert director.post(url, {"hours": "5", "reason": "x"}, htmx=True).status_code == 422
    assert director.post(url, {"hours": "1", "reason": ""}, htmx=True).status_code == 422
    assert director.post(url, {"hours": "1", "reason": "急诊抢救"}).status_code == 303
    assert "急诊抢救" in director.get("/qc/today").text


# --- months, sigma, jobs ---------------------------------------------------------------------------------------------


def test_month_summaries_are_drafted_on_the_first_and_signed_once(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        for n in range(12):
            shop.good(uow, "K", T0 + n * 23 * HOUR)
        shop.bad(uow, "NA", T0)
    lab.clock.set(datetime(2026, 5, 31, 16, 30, tzinfo=UTC))  # 1 June, 00:30 in the hospital
    with lab.uow() as uow:
        jobs.month(uow)
        rows = queries.summaries(uow, date(2026, 5, 1))
        assert len(rows) == 4 and uow.s.query(Alert).filter_by(kind="qc.month").count() == 0
        first = months.read(rows[0].data["in"])
        assert first is not None and first.n == 12
        assert {r.data["broken"].get("1-3s") for r in rows} == {None, 1}
    lab.clock.set(datetime(2026, 6, 4, 17, 0, tzinfo=UTC))
    with lab.uow() as uow:
        jobs.month(uow)
        assert uow.s.query(Alert).filter_by(kind="qc.month").one().fields == {"n": 4}
    leader = lab.client("leader")
    page = leader.get("/qc/month?month=2026-05").text
    assert page.count("待签名") == 4
    form = {"id": [str(r.id) for r in rows], "month": "2026-05", "comment": "总体在控"}
    assert leader.post("/qc/month/sign", form, htmx=True).status_code == 401
    lab.sign(leader)
    assert "总体在控" in leader.post("/qc/month/sign", form, htmx=True).text
    again = leader.post("/qc/month/sign", form, htmx=True)
    assert again.status_code == 409 and "已由" in again.text
    with lab.uow() as uow:
        months.draft(uow, date(2026, 5, 1), md.HOSPITAL_ZONE)
        assert all(r.signed_at for r in uow.s.query(QcMonth))
        jobs.month(uow)
        assert uow.s.query(Alert).filter_by(kind="qc.month").one().cleared_at is not None


def test_cumulative_statistics_go_on_from_the_month_before(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        for n in range(40):
            shop.good(uow, "K", T0 + n * 23 * HOUR)
        months.draft(uow, date(2026, 5, 1), md.HOSPITAL_ZONE)
        months.draft(uow, date(2026, 6, 1), md.HOSPITAL_ZONE)
        both = [
            months.read(r.data["cumulative"])
            for r in uow.s.query(QcMonth).filter_by(plan_id=shop.plans["K"], level=1).order_by(QcMonth.month)
        ]
        whole = targets.stats([v for (v,) in uow.s.execute(text("SELECT value FROM qc_result WHERE level = 1"))])
        assert both[1] is not None and whole is not None and both[1].n == 40
        assert both[1].sd is not None and whole.sd is not None and abs(both[1].sd - whole.sd) < D("1e-9")


def test_sigma_of_each_level_and_the_indicators(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        for n in range(12):
            shop.good(uow, "K", T0 - DAY + n * 3 * HOUR)
        uow.s.execute(text("UPDATE qc_plan SET bias_percent = 0.6"))
        rows = queries.sigma_rows(uow)
        assert [r.level for r in rows] == [1, 2] and all(r.sigma is not None and r.sigma > 4 and r.goal == 2 for r in rows)
        tube = shop.world.tube(uow)
        shop.world.send(uow, tube, NORMAL, NOON)
        found = queries.coverage(uow, T0 - 2 * DAY, T0 + 2 * DAY)
        assert (found.measured, found.with_qc, found.judged, found.cv_met) == (4, 1, 2, 2)
    assert "σ" in lab.client("quality").get("/qc/sigma").text


def test_the_minute_recheck_tells_an_elapsed_window_once(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        shop.good(uow, "K", NOON)
        shop.good(uow, "NA", NOON)
        jobs.recheck(uow)
        assert uow.s.query(Alert).count() == 0
    lab.clock.set(NOON + 23.75 * HOUR)
    with lab.uow() as uow:
        jobs.recheck(uow)
        assert uow.s.query(Alert).one().kind == "qc.due"
    lab.clock.set(NOON + 25 * HOUR)
    for _ in range(2):
        with lab.uow() as uow:
            jobs.recheck(uow)
    with lab.uow() as uow:
        assert uow.s.query(Alert).filter_by(kind="qc.overdue").one().fields["items"] == "K、NA"
        assert uow.s.execute(text("SELECT count(*) FROM outbox_event WHERE topic = 'qc.overdue'")).scalar_one() == 2
        shop.good(uow, "K", NOON + 25 * HOUR)
        uow.s.expire_all()
        assert shop.plan(uow, "K").overdue_since is None


def test_lots_about_to_expire_or_run_out_are_told(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        one, two = (uow.s.get_one(QcMaterial, (1, shop.materials[k])) for k in (1, 2))
        one.expires_at, two.stock = NOON + 29 * DAY, 1
        shop.good(uow, "K", NOON)
        shop.good(uow, "NA", NOON)
        uow.s.flush()
        assert two.stock == 0
        jobs.lots(uow)
        assert {(a.kind, a.fields.get("days")) for a in uow.s.query(Alert)} == {("qc.lot", 29), ("qc.stock", None)}


def test_a_run_stored_meanwhile_makes_no_other_run_stale(shop: Shop) -> None:
    """An analyzer and a person measure one lot at the same time, each for another plan: neither changed the other's record."""
    lab = shop.world.lab
    with lab.uow() as uow:
        uow.s.get_one(QcMaterial, (1, shop.materials[1])).stock = 9
    with lab.uow() as uow:
        uow.s.get_one(QcMaterial, (1, shop.materials[1]))
        with lab.uow() as other:
            shop.run(other, "NA", NOON, {1: "140"})
        shop.run(uow, "K", NOON, {1: "4.00"})
    with lab.uow() as uow:
        assert uow.s.get_one(QcMaterial, (1, shop.materials[1])).stock == 7


def test_defaults_of_a_new_plan() -> None:
    new = NewPlan(1, 2, (1, 2))
    assert new.rules == DEFAULT_RULES and new.warnings == {Rule.R1_2S} and new.window_hours == 24
    assert Decimal(1) not in (new.tea_percent, new.bias_percent)
