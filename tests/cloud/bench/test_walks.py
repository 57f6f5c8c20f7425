"""A reactive screen in any order of events: whatever is tried, no reader is told a reaction before the confirmatory laboratory answered.

The walks of ``tests/cloud/reports/test_walks.py`` with a rule that asks for a confirmation. ``JIANLIAN_WALKS=2000 pytest -k reactive`` goes
further.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import confirming
from cloud.modules.bench import service as bench
from cloud.modules.catalog import rule_models as rules
from cloud.modules.reports import queries, service
from tests.cloud.bench.test_confirming import REACTIVE
from tests.cloud.bench.world import World
from tests.cloud.reports import test_walks
from tests.cloud.reports.test_interleavings import RUN
from tests.cloud.reports.test_release import DESK
from tests.cloud.reports.test_walks import STEPS, WALKS, world

__all__ = ["world"]
ANSWERED = "SELECT 1 FROM confirmation c JOIN test t ON t.id = c.test_id WHERE c.specimen_id = :s AND c.state = 'back' AND t.item_id = :i"


class Walk(test_walks.Walk):
    """One tube whose potassium stands for a screen: above 5 it is reactive."""

    names = (*test_walks.Walk.names, *("confirm",) * 4, *("shipped",) * 2, *("answered",) * 2, "unanswered", *("reacts",) * 4, "overtyped")

    def value(self) -> str:
        return self.dice.choice(("4.1", "5.20", "5.20", "5.9"))

    def reacts(self, uow: UnitOfWork) -> None:
        message = (self.value(), RUN + timedelta(minutes=self.dice.randrange(9)))
        self.world.send(uow, self.tube, {"K": message[0]}, message[1])

    def screen(self, uow: UnitOfWork) -> Any:
        return next(t for t in self.lines(uow) if t.item.code == "K")

    def lines(self, uow: UnitOfWork) -> Any:
        return test_walks.bench_queries.tests_of(uow, [self.tube])[self.tube]

    def overtyped(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "senior")
        test, said = self.screen(uow), self.value()
        bench.enter_result(uow, bench.Entry(test.id, test.version, said, again=said, sure=True, reason="核对原始数据"))

    def amended(self, uow: UnitOfWork) -> None:
        row = uow.s.execute(text("SELECT id, current_no FROM report WHERE specimen_id = :s"), {"s": self.tube}).one_or_none()
        if row is not None:
            asked = service.AmendRequest(row.id, row.current_no, {self.world.items["K"]: self.value()}, "result", "确证回报")
            service.amend(uow, asked, self.room.person(uow, "senior"), DESK)

    def confirm(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "senior")
        test = self.screen(uow)
        confirming.send_to_confirm(uow, test.id, test.version, "双份均有反应", True)

    def row(self, uow: UnitOfWork) -> Any:
        query = text("SELECT id, version FROM confirmation WHERE specimen_id = :s ORDER BY id DESC LIMIT 1")
        return uow.s.execute(query, {"s": self.tube}).one_or_none() or uow.s.execute(text("SELECT 0 AS id, 0 AS version")).one()

    def shipped(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        row = self.row(uow)
        confirming.sent(uow, row.id, row.version, "市疾控中心", "运送员")

    def answered(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        row = self.row(uow)
        confirming.back(uow, row.id, row.version, "W-1", "阳性")

    def unanswered(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "senior")
        row = self.row(uow)
        confirming.end(uow, row.id, row.version, "标本量不足", True)

    def holds(self, before: Any, name: str) -> None:
        super().holds(before, name)
        with self.world.lab.uow() as uow:
            told = queries.released(uow, report_id=self.report(uow))
            answered = uow.s.execute(text(ANSWERED), {"s": self.tube, "i": self.world.items["K"]}).first() is not None
            rows = uow.s.scalars(text("SELECT state FROM confirmation WHERE specimen_id = :s"), {"s": self.tube}).all()
        assert sum(state in ("waiting", "sent") for state in rows) <= 1, f"one tube is sent twice after {self.log}"
        for line in told.lines if told is not None else ():
            if line["code"] == "K" and line["value"].replace(".", "", 1).isdecimal():
                assert Decimal(line["value"]) <= 5 or answered, f"a reaction told unconfirmed: {line['value']} after {self.log}"


def test_reactive_screens_are_told_only_when_confirmed(world: World) -> None:
    with world.lab.uow() as uow:
        uow.s.add(rules.ReflexRule(code="HIV", name="有反应", expression=REACTIVE, item_id=world.items["K"], action="confirm", message=""))
    led = Walk(world, 10**6)
    with world.lab.uow() as uow:
        for minutes, values in ((0, {"K": "5.20", "NA": "4.1"}), (8, {"K": "5.20"})):
            world.send(uow, led.tube, values, RUN + timedelta(minutes=minutes))
    for name in ("confirm", "accepted", "reviewed", "released", "shipped", "answered", "amended"):
        led.step(name)
    seen: Counter[str] = Counter(led.log)
    # A screen told as not reactive is not turned into a reactive one by an amendment: found by these walks.
    turned = Walk(world, 10**6 + 1)
    with world.lab.uow() as uow:
        world.send(uow, turned.tube, {"K": "4.1", "NA": "4.1"}, RUN)
    turned.value = lambda: "5.20"  # type: ignore[method-assign]  # the one value that is tried
    for name in ("accepted", "reviewed", "released", "amended"):
        turned.step(name)
    assert turned.log[-2:] == ["released", "amended (conflict)"], turned.log
    assert {"confirm", "reviewed", "released", "shipped", "answered"} <= set(seen), led.log
    for seed in range(WALKS // 4 + 1):
        walk = Walk(world, seed)
        for _ in range(STEPS):
            walk.step()
        seen.update(walk.log)
