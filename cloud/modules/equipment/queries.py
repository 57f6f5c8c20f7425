"""Read-only: calibrations in force, faults that were open."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.equipment.rules import Calibrated, holds, in_force

_CALIBRATIONS = text("""
SELECT analyzer_id, id, item_id, done_at, valid_until, passed FROM (
  SELECT c.*, row_number() OVER (PARTITION BY analyzer_id, item_id ORDER BY done_at DESC, id DESC) AS n
  FROM calibration c WHERE c.tenant_id = :t AND c.analyzer_id = ANY(:analyzers)) x
WHERE n <= 3
""")


def calibrations(uow: UnitOfWork, analyzers: Collection[int]) -> dict[int, list[Calibrated]]:
    """Analyzer → its last three calibrations an item; one statement."""
    out: dict[int, list[Calibrated]] = {}
    if analyzers:
        for r in uow.s.execute(_CALIBRATIONS, {"t": uow.tenant_id, "analyzers": sorted(set(analyzers))}):
            out.setdefault(r.analyzer_id, []).append(Calibrated(r.id, r.item_id, r.done_at, r.valid_until, r.passed))
    return out


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of an analyzer."""

    analyzer_id: int
    started_at: datetime
    ended_at: datetime | None
    symptom: str

    def at(self, when: datetime) -> bool:
        """Whether it was open at this moment."""
        return self.started_at <= when and (self.ended_at is None or when < self.ended_at)


_FAULTS = text("""
SELECT analyzer_id, started_at, ended_at, symptom FROM equipment_fault
WHERE tenant_id = :t AND analyzer_id = ANY(:analyzers) AND (ended_at IS NULL OR ended_at > :since)
""")


def faults(uow: UnitOfWork, analyzers: Collection[int], since: datetime) -> dict[int, list[Fault]]:
    """Analyzer → faults open at any time since a moment; one statement."""
    out: dict[int, list[Fault]] = {}
    if analyzers:
        for r in uow.s.execute(_FAULTS, {"t": uow.tenant_id, "analyzers": sorted(set(analyzers)), "since": since}):
            out.setdefault(r.analyzer_id, []).append(Fault(*r))
    return out


_DONE = text("""
SELECT c.done_at AS at, 'calibration' AS kind, c.certificate AS said, c.passed FROM calibration c
WHERE c.tenant_id = :t AND c.analyzer_id = :analyzer AND (c.item_id IS NULL OR c.item_id = :item)
  AND c.done_at >= :since AND c.done_at < :until
UNION ALL
SELECT f.started_at, 'maintenance', f.symptom, true FROM equipment_fault f
WHERE f.tenant_id = :t AND f.analyzer_id = :analyzer AND f.started_at >= :since AND f.started_at < :until
UNION ALL
SELECT f.ended_at, 'maintenance', f.repair, true FROM equipment_fault f
WHERE f.tenant_id = :t AND f.analyzer_id = :analyzer AND f.ended_at >= :since AND f.ended_at < :until
ORDER BY at
""")


def done(uow: UnitOfWork, analyzer_id: int, item_id: int, since: datetime, until: datetime) -> list[tuple[datetime, str, str]]:
    """What was done to an analyzer in a time, for an item: (when, calibration or maintenance, in words)."""
    params = {"t": uow.tenant_id, "analyzer": analyzer_id, "item": item_id, "since": since, "until": until}
    return [(r.at, r.kind, r.said if r.passed else f"{r.said} ✕") for r in uow.s.execute(_DONE, params)]


@dataclass(frozen=True, slots=True)
class Due:
    """A calibration that does not hold, or soon will not: of which items (None: none was ever recorded for them), and why."""

    analyzer_id: int
    items: tuple[int, ...]
    why: str


def due(uow: UnitOfWork, measured: Mapping[int, Collection[int]], until: datetime) -> list[Due]:
    """What is wrong now, or before ``until``, with the calibrations of analyzer → items; one row a calibration. One statement.

    ``why``: none, failed, expired, soon.
    """
    found, out = calibrations(uow, measured), list[Due]()
    for analyzer, items in measured.items():
        by: dict[tuple[str, int], list[int]] = {}
        for item in items:
            last = in_force(found.get(analyzer, []), item, uow.now)
            if not holds(last, until):
                why = "none" if last is None else "failed" if not last.passed else "soon" if holds(last, uow.now) else "expired"
                by.setdefault((why, 0 if last is None else last.id), []).append(item)
        out += [Due(analyzer, tuple(ids), why) for (why, _), ids in by.items()]
    return out


_SHOWN = text("""
SELECT c.id, c.analyzer_id, a.name AS analyzer, i.name AS item, c.certificate, c.done_at, c.valid_until, c.passed
FROM calibration c
JOIN analyzer a ON a.tenant_id = c.tenant_id AND a.id = c.analyzer_id
LEFT JOIN test_item i ON i.tenant_id = c.tenant_id AND i.id = c.item_id
WHERE c.tenant_id = :t AND a.section_id = ANY(:own) ORDER BY c.valid_until DESC, c.id DESC LIMIT :n OFFSET :start
""")
_OPEN = text("""
SELECT f.id, f.analyzer_id, a.name AS analyzer, f.started_at, f.symptom FROM equipment_fault f
JOIN analyzer a ON a.tenant_id = f.tenant_id AND a.id = f.analyzer_id
WHERE f.tenant_id = :t AND f.ended_at IS NULL ORDER BY f.started_at
""")


PAGE = 100


def shown(uow: UnitOfWork, sections: Collection[int], start: int = 0) -> Sequence[Any]:
    """A page of the calibrations of these sections' analyzers."""
    return uow.s.execute(_SHOWN, {"t": uow.tenant_id, "own": list(sections), "n": PAGE, "start": start}).all()


def open_faults(uow: UnitOfWork) -> Sequence[Any]:
    """Analyzers that are out of order."""
    return uow.s.execute(_OPEN, {"t": uow.tenant_id}).all()


__all__ = ["Calibrated", "Due", "Fault", "calibrations", "done", "due", "faults", "holds", "in_force", "open_faults", "shown"]
