"""Months, sigma and the calendar jobs."""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import text

from cloud.modules.catalog import queries as md
from cloud.modules.platform.models import Alert
from cloud.modules.qc import jobs, months, queries, registers, targets
from cloud.modules.qc.models import QcMaterial, QcMonth
from tests.cloud.bench.world import NORMAL
from tests.cloud.qc.shop import DAY, HOUR, NOON, T0, D, Shop


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
        uow.s.query(QcMonth).delete()  # the worker was away on the 1st
        jobs.month(uow)
        rows = queries.summaries(uow, date(2026, 5, 1))
        assert uow.s.query(Alert).filter_by(kind="qc.month").one().fields == {"section": "生化组", "n": 4}
    leader = lab.client("leader")
    page = leader.get("/qc/month?month=2026-05").text
    assert page.count("待签名") == 4
    form = {"id": [str(r.id) for r in rows], "month": "2026-05", "comment": "总体在控"}
    assert leader.post("/qc/month/sign", form, htmx=True).status_code == 401
    lab.sign(leader)
    assert "总体在控" in leader.post("/qc/month/sign", form, htmx=True).text
    assert leader.post("/qc/month/print", {"month": "2026-05", "kind": "xlsx"}).headers["Location"].startswith("/lists/")
    with lab.uow() as uow:
        made = registers.month_summary(uow, date(2026, 5, 1), registers.Stamp("甲医院", "组长", uow.now))
        first, third = made.rows[0], next(row for row in made.rows if row[1] == "项目NA" and row[2] == "L1")
        assert (first[:5], len(first), len(made.columns)) == (("生化仪一号", "项目K", "L1", "LOT1", "12"), 16, 16)
        assert third[14] == "1-2s×1、1-3s×1" and all("总体在控 专业组长一号" in row[15] for row in made.rows)
    again = leader.post("/qc/month/sign", form, htmx=True)
    assert again.status_code == 409 and "已由" in again.text
    with lab.uow() as uow:
        months.draft(uow, date(2026, 5, 1), md.HOSPITAL_ZONE)
        assert all(r.signed_at for r in uow.s.query(QcMonth))
        jobs.month(uow)
        assert uow.s.query(Alert).filter_by(kind="qc.month").one().cleared_at is not None


def test_broken_rules_are_counted_at_the_levels_that_took_part(shop: Shop) -> None:
    """One level alone, and both together; the rule is not the other level's."""
    with shop.world.lab.uow() as uow:
        shop.run(uow, "K", T0, {1: "4.25", 2: "6.50"})
        shop.run(uow, "NA", T0, {1: "128.6", 2: "140.9"})
        shop.run(uow, "NA", T0 + 3 * HOUR, {1: "125", 2: "140.9"})
        months.draft(uow, date(2026, 5, 1), md.HOSPITAL_ZONE)
        found = {(r.plan_id, r.level): r.data["broken"] for r in queries.summaries(uow, date(2026, 5, 1))}
    k, na = shop.plans["K"], shop.plans["NA"]
    assert (found[k, 1], found[k, 2]) == ({"1-2s": 1}, {})
    assert found[na, 1] == {"1-2s": 1, "R-4s": 1}
    assert found[na, 2] == {"1-2s": 2, "R-4s": 1}


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
        told = registers.cv_goals(uow, registers.Stamp("甲医院", "质量", uow.now))
        assert [(row[1], row[2], row[3], row[7]) for row in told.rows] == [("项目K", f"L{k}", "10", "达标") for k in (1, 2)]
        assert {len(row) for row in told.rows} == {len(told.columns)}
    assert "σ" in lab.client("quality").get("/qc/sigma").text
    assert lab.client("quality").post("/qc/sigma/print", {"kind": "pdf"}).status_code == 303


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
