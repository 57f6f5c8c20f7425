"""A patient's requests and tubes in any order of events: after each, requests, tubes, tests and reports say the same.

The HIS orders, cancels and refunds, people label, collect, receive, reject, lose and void tubes, analyzers answer, reports leave; the
worker delivers what happened, sometimes late. ``JIANLIAN_WALKS=3000 pytest -k tubes_and_requests`` goes further.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import pytest
from sqlalchemy import text

from cloud import relay
from cloud.db.session import UnitOfWork
from cloud.modules.bench import service as bench
from cloud.modules.bench.arrival_rules import Incoming
from cloud.modules.orders import messages as m
from cloud.modules.orders import service as orders
from cloud.modules.reports import service as reports
from cloud.modules.specimens import add_on, service
from cloud.worker import all_handlers
from common.errors import UserError
from tests.cloud.bench.world import World
from tests.cloud.catalog.seed import REASONS, seed
from tests.cloud.reports.test_release import DESK, Room
from tests.support import audited
from tests.support import lab as labs
from tests.support.database import TestDatabase

WALKS = max(10, int(os.environ.get("JIANLIAN_WALKS", "0")))
STEPS = 30
CODES = ("1001", "1002", "1003", "1006", "1007")
# What a request may say of itself, by where its tube stands.
HERE = {"received", "centrifuged", "aliquoted", "conditional", "on_analyzer", "referred", "tested", "reviewed", "released", "archived"}
STANDS = {
    "labelled": {"labelled"},
    "collected": {"collected", "sent", "arrived"},
    "received": HERE,
    "in_test": HERE,
    "partly_reported": HERE,
    "reported": {"tested", "reviewed", "released", "archived", "discarded"},
}
WAITING, ENDED = {"requested", "confirmed", "rejected"}, {"cancelled", "refunded", "expired"}
GONE = {"rejected", "cancelled", "lost"}
ITEMS = """
SELECT i.id, i.status, i.charge_state, i.specimen_id, s.state, s.patient_id, o.patient_id AS ordered_for,
       EXISTS (SELECT 1 FROM test t WHERE t.specimen_id = s.id AND t.current_id IS NOT NULL) AS measured
FROM order_item i JOIN lab_order o ON o.id = i.order_id AND o.tenant_id = i.tenant_id
LEFT JOIN specimen s ON s.id = i.specimen_id AND s.tenant_id = i.tenant_id WHERE i.tenant_id = :t AND o.patient_id = :p
"""
TESTS = """
SELECT t.state, s.state AS tube, s.id, EXISTS (
  SELECT 1 FROM order_item i JOIN order_set_item m ON m.order_set_id = i.order_set_id AND m.item_id = t.item_id
  WHERE i.specimen_id = s.id AND i.status <> ALL(:ended)) AS wanted
FROM test t JOIN specimen s ON s.id = t.specimen_id AND s.tenant_id = t.tenant_id WHERE t.tenant_id = :t AND s.patient_id = :p
"""
REPORTED = """
SELECT i.id FROM order_item i JOIN report r ON r.specimen_id = i.specimen_id AND r.tenant_id = i.tenant_id
WHERE i.tenant_id = :t AND r.state IN ('released','amended','recalled')
"""


@pytest.fixture
def room(fresh_db: TestDatabase) -> Iterator[Room]:
    lab = labs.make(fresh_db)
    with lab.uow() as uow:
        seed(uow)
    yield Room(World(lab, lab.a))
    lab.db.dispose()


class Walk:
    """One patient."""

    names = (
        *("order", "order", "cancelled", "refunded", "labels", "labels", "collect", "collect", "collect", "receive", "receive", "receive"),
        *("rejected", "lost", "void", "measure", "measure", "measure", "review", "review", "release", "release", "decide"),
        *("add_on", "part", "recalled", "revoked", "amended", "nothing"),
    )
    ways = {
        "labelled": ("collect",), "collected": ("receive",), "received": ("measure",), "on_analyzer": ("measure", "part", "release"),
        "tested": ("review", "release"),
    }  # fmt: skip
    traces: Mapping[str, set[str]] = {}
    """What a step may write without an audit entry."""
    numbers = count(1)
    stray = 0.2
    """How often a step is tried with any tube instead of one it is for."""

    def __init__(self, room: Room, seed: int) -> None:
        self.room, self.dice, self.log = room, random.Random(seed), list[str]()
        self.no, self.ordered = f"PW{seed}", list[str]()
        self.patient = 0
        self.step("order")

    def step(self, name: str = "") -> None:
        try:
            with self.room.world.lab.uow() as uow:
                name = name or self.next(uow)
                getattr(self, name)(uow)
                done = audited.mark(uow)
            with self.room.world.lab.uow() as uow:
                silent = set(audited.silent(uow, done)) - self.traces.get(name, set())
                assert not silent, f"{name} wrote {silent} without an audit entry after {self.log}"
        except (UserError, orders.OrderRefused) as error:
            name += f" ({getattr(error, 'code', 'refused')})"
        self.log.append(name)
        if self.dice.random() < 0.8:
            self.settle()

    def next(self, uow: UnitOfWork) -> str:
        """Mostly what a tube waits for, so that walks get to reports; else anything."""
        if self.dice.random() < 0.5:
            rows = uow.s.execute(text("SELECT state FROM specimen WHERE patient_id = :p ORDER BY id"), {"p": self.patient}).all()
            ways = [name for r in rows for name in self.ways.get(r.state, ())] or ["labels"]
            return self.dice.choice(ways)
        return self.dice.choice(self.names)

    def settle(self) -> None:
        """The worker does what it has to."""
        while relay.drain(self.room.world.lab.db, self.room.world.tenant, all_handlers()):
            pass
        self.log.append("·")
        self.check()

    def pick(self, uow: UnitOfWork, *states: str) -> Any:
        """A tube of the patient in one of these states, or any."""
        rows = uow.s.execute(text("SELECT id, barcode, state FROM specimen WHERE patient_id = :p"), {"p": self.patient}).all()
        some = [r for r in rows if r.state in states]
        if not rows:
            raise UserError("not_found", "no tube")
        return self.dice.choice(some if some and self.dice.random() >= self.stray else rows)

    # -- what may happen --

    def place(self, uow: UnitOfWork, items: tuple[m.ItemData, ...], form: str) -> None:
        message = m.OrderMessage(
            f"walk{next(self.numbers)}",
            m.PatientData((m.PatientId("patient_no", self.no),), "张小伟", m.Sex("M"), None),
            m.VisitData(m.VisitType("outpatient"), f"V{self.no}", dept="内科"),
            (m.OrderData(form, m.Priority("routine"), items, doctor="李医生", ordered_at=uow.now),),
        )
        self.patient = orders.place_order(uow, message, "HIS").patient_id

    def order(self, uow: UnitOfWork) -> None:
        n = next(self.numbers)
        charge = self.dice.choice([m.Charge.PAID] * 5 + [m.Charge.UNPAID])
        codes = self.dice.sample(CODES, self.dice.randrange(1, 4))
        made = [f"W{n}-{i}" for i in range(len(codes))]
        self.place(uow, tuple(m.ItemData(i, m.Action.NEW, code, code, charge) for i, code in zip(made, codes, strict=True)), f"W{n}")
        self.ordered += made

    def cancelled(self, uow: UnitOfWork, charge: m.Charge | None = None) -> None:
        number = self.dice.choice(self.ordered)
        self.place(uow, (m.ItemData(number, m.Action.CANCEL, None, "", charge, reason="医生取消"),), number.split("-")[0])

    def refunded(self, uow: UnitOfWork) -> None:
        self.cancelled(uow, m.Charge.REFUNDED)

    def labels(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "nurse")
        query = text(f"SELECT id FROM ({ITEMS}) q WHERE status = ANY(:w) ORDER BY id")
        waiting = list(uow.s.scalars(query, {"t": uow.tenant_id, "p": self.patient, "w": sorted(WAITING)}))
        some = self.dice.sample(waiting, self.dice.randrange(1, len(waiting) + 1)) if waiting else []
        service.print_labels(uow, self.patient, some, ["name", "birth"])

    def collect(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "nurse")
        service.collect(uow, self.pick(uow, "labelled").barcode, self.patient)

    def receive(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "receiver")
        service.receive(uow, self.pick(uow, "collected").barcode)

    def rejected(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "receiver")
        reason = uow.s.scalars(text("SELECT id FROM reject_reason WHERE code = :c"), {"c": self.dice.choice(REASONS)[0]}).one()
        service.reject(uow, self.pick(uow, "collected", "received").barcode, reason, "看到的")

    def lost(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "leader")
        service.mark_lost(uow, self.pick(uow, "collected", "received").id, "标本架、冰箱")

    def void(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "leader")
        service.void(uow, self.pick(uow, "labelled").id, "贴错")

    def measure(self, uow: UnitOfWork) -> None:
        tube = self.pick(uow, "received", "on_analyzer").id
        items = list(uow.s.scalars(text("SELECT item_id FROM test WHERE specimen_id = :s ORDER BY id"), {"s": tube}))
        bench.record_results(uow, [Incoming(tube, i, None, None, "5.0", run_at=uow.now) for i in items if self.dice.random() < 0.8])

    def review(self, uow: UnitOfWork) -> None:
        tube = self.pick(uow, "tested").id
        self.accept(uow, tube)
        reports.review(uow, tube, None, self.room.person(uow, "tester"))

    def accept(self, uow: UnitOfWork, tube: int) -> None:
        revision = uow.s.scalars(text("SELECT revision FROM bench_tube WHERE specimen_id = :s"), {"s": tube}).first()
        if revision is not None:
            bench.accept_holds(uow, tube, revision)

    def release(self, uow: UnitOfWork) -> None:
        query = text("SELECT r.id FROM report r JOIN specimen s ON s.id = r.specimen_id WHERE s.patient_id = :p AND r.state = 'tested'")
        ready = list(uow.s.scalars(query, {"p": self.patient}))
        reports.release(uow, ready[:1], self.room.person(uow, "verifier"), DESK)

    def decide(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "leader")
        query = text("SELECT id, version FROM refund_request WHERE state = 'waiting' ORDER BY id DESC LIMIT 1")
        asked = uow.s.execute(query).one_or_none()
        if asked is not None:
            orders.decide_refund(uow, asked.id, asked.version, self.dice.random() < 0.6, "已核对")

    def add_on(self, uow: UnitOfWork) -> None:
        tube = self.pick(uow, "received", "on_analyzer")
        self.order(uow)
        self.room.person(uow, "leader")
        found = add_on.table(uow, tube.barcode)
        add_on.add(uow, found.tube.id, [o.item.order_item_id for o in found.offers if o.problem is None])

    def part(self, uow: UnitOfWork) -> None:
        tube = self.pick(uow, "on_analyzer").id
        self.accept(uow, tube)
        reports.review_part(uow, tube, None, self.room.person(uow, "tester"))

    def told(self, uow: UnitOfWork) -> Any:
        query = text("SELECT r.id, r.current_no FROM report r WHERE r.patient_id = :p AND r.current_no > 0 ORDER BY r.id DESC LIMIT 1")
        row = uow.s.execute(query, {"p": self.patient}).one_or_none()
        if row is None:
            raise UserError("not_found", "no report")
        return row

    def recalled(self, uow: UnitOfWork) -> None:
        reports.recall(uow, self.told(uow).id, "错", self.room.person(uow, "leader"))

    def revoked(self, uow: UnitOfWork) -> None:
        reports.cancel(uow, self.told(uow).id, "不再出报告")

    def amended(self, uow: UnitOfWork) -> None:
        row = self.told(uow)
        query = text("SELECT t.item_id FROM test t JOIN report r ON r.specimen_id = t.specimen_id WHERE r.id = :r ORDER BY t.id")
        item = self.dice.choice(uow.s.scalars(query, {"r": row.id}).all())
        value = f"{self.dice.randrange(30, 90) / 10}"
        asked = reports.AmendRequest(row.id, row.current_no, {item: value}, "result", "抄错")
        reports.amend(uow, asked, self.room.person(uow, "senior"), DESK)

    def nothing(self, uow: UnitOfWork) -> None:
        tube = self.pick(uow, "received", "on_analyzer").id
        query = text("SELECT id, version FROM test WHERE specimen_id = :s AND state = 'expected' ORDER BY id LIMIT 1")
        row = uow.s.execute(query, {"s": tube}).one_or_none()
        if row is not None:
            self.room.person(uow, "tester")
            bench.set_no_result(uow, row.id, row.version, "量少")

    # -- what must hold --

    def check(self) -> None:
        with self.room.world.lab.uow() as uow:
            given = {"t": uow.tenant_id, "p": self.patient}
            items = uow.s.execute(text(ITEMS), given).all()
            reported = set(uow.s.scalars(text(REPORTED), given))
            tests = uow.s.execute(text(TESTS), given | {"ended": sorted(ENDED)}).all()
        for item in items:
            said = f"{tuple(item)} after {self.log}"
            # What was measured from a tube that got lost afterwards is still told.
            if item.status in STANDS and not (item.state == "lost" and item.measured):
                assert item.state in STANDS[item.status], f"a request and its tube: {said}"
                assert item.patient_id == item.ordered_for, f"another patient's tube: {said}"
            if item.status in WAITING:
                assert item.specimen_id is None or item.state in GONE, f"waits and has a tube: {said}"
            if item.status == "reported":
                assert item.id in reported, f"reported without a report: {said}"
        for test in tests:
            said = f"{tuple(test)} after {self.log}"
            # What was measured from a tube that got lost is told; else a test goes with its request, and was never told without one.
            if test.tube in GONE - {"lost"} or not test.wanted:
                gone = {"cancelled", "recalled", *(("released", "no_result") if test.tube == "lost" else ())}
                assert test.state in gone, f"a test nobody wants is open or told: {said}"


def test_tubes_and_requests_say_the_same(room: Room) -> None:
    seen: Counter[str] = Counter()
    for seed_ in range(WALKS):
        walk = Walk(room, seed_)
        for _ in range(STEPS):
            walk.step()
        walk.settle()
        seen.update(walk.log)
    assert {"order", "cancelled", "refunded", "labels", "collect", "receive", "rejected", "measure"} <= set(seen), seen
