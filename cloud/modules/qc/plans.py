"""Materials, plans and targets: written by the leader, targets approved by another person before they count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.qc import qualitative, targets
from cloud.modules.qc.models import QcMaterial, QcNote, QcPlan, QcResult, QcTarget
from cloud.modules.qc.rules import Method
from cloud.modules.qc.westgard import DEFAULT_RULES, DEFAULT_WARNINGS, Freeze, Rule
from common.errors import UserError
from common.say import say


@dataclass(frozen=True, slots=True)
class NewMaterial:
    """A lot of a control material as typed."""

    code: str
    name: str
    level: int
    lot: str
    maker: str = ""
    expires_at: datetime | None = None
    opened_at: datetime | None = None
    open_days: int | None = None
    short_life: bool = False
    stock: int | None = None


def add_material(uow: UnitOfWork, new: NewMaterial) -> QcMaterial:
    """Register a lot; analyzers' control results with its code go to it, or where others are in use to whom a person says."""
    if not new.code.strip() or not new.name.strip() or not new.lot.strip():
        raise UserError("invalid", "请填写质控品编号、名称和批号。", field="code")
    if not 1 <= new.level <= 6:
        raise UserError("invalid", "水平请填 1 到 6。", field="level")
    if new.expires_at is not None and new.expires_at <= uow.now:
        raise UserError("invalid", say("批号 {lot} 已过有效期，不能登记使用。", lot=new.lot), field="expires_at")
    same = select(QcMaterial.id).where(QcMaterial.code == new.code.strip(), QcMaterial.lot == new.lot.strip())
    if uow.s.execute(same).scalar_one_or_none() is not None:
        raise UserError("conflict", say("编号 {code} 批号 {lot} 已登记。", code=new.code, lot=new.lot))
    row = QcMaterial(
        code=new.code.strip(),
        name=new.name.strip(),
        level=new.level,
        lot=new.lot.strip(),
        maker=new.maker.strip(),
        expires_at=new.expires_at,
        opened_at=new.opened_at,
        open_days=new.open_days,
        short_life=new.short_life,
        stock=new.stock,
    )
    uow.s.add(row)
    uow.s.flush()
    uow.audit("qc_material", row.id, "add", after={"code": row.code, "lot": row.lot, "level": row.level})
    return row


def retire_material(uow: UnitOfWork, material_id: int, version: int) -> None:
    """A lot is used up or replaced."""
    row = uow.s.get(QcMaterial, (uow.tenant_id, material_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", "质控品不存在，请核对后重试。")
    if row.version != version:
        raise UserError("stale", "您打开之后该质控品已被他人修改，请核对后再保存。")
    row.active = False
    uow.audit("qc_material", row.id, "retire", after={"lot": row.lot})


def use_again(uow: UnitOfWork, material_id: int, version: int) -> None:
    """A lot retired too early is used again, with the targets it had."""
    row = uow.s.get(QcMaterial, (uow.tenant_id, material_id), with_for_update=True)
    if row is None or row.active:
        raise UserError("not_found", say("该批号不存在，或已在使用。请刷新后再试。"))
    if row.version != version:
        raise UserError("stale", "您打开之后该质控品已被他人修改，请核对后再保存。")
    if row.expires_at is not None and row.expires_at <= uow.now:
        raise UserError("invalid", say("批号 {lot} 已过有效期，不能恢复使用。", lot=row.lot))
    row.active = True
    uow.audit("qc_material", row.id, "restore", after={"lot": row.lot})


@dataclass(frozen=True, slots=True)
class Opening:
    """A vial opened and uses added to (or taken from) the stock, as typed. ``added`` None: the stock is left alone."""

    opened_at: datetime | None
    open_days: int | None
    added: int | None


def change_material(uow: UnitOfWork, material_id: int, version: int, new: Opening) -> None:
    """A new vial of a lot in use, or more of it: without it a lot would be lost once its first vial is too old. What others measured
    meanwhile is counted: the stock is added to, never overwritten."""
    row = uow.s.get(QcMaterial, (uow.tenant_id, material_id), with_for_update=True)
    if row is None or not row.active:
        raise UserError("not_found", say("质控品不存在或已停用，请核对后重试。"))
    if row.version != version:
        raise UserError("stale", "您打开之后该质控品已被他人修改，请核对后再保存。")
    if new.opened_at is not None and new.opened_at > uow.now:
        raise UserError("invalid", say("开瓶日期晚于今天，请核对。"), field="opened")
    if new.open_days is not None and new.open_days < 1:
        raise UserError("invalid", say("开瓶稳定天数至少为 1。"), field="open_days")
    stock = row.stock if new.added is None else (row.stock or 0) + new.added
    if stock is not None and stock < 0:
        raise UserError("invalid", say("库存只有 {n} 次，不能减去更多。", n=row.stock or 0), field="added")
    before = _vial(row)
    row.opened_at, row.open_days, row.stock = new.opened_at, new.open_days, stock
    if before != _vial(row):
        uow.audit("qc_material", row.id, "save", before, _vial(row))


def _vial(row: QcMaterial) -> dict[str, object]:
    return {"opened": None if row.opened_at is None else row.opened_at.isoformat(), "open_days": row.open_days, "stock": row.stock}


@dataclass(frozen=True, slots=True)
class NewPlan:
    """A plan as typed. ``version`` None: a new one."""

    analyzer_id: int
    item_id: int
    levels: tuple[int, ...]
    method: Method = Method.LJ
    window_hours: int = 24
    rules: tuple[Rule, ...] = DEFAULT_RULES
    warnings: frozenset[Rule] = DEFAULT_WARNINGS
    freeze: Freeze = Freeze.BREAKS
    tea_percent: Decimal | None = None
    tea_absolute: Decimal | None = None
    tea_below: Decimal | None = None
    bias_percent: Decimal | None = None
    cv_standard: Decimal | None = None
    source: str = ""
    active: bool = True
    version: int | None = None


def save_plan(uow: UnitOfWork, new: NewPlan) -> QcPlan:
    """Make or change the plan of an item on an analyzer."""
    known = md.catalog(uow)
    if new.analyzer_id not in known.analyzers or new.item_id not in known.items:
        raise UserError("not_found", "仪器或检验项目不存在，请从列表中选择。")
    _check_plan(new)
    query = select(QcPlan).where(QcPlan.analyzer_id == new.analyzer_id, QcPlan.item_id == new.item_id).with_for_update()
    row = uow.s.execute(query).scalar_one_or_none()
    if row is not None and row.version != new.version:
        raise UserError("stale", "您打开之后该质控计划已被他人修改（或已有人建立），请核对后再保存。您输入的内容没有丢失。")
    before = None if row is None else _said(row)
    if row is None:
        row = QcPlan(analyzer_id=new.analyzer_id, item_id=new.item_id)
        uow.s.add(row)
    row.method, row.levels, row.window_hours = new.method.value, sorted(set(new.levels)), new.window_hours
    row.rules, row.warnings, row.freeze = [r.value for r in new.rules], sorted(r.value for r in new.warnings), new.freeze.value
    row.tea_percent, row.tea_absolute, row.tea_below = new.tea_percent, new.tea_absolute, new.tea_below
    row.bias_percent, row.cv_standard, row.source, row.active = new.bias_percent, new.cv_standard, new.source.strip(), new.active
    uow.s.flush()
    after = _said(row)
    if before != after:
        uow.audit("qc_plan", row.id, "save", before, after)
        uow.notify("qc", {"plan_id": row.id})
    return row


def _check_plan(new: NewPlan) -> None:
    if not new.levels:
        raise UserError("invalid", "请至少选择一个质控水平。", field="levels")
    if not 1 <= new.window_hours <= 24 * 31:
        raise UserError("invalid", "质控有效时长请填 1 至 744 小时。", field="window_hours")
    if new.method is Method.LJ and not set(new.rules) - new.warnings:
        raise UserError("invalid", "至少要有一条判为失控的规则，否则质控永远不会失控。", field="rules")
    numbers = (new.tea_percent, new.tea_absolute, new.cv_standard)
    if any(n is not None and (not n.is_finite() or n <= 0) for n in numbers):
        raise UserError("invalid", "TEa 与 CV 必须是大于 0 的数。", field="tea_percent")


_PLAN_FIELDS = (
    *("method", "levels", "window_hours", "rules", "warnings", "freeze", "tea_percent", "tea_absolute", "tea_below"),
    *("bias_percent", "cv_standard", "source", "active"),
)


def _said(row: QcPlan) -> dict[str, object]:
    return {n: str(v) if isinstance(v := getattr(row, n), Decimal) else v for n in _PLAN_FIELDS}


@dataclass(frozen=True, slots=True)
class NewTarget:
    """A target as typed; ``expected`` for qualitative control. ``level`` 0: the lot's own."""

    plan_id: int
    level: int
    material_id: int
    mean: Decimal | None
    sd: Decimal | None
    basis: targets.Basis
    n: int = 0
    expected: str = ""
    reason: str = ""


def propose_target(uow: UnitOfWork, new: NewTarget) -> QcTarget:
    """Write a target down; it counts once another person has approved it."""
    plan = uow.s.get(QcPlan, (uow.tenant_id, new.plan_id))
    material = uow.s.get(QcMaterial, (uow.tenant_id, new.material_id))
    if material is not None and not new.level:
        new = replace(new, level=material.level)
    if plan is None or material is None or new.level not in plan.levels:
        raise UserError("not_found", "质控计划、水平或质控品不存在，请从列表中选择。")
    if material.level != new.level:
        raise UserError(
            "invalid",
            say(
                "{name} 批号 {lot} 是水平 {level}，不是水平 {wanted}。",
                name=material.name,
                lot=material.lot,
                level=material.level,
                wanted=new.level,
            ),
            field="material_id",
        )
    qualitative_only = plan.method == Method.QUALITATIVE and new.mean is None and new.sd is None
    if plan.method == Method.QUALITATIVE and new.expected not in tuple(qualitative.Sign):
        raise UserError("invalid", "定性质控请选择预期结果（阴性、弱阳性、阳性）。", field="expected")
    problem = None if qualitative_only else targets.target_problem(new.mean, new.sd)
    if problem is not None:
        raise UserError("invalid", problem, field="sd")
    few = targets.provisional_problem(_days(uow, new), material.short_life) if new.basis is targets.Basis.PROVISIONAL else None
    if few is not None:
        raise UserError("invalid", few, field="basis")
    row = QcTarget(
        plan_id=new.plan_id,
        level=new.level,
        material_id=new.material_id,
        mean=new.mean,
        sd=new.sd,
        expected=new.expected,
        basis=new.basis.value,
        n=new.n,
        proposed_by=uow.actor.user_id,
        proposed_at=uow.now,
        reason=new.reason.strip(),
    )
    uow.s.add(row)
    uow.s.flush()
    after = {"plan": new.plan_id, "level": new.level, "lot": material.lot, "mean": new.mean, "sd": new.sd, "basis": new.basis.value}
    uow.audit("qc_target", row.id, "propose", after=after)
    return row


_DAYS = text("""
SELECT at FROM qc_result WHERE tenant_id = :t AND plan_id = :plan AND level = :level AND material_id = :m AND value IS NOT NULL
  AND NOT (rejected AND excluded <> '')
""")


def _days(uow: UnitOfWork, new: NewTarget) -> list[date]:
    """The local day of each value that counts for a target of this level and lot."""
    rows = uow.s.execute(_DAYS, {"t": uow.tenant_id, "plan": new.plan_id, "level": new.level, "m": new.material_id}).scalars()
    return [at.astimezone(md.HOSPITAL_ZONE).date() for at in rows]


def approve_target(uow: UnitOfWork, target_id: int, version: int) -> None:
    """Another person approves: the target counts from now on, and the lot's former one ends."""
    row = uow.s.get(QcTarget, (uow.tenant_id, target_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", "该靶值不存在，请核对后重试。")
    if row.version != version:
        raise UserError("stale", "您打开之后该靶值已被他人处理，请核对后再操作。")
    if row.approved_by is not None or row.ended_at is not None:
        raise UserError("conflict", "该靶值已经处理过，不能再批准。")
    if uow.actor.user_id is not None and uow.actor.user_id == row.proposed_by:
        raise UserError("conflict", "批准人不能是提出靶值的本人。")
    same = (QcTarget.plan_id == row.plan_id, QcTarget.level == row.level, QcTarget.material_id == row.material_id)
    query = select(QcTarget).where(*same, QcTarget.effective_at.is_not(None), QcTarget.ended_at.is_(None))
    for former in uow.s.execute(query).scalars():
        former.ended_at = uow.now
    row.approved_by, row.effective_at = uow.actor.user_id or 0, uow.now
    uow.s.flush()
    uow.audit("qc_target", row.id, "approve", after={"mean": row.mean, "sd": row.sd, "effective": uow.now.isoformat()})
    uow.notify("qc", {"plan_id": row.plan_id})


def reject_target(uow: UnitOfWork, target_id: int, version: int, reason: str) -> None:
    """A proposal is not approved."""
    row = uow.s.get(QcTarget, (uow.tenant_id, target_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", "该靶值不存在，请核对后重试。")
    if row.version != version:
        raise UserError("stale", "您打开之后该靶值已被他人处理，请核对后再操作。")
    if row.effective_at is not None or row.ended_at is not None:
        raise UserError("conflict", "该靶值已经处理过，不能退回。")
    if not reason.strip():
        raise UserError("invalid", "请写明不批准的原因。", field="reason")
    row.ended_at, row.reason = uow.now, reason.strip()
    uow.audit("qc_target", row.id, "refuse", reason=row.reason)


def exclude(uow: UnitOfWork, result_id: int, cause: str) -> None:
    """A rejected point leaves the statistics, for a documented cause; it stays on the chart."""
    row = uow.s.get(QcResult, (uow.tenant_id, result_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", "该质控点不存在，请核对后重试。")
    if not row.rejected:
        raise UserError("conflict", "只有判为失控的点可以不计入统计。")
    if not cause.strip():
        raise UserError("invalid", "请写明不计入统计的原因。", field="cause")
    row.excluded = cause.strip()[:500]
    uow.audit("qc_result", result_id, "exclude", reason=row.excluded)


NOTE_KINDS = {"lot": "试剂换批", "calibration": "校准", "maintenance": "保养维修", "other": "其他"}


def add_note(uow: UnitOfWork, analyzer_id: int, kind: str, at: datetime, words: str, item_id: int | None = None) -> None:
    """Write on the charts of an analyzer what happened to it."""
    if analyzer_id not in md.catalog(uow).analyzers:
        raise UserError("not_found", "仪器不存在，请从列表中选择。")
    if kind not in NOTE_KINDS or not words.strip():
        raise UserError("invalid", "请选择标注类别并写明内容，例如试剂批号。", field="text")
    row = QcNote(analyzer_id=analyzer_id, item_id=item_id, at=at, kind=kind, text=words.strip()[:200], by_name=uow.actor.name)
    uow.s.add(row)
    uow.s.flush()
    uow.audit("qc_note", row.id, "add", after={"analyzer": analyzer_id, "kind": kind, "text": row.text})
