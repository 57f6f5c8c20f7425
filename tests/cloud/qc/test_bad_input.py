"""M11 *Bad input*, a test a line of the specification: each is answered in words with what to do, and nothing typed is lost."""

from __future__ import annotations

import re
from datetime import timedelta

from sqlalchemy import text

from cloud.modules.qc import queries
from cloud.modules.qc.models import QcMaterial
from cloud.modules.qc.rules import RunState
from tests.cloud.qc.shop import HOUR, NOON, Shop, count, fields


def confirmation(page: str) -> str:
    found = re.search(r'name="confirm" value="(\w+)"', page)
    assert found is not None
    return found[1]


def test_m11_bad_input_duplicate_run(shop: Shop) -> None:
    """duplicate run: asked back with what was typed; saved only when it is said to be a second one."""
    tester = shop.world.lab.client("tester")
    typed = fields(shop, K1="4.02", K2="6.52")
    tester.post("/qc/entry", typed, htmx=True)
    asked = tester.post("/qc/entry", typed, htmx=True)
    assert "项目K L1 在 12:00 已有相同的结果 4.02，是否重复录入？" in asked.text and "项目K L2" in asked.text
    assert 'value="4.02"' in asked.text and "已核对，确认保存" in asked.text and count(shop) == 2
    assert "在控" in tester.post("/qc/entry", typed | {"confirm": confirmation(asked.text)}, htmx=True).text
    assert (count(shop), count(shop, "qc_run")) == (4, 2)


def test_m11_bad_input_value_with_wrong_decimal_asks_confirm(shop: Shop) -> None:
    """value with wrong decimal (z>20) asks confirm"""
    tester = shop.world.lab.client("tester")
    typed = fields(shop, K1="40.2", K2="6.52") | {"reagent_lot": "R77"}
    asked = tester.post("/qc/entry", typed, htmx=True)
    assert "项目K L1 填的 40.2 与靶值相差 362 个标准差，小数点是否有误？" in asked.text
    assert 'value="40.2"' in asked.text and 'value="6.52"' in asked.text and 'value="R77"' in asked.text and count(shop) == 0
    code = confirmation(asked.text)
    other = tester.post("/qc/entry", fields(shop, K1="402", K2="6.52") | {"confirm": code}, htmx=True)
    assert "小数点是否有误" in other.text and count(shop) == 0, "a confirmation is for what was shown, nothing else"
    assert "失控" in tester.post("/qc/entry", typed | {"confirm": code}, htmx=True).text and count(shop) == 2
    just_twenty = tester.post("/qc/entry", fields(shop, NA1="155", NA2="145"), htmx=True)
    assert "失控" in just_twenty.text and count(shop) == 4, "z = 20 is no slip, it is out of control"


def test_m11_bad_input_sd_of_zero(shop: Shop) -> None:
    """SD=0"""
    form = {"plan": shop.plans["K"], "level": 1, "material": shop.materials[1], "mean": "4", "sd": "0", "basis": "maker"}
    before = count(shop, "qc_target")
    refused = shop.world.lab.client("leader").post("/qc/targets", form, htmx=True)
    assert refused.status_code == 422 and "标准差不能为 0，否则任何差异都会被判为失控；请核对后重新填写。" in refused.text
    assert count(shop, "qc_target") == before


def test_m11_bad_input_lot_expired_is_refused(shop: Shop) -> None:
    """lot expired → refuse"""
    lab = shop.world.lab
    with lab.uow() as uow:
        uow.s.get_one(QcMaterial, (1, shop.materials[1])).expires_at = NOON
    tester = lab.client("tester")
    answer = tester.post("/qc/entry", fields(shop, K1="4.00", K2="6.51"), htmx=True)
    assert answer.status_code == 422 and "项目K L1：质控品批号已过有效期，结果不予接收，请更换批号。" in answer.text
    assert 'value="4.00"' in answer.text and 'value="6.51"' in answer.text and count(shop) == 0
    tester.post("/lang/en")
    assert "has expired" in tester.post("/qc/entry", fields(shop, K1="4.00"), htmx=True).text


def test_m11_bad_input_level_missing_from_run_is_incomplete(shop: Shop) -> None:
    """level missing from run → incomplete"""
    lab = shop.world.lab
    told = lab.client("tester").post("/qc/entry", fields(shop, K1="4.00"), htmx=True).text
    assert "水平不全 项目K" in told and "还缺 L2，请在 13:00 前补测；补齐之前这一批不算在控。" in told
    with lab.uow() as uow:
        [tile] = [t for t in queries.tiles(uow)[shop.world.analyzer] if t.plan_id == shop.plans["K"]]
        assert (tile.state, tile.missing, tile.gate.open) == (RunState.INCOMPLETE, [2], False)
        run = uow.s.execute(text("SELECT id FROM qc_run")).scalar_one()
        assert shop.run(uow, "K", NOON + 61 * timedelta(minutes=1), {2: "6.50"}) != run
        assert shop.run(uow, "K", NOON + HOUR, {2: "6.50"}) == run
        assert uow.s.execute(text("SELECT state FROM qc_run WHERE id = :i"), {"i": run}).scalar_one() == RunState.IN_CONTROL
    assert count(shop, "qc_run") == 2


def test_what_the_audit_keeps_of_a_run_tells_what_was_measured_and_what_it_changed(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        shop.run(uow, "K", NOON, {1: "4.00", 2: "6.50"})
    with shop.world.lab.uow() as uow:
        rows = uow.s.execute(text("SELECT action, body FROM audit_log WHERE entity = 'qc_run' ORDER BY seq")).all()
    assert [r.action for r in rows] == ["measured", "measured", "judged"], "a level that leaves the run as it was is no judgement"
