"""Break-glass (M01 R8): what is not one's own to see is seen with a stated reason, for four hours, and somebody else hears of it.

The reviewer (quality, director) is told at once, finds every look in one list, and says of each whether it was fit; nobody reviews the
own look. What waits longer than a month is an alert.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts, glass_rules
from cloud.modules.platform.glass_rules import Glass as Glass
from cloud.modules.platform.glass_rules import Verdict
from cloud.modules.platform.models import BreakGlass
from cloud.modules.platform.rules import Level
from cloud.modules.platform.rules import Perm as Perm
from cloud.web.faults import Conflict, Invalid, NotFound
from cloud.web.principal import Principal
from common.say import say

PAGE = 100


def open_reason(uow: UnitOfWork, user_id: int, patient_id: int, kind: Glass) -> str | None:
    """The reason under which this person may look now, or None."""
    query = select(BreakGlass.reason).where(
        BreakGlass.user_id == user_id, BreakGlass.patient_id == patient_id, BreakGlass.kind == kind, BreakGlass.until > uow.now
    )
    return uow.s.execute(query.order_by(BreakGlass.id.desc()).limit(1)).scalar()


def may_see_sensitive(uow: UnitOfWork, who: Principal, patient_id: int) -> bool:
    """Whether sensitive items of this patient are open to a person: by role, or by a stated reason."""
    return who.may(Perm.SENSITIVE) or open_reason(uow, who.user_id, patient_id, Glass.SENSITIVE) is not None


def shut_patients(uow: UnitOfWork, who: Principal, patient_ids: Collection[int]) -> set[int]:
    """Of these patients, those whose sensitive items are shut to a person; costs nothing for who may see them."""
    if not patient_ids or who.may(Perm.SENSITIVE):
        return set()
    query = select(BreakGlass.patient_id).where(
        BreakGlass.user_id == who.user_id,
        BreakGlass.kind == Glass.SENSITIVE,
        BreakGlass.until > uow.now,
        BreakGlass.patient_id.in_(set(patient_ids)),
    )
    return set(patient_ids) - set(uow.s.execute(query).scalars())


def break_glass(uow: UnitOfWork, who: Principal, patient_id: int, kind: Glass, reason: str) -> None:
    """Look all the same, saying why; the caller has made sure that the patient is there."""
    problem = glass_rules.reason_problem(reason)
    if problem is not None:
        raise Invalid(problem, "reason")
    if open_reason(uow, who.user_id, patient_id, kind) is not None:
        return
    said = reason.strip()[:500]
    row = BreakGlass(
        user_id=who.user_id, patient_id=patient_id, kind=kind.value, reason=said, at=uow.now, until=uow.now + glass_rules.BREAK_GLASS
    )
    uow.s.add(row)
    uow.s.flush()
    uow.audit("patient", patient_id, "break_glass", after={"kind": kind.value, "until": row.until.isoformat()}, reason=said)
    words = {
        Glass.PATIENT: "%(who)s 查看了非本病区的患者，原因：%(reason)s",
        Glass.SENSITIVE: "%(who)s 查看了敏感项目的结果，原因：%(reason)s",
    }[kind]
    fields = {"who": who.name, "reason": said}
    alerts.raise_alert(
        uow,
        alerts.Alert("platform.break_glass", f"look:{row.id}", Level.WARNING, words, "/admin/breaks", Perm.BREAKS, fields, once=True),
    )


def review(uow: UnitOfWork, look_id: int, verdict: str, note: str) -> BreakGlass:
    """Another person says whether a look was fit; an unfit one needs words."""
    row = uow.s.execute(select(BreakGlass).where(BreakGlass.id == look_id).with_for_update()).scalar_one_or_none()
    if row is None:
        raise NotFound("这次查看")
    if row.reviewed_at is not None:
        raise Conflict(say("这次查看已经复核过了，请刷新页面。"))
    if row.user_id == uow.actor.user_id:
        raise Conflict(say("不能复核自己的查看，请由另一位负责人复核。"))
    if verdict not in tuple(Verdict):
        raise Invalid(say("请选择合理或不合理。"), "verdict")
    if verdict == Verdict.UNFIT and not note.strip():
        raise Invalid(say("认为不合理时请写明理由和处理。"), "note")
    row.reviewed_at, row.reviewed_by, row.verdict, row.note = uow.now, uow.actor.user_id, verdict, note.strip()[:500]
    uow.audit("break_glass", row.id, "review", after={"verdict": verdict}, reason=row.note or None)
    alerts.clear(uow, "platform.break_glass", f"look:{row.id}")
    return row


@dataclass(frozen=True, slots=True)
class Look:
    """A look as the list shows it."""

    id: int
    kind: Glass
    user_id: int
    who: str
    employee_no: str
    dept: str
    patient: str
    patient_no: str
    reason: str
    at: datetime
    until: datetime
    reviewed_at: datetime | None
    reviewer: str | None
    verdict: str
    note: str
    reads: int
    """Pages of this patient the person opened in that time."""


# Name and number of the patient as the orders module keeps them.
_LOOKS = text("""
SELECT b.id, b.kind, b.user_id, u.name, u.employee_no, u.dept, p.name, p.patient_no, b.reason, b.at, b.until, b.reviewed_at, r.name,
  b.verdict, b.note,
  (SELECT count(*) FROM access_log a WHERE a.tenant_id = b.tenant_id AND a.patient_id = b.patient_id AND a.user_id = b.user_id
     AND a.at >= b.at AND a.at < b.until) AS reads
FROM break_glass b
JOIN app_user u ON u.tenant_id = b.tenant_id AND u.id = b.user_id
JOIN patient p ON p.tenant_id = b.tenant_id AND p.id = b.patient_id
LEFT JOIN app_user r ON r.tenant_id = b.tenant_id AND r.id = b.reviewed_by
WHERE b.tenant_id = :t AND (:all OR b.reviewed_at IS NULL) AND b.id < :before ORDER BY b.id DESC LIMIT :n
""")


def looks(uow: UnitOfWork, *, every: bool = False, before: int | None = None, limit: int = PAGE) -> Sequence[Look]:
    """Looks that wait for review, or all; newest first."""
    rows = uow.s.execute(_LOOKS, {"t": uow.tenant_id, "all": every, "before": before or 2**62, "n": limit})
    return [Look(r[0], Glass(r[1]), *r[2:]) for r in rows]


def overdue(uow: UnitOfWork) -> None:
    """Calendar job, 08:00: looks nobody reviewed within a month."""
    query = select(func.count()).where(BreakGlass.reviewed_at.is_(None), BreakGlass.at < uow.now - glass_rules.REVIEW_WITHIN)
    n = uow.s.execute(query).scalar_one()
    words = "%(n)s 次破例查看超过一个月没有复核"
    found = [alerts.Alert("platform.breaks_due", "all", Level.WARNING, words, "/admin/breaks", Perm.BREAKS, {"n": n})] if n else []
    alerts.sync(uow, "platform.breaks_due", found)
