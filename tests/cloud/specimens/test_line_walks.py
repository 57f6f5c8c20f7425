"""A track line beside everybody else, in any order: aliquots stay their parent's, whatever is done to either, and none is left behind.

The long walks with a line that says what it sees, late, twice and in the wrong order. ``JIANLIAN_WALKS=500 pytest -k line_walks`` goes
further.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.specimens import track
from tests.cloud.reports.test_release import Room
from tests.cloud.specimens import test_long_walks
from tests.cloud.specimens.test_long_walks import STEPS, room
from tests.cloud.specimens.test_walks import WALKS

__all__ = ["room"]
LINE = ("loaded", "centrifuged", "decapped", "aliquoted", "routed", "stored", "unloaded", "error")
KIN = """
SELECT c.id, c.barcode, c.state, c.patient_id, p.state AS of, p.patient_id AS whose, p.parent_id AS above,
       (SELECT count(*) FROM test t WHERE t.specimen_id = c.id) + (SELECT count(*) FROM order_item i WHERE i.specimen_id = c.id) AS own,
       EXISTS (SELECT 1 FROM report r WHERE r.specimen_id = p.id AND r.state IN ('released','amended')) AS told
FROM specimen c JOIN specimen p ON p.id = c.parent_id AND p.tenant_id = c.tenant_id WHERE c.tenant_id = :t AND c.patient_id = ANY(:p)
"""
PLACES = "SELECT q.code, q.at FROM tube_position q WHERE q.tenant_id = :t"
GONE = {"rejected", "cancelled", "lost", "discarded"}


class Walk(test_long_walks.Walk):
    """Two records whose tubes run over a line."""

    names = (*test_long_walks.Walk.names, *("line",) * 8, *("filled",) * 6)
    # A line's word of where a tube is stands in the tube's own timeline.
    traces = dict.fromkeys(("line", "filled"), {"specimen_event", "tube_position"})
    ways = {
        **test_long_walks.Walk.ways, "received": ("measure", "line", "filled"), "centrifuged": ("measure", "filled"),
        "aliquoted": ("line", "stored"),
    }  # fmt: skip

    def __init__(self, room: Room, seed: int) -> None:
        self.heard: dict[str, object] = {}
        self.untold: set[int] = set()
        super().__init__(room, seed)

    def says(self, uow: UnitOfWork, code: str, parent: str | None = None) -> None:
        at = uow.now - timedelta(seconds=self.dice.randrange(600))
        event = {
            "tube": code,
            "step": self.dice.choice(LINE),
            "at": f"{at.astimezone(track.CHINA):%Y%m%d%H%M%S}",
            "said": "",
            "place": "R1",
        }
        track.on_seen(uow, {"device": "流水线", "at": uow.now.isoformat(), "events": [event | {"parent": parent}]})

    def line(self, uow: UnitOfWork) -> None:
        self.says(uow, self.pick(uow, "received", "aliquoted").barcode)

    def filled(self, uow: UnitOfWork) -> None:
        """A tube, or an aliquot of one, is poured into another."""
        tube = self.pick(uow, "received", "centrifuged", "aliquoted")
        self.says(uow, f"{self.pick(uow, 'received').barcode[:12]}A{self.dice.randrange(3)}", tube.barcode)

    def check(self) -> None:
        super().check()
        with self.room.world.lab.uow() as uow:
            kin = uow.s.execute(text(KIN), {"t": uow.tenant_id, "p": sorted(self.records.values())}).all()
            places = {r.code: r.at for r in uow.s.execute(text(PLACES), {"t": uow.tenant_id})}
        for child in kin:
            said = f"{tuple(child)} after {self.log}"
            assert child.above is None and child.patient_id == child.whose, f"an aliquot of an aliquot, or of somebody else: {said}"
            assert not child.own, f"an aliquot with requests of its own: {said}"
            # One that was filled after the report is told where it is stored.
            if child.told and child.of in ("released", "archived", "discarded") and child.id in self.untold:
                assert child.state in {"released", "archived", *GONE}, f"told without its aliquot: {said}"
        self.untold |= {child.id for child in kin if not child.told}
        for code, at in self.heard.items():
            assert places[code] >= at, f"{code} went back in time after {self.log}"
        self.heard = places


LED = (
    "labels",
    "collect",
    "collect",
    "collect",
    *("receive",) * 3,
    *("filled",) * 4,
    *("measure",) * 8,
    "review",
    "release",
    "stored",
    "filled",
)


def test_line_walks(room: Room) -> None:
    seen: Counter[str] = Counter()
    led = Walk(room, 10**6)
    led.stray = 0.0
    for name in LED:
        led.step(name)
    led.settle()
    seen.update(led.log)
    assert set(LED) <= set(seen), seen
    for seed in range(max(3, WALKS // 3)):
        walk = Walk(room, seed)
        for _ in range(STEPS):
            walk.step()
        walk.settle()
