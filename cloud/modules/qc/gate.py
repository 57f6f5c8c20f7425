"""The release gate as one question other modules ask early: may results of this item on this analyzer leave? One statement for a batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from cloud.db.arrays import literal
from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.qc import rules
from cloud.modules.qc.rules import Gate, GateFacts


@dataclass(frozen=True, slots=True)
class Ask:
    """A result about to leave: its item, analyzer (None: by hand), when it was run, and the result version (to find a decision on it)."""

    item_id: int
    analyzer_id: int | None
    run_at: datetime | None = None
    result_id: int | None = None


# In [rejected_at, retest_at) a result waits for its own decision, before that (since the last good run) for the end of the review.
# One that the review wants measured again stays closed whatever becomes of the work.
_STATE = text("""
SELECT a.n, p.id AS plan_id, p.window_hours, rej.rejected_at, rej.rules,
  (SELECT max(r.at) FROM qc_run r WHERE r.tenant_id = :t AND r.plan_id = p.id AND r.state IN ('in_control','warning')
     AND r.at <= coalesce(a.run_at, :now)) AS last_good,
  (a.run_at IS NOT NULL AND EXISTS (SELECT 1 FROM qc_ooc o WHERE o.tenant_id = :t AND o.plan_id = p.id
     AND (a.run_at >= o.rejected_at OR (o.state <> 'closed' AND a.run_at > coalesce(o.suspect_from, o.rejected_at)))
     AND (o.retest_at IS NULL OR a.run_at < o.retest_at)
     AND NOT EXISTS (SELECT 1 FROM qc_impact i WHERE i.tenant_id = :t AND i.ooc_id = o.id AND i.result_id = a.result_id
                     AND i.decision = 'keep'))) AS doubtful,
  EXISTS (SELECT 1 FROM qc_impact i JOIN qc_ooc o ON o.tenant_id = i.tenant_id AND o.id = i.ooc_id
          WHERE i.tenant_id = :t AND i.result_id = a.result_id AND o.plan_id = p.id AND i.decision = 'repeat') AS repeat,
  (SELECT max(b.until_at) FROM qc_bypass b WHERE b.tenant_id = :t AND b.plan_id = p.id AND b.from_at <= :now AND b.until_at > :now)
    AS bypass_until
FROM unnest(CAST(:n AS int[]), CAST(:items AS bigint[]), CAST(:analyzers AS bigint[]), CAST(:runs AS timestamptz[]),
            CAST(:results AS bigint[])) AS a(n, item_id, analyzer_id, run_at, result_id)
JOIN qc_plan p ON p.tenant_id = :t AND p.analyzer_id = a.analyzer_id AND p.item_id = a.item_id AND p.active
LEFT JOIN LATERAL (SELECT o.rejected_at, o.rules FROM qc_ooc o
                   WHERE o.tenant_id = :t AND o.plan_id = p.id AND o.verified_at IS NULL LIMIT 1) rej ON true
""")


def holds_unplanned(uow: UnitOfWork) -> bool:
    """The hospital's choice: does an item without a QC plan hold people too? By default it holds only the automatic release [C]."""
    return bool(md.catalog(uow).setting("qc", "no_plan_blocks", False))


def gate_state(uow: UnitOfWork, asks: Iterable[Ask], at: datetime | None = None) -> dict[Ask, Gate]:
    """Each ask with its gate at ``at`` (default: now). By-hand results have no analyzer and answer NO_PLAN."""
    wanted = list(dict.fromkeys(asks))
    now, hold = at or uow.now, holds_unplanned(uow)
    none = Gate(rules.GateState.NO_PLAN, holds_unplanned=hold)
    out = dict.fromkeys(wanted, none)
    on_analyzer = [a for a in wanted if a.analyzer_id is not None]
    if not on_analyzer:
        return out
    params = {
        "t": uow.tenant_id,
        "now": now,
        "n": literal(range(len(on_analyzer))),
        "items": literal(a.item_id for a in on_analyzer),
        "analyzers": literal(a.analyzer_id for a in on_analyzer),
        "runs": literal(a.run_at for a in on_analyzer),
        "results": literal(a.result_id for a in on_analyzer),
    }
    for r in uow.s.execute(_STATE, params):
        ask = on_analyzer[r.n]
        window = timedelta(hours=r.window_hours)
        facts = GateFacts(True, r.rejected_at, r.rules or "", r.last_good, window, r.doubtful or r.repeat, r.bypass_until, r.repeat)
        out[ask] = rules.gate(facts, ask.run_at, now, hold, r.plan_id)
    return out


_WINDOWS = text("""
SELECT a.n, w.id FROM unnest(CAST(:n AS int[]), CAST(:items AS bigint[]), CAST(:analyzers AS bigint[]), CAST(:runs AS timestamptz[]))
  AS a(n, item_id, analyzer_id, run_at)
JOIN qc_plan p ON p.tenant_id = :t AND p.analyzer_id = a.analyzer_id AND p.item_id = a.item_id AND p.active
JOIN LATERAL (SELECT r.id, r.at FROM qc_run r WHERE r.tenant_id = :t AND r.plan_id = p.id AND r.state IN ('in_control','warning')
              AND r.at <= a.run_at ORDER BY r.at DESC LIMIT 1) w ON a.run_at <= w.at + p.window_hours * interval '1 hour'
""")


def windows(uow: UnitOfWork, asks: Iterable[Ask]) -> dict[Ask, int]:
    """Each ask with the QC run whose window it was run in; without one it is absent. One statement."""
    wanted = [a for a in dict.fromkeys(asks) if a.analyzer_id is not None and a.run_at is not None]
    if not wanted:
        return {}
    params = {
        "t": uow.tenant_id,
        "n": literal(range(len(wanted))),
        "items": literal(a.item_id for a in wanted),
        "analyzers": literal(a.analyzer_id for a in wanted),
        "runs": literal(a.run_at for a in wanted),
    }
    return {wanted[r.n]: r.id for r in uow.s.execute(_WINDOWS, params)}


__all__ = ["Ask", "Gate", "gate_state", "holds_unplanned", "windows"]
