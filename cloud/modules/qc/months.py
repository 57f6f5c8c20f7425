"""月总结: statistics of a month for each level and lot, drafted by the calendar, commented and signed by the leader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.platform import service as platform
from cloud.modules.qc.models import QcMonth
from cloud.modules.qc.targets import Stats, pool, stats
from cloud.web.principal import Principal
from common.errors import UserError
from common.say import say


def bounds(month: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """The first moment of a month and of the next one, in the hospital's time."""
    first = month.replace(day=1)
    after = (first + timedelta(days=32)).replace(day=1)
    return datetime(first.year, first.month, 1, tzinfo=zone), datetime(after.year, after.month, 1, tzinfo=zone)


@dataclass(frozen=True, slots=True)
class Group:
    """The values of one level and lot in a month: all of them, and those that count (in control, nothing left out)."""

    plan_id: int
    level: int
    material_id: int
    raw: tuple[Decimal, ...]
    counted: tuple[Decimal, ...]


# A rejected point leaves the statistics only with a documented cause.
_VALUES = text("""
SELECT q.plan_id, q.level, q.material_id, array_agg(q.value ORDER BY q.id),
       coalesce(array_agg(q.value ORDER BY q.id) FILTER (WHERE NOT (q.rejected AND q.excluded <> '')), '{}')
FROM qc_result q
WHERE q.tenant_id = :t AND q.at >= :start AND q.at < :end AND q.value IS NOT NULL AND (CAST(:plan AS bigint) IS NULL OR q.plan_id = :plan)
GROUP BY q.plan_id, q.level, q.material_id ORDER BY q.plan_id, q.level, q.material_id
""")
# By level and lot: those whose own value in the run took part, one level alone or several together.
_BROKEN = text("""
SELECT q.plan_id, q.level, q.material_id, v.rule, count(DISTINCT v.run_id) AS n
FROM qc_violation v JOIN qc_result q ON q.tenant_id = v.tenant_id AND q.run_id = v.run_id AND v.points @> to_jsonb(q.id)
WHERE v.tenant_id = :t AND v.at >= :start AND v.at < :end AND v.ended_at IS NULL
GROUP BY q.plan_id, q.level, q.material_id, v.rule ORDER BY q.plan_id, v.rule
""")


def groups(uow: UnitOfWork, start: datetime, end: datetime, plan_id: int | None = None) -> list[Group]:
    """All levels and lots that measured something in a time."""
    rows = uow.s.execute(_VALUES, {"t": uow.tenant_id, "start": start, "end": end, "plan": plan_id})
    return [Group(p, level, m, tuple(raw), tuple(counted)) for p, level, m, raw, counted in rows]


def draft(uow: UnitOfWork, month: date, zone: tzinfo) -> int:
    """Write (or bring up to date) the unsigned summaries of a month; how many there are."""
    start, end = bounds(month, zone)
    broken: dict[tuple[int, int, int], dict[str, int]] = {}
    for r in uow.s.execute(_BROKEN, {"t": uow.tenant_id, "start": start, "end": end}):
        broken.setdefault((r.plan_id, r.level, r.material_id), {})[r.rule] = r.n
    found = groups(uow, start, end)
    before = _cumulative(uow, month)
    have = {(m.plan_id, m.level, m.material_id): m for m in uow.s.execute(select(QcMonth).where(QcMonth.month == start.date())).scalars()}
    made = 0
    for g in found:
        of = (g.plan_id, g.level, g.material_id)
        row = have.get(of)
        if row is not None and row.signed_at is not None:
            continue
        raw, counted = stats(g.raw), stats(g.counted)
        parts = [s for s in (before.get(of), counted) if s is not None]
        data = {"raw": said(raw), "in": said(counted), "cumulative": said(pool(*parts)), "broken": broken.get(of, {})}
        if row is None:
            row = QcMonth(plan_id=g.plan_id, level=g.level, material_id=g.material_id, month=start.date(), data=data, drafted_at=uow.now)
            uow.s.add(row)
            made += 1
        elif row.data != data:
            row.data, row.drafted_at = data, uow.now
    uow.s.flush()
    if made:
        uow.audit("qc_month", start.date().isoformat(), "draft", after={"summaries": made})
    return len(found)


def said(found: Stats | None) -> dict[str, Any] | None:
    """Statistics as stored: exact text of each number."""
    if found is None:
        return None
    return {"n": found.n, "mean": str(found.mean), "sd": None if found.sd is None else str(found.sd)}


def read(data: dict[str, Any] | None) -> Stats | None:
    """Statistics from how they are stored."""
    if data is None:
        return None
    return Stats(data["n"], Decimal(data["mean"]), None if data["sd"] is None else Decimal(data["sd"]))


def _cumulative(uow: UnitOfWork, month: date) -> dict[tuple[int, int, int], Stats]:
    """The cumulative statistics of each level and lot at the end of the last month that has any."""
    last = (
        select(QcMonth.plan_id, QcMonth.level, QcMonth.material_id, func.max(QcMonth.month).label("month"))
        .where(QcMonth.month < month.replace(day=1))
        .group_by(QcMonth.plan_id, QcMonth.level, QcMonth.material_id)
        .subquery()
    )
    same = (QcMonth.plan_id == last.c.plan_id) & (QcMonth.level == last.c.level) & (QcMonth.material_id == last.c.material_id)
    query = select(QcMonth).join(last, same & (QcMonth.month == last.c.month))
    out = {}
    for row in uow.s.execute(query).scalars():
        found = read(row.data.get("cumulative"))
        if found is not None:
            out[(row.plan_id, row.level, row.material_id)] = found
    return out


def plans_of(uow: UnitOfWork, ids: Sequence[int]) -> set[int]:
    """The plans these summaries are of."""
    return set(uow.s.execute(select(QcMonth.plan_id).where(QcMonth.id.in_(list(ids)))).scalars())


def over(month: date, zone: tzinfo, now: datetime) -> bool:
    """Whether a month has ended: what is signed before leaves out the days that are still to come."""
    return bounds(month, zone)[1] <= now


def sign(uow: UnitOfWork, ids: Sequence[int], comment: str, who: Principal, zone: tzinfo) -> int:
    """The leader signs summaries of a month together, with a comment; returns how many."""
    window = platform.require_signing(uow, who)
    query = select(QcMonth).where(QcMonth.id.in_(list(ids))).order_by(QcMonth.id).with_for_update()
    rows = list(uow.s.execute(query).scalars())
    if not rows or len(rows) != len(set(ids)):
        raise UserError("not_found", "请先勾选要签名的月总结。")
    signed = [r for r in rows if r.signed_at is not None]
    if signed:
        raise UserError(
            "conflict",
            say("其中 {n} 份月总结已由 {signed_name} 签名，不能重复签名。请刷新后再试。", n=len(signed), signed_name=signed[0].signed_name),
        )
    early = next((r for r in rows if not over(r.month, zone, uow.now)), None)
    if early is not None:
        raise UserError("conflict", say("{month} 还没有结束，结束后才能签名；现在只能查看。", month=f"{early.month:%Y-%m}"))
    for row in rows:
        row.comment = comment.strip()[:500]
        row.signed_by, row.signed_name, row.signed_at = who.user_id, who.name, uow.now
    uow.audit("qc_month", ",".join(str(r.id) for r in rows), "sign", after={"comment": comment.strip()[:500], "window": window})
    return len(rows)


_UNSIGNED = text("""
SELECT a.section_id, count(*) AS n FROM qc_month m JOIN qc_plan p ON p.tenant_id = m.tenant_id AND p.id = m.plan_id
JOIN analyzer a ON a.tenant_id = p.tenant_id AND a.id = p.analyzer_id
WHERE m.tenant_id = :t AND m.signed_at IS NULL AND m.month < :month GROUP BY a.section_id ORDER BY a.section_id
""")


def unsigned(uow: UnitOfWork, before: date) -> dict[int, int]:
    """Section → how many summaries of months before this one are not signed."""
    rows = uow.s.execute(_UNSIGNED, {"t": uow.tenant_id, "month": before.replace(day=1)})
    return {r.section_id: r.n for r in rows}
