"""口头申请 (M03 R5): taken down with caller and read-back, confirmed in writing within a day; and the alerts of requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places as md_places
from cloud.modules.orders import manual, places, rules, uncharged
from cloud.modules.orders.messages import Registration
from cloud.modules.orders.models import VerbalOrder
from cloud.modules.orders.place import Placed
from cloud.modules.orders.rules import Perm
from cloud.modules.platform import alerts
from cloud.web.faults import Conflict, Invalid, NotFound, Stale
from common.say import say

PAGE = 200
_WAITING = text(f"""
SELECT w.id, w.version, w.caller, w.phone, w.taken_by, w.taken_at, w.deadline, o.doctor, o.dept, p.name, p.patient_no,
  (SELECT string_agg(coalesce(nullif(i.his_name, ''), i.his_code), '、' ORDER BY i.id) FROM order_item i
    WHERE i.tenant_id = o.tenant_id AND i.order_id = o.id) AS names, v.ward,
  (SELECT array_agg(DISTINCT z.section_id) FROM order_item i JOIN order_set z ON z.tenant_id = i.tenant_id AND z.id = i.order_set_id
    WHERE i.tenant_id = o.tenant_id AND i.order_id = o.id) AS sections
FROM verbal_order w JOIN lab_order o ON o.tenant_id = w.tenant_id AND o.id = w.order_id
JOIN patient p ON p.tenant_id = o.tenant_id AND p.id = o.patient_id
LEFT JOIN visit v ON v.tenant_id = o.tenant_id AND v.id = o.visit_id
WHERE w.tenant_id = :t AND w.confirmed_at IS NULL
  AND (:everywhere OR EXISTS (SELECT 1 FROM order_item i WHERE i.tenant_id = o.tenant_id AND i.order_id = o.id AND {places.ITEM}))
ORDER BY w.deadline LIMIT :n
""")
_REFUNDS = text("SELECT count(*) FROM refund_request WHERE tenant_id = :t AND state = 'waiting' AND requested_at < :before")
# The same as the filters ``never`` and ``lapsed`` of the list, which these counts open.
_NEVER = text("""
SELECT count(*) FROM order_item i JOIN lab_order o ON o.tenant_id = i.tenant_id AND o.id = i.order_id
WHERE i.tenant_id = :t AND i.status IN ('requested', 'confirmed') AND i.charge_state = 'paid' AND o.ordered_at <= :before
  AND (o.planned_at IS NULL OR o.planned_at <= :before)
""")
_LAPSED = text("""
SELECT count(*) FROM order_item WHERE tenant_id = :t AND status = 'expired' AND charge_state = 'paid' AND status_at >= :since
""")
_HELD = text("SELECT count(*) FROM order_item WHERE tenant_id = :t AND hold <> '' AND status IN ('requested', 'confirmed', 'rejected')")


def take(uow: UnitOfWork, form: Registration, caller: str, phone: str, read_back: bool) -> Placed:
    """Register a request told by phone. Raises Invalid naming the field; the same form twice registers once (C6)."""
    problem = rules.verbal_problem(caller, form.doctor, read_back)
    if problem is not None:
        raise Invalid(problem[1], problem[0])
    placed = manual.register(uow, form)
    if placed.created:
        for order_id in placed.order_ids:
            row = VerbalOrder(order_id=order_id, caller=caller.strip()[:60], phone=phone.strip()[:30], taken_by=uow.actor.name)
            row.taken_at, row.deadline = uow.now, uow.now + rules.VERBAL_LIMIT
            uow.s.add(row)
            uow.s.flush()
            uow.audit("verbal_order", row.id, "taken", after={"order_id": order_id, "caller": row.caller, "read_back": True})
    return placed


def confirm(uow: UnitOfWork, verbal_id: int, version: int, written: str) -> None:
    """The written request came: its number, or who signed it. Raises NotFound, Conflict, Stale, Invalid."""
    row = uow.s.get(VerbalOrder, (uow.tenant_id, verbal_id), with_for_update=True)
    if row is None:
        raise NotFound("这条口头申请")
    if row.confirmed_at is not None:
        raise Conflict(say("这条口头申请已由 {who} 确认，请刷新。", who=row.confirmed_by))
    if row.version != version:
        raise Stale
    if not written.strip():
        raise Invalid(say("请填写补开的申请单号，或签字医生和时间。"), "written")
    row.confirmed_at, row.confirmed_by, row.written = uow.now, uow.actor.name, written.strip()[:200]
    uow.audit("verbal_order", row.id, "confirmed", after={"written": row.written})
    alerts.clear(uow, "orders.verbal", str(row.id))


def waiting(uow: UnitOfWork, limit: int = PAGE) -> Sequence[Any]:
    """Verbal requests without their written one, the most urgent first."""
    return uow.s.execute(_WAITING, {"t": uow.tenant_id, "n": limit, **places.binds(uow)}).all()


def held_count(uow: UnitOfWork) -> int:
    """Items that were held because they do not fit the patient."""
    return int(uow.s.execute(_HELD, {"t": uow.tenant_id}).scalar_one())


def look(uow: UnitOfWork) -> None:
    """Every 15 minutes: verbal requests past their limit, refunds that wait, paid requests nobody collected or that ran out."""
    words = "%(name)s 的口头申请（%(caller)s，%(names)s）超过 24 小时没有补开申请单"
    late = [row for row in waiting(uow) if row.deadline <= uow.now]
    alerts.sync(
        uow,
        "orders.verbal",
        [
            alerts.Alert(
                "orders.verbal", str(r.id), alerts.Level.WARNING, words, "/orders/verbal", Perm.READ,
                {"name": r.name, "caller": r.caller, "names": r.names},
                at=tuple(w for w in (r.ward, r.dept, *(c for s in r.sections or () for c in md_places.code(uow, s))) if w),
            )
            for r in late
        ],
    )  # fmt: skip
    refunds = uow.s.execute(_REFUNDS, {"t": uow.tenant_id, "before": uow.now - rules.REFUND_LATE}).scalar_one()
    _count(uow, "orders.refund", refunds, "%(n)s 个退费申请等待超过 30 分钟", "/orders/refund-requests", Perm.REFUND)
    never = uow.s.execute(_NEVER, {"t": uow.tenant_id, "before": uow.now - rules.NEVER_COLLECTED}).scalar_one()
    _count(uow, "orders.never", never, "%(n)s 个已收费项目超过 48 小时没有采集", "/orders?never=1", Perm.READ)
    lapsed = uow.s.execute(_LAPSED, {"t": uow.tenant_id, "since": uow.now - rules.LAPSED_TOLD}).scalar_one()
    words = "%(n)s 个已收费项目过期未采集，请联系患者采集或退费"
    _count(uow, "orders.lapsed", lapsed, words, "/orders?lapsed=1", Perm.REFUND)
    _count(uow, "orders.uncharged", uncharged.old_count(uow), "%(n)s 个已检验项目超过 24 小时没有收费", "/orders/uncharged", Perm.REFUND)
    _count(
        uow, "orders.held", held_count(uow), "%(n)s 个申请与患者性别或年龄不符，已挂起，请与开单医生核实", "/orders?held=1", Perm.REGISTER
    )


def _count(uow: UnitOfWork, kind: str, n: int, words: str, url: str, who: Perm) -> None:
    found = [alerts.Alert(kind, "all", alerts.Level.WARNING, words, url, who, {"n": n})] if n else []
    alerts.sync(uow, kind, found)
