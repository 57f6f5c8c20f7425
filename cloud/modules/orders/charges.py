"""Posting an inpatient's charge (M03 R2): once an item, at collection or at receipt as the hospital chose, whatever happens to the tube.

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
  AND i.charged_at IS NULL AND i.charge_state = 'unpaid'
RETURNING i.id, i.order_item_no, i.source, i.specimen_id
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
