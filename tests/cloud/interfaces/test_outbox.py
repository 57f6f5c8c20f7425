"""From events of the laboratory to messages at the HIS: the real modules, the real relay, a HIS that listens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select, update

from cloud import relay
from cloud.db.outbox import OutboxEvent
from cloud.db.session import Database
from cloud.modules.critical import queries as critical_queries
from cloud.modules.critical import service as critical
from cloud.modules.interfaces import queries, service
from cloud.modules.interfaces.deliver import Deliverer
from cloud.modules.interfaces.hl7_wire import Message, parse
from cloud.modules.interfaces.models import Delivery, Endpoint
from cloud.modules.orders import service as orders
from cloud.modules.orders.messages import Action, Charge, VisitType
from cloud.modules.orders.models import OrderItem, Patient
from cloud.modules.orders.service import ItemStatus
from cloud.modules.reports import queries as reports_queries
from cloud.modules.reports import service as reports
from cloud.worker import all_handlers
from tests.cloud.bench.world import NORMAL, build
from tests.cloud.reports.test_release import DESK, Room
from tests.support import lab as labs
from tests.support.database import TestDatabase
from tests.support.fake_his import FakeHis
from tests.support.orders import SOURCE, hospitals, item, message

S = ItemStatus


def work(db: Database, sender: Deliverer, tenant: int = 1) -> None:
    """What the worker does: events to handlers, then messages to their systems."""
    relay.drain(db, tenant, all_handlers())
    sender.drain(tenant)


def endpoint(db: Database, his: FakeHis, source: str, tenant: int = 1, **more: object) -> None:
    config = {"host": "127.0.0.1", "port": his.port, "facility": "LAB", "to_facility": "H1", "answer_s": 2, **more}
    with db.tenant(tenant) as uow:
        service.save_endpoint(uow, "HIS-OUT", "HIS", "out", config, source=source)


@pytest.fixture
def db(fresh_db: TestDatabase) -> Iterator[Database]:
    with hospitals(fresh_db) as made:
        yield made


def statuses(his: FakeHis) -> list[tuple[str, str, str]]:
    """(item number, status word, reason) of each status message, in order of arrival."""
    out = []
    for seen in his.seen:
        orc = parse(seen.raw).first("ORC")
        assert orc is not None
        out.append((orc.get(2), orc.get(16), orc.get(16, 2)))
    return out


def test_an_items_way_is_told_to_its_his_in_order(db: Database) -> None:
    sender = Deliverer(db)
    with FakeHis() as his:
        endpoint(db, his, SOURCE)
        with db.tenant(1) as uow:
            placed = orders.place_order(uow, message(item("I1"), visit=VisitType.INPATIENT), SOURCE)
        for status in (S.LABELLED, S.COLLECTED, S.RECEIVED):
            with db.tenant(1) as uow:
                orders.set_status(uow, placed.created, status, barcode="126126000013")
        with db.tenant(1) as uow:
            orders.set_status(uow, placed.created, S.REJECTED, reason="溶血", barcode="126126000013")
        work(db, sender)
        work(db, sender)
        assert statuses(his) == [("I1", "collected", "已采集"), ("I1", "received", "已核收"), ("I1", "rejected", "拒收：溶血")]
        first = parse(his.seen[0].raw)
        assert (first.header.app, first.header.facility, first.header.to_facility) == ("JIANLIAN", "LAB", "H1")
        obr, pid = first.first("OBR"), first.first("PID")
        assert obr is not None and pid is not None
        assert (obr.get(4), obr.get(20), pid.get(3), pid.get(5)) == ("CBC", "126126000013", "P001", "张三丰")
    sender.close()


def test_only_the_system_that_ordered_is_told(db: Database) -> None:
    sender = Deliverer(db)
    with FakeHis() as his:
        endpoint(db, his, "ANOTHER")
        with db.tenant(1) as uow:
            placed = orders.place_order(uow, message(item("I1"), visit=VisitType.INPATIENT), SOURCE)
            orders.set_status(uow, placed.created, S.LABELLED)
            orders.set_status(uow, placed.created, S.COLLECTED)
        work(db, sender)
        assert his.seen == []
        with db.tenant(1) as uow:
            assert uow.s.scalars(select(OutboxEvent).where(OutboxEvent.done_at.is_(None))).all() == []
    sender.close()


def test_refusal_of_a_refund_is_told(db: Database) -> None:
    from cloud.modules.orders import queries as order_queries

    sender = Deliverer(db)
    with FakeHis() as his:
        endpoint(db, his, SOURCE)
        with db.tenant(1) as uow:
            placed = orders.place_order(uow, message(item("I1"), visit=VisitType.INPATIENT), SOURCE)
            for status in (S.LABELLED, S.COLLECTED, S.RECEIVED):
                orders.set_status(uow, placed.created, status)
            orders.place_order(uow, message(item("I1", None, Action.CANCEL, None)), SOURCE)
        with db.tenant(1) as uow:
            (row,) = order_queries.refunds(uow)
            orders.decide_refund(uow, row.id, row.version, False, "已上机检测")
        work(db, sender)
        assert statuses(his)[-1] == ("I1", "refund_refused", "退费未同意：已上机检测")
    sender.close()


def test_consent_to_a_refund_is_told_as_cancelled(db: Database) -> None:
    sender = Deliverer(db)
    with FakeHis() as his:
        endpoint(db, his, SOURCE)
        with db.tenant(1) as uow:
            orders.place_order(uow, message(item("I1", charge=Charge.PAID)), SOURCE)
            orders.place_order(uow, message(item("I1", None, Action.CANCEL, None, reason="开错")), SOURCE)
        work(db, sender)
        assert statuses(his) == [("I1", "cancelled", "已取消：开错")]
    sender.close()


def test_an_inpatients_item_is_charged_once_by_a_message_of_its_own(db: Database) -> None:
    sender = Deliverer(db)
    with FakeHis() as his:
        endpoint(db, his, SOURCE, send=["charge"])
        with db.tenant(1) as uow:
            placed = orders.place_order(uow, message(item("I1", charge=None), visit=VisitType.INPATIENT), SOURCE)
        for status in (S.LABELLED, S.COLLECTED, S.RECEIVED):
            with db.tenant(1) as uow:
                orders.set_status(uow, placed.created, status)
        with db.tenant(1) as uow:
            for event in uow.s.scalars(select(OutboxEvent).where(OutboxEvent.topic == "order.charge")).all():
                uow.emit("order.charge", event.key, event.payload)  # told twice by mistake
        work(db, sender)
        [told] = [parse(s.raw) for s in his.seen]
        ft1, pid = told.first("FT1"), told.first("PID")
        assert told.header.kind == "DFT" and ft1 is not None and pid is not None
        assert (ft1.get(2), ft1.get(6), ft1.get(23)) == (f"LIS{placed.created[0]}", "CG", "I1") and pid.get(5)

        # Cancelled after all: the credit follows the charge, once, to the system that was charged and to no other.
        with db.tenant(1) as uow:
            config = {"host": "127.0.0.1", "port": his.port, "facility": "LAB", "to_facility": "H2", "send": ["charge"]}
            service.save_endpoint(uow, "HIS-NEW", "新 HIS", "out", config, source=SOURCE)
        with db.tenant(1) as uow:
            orders.set_status(uow, placed.created, S.CANCELLED, reason="开错")
        with db.tenant(1) as uow:
            for event in uow.s.scalars(select(OutboxEvent).where(OutboxEvent.topic == "order.credit")).all():
                uow.emit("order.credit", event.key, event.payload)
        work(db, sender)
        [_, back] = [parse(s.raw) for s in his.seen]
        ft1, orc = back.first("FT1"), back.first("ORC")
        assert back.header.kind == "DFT" and ft1 is not None and orc is not None
        assert [ft1.get(n) for n in (2, 6, 8, 10, 23)] == [f"LIS{placed.created[0]}-C", "CD", "开错", "-1", "I1"] and orc.get(5) == "CA"
    sender.close()


# -- reports ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def room(fresh_db: TestDatabase) -> Iterator[Room]:
    lab = labs.make(fresh_db)
    yield Room(build(lab))
    lab.db.dispose()


def told(room: Room, values: dict[str, str]) -> tuple[str, int, int]:
    """A released report for a patient with a rare name: number, report id, tube."""
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow, room.world.patient(uow, "张㛃䶮"))
        room.world.send(uow, tube, values)
        report = reports.review(uow, tube, None, room.person(uow, "tester"))
        room.checked(uow, report)
        no = reports.release(uow, [report], room.person(uow, "verifier"), DESK)[0]
        return no, report, tube


def values_of(m: Message) -> dict[str, tuple[str, str, str]]:
    return {s.get(3): (s.get(5), s.get(8), s.get(11)) for s in m.all("OBX") if s.get(2) in ("NM", "ST")}


@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_ac_if_2_a_released_report_reaches_the_his_whole(room: Room, charset: str) -> None:
    db, sender = room.world.lab.db, Deliverer(room.world.lab.db)
    with FakeHis() as his:
        endpoint(db, his, "his", charset=charset)
        no, report, tube = told(room, NORMAL | {"GLU": "<2.00", "K": "6.80"})
        work(db, sender)
        results = [parse(s.raw) for s in his.seen if b"ORU^R01" in s.raw]
        assert len(results) == 1
        m = results[0]
        assert m.header.encoding == charset
        pid, obr, orc = m.first("PID"), m.first("OBR"), m.first("ORC")
        assert pid is not None and obr is not None and orc is not None
        assert pid.get(5) == "张㛃䶮"
        assert (obr.get(3), obr.get(4), obr.get(4, 2), obr.get(25)) == (f"{no}-1", "ELEC", "电解质", "F")
        assert (obr.get(34, 2), obr.get(32, 2)) == ("检验者一号", "审核者一号")
        assert orc.get(2).startswith("I") and orc.get(4).startswith("O")
        found = values_of(m)
        assert found["K"] == ("6.8", "HH", "F")
        assert found["NA"] == ("140", "", "F")
        assert found["GLU"][0] == "<2.00"
        assert [s.get(2) for s in m.all("OBX") if s.get(3) == "GLU"] == ["ST"]
        with db.tenant(1) as uow:
            assert [(row.version_no, row.state) for row in queries.delivery_states(uow, report, 1)] == [(1, "acked")]
            assert uow.s.scalars(select(OrderItem.status).where(OrderItem.specimen_id == tube)).one() == "reported"
    sender.close()


def test_a_reports_page_says_whether_the_other_systems_have_it(room: Room) -> None:
    lab = room.world.lab
    sender = Deliverer(lab.db)
    with FakeHis() as his:
        no, *_ = told(room, NORMAL)
        url = f"/if/report/{no}"
        tester, leader = lab.client("tester"), lab.client("leader")
        assert "没有要送达的其他系统" in tester.get(url).text, "no system is set up"
        endpoint(lab.db, his, "his")
        relay.drain(lab.db, 1, all_handlers())
        waits = leader.get(url).text
        assert "! 待发送" in waits and "/if/messages/out/" in waits and "送达其他系统" in waits
        assert f'hx-get="{url}"' in tester.get(f"/reports/{no}").text
        work(lab.db, sender)
        assert "✓ 已送达" in (arrived := tester.get(url).text) and "/if/messages" not in arrived, "messages are not the tester's"
        assert leader.get("/if/report/R999999999999").status_code == 404 == lab.client("tester", lab.b).get(url).status_code
        assert lab.client("nurse").get(url).status_code == 403
    sender.close()


def test_a_preliminary_report_is_told_as_one_and_the_final_replaces_it(room: Room) -> None:
    db, sender = room.world.lab.db, Deliverer(room.world.lab.db)
    with FakeHis() as his:
        endpoint(db, his, "his")
        with room.world.lab.uow() as uow:
            tube = room.world.tube(uow)
            room.world.send(uow, tube, {"K": "4.1"})
            report = reports.review_part(uow, tube, None, room.person(uow, "tester"))
            [no] = reports.release(uow, [report], room.person(uow, "verifier"), DESK)
        work(db, sender)
        with room.world.lab.uow() as uow:
            assert uow.s.scalars(select(OrderItem.status).where(OrderItem.specimen_id == tube)).one() == "partly_reported"
            room.world.send(uow, tube, NORMAL)
            reports.review(uow, tube, None, room.person(uow, "tester"))
            reports.release(uow, [report], room.person(uow, "verifier"), DESK)
        work(db, sender)
        first, second = (parse(s.raw) for s in his.seen if b"ORU^R01" in s.raw)
        assert values_of(first) == {"K": ("4.1", "", "P")} and {v[2] for v in values_of(second).values()} == {"F"}
        obrs = [m.first("OBR") for m in (first, second)]
        assert [(o.get(3), o.get(25)) for o in obrs if o is not None] == [(f"{no}-1", "P"), (f"{no}-2", "F")]
        with room.world.lab.uow() as uow:
            assert uow.s.scalars(select(OrderItem.status).where(OrderItem.specimen_id == tube)).one() == "reported"
    sender.close()


def test_release_does_not_wait_and_versions_arrive_in_order_when_the_his_returns(room: Room) -> None:
    db, sender = room.world.lab.db, Deliverer(room.world.lab.db)
    with FakeHis() as his:
        his.down()
        endpoint(db, his, "his", connect_s=0.5)
        no, report, _ = told(room, NORMAL | {"GLU": "3.2"})
        work(db, sender)
        with room.world.lab.uow() as uow:
            ask = reports.AmendRequest(report, 1, {room.world.items["GLU"]: "13.2"}, "result", "小数点录入错误")
            reports.amend(uow, ask, room.person(uow, "senior"), DESK)
        work(db, sender)
        with room.world.lab.uow() as uow:
            reports.recall(uow, report, "标本采错患者", room.person(uow, "leader"))
        work(db, sender)
        assert his.seen == []
        his.up()
        room.world.lab.clock.advance(minutes=1)
        work(db, sender)
        work(db, sender)
        results = [parse(s.raw) for s in his.seen if b"ORU^R01" in s.raw]
        assert [values_of(m)["GLU"] for m in results] == [("3.20", "L", "F"), ("13.20", "H", "C"), ("", "", "X")]
        assert [obr.get(3) for m in results for obr in m.all("OBR")] == [f"{no}-1", f"{no}-2", f"{no}-2"]
        assert "结果错误：小数点录入错误" in [n.text(3) for n in results[1].all("NTE")] or "小数点录入错误" in [
            n.text(3) for n in results[1].all("NTE")
        ]
        with db.tenant(1) as uow:
            found = reports_queries.released(uow, no)
            assert found is not None and found.recalled
            assert set(uow.s.scalars(select(Delivery.state))) == {"acked"}
            assert len(set(uow.s.scalars(select(Delivery.msg_id)))) == len(his.accepted)
    sender.close()


def test_a_report_nobody_outside_ordered_goes_nowhere(room: Room) -> None:
    db, sender = room.world.lab.db, Deliverer(room.world.lab.db)
    with FakeHis() as his:
        endpoint(db, his, "somebody-else")
        told(room, NORMAL)
        work(db, sender)
        assert his.seen == []
        with db.tenant(1) as uow:
            assert uow.s.scalars(select(Patient.name)).all() == ["张㛃䶮"]
    sender.close()


def test_a_critical_value_goes_to_the_system_that_takes_it_and_is_never_called_sent_elsewhere(fresh_db: TestDatabase) -> None:
    lab = labs.make(fresh_db)
    world = build(lab)
    with FakeHis() as his:
        endpoint(lab.db, his, SOURCE, send=["critical"])
        outcomes = []
        for _ in range(2):
            with lab.uow() as uow:
                tube = world.tube(uow)
                world.send(uow, tube, {"K": "6.8"})
                [line] = critical_queries.of_specimen(uow, tube)
                for role in ("tester", "verifier"):
                    Room(world).person(uow, role)
                    critical.confirm(uow, line.event.id, line.event.version)
                    uow.s.flush()
            work(lab.db, Deliverer(lab.db))
            with lab.uow() as uow:
                [line] = critical_queries.of_specimen(uow, tube)
                outcomes.append((line.event.state, [(a.receiver, a.outcome) for a in line.told_by("his")]))
                uow.s.execute(update(Endpoint).values(config={**uow.s.execute(select(Endpoint.config)).scalar_one(), "send": ["result"]}))
        with lab.uow() as uow:
            assert uow.s.scalars(select(OutboxEvent.error).where(OutboxEvent.error.is_not(None))).all() == []
        assert outcomes == [("notifying", [("HIS-OUT", "queued")]), ("confirmed", [("", "unset")])]
        [seen] = his.seen
        obx = parse(seen.raw).first("OBX")
        assert obx is not None and (obx.get(5), obx.get(8), obx.get(11)) == ("6.8", "HH", "P")
    lab.db.dispose()
