"""Critical values in any order of events: no critical value is told to readers before two persons looked, none is without its call.

The walks of ``tests/cloud/reports/test_walks.py`` with critical potassiums, and with everything that people do about the call.
``JIANLIAN_WALKS=2000 pytest -k critical_walks`` goes further.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.critical import corrected, queries, rules
from cloud.modules.critical import service as critical
from cloud.modules.critical.rules import UNTOLD, Call, State
from tests.cloud.bench.world import World
from tests.cloud.reports import test_walks
from tests.cloud.reports.test_interleavings import RUN
from tests.cloud.reports.test_walks import STEPS, WALKS, world

__all__ = ["world"]
EVENTS = "SELECT * FROM critical_event WHERE specimen_id = :s ORDER BY id"
TOLD = """
SELECT t.id, v.reported_text, v.critical FROM test t JOIN result_version v ON v.id = t.current_id AND v.tenant_id = t.tenant_id
WHERE t.specimen_id = :s AND t.state IN ('released','amended')
"""


class Walk(test_walks.Walk):
    """One tube, its potassium often beyond the limits of 2.8 and 6.2."""

    names = (
        *test_walks.Walk.names,
        "look",
        "look",
        "look",
        "look",
        "call",
        "call",
        "wrong",
        "unanswered",
        "dismiss",
        "handle",
        "close",
        "clock",
        "watched",
        "takenback",
    )
    sent_values = ("4.1", "6.8", "7.1", "2.1")

    def sent(self, uow: UnitOfWork) -> None:
        message = (self.dice.choice(self.sent_values), RUN + timedelta(minutes=self.dice.randrange(3)))
        self.arrives(uow, *message)
        self.messages.append(message)

    def event(self, uow: UnitOfWork, *states: State) -> Any:
        rows = uow.s.execute(text(EVENTS), {"s": self.tube}).all()
        some = [r for r in rows if r.state in states] or rows
        return self.dice.choice(some) if some else uow.s.execute(text("SELECT 0 AS id, 0 AS version, '' AS value_text")).one()

    def look(self, uow: UnitOfWork) -> None:
        self.room.person(uow, self.dice.choice(["tester", "senior", "leader"]))
        event = self.event(uow, State.DETECTED)
        critical.confirm(uow, event.id, event.version)

    def call(self, uow: UnitOfWork, wrong: bool = False) -> None:
        self.room.person(uow, "tester")
        event = self.event(uow, State.CONFIRMED, State.NOTIFYING, State.ESCALATED, State.UNREACHABLE)
        value = "5.0" if wrong else event.value_text
        said = critical.tell(uow, event.id, event.version, Call("王护士", "内科一病区", value, True, uow.now))
        assert (said is None) is not wrong, f"{said} for {value} of {event.value_text} after {self.log}"

    def wrong(self, uow: UnitOfWork) -> None:
        self.call(uow, wrong=True)

    def unanswered(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        event = self.event(uow, State.CONFIRMED, State.NOTIFYING, State.ESCALATED)
        critical.no_answer(uow, event.id, event.version, "8101")

    def dismiss(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "senior")
        gone = [State(x.event.state) for x in queries.of_specimen(uow, self.tube) if x.stands is not None and x.open]
        event = self.event(uow, State.DETECTED, State.CONFIRMED, *gone)
        critical.dismiss(uow, event.id, event.version, "溶血")

    def handle(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "nurse")
        event = self.event(uow, State.RECEIVED)
        critical.handle(uow, event.id, event.version, "已处理", "王护士")

    def close(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        event = self.event(uow, State.HANDLED)
        critical.close(uow, event.id, event.version)

    def clock(self, uow: UnitOfWork) -> None:
        critical.watch(uow)

    def watched(self, uow: UnitOfWork) -> None:
        corrected.watch(uow)

    def takenback(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        gone = [x.event for x in queries.of_specimen(uow, self.tube) if x.stands is not None and not x.corrected]
        corrected.tell(uow, self.dice.choice(gone).id if gone else 0, "王护士")

    def in_order(self) -> None:
        """After the clock's round: whoever knows a value that does not stand is being told, and what stands has a call of its own."""
        with self.world.lab.uow() as uow:
            lines = queries.of_specimen(uow, self.tube)
            alarms = set(uow.s.scalars(text("SELECT subject FROM alert WHERE kind = 'critical.corrected' AND cleared_at IS NULL")))
            told = uow.s.execute(text(TOLD), {"s": self.tube}).all()
        for line in lines:
            wrong = line.stands is not None and State(line.event.state) in rules.TOLD and not line.corrected
            assert wrong == (f"event:{line.event.id}" in alarms), f"{line.event.state} {line.stands} after {self.log}"
        for test in told:
            if test.critical:
                last = [x for x in lines if x.event.test_id == test.id][-1]
                assert not (State(last.event.state) in rules.TOLD and any(a.outcome == "corrected" for a in last.attempts)), self.log

    def holds(self, before: Any, name: str) -> None:
        super().holds(before, name)
        if name == "watched":
            self.in_order()
        with self.world.lab.uow() as uow:
            events = uow.s.execute(text(EVENTS), {"s": self.tube}).all()
            told = uow.s.execute(text(TOLD), {"s": self.tube}).all()
        for test in told:
            if test.critical:
                mine = [e for e in events if e.test_id == test.id]
                assert mine, f"a critical value told without a call: {tuple(test)} after {self.log}"
                if "amended" not in name:  # amended to a critical value: its call begins with it
                    assert any(e.state != State.DETECTED for e in mine), f"told before two persons looked: {tuple(test)} after {self.log}"
        for test, n in Counter(e.test_id for e in events if e.state in UNTOLD).items():
            assert n <= 1, f"{n} calls to make for one test {test} after {self.log}"
        for event in events:
            if event.state in (State.RECEIVED, State.ACKNOWLEDGED, State.HANDLED, State.CLOSED):
                assert event.readback and event.received_by and event.received_at is not None, f"{event.state} after {self.log}"
                assert event.n_checks >= 2, f"told after {event.n_checks} looks: {self.log}"


# Where the dice may go or not: one call from the first look to its end, and one that was none.
LED = (("look",) * 8 + ("unanswered", "wrong", "call", "handle", "close"), ("look", "dismiss"))


def test_critical_walks(world: World) -> None:
    seen: Counter[str] = Counter()
    for seed, names in enumerate(LED):
        walk = Walk(world, 10**6 + seed)
        walk.sent_values = ("6.8",)
        for name in ("sent", *names):
            walk.step(name)
        seen.update(walk.log)
    assert {"look", "call", "dismiss", "unanswered", "handle", "close"} <= set(seen), seen
    for seed in range(WALKS // 2 + 1):
        walk = Walk(world, seed)
        for _ in range(STEPS + 12):
            walk.step()
