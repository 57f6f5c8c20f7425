"""M03 R2: a posted charge is credited once when its item ends; what was examined and is not charged is listed until it is settled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from cloud.db.session import Database
from cloud.modules.orders import service, verbal
from cloud.modules.orders.messages import Charge, Priority, VisitType
from cloud.modules.orders.models import OrderItem
from cloud.modules.orders.rules import Leak, leak
from cloud.modules.orders.service import ItemStatus
from tests.support.database import TestDatabase
from tests.support.lab import Lab
from tests.support.orders import HIS, SOURCE, Clock, hospitals, item, message, person, seed_catalog

S = ItemStatus


@pytest.fixture
def db(fresh_db: TestDatabase) -> Iterator[Database]:
    with hospitals(fresh_db, Clock()) as made:
        yield made


@pytest.mark.parametrize(("end", "step"), [(S.CANCELLED, S.RECEIVED), (S.REFUNDED, S.COLLECTED)])
def test_a_charge_is_credited_once_when_its_item_ends_and_only_then(db: Database, end: ItemStatus, step: ItemStatus) -> None:
    with db.tenant(1, HIS) as uow:
        asked = message(item("I1", "GLU", charge=None), item("I2", "CBC", charge=Charge.PAID), visit=VisitType.INPATIENT)
        ids = service.place_order(uow, asked, SOURCE).created
    with db.tenant(1) as uow:
        for to in (S.LABELLED, S.COLLECTED, S.RECEIVED)[: 3 if step is S.RECEIVED else 2]:
            service.set_status(uow, ids, to)
    with db.tenant(1) as uow:
        service.set_status(uow, ids, end, reason="开错")
    with db.tenant(1) as uow:
        service.set_status(uow, ids, end, reason="再说一次")
        told = uow.s.execute(text("SELECT payload FROM outbox_event WHERE topic = 'order.credit'")).scalars().all()
        charged = step is S.RECEIVED  # the hospital charges at receipt: what was only collected has nothing to take back
        assert [(p["order_item_id"], p["reason"]) for p in told] == ([(ids[0], "开错")] if charged else [])


LEAKS = [
    ("unpaid", "inpatient", "HIS", False, Leak.INPATIENT),
    ("unpaid", "inpatient", "HIS", True, None),
    ("unpaid", "inpatient", "lab", False, Leak.INPATIENT),
    ("unpaid", "outpatient", "HIS", False, Leak.UNPAID),
    ("unpaid", "emergency", "HIS", False, Leak.UNPAID),
    ("unpaid", "outpatient", "lab", False, Leak.LAB),
    ("unpaid", "exam", "HIS", False, None),
    ("unpaid", "external", "lab", False, None),
    ("unpaid", "research", "HIS", False, None),
    ("paid", "outpatient", "HIS", False, None),
    ("refunded", "outpatient", "HIS", False, Leak.REFUNDED),
    ("refunded", "exam", "HIS", False, Leak.REFUNDED),
    ("refunded", "inpatient", "HIS", True, Leak.REFUNDED),
]


@pytest.mark.parametrize(("charge", "kind", "source", "posted", "why"), LEAKS)
def test_why_an_examined_item_is_uncharged(charge: str, kind: str, source: str, posted: bool, why: Leak | None) -> None:
    assert leak(charge, kind, source, posted) is why


def test_uncharged_work_is_listed_settled_with_words_and_leaves_when_it_is_paid(lab: Lab) -> None:
    with lab.uow() as uow:
        seed_catalog(uow)
        service.place_order(
            uow, message(item("I1", "GLU", charge=None), item("I2", "CBC", charge=Charge.PAID), priority=Priority.STAT), SOURCE
        )
        service.place_order(uow, message(item("I3", "GLU", charge=None), who=person("P2", "李四"), form="F2", visit=VisitType.EXAM), SOURCE)
        ids = list(uow.s.execute(select(OrderItem.id).order_by(OrderItem.id)).scalars())
        for to in (S.LABELLED, S.COLLECTED, S.RECEIVED):
            service.set_status(uow, ids, to)
    leader = lab.client("leader")
    day, about = lab.clock().date(), timedelta(days=3)
    base = f"/orders/uncharged?first={day - about}&last={day + about}"
    assert "没有漏费的项目" in leader.get(base).text, "received is not examined yet"
    with lab.uow() as uow:
        service.set_status(uow, ids, S.IN_TEST)
    listed = leader.get(base).text
    assert "门急诊未缴费已检验" in listed and [n for n in ("I1", "I2", "I3") if f">{n}<" in listed] == ["I1"]
    with lab.uow() as uow:
        verbal.look(uow)
        assert uow.s.execute(text("SELECT count(*) FROM alert WHERE kind = 'orders.uncharged' AND cleared_at IS NULL")).scalar() == 0
        version = uow.s.get_one(OrderItem, (uow.tenant_id, ids[0])).version
    lab.clock.advance(hours=25)
    leader = lab.client("leader")
    with lab.uow() as uow:
        verbal.look(uow)
        assert uow.s.execute(text("SELECT count(*) FROM alert WHERE kind = 'orders.uncharged' AND cleared_at IS NULL")).scalar() == 1
    for form, words in (
        ({"how": "charged", "why": " "}, "补收单号"),
        ({"how": "forgotten", "why": "x"}, "请选择"),
        ({"how": "waived", "why": "x", "version": str(version + 7)}, "请刷新"),
    ):
        answer = leader.post(f"/orders/uncharged/{ids[0]}", {"version": str(version), **form}, htmx=True)
        assert words in answer.text, (form, answer.text)
    assert leader.post(f"/orders/uncharged/{ids[2]}", {"version": "1", "how": "waived", "why": "协议"}).status_code == 404
    assert leader.post(f"/orders/uncharged/{ids[0]}", {"version": str(version), "how": "charged", "why": "收据 7788"}).status_code == 303
    assert "没有漏费的项目" in leader.get(base).text and "收据 7788" in leader.get(base + "&settled=1").text
    assert leader.post(f"/orders/uncharged/export?{base.partition('?')[2]}", {"kind": "xlsx"}).status_code == 303
