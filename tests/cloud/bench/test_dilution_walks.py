"""Reruns at a dilution in any order of events: a factor is applied to the rerun's answer and to nothing else, and no value is out of sight.

First values that come late, the journal's repeats, a diluted tube measured twice, a withdrawal in between, whoever types meanwhile.
``JIANLIAN_WALKS=2000 pytest -k dilution`` goes further.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import rerun
from cloud.modules.bench import service as bench
from cloud.modules.bench.rules import OPEN_STATES
from common import values
from tests.cloud.bench.world import ITEMS, World, build
from tests.cloud.reports.test_interleavings import RUN, Play
from tests.cloud.reports.test_walks import WALKS
from tests.support import lab as labs
from tests.support.database import TestDatabase

STEPS = 20
KEPT = """
SELECT v.id, v.raw_text, v.reported_text, v.source, v.run_at, coalesce(v.snapshot->>'dilution', '1') AS dilution
FROM result_version v JOIN test t ON t.id = v.test_id WHERE t.specimen_id = :s ORDER BY v.id
"""
ASKED = "SELECT id, state, dilution, asked_at, first_id, second_id FROM follow_up WHERE specimen_id = :s ORDER BY id"


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = labs.make(fresh_db, labs.Clock(RUN))
    yield build(lab, items=[(*ITEMS[0][:5], None, None, True)])
    lab.db.dispose()


class Walk(Play):
    """One tube whose potassium is measured, diluted and measured again."""

    names = (
        *("sent", "sent", "again", "typed", "chosen", "chosen", "chosen", "accepted", "reviewed", "released", "amended", "dismissed"),
        *("diluted", "diluted", "diluted", "answered", "answered", "answered", "delayed", "withdrawn", "waits"),
    )

    since = 0
    """The last version of when a person decided."""

    def sent(self, uow: UnitOfWork) -> None:
        self.says(uow, self.dice.choice(("4.1", "4.4", "5.0")), uow.now)

    def answered(self, uow: UnitOfWork) -> None:
        """What an analyzer says of a tube that was diluted by 2 or by 10."""
        self.says(uow, self.dice.choice(("0.44", "0.5", "2.2")), uow.now)

    def delayed(self, uow: UnitOfWork) -> None:
        """Measured long ago, on its way until now."""
        self.says(uow, self.dice.choice(("4.1", "4.4", "4.8")), uow.now - timedelta(minutes=self.dice.randrange(2, 30)))

    def says(self, uow: UnitOfWork, value: str, run_at: datetime) -> None:
        self.arrives(uow, value, run_at)
        self.messages.append((value, run_at))

    def waits(self, uow: UnitOfWork) -> None:
        self.world.lab.clock.advance(minutes=self.dice.randrange(1, 9))

    def diluted(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        factor = self.dice.choice(("1", "2", "10"))
        rerun.request_rerun(uow, self.tube, None, [], "超出线性范围", Decimal(factor))
        self.world.lab.clock.advance(minutes=2)

    def withdrawn(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "senior")
        row = next((r for r in self.asked(uow) if r.state in ("asked", "back")), None)
        rerun.withdraw(uow, row.id if row is not None else 0, "标本量不足", True)

    def asked(self, uow: UnitOfWork) -> Any:
        return uow.s.execute(text(ASKED), {"s": self.tube}).all()

    def holds(self, before: Any, name: str) -> None:
        self.world.lab.clock.advance(seconds=20)
        with self.world.lab.uow() as uow:
            kept, asked, test = uow.s.execute(text(KEPT), {"s": self.tube}).all(), self.asked(uow), self.line(uow)
            found = {r.id: tuple(r) for r in kept}
            assert self.versions.items() <= found.items(), f"a version was changed or lost after {self.log}"
            self.versions = found
            if "(" in name:
                assert self.stands() == before, f"refused and yet changed: {self.log}"
        if name in ("chosen", "dismissed", "amended") or (name == "typed" and test.pending is None):
            self.since = max((v.id for v in kept), default=0)
        diluted = [v for v in kept if Decimal(v.dilution) != 1]
        for version in kept:
            if version.source == "analyzer":
                told = values.reported(values.scaled(values.parse(version.raw_text), Decimal(version.dilution)), 1).text
                assert version.reported_text == told, f"not the raw value times its dilution: {tuple(version)} after {self.log}"
        for version in diluted:
            mine = [r for r in asked if r.dilution == Decimal(version.dilution) and version.run_at >= r.asked_at - timedelta(minutes=1)]
            assert mine, f"diluted unasked: {tuple(version)} after {self.log}"
        assert len(diluted) <= sum(r.dilution != 1 for r in asked), f"one question has two answers after {self.log}"
        seen = {v.id for v in (test.current, test.pending) if v is not None}
        for row in asked:
            if row.state == "back":
                assert {row.first_id, row.second_id} <= seen, f"{tuple(row)}: a value to choose from is out of sight after {self.log}"
        # What came while a choice was open is said beside it, whichever two stand there.
        beside = " ".join((*(n.text for n in test.notes), *(v.reported_text for v in (test.current, test.pending) if v is not None)))
        if test.state in OPEN_STATES and test.pending is not None:
            for version in [v for v in kept if v.id > self.since and v.id not in seen and v.source == "analyzer"]:
                assert version.reported_text in beside, f"{tuple(version)} stands nowhere after {self.log}"


def test_a_dilution_walk(world: World) -> None:
    seen: Counter[str] = Counter()
    for seed in range(WALKS):
        walk = Walk(world, seed)
        for _ in range(STEPS):
            walk.step()
        seen.update(walk.log)
    assert {"diluted", "answered", "delayed", "chosen", "withdrawn", "released"} <= set(seen), seen


def test_a_third_value_is_said_beside_the_choice_and_gone_with_it(world: World) -> None:
    walk, lab = Walk(world, 0), world.lab
    with lab.uow() as uow:
        walk.says(uow, "4.1", uow.now)
    with lab.uow() as uow:
        walk.room.person(uow, "tester")
        rerun.request_rerun(uow, walk.tube, None, [], "超出线性范围", Decimal(10))
    for value in ("0.50", "0.44"):
        lab.clock.advance(minutes=3)
        with lab.uow() as uow:
            walk.says(uow, value, uow.now)
    with lab.uow() as uow:
        test = walk.line(uow)
        assert test.current is not None and test.pending is not None
        assert (test.current.reported_text, test.pending.reported_text) == ("4.1", "5.0")
    page = lab.client("tester").fragment(f"/bench/CHEM/tube/{walk.tube}").text
    side = lab.client("senior").fragment(f"/bench/CHEM/tube/{walk.tube}/rivals").text
    assert all("另收到结果 0.4，不在待选的两个之中" in each for each in (page, side))
    with lab.uow() as uow:
        walk.room.person(uow, "senior")
        bench.choose_version(uow, test.id, test.version, test.pending.id, "稀释复查")
    with lab.uow() as uow:
        assert walk.line(uow).notes == []
