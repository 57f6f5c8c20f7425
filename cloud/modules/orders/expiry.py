"""过期: a request that nobody collected runs out (M03 ``expired``), and comes back when the patient comes after all."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.orders import rules
from cloud.modules.orders.messages import Charge, Priority, VisitType
from cloud.modules.orders.models import LabOrder, OrderItem, Visit
from cloud.modules.orders.place import move
from cloud.modules.orders.rules import TRANSITIONS, ItemStatus
from cloud.web.faults import Conflict, Invalid, NotFound, Stale
from common.say import say

AT_ONCE = 500
"""One night's transaction; what is left over runs out the night after."""
_OLD = text("""
SELECT i.id, i.status, o.ordered_at, o.planned_at FROM order_item i JOIN lab_order o ON o.tenant_id = i.tenant_id AND o.id = i.order_id
WHERE i.tenant_id = :t AND i.status = ANY(:states) AND o.ordered_at <= :before AND (o.planned_at IS NULL OR o.planned_at <= :before)
ORDER BY i.id LIMIT :n FOR UPDATE OF i SKIP LOCKED
""")


def days(uow: UnitOfWork) -> int:
    """How long a request may wait to be collected: a day at least, or one wrong figure would end all of today's."""
    return max(1, int(md.catalog(uow).setting("orders", "expire_days", rules.EXPIRE_DAYS)))


def expire(uow: UnitOfWork) -> int:
    """Job, each midnight: requests nobody collected in time; each with its entry, its event and, by that, the end of its label."""
    allowed = days(uow)
    states = [s.value for s in ItemStatus if ItemStatus.EXPIRED in TRANSITIONS[s]]
    values = {"t": uow.tenant_id, "states": states, "before": uow.now - timedelta(days=allowed), "n": AT_ONCE}
    old = [r.id for r in uow.s.execute(_OLD, values) if rules.expired(ItemStatus(r.status), r.ordered_at, r.planned_at, allowed, uow.now)]
    query = select(OrderItem).where(OrderItem.id.in_(old)).order_by(OrderItem.id).execution_options(populate_existing=True)
    for item in uow.s.scalars(query):
        move(uow, item, ItemStatus.EXPIRED, say("{n} 天没有采集", n=allowed))
    return len(old)


def revive(uow: UnitOfWork, item_id: int, version: int, reason: str) -> None:
    """The patient came after all: the request waits for its label again. Raises NotFound, Stale, Conflict, Invalid."""
    row = uow.s.get(OrderItem, (uow.tenant_id, item_id), with_for_update=True)
    if row is None:
        raise NotFound("这个申请项目")
    if row.version != version:
        raise Stale
    if ItemStatus(row.status) is not ItemStatus.EXPIRED:
        raise Conflict(say("这个项目现在没有过期，请刷新。"))
    if Charge(row.charge_state) is Charge.REFUNDED:
        raise Conflict(say("这个项目过期后已退费，请医生重新开单。"))
    if not reason.strip():
        raise Invalid(say("请写明为什么恢复，例如患者已到采血窗口。"), "reason")
    order = uow.s.get_one(LabOrder, (uow.tenant_id, row.order_id))
    visit = None if order.visit_id is None else uow.s.get(Visit, (uow.tenant_id, order.visit_id))
    kind = None if visit is None else VisitType(visit.kind)
    # From now on it waits as long again: the date it is planned for is what it runs out by.
    before, order.planned_at = order.planned_at, max(uow.now, order.planned_at or uow.now)
    planned = {"planned_at": order.planned_at.isoformat()}
    uow.audit("lab_order", order.id, "changed", {"planned_at": None if before is None else before.isoformat()}, planned)
    row.specimen_id = None  # the label it had is void
    move(uow, row, rules.first_status(Charge(row.charge_state), kind, Priority(order.priority)), reason.strip()[:200])
