"""Out-of-control work by hand, through the pages; the bypass of the director."""

from __future__ import annotations

from datetime import date

from sqlalchemy import text

from cloud.modules.platform.models import Alert
from cloud.modules.qc import ooc, queries, registers
from cloud.modules.qc.rules import GateState
from common.values import significant
from tests.cloud.bench.world import NORMAL
from tests.cloud.qc.shop import HOUR, NOON, D, Shop, fields


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
    asked = tester.post("/qc/ooc/print", {"kind": "pdf", "month": "2026-05"})
    assert asked.status_code == 303 and asked.headers["Location"].startswith("/lists/")
    with lab.uow() as uow:
        [row] = registers.ooc_register(uow, date(2026, 5, 1), registers.Stamp("甲医院", "检验者一号", uow.now)).rows
        assert row[:6] == ("05-04 12:00", "生化仪一号", "项目K", "1-3s(L1)", "试剂：气泡", "更换试剂")
        assert row[6].startswith("检验者一号 05-04 ") and row[7].startswith("05-04 13:00 在控 检验者一号")
        assert row[8] == "复检 1，超限 0" and row[9].startswith("已处理 专业组长一号 ")
        assert registers.ooc_register(uow, date(2026, 4, 1), registers.Stamp("甲", "乙", uow.now)).rows == ()


def test_a_reexamined_value_beyond_half_the_allowed_error_is_told_and_a_slip_of_the_hand_is_mended(shop: Shop) -> None:
    lab, world = shop.world.lab, shop.world
    with lab.uow() as uow:
        shop.good(uow, "K", NOON - 2 * HOUR)
        world.send(uow, world.tube(uow), NORMAL, NOON - HOUR)
        shop.bad(uow, "K", NOON)
        work = shop.work(uow, "K")
        [one] = ooc.patients(uow, work)
        uow.s.execute(text("UPDATE test SET state = 'released' WHERE id = :i"), {"i": one.test_id})
    tester = lab.client("tester")
    url = f"/qc/ooc/{work.id}"
    half = f"±{significant(one.value * D('0.03'), 2)}"
    assert half in tester.get(url).text, "how far it may differ stands beside each result"

    def told() -> list[bool]:
        with lab.uow() as uow:
            return [a.cleared_at is None for a in uow.s.query(Alert).filter_by(kind="qc.recall").order_by(Alert.id)]

    assert "超过 ½TEa" in tester.post(f"{url}/examine/{one.result_id}", {"again": "41.5"}, htmx=True).text
    assert told() == [True]
    mended = tester.post(f"{url}/examine/{one.result_id}", {"again": str(one.value)}, htmx=True)
    assert mended.status_code == 200 and "✕ 超过" not in mended.text and told() == [False]
    tester.post(f"{url}/examine/{one.result_id}", {"again": "41.5"}, htmx=True)
    with lab.uow() as uow:
        assert told() == [False, True]
        uow.s.execute(text("UPDATE test SET state = 'amended' WHERE id = :i"), {"i": one.test_id})
        shop.mend(uow, "K")
    lab.clock.set(NOON + HOUR)
    with lab.uow() as uow:
        shop.good(uow, "K", NOON + HOUR)
        tester_ = shop.person(uow, "tester")
        work = shop.work(uow, "K")
        ooc.verify(uow, work.id, work.version, tester_)
        leader = shop.person(uow, "leader")
        ooc.close(uow, work.id, work.version, "已修改报告", leader)
    assert told() == [False, False], "closing needs the report amended, and ends the alarm"
    after = lab.client("tester").post(f"{url}/examine/{one.result_id}", {"again": "4.1"}, htmx=True)
    assert after.status_code == 409 and "已由组长签名关闭" in after.text


def test_only_the_director_may_bypass_and_at_most_four_hours(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        shop.bad(uow, "K", NOON)
    url = f"/qc/bypass/{shop.plans['K']}"
    assert lab.client("leader").post(url, {"hours": "1", "reason": "x"}).status_code == 403
    director = lab.client("director")
    for wrong in ("5", "4.01", "0", "-1", "nan", "1e-999", "0_1", ""):
        assert director.post(url, {"hours": wrong, "reason": "x"}, htmx=True).status_code == 422, wrong
    assert director.post(url, {"hours": "1", "reason": ""}, htmx=True).status_code == 422
    assert director.post(url, {"hours": "1", "reason": "急诊抢救"}).status_code == 303
    assert "急诊抢救" in director.get("/qc/today").text
