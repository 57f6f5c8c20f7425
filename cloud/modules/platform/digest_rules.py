"""The morning digest (automation calendar, 08:00): of all that is open in a hospital, what one person is told, and when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any

from cloud.modules.platform.rules import ZONE, Level, first_families

# A minute after the calendar's other jobs of 08:00, so that what they found this morning is in it; a worker that was away makes up for it
# until noon, later the day is known without it.
FROM, UNTIL = time(8, 1), time(12, 0)
KEPT = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Matter:
    """An open alert. ``kind`` begins with its family ("edge.offline")."""

    kind: str
    level: Level
    url: str
    permission: str
    message: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    """A ward's own matter: people of other wards are not told."""
    at: frozenset[str] = frozenset()
    """Sections and wards it is about; nobody is told whose right counts elsewhere. None: everybody's."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom it is for."""

    permissions: frozenset[str]
    roles: frozenset[str]
    wards: frozenset[str] = frozenset()
    bounds: Mapping[str, tuple[frozenset[str], frozenset[str]]] = field(default_factory=dict)
    """Permission → sections and wards where it counts, as ``Principal.bounds`` has it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the gravest matter of a kind in words, how many there are, and where they stand."""

    kind: str
    level: Level
    n: int
    url: str
    message: str
    fields: Mapping[str, Any]


def due(now: datetime, made: bool) -> bool:
    """Whether the digest of this day is to be made now."""
    return not made and FROM <= now.astimezone(ZONE).time() < UNTIL


def again(tries: int, now: datetime) -> datetime | None:
    """When a message that did not go out is tried again: after 1, 2, 4 … at most 30 minutes; None: the morning is over."""
    at = now + min(timedelta(minutes=2 ** min(max(tries, 1) - 1, 5)), timedelta(minutes=30))
    return at if FROM <= at.astimezone(ZONE).time() < UNTIL else None


def lines(matters: Sequence[Matter], reader: Reader) -> list[Line]:
    """What this person is told: a line a kind, the gravest first, of equally grave ones what the roles act on, then the most."""
    by_kind = dict[str, list[Matter]]()
    for matter in matters:
        if _theirs(matter, reader):
            by_kind.setdefault(matter.kind, []).append(matter)
    rank = {family: place for place, family in enumerate(first_families(reader.roles))}
    found = [_line(kind, some) for kind, some in by_kind.items()]
    return sorted(found, key=lambda each: (-each.level, rank.get(each.kind.partition(".")[0], len(rank)), -each.n, each.kind))


def _theirs(matter: Matter, reader: Reader) -> bool:
    sections, wards = reader.bounds.get(matter.permission, (frozenset(), frozenset()))
    elsewhere = bool(matter.at and sections) and matter.at.isdisjoint(sections | wards)
    own_ward = not matter.place or not reader.wards or matter.place in reader.wards
    return matter.permission in reader.permissions and own_ward and not elsewhere


def _line(kind: str, matters: Sequence[Matter]) -> Line:
    first = max(matters, key=lambda each: each.level)
    url = first.url if len(matters) == 1 else f"/alerts?kind={kind}"
    return Line(kind, first.level, len(matters), url, first.message, first.fields)


def counted(told: Collection[Line]) -> tuple[int, int]:
    """How many kinds of things wait, and how many of these urgently: all that leaves the house, as no patient may be named there."""
    return len(told), sum(each.level == Level.URGENT for each in told)
