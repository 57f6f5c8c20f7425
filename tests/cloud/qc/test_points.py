"""Lists that the numbers of quality control open, and methods that draw no chart."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import text

from cloud.modules.catalog import models as catalog
from cloud.modules.equipment import service as equipment
from cloud.modules.platform import lists
from cloud.modules.platform.models import Alert, ListJob
from cloud.modules.qc import charts, immediate, intake, jobs, plans, points, queries, record, registers, targets
from cloud.modules.qc.rules import Method
from cloud.modules.reagents import service as reagents
from cloud.modules.reagents.rules import LotState
from tests.cloud.bench.world import NORMAL
from tests.cloud.qc.shop import DAY, HOUR, NOON, T0, D, Shop
from tests.cloud.qc.test_entry import observe

MAY = charts.Asked(date(2026, 5, 1), "lj")


def immediate_plan(shop: Shop, values: tuple[str, ...]) -> int:
    """A plan of the immediate method with a value every two hours."""
    with shop.world.lab.uow() as uow:
        plan = plans.save_plan(uow, plans.NewPlan(shop.world.analyzer, shop.world.items["EXTRA"], (1,), method=Method.IMMEDIATE))
        for n, said in enumerate(values):
            record.record(uow, [record.Measured(plan.id, shop.materials[1], 1, NOON + n * 2 * HOUR, said, D(said), "manual")])
        return plan.id


def test_the_immediate_method_is_shown_as_its_form(shop: Shop) -> None:
    """AC-QC-12 on the page: n, mean, SD and SI against n2s and n3s; a rejected value does not count for those after it."""
    plan_id = immediate_plan(shop, ("5.0", "5.1", "4.9", "5.0", "5.6", "9.0", "5.0"))
    lab = shop.world.lab
    lab.clock.set(NOON + DAY)
    shown = lab.client("tester").get(f"/qc/lj?plan={plan_id}&month=2026-05").text
    for figure in ("5.120", "0.2775", "1.730", "1.671", "1.749"):
        assert f">{figure}<" in shown, figure
    assert "<svg" not in shown and "只积累，不判断" in shown and "✕ 失控" in shown and "▲ 警告" in shown
    with lab.uow() as uow:
        plan = queries.plan(uow, plan_id)
        assert plan is not None
        drawn = charts.draw(uow, plan, MAY)
        assert [line.grubbs.n for line in drawn.lines if line.grubbs] == [1, 2, 3, 4, 5, 6, 6]
        made = points.document(drawn.title, MAY.text, drawn.lines, registers.Stamp("甲医院", "检验者", uow.now))
        assert {len(row) for row in made.rows} == {len(made.columns)}
        assert made.rows[4][:10] == ("05-04 20:00", "L1", "LOT1", "5.6", "5", "5.120", "0.2775", "1.730", "0.7928", "1.671")
        assert made.rows[0][4:11] == ("1", "5.000", "", "", "", "", "")


def test_what_draws_no_chart_is_printed_as_its_list(shop: Shop) -> None:
    lab = shop.world.lab
    plan_id = immediate_plan(shop, ("5.0", "5.1"))
    lab.clock.set(NOON + DAY)
    tester = lab.client("tester")
    form = {"plan": plan_id, "month": "2026-05", "view": "lj"}
    assert tester.post("/qc/lj/print", form).status_code == 303
    assert tester.post("/qc/lj/print", form | {"what": "points", "kind": "xlsx"}).status_code == 303
    assert tester.post("/qc/lj/print", form | {"what": "points", "kind": "exe"}, htmx=True).status_code == 422
    with lab.uow() as uow:
        jobs_ = uow.s.query(ListJob).order_by(ListJob.id).all()
        assert [(j.kind, j.title, len(lists.document_of(j.document).rows)) for j in jobs_] == [
            ("pdf", "室内质控数据", 2),
            ("xlsx", "室内质控数据", 2),
        ]


def test_every_number_of_a_chart_opens_its_points(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        shop.good(uow, "K", T0)
        shop.bad(uow, "K", T0 + 2 * HOUR)
        work = shop.work(uow, "K")
    shown = lab.client("director").get(f"/qc/lj?plan={shop.plans['K']}&month=2026-05").text
    listed = shown.split('id="points"')[1].split("</table>")[0]
    assert "全部 4 点" in shown and listed.count("<tr>") == 5
    assert f'/qc/ooc/{work.id}">1-2s(L1)、1-3s(L1)<' in listed and "+4.00" in listed


def test_the_board_shows_what_a_count_counts(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        shop.good(uow, "K", NOON)
    board = lab.client("director")
    whole = board.get("/qc/today").text
    assert 'href="/qc/today?light=bad"' in whole and whole.count("qctile ") == 2
    bad, ok = (board.get(f"/qc/today?light={light}").text for light in ("bad", "ok"))
    assert bad.count("qctile ") == 1 == ok.count("qctile ") and "<b>NA</b>" in bad and "<b>K</b>" in ok
    assert "不能发布 1 项" in ok, "the counts stay those of the whole board"
    assert ok.count('action="/qc/bypass/') == 1, "a filter hides no closed gate from who may open it"
    assert "没有这样的项目" in board.get("/qc/today?light=warn").text


def test_a_month_names_what_its_shares_leave_out(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        for n in range(4):
            shop.run(uow, "K", T0 + n * HOUR * 2, {1: ("4.19", "3.81")[n % 2], 2: "6.50"})
        shop.world.send(uow, shop.world.tube(uow), NORMAL, NOON)
        found = queries.coverage(uow, T0 - DAY, T0 + DAY)
        assert len(found.without) == found.measured - found.with_qc == 3
        assert found.missed == [(shop.plans["K"], 1)]
    shown = lab.client("quality").get("/qc/month?month=2026-05").text
    assert "! 生化仪一号 · 项目NA<" in shown and "! 生化仪一号 · 项目K L1<" in shown


def test_reagent_lots_calibrations_and_faults_stand_on_the_chart_and_on_the_points(shop: Shop) -> None:
    """Nobody writes down twice what reagents and equipment know."""
    lab, world = shop.world.lab, shop.world
    item = world.items["K"]
    with lab.uow() as uow:
        uow.s.add(catalog.AnalyzerItemMap(analyzer_id=world.analyzer, channel_code="K", item_id=item))
        for n, lot_no in enumerate(("R1", "R1b", "R2")):
            product = "钾试剂" if n != 1 else "稀释液"
            lot = reagents.add_lot(uow, product, lot_no, date(2027, 1, 1), 60, [item])
            reagents.move_lot(uow, lot.id, LotState.PENDING, "验收")
            reagents.move_lot(uow, lot.id, LotState.AVAILABLE, "批间验证")
            if lot_no != "R1b":
                reagents.open_pack(uow, lot.id, world.analyzer, NOON - (10 - 4 * n) * HOUR)
        equipment.calibrate(uow, world.analyzer, item, "CAL-7", NOON - 3 * HOUR, NOON + 30 * DAY, True)
        fault = equipment.report_fault(uow, world.analyzer, "针堵")
        uow.s.execute(text("UPDATE equipment_fault SET started_at = :at"), {"at": NOON - 4 * HOUR})
        equipment.end_fault(uow, fault.id, "换针")
        ids = observe(uow, world.analyzer, [("QC-L1", "K", "4.00"), ("QC-L2", "K", "6.50")], NOON)
        intake.take(uow, {"observations": [[ids[0], (NOON - 5 * HOUR).isoformat()], [ids[1], (NOON - HOUR).isoformat()]]})
        plan = shop.plan(uow, "K")
        drawn = charts.draw(uow, plan, MAY)
        told = [(kind, words) for _, kind, words, _ in drawn.notes]
        assert told == [("maintenance", "针堵"), ("calibration", "CAL-7"), ("lot", "钾试剂 R2"), ("maintenance", "换针")]
        first, second = (line.point for line in drawn.lines)
        assert (first.reagent_lot, first.calibration) == ("R1", "")
        assert (second.reagent_lot, second.calibration) == ("R2", "2026-05-04 09:00")
    shown = lab.client("tester").get(f"/qc/lj?plan={plan.id}&month=2026-05").text
    assert "▼试剂换批 钾试剂 R2" in shown and "▼校准 CAL-7" in shown


def test_twenty_values_of_the_immediate_method_are_told_until_the_plan_changes(shop: Shop) -> None:
    lab = shop.world.lab
    plan_id = immediate_plan(shop, ("5.0", "5.1", "4.9") * 6 + ("5.0",))

    def told() -> list[str]:
        with lab.uow() as uow:
            jobs.convert(uow)
            return [a.url for a in uow.s.query(Alert).filter(Alert.kind == "qc.convert", Alert.cleared_at.is_(None))]

    assert told() == [], "nineteen"
    with lab.uow() as uow:
        at = NOON + immediate.CONVERT_AT * 2 * HOUR
        record.record(uow, [record.Measured(plan_id, shop.materials[1], 1, at, "5.1", D("5.1"), "manual")])
    assert told() == [f"/qc/targets?plan={plan_id}"]
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE qc_plan SET method = 'lj' WHERE id = :i"), {"i": plan_id})
    assert told() == []


def test_the_rules_a_sigma_asks_for_are_taken_over_by_the_leader(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        for n in range(12):
            shop.good(uow, "K", T0 - DAY + n * 3 * HOUR)
        uow.s.execute(text("UPDATE qc_plan SET bias_percent = 0.6"))
        rules_ = queries.sigma_rows(uow)[0].rules.split(" / ")
    link = f"/qc/plans?plan={shop.plans['K']}&rules={','.join(rules_)}"
    page = lab.client("leader").get("/qc/sigma").text
    assert link in page and page.count("采用") == 1, "a plan has one set of rules: its weakest level decides"
    assert "采用" not in lab.client("tester").get("/qc/sigma").text
    form = lab.client("leader").get(f"/qc/plans?plan={shop.plans['K']}&rules=1-3s,nonsense").text
    assert 'name="rules" value="1-3s" checked' in form and 'name="rules" value="2-2s">' in form and "保存后生效" in form
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE qc_plan SET rules = CAST(:r AS jsonb)"), {"r": str(sorted(rules_)).replace("'", '"')})
    assert "采用" not in lab.client("leader").get("/qc/sigma").text, "nothing to take over"


def test_the_weakest_level_decides_the_rules_of_its_plan(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        for n in range(12):
            shift = (D("0.10"), D("-0.10"))[n % 2]
            shop.run(uow, "K", T0 - DAY + n * 3 * HOUR, {1: str(D("4.00") + shift), 2: str(D("6.50") + shift / 10)})
        uow.s.execute(text("UPDATE qc_plan SET bias_percent = 0.6"))
        found = {r.level: r for r in queries.sigma_rows(uow)}
    assert found[1].decides and not found[2].decides
    assert found[1].sigma is not None and found[2].sigma is not None and found[1].sigma < 4 < 6 < found[2].sigma
    page = lab.client("leader").get("/qc/sigma").text
    assert page.count("采用") == 1 and f"rules={found[1].rules.replace(' / ', ',')}" in page


def test_a_qualitative_answer_is_listed_with_its_verdict(shop: Shop) -> None:
    lab, world = shop.world.lab, shop.world
    with lab.uow() as uow:
        new = plans.NewPlan(world.analyzer, world.items["EXTRA"], (1,), method=Method.QUALITATIVE, rules=(), warnings=frozenset())
        plan = plans.save_plan(uow, new)
        made = plans.propose_target(uow, plans.NewTarget(plan.id, 1, shop.materials[1], None, None, targets.Basis.MAKER, expected="neg"))
        plans.approve_target(uow, made.id, made.version)
        for n, said in enumerate(("阴性", "1+")):
            record.record(uow, [record.Measured(plan.id, shop.materials[1], 1, NOON + n * 2 * HOUR, said, None, "manual")])
    lab.clock.set(NOON + timedelta(days=1))
    shown = lab.client("tester").get(f"/qc/lj?plan={plan.id}&month=2026-05").text
    assert "逐点列在下面" in shown and "<b>阴性</b>" in shown and "✕ 失控" in shown and "定性不符" in shown
