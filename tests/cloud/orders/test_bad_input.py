"""M03 *Bad input*, a test a line of the specification, as a HIS sends it: each is answered in words, and what was ordered is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import text

from cloud import relay, worker
from cloud.modules.catalog import service as catalog
from cloud.modules.interfaces import service
from cloud.modules.interfaces.listener import Gate
from cloud.ports.mllp import Peer
from common.protocol.hl7.mllp import Block
from tests.cloud.interfaces.messages import order
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer
from tests.support.orders import seed_catalog


@dataclass
class Desk:
    """A hospital whose HIS sends orders."""

    lab: labs.Lab
    gate: Gate

    def send(self, raw: bytes) -> str:
        answer = self.gate.handle(Block(raw, raw, None), Peer("127.0.0.1:1")).decode()
        relay.drain(self.lab.db, self.lab.a, worker.all_handlers())
        return answer

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.lab.uow() as uow:
            return [tuple(r) for r in uow.s.execute(text(query))]


@pytest.fixture(scope="module")
def desk(pg: TestServer, schema_template: TestDatabase) -> Iterator[Desk]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    with lab.uow() as uow:
        seed_catalog(uow)
        uow.s.execute(text("UPDATE order_set SET sex = 'F' WHERE code = 'PT'"))
        catalog.changed(uow)
        service.save_endpoint(uow, "HIS-IN", "甲院 HIS", "in", {"sender_facility": "H1"}, source="HIS")
    yield Desk(lab, Gate(lab.db))
    lab.db.dispose()
    pg.drop(made.name)


def test_unknown_his_item_is_kept_unmapped_told_and_a_ticket_opens_by_itself(desk: Desk) -> None:
    """unknown HIS item → order kept, item `unmapped`, reception warned, ticket auto-opened"""
    answer = desk.send(order([("B1", "9999", "神秘项目")], control="B1", patient="PB1", form="FB1"))
    assert "MSA|AA|B1" in answer and "未对照，申请已保留" in answer
    assert desk.rows("SELECT his_name, order_set_id FROM order_item WHERE order_item_no = 'B1'") == [("神秘项目", None)]
    assert desk.rows("SELECT count(*) FROM ticket t WHERE t::text LIKE '%9999%'") == [(1,)]


def test_a_request_for_the_other_sex_is_held(desk: Desk) -> None:
    """sex mismatch (male, 妊娠项目) → hold"""
    answer = desk.send(order([("B2", "PT", "妊娠项目（虚构）")], control="B2", patient="PB2", name="李男", sex="M", form="FB2"))
    assert "MSA|AA|B2" in answer and "仅限女性" in answer
    assert [bool(h) for (h,) in desk.rows("SELECT hold FROM order_item WHERE order_item_no = 'B2'")] == [True]


def test_one_item_number_of_two_patients_is_quarantined_with_a_p2_ticket(desk: Desk) -> None:
    """same order_item_no with different patient → quarantine + P2 ticket"""
    desk.send(order([("B3", "GLU", "葡萄糖")], control="B3", patient="PB3", name="张一", form="FB3"))
    before = desk.rows("SELECT count(*) + 1 FROM ticket WHERE severity = 'P2'")
    answer = desk.send(order([("B3", "GLU", "葡萄糖")], control="B3b", patient="PB4", name="张二", form="FB4"))
    assert "MSA|AE|B3b" in answer
    assert desk.rows("SELECT state FROM inbox_message ORDER BY id DESC LIMIT 1") == [("quarantined",)], "kept, to be judged anew"
    assert desk.rows("SELECT count(*) FROM ticket WHERE severity = 'P2'") == before
    owner = "SELECT p.name FROM order_item i JOIN lab_order o ON o.id = i.order_id JOIN patient p ON p.id = o.patient_id"
    assert desk.rows(f"{owner} WHERE i.order_item_no = 'B3'") == [("张一",)]


@pytest.mark.parametrize(
    ("line", "birth", "n", "words"),
    [("birth in future", "20990101", 5, "出生日期在将来，请核对"), ("age 150", "18760101", 6, "年龄超过 150 岁，请核对")],
)
def test_a_birthday_that_cannot_be_is_told_and_the_request_kept(desk: Desk, line: str, birth: str, n: int, words: str) -> None:
    raw = order([(f"B{n}", "GLU", "葡萄糖")], control=f"B{n}", patient=f"PB{n}", form=f"FB{n}")
    answer = desk.send(raw.replace(b"||19900307|", f"||{birth}|".encode()))
    assert f"MSA|AA|B{n}" in answer and words in answer, line
    assert desk.rows(f"SELECT count(*) FROM order_item WHERE order_item_no = 'B{n}'") == [(1,)]
