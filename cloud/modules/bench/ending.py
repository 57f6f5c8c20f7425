"""What nobody asks for any more ends: open tests of a cancelled or refunded request and of a tube that is gone. What was told stays."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import rules
from cloud.modules.bench.opening import open_tube, save, settled, to
from cloud.modules.bench.record import Work
from cloud.modules.bench.rules import TestState
from cloud.modules.orders import queries as orders

_ANY = text("SELECT EXISTS (SELECT 1 FROM test WHERE tenant_id = :t AND specimen_id = :s)")
# Two requests may ask for one item: its test belongs to the one that still stands.
_HAND_ON = text("""
UPDATE test SET order_item_id = a.order_item_id FROM (
  SELECT DISTINCT ON (m.item_id) m.item_id, oi.id AS order_item_id FROM order_item oi
  JOIN order_set_item m ON m.tenant_id = oi.tenant_id AND m.order_set_id = oi.order_set_id
  WHERE oi.tenant_id = :t AND oi.specimen_id = :s AND oi.status <> ALL(:ended) ORDER BY m.item_id, oi.id) a
WHERE test.tenant_id = :t AND test.specimen_id = :s AND test.item_id = a.item_id AND EXISTS (
  SELECT 1 FROM order_item gone WHERE gone.tenant_id = :t AND gone.id = test.order_item_id AND gone.status = ANY(:ended))
""")
# All tests once no request of the tube stands; else those whose own does not.
_UNASKED = text("""
SELECT t.id FROM test t LEFT JOIN order_item oi ON oi.tenant_id = t.tenant_id AND oi.id = t.order_item_id
WHERE t.tenant_id = :t AND t.specimen_id = :s AND (oi.status = ANY(:ended) OR NOT EXISTS (
  SELECT 1 FROM order_item o WHERE o.tenant_id = :t AND o.specimen_id = :s AND o.status <> ALL(:ended)))
""")


def on_withdrawn(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``specimen.rejected``, ``cancelled`` or ``lost``: nobody waits for its untold tests any more.

    What was measured from a tube that got lost afterwards (``again`` false) is still told.
    """
    if not payload.get("again", True) or not _at_bench(uow, payload["specimen_id"]):
        return
    work, _ = open_tube(uow, payload["specimen_id"])
    _end(work, {test.id for test in work.tests.values()}, str(payload.get("reason") or ""))


def on_item_status(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``order.item_status``: a request that was cancelled or refunded takes its untold tests along, measured or not (M03 R3)."""
    specimen_id = payload.get("specimen_id")
    if payload.get("status") not in orders.ENDED or specimen_id is None or not _at_bench(uow, specimen_id):
        return
    work, _ = open_tube(uow, specimen_id)
    given = {"t": uow.tenant_id, "s": specimen_id, "ended": list(orders.ENDED)}
    uow.s.execute(_HAND_ON, given)
    _end(work, set(uow.s.scalars(_UNASKED, given)), str(payload.get("reason") or ""))


def _at_bench(uow: UnitOfWork, specimen_id: int) -> bool:
    """Whether the bench has the tube at all: a label that is void never came here."""
    return bool(uow.s.scalar(_ANY, {"t": uow.tenant_id, "s": specimen_id}))


def _end(work: Work, test_ids: Collection[int], reason: str) -> None:
    """Cancel what of these is open. Where something stood reviewed, what is left of the tube is looked at once more."""
    ended = [t for t in work.tests.values() if t.id in test_ids and rules.may_end(TestState(t.state))]
    if not ended:
        return
    reviewed = [t for t in work.tests.values() if t.state == TestState.REVIEWED]
    for test in reviewed:
        to(test, TestState.RECEIVED)
    for test in ended:
        to(test, TestState.CANCELLED)
    gone = {t.id for t in ended}
    for follow in (f for found in work.follow.values() for f in found if f.test_id in gone and f.open):
        follow.settle(work.uow, "cancelled", reason or "申请已取消")
    tube = work.tubes[ended[0].specimen_id]
    work.uow.emit("result.withdrawn", tube.barcode, {"specimen_id": tube.specimen_id, "reviewed": bool(reviewed), "reason": reason})
    settled(work, tube.specimen_id)
    save(work, "cancel", {"items": [work.catalog.items[t.item_id].name for t in ended]}, reason=reason or None)
