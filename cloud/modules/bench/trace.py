"""What was in force when a result was measured (M07 R1): reagent lot, calibration, quality control window, frozen beside the version.

A calendar job, not the intake: thousands of results a second must not ask three modules more. Within a minute each analyzer result has
its line, found by the time it was run; what is registered later changes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from cloud.db.arrays import literal
from cloud.db.session import UnitOfWork
from cloud.modules.bench.shown import Detail, Shown
from cloud.modules.catalog import queries as md
from cloud.modules.equipment import queries as equipment
from cloud.modules.qc import queries as qc
from cloud.modules.reagents import queries as reagents

BATCH = 2000
ROUNDS = 20
OVERLAP = timedelta(minutes=10)
"""A transaction that began before the last traced one may commit after it."""
FIRST = timedelta(days=1)

_NEW = text("""
SELECT v.id, v.item_id, v.analyzer_id, v.at, coalesce(v.run_at, v.at) AS run_at FROM result_version v
WHERE v.tenant_id = :t AND v.analyzer_id IS NOT NULL
  AND v.at >= coalesce((SELECT max(at) FROM result_trace WHERE tenant_id = :t) - :overlap, :first)
  AND NOT EXISTS (SELECT 1 FROM result_trace x WHERE x.tenant_id = v.tenant_id AND x.result_id = v.id)
ORDER BY v.at, v.id LIMIT :n
""")
_INSERT = text("""
INSERT INTO result_trace (tenant_id, result_id, at, lot_id, calibration_id, qc_run_id)
SELECT :t, u.* FROM unnest(CAST(:results AS bigint[]), CAST(:at AS timestamptz[]), CAST(:lots AS bigint[]),
                           CAST(:calibrations AS bigint[]), CAST(:runs AS bigint[])) AS u(result_id, at, lot_id, calibration_id, qc_run_id)
ON CONFLICT (tenant_id, result_id) DO NOTHING
""")


def note(uow: UnitOfWork) -> None:
    """Once a minute: write the line of every analyzer result that has none. Five statements a batch of two thousand."""
    for _ in range(ROUNDS):
        params = {"t": uow.tenant_id, "overlap": OVERLAP, "first": uow.now - FIRST, "n": BATCH}
        found = uow.s.execute(_NEW, params).all()
        if found:
            _write(uow, found)
        if len(found) < BATCH:
            return


def _write(uow: UnitOfWork, found: Sequence[Any]) -> None:
    analyzers = {r.analyzer_id for r in found}
    calibrations = equipment.calibrations(uow, analyzers)
    packs = reagents.on_board(uow, analyzers, min(r.run_at for r in found))
    asks = [qc.Ask(r.item_id, r.analyzer_id, r.run_at) for r in found]
    windows = qc.windows(uow, asks)
    lots, used = [], []
    for r in found:
        on = [p for p in packs.get((r.analyzer_id, r.item_id), ()) if p.at(r.run_at)]
        lots.append(on[-1].lot_id if on else None)
        calibration = equipment.in_force(calibrations.get(r.analyzer_id, []), r.item_id, r.run_at)
        used.append(None if calibration is None else calibration.id)
    columns = {
        "results": literal(r.id for r in found),
        "at": literal(r.at for r in found),
        "lots": literal(lots),
        "calibrations": literal(used),
        "runs": literal(windows.get(a) for a in asks),
    }
    uow.s.execute(_INSERT, {"t": uow.tenant_id, **columns})


@dataclass(frozen=True, slots=True)
class Trace:
    """What was in force, each None where nothing was registered."""

    product: str | None
    lot_no: str | None
    certificate: str | None
    calibrated_at: datetime | None
    qc_plan_id: int | None
    qc_at: datetime | None


@dataclass(frozen=True, slots=True)
class Traced:
    """A test's counting version with where it comes from. ``trace`` None: an analyzer's result that has no line yet."""

    item: md.ItemRow
    shown: Shown
    analyzer: str
    operator: str
    trace: Trace | None


_OF = text("""
SELECT x.result_id, l.product, l.lot_no, c.certificate, c.done_at, r.plan_id, r.at AS qc_at
FROM result_trace x
LEFT JOIN reagent_lot l ON l.tenant_id = x.tenant_id AND l.id = x.lot_id
LEFT JOIN calibration c ON c.tenant_id = x.tenant_id AND c.id = x.calibration_id
LEFT JOIN qc_run r ON r.tenant_id = x.tenant_id AND r.id = x.qc_run_id
WHERE x.tenant_id = :t AND x.result_id = ANY(:ids)
""")
_PEOPLE = text("SELECT id, name FROM app_user WHERE tenant_id = :t AND id = ANY(:ids)")


def of(uow: UnitOfWork, detail: Detail) -> list[Traced]:
    """Where the tube's values come from, in print order; two statements."""
    shown = [(t.item, t.current) for t in detail.tests if t.current is not None and not t.index]
    lines = {r.result_id: Trace(*r[1:]) for r in uow.s.execute(_OF, {"t": uow.tenant_id, "ids": [v.id for _, v in shown]})}
    people = {v.entered_by for _, v in shown if v.entered_by is not None}
    names = {r.id: r.name for r in uow.s.execute(_PEOPLE, {"t": uow.tenant_id, "ids": list(people)})} if people else {}
    analyzers = md.catalog(uow).analyzers
    return [
        Traced(
            item,
            v,
            "" if v.analyzer_id is None else analyzers[v.analyzer_id].name,
            "" if v.entered_by is None else names.get(v.entered_by, ""),
            lines.get(v.id),
        )
        for item, v in shown
    ]


_LOT = text("""
SELECT x.id, v.at, b.barcode, b.specimen_id, b.state, s.code AS section, i.name AS item, v.reported_text, v.unit, v.flag, v.released_at
FROM result_trace x
JOIN result_version v ON v.tenant_id = x.tenant_id AND v.id = x.result_id
JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id
JOIN bench_tube b ON b.tenant_id = t.tenant_id AND b.specimen_id = t.specimen_id
JOIN section s ON s.tenant_id = b.tenant_id AND s.id = b.section_id
JOIN test_item i ON i.tenant_id = v.tenant_id AND i.id = v.item_id
WHERE x.tenant_id = :t AND x.lot_id = :lot AND x.id < :before AND NOT i.sensitive ORDER BY x.id DESC LIMIT :n
""")


def of_lot(uow: UnitOfWork, lot_id: int, before: int = 0, n: int = 200) -> Sequence[Any]:
    """A page of the results a lot measured, the newest first (M17: what a recalled lot touched)."""
    return uow.s.execute(_LOT, {"t": uow.tenant_id, "lot": lot_id, "before": before or 2**62, "n": n}).all()


__all__ = ["Trace", "Traced", "note", "of", "of_lot"]
