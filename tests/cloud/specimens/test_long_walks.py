"""The whole life of two patients' tubes in any order: bags, conditional receipt, referral, the archive, discarding, merged records.

Wider than ``test_walks``: after each step no position holds two tubes, no rack or bag a tube that is not there, nothing is discarded
without two signers, and a merge has moved nothing. ``JIANLIAN_WALKS=3000 pytest -k long_walks`` goes further.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench.models import Confirmation
from cloud.modules.bench.rules import Confirming
from cloud.modules.orders import merge as merging
from cloud.modules.orders import messages as m
from cloud.modules.specimens import bags, discard, referral, service, storage
from common.errors import UserError
from tests.cloud.bench.world import World
from tests.cloud.catalog.seed import seed
from tests.cloud.reports.test_release import Room
from tests.cloud.specimens import test_walks
from tests.cloud.specimens.test_walks import WALKS
from tests.support import lab as labs
from tests.support.database import TestDatabase

STEPS = 45
BEGAN = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
SLOTS = 3
STANDING = """
SELECT a.rack_id, a.slot, a.specimen_id, s.state FROM stored_tube a JOIN specimen s ON s.id = a.specimen_id AND s.tenant_id = a.tenant_id
WHERE a.tenant_id = :t AND a.taken_at IS NULL AND s.patient_id = ANY(:p)
"""
TUBES = """
SELECT s.id, s.state, s.patient_id,
  (SELECT count(*) FROM bag_tube l JOIN specimen_bag b ON b.id = l.bag_id WHERE l.specimen_id = s.id AND l.listed AND b.state <> 'closed')
    AS bags,
  EXISTS (SELECT 1 FROM bag_tube l WHERE l.specimen_id = s.id AND l.listed) AS packed,
  (SELECT count(*) FROM referral r WHERE r.specimen_id = s.id) AS away,
  EXISTS (SELECT 1 FROM stored_tube a WHERE a.specimen_id = s.id) AS stored,
  EXISTS (SELECT 1 FROM discard_line l JOIN stored_tube a ON a.id = l.stored_id JOIN discard_batch d ON d.id = l.batch_id
          WHERE a.specimen_id = s.id AND l.outcome = 'discarded' AND d.first_id <> d.second_id AND a.keep_until <= d.second_at) AS signed
FROM specimen s WHERE s.tenant_id = :t AND s.patient_id = ANY(:p)
"""
FIRST_TEST = """
SELECT t.id, t.specimen_id, t.item_id, s.section_id FROM test t JOIN specimen s ON s.id = t.specimen_id
JOIN stored_tube a ON a.specimen_id = s.id WHERE a.id = :i ORDER BY t.id LIMIT 1
"""
OF_WHOM = """
SELECT i.id, o.patient_id FROM order_item i JOIN lab_order o ON o.id = i.order_id AND o.tenant_id = i.tenant_id
WHERE i.tenant_id = :t AND o.patient_id = ANY(:p)
"""


@pytest.fixture
def room(fresh_db: TestDatabase) -> Iterator[Room]:
    lab = labs.make(fresh_db, labs.Clock(BEGAN))
    with lab.uow() as uow:
        seed(uow)
    yield Room(World(lab, lab.a))
    lab.db.dispose()


class Walk(test_walks.Walk):
    """Two records, perhaps of one person."""

    names = (
        *test_walks.Walk.names,
        *("pack", "pack", "pack", "sent", "sent", "opened", "scanned", "scanned", "bag_closed"),
        *("conditional", "away", "back", "stored", "stored", "taken", "held", "due", "kept", "first", "second", "unsigned", "week"),
        *("proposed", "merged", "merged", "declined", "undone"),
    )
    ways = {
        "labelled": ("collect",), "collected": ("receive", "pack", "sent"), "sent": ("opened", "scanned", "receive"),
        "received": ("measure",), "on_analyzer": ("measure", "part", "release"), "referred": ("back", "measure"),
        "conditional": ("measure",), "tested": ("review", "release"), "released": ("stored",),
        "archived": ("week", "due", "first", "second"),
    }  # fmt: skip

    def __init__(self, room: Room, seed: int) -> None:
        self.records: dict[str, int] = {}
        self.forms: dict[str, str] = {}
        self.of: dict[int, int] = {}
        self.both = (f"PL{seed}a", f"PL{seed}b")
        with room.world.lab.uow() as uow:
            room.person(uow, "leader")
            self.rack = storage.make_rack(uow, storage.NewRack(f"RK{seed}", "", "1 号冰箱", "2–8 °C", 1, SLOTS)).id
        super().__init__(room, seed)

    def place(self, uow: UnitOfWork, items: tuple[m.ItemData, ...], form: str) -> None:
        """A form stays one record's, whatever comes later."""
        self.no = self.forms.setdefault(form, self.dice.choice(self.both) if self.records else self.both[0])
        super().place(uow, items, form)
        self.records[self.no] = self.patient

    def next(self, uow: UnitOfWork) -> str:
        self.patient = self.dice.choice(sorted(self.records.values()) or [self.patient])
        return self.dice.choice(("proposed", "merged", "undone")) if self.dice.random() < 0.1 else super().next(uow)

    # -- what may happen besides --

    def bag(self, uow: UnitOfWork, *states: str) -> Any:
        query = text("SELECT id, code, version, state FROM specimen_bag WHERE state <> 'closed' AND code LIKE :c ORDER BY id")
        rows = uow.s.execute(query, {"c": f"BAG{self.rack}-%"}).all()
        some = [r for r in rows if r.state in states]
        if not rows:
            raise UserError("not_found", "no bag")
        return self.dice.choice(some or rows)

    def pack(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "nurse")
        bags.pack(uow, f"BAG{self.rack}-{self.dice.randrange(2)}", self.pick(uow, "collected").barcode)

    def sent(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "nurse")
        bags.send(uow, self.bag(uow, "packing").id, "运送员")

    def opened(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "receiver")
        bags.open_bag(uow, self.bag(uow, "sent").code)

    def scanned(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "receiver")
        bags.scan_out(uow, self.bag(uow, "open").id, self.pick(uow, "sent").barcode)

    def bag_closed(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "receiver")
        bag = self.bag(uow, "open")
        bags.close(uow, bag.id, bag.version, self.dice.choice(["", "病区已核对"]))

    def conditional(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "senior")
        service.accept_conditionally(uow, self.pick(uow, "received", "sent").id, "轻度溶血")

    def away(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "receiver")
        due = uow.now.date() + timedelta(days=3)
        referral.send_out(uow, self.pick(uow, "received").barcode, referral.Sending("外院检验中心", due=due))

    def back(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "receiver")
        referral.came_back(uow, self.pick(uow, "referred").barcode, "W-1")

    def stored(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "receiver")
        tube = self.pick(uow, "released", "tested").barcode
        storage.scan(uow, self.rack, None, tube, move=self.dice.random() < 0.5)

    def standing(self, uow: UnitOfWork) -> int:
        found = uow.s.scalars(text("SELECT specimen_id FROM stored_tube WHERE rack_id = :r AND taken_at IS NULL"), {"r": self.rack}).all()
        return self.dice.choice(found) if found else 0

    def taken(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        storage.take_out(uow, self.standing(uow), "复查", self.dice.random() < 0.5)

    def held(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "leader")
        storage.hold(uow, self.standing(uow), self.dice.choice(["医疗纠纷", ""]))

    def batch(self, uow: UnitOfWork, state: str) -> Any:
        query = text("SELECT id, version FROM discard_batch WHERE state = :s ORDER BY id DESC LIMIT 1")
        row = uow.s.execute(query, {"s": state}).one_or_none()
        if row is None:
            raise UserError("not_found", "no batch")
        return row

    def due(self, uow: UnitOfWork) -> None:
        discard.propose(uow)

    def kept(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "receiver")
        batch = self.batch(uow, "open")
        lines = uow.s.scalars(text("SELECT id FROM discard_line WHERE batch_id = :b ORDER BY id"), {"b": batch.id}).all()
        discard.keep(uow, batch.id, lines[:1], "临床要求复查")

    def first(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "receiver")
        batch = self.batch(uow, "open")
        discard.sign_first(uow, batch.id, batch.version, "焚烧", "")

    def second(self, uow: UnitOfWork) -> None:
        self.room.person(uow, self.dice.choice(["receiver", "leader", "leader"]))
        batch = self.batch(uow, "signed")
        discard.sign_second(uow, batch.id, batch.version)

    def unsigned(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "receiver")
        batch = self.batch(uow, "signed")
        discard.withdraw(uow, batch.id, batch.version)

    def week(self, uow: UnitOfWork) -> None:
        self.room.world.lab.clock.advance(days=8 if self.dice.random() < 0.4 else 0, hours=1)

    def proposed(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "receiver")
        a, b = (self.records.get(no, 0) for no in self.both)
        merging.propose(uow, a, b, "同一手机号")

    def pair(self, uow: UnitOfWork, *states: str) -> Any:
        query = text(
            "SELECT id, version, keep_id, other_id FROM patient_merge WHERE keep_id = ANY(:p) AND state = ANY(:s) ORDER BY id DESC"
        )
        row = uow.s.execute(query, {"p": list(self.records.values()), "s": list(states)}).first()
        if row is None:
            raise UserError("not_found", "no pair")
        return row

    def merged(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "leader")
        row = self.pair(uow, "proposed")
        merging.merge(uow, row.id, row.version, self.dice.choice([row.keep_id, row.other_id]), "身份证一致", ["name", "sex", "birth"])

    def declined(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "leader")
        row = self.pair(uow, "proposed")
        merging.decline(uow, row.id, row.version, "不是同一人")

    def undone(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "leader")
        row = self.pair(uow, "merged")
        merging.undo(uow, row.id, row.version, "不是同一人")

    # -- what must hold besides --

    def check(self) -> None:
        for patient in sorted(self.records.values()):
            self.patient = patient
            super().check()
        with self.room.world.lab.uow() as uow:
            given = {"t": uow.tenant_id, "p": sorted(self.records.values())}
            standing = uow.s.execute(text(STANDING), given).all()
            tubes = uow.s.execute(text(TUBES), given).all()
            of = {r.id: r.patient_id for r in uow.s.execute(text(OF_WHOM), given)}
            due = set(
                uow.s.scalars(text("SELECT a.specimen_id FROM stored_tube a WHERE a.id = ANY(:i)"), {"i": [s for s, _ in discard.due(uow)]})
            )
        assert self.of.items() <= of.items(), f"a request changed its record after {self.log}"
        self.of = of
        for what, n in Counter((r.rack_id, r.slot) for r in standing).items():
            assert n == 1 and 0 <= what[1] < SLOTS, f"{n} tubes at {what} after {self.log}"
        assert max(Counter(r.specimen_id for r in standing).values(), default=0) <= 1, f"a tube at two places after {self.log}"
        here = {r.specimen_id for r in standing}
        for tube in tubes:
            said = f"{tuple(tube)} after {self.log}"
            if tube.id in here:
                assert tube.state not in ("labelled", "collected", "sent", "rejected", "cancelled", "discarded", "lost"), f"racked: {said}"
            assert tube.bags <= 1, f"in two bags: {said}"
            assert tube.state not in ("sent", "arrived") or tube.packed, f"on its way in no bag: {said}"
            assert tube.state != "archived" or tube.stored, f"archived nowhere: {said}"
            assert tube.state != "discarded" or tube.signed, f"discarded unsigned or too soon: {said}"
            assert tube.state != "referred" or tube.away, f"away without a sending: {said}"
            assert tube.id not in due or tube.state == "archived", f"to be discarded: {said}"


# By the dice alone the suite's few walks need not come this far.
LED = (
    ("labels", "collect", "collect", "collect", "pack", "sent", "opened", "scanned", "bag_closed", "receive", "receive"),
    ("labels", "collect", "receive", "conditional", *("measure",) * 4, "review", "release", "stored", "taken", "stored", "held"),
    ("labels", "collect", "receive", "away", "back", "measure", "lost"),
    ("order", "order", "order", "order", "order", "proposed", "merged", "labels", "collect", "undone", "labels", "receive"),
)


@pytest.mark.parametrize("state", [c.value for c in Confirming])
def test_a_tube_that_waits_for_its_confirmation_is_not_proposed(room: Room, state: str) -> None:
    walk = Walk(room, 1)
    walk.stray = 0.0
    for name in ("labels", *("collect",) * 3, *("receive",) * 3, *("measure",) * 12, *("review", "release", "stored") * 3):
        walk.step(name)
    walk.settle()
    room.world.lab.clock.advance(days=8)
    with room.world.lab.uow() as uow:
        before = len(discard.due(uow))
        first = uow.s.execute(text(FIRST_TEST), {"i": discard.due(uow)[0][0]}).one()
        uow.s.add(Confirmation(specimen_id=first.specimen_id, section_id=first.section_id, test_id=first.id, item_id=first.item_id,
                               screened="5.2、5.2", reason="双份均有反应", state=state, asked_at=uow.now, asked_by="x"))  # fmt: skip
        uow.s.flush()
        assert before - len(discard.due(uow)) == (state in ("waiting", "sent"))


@pytest.mark.parametrize("when", ["before", "proposed", "signed"])
def test_the_tube_of_a_recalled_report_is_not_discarded(room: Room, when: str) -> None:
    """Found by the walks: what would settle a recalled report was destroyed by the batch it stood in already."""
    walk, steps = Walk(room, 1), ("labels", *("collect",) * 3, *("receive",) * 3, *("measure",) * 12, *("review", "release", "stored") * 3)
    walk.stray = 0.0
    for name in steps:
        walk.step(name)
    walk.settle()
    room.world.lab.clock.advance(days=8)
    batch = {"before": ("recalled", "due"), "proposed": ("due", "recalled", "first"), "signed": ("due", "first", "recalled")}[when]
    for name in batch:
        walk.step(name)
    with room.world.lab.uow() as uow:
        recalled = uow.s.scalars(text("SELECT specimen_id FROM report WHERE state = 'recalled'")).one()
        lines = uow.s.scalars(text("SELECT a.specimen_id FROM discard_line l JOIN stored_tube a ON a.id = l.stored_id")).all()
        assert (recalled in lines) is (when != "before"), walk.log
        room.person(uow, "leader")
        if when != "before":
            signed = walk.batch(uow, "signed")
            discard.sign_second(uow, signed.id, signed.version)
        assert uow.s.scalars(text("SELECT state FROM specimen WHERE id = :i"), {"i": recalled}).one() == "archived"
        why = uow.s.scalars(
            text("SELECT l.why FROM discard_line l JOIN stored_tube a ON a.id = l.stored_id WHERE a.specimen_id = :i"), {"i": recalled}
        )
        assert all("召回" in each for each in why)


def test_long_walks(room: Room) -> None:
    seen: Counter[str] = Counter()
    for seed_, names in enumerate(LED):
        walk = Walk(room, 10**6 + seed_)
        walk.stray = 0.0
        for name in names:
            walk.step(name)
        walk.settle()
        seen.update(walk.log)
    assert {n for names in LED for n in names} <= set(seen), seen
    for seed_ in range(max(4, WALKS // 2)):
        walk = Walk(room, seed_)
        for _ in range(STEPS):
            walk.step()
        walk.settle()
