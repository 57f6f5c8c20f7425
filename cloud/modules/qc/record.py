"""Control measurements into runs: joined, judged by the plan's rules, and a rejection closes the gate in the same transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.modules.qc import immediate, qualitative, robot, rules, targets, tracks, westgard
from cloud.modules.qc.models import QcMaterial, QcOoc, QcPlan, QcResult, QcRun, QcTarget, QcViolation
from cloud.modules.qc.rules import Method, Ooc, RunState
from cloud.modules.qc.westgard import Freeze, Point, Rule, Severity, Violation
from common.errors import UserError
from common.say import say, word
from common.values import parse

HISTORY = 20
"""Runs loaded for the look-back: the twelve that a rule may look at, with frozen ones between."""
LOTS = 2
"""Lots of a level measured side by side while one replaces the other."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One control value of one level. ``value`` None: a qualitative answer (``raw_text``)."""

    plan_id: int
    material_id: int
    level: int
    at: datetime
    raw_text: str
    value: Decimal | None
    source: str
    run_key: str | None = None
    observation_id: int | None = None
    reagent_lot: str = ""
    calibration: str = ""
    note: str = ""


def record(uow: UnitOfWork, measured: Iterable[Measured]) -> list[int]:
    """Write control values, oldest first; returns the runs they came to. A value stored already (observation) is left alone.

    UserErrors: not_found for a plan that is not there; invalid for material that must not be used.
    """
    touched: dict[int, QcRun] = {}
    used: Counter[int] = Counter()
    for each in sorted(measured, key=lambda m: (m.plan_id, m.at, m.level)):
        plan = lock_plan(uow, each.plan_id)
        material = uow.s.get(QcMaterial, (uow.tenant_id, each.material_id))
        if material is None:
            raise UserError("not_found", "质控品不存在，请从列表中选择。")
        problem = rules.material_problem(material.expires_at, material.opened_at, material.open_days, each.at)
        if problem is not None:
            raise UserError(
                "invalid",
                say("{name} 批号 {lot}：{problem}", name=material.name, lot=material.lot, problem=word(problem)),
                field="material",
            )
        run = _add(uow, plan, material, each)
        touched[run.id] = run
        used[material.id] += 1
    _take_from_stock(uow, used)
    _judge_later(uow, touched.values())
    return list(touched)


# Beside the ORM: a measurement is nobody's edit of the lot, and many plans measure one lot at once.
_LOCK_LOTS = text("SELECT id FROM qc_material WHERE tenant_id = :t AND id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
_TAKE = text("""
UPDATE qc_material m SET stock = greatest(m.stock - u.n, 0)
FROM unnest(CAST(:ids AS bigint[]), CAST(:counts AS int[])) AS u(id, n) WHERE m.tenant_id = :t AND m.id = u.id AND m.stock IS NOT NULL
""")


def _take_from_stock(uow: UnitOfWork, used: Mapping[int, int]) -> None:
    if used:
        uow.s.flush()
        uow.s.execute(_LOCK_LOTS, {"t": uow.tenant_id, "ids": list(used)})
        uow.s.execute(_TAKE, {"t": uow.tenant_id, "ids": list(used), "counts": list(used.values())})
        for material_id in used:
            uow.s.expire(uow.s.get_one(QcMaterial, (uow.tenant_id, material_id)), ["stock"])


def lock_plan(uow: UnitOfWork, plan_id: int) -> QcPlan:
    """The plan, locked: two measurements of one plan are judged one after the other."""
    plan = uow.s.execute(select(QcPlan).where(QcPlan.id == plan_id).with_for_update(key_share=True)).scalar_one_or_none()
    if plan is None:
        raise UserError("not_found", "质控计划不存在，请核对后重试。")
    return plan


def target_at(uow: UnitOfWork, plan_id: int, level: int, material_id: int, at: datetime) -> QcTarget | None:
    """The approved target of a lot at a moment, or None."""
    query = (
        select(QcTarget)
        .where(QcTarget.plan_id == plan_id, QcTarget.level == level, QcTarget.material_id == material_id)
        .where(QcTarget.effective_at <= at, QcTarget.ended_at.is_(None) | (QcTarget.ended_at > at))
        .order_by(QcTarget.effective_at.desc(), QcTarget.id.desc())
        .limit(1)
    )
    return uow.s.execute(query).scalar_one_or_none()


def _add(uow: UnitOfWork, plan: QcPlan, material: QcMaterial, each: Measured) -> QcRun:
    target = target_at(uow, plan.id, each.level, material.id, each.at)
    trial = each.level not in plan.levels or _too_early(uow, plan, each, target)
    run = _run_for(uow, plan, each, trial)
    has_number = each.value is not None and target is not None and target.mean is not None and target.sd
    z = targets.z_score(each.value, target.mean, target.sd) if has_number else None  # type: ignore[union-attr, arg-type]
    result = QcResult(
        run_id=run.id,
        plan_id=plan.id,
        level=each.level,
        material_id=material.id,
        target_id=None if target is None else target.id,
        raw_text=each.raw_text,
        value=each.value,
        z=z,
        at=each.at,
        received_at=uow.now,
        operator_id=uow.actor.user_id,
        operator=uow.actor.name if each.source == "manual" else "",
        reagent_lot=each.reagent_lot,
        calibration=each.calibration,
        note=each.note,
        observation_id=each.observation_id,
    )
    uow.s.add(result)
    uow.s.flush()
    told = {"level": each.level, "lot": material.lot, "value": each.raw_text, "z": None if z is None else f"{z:.2f}", "source": each.source}
    uow.audit("qc_run", run.id, "measured", after=told)
    if not trial:
        judge(uow, plan, run)
    uow.notify("qc", {"plan_id": plan.id})
    return run


def _too_early(uow: UnitOfWork, plan: QcPlan, each: Measured, target: QcTarget | None) -> bool:
    """Nothing to judge by yet: no target, or too few values for the immediate method (then nothing may pass by it either)."""
    if plan.method != Method.IMMEDIATE:
        return target is None
    return len(_before(uow, plan.id, each.level, each.material_id, each.at)) + 1 < immediate.JUDGED_FROM


def _run_for(uow: UnitOfWork, plan: QcPlan, each: Measured, trial: bool) -> QcRun:
    query = select(QcRun).where(QcRun.plan_id == plan.id, (QcRun.state == RunState.TRIAL) if trial else (QcRun.state != RunState.TRIAL))
    query = query.where(QcRun.at.between(each.at - rules.SAME_RUN, each.at + rules.SAME_RUN)).order_by(QcRun.at.desc(), QcRun.id.desc())
    found = list(uow.s.execute(query.limit(5)).scalars())
    inside: dict[int, dict[int, int]] = {run.id: {} for run in found}
    lots = select(QcResult.run_id, QcResult.level, QcResult.material_id).where(QcResult.run_id.in_(inside))
    for run_id, level, lot in uow.s.execute(lots) if inside else ():
        inside[run_id][level] = lot
    # Of two kits measured side by side each keeps to itself: a maker's levels are registered one after the other.
    kit = each.material_id - each.level
    for run in sorted(found, key=lambda r: min((abs(lot - level - kit) for level, lot in inside[r.id].items()), default=0)):
        levels = inside[run.id].keys()
        same_key = each.run_key is not None and run.run_key == each.run_key and each.level not in levels
        unnamed = each.run_key is None or run.run_key is None
        full = not trial and (levels >= set(plan.levels) or RunState(run.state) in rules.GOOD)
        if not full and (same_key or (unnamed and rules.joins_run(run.at, each.at, levels, each.level))):
            return run
    state = RunState.TRIAL if trial else RunState.INCOMPLETE
    run = QcRun(plan_id=plan.id, run_key=each.run_key, at=each.at, state=state.value, source=each.source)
    uow.s.add(run)
    uow.s.flush()
    return run


# --- judging --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Broken:
    """A violation as stored: rule, scope, level, severity, result ids."""

    rule: str
    scope: str
    level: int | None
    severity: Severity
    points: tuple[int, ...]

    @property
    def key(self) -> tuple[str, str, int | None]:
        """What makes it the same violation of a run."""
        return self.rule, self.scope, self.level


def judge(uow: UnitOfWork, plan: QcPlan, run: QcRun) -> None:
    """Judge a run with the point that just joined it, and do what follows."""
    values = _values(uow, run)
    broken, levels = _broken_by(uow, plan, run, values), {v.level for v in values}
    if not levels >= set(plan.levels):
        levels |= set(uow.s.execute(_BESIDE, _near(uow, plan, run)).scalars())
    rejected = [b for b in broken if b.severity is Severity.REJECT]
    before, rules_before = RunState(run.state), run.rules
    state = rules.run_state(levels >= set(plan.levels), bool(rejected) or before is RunState.REJECTED, bool(broken))
    if not rules.may_become(before, state):
        raise UserError(
            "conflict",
            say("该批质控已判为“{state}”，不能再改为“{to}”。", state=word(rules.RUN_WORDS[before]), to=word(rules.RUN_WORDS[state])),
        )
    run.state = state.value
    _store(uow, run, broken)
    _tell(uow, plan, run, rejected)
    if state in rules.GOOD and plan.overdue_since is not None:
        # Beside the ORM: a measurement is nobody's edit of the plan.
        uow.s.execute(text("UPDATE qc_plan SET overdue_since = NULL WHERE tenant_id = :t AND id = :i"), {"t": uow.tenant_id, "i": plan.id})
    if (state, run.rules) != (before, rules_before):
        uow.audit("qc_run", run.id, "judged", {"state": before.value, "rules": rules_before}, {"state": run.state, "rules": run.rules})
    if state in rules.GOOD and before not in rules.GOOD:
        for waiting in uow.s.execute(_WAITING, _near(uow, plan, run)).scalars().all():
            judge(uow, plan, uow.s.get_one(QcRun, (uow.tenant_id, waiting)))


# A level of which one lot is in use serves both lots of another measured side by side, unless a retest is waited for.
_BESIDE = text("""
SELECT q.level FROM qc_run r JOIN qc_result q ON q.tenant_id = r.tenant_id AND q.run_id = r.id
WHERE r.tenant_id = :t AND r.plan_id = :plan AND r.id <> :run AND r.state IN ('in_control','warning') AND r.at BETWEEN :low AND :high
  AND EXISTS (SELECT 1 FROM qc_result o JOIN qc_result m ON m.tenant_id = o.tenant_id AND m.run_id = :run AND m.level = o.level
              WHERE o.tenant_id = :t AND o.run_id = r.id AND o.material_id <> m.material_id)
  AND NOT EXISTS (SELECT 1 FROM qc_target x JOIN qc_material y ON y.tenant_id = x.tenant_id AND y.id = x.material_id AND y.active
                  WHERE x.tenant_id = :t AND x.plan_id = :plan AND x.level = q.level AND x.material_id <> q.material_id
                    AND x.effective_at <= r.at AND (x.ended_at IS NULL OR x.ended_at > r.at))
  AND NOT EXISTS (SELECT 1 FROM qc_ooc c WHERE c.tenant_id = :t AND c.plan_id = :plan AND c.verified_at IS NULL)
""")
_WAITING = text("""
SELECT r.id FROM qc_run r WHERE r.tenant_id = :t AND r.plan_id = :plan AND r.id <> :run AND r.state = 'incomplete'
  AND r.at BETWEEN :low AND :high
  AND EXISTS (SELECT 1 FROM qc_result o JOIN qc_result m ON m.tenant_id = o.tenant_id AND m.run_id = :run AND m.level = o.level
              WHERE o.tenant_id = :t AND o.run_id = r.id AND o.material_id <> m.material_id)
ORDER BY r.id
""")


def _near(uow: UnitOfWork, plan: QcPlan, run: QcRun) -> dict[str, Any]:
    low, high = run.at - rules.SAME_RUN, run.at + rules.SAME_RUN
    return {"t": uow.tenant_id, "plan": plan.id, "run": run.id, "low": low, "high": high}


def _tell(uow: UnitOfWork, plan: QcPlan, run: QcRun, rejected: Sequence[Broken]) -> None:
    """What follows from a verdict. A rejection counts whenever its run was measured; a warning stands and falls with the newest run."""
    state, subject = RunState(run.state), f"plan:{plan.id}"
    newest = uow.s.execute(_NEWER, {"t": uow.tenant_id, "plan": plan.id, "at": run.at, "run": run.id}).first() is None
    if rejected:
        _reject(uow, plan, run, rejected)
    elif state is RunState.WARNING:
        if newest:
            words, url = "%(analyzer)s %(item)s 质控警告：%(rules)s", f"/qc/lj?plan={plan.id}"
            _alert(uow, plan, alerts.Alert("qc.warning", subject, alerts.Level.WARNING, words, url, rules.Perm.READ), run.rules)
        uow.emit("qc.warning", f"qc:{plan.id}", _payload(plan, run))
    elif state in rules.GOOD:
        uow.emit("qc.passed", f"qc:{plan.id}", _payload(plan, run))
    if newest and (rejected or state is RunState.IN_CONTROL):
        # In control again, or worse and told as that.
        alerts.clear(uow, "qc.warning", subject)


_NEWER = text("""
SELECT id FROM qc_run WHERE tenant_id = :t AND plan_id = :plan AND state <> 'trial' AND (at, id) > (:at, :run) ORDER BY at, id LIMIT 20
""")


def _judge_later(uow: UnitOfWork, touched: Collection[QcRun]) -> None:
    """A run that arrived late changes what those measured after it broke: they are judged anew, by the order of measurement.

    Only what it changes counts: each is judged with the late runs and without, so that rules chosen since repaint nothing (C8).
    """
    late = {run.id for run in touched}
    for plan_id in dict.fromkeys(run.plan_id for run in touched):
        first = min((r for r in touched if r.plan_id == plan_id and r.state != RunState.TRIAL), key=lambda r: (r.at, r.id), default=None)
        if first is None:
            continue
        plan = uow.s.get_one(QcPlan, (uow.tenant_id, plan_id))
        for run_id in uow.s.execute(_NEWER, {"t": uow.tenant_id, "plan": plan_id, "at": first.at, "run": first.id}).scalars().all():
            if run_id not in late:
                _judge_again(uow, plan, uow.s.get_one(QcRun, (uow.tenant_id, run_id)), late)


def changed_by(uow: UnitOfWork, touched: Collection[int]) -> list[QcRun]:
    """Runs that these, just stored, changed the verdict of, in the order of measurement."""
    plans = select(QcRun.plan_id).where(QcRun.id.in_(list(touched)))
    query = select(QcRun).where(QcRun.plan_id.in_(plans), QcRun.history != [], QcRun.id.not_in(list(touched))).order_by(QcRun.at, QcRun.id)
    now = uow.now.isoformat()
    return [r for r in uow.s.execute(query).scalars() if r.history[-1]["at"] == now and set(r.history[-1]["late"]) & set(touched)]


def _judge_again(uow: UnitOfWork, plan: QcPlan, run: QcRun, late: Collection[int]) -> None:
    values = _values(uow, run)
    was, now = (_broken_by(uow, plan, run, values, without) for without in (late, ()))
    added = [b for b in now if b.key not in {x.key for x in was}]
    gone = {b.key for b in was} - {b.key for b in now}
    query = select(QcViolation).where(QcViolation.run_id == run.id, QcViolation.ended_at.is_(None)).order_by(QcViolation.id)
    stored = uow.s.execute(query).scalars().all()
    added = [b for b in added if b.key not in {(v.rule, v.scope, v.level) for v in stored}]
    before = RunState(run.state)
    ended = [v for v in stored if (v.rule, v.scope, v.level) in gone] if before is not RunState.REJECTED else []
    if not added and not ended:
        return
    rejected = [b for b in added if b.severity is Severity.REJECT]
    kept = [v for v in stored if v not in ended]
    for v in ended:
        v.ended_at = uow.now
    state, rules_before = rules.judged_again(before, bool(rejected), bool(kept or added)), run.rules
    run.history = [*run.history, {"at": uow.now.isoformat(), "state": before.value, "rules": run.rules, "late": sorted(late)}]
    run.state = state.value
    run.rules = "、".join(dict.fromkeys(name(Broken(v.rule, v.scope, v.level, Severity(v.severity), ())) for v in kept))
    _store(uow, run, added)
    uow.audit(
        "qc_run", run.id, "judged_again", {"state": before.value, "rules": rules_before},
        {"state": run.state, "rules": run.rules, "late": sorted(late)},
    )  # fmt: skip
    _tell(uow, plan, run, rejected)
    uow.notify("qc", {"plan_id": plan.id})


def _values(uow: UnitOfWork, run: QcRun) -> Sequence[QcResult]:
    return uow.s.execute(select(QcResult).where(QcResult.run_id == run.id).order_by(QcResult.level, QcResult.id)).scalars().all()


def _broken_by(uow: UnitOfWork, plan: QcPlan, run: QcRun, values: Iterable[QcResult], without: Collection[int] = ()) -> list[Broken]:
    """All that a run breaks, by each of its values and together with the runs measured before it."""
    if plan.method == Method.IMMEDIATE:
        return [b for v in values for b in _immediate(uow, v, without)]
    wrong = [b for v in values for b in _qualitative(uow, plan, v)] if plan.method == Method.QUALITATIVE else []
    return [*wrong, *_westgard(uow, plan, run, without)]


_HISTORY = text("""
SELECT q.id, q.run_id, q.level, q.z, q.target_id, q.frozen, q.material_id, r.at
FROM qc_result q JOIN qc_run r ON r.tenant_id = q.tenant_id AND r.id = q.run_id
WHERE q.tenant_id = :t AND q.plan_id = :plan AND q.z IS NOT NULL AND r.state <> 'trial' AND r.at >= :since
  AND r.at <= CAST(:at AS timestamptz) + :beside
ORDER BY r.at DESC, r.id DESC LIMIT :n
""")


def _westgard(uow: UnitOfWork, plan: QcPlan, run: QcRun, without: Collection[int]) -> list[Broken]:
    params = {"t": uow.tenant_id, "plan": plan.id, "since": restart(uow, plan.id, run.at), "at": run.at, "beside": rules.SAME_RUN}
    params["n"] = HISTORY * LOTS * max(len(plan.levels), 1)
    rows = [row for row in uow.s.execute(_HISTORY, params) if row.run_id not in without]
    if all(row.run_id != run.id for row in rows):
        return []
    ids = {(row.run_id, row.level): row.id for row in rows}
    seen = [
        tracks.Seen(Point(row.run_id, row.level, row.z, row.target_id or 0, row.frozen), row.material_id, row.at) for row in reversed(rows)
    ]
    found = westgard.evaluate(tracks.track(seen, run.id), {Rule(r) for r in plan.rules}, Freeze(plan.freeze))
    return [_broken(v, plan, ids) for v in found if any(p.run == run.id for p in v.points)]


def _broken(v: Violation, plan: QcPlan, ids: dict[tuple[int, int], int]) -> Broken:
    points = tuple(ids[(p.run, p.level)] for p in v.points)
    return Broken(v.rule.value, v.scope.value, v.level, westgard.severity(v.rule, {Rule(w) for w in plan.warnings}), points)


def restart(uow: UnitOfWork, plan_id: int, at: datetime) -> datetime:
    """From when a look-back may count: the corrective action of the last closed out-of-control work."""
    query = select(func.max(QcOoc.corrected_at)).where(QcOoc.plan_id == plan_id, QcOoc.state == Ooc.CLOSED, QcOoc.corrected_at <= at)
    found = uow.s.execute(query).scalar_one_or_none()
    return found or datetime.fromisoformat("1900-01-01T00:00:00+00:00")


def _immediate(uow: UnitOfWork, newest: QcResult, without: Collection[int]) -> list[Broken]:
    if newest.value is None:
        return []
    before = _before(uow, newest.plan_id, newest.level, newest.material_id, newest.at, newest.id, without)
    verdict = immediate.newest(before, newest.value)
    severity = {immediate.Verdict.WARNING: Severity.WARNING, immediate.Verdict.REJECTED: Severity.REJECT}.get(verdict)
    return [] if severity is None else [Broken("即刻法", "level", newest.level, severity, (newest.id,))]


def _before(
    uow: UnitOfWork, plan_id: int, level: int, material_id: int, at: datetime, but: int = 0, without: Collection[int] = ()
) -> list[Decimal]:
    """The last values of a level and lot, measured until then, that count for the immediate method."""
    same = (QcResult.plan_id == plan_id, QcResult.level == level, QcResult.material_id == material_id)
    query = select(QcResult.value).where(*same, QcResult.frozen.is_(False), QcResult.value.is_not(None), QcResult.id != but)
    query = query.where(QcResult.at <= at, QcResult.run_id.not_in(list(without)))
    rows = uow.s.execute(query.order_by(QcResult.at.desc(), QcResult.id.desc()).limit(immediate.CONVERT_AT)).scalars()
    return [v for v in rows if v is not None]


def _qualitative(uow: UnitOfWork, plan: QcPlan, newest: QcResult) -> list[Broken]:
    target = uow.s.get(QcTarget, (uow.tenant_id, newest.target_id)) if newest.target_id is not None else None
    if target is None or not target.expected:
        return []
    said = newest.raw_text if newest.value is None else _sign_of_number(uow, plan, newest)
    if said is None and target.mean is not None:
        return []  # a ratio (S/CO) without a judgement to say its sign: the chart alone judges it
    if said is not None and qualitative.agrees(target.expected, said):
        return []
    return [Broken("定性不符", "level", newest.level, Severity.REJECT, (newest.id,))]


def _sign_of_number(uow: UnitOfWork, plan: QcPlan, newest: QcResult) -> str | None:
    """What a patient's report would say of the number (S/CO 0.05 is 阴性): by the item's judgement, None where it has none."""
    found = md.catalog(uow).judgements.get(plan.item_id)
    judged = None if found is None else found.judge(parse(newest.raw_text, "numeric"), md.person(None, None))
    return judged[0] if isinstance(judged, tuple) else None


def _store(uow: UnitOfWork, run: QcRun, broken: Sequence[Broken]) -> None:
    query = select(QcViolation.rule, QcViolation.scope, QcViolation.level).where(QcViolation.run_id == run.id)
    query = query.where(QcViolation.ended_at.is_(None))
    known = {tuple(row) for row in uow.s.execute(query)}
    for b in broken:
        if b.key not in known:
            uow.s.add(
                QcViolation(
                    run_id=run.id,
                    plan_id=run.plan_id,
                    at=run.at,
                    rule=b.rule,
                    scope=b.scope,
                    level=b.level,
                    severity=b.severity.value,
                    points=list(b.points),
                )
            )
    run.rules = "、".join(dict.fromkeys([*(run.rules.split("、") if run.rules else []), *(name(b) for b in broken)]))


def name(b: Broken) -> str:
    """A broken rule as people write it: 2-2s(L1), 4-1s(跨水平)."""
    if b.rule in ("R-4s", "R-range4"):
        return b.rule
    return f"{b.rule}(L{b.level})" if b.level is not None else f"{b.rule}(跨水平)"


def _reject(uow: UnitOfWork, plan: QcPlan, run: QcRun, rejected: Sequence[Broken]) -> None:
    """Freeze the points, close the gate, open the work, stop the autoverification (by event), tell the leader."""
    own = set(uow.s.execute(select(QcResult.id).where(QcResult.run_id == run.id)).scalars())
    hit = own & {p for b in rejected for p in b.points}
    uow.s.execute(
        text("UPDATE qc_result SET frozen = true, rejected = true WHERE tenant_id = :t AND id = ANY(:ids)"),
        {"t": uow.tenant_id, "ids": sorted(hit)},
    )
    ooc = uow.s.execute(select(QcOoc).where(QcOoc.plan_id == plan.id, QcOoc.verified_at.is_(None))).scalar_one_or_none()
    words = "、".join(name(b) for b in rejected)
    if ooc is None:
        ooc = QcOoc(
            plan_id=plan.id,
            run_id=run.id,
            rules=words,
            suspect_from=_last_good(uow, plan, run),
            rejected_at=run.at,
            opened_at=uow.now,
        )
        uow.s.add(ooc)
        uow.s.flush()
        uow.audit("qc_ooc", ooc.id, "open", after={"plan": plan.id, "rules": words})
    elif run.at < ooc.rejected_at:
        # It arrived late: the doubtful time began before the run that was rejected first.
        before = {"rejected_at": ooc.rejected_at.isoformat(), "rules": ooc.rules}
        ooc.rejected_at, ooc.suspect_from = run.at, _last_good(uow, plan, run)
        ooc.rules = "、".join(dict.fromkeys([*words.split("、"), *ooc.rules.split("、")]))
        uow.audit("qc_ooc", ooc.id, "extended", before, {"rejected_at": run.at.isoformat(), "rules": ooc.rules})
    run.ooc_id = ooc.id
    message, url = "%(analyzer)s %(item)s 质控失控：%(rules)s", f"/qc/ooc/{ooc.id}"
    _alert(uow, plan, alerts.Alert("qc.rejected", f"plan:{plan.id}", alerts.Level.URGENT, message, url, rules.Perm.READ), words)
    uow.emit("qc.rejected", f"qc:{plan.id}", _payload(plan, run) | {"rules": words, "ooc_id": ooc.id})
    robot.tell(uow, plan, run, words)


def _last_good(uow: UnitOfWork, plan: QcPlan, run: QcRun) -> datetime | None:
    good = [s.value for s in rules.GOOD]
    query = select(func.max(QcRun.at)).where(QcRun.plan_id == plan.id, QcRun.at < run.at, QcRun.state.in_(good))
    return uow.s.execute(query).scalar_one_or_none()


def _alert(uow: UnitOfWork, plan: QcPlan, told: alerts.Alert, broken: str) -> None:
    known = md.catalog(uow)
    fields = {"analyzer": known.analyzers[plan.analyzer_id].name, "item": known.items[plan.item_id].name, "rules": broken}
    alerts.raise_alert(uow, replace(told, fields=fields, at=places.of_analyzer(uow, plan.analyzer_id)))


def _payload(plan: QcPlan, run: QcRun) -> dict[str, Any]:
    return {"plan_id": plan.id, "item_id": plan.item_id, "analyzer_id": plan.analyzer_id, "run_id": run.id, "at": run.at.isoformat()}
