"""Read-only looks of quality control: today's tiles, a chart's points, out-of-control work, targets, summaries. A few statements a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.qc import goals, metrics, months, rules, westgard
from cloud.modules.qc.gate import Ask, Gate, gate_state, windows
from cloud.modules.qc.models import QcMaterial, QcMonth, QcPlan, QcTarget
from cloud.modules.qc.rules import Ooc, RunState
from cloud.modules.qc.targets import Stats, provisional_problem, stats
from common.say import Said, word

PAGE = 100


# --- today ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tile:
    """A plan as the board shows it: its gate, its newest run, when the next one is due."""

    plan_id: int
    analyzer_id: int
    item: md.ItemRow
    levels: Sequence[int]
    gate: Gate
    state: str | None
    at: datetime | None
    rules: str
    points: Sequence[tuple[int, str, Decimal | None]]
    ooc_id: int | None

    @property
    def missing(self) -> list[int]:
        """Levels that the newest run still lacks."""
        there = {level for level, _, _ in self.points}
        return [level for level in self.levels if level not in there] if self.state == RunState.INCOMPLETE else []

    @property
    def sign(self) -> str:
        """The newest run's sign: it carries the meaning together with the word."""
        return "—" if self.state is None else rules.RUN_SIGNS[RunState(self.state)]

    @property
    def word(self) -> str:
        """The newest run in words."""
        return "尚无质控" if self.state is None else rules.RUN_WORDS[RunState(self.state)]

    @property
    def light(self) -> str:
        """ok, warn or bad."""
        if not self.gate.open:
            return "bad"
        return "warn" if self.gate.state is not rules.GateState.OPEN or self.state == RunState.WARNING else "ok"


_TILES = text("""
SELECT p.id, p.analyzer_id, p.item_id, p.levels, r.state, r.at, r.rules, o.id AS ooc_id,
  (SELECT jsonb_agg(jsonb_build_array(q.level, q.raw_text, q.z) ORDER BY q.level) FROM qc_result q
    WHERE q.tenant_id = p.tenant_id AND q.run_id = r.id) AS points
FROM qc_plan p
LEFT JOIN LATERAL (SELECT r.id, r.state, r.at, r.rules FROM qc_run r WHERE r.tenant_id = p.tenant_id AND r.plan_id = p.id
                     AND r.state <> 'trial' ORDER BY r.at DESC, r.id DESC LIMIT 1) r ON true
LEFT JOIN qc_ooc o ON o.tenant_id = p.tenant_id AND o.plan_id = p.id AND o.verified_at IS NULL
WHERE p.tenant_id = :t AND p.active
""")


def tiles(uow: UnitOfWork) -> dict[int, list[Tile]]:
    """Analyzer → its plans, items in print order; two statements."""
    known = md.catalog(uow)
    rows = uow.s.execute(_TILES, {"t": uow.tenant_id}).all()
    asks = {r.id: Ask(r.item_id, r.analyzer_id) for r in rows}
    gates = gate_state(uow, asks.values()) if rows else {}
    out: dict[int, list[Tile]] = {}
    for r in sorted(rows, key=lambda r: (r.analyzer_id, known.items[r.item_id].print_order, r.id)):
        points = [(level, said, None if z is None else Decimal(str(z))) for level, said, z in r.points or ()]
        item = known.items[r.item_id]
        tile = Tile(r.id, r.analyzer_id, item, r.levels, gates[asks[r.id]], r.state, r.at, r.rules or "", points, r.ooc_id)
        out.setdefault(r.analyzer_id, []).append(tile)
    return out


@dataclass(frozen=True, slots=True)
class Passing:
    """A bypass that is in force, or was lately."""

    plan_id: int
    analyzer_id: int
    item_id: int
    from_at: datetime
    until_at: datetime
    reason: str
    by_name: str


_BYPASSES = text("""
SELECT b.plan_id, p.analyzer_id, p.item_id, b.from_at, b.until_at, b.reason, b.by_name
FROM qc_bypass b JOIN qc_plan p ON p.tenant_id = b.tenant_id AND p.id = b.plan_id
WHERE b.tenant_id = :t AND b.until_at > :since ORDER BY b.id DESC LIMIT 50
""")


def bypasses(uow: UnitOfWork, since: datetime) -> list[Passing]:
    """Bypasses that ended after a moment or still hold, newest first."""
    return [Passing(*r) for r in uow.s.execute(_BYPASSES, {"t": uow.tenant_id, "since": since})]


# --- plans, material, targets ----------------------------------------------------------------------------------------


def plan(uow: UnitOfWork, plan_id: int) -> QcPlan | None:
    """One plan."""
    return uow.s.get(QcPlan, (uow.tenant_id, plan_id))


def plans(uow: UnitOfWork, analyzer_id: int | None = None, *, all_of_them: bool = False) -> list[QcPlan]:
    """Plans (of an analyzer), items in print order."""
    known = md.catalog(uow)
    query = select(QcPlan) if all_of_them else select(QcPlan).where(QcPlan.active)
    if analyzer_id is not None:
        query = query.where(QcPlan.analyzer_id == analyzer_id)
    found = list(uow.s.execute(query).scalars())
    return sorted(found, key=lambda p: (p.analyzer_id, known.items[p.item_id].print_order, p.id))


def materials(uow: UnitOfWork, *, active: bool = True) -> list[QcMaterial]:
    """Lots, newest last."""
    query = select(QcMaterial).order_by(QcMaterial.name, QcMaterial.level, QcMaterial.id)
    return list(uow.s.execute(query.where(QcMaterial.active) if active else query).scalars())


def ends(lots: Iterable[QcMaterial]) -> dict[int, datetime]:
    """When each opened vial's stability is over."""
    return {m.id: m.opened_at + timedelta(days=m.open_days) for m in lots if m.opened_at and m.open_days}


_USED = text("""
SELECT DISTINCT m.code, p.analyzer_id FROM qc_material m
JOIN qc_target g ON g.tenant_id = m.tenant_id AND g.material_id = m.id
JOIN qc_plan p ON p.tenant_id = g.tenant_id AND p.id = g.plan_id WHERE m.tenant_id = :t
""")


def analyzers_of_material(uow: UnitOfWork) -> dict[str, set[int]]:
    """Code of a control material → the analyzers that have a target with a lot of it."""
    out: dict[str, set[int]] = {}
    for r in uow.s.execute(_USED, {"t": uow.tenant_id}):
        out.setdefault(r.code, set()).add(r.analyzer_id)
    return out


_TRIED = text("""
SELECT DISTINCT q.plan_id, q.material_id FROM qc_result q WHERE q.tenant_id = :t AND q.plan_id = ANY(:plans) AND q.at >= :since
""")


def measured_lots(uow: UnitOfWork, plan_ids: Iterable[int], since: datetime) -> dict[int, set[int]]:
    """Plan → the lots measured for it since a moment."""
    out: dict[int, set[int]] = {}
    for r in uow.s.execute(_TRIED, {"t": uow.tenant_id, "plans": list(plan_ids), "since": since}):
        out.setdefault(r.plan_id, set()).add(r.material_id)
    return out


def plans_of_lot(uow: UnitOfWork, material_id: int) -> set[int]:
    """The plans that have a target with this lot."""
    return set(uow.s.execute(select(QcTarget.plan_id).where(QcTarget.material_id == material_id)).scalars())


def targets(uow: UnitOfWork, plan_ids: Iterable[int], *, current: bool = False) -> list[QcTarget]:
    """Targets of plans: all, or those in force now."""
    query = select(QcTarget).where(QcTarget.plan_id.in_(list(plan_ids)))
    if current:
        query = query.where(QcTarget.effective_at <= uow.now, QcTarget.ended_at.is_(None))
    return list(uow.s.execute(query.order_by(QcTarget.plan_id, QcTarget.level, QcTarget.id.desc())).scalars())


@dataclass(frozen=True, slots=True)
class Measured:
    """A lot's statistics of half a year, with why they do not yet make a provisional target."""

    level: int
    material: int
    stats: Stats
    problem: str | None


def measured(uow: UnitOfWork, plan_id: int, lots: Mapping[int, QcMaterial]) -> list[Measured]:
    """What the values of half a year would make of each of a plan's lots."""
    since = uow.now - timedelta(days=183)
    by_lot: dict[tuple[int, int], list[ChartPoint]] = {}
    for p in chart_points(uow, plan_id, since, uow.now + timedelta(minutes=1)):
        if p.value is not None and not (p.rejected and p.excluded):
            by_lot.setdefault((p.level, p.material_id), []).append(p)
    out = []
    for (level, material), points in sorted(by_lot.items()):
        found = stats([p.value for p in points if p.value is not None])
        assert found is not None  # a lot with at least one value
        days = [p.at.astimezone(md.HOSPITAL_ZONE).date() for p in points]
        problem = provisional_problem(days, material in lots and lots[material].short_life)
        out.append(Measured(level, material, found, problem))
    return out


# --- charts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """A point with its run's verdict and its target."""

    id: int
    run_id: int
    level: int
    at: datetime
    raw_text: str
    value: Decimal | None
    z: Decimal | None
    rejected: bool
    excluded: str
    operator: str
    reagent_lot: str
    calibration: str
    state: str
    rules: str
    ooc_id: int | None
    target_id: int | None
    mean: Decimal | None
    sd: Decimal | None
    lot: str
    material_id: int
    warned: bool

    @property
    def verdict(self) -> str:
        """ok, warn, reject or out."""
        if self.rejected:
            return "out" if self.excluded else "reject"
        return "warn" if self.warned else "ok"


_POINTS = text("""
SELECT q.id, q.run_id, q.level, q.at, q.raw_text, q.value, q.z, q.rejected, q.excluded, q.operator, q.reagent_lot, q.calibration,
  r.state, r.rules, r.ooc_id, q.target_id, t.mean, t.sd, m.lot, q.material_id,
  EXISTS (SELECT 1 FROM qc_violation v WHERE v.tenant_id = q.tenant_id AND v.plan_id = q.plan_id AND v.at = r.at AND v.run_id = r.id
            AND v.severity = 'warning' AND v.ended_at IS NULL AND v.points @> to_jsonb(q.id)) AS warned
FROM qc_result q
JOIN qc_run r ON r.tenant_id = q.tenant_id AND r.id = q.run_id
JOIN qc_material m ON m.tenant_id = q.tenant_id AND m.id = q.material_id
LEFT JOIN qc_target t ON t.tenant_id = q.tenant_id AND t.id = q.target_id
WHERE q.tenant_id = :t AND q.plan_id = :plan AND q.at >= :start AND q.at < :end
ORDER BY q.at, q.id
""")
_NOTES = text("""
SELECT at, kind, text, by_name FROM qc_note
WHERE tenant_id = :t AND analyzer_id = :a AND (item_id IS NULL OR item_id = :i) AND at >= :start AND at < :end ORDER BY at LIMIT 60
""")


def chart_points(uow: UnitOfWork, plan_id: int, start: datetime, end: datetime) -> list[ChartPoint]:
    """A plan's points in a time, oldest first; one statement over the index of plan and time."""
    return [ChartPoint(*r) for r in uow.s.execute(_POINTS, {"t": uow.tenant_id, "plan": plan_id, "start": start, "end": end})]


@dataclass(frozen=True, slots=True)
class Again:
    """A run whose verdict a late run changed. ``history``: the verdicts before, oldest first."""

    at: datetime
    state: str
    rules: str
    history: list[dict[str, Any]]

    @property
    def word(self) -> Said:
        """What it is now."""
        return word(rules.RUN_WORDS[RunState(self.state)])

    @property
    def before(self) -> list[tuple[datetime, Said, str]]:
        """(when it was judged again, what it was until then, by which rules)."""
        known = [(datetime.fromisoformat(h["at"]), RunState(h["state"]), h["rules"]) for h in self.history]
        return [(at, word(rules.RUN_WORDS[state]), broken) for at, state, broken in known]


_AGAIN = text("""
SELECT at, state, rules, history FROM qc_run
WHERE tenant_id = :t AND plan_id = :plan AND at >= :start AND at < :end AND history <> '[]' ORDER BY at LIMIT 60
""")


def judged_again(uow: UnitOfWork, plan_id: int, start: datetime, end: datetime) -> list[Again]:
    """Runs of a time whose verdict changed because one before them arrived late."""
    return [Again(*r) for r in uow.s.execute(_AGAIN, {"t": uow.tenant_id, "plan": plan_id, "start": start, "end": end})]


def notes(uow: UnitOfWork, found: QcPlan, start: datetime, end: datetime) -> list[tuple[datetime, str, str, str]]:
    """What happened to the analyzer in a time: (when, kind, words, who)."""
    params = {"t": uow.tenant_id, "a": found.analyzer_id, "i": found.item_id, "start": start, "end": end}
    return [tuple(r) for r in uow.s.execute(_NOTES, params)]


# --- out-of-control work ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Work:
    """A line of the out-of-control register."""

    id: int
    plan_id: int
    analyzer_id: int
    item_id: int
    rules: str
    state: str
    rejected_at: datetime
    cause_class: str
    cause: str
    action: str
    verified_at: datetime | None
    closed_at: datetime | None

    @property
    def word(self) -> str:
        """The state in words."""
        return rules.OOC_WORDS[Ooc(self.state)]


_WORK = """
SELECT o.id, o.plan_id, p.analyzer_id, p.item_id, o.rules, o.state, o.rejected_at, o.cause_class, o.cause, o.action,
  o.verified_at, o.closed_at
FROM qc_ooc o JOIN qc_plan p ON p.tenant_id = o.tenant_id AND p.id = o.plan_id
JOIN analyzer a ON a.tenant_id = p.tenant_id AND a.id = p.analyzer_id
WHERE o.tenant_id = :t AND {where} AND (:everywhere OR a.section_id = ANY(:own_sections)) AND o.id < :before ORDER BY o.id DESC LIMIT :n
"""
_REGISTER = {True: text(_WORK.format(where="o.state <> 'closed'")), False: text(_WORK.format(where="true"))}


def register(uow: UnitOfWork, *, open_only: bool, before: int | None = None, limit: int = PAGE) -> list[Work]:
    """A page of the register, newest first."""
    params = {"t": uow.tenant_id, "before": before or 2**62, "n": limit, **places.of_sections(uow)}
    return [Work(*r) for r in uow.s.execute(_REGISTER[open_only], params)]


def here(uow: UnitOfWork, analyzer_id: int | None) -> bool:
    """Whether a page may show what is of this analyzer to the person at work: its section decides."""
    if analyzer_id is None:
        return True
    return places.covers(uow, md.catalog(uow).analyzers[analyzer_id].section_id)


# --- months and sigma ------------------------------------------------------------------------------------------------


def summaries(uow: UnitOfWork, month: date) -> list[QcMonth]:
    """Drafted and signed summaries of a month."""
    query = select(QcMonth).where(QcMonth.month == month.replace(day=1)).order_by(QcMonth.plan_id, QcMonth.level, QcMonth.id)
    return list(uow.s.execute(query).scalars())


@dataclass(frozen=True, slots=True)
class SigmaRow:
    """A plan's level by its last three months: CV against its goal, sigma, what to improve, which rules it needs."""

    plan: QcPlan
    level: int
    n: int
    mean: Decimal
    cv: Decimal
    goal: Decimal | None
    tea: Decimal | None
    sigma: Decimal | None
    qgi: Decimal | None
    decides: bool = False
    """Whether it is the plan's weakest level: the rules of a plan are for all its levels."""

    @property
    def fault(self) -> str:
        """What a sigma below 6 comes from."""
        if self.qgi is None or self.sigma is None or self.sigma >= 6:
            return ""
        return metrics.FAULT_WORDS[metrics.fault(self.qgi)]

    @property
    def rules(self) -> str:
        """The rule set this sigma needs."""
        return " / ".join(westgard.rules_for_sigma(self.sigma)) if self.sigma is not None else ""

    @property
    def misses_goal(self) -> bool:
        """Whether CV is beyond its goal."""
        return self.goal is not None and self.cv > self.goal


def sigma_rows(uow: UnitOfWork, days: int = 92) -> list[SigmaRow]:
    """Each plan's levels with at least ten counted values in the last quarter, pooled over lots by their CVs' newest lot."""
    known, items = {p.id: p for p in plans(uow) if here(uow, p.analyzer_id)}, md.catalog(uow).items
    newest: dict[tuple[int, int], months.Group] = {}
    for g in months.groups(uow, uow.now - timedelta(days=days), uow.now):
        if g.plan_id in known:
            newest[(g.plan_id, g.level)] = g
    out = []
    for (plan_id, level), g in newest.items():
        found = stats(g.counted)
        if found is None or found.n < 10 or found.cv is None:
            continue
        p = known[plan_id]
        tea = goals.allowed_percent(p, items[p.item_id], found.mean)
        bias = p.bias_percent
        sigma = metrics.sigma(tea, bias, found.cv) if tea is not None and bias is not None else None
        qgi = metrics.qgi(bias, found.cv) if bias is not None else None
        out.append(SigmaRow(p, level, found.n, found.mean, found.cv, metrics.cv_goal(p.cv_standard, tea), tea, sigma, qgi))
    order = {p: n for n, p in enumerate(known)}
    weakest: dict[int, tuple[Decimal, int]] = {}
    for r in out:
        if r.sigma is not None:
            weakest[r.plan.id] = min(weakest.get(r.plan.id, (r.sigma, r.level)), (r.sigma, r.level))
    out = [replace(r, decides=weakest.get(r.plan.id) == (r.sigma, r.level)) for r in out]
    return sorted(out, key=lambda r: (order[r.plan.id], r.level))


@dataclass(frozen=True, slots=True)
class Coverage:
    """Indicator 7 and 8 of a month: of the items on analyzers that measured patients, how many have QC, and whose CV meets its goal."""

    measured: int
    with_qc: int
    judged: int
    cv_met: int
    without: Sequence[tuple[int, int]] = ()
    """(analyzer, item) measured without QC."""
    missed: Sequence[tuple[int, int]] = ()
    """(plan, level) whose CV is beyond its goal."""


_MEASURED = text("""
SELECT DISTINCT v.analyzer_id, v.item_id FROM result_version v
WHERE v.tenant_id = :t AND v.at >= :start AND v.at < :end AND v.analyzer_id IS NOT NULL
""")


def coverage(uow: UnitOfWork, start: datetime, end: datetime) -> Coverage:
    """The feed of the indicators 'QC carried out' and 'QC coefficient of variation in goal'."""
    pairs = {(r.analyzer_id, r.item_id) for r in uow.s.execute(_MEASURED, {"t": uow.tenant_id, "start": start, "end": end})}
    pairs = {pair for pair in pairs if here(uow, pair[0])}
    known, items = {p.id: p for p in plans(uow) if here(uow, p.analyzer_id)}, md.catalog(uow).items
    with_qc: set[int] = set()
    judged = met = 0
    missed = []
    for g in months.groups(uow, start, end):
        p = known.get(g.plan_id)
        if p is None:
            continue
        with_qc.add(p.id)
        found = stats(g.counted)
        goal = None if found is None else metrics.cv_goal(p.cv_standard, goals.allowed_percent(p, items[p.item_id], found.mean))
        if found is not None and found.cv is not None and goal is not None:
            judged += 1
            met += found.cv <= goal
            if found.cv > goal:
                missed.append((p.id, g.level))
    covered = {(known[i].analyzer_id, known[i].item_id) for i in with_qc} & pairs
    return Coverage(len(pairs), len(covered), judged, met, sorted(pairs - covered), missed)


def moving_out(uow: UnitOfWork, pairs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Of (item, analyzer) pairs those whose patient-based control was out at its last hour."""
    out = {(r.item_id, r.analyzer_id) for r in uow.s.execute(_MOVING_OUT, {"t": uow.tenant_id})}
    return out & set(pairs)


_MOVING_OUT = text("""
SELECT p.item_id, p.analyzer_id FROM qc_moving m
JOIN qc_plan p ON p.tenant_id = m.tenant_id AND p.id = m.plan_id
JOIN LATERAL (SELECT out FROM qc_moving_point x WHERE x.tenant_id = m.tenant_id AND x.plan_id = m.plan_id
              ORDER BY x.hour DESC LIMIT 1) last ON last.out
WHERE m.tenant_id = :t AND m.active
""")


__all__ = ["Ask", "Gate", "chart_points", "gate_state", "moving_out", "plan", "plans", "register", "sigma_rows", "tiles", "windows"]
