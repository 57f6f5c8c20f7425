"""Patient-based control at work: settings of a plan, and hour after hour the smoothed value of the patients measured.

A result counts once, when it came (``at``), by its first version; reruns and what people typed do not. An hour without patients has no
point. What is beyond a limit holds the automatic release (M08 category 5) and is an alert until an hour is within again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.modules.qc import moving
from cloud.modules.qc.chart import Smoothed
from cloud.modules.qc.models import QcMoving, QcMovingPoint, QcPlan
from cloud.modules.qc.rules import Perm
from common.errors import UserError
from common.say import say
from common.values import significant

HOUR = timedelta(hours=1)
CATCH_UP = timedelta(hours=48)
"""Hours missed while the worker was away are made up for as far back as this."""
EARLIER = timedelta(days=14)
"""How far back a window reaches for its patients."""
SHOWN = timedelta(days=7)
LEARN = timedelta(days=30)


def setting_of(row: QcMoving) -> moving.Setting:
    """A stored setting."""
    kind = moving.Kind(row.kind)
    return moving.Setting(kind, row.low, row.high, row.size, row.weight, row.start, row.trunc_low, row.trunc_high)


def save(uow: UnitOfWork, plan_id: int, new: moving.Setting, active: bool, version: int | None) -> QcMoving:
    """Make or change the patient-based control of a plan."""
    if uow.s.get(QcPlan, (uow.tenant_id, plan_id)) is None:
        raise UserError("not_found", say("质控计划不存在，请核对后重试。"))
    problem = moving.problem(new)
    if problem is not None:
        raise UserError("invalid", problem, field="low")
    row = uow.s.execute(select(QcMoving).where(QcMoving.plan_id == plan_id).with_for_update()).scalar_one_or_none()
    if row is not None and row.version != version:
        raise UserError("stale", say("您打开之后，患者数据质控的设置已被他人修改，请核对后再保存。您输入的内容没有丢失。"))
    before = None if row is None else _said(row)
    if row is None:
        row = QcMoving(plan_id=plan_id)
        uow.s.add(row)
    row.kind, row.low, row.high, row.size, row.weight = new.kind.value, new.low, new.high, new.size, new.weight
    row.start, row.trunc_low, row.trunc_high, row.active = new.start, new.trunc_low, new.trunc_high, active
    uow.s.flush()
    if before != _said(row):
        uow.audit("qc_moving", row.id, "save", before, _said(row))
    return row


def _said(row: QcMoving) -> dict[str, object]:
    names = ("plan_id", "kind", "size", "weight", "start", "trunc_low", "trunc_high", "low", "high", "active")
    return {n: str(v) if isinstance(v := getattr(row, n), Decimal) else v for n in names}


# --- hour after hour ------------------------------------------------------------------------------------------------

_WAITING = text("""
SELECT m.plan_id, v.at, v.value FROM qc_moving m
JOIN qc_plan p ON p.tenant_id = m.tenant_id AND p.id = m.plan_id AND p.active
JOIN result_version v ON v.tenant_id = m.tenant_id AND v.analyzer_id = p.analyzer_id AND v.item_id = p.item_id
WHERE m.tenant_id = :t AND m.active AND v.at >= :since AND v.at < :until
  AND v.version_no = 1 AND v.value IS NOT NULL AND v.comparator = ''
  AND v.at >= coalesce((SELECT max(x.hour) FROM qc_moving_point x WHERE x.tenant_id = m.tenant_id AND x.plan_id = m.plan_id)
                       + interval '1 hour', :since)
ORDER BY m.plan_id, v.at, v.id
""")
_EARLIER = text("""
SELECT v.value FROM result_version v JOIN qc_plan p ON p.tenant_id = v.tenant_id AND p.analyzer_id = v.analyzer_id AND p.item_id = v.item_id
WHERE v.tenant_id = :t AND p.id = :plan AND v.at >= :since AND v.at < :until
  AND v.version_no = 1 AND v.value IS NOT NULL AND v.comparator = ''
  AND v.value >= coalesce(CAST(:low AS numeric), v.value) AND v.value <= coalesce(CAST(:high AS numeric), v.value)
ORDER BY v.at DESC, v.id DESC LIMIT :n
""")


def work(uow: UnitOfWork) -> None:
    """Calendar job, every 15 minutes: the hours that have ended since, and who is beyond a limit now."""
    until = uow.now.replace(minute=0, second=0, microsecond=0)
    params = {"t": uow.tenant_id, "since": until - CATCH_UP, "until": until}
    hours: dict[int, dict[datetime, list[Decimal]]] = {}
    for r in uow.s.execute(_WAITING, params):
        hours.setdefault(r.plan_id, {}).setdefault(r.at.replace(minute=0, second=0, microsecond=0), []).append(r.value)
    rows = uow.s.execute(select(QcMoving).where(QcMoving.plan_id.in_(hours))).scalars() if hours else ()
    for row in rows:
        _hours(uow, row, hours[row.plan_id])
    uow.s.flush()
    _tell(uow)
    if hours:
        uow.notify("qc", {})


def _hours(uow: UnitOfWork, row: QcMoving, found: dict[datetime, list[Decimal]]) -> None:
    setting = setting_of(row)
    z, earlier = None, list[Decimal]()
    if setting.kind is moving.Kind.EWMA:
        last = select(QcMovingPoint.value).where(QcMovingPoint.plan_id == row.plan_id).order_by(QcMovingPoint.hour.desc()).limit(1)
        z = uow.s.execute(last).scalar_one_or_none()
    else:
        earlier = _past(uow, row.plan_id, setting, min(found) - EARLIER, min(found), setting.size)
    for hour, values in sorted(found.items()):
        value = moving.at_the_end(earlier, values, z, setting)
        out = value is not None and moving.out_of_control(value, setting)
        uow.s.add(QcMovingPoint(plan_id=row.plan_id, hour=hour, n=len(values), value=value, out=out))
        z, earlier = value, [*earlier, *values]


def _past(uow: UnitOfWork, plan_id: int, setting: moving.Setting, since: datetime, until: datetime, n: int) -> list[Decimal]:
    """The last values before a moment that the truncation keeps, oldest first."""
    params = {"t": uow.tenant_id, "plan": plan_id, "since": since, "until": until, "n": n}
    params |= {"low": setting.trunc_low, "high": setting.trunc_high}
    return list(reversed(uow.s.execute(_EARLIER, params).scalars().all()))


def _tell(uow: UnitOfWork) -> None:
    known = md.catalog(uow)
    words = "%(analyzer)s %(item)s 的患者数据质控超出界限：%(value)s（%(low)s–%(high)s）"
    found = []
    for line in lines(uow, timedelta(0)):
        if line.setting is None or not line.active or line.last is None or not line.last.out:
            continue
        fields = {
            "analyzer": known.analyzers[line.plan.analyzer_id].name,
            "item": known.items[line.plan.item_id].name,
            "value": significant(line.last.value, 4),
            "low": f"{line.setting.low.normalize():f}",
            "high": f"{line.setting.high.normalize():f}",
        }
        url = f"/qc/moving?plan={line.plan.id}"
        told = alerts.Alert("qc.moving", f"plan:{line.plan.id}", alerts.Level.WARNING, words, url, Perm.READ, fields)
        found.append(replace(told, at=places.of_analyzer(uow, line.plan.analyzer_id)))
    alerts.sync(uow, "qc.moving", found)


# --- for the page ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A plan with its setting, the newest point and the points of the last week (oldest first)."""

    plan: QcPlan
    setting: moving.Setting | None
    active: bool
    version: int | None
    last: Smoothed | None
    points: Sequence[Smoothed]


_POINTS = text("""
SELECT plan_id, hour, value, n, out FROM (
  SELECT x.*, row_number() OVER (PARTITION BY plan_id ORDER BY hour DESC) AS k FROM qc_moving_point x
  WHERE x.tenant_id = :t AND x.hour >= :oldest) y
WHERE y.value IS NOT NULL AND (y.k = 1 OR y.hour >= :since) ORDER BY plan_id, hour
""")


def lines(uow: UnitOfWork, span: timedelta = SHOWN) -> list[Line]:
    """Every plan that has a setting."""
    rows = uow.s.execute(
        select(QcPlan, QcMoving)
        .join(QcMoving, (QcMoving.tenant_id == QcPlan.tenant_id) & (QcMoving.plan_id == QcPlan.id))
        .where(QcPlan.active)
        .order_by(QcPlan.analyzer_id, QcPlan.id)
    ).all()
    points: dict[int, list[Smoothed]] = {}
    params = {"t": uow.tenant_id, "oldest": uow.now - EARLIER, "since": uow.now - span}
    for r in uow.s.execute(_POINTS, params):
        points.setdefault(r.plan_id, []).append(Smoothed(r.hour, r.value, r.n, r.out))
    return [
        Line(plan, setting_of(row), row.active, row.version, _newest(points.get(plan.id)), points.get(plan.id, [])) for plan, row in rows
    ]


def _newest(points: Sequence[Smoothed] | None) -> Smoothed | None:
    return points[-1] if points else None


def suggested(uow: UnitOfWork, plan_id: int, setting: moving.Setting) -> tuple[Decimal, Decimal] | None:
    """Limits by the patients of the last thirty days, or None of too few."""
    return moving.limits(_past(uow, plan_id, setting, uow.now - LEARN, uow.now, 20_000), setting)
