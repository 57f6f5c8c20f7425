"""Refused HIS messages wait on a page of their own and are judged anew once the cause is repaired, never out of order."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from cloud import relay, worker
from cloud.modules.interfaces import inbox, service
from cloud.modules.interfaces.listener import Gate
from cloud.modules.interfaces.models import InboxMessage
from cloud.modules.orders.models import OrderItem, Patient
from cloud.modules.platform import alerts
from cloud.ports.mllp import Peer
from common.protocol.hl7.mllp import Block, BlockProblem
from tests.cloud.interfaces.messages import order
from tests.support.lab import Lab
from tests.support.orders import seed_catalog

PEER = Peer("127.0.0.1:1")


@pytest.fixture
def gate(lab: Lab) -> Gate:
    with lab.uow() as uow:
        seed_catalog(uow)
        service.save_endpoint(uow, "HIS-IN", "甲院 HIS", "in", {"sender_facility": "H1"}, source="HIS")
    return Gate(lab.db)


def take(gate: Gate, raw: bytes, problem: BlockProblem | None = None) -> bytes:
    return gate.handle(Block(raw, raw, problem), PEER)


def states(lab: Lab) -> list[tuple[int, str]]:
    with lab.uow() as uow:
        return [(r.id, r.state) for r in uow.s.scalars(select(InboxMessage).order_by(InboxMessage.id))]


def test_a_repaired_cause_lets_the_quarantined_message_in_by_hand(lab: Lab, gate: Gate) -> None:
    """One number of two persons: quarantine, a P2 ticket and an alert; after the record was corrected the order counts, once."""
    take(gate, order(patient="P001", name="李雷", sex="M", control="M1"))
    take(gate, order([("I9", "GLU", "葡萄糖")], patient="P001", name="韩梅梅", sex="F", control="M2", form="F9"))
    relay.drain(lab.db, lab.a, worker.all_handlers())
    with lab.uow() as uow:
        service.watch(uow)
        assert uow.s.execute(text("SELECT severity, channel, category FROM ticket")).all() == [("P2", "系统", "interface")]
        told = {a.kind for a in alerts.visible(uow, frozenset({"interfaces:resend", "interfaces:maps"}))}
        assert "interfaces.quarantine" in told
    (_, (held, state)) = states(lab)
    assert state == "quarantined"
    client = lab.client("infogroup")
    page = client.get("/if/quarantine").text
    assert "甲院 HIS" in page and "该患者标识在本系统属于另一人" in page
    # Nothing is repaired yet: judged anew, still refused, still waiting.
    assert client.post("/if/quarantine", {"id": [held]}).headers["Location"].endswith("done=0&left=1")
    assert dict(states(lab))[held] == "quarantined"
    with lab.uow() as uow:
        uow.s.scalars(select(Patient)).one().name = "韩梅梅"
    assert client.post(f"/if/messages/in/{held}/reprocess").status_code == 303
    assert dict(states(lab))[held] == "applied"
    with lab.uow() as uow:
        assert uow.s.scalars(select(OrderItem.order_item_no).order_by(OrderItem.id)).all() == ["I1", "I9"]
        service.watch(uow)
        assert alerts.visible(uow, frozenset({"interfaces:resend"})) == []
    # What the sender asks again has its good answer; a second press does nothing.
    assert b"MSA|AA|M2" in take(gate, order([("I9", "GLU", "葡萄糖")], patient="P001", name="韩梅梅", sex="F", control="M2", form="F9"))
    assert client.post(f"/if/messages/in/{held}/reprocess").status_code == 409


def test_an_old_message_is_not_applied_over_a_newer_one(lab: Lab, gate: Gate) -> None:
    take(gate, order(action="ZZ", control="M1"))
    take(gate, order([("I1", "GLU", "葡萄糖")], control="M2"))
    (old, _), _ = states(lab)
    client = lab.client("infogroup")
    with lab.uow() as uow:  # as if the unknown control code had been taught meanwhile
        row = uow.s.get_one(InboxMessage, (lab.a, old))
        row.raw = order(control="M1")
    answer = client.post(f"/if/messages/in/{old}/reprocess", htmx=True)
    assert answer.status_code == 409 and "M2" in answer.text
    assert client.post(f"/if/messages/in/{old}/close", {"reason": " "}, htmx=True).status_code == 422
    assert client.post(f"/if/messages/in/{old}/close", {"reason": "对方已改正重发"}).status_code == 303
    assert dict(states(lab))[old] == "closed"
    assert "没有被隔离的消息" in client.get("/if/quarantine").text


def test_half_a_message_is_never_processed(lab: Lab, gate: Gate) -> None:
    take(gate, order([("I1", "CBC", "血常规"), ("I2", "GLU", "葡萄糖")])[:-60], BlockProblem.NO_END)
    ((cut, state),) = states(lab)
    assert state == "quarantined"
    answer = lab.client("infogroup").post(f"/if/messages/in/{cut}/reprocess", htmx=True)
    assert answer.status_code == 409 and "没有收完整" in answer.text
    with lab.uow() as uow:
        assert uow.s.scalars(select(OrderItem.id)).first() is None
        assert service.reprocess_all(uow, [cut])[0] == 0


def test_who_may_not_resend_sees_the_page_without_its_buttons(lab: Lab, gate: Gate) -> None:
    take(gate, order(action="ZZ"))
    ((held, _),) = states(lab)
    engineer = lab.client("engineer")
    page = engineer.get("/if/quarantine").text
    assert "不支持的申请控制码" in page and "重新处理所选" not in page and "P001" not in page
    assert engineer.post(f"/if/messages/in/{held}/reprocess").status_code == 403
    assert lab.client("infogroup", lab.b).post(f"/if/messages/in/{held}/reprocess").status_code == 404
    assert inbox.WAITING == ("quarantined", "refused")
