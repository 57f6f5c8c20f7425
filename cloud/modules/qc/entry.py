"""Typing control values: the sheet of an analyzer, what is wrong or doubtful with what was typed, and storing it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.qc import qualitative, queries, record, rules, targets
from cloud.modules.qc.models import QcMaterial, QcOoc, QcPlan, QcResult, QcRun, QcTarget
from cloud.modules.qc.record import Measured
from cloud.modules.qc.rules import Method, RunState
from common import values
from common.errors import UserError
from common.say import say, word


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the sheet: a plan's level for one lot. ``target`` None: a lot that has none yet."""

    plan: QcPlan
    item: md.ItemRow
    level: int
    material: QcMaterial
    target: QcTarget | None

    @property
    def key(self) -> str:
        """The form's name of it."""
        return f"v-{self.plan.id}-{self.level}-{self.material.id}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What was typed, in order; problems stop it, doubts must be confirmed."""

    problems: Sequence[tuple[str, str]]
    doubts: Sequence[tuple[str, str]]
    measured: Mapping[str, Measured]

    @property
    def fingerprint(self) -> str:
        """Names exactly these doubts: a confirmation is for what was shown, nothing else."""
        return hashlib.sha256("|".join(f"{k}{w}" for k, w in self.doubts).encode()).hexdigest()[:16]


def sheet(uow: UnitOfWork, analyzer_id: int | None) -> list[Field]:
    """The fields of an analyzer: lots in use by plan and level; then active lots of the same material that have no target yet."""
    if analyzer_id is None:
        return []
    known = md.catalog(uow)
    plans = queries.plans(uow, analyzer_id)
    lots = {m.id: m for m in queries.materials(uow)}
    current = queries.targets(uow, [p.id for p in plans], current=True)
    tried, used_by = queries.measured_lots(uow, [p.id for p in plans], uow.now - timedelta(days=183)), queries.analyzers_of_material(uow)
    out = []
    for plan in plans:
        mine = [t for t in current if t.plan_id == plan.id and t.material_id in lots]
        for level in plan.levels:
            in_use = [t for t in mine if t.level == level]
            out += [Field(plan, known.items[plan.item_id], level, lots[t.material_id], t) for t in in_use]
            used = {t.material_id for t in in_use}
            names = {lots[i].code for i in (*used, *tried.get(plan.id, ())) if i in lots and lots[i].level == level}
            # A plan's first lot: nothing says yet which it is, but what only other analyzers use it is not.
            mine_too = names or {m.code for m in lots.values() if analyzer_id in used_by.get(m.code, {analyzer_id})}
            fresh = [m for m in lots.values() if m.level == level and m.id not in used and m.code in mine_too]
            out += [Field(plan, known.items[plan.item_id], level, m, None) for m in fresh]
    return out


_SAME = text("""
SELECT q.at FROM qc_result q WHERE q.tenant_id = :t AND q.plan_id = :plan AND q.level = :level AND q.material_id = :m
  AND q.at BETWEEN :low AND :high AND q.raw_text = :raw ORDER BY q.at DESC LIMIT 1
""")


def check(uow: UnitOfWork, fields: Sequence[Field], typed: Mapping[str, str], at: datetime) -> Checked:
    """Read every filled field."""
    problems: list[tuple[str, str]] = []
    doubts: list[tuple[str, str]] = []
    measured: dict[str, Measured] = {}
    lot, calibration = typed.get("reagent_lot", "").strip()[:80], typed.get("calibration", "").strip()[:80]
    for f in fields:
        raw = typed.get(f.key, "").strip()
        if not raw:
            continue
        name = f"{f.item.name} L{f.level}"
        try:
            value = _read(f, raw, name)
            problem = rules.material_problem(f.material.expires_at, f.material.opened_at, f.material.open_days, at)
            if problem is not None:
                raise UserError("invalid", say("{item}：{hint}", item=name, hint=word(problem)))
        except UserError as error:
            problems.append((f.key, error.message))
            continue
        shown = values.plain(value) if value is not None else raw
        measured[f.key] = Measured(
            f.plan.id,
            f.material.id,
            f.level,
            at,
            shown,
            value,
            "manual",
            reagent_lot=lot,
            calibration=calibration,
            note=typed.get("note", ""),
        )
        doubts += [(f.key, words) for words in _doubts(uow, f, value, shown, at, name)]
    if not measured and not problems:
        problems.append(("", say("还没有填写任何质控值。")))
    return Checked(problems, doubts, measured)


def _read(f: Field, raw: str, name: str) -> Decimal | None:
    if f.plan.method == Method.QUALITATIVE and qualitative.sign_of(raw) is not None:
        return None
    try:
        found = values.require(raw, "numeric", name)
    except UserError as error:
        if f.plan.method != Method.QUALITATIVE:
            raise
        raise UserError("invalid", say("{name}：请填写阴性、弱阳性或阳性（也可写 -、±、+、2+），或 S/CO 数值。", name=name)) from error
    if found.comparator:
        raise UserError("invalid", say("{name}：质控值不能带“{comparator}”，请填写数字。", name=name, comparator=found.comparator))
    return found.number


def _doubts(uow: UnitOfWork, f: Field, value: Decimal | None, shown: str, at: datetime, name: str) -> list[str]:
    out: list[str] = []
    if value is not None and f.target is not None and f.target.mean is not None and f.target.sd:
        z = targets.z_score(value, f.target.mean, f.target.sd)
        if abs(z) > rules.WILD_Z:
            out.append(say("{name} 填的 {shown} 与靶值相差 {z} 个标准差，小数点是否有误？", name=name, shown=shown, z=f"{abs(z):.0f}"))
    params = {"t": uow.tenant_id, "plan": f.plan.id, "level": f.level, "m": f.material.id, "raw": shown}
    same = uow.s.execute(_SAME, params | {"low": at - rules.SAME_RUN, "high": at + rules.SAME_RUN}).scalar()
    if same is not None:
        out.append(
            say(
                "{name} 在 {at} 已有相同的结果 {shown}，是否重复录入？",
                name=name,
                at=f"{same.astimezone(md.HOSPITAL_ZONE):%H:%M}",
                shown=shown,
            )
        )
    return out


@dataclass(frozen=True, slots=True)
class Came:
    """What a stored run came to."""

    item: str
    state: RunState
    rules: str
    ooc_id: int | None
    missing: tuple[int, ...] = ()
    """Levels that an incomplete run waits for, until ``until``."""
    until: datetime | None = None
    lots: tuple[str, ...] = ()
    """Levels and lots of a run that is only collected: it stands beside another of the same test."""
    again: datetime | None = None
    """When a run was measured that this one, arriving late, changed the verdict of."""

    @property
    def bad(self) -> bool:
        """Whether it was rejected."""
        return self.state is RunState.REJECTED

    @property
    def sign(self) -> str:
        """The sign that carries the meaning together with the word."""
        return rules.RUN_SIGNS[self.state]

    @property
    def word(self) -> str:
        """What it came to."""
        return rules.RUN_WORDS[self.state]


def store(uow: UnitOfWork, checked: Checked) -> list[Came]:
    """Write it; what each run came to."""
    known = md.catalog(uow)
    out = []
    touched = record.record(uow, checked.measured.values())
    for run_id in touched:
        run = uow.s.get_one(QcRun, (uow.tenant_id, run_id))
        plan = uow.s.get_one(QcPlan, (uow.tenant_id, run.plan_id))
        # A good retest leads back to the work it was measured for.
        waiting = select(QcOoc.id).where(QcOoc.plan_id == plan.id, QcOoc.state == rules.Ooc.CORRECTED).order_by(QcOoc.id.desc()).limit(1)
        ooc_id = run.ooc_id or uow.s.execute(waiting).scalar()
        missing: tuple[int, ...] = ()
        if run.state == RunState.INCOMPLETE:
            there = set(uow.s.execute(select(QcResult.level).where(QcResult.run_id == run.id)).scalars())
            missing = tuple(level for level in plan.levels if level not in there)
        until = run.at + rules.SAME_RUN if missing else None
        fresh: tuple[str, ...] = ()
        if run.state == RunState.TRIAL:
            ooc_id = run.ooc_id
            query = select(QcResult.level, QcMaterial.lot).join(
                QcMaterial, (QcMaterial.tenant_id == QcResult.tenant_id) & (QcMaterial.id == QcResult.material_id)
            )
            found = uow.s.execute(query.where(QcResult.run_id == run.id).order_by(QcResult.level, QcResult.id))
            fresh = tuple(f"L{level} {lot}" for level, lot in found)
        out.append(Came(known.items[plan.item_id].name, RunState(run.state), run.rules, ooc_id, missing, until, fresh))
    for run in record.changed_by(uow, touched):
        plan = uow.s.get_one(QcPlan, (uow.tenant_id, run.plan_id))
        out.append(Came(known.items[plan.item_id].name, RunState(run.state), run.rules, run.ooc_id, again=run.at))
    return out
