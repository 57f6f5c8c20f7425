"""Posting an inpatient's charge (M03 R2): once an item, at collection or at receipt as the hospital chose, whatever happens to the tube;
and taking it back, once, when the item is cancelled or refunded after all (``order.credit``).

``setting("orders", "charge_at")``: received (the default) or collected. The event ``order.charge`` is what a charging system is told by.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.orders.line import Line
from cloud.modules.orders.rules import ItemStatus

_POST = text("""
UPDATE order_item i SET charged_at = :now FROM lab_order o JOIN visit v ON v.tenant_id = o.tenant_id AND v.id = o.visit_id
WHERE i.tenant_id = :t AND i.id = ANY(:ids) AND o.tenant_id = i.tenant_id AND o.id = i.order_id AND v.kind = 'inpatient'
  AND i.charged_at IS NULL AND i.charge_state = 'unpaid' AND i.settled = ''
RETURNING i.id, i.order_item_no, CASE WHEN i.source = 'lab' THEN o.source ELSE i.source END AS source, i.specimen_id
""")
# What the laboratory added itself is charged by the system that the request came from.
_CREDIT = text("""
UPDATE order_item i SET credited_at = :now FROM lab_order o
WHERE i.tenant_id = :t AND i.id = :i AND o.tenant_id = i.tenant_id AND o.id = i.order_id
  AND i.charged_at IS NOT NULL AND i.credited_at IS NULL
RETURNING i.id, i.order_item_no, CASE WHEN i.source = 'lab' THEN o.source ELSE i.source END AS source, i.specimen_id
""")


def post(uow: UnitOfWork, lines: Iterable[Line], reached: Collection[ItemStatus]) -> None:
    """Charge those items that have reached the step at which this hospital charges; a second time, and for paid ones, nothing happens."""
    ids = [each.id for each in lines if each.owed]
    if not ids or ItemStatus(md.catalog(uow).setting("orders", "charge_at", "received")) not in reached:
        return
    for row in uow.s.execute(_POST, {"t": uow.tenant_id, "ids": ids, "now": uow.now}).all():
        uow.audit("order_item", row.id, "charged", after={"charged_at": uow.now.isoformat()})
        payload = {"order_item_id": row.id, "order_item_no": row.order_item_no, "source": row.source, "specimen_id": row.specimen_id}
        uow.emit("order.charge", f"order_item:{row.id}", payload | {"at": uow.now.isoformat()})


def credit(uow: UnitOfWork, item_id: int, reason: str) -> None:
    """Take back the charge of an item that ended; one that was never charged, or is credited already, stays as it is."""
    row = uow.s.execute(_CREDIT, {"t": uow.tenant_id, "i": item_id, "now": uow.now}).one_or_none()
    if row is None:
        return
    uow.audit("order_item", row.id, "credited", after={"credited_at": uow.now.isoformat()}, reason=reason or None)
    payload = {"order_item_id": row.id, "order_item_no": row.order_item_no, "source": row.source, "specimen_id": row.specimen_id}
    uow.emit("order.credit", f"order_item:{row.id}", payload | {"at": uow.now.isoformat(), "reason": reason})
