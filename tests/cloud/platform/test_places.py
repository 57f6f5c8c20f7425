"""A right given at one campus reads and writes nothing of another: tubes, requests, critical values, quality control (M01)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select, text

from cloud.db.session import Reach
from cloud.modules.catalog import queries as md
from cloud.modules.catalog.models import RejectReason, Section
from cloud.modules.critical.models import CriticalContact
from cloud.modules.edge import queries as edge
from cloud.modules.edge.models import Agent, Connection, RawMessage
from cloud.modules.orders.models import OutsideReport
from cloud.modules.platform import alerts, digest
from cloud.modules.platform.alerts import Alert
from cloud.modules.platform.models import Alert as AlertRow
from cloud.modules.platform.models import Workstation
from cloud.modules.platform.rules import Level
from cloud.modules.qc import jobs, months, plans
from cloud.modules.specimens.models import StrayTube
from common import ids
from tests.cloud.bench.world import World, build
from tests.cloud.platform.test_campuses import campus, give
from tests.cloud.qc.shop import Shop, open_shop
from tests.support import lab as labs
from tests.support.database import TestDatabase

RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)


@pytest.fixture
def shop(fresh_db: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """All that there is lies in the section CHEM of the west campus; HEM and the ward 东一病区 are at the east one."""
    lab = labs.make(fresh_db, data_dir=str(tmp_path_factory.mktemp("files")))
    made = open_shop(build(lab))
    with lab.uow() as uow:
        uow.s.add_all([Section(code="HEM", name="血液组"), RejectReason(code="HEMO", name="溶血")])
    campus(lab, "WEST", "CHEM", wards="内科一病区")
    campus(lab, "EAST", "HEM", wards="东一病区")
    yield made
    lab.db.dispose()


def tube(world: World, state: str, **more: str) -> tuple[int, str, str]:
    """A tube's id, barcode and its patient's number."""
    with world.lab.uow() as uow:
        made = world.tube(uow, state=state, **more)  # type: ignore[arg-type]  # wards are words
        code = ids.accession_number(1, date(2026, 5, 4), made)
        uow.s.execute(text("UPDATE specimen SET barcode = :c, received_at = NULL WHERE id = :i"), {"c": code, "i": made})
        sql = "SELECT p.patient_no FROM specimen s JOIN patient p ON p.id = s.patient_id WHERE s.id = :i"
        return made, code, str(uow.s.execute(text(sql), {"i": made}).scalar_one())


def state_of(world: World, specimen: int) -> str:
    with world.lab.uow() as uow:
        return str(uow.s.execute(text("SELECT state FROM specimen WHERE id = :i"), {"i": specimen}).scalar_one())


def test_a_tube_of_another_campus_is_neither_received_nor_rejected_nor_found(shop: Shop) -> None:
    world, lab = shop.world, shop.world.lab
    way, code, patient_no = tube(world, "collected")
    here, other, _ = tube(world, "received")
    receiver = lab.client("receiver")
    assert give(lab, "receiver", {"receiver": "campus:EAST"}) == 200
    scanned = receiver.post("/sp/receive", {"code": code}, htmx=True)
    assert scanned.status_code == 409 and "由生化组检验" in scanned.text and "张三丰" not in scanned.text
    refused = receiver.post("/sp/reject", {"code": other, "reason_id": "1"}, htmx=True)
    assert refused.status_code == 404 and "由生化组检验" in refused.text
    for asked in (code, patient_no, "张三丰"):
        assert "内科一病区" not in receiver.get("/sp/find", query_string={"code": asked}).text, asked
    assert receiver.get(f"/sp/tubes/{here}").status_code == 404
    assert receiver.post(f"/sp/tubes/{here}/issues", {"issue": "clot"}, htmx=True).status_code == 404
    assert receiver.post(f"/sp/tubes/{here}/number", {"number": "99", "reason": "改"}, htmx=True).status_code == 404
    assert (state_of(world, way), state_of(world, here)) == ("collected", "received")
    assert patient_no not in receiver.get("/orders").text and receiver.get("/orders/item/1").status_code == 404
    assert give(lab, "receiver", {"receiver": "campus:WEST"}) == 200
    assert receiver.post("/sp/receive", {"code": code}, htmx=True).status_code == 200
    assert receiver.get("/orders/item/1").status_code == 200 and patient_no in receiver.get("/orders").text


def test_a_tube_from_a_ward_of_the_own_campus_is_received_there_wherever_it_is_examined(shop: Shop) -> None:
    world, lab = shop.world, shop.world.lab
    way, code, _ = tube(world, "collected", ward="东一病区")
    receiver = lab.client("receiver")
    assert give(lab, "receiver", {"receiver": "campus:EAST"}) == 200
    assert receiver.get(f"/sp/tubes/{way}").status_code == 200
    assert receiver.post("/sp/receive", {"code": code}, htmx=True).status_code == 200
    # Its results are the other campus's all the same.
    assert give(lab, "tester", {"tester": "campus:EAST"}) == 200
    assert lab.client("tester").get(f"/bench/CHEM/tube/{way}").status_code == 404


def test_a_critical_value_of_another_campus_is_not_called_from_here(shop: Shop) -> None:
    world, lab = shop.world, shop.world.lab
    with lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"K": "6.8"}, RUN)
        event, version = uow.s.execute(text("SELECT id, version FROM critical_event")).one()
    tester = lab.client("tester")
    assert give(lab, "tester", {"tester": "campus:EAST"}) == 200
    page = "/critical/register?first=2026-01-01"
    for shown in ("/critical/board", page, "/critical/stats?first=2026-01-01"):
        found = tester.get(shown)
        assert found.status_code == 200 and "内科一病区" not in found.text, shown
    assert tester.get(f"/critical/phone/{event}").status_code == 404
    assert "cv-strip" not in tester.fragment(f"/critical/tube/{tube}").text
    call = {"version": version, "receiver": "王护士", "dept": "内科一病区", "readback": "6.8", "identity": "1"}
    call |= {"reason": "x", "action": "y"}
    verbs = ("confirm", "escalate", "handle", "close", "difficulty", "waive", "dismiss", "glass")
    for address in (f"/critical/phone/{event}", f"/critical/phone/{event}/none", *(f"/critical/{event}/{verb}" for verb in verbs)):
        assert tester.post(address, call, htmx=True).status_code == 404, address
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT version FROM critical_event")).scalar_one() == version
    assert give(lab, "tester", {"tester": "campus:WEST"}) == 200
    assert "内科一病区" in tester.get("/critical/board").text and "内科一病区" in tester.get(page).text
    assert "cv-strip" in tester.fragment(f"/critical/tube/{tube}").text
    assert tester.post(f"/critical/{event}/confirm", call, htmx=True).status_code == 200


def test_quality_control_of_another_campus_is_neither_shown_nor_set(shop: Shop) -> None:
    world, lab = shop.world, shop.world.lab
    plan, item = shop.plans["K"], world.items["K"]
    with lab.uow() as uow:
        at = uow.now
        shop.good(uow, "K", at.replace(hour=0))
        shop.bad(uow, "K", at)
        work = shop.work(uow, "K").id
        target = uow.s.execute(text("SELECT id FROM qc_target ORDER BY id LIMIT 1")).scalar_one()
    before = settings(world)
    leader, quality = lab.client("leader"), lab.client("quality")
    lab.sign(leader)
    for who, role in ((leader, "leader"), (quality, "quality")):
        assert give(lab, role, {role: "campus:EAST"}) == 200
        for page in ("today", "lj", "plans", f"plans?plan={plan}", f"targets?plan={plan}", f"moving?plan={plan}", "month", "sigma", "ooc"):
            found = who.get(f"/qc/{page}")
            assert found.status_code == 200 and "生化仪一号" not in found.text and "项目K" not in found.text, page
        assert who.get(f"/qc/ooc/{work}").status_code == 404
    form = {"plan": plan, "analyzer_id": world.analyzer, "item_id": item, "levels": "1", "method": "lj", "window_hours": "24"}
    form |= {"rules": "1-3s", "version": "1", "kind": "average", "low": "1", "high": "9", "mean": "4", "sd": "1", "level": "1"}
    form |= {"material": "1", "reason": "改", "cause": "x", "action": "y", "text": "校准", "analyzer": world.analyzer}
    form |= {"hours": "1", "conclusion": "好", "size": "20", "weight": "0.1", "low": "1", "high": "9"}
    for address in ("plans", "targets", "moving", "note", f"result/{1}/exclude", "entry", "lj/print"):
        assert leader.post(f"/qc/{address}", form, htmx=True).status_code == 404, address
    for verb in ("investigate", "correct", "verify", "decide", "close"):
        assert leader.post(f"/qc/ooc/{work}/{verb}", form, htmx=True).status_code == 404, verb
    for verb in ("approve", "refuse"):
        assert quality.post(f"/qc/targets/{target}/{verb}", form, htmx=True).status_code == 404, verb
    assert settings(world) == before
    assert give(lab, "leader", {"leader": "campus:WEST"}) == 200
    assert "生化仪一号" in leader.get("/qc/today").text and leader.get(f"/qc/ooc/{work}").status_code == 200
    assert leader.post("/qc/moving", form, htmx=True).status_code == 204


def test_lots_and_their_alerts_are_of_the_place_that_uses_them(shop: Shop) -> None:
    lab, lot = shop.world.lab, shop.materials[1]
    with lab.uow() as uow:
        fresh = plans.add_material(uow, plans.NewMaterial("NEW", "还没有人用的质控品（虚构）", 1, "FRESH")).id
        shop.good(uow, "K", uow.now)
        months.draft(uow, uow.now.date(), md.HOSPITAL_ZONE)
    lab.clock.set(lab.clock().replace(day=6) + timedelta(days=31))  # past the day by which months are signed
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE qc_material SET expires_at = :at WHERE lot <> 'FRESH'"), {"at": uow.now + timedelta(days=5)})
        jobs.lots(uow)
        jobs.month(uow)
    for campus_of, status in (("EAST", 404), ("WEST", 200)):
        assert give(lab, "leader", {"leader": f"campus:{campus_of}"}) == 200
        leader = lab.client("leader")
        mine = status == 200
        assert leader.get(f"/qc/lots/{lot}").status_code == status
        assert ("LOT1" in leader.get("/qc/plans").text) is mine
        assert leader.post(f"/qc/lots/{lot}", {"plan": str(shop.plans["K"])}, htmx=True).status_code == (409 if mine else 404)
        assert leader.get(f"/qc/lots/{fresh}").status_code == 200, "what nobody uses yet is everybody's"
        told = leader.get("/alerts").text
        assert ("天到期" in told and "月总结还有" in told) is mine
        assert ("天到期" in told or "月总结还有" in told) is mine


def test_outside_reports_are_of_the_items_or_the_wards_place(shop: Shop) -> None:
    """By who examines the item, or where the patient lies; neither list, paper nor withdrawal shows another place's."""
    world, lab = shop.world, shop.world.lab
    tube(world, "received")
    with lab.uow() as uow:
        patient = uow.s.execute(text("SELECT id FROM patient ORDER BY id LIMIT 1")).scalar_one()
        row = OutsideReport(
            patient_id=patient, item_id=world.items["K"], hospital="外院甲", mark="HR", value="4.1", entered_by="甲", entered_at=uow.now,
            sampled_at=uow.now,
        )  # fmt: skip
        uow.s.add(row)
        uow.s.flush()
        report = row.id
    for campus_of, shown in (("EAST", False), ("WEST", True)):
        assert give(lab, "receiver", {"receiver": f"campus:{campus_of}"}) == 200
        assert ("外院甲" in lab.client("receiver").get("/orders/outside").text) is shown
        why = {"version": "1", "why": ""}
        assert lab.client("receiver").post(f"/orders/outside/{report}/withdraw", why, htmx=True).status_code == (422 if shown else 404)
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE visit SET ward = '东一病区' WHERE patient_id = :p"), {"p": patient})
    assert give(lab, "receiver", {"receiver": "campus:EAST"}) == 200
    assert "外院甲" in lab.client("receiver").get("/orders/outside").text


def test_what_another_places_analyzer_sent_is_not_counted(shop: Shop) -> None:
    """Unplaced links, an agent's balance and its newest messages; a link that belongs to no analyzer yet is everybody's."""
    world, lab = shop.world, shop.world.lab
    with lab.uow() as uow:
        agent = Agent(name="采集端", uuid="a-1")
        uow.s.add(agent)
        uow.s.flush()
        links = [
            Connection(agent_id=agent.id, key=key, name=key, analyzer_id=a, protocol="astm", transport={})
            for key, a in (("west", world.analyzer), ("bare", None))
        ]
        uow.s.add_all(links)
        uow.s.flush()
        for n, link in enumerate(links):
            uow.s.add(
                RawMessage(
                    agent_id=agent.id, stream_uuid="s", seq=n, sha256="x", connection_id=link.id, conn_key=link.key, received_at=uow.now,
                    body=b"x", meta={}, state="quarantined",
                )
            )  # fmt: skip
        agent_id = agent.id
    for campus_of, keys in (("EAST", {"bare"}), ("WEST", {"bare", "west"})):
        reach = "CHEM" if campus_of == "WEST" else "HEM"
        with lab.uow() as uow:
            uow.actor = replace(uow.actor, reach=Reach(frozenset({reach}), frozenset()))
            assert {r.conn_key for r in edge.unassigned(uow)} == {r.conn_key for r in edge.recent(uow, agent_id)} == keys
            assert edge.balance(uow, agent_id).stored == len(keys)


def settings(world: World) -> list[object]:
    with world.lab.uow() as uow:
        tables = ("qc_plan", "qc_target", "qc_moving", "qc_ooc", "qc_result", "qc_note", "qc_month")
        return [uow.s.execute(text(f"SELECT * FROM {t} ORDER BY id")).all() for t in tables]


def test_an_alert_is_seen_where_its_right_counts(shop: Shop) -> None:
    lab = shop.world.lab
    assert give(lab, "leader", {"leader": "campus:EAST", "tester": "campus:WEST"}) == 200
    here = (("both", ("CHEM", "东一病区")), ("west", ("CHEM",)), ("east", ("HEM",)), ("ward", ("东一病区",)), ("all", ()))
    with lab.uow() as uow:
        for permission in ("reports:amend", "results:enter", "platform:audit"):
            for name, at in here:
                subject = f"{permission}:{name}"
                told = Alert("test.place", subject, Level.WARNING, "%(n)s 待办", "/", permission, {"n": f"【{subject}】"}, at=at)
                alerts.raise_alert(uow, told)
    leader = lab.client("leader")
    page = leader.get("/alerts").text
    shown = {p: {name for name, _ in here if f"【{p}:{name}】" in page} for p in ("reports:amend", "results:enter", "platform:audit")}
    # The leader's right counts in the east, the tester's work in both (leaders enter results too), neither of the two reads the audit.
    assert shown == {
        "reports:amend": {"both", "east", "ward", "all"},
        "results:enter": {"both", "west", "east", "ward", "all"},
        "platform:audit": set(),
    }
    morning = datetime(2026, 5, 5, 0, 1, tzinfo=UTC)
    now = lab.clock()
    lab.clock.set(morning)
    with lab.uow() as uow:
        assert digest.make(uow) > 0
    with lab.uow() as uow:
        (mine,) = digest.days(uow, lab.users[(lab.a, "leader")])
        assert {line.kind: line.n for line in digest.of(mine)}["test.place"] == 9  # the same as on the page
    lab.clock.set(now)
    with lab.uow() as uow:
        rows = {row.subject: row.id for row in uow.s.scalars(select(AlertRow).where(AlertRow.kind == "test.place"))}
    answer = {
        name: leader.post(f"/alerts/{rows['reports:amend:' + name]}/acknowledge", {"note": "已办"}, htmx=True).status_code
        for name, _ in here
    }
    assert answer == {"both": 200, "west": 404, "east": 200, "ward": 200, "all": 200}
    assert give(lab, "leader", {"leader": "tenant"}) == 200
    assert "【reports:amend:west】" in lab.client("leader").get("/alerts").text


def test_what_was_left_open_follows_when_its_place_becomes_known(shop: Shop) -> None:
    lab = shop.world.lab
    told = Alert("test.place", "one", Level.WARNING, "%(n)s", "/", "reports:amend", {"n": "一"})
    with lab.uow() as uow:
        alerts.raise_alert(uow, told)
        alerts.raise_alert(uow, replace(told, at=("CHEM",)))
        assert uow.s.scalars(select(AlertRow.at).where(AlertRow.kind == "test.place")).one() == ["CHEM"]


def test_a_tube_nobody_knows_is_looked_for_where_it_was_put_aside_and_leaves_the_list(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        for code, section, site in (("WS1", None, "WEST"), ("WE", "HEM", ""), ("WX", None, "")):
            uow.s.add(Workstation(code=code, name=code, section_code=section, campus=site))
    for place in ("WS1", "WE", "WX", ""):
        desk = lab.client("receiver", workstation=place)
        assert desk.post("/sp/receive/stray", {"code": f"ZZZ{place or 'NONE'}"}, htmx=True).status_code == 200
    assert give(lab, "receiver", {"receiver": "campus:EAST"}) == 200
    east = lab.client("receiver", workstation="WE")
    page = east.get("/sp/receive").text
    assert [code for code in ("ZZZWS1", "ZZZWE", "ZZZWX", "ZZZNONE") if code in page] == ["ZZZWE", "ZZZWX", "ZZZNONE"]
    with lab.uow() as uow:
        rows = {row.code: row.id for row in uow.s.scalars(select(StrayTube))}
    assert east.post(f"/sp/receive/stray/{rows['ZZZWS1']}", {"outcome": "退回病区"}, htmx=True).status_code == 404
    assert east.post(f"/sp/receive/stray/{rows['ZZZWE']}", {"outcome": " "}, htmx=True).status_code == 422
    closed = east.post(f"/sp/receive/stray/{rows['ZZZWE']}", {"outcome": "内科张三，已补条码"}, htmx=True)
    assert closed.status_code == 200 and "ZZZWE" not in closed.text and "ZZZWX" in closed.text
    again = east.post(f"/sp/receive/stray/{rows['ZZZWE']}", {"outcome": "再次"}, htmx=True)
    assert again.status_code == 409 and "结案" in again.text


def test_whom_to_call_is_set_for_the_own_wards(shop: Shop) -> None:
    lab = shop.world.lab
    form = {"level": "1", "contact": "护士站", "phone": "8001"}
    for place in ("内科一病区", "东一病区", ""):
        assert lab.client("leader").post("/critical/limits/contact", form | {"place": place, "phone": f"80{place}"}).status_code == 303
    assert give(lab, "leader", {"leader": "campus:EAST"}) == 200
    east = lab.client("leader")
    page = east.get("/critical/limits").text
    assert "80东一病区" in page and "80内科一病区" not in page
    for place, status in (("东一病区", 303), ("内科一病区", 404), ("", 404)):
        assert east.post("/critical/limits/contact", form | {"place": place}).status_code == status, place
    with lab.uow() as uow:
        rows = {row.place: row.id for row in uow.s.scalars(select(CriticalContact))}
    for place, status in (("内科一病区", 404), ("", 404), ("东一病区", 303)):
        assert east.post(f"/critical/limits/contact/{rows[place]}/remove").status_code == status, place
    with lab.uow() as uow:
        left = {row.place: row.phone for row in uow.s.scalars(select(CriticalContact))}
    assert left == {"内科一病区": "80内科一病区", "": "80"}
