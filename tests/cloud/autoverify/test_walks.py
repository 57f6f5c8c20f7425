"""Stops in the middle of the work, in any order: what is stopped releases nothing, what is not goes on, nothing stays undecided.

``JIANLIAN_WALKS=500 pytest tests/cloud/autoverify/test_walks.py`` goes further.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from cloud.modules.autoverify import service
from cloud.modules.autoverify.rules import Scope
from common.errors import UserError
from tests.cloud.autoverify.floor import CLEAN, DESK, Floor, open_floor
from tests.cloud.reports.test_walks import WALKS
from tests.support import lab as labs
from tests.support.database import TestDatabase

STEPS = 24
NAMES = (*("arrives",) * 6, *("batch",) * 5, "odd", "again", "stop", "stop", "ended", "ended", "suspended", "resumed", "resumed")
DECIDED = text("SELECT id, specimen_id, outcome, reasons FROM av_decision WHERE NOT shadow AND id > :after ORDER BY id")


@pytest.fixture
def floor(fresh_db: TestDatabase) -> Iterator[Floor]:
    lab = labs.make(fresh_db)
    yield open_floor(lab)
    lab.db.dispose()


class Walk:
    """One section's morning. What stands in the way is kept here, beside the product's own tables."""

    def __init__(self, floor: Floor, seed: int, seen: Counter[str]) -> None:
        self.floor, self.lab, self.dice, self.seen = floor, floor.world.lab, random.Random(seed), seen
        self.paused = False
        self.stops: list[int] = []
        self.due: list[int] = []
        self.odd_ones: set[int] = set()
        self.log: list[str] = []
        with self.lab.uow() as uow:
            self.after = uow.s.scalars(text("SELECT coalesce(max(id), 0) FROM av_decision")).one()

    def step(self, name: str = "") -> None:
        name = name or self.dice.choice(NAMES)
        self.log.append(name)
        self.lab.clock.advance(seconds=2)
        try:
            getattr(self, name)()
        except UserError as error:
            self.log[-1] += f" ({error.code})"
        self.seen[self.log[-1]] += 1

    def arrives(self) -> None:
        self.due.append(self.floor.tube(CLEAN))

    def odd(self) -> None:
        self.due.append(self.floor.tube({"K": "4.1", "NA": "157"}))
        self.odd_ones.add(self.due[-1])

    def again(self) -> None:
        """Another value while the tube waits for its decision."""
        if self.due:
            with self.lab.uow() as uow:
                self.floor.world.send(uow, self.due[-1], {"K": "4.9"}, uow.now + timedelta(minutes=1))
                service.on_results(uow, {"specimen_id": self.due[-1]})
            self.odd_ones.add(self.due[-1])

    def batch(self, limit: int = 0) -> None:
        with self.lab.uow() as uow:
            service.decide_due(uow, DESK, limit or self.dice.randrange(1, 4))
        with self.lab.uow() as uow:
            rows = uow.s.execute(DECIDED, {"after": self.after}).all()
        for row in rows:
            said = f"{tuple(row)} after {self.log}"
            self.after = row.id
            self.due = [i for i in self.due if i != row.specimen_id]
            stopped = self.paused or bool(self.stops)
            assert (row.outcome == "released") is (not stopped and row.specimen_id not in self.odd_ones), f"released or not: {said}"
            assert any(r[1] in ("STOPPED", "REVALIDATE") for r in row.reasons) is stopped, f"the reason: {said}"
            self.seen[f"{row.outcome}{' stopped' if stopped else ''}"] += 1

    def stop(self) -> None:
        world = self.floor.world
        targets = {Scope.TENANT: None, Scope.SECTION: world.section, Scope.ANALYZER: world.analyzer, Scope.ITEM: world.items["K"]}
        scope = self.dice.choice(list(targets))
        with self.lab.db.tenant(self.lab.a, self.floor.actor("tester")) as uow:
            self.stops.append(service.stop(uow, scope, targets[scope], "质控漂移").id)

    def ended(self) -> None:
        one = self.stops.pop(self.dice.randrange(len(self.stops))) if self.stops else 0
        with self.lab.db.tenant(self.lab.a, self.floor.actor("verifier")) as uow:
            service.end_stop(uow, one, "已处理")

    def suspended(self) -> None:
        with self.lab.db.tenant(self.lab.a, self.floor.actor("leader")) as uow:
            service.suspend(uow, self.floor.rule_set, "查明原因")
        self.paused = True

    def resumed(self) -> None:
        with self.lab.db.tenant(self.lab.a, self.floor.actor("leader")) as uow:
            service.activate(uow, self.floor.rule_set)
        self.paused = False

    def over(self) -> None:
        """All that came has its decision, and nothing stands in the next walk's way."""
        self.batch(1000)
        assert not self.due, f"undecided: {self.due} after {self.log}"
        while self.stops:
            self.step("ended")
        if self.paused:
            self.step("resumed")


def test_stops_in_the_middle_of_batches(floor: Floor) -> None:
    seen: Counter[str] = Counter()
    for seed in range(max(4, WALKS // 3)):
        walk = Walk(floor, seed, seen)
        for _ in range(STEPS):
            walk.step()
        walk.over()
    assert {"released", "held stopped", "stop", "ended", "suspended", "resumed", "again"} <= set(seen), seen
