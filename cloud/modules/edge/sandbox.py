"""Recorded bytes read beside the stream: which reading fits, what would be said, old reading against new. No database, nothing is kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloud.modules.edge import interpret
from cloud.modules.edge.interpret import Said
from common.instruments import propose as instruments
from common.instruments.drivers import DRIVERS
from common.instruments.reading import Reading

MAX_PROPOSE = 256 * 1024
"""Bytes a proposal looks at; drivers are tried one after another, and a session of a day would say nothing more."""


@dataclass(frozen=True, slots=True)
class Code:
    """One code of a session: how the analyzer names it, its units and samples."""

    code: str
    name: str
    unit: str
    samples: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to read a session, as the page lays it beside the others. ``driver`` None: the protocol alone."""

    driver: str | None
    site: dict[str, Any]
    title: str
    why: str
    verified: bool
    protocol: str
    kinds: dict[str, int]
    specimens: tuple[str, ...]
    unnamed: int
    """Specimens without an id."""
    said: tuple[Said, ...]
    problems: tuple[str, ...]

    @property
    def key(self) -> str:
        """What distinguishes one way of reading from another."""
        return json.dumps([self.driver, self.site], sort_keys=True, default=list)

    @property
    def results(self) -> int:
        """Results with code and value."""
        return sum(1 for s in self.said if s.code and s.value)


def candidates(body: bytes, encoding: str | None = None) -> list[Candidate]:
    """The readings worth showing side by side, best first."""
    return [_shown(c.driver, c.site, c.why, c.reading) for c in instruments.propose(body[:MAX_PROPOSE], encoding)]


def chosen(body: bytes, driver: str | None, encoding: str | None, site: Mapping[str, Any] | None) -> Candidate:
    """The one way a person chose. Raises UserError for a site row that is none."""
    return _shown(driver, dict(site or {}), "", instruments.replay(body, driver, site or None, encoding))


def _shown(driver: str | None, site: dict[str, Any], why: str, reading: Reading) -> Candidate:
    known = DRIVERS.get(driver or "")
    found = [s.specimen_id for m in reading.messages for s in m.specimens]
    return Candidate(
        driver=driver,
        site=site,
        title=f"{known.vendor} {known.model}" if known else "标列版式" if site.get("layout") else "按协议通用读取",
        why=why,
        verified=known is not None and verified(known.id),
        protocol=reading.protocol,
        kinds=dict(Counter(m.kind for m in reading.messages)),
        specimens=tuple(dict.fromkeys(s for s in found if s)),
        unnamed=sum(1 for s in found if not s),
        said=tuple(interpret.observations(reading)),
        problems=tuple(interpret.problems(reading)),
    )


def verified(driver: str) -> bool:
    """Whether a driver was read against a recording or the maker's own document (else 未验证)."""
    known = DRIVERS.get(driver)
    return known is not None and bool(known.evidence) and not known.unverified


def codes(said: Sequence[Said]) -> list[Code]:
    """Every code of a session in the order it first came, QC included; further statements about a test (aspects) under their own name."""
    names: dict[str, list[Said]] = {}
    for one in said:
        code = (one.code or "").strip()
        if code:
            names.setdefault(code if one.main or not one.aspect else f"{code}/{one.aspect}", []).append(one)
    return [_code(code, rows) for code, rows in names.items()]


def _code(code: str, rows: Sequence[Said]) -> Code:
    first = next((r for r in rows if r.unit), rows[0])
    samples = tuple(dict.fromkeys((r.value or "").strip() for r in rows))[:4]
    return Code(code, next((r.label for r in rows if r.label), "") or "", first.unit or "", samples, len(rows))


# --- old against new ---------------------------------------------------------------------------------------------------


Say = Callable[[Said], str]
"""What the laboratory would say of one result: item, value, unit; or why nothing."""


@dataclass(frozen=True, slots=True)
class Way:
    """One side of a comparison: how the bytes are read and what the codes mean."""

    driver: str | None
    encoding: str | None
    site: Mapping[str, Any] | None
    say: Say


@dataclass(frozen=True, slots=True)
class Line:
    """One result on both sides; an empty side was not there."""

    specimen: str
    code: str
    old: str
    new: str
    sent: str = ""

    @property
    def same(self) -> bool:
        """Nothing changes for this result."""
        return self.old == self.new


@dataclass(slots=True)
class Replayed:
    """A session read both ways."""

    lines: list[Line] = field(default_factory=list)
    old_problems: list[str] = field(default_factory=list)
    new_problems: list[str] = field(default_factory=list)

    @property
    def changed(self) -> int:
        """Results that would be reported differently."""
        return sum(not line.same for line in self.lines)


def compare(body: bytes, old: Way, new: Way) -> Replayed:
    """Read a session by the old and by the new way and lay the results side by side."""
    sides = []
    for way in (old, new):
        reading = instruments.replay(body, way.driver, way.site or None, way.encoding)
        seen: Counter[tuple[str, str]] = Counter()
        side: dict[tuple[str, str, int], tuple[str, str]] = {}
        for one in interpret.observations(reading):
            key = (one.specimen or "", _name(one))
            side[(*key, seen[key])] = (way.say(one), one.value or "")
            seen[key] += 1
        sides.append((side, interpret.problems(reading)))
    (a, old_problems), (b, new_problems) = sides
    keys = dict.fromkeys([*a, *b])
    lines = [Line(k[0], k[1], a.get(k, ("", ""))[0], b.get(k, ("", ""))[0], (b.get(k) or a[k])[1]) for k in keys]
    return Replayed(lines, old_problems, new_problems)


def _name(one: Said) -> str:
    code = (one.code or "").strip()
    return code if one.main or not one.aspect else f"{code}/{one.aspect}"
