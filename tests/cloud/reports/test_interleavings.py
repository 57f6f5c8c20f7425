"""RELIABILITY F26: typed during downtime, sent by the instrument later, released meanwhile, in any order; seeded, so that it repeats.

The size of F26 itself is 10 000 interleavings: JIANLIAN_F26=10000 pytest -k f26.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.bench.rules import TestState
from cloud.modules.reports import queries, service
from common.errors import UserError
from tests.cloud.bench.world import ITEMS, World, build
from tests.cloud.reports.test_release import DESK, RUN, Room
from tests.support import audited
from tests.support import lab as labs
from tests.support.database import TestDatabase

ROUNDS = int(os.environ.get("JIANLIAN_F26", "12"))
STEPS = 14
VERSIONS = text("""
SELECT v.id, v.version_no, v.source, v.raw_text, v.reported_text FROM result_version v JOIN test t ON t.id = v.test_id
WHERE t.specimen_id = :s
""")
VALUES = ("4.1", "4.4", "5.0")


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = labs.make(fresh_db)
    # One item: every step meets every other.
    yield build(lab, items=ITEMS[:1])
    lab.db.dispose()


class Play:
    """One tube in the hands of people, instruments and a broken network."""

    names: tuple[str, ...] = ("typed", "sent", "sent", "again", "chosen", "accepted", "reviewed", "released", "amended", "dismissed")

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.room, self.dice = world, Room(world), random.Random(seed)
        with world.lab.uow() as uow:
            self.tube = world.tube(uow)
        self.messages: list[tuple[str, datetime]] = []
        self.versions: dict[int, tuple[Any, ...]] = {}
        self.log: list[str] = []

    def step(self, name: str = "") -> None:
        """The thing named, or any one that may happen next; what is refused changes nothing."""
        name, before = name or self.dice.choice(self.names), self.stands()
        try:
            with self.world.lab.uow() as uow:
                getattr(self, name)(uow)
                done = audited.mark(uow)
            with self.world.lab.uow() as uow:
                assert not (silent := audited.silent(uow, done)), f"{name} wrote {silent} without an audit entry after {self.log}"
        except UserError as error:
            name += f" ({error.code})"
        self.log.append(name)
        self.holds(before, name)

    # -- what may happen --

    def typed(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        test = self.line(uow)
        bench.enter_result(uow, bench.Entry(test.id, test.version, self.dice.choice(VALUES), sure=True, reason="停机期间手工录入"))

    def sent(self, uow: UnitOfWork) -> None:
        message = (self.dice.choice(VALUES), RUN + timedelta(minutes=self.dice.randrange(3)))
        self.arrives(uow, *message)
        self.messages.append(message)

    def arrives(self, uow: UnitOfWork, value: str, run_at: datetime) -> None:
        self.world.send(uow, self.tube, {"K": value}, run_at)

    def again(self, uow: UnitOfWork) -> None:
        """The agent's journal sends what it has sent before."""
        if self.messages:
            self.arrives(uow, *self.dice.choice(self.messages))

    def chosen(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        test = self.line(uow)
        pick = self.dice.choice([v for v in (test.current, test.pending) if v is not None] or [None])
        bench.choose_version(uow, test.id, test.version, pick.id if pick else 0, "核对原始数据")

    def accepted(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        found = bench_queries.tube(uow, self.tube)
        assert found is not None
        bench.accept_holds(uow, self.tube, found.revision)

    def reviewed(self, uow: UnitOfWork) -> None:
        service.review(uow, self.tube, None, self.room.person(uow, "leader"))

    def released(self, uow: UnitOfWork) -> None:
        report = uow.s.execute(text("SELECT id FROM report WHERE specimen_id = :s"), {"s": self.tube}).scalar()
        service.release(uow, [report or 0], self.room.person(uow, "verifier"), DESK)

    def amended(self, uow: UnitOfWork) -> None:
        row = uow.s.execute(text("SELECT id, current_no FROM report WHERE specimen_id = :s"), {"s": self.tube}).one_or_none()
        if row is not None:
            change = {self.world.items["K"]: self.dice.choice(VALUES)}
            asked = service.AmendRequest(row.id, row.current_no, change, "result", "仪器补传结果")
            service.amend(uow, asked, self.room.person(uow, "senior"), DESK)

    def dismissed(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        test = self.line(uow)
        bench.dismiss_late(uow, test.id, test.version, "以手工结果为准")

    # -- what must hold --

    def line(self, uow: UnitOfWork) -> bench_queries.TestLine:
        return bench_queries.tests_of(uow, [self.tube])[self.tube][0]

    def stands(self) -> Any:
        """What is remembered of a moment, to be held against the next: source and text of the value that counts."""
        with self.world.lab.uow() as uow:
            now = self.line(uow).current
            return None if now is None else (now.source, now.reported_text)

    def holds(self, before: Any, name: str) -> None:
        with self.world.lab.uow() as uow:
            rows = uow.s.execute(VERSIONS, {"s": self.tube}).all()
            found = {r.id: tuple(r) for r in rows}
            assert self.versions.items() <= found.items(), f"a version was changed or lost: {self.log}"
            self.versions = found
            test = self.line(uow)
            kept = {r.reported_text for r in rows}
            assert {v for v, _ in self.messages} <= kept, f"what the instrument sent is kept: {self.log}"
            machine = name.startswith(("sent", "again"))
            if machine and before is not None and before[0] in ("manual", "amendment"):
                now = test.current
                assert now is not None and (now.source, now.reported_text) == before, f"overwritten by a machine: {self.log}"
            if test.state is TestState.HELD and len({v.reported_text for v in (test.current, test.pending) if v is not None}) == 2:
                assert test.pending is not None  # both stand side by side for a person to choose
            told = queries.released(
                uow, report_id=uow.s.execute(text("SELECT id FROM report WHERE specimen_id = :s"), {"s": self.tube}).scalar() or 0
            )
            if told is not None and test.state in (TestState.RELEASED, TestState.AMENDED):
                assert test.current is not None and told.lines[0]["value"] == test.current.reported_text, f"told something else: {self.log}"
            events = uow.s.execute(
                text("SELECT topic, key, payload->>'version_no' AS v FROM outbox_event WHERE topic IN ('report.released','report.amended')")
            ).all()
            doubles = {k: n for k, n in Counter((e.key, e.v) for e in events).items() if n > 1}
            assert not doubles, f"told twice: {doubles} after {self.log}"


def test_f26_nothing_is_overwritten_by_a_machine_nothing_told_twice(world: World) -> None:
    seen: Counter[str] = Counter()
    for seed in range(ROUNDS):
        play = Play(world, seed)
        for _ in range(STEPS):
            play.step()
        seen.update(play.log)
    # The dice reached what the rule is about: values typed and sent, releases, amendments, and refusals among them.
    assert {"typed", "sent", "again", "reviewed", "released"} <= set(seen), seen
