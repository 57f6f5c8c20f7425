"""M07 R1: lot, calibration and quality control in force at the run stand beside each analyzer result and never change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from sqlalchemy import text

from cloud.modules.bench import queries, trace
from cloud.modules.equipment import service as equipment
from cloud.modules.reagents import service as reagents
from cloud.modules.reagents.rules import LotState
from tests.cloud.autoverify.floor import Floor, open_floor
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer

ROWS = text("SELECT x.*, v.item_id FROM result_trace x JOIN result_version v ON v.id = x.result_id ORDER BY x.id")


@pytest.fixture(scope="module")
def floor(pg: TestServer, schema_template: TestDatabase) -> Iterator[Floor]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    yield open_floor(lab, active=False)
    lab.db.dispose()
    pg.drop(made.name)


def test_what_was_in_force_is_frozen_by_the_time_of_the_run(floor: Floor) -> None:
    lab, world = floor.world.lab, floor.world
    tube = floor.tube()
    with lab.uow() as uow:
        trace.note(uow)
    with lab.uow() as uow:
        rows = {r.item_id: r for r in uow.s.execute(ROWS)}
        lot = uow.s.execute(text("SELECT id FROM reagent_lot WHERE lot_no = 'L1'")).scalar_one()
        first = uow.s.execute(text("SELECT id FROM calibration")).scalar_one()
        assert len(rows) == 2 and {(r.lot_id, r.calibration_id) for r in rows.values()} == {(lot, first)}
        plans = text("SELECT p.item_id FROM qc_run r JOIN qc_plan p ON p.id = r.plan_id WHERE r.id = :i")
        assert all(uow.s.execute(plans, {"i": r.qc_run_id}).scalar_one() == item for item, r in rows.items())
        # What is registered later, even for an earlier time, changes no line.
        equipment.calibrate(uow, world.analyzer, None, "CAL2", uow.now - timedelta(hours=3), uow.now + timedelta(days=300), True)
        new = reagents.add_lot(uow, "离子试剂", "L2", date(2030, 1, 1), 400, [world.items["K"], world.items["NA"]])
        for to in (LotState.PENDING, LotState.AVAILABLE):
            reagents.move_lot(uow, new.id, to, "验证记录")
            uow.s.flush()
        reagents.open_pack(uow, new.id, world.analyzer, uow.now)
        trace.note(uow)
        assert {r.item_id: tuple(r) for r in uow.s.execute(ROWS)} == {i: tuple(r) for i, r in rows.items()}
    lab.clock.advance(minutes=5)
    later = floor.tube()
    with lab.uow() as uow:
        trace.note(uow)
        fresh = [r for r in uow.s.execute(ROWS) if r.id not in {x.id for x in rows.values()}]
        assert {r.lot_id for r in fresh} == {new.id} and {r.calibration_id for r in fresh} != {first}
        assert [r.barcode for r in trace.of_lot(uow, lot)] == [queries.barcodes(uow, [tube])[tube]] * 2
        detail = queries.tube(uow, later)
        assert detail is not None
        told = trace.of(uow, detail)
        assert [(t.item.code, t.trace.lot_no, t.trace.certificate) for t in told if t.trace] == [("K", "L2", "CAL2"), ("NA", "L2", "CAL2")]
    tester = lab.client("tester")
    shown = tester.get(f"/bench/CHEM/tube/{later}/trace", headers={"HX-Request": "true"}).text
    assert "L2" in shown and "CAL2" in shown and "无有效质控" not in shown
    assert queries_count(tester.get(f"/bench/lot/{lot}").text) == 2


def queries_count(page: str) -> int:
    return page.count("未发布")


def test_outside_the_window_and_before_any_calibration_nothing_is_claimed(floor: Floor) -> None:
    lab, world = floor.world.lab, floor.world
    with lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"K": "4.2"}, uow.now - timedelta(days=3))
    with lab.uow() as uow:
        trace.note(uow)
        row = uow.s.execute(text("SELECT * FROM result_trace ORDER BY id DESC LIMIT 1")).one()
        assert (row.lot_id, row.calibration_id, row.qc_run_id) == (None, None, None)
    assert "无在机记录" in lab.client("tester").get(f"/bench/CHEM/tube/{tube}/trace", headers={"HX-Request": "true"}).text
