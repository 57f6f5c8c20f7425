"""What the pages of quality control list goes to Excel and on paper as it is narrowed, and no text of it is a formula."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from decimal import Decimal

import openpyxl
import pytest
from sqlalchemy import text

from cloud import relay
from cloud.modules.qc import moving, patients, plans
from cloud.modules.qc.models import QcMovingPoint
from cloud.modules.qc.plans import NewMaterial
from cloud.worker import all_handlers
from tests.cloud.qc.shop import NOON, D, Shop


def rows(shop: Shop, path: str, **form: str) -> list[list[str]]:
    """The workbook a page makes: the lines below its head."""
    lab = shop.world.lab
    reader = lab.client("quality")
    job = reader.post(path, {"kind": "xlsx"} | form).headers["Location"]
    relay.drain(lab.db, lab.a, all_handlers())
    sheet = openpyxl.load_workbook(io.BytesIO(reader.get(f"{job}/file").data)).worksheets[0]
    assert all(cell.data_type != "f" for line in sheet.iter_rows() for cell in line), "a text is a text"
    return [[str(cell.value or "") for cell in line] for line in sheet.iter_rows(min_row=3)]


def test_the_board_goes_out_as_it_is_narrowed(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        shop.good(uow, "K", NOON)
        shop.bad(uow, "NA", NOON)
    page = lab.client("quality").get("/qc/today?light=bad").text
    assert re.search(r'action="/qc/today/export".*?name="light" value="bad"', page, re.S)
    every, bad = rows(shop, "/qc/today/export"), rows(shop, "/qc/today/export", light="bad")
    assert {line[1] for line in every} >= {"项目K", "项目NA"} and [line[1] for line in bad] == ["项目NA"]
    assert bad[0][2] == "✕ 失控" and "1-3s" in bad[0][3] and bad[0][6].startswith("✕"), bad[0]
    good = next(line for line in every if line[1] == "项目K")
    assert good[2] == "✓ 在控" and good[4].startswith("L1 ") and good[6] == "质控在控" and good[7], good
    assert rows(shop, "/qc/today/export", section="none", light="none") == every, "what is no section and no light narrows nothing"
    assert rows(shop, "/qc/today/export", what="unplaced") == []


def test_plans_lots_and_targets_go_out(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        shop.person(uow, "leader")
        plans.add_material(
            uow,
            NewMaterial(code="=1+1", name="+质控", level=1, lot="-9", expires_at=NOON + timedelta(hours=1), opened_at=None, open_days=None),
        )
        for n in range(3):
            shop.good(uow, "K", NOON - timedelta(hours=n))
    found = rows(shop, "/qc/plans/export")
    assert {line[1] for line in found if line[0] == "生化仪一号"} >= {"项目K", "项目NA"} and all("L1 L2" in line[3] for line in found[:-1])
    lab.clock.advance(hours=2)
    lots = rows(shop, "/qc/plans/export", what="lots")
    mine = next(line for line in lots if line[0] == "=1+1")
    assert mine[1:4] == ["+质控", "L1", "-9"] and mine[9] == "已过期"
    plan = str(shop.plans["K"])
    targets = rows(shop, "/qc/targets/export", plan=plan)
    assert [line[0] for line in targets] == ["L1", "L2"] and Decimal(targets[0][2]) == D("4.00") and targets[0][5].startswith("使用中")
    stats = rows(shop, "/qc/targets/export", plan=plan, what="measured")
    assert [(line[0], line[2]) for line in stats] == [("L1", "3"), ("L2", "3")] and stats[0][6]
    assert lab.client("quality").post("/qc/targets/export", {"plan": "0", "kind": "xlsx"}).status_code == 404


def test_patient_based_control_goes_out_whole_and_hour_by_hour(shop: Shop) -> None:
    lab, plan = shop.world.lab, shop.plans["K"]
    with lab.uow() as uow:
        patients.save(uow, plan, moving.Setting(moving.Kind.AVERAGE, D("3.8"), D("4.4"), size=3, trunc_high=D(8)), True, None)
        for n, value in enumerate(("4.1", "4.5")):
            uow.s.add(QcMovingPoint(plan_id=plan, hour=NOON - timedelta(hours=2 - n), n=4, value=D(value), out=D(value) > D("4.4")))
    (line,) = rows(shop, "/qc/moving/export")[:1]
    assert line[1:4] == ["项目K", "移动均值", "n=3"] and "3.8" in line[5] and line[6] == "✕ 超出界限" and line[8] == "4"
    hours = rows(shop, "/qc/moving/export", plan=str(plan))
    assert [(h[2], h[5]) for h in hours] == [("4.5000", "✕ 超出界限"), ("4.1000", "")]
    assert lab.client("quality").post("/qc/moving/export", {"plan": str(shop.plans["NA"]), "kind": "xlsx"}).status_code == 404


@pytest.mark.parametrize("path", ["/qc/today/export", "/qc/plans/export", "/qc/moving/export"])
def test_an_export_is_asked_for_by_who_may_read_and_is_written_down(shop: Shop, path: str) -> None:
    lab = shop.world.lab
    assert lab.client("nurse").post(path, {"kind": "xlsx"}).status_code == 403
    assert lab.client("tester").post(path, {"kind": "exe"}, htmx=True).status_code == 422
    assert lab.client("tester").post(path, {"kind": "pdf"}).status_code == 303
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM audit_log WHERE action = 'export' AND entity = 'list'")).scalar() == 1
