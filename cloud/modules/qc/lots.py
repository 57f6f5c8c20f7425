"""A lot of a control from its first value to its place beside or instead of the old one (M11): all its tests at once.

A kit has some twenty tests and each has its own target; who changes a lot proposes them together, and another approves them together.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.qc import plans, targets
from cloud.modules.qc.models import QcMaterial, QcPlan, QcTarget
from cloud.modules.qc.rules import Method
from cloud.modules.qc.targets import Proposal, Stats
from common.errors import UserError
from common.say import say

SINCE = timedelta(days=183)
"""As the page of targets: half a year of values."""


@dataclass(frozen=True, slots=True)
class Line:
    """A test measured with the lot: what its values make, what is proposed or in force, and the target of the lot it replaces."""

    plan: QcPlan
    stats: Stats | None
    problem: str | None
    proposal: Proposal | None
    waiting: QcTarget | None
    current: QcTarget | None
    old: QcTarget | None

    @property
    def ready(self) -> bool:
        """Whether the old lot may go."""
        return self.current is not None


@dataclass(frozen=True, slots=True)
class Change:
    """A lot with its tests, and the lots of the same material and level that it is measured beside."""

    lot: QcMaterial
    lines: Sequence[Line]
    others: Sequence[QcMaterial]

    @property
    def alone(self) -> Sequence[Line]:
        """Tests that have a target for this lot and none for another: with this lot gone nothing would control them."""
        return [line for line in self.lines if line.ready and line.old is None]

    @property
    def lacking(self) -> Sequence[Line]:
        """Tests that have a target for another lot and none for this: with the other lot gone nothing would control them."""
        return [line for line in self.lines if line.old is not None and not line.ready]


_PLANS = text("""
SELECT p.id FROM qc_plan p WHERE p.tenant_id = :t AND p.active AND (
  EXISTS (SELECT 1 FROM qc_target g WHERE g.tenant_id = p.tenant_id AND g.plan_id = p.id AND g.material_id = ANY(:lots))
  OR EXISTS (SELECT 1 FROM qc_result q
             WHERE q.tenant_id = p.tenant_id AND q.plan_id = p.id AND q.at >= :since AND q.material_id = ANY(:lots)))
""")
_VALUES = text("""
SELECT q.plan_id, q.material_id, array_agg(q.value ORDER BY q.at, q.id), array_agg(q.at ORDER BY q.at, q.id) FROM qc_result q
WHERE q.tenant_id = :t AND q.plan_id = ANY(:plans) AND q.material_id = ANY(:lots) AND q.at >= :since AND q.value IS NOT NULL
  AND NOT (q.rejected AND q.excluded <> '')
GROUP BY q.plan_id, q.material_id
""")


def family(uow: UnitOfWork, lot: QcMaterial) -> list[QcMaterial]:
    """All lots of the same material and level, the newest last."""
    same = (QcMaterial.code == lot.code, QcMaterial.level == lot.level)
    return list(uow.s.execute(select(QcMaterial).where(*same).order_by(QcMaterial.id)).scalars())


def plans_of(uow: UnitOfWork, lots: Collection[QcMaterial]) -> set[int]:
    """The active plans that these lots were measured for or have a target in."""
    params = {"t": uow.tenant_id, "lots": [m.id for m in lots], "since": uow.now - SINCE}
    return set(uow.s.execute(_PLANS, params).scalars())


def change(uow: UnitOfWork, lot: QcMaterial, every: Sequence[QcPlan]) -> Change:
    """The lot with its tests among these plans; three statements, however many tests."""
    kin = family(uow, lot)
    wanted = plans_of(uow, kin)
    found = [p for p in every if p.id in wanted and lot.level in p.levels]
    params = {"t": uow.tenant_id, "plans": [p.id for p in found], "lots": [m.id for m in kin], "since": uow.now - SINCE}
    values = {(plan, m): (v, at) for plan, m, v, at in uow.s.execute(_VALUES, params)}
    query = select(QcTarget).where(QcTarget.plan_id.in_([p.id for p in found]), QcTarget.level == lot.level, QcTarget.ended_at.is_(None))
    mine: dict[int, list[QcTarget]] = {}
    for t in uow.s.execute(query.order_by(QcTarget.id)).scalars():
        mine.setdefault(t.plan_id, []).append(t)
    others = {m.id for m in kin if m.active and m.id != lot.id}
    return Change(
        lot, [_line(lot, p, mine.get(p.id, []), values, others) for p in found], [m for m in kin if m.id in others and m.id < lot.id]
    )


def _line(lot: QcMaterial, plan: QcPlan, known: Sequence[QcTarget], values: dict[tuple[int, int], tuple], others: set[int]) -> Line:  # type: ignore[type-arg]
    waiting = next((t for t in known if t.material_id == lot.id and t.effective_at is None), None)
    current = next((t for t in known if t.material_id == lot.id and t.effective_at is not None), None)
    old = next((t for t in reversed(known) if t.material_id in others and t.effective_at is not None), None)
    measured, at = values.get((plan.id, lot.id), ((), ()))
    found = targets.stats(measured)
    days = [a.astimezone(md.HOSPITAL_ZONE).date() for a in at]
    problem = targets.provisional_problem(days, lot.short_life) if plan.method != Method.QUALITATIVE else None
    before = targets.stats(values[(plan.id, old.material_id)][0]) if old is not None and (plan.id, old.material_id) in values else None
    history = targets.historical_cv(before, None if old is None else old.mean, None if old is None else old.sd)
    proposal = targets.propose(found, problem, history, renewed=current is not None and current.basis in targets.OWN_VALUES)
    if plan.method == Method.QUALITATIVE:
        proposal = None if old is None or not old.expected or old.mean is not None else Proposal(None, None, targets.Basis.MAKER, 0)
    return Line(plan, found, problem, proposal, waiting, current, old)


def propose(uow: UnitOfWork, change: Change, plan_ids: Collection[int], reason: str) -> int:
    """Write down the targets that the values of these tests make; how many. UserErrors: invalid where nothing can be proposed."""
    wanted = [line for line in change.lines if line.plan.id in plan_ids]
    if not wanted:
        raise UserError("invalid", say("请先勾选项目。"), field="plan")
    for line in wanted:
        if line.waiting is not None or line.proposal is None:
            name = md.catalog(uow).items[line.plan.item_id].name
            why = say("{item} 还不能提出靶值，或已有待批准的靶值。请刷新后再试。", item=name)
            raise UserError("conflict", why)
        p = line.proposal
        expected = line.old.expected if line.old is not None else ""
        new = plans.NewTarget(line.plan.id, change.lot.level, change.lot.id, p.mean, p.sd, p.basis, p.n, expected, reason)
        plans.propose_target(uow, new)
    return len(wanted)


def waiting(uow: UnitOfWork, every: Collection[QcPlan], material_id: int | None = None) -> list[QcTarget]:
    """Proposed targets of these plans (of one lot) that nobody has approved or refused, by plan and level."""
    query = select(QcTarget).where(
        QcTarget.plan_id.in_([p.id for p in every]), QcTarget.effective_at.is_(None), QcTarget.ended_at.is_(None)
    )
    if material_id is not None:
        query = query.where(QcTarget.material_id == material_id)
    return list(uow.s.execute(query.order_by(QcTarget.plan_id, QcTarget.level, QcTarget.id)).scalars())


def approve(uow: UnitOfWork, wanted: Sequence[tuple[int, int]]) -> int:
    """Approve (target, version) together, all or none; how many."""
    if not wanted:
        raise UserError("invalid", say("请先勾选要批准的靶值。"), field="target")
    for target_id, version in sorted(wanted):
        plans.approve_target(uow, target_id, version)
    return len(wanted)
