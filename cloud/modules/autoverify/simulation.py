"""A set over the past: what it would have released and held, against what people did. In slices, resumable, cancellable (R5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import early, facts, sets
from cloud.modules.autoverify.case import Case
from cloud.modules.autoverify.decision import Ready, decide
from cloud.modules.autoverify.fingerprint import of_set
from cloud.modules.autoverify.listing import STOOD
from cloud.modules.autoverify.models import RuleSet, Simulation
from cloud.modules.autoverify.rules import MIN_REPORTS, Confusion
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench.queries import Detail, TestLine
from cloud.modules.catalog.queries import HIL_PREFIX
from common.errors import UserError

log = structlog.get_logger("autoverify")
SLICE = 200
EXAMPLES = 50
OPEN = ("queued", "running")
BROKEN = "模拟程序出错，请通知信息管理组。"
CHANGED = "模拟途中规则集或其所依据的资料有变更，请重新模拟。"

_PAST = text(f"""
SELECT r.id, r.specimen_id, {STOOD} AS state FROM report r
WHERE r.tenant_id = :t AND r.section_id = :s AND r.state IN ('released','amended','recalled') AND NOT r.auto
  AND (CAST(:cursor AS bigint) IS NULL OR r.id < :cursor)
ORDER BY r.id DESC LIMIT :n
""")
_COUNT = text("""
SELECT count(*) FROM (SELECT 1 FROM report r WHERE r.tenant_id = :t AND r.section_id = :s AND r.state IN ('released','amended','recalled')
                      AND NOT r.auto LIMIT :n) AS past
""")


def start(uow: UnitOfWork, rule_set_id: int, reports: int = MIN_REPORTS) -> Simulation:
    """Queue a run over the section's last reports that people released."""
    row = uow.s.execute(select(RuleSet).where(RuleSet.id == rule_set_id)).scalar_one_or_none()
    if row is None:
        raise UserError("not_found", "该规则集不存在。")
    if not 1 <= reports <= 100_000:
        raise UserError("invalid", "报告份数须在 1 到 100000 之间。", field="reports")
    busy = select(Simulation.id).where(Simulation.rule_set_id == rule_set_id, Simulation.state.in_(OPEN))
    if uow.s.execute(busy).first() is not None:
        raise UserError("conflict", "该规则集已有一次模拟在运行，请等待或先取消。")
    sets.ready_of(uow, row)
    total = int(uow.s.execute(_COUNT, {"t": uow.tenant_id, "s": row.section_id, "n": reports}).scalar_one())
    if total == 0:
        raise UserError("conflict", "本组还没有人工发布过的报告，无法模拟。")
    judged = of_set(uow, row.section_id, row.policy)
    run = Simulation(rule_set_id=rule_set_id, total=total, fingerprint=judged, requested_by=uow.actor.user_id, at=uow.now)
    uow.s.add(run)
    uow.s.flush()
    uow.audit("av_simulation", run.id, "start", after={"rule_set": rule_set_id, "reports": total})
    uow.notify("av", {})
    return run


def cancel(uow: UnitOfWork, simulation_id: int) -> None:
    """Stop after the present slice."""
    run = uow.s.execute(select(Simulation).where(Simulation.id == simulation_id).with_for_update()).scalar_one_or_none()
    if run is None:
        raise UserError("not_found", "该模拟不存在。")
    if run.state not in OPEN:
        raise UserError("conflict", "该模拟已经结束。")
    run.state, run.finished_at = "cancelled", uow.now
    uow.audit("av_simulation", simulation_id, "cancel")


_ANY = text("SELECT 1 FROM av_simulation WHERE tenant_id = :t AND state = ANY(:open) LIMIT 1")


def step(uow: UnitOfWork, size: int = SLICE) -> bool:
    """Work one slice of the oldest open run; whether there may be more to do. Called again after a restart, it goes on where it was."""
    if uow.s.scalar(_ANY, {"t": uow.tenant_id, "open": list(OPEN)}) is None:  # asked after each decision: mostly there is none
        return False
    query = select(Simulation).where(Simulation.state.in_(OPEN)).order_by(Simulation.id).limit(1).with_for_update(skip_locked=True)
    run = uow.s.execute(query).scalar_one_or_none()
    if run is None:
        return False
    row = uow.s.execute(select(RuleSet).where(RuleSet.id == run.rule_set_id)).scalar_one()
    if run.fingerprint != of_set(uow, row.section_id, row.policy):
        # Half of the reports by one set and half by another would be shown as one table.
        run.state, run.finished_at, run.error = "failed", uow.now, CHANGED
        uow.audit("av_simulation", run.id, "fail", reason=CHANGED)
        uow.notify("av", {})
        return True
    try:
        with uow.s.begin_nested():
            _slice(uow, run, row, size)
    except Exception as error:
        # It stands in one transaction with the tubes just decided: what it cannot do must not undo them, now and in every round.
        log.error("simulation", run=run.id, error=f"{type(error).__name__}: {error}"[:300])
        run.state, run.finished_at, run.error = "failed", uow.now, BROKEN
        uow.audit("av_simulation", run.id, "fail", reason=BROKEN)
    uow.notify("av", {})
    return True


def _slice(uow: UnitOfWork, run: Simulation, row: RuleSet, size: int) -> None:
    ready = sets.ready_of(uow, row)
    size = min(size, run.total - run.done)
    past = uow.s.execute(_PAST, {"t": uow.tenant_id, "s": row.section_id, "cursor": run.cursor, "n": size}).all() if size else []
    _compare(uow, run, ready, past)
    run.state = "running"
    if not past or run.done >= run.total:
        run.state, run.finished_at = "done", uow.now
        uow.audit("av_simulation", run.id, "done", after=run.confusion)
    uow.s.flush()


def _compare(uow: UnitOfWork, run: Simulation, ready: Ready, past: Any) -> None:
    if not past:
        return
    details = bench_queries.details_of(uow, [r.specimen_id for r in past])
    touched = {r.specimen_id for r in past if r.state != "released" or not _as_measured(details[r.specimen_id].tests)}
    measured = _first_measured(uow, details, touched)
    cases = facts.cases(uow, measured, past=True)
    found, reasons, examples = Confusion(**run.confusion), Counter(run.reasons), list(run.examples)
    for r in past:
        case, people = cases[r.specimen_id], r.specimen_id not in touched
        verdict = decide(case, ready)
        ahead = early.replay(case, ready, *_came(measured[r.specimen_id]), verdict)
        # A part counts as released where people touched one of its values: that would have been told wrongly.
        wrong = not people and _touches(details[r.specimen_id], r.state, ahead.items.union(verdict.cleared))
        released = verdict.released or wrong
        minutes = ahead.minutes if ahead.items and not wrong else None
        found = found.plus(released, people, not released and bool(verdict.cleared), minutes, bool(ahead.kept))
        reasons.update({f.code for f in verdict.failures})
        if len(examples) < EXAMPLES and (ahead.kept or (released and not people)):
            examples.append({"specimen": r.specimen_id, "report": r.id, "kept": sorted(ahead.kept)})
    run.confusion = asdict(found)
    run.reasons, run.examples = dict(reasons), examples
    run.done, run.cursor = run.done + len(past), past[-1].id


def _came(detail: Detail) -> tuple[dict[str, datetime], dict[str, datetime]]:
    """When each item's value came, and each index of haemolysis and the like."""
    came = {t.item.code: t.current.at for t in detail.tests if t.current is not None}
    indices = {code.removeprefix(HIL_PREFIX): at for code, at in came.items() if code.startswith(HIL_PREFIX)}
    return {code: at for code, at in came.items() if not code.startswith(HIL_PREFIX)}, indices


def _touches(detail: Detail, state: str, cleared: Collection[str]) -> bool:
    """Whether a part would have told a value that people changed, or one of a report they took back."""
    part = [t for t in detail.tests if t.item.code in cleared]
    return bool(part) and (state == "recalled" or not _as_measured(part))


def _as_measured(tests: Iterable[TestLine]) -> bool:
    """Whether people told exactly what was first measured: no other value chosen, typed or withheld, no hold decided."""
    for test in tests:
        shown = test.current
        if test.no_result_reason or test.pending is not None:
            return False
        if shown is not None and (shown.version_no > 1 or shown.source == "amendment" or shown.holds):
            return False
    return True


def _first_measured(uow: UnitOfWork, details: dict[int, Detail], touched: set[int]) -> dict[int, Detail]:
    """What people changed is judged as it first stood: the rules would have seen that."""
    changed = [t for i in touched for t in details[i].tests if t.current is not None and t.current.version_no > 1]
    first = bench_queries.first_versions(uow, [t.id for t in changed])
    out = dict(details)
    for i in touched:
        tests = [replace(t, current=first.get(t.id, t.current)) if t in changed else t for t in details[i].tests]
        out[i] = replace(details[i], tests=tests)
    return out


def case_of(uow: UnitOfWork, specimen_id: int) -> Case | None:
    """A past tube as a case, to look at or keep for validation."""
    details = bench_queries.details_of(uow, [specimen_id])
    return facts.cases(uow, details, past=True).get(specimen_id)
