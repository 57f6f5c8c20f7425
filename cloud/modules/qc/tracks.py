"""Lots measured side by side (M11): a rule looks back along one lot of each level, as if the other lot were not there. Pure.

While a new lot has its target and the old one is still measured, one value of the other levels serves both: it is borrowed from the run
beside. Without this each lot's points would break the other's counts, and a level measured once would leave one of two runs incomplete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cloud.modules.qc.rules import SAME_RUN
from cloud.modules.qc.westgard import Point


@dataclass(frozen=True, slots=True)
class Seen:
    """A judged point with the lot it is of and when its run was measured."""

    point: Point
    lot: int
    at: datetime

    @property
    def level(self) -> int:
        """Its level."""
        return self.point.level


@dataclass(slots=True)
class _Run:
    points: list[Seen]
    parted: bool = False
    """Whether it also held another lot."""

    @property
    def at(self) -> datetime:
        return self.points[0].at

    @property
    def levels(self) -> set[int]:
        return {s.level for s in self.points}


def track(seen: Sequence[Seen], run: int) -> list[list[Point]]:
    """What the rules look at when ``run`` is judged: its runs, oldest first, itself last with what it borrows.

    ``seen`` is in the order of measurement; runs after ``run`` may only lend.
    """
    runs: dict[int, _Run] = {}
    for s in seen:
        runs.setdefault(s.point.run, _Run([])).points.append(s)
    mine = runs.pop(run)
    lots = {s.level: s.lot for s in mine.points}
    here = [other for other in runs.values() if abs(other.at - mine.at) <= SAME_RUN and _parallel(other, lots)]
    borrowed: dict[int, Seen] = {}
    for s in (s for other in sorted(here, key=lambda o: abs(o.at - mine.at)) for s in other.points):
        if s.level not in lots:
            borrowed.setdefault(s.level, s)
    lots |= {s.level: s.lot for s in borrowed.values()}
    earlier = [r for number, r in runs.items() if (r.at, number) < (mine.at, run)]
    used = {s.point.run for s in borrowed.values()}
    out: list[_Run] = []
    for each in earlier:
        kept = [s for s in each.points if lots.get(s.level, s.lot) == s.lot and s.point.run not in used]
        if not kept:
            continue
        found = _Run(kept, len(kept) < len(each.points))
        last = out[-1] if out else None
        beside = last is not None and found.at - last.at <= SAME_RUN and not found.levels & last.levels
        if last is not None and beside and (found.parted or last.parted):
            last.points += found.points
        else:
            out.append(found)
    return [*([s.point for s in r.points] for r in out), [s.point for s in (*mine.points, *borrowed.values())]]


def _parallel(other: _Run, lots: dict[int, int]) -> bool:
    """Whether a run measured another lot of one of these levels."""
    return any(lots.get(s.level, s.lot) != s.lot for s in other.points)
