"""Order items as they move along their path: locked in one statement, written back in one, however many there are.

The modules that own tube and result move all items of a tube together; an ORM row each would cost a statement each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm.util import identity_key

from cloud.db.session import UnitOfWork
from cloud.modules.orders.models import OrderItem


@dataclass(slots=True)
class Line:
    """An item's place on its path; ``before`` is what was read."""

    id: int
    order_id: int
    source: str
    order_item_no: str
    his_code: str
    his_name: str
    status: str
    specimen_id: int | None
    status_at: datetime | None
    owed: bool
    """Its charge was neither paid nor posted, nor settled by hand or waived: that is charged by nobody once more."""
    before: tuple[Any, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.before = self._place()

    def _place(self) -> tuple[Any, ...]:
        return self.status, self.specimen_id, self.status_at

    @property
    def moved(self) -> bool:
        """Whether there is anything to write."""
        return self._place() != self.before


_COLUMNS = (
    "SELECT id, order_id, source, order_item_no, his_code, his_name, status, specimen_id, status_at, "
    "charge_state = 'unpaid' AND charged_at IS NULL AND settled = '' FROM order_item"
)
# Ids in one order, so that two callers never wait for each other.
_LOCK = text(f"{_COLUMNS} WHERE tenant_id = :t AND id = ANY(:ids) ORDER BY id FOR UPDATE")
_LOCK_OF_TUBE = text(f"{_COLUMNS} WHERE tenant_id = :t AND specimen_id = :s AND status = ANY(:states) ORDER BY id FOR UPDATE")
# Behind the lock that a release holds: either it left before this question, or it finds the request ended.
_TUBE = text("SELECT 1 FROM bench_tube WHERE tenant_id = :t AND specimen_id = :s FOR NO KEY UPDATE")
_TOLD = text("""
SELECT EXISTS (SELECT 1 FROM test t JOIN order_set_item m ON m.tenant_id = t.tenant_id AND m.item_id = t.item_id AND m.order_set_id = :o
               WHERE t.tenant_id = :t AND t.specimen_id = :s AND t.state IN ('released', 'amended'))
""")
_SAVE = text("""
UPDATE order_item i SET status = u.status, specimen_id = u.specimen_id, status_at = u.status_at, version = i.version + 1
FROM unnest(CAST(:ids AS bigint[]), CAST(:statuses AS text[]), CAST(:specimens AS bigint[]), CAST(:times AS timestamptz[]))
     AS u(id, status, specimen_id, status_at)
WHERE i.tenant_id = :t AND i.id = u.id
""")


def told(uow: UnitOfWork, item: OrderItem) -> bool:
    """Whether a value that an item asked for has left the laboratory; none leaves before this transaction ends."""
    given = {"t": uow.tenant_id, "s": item.specimen_id, "o": item.order_set_id}
    if item.specimen_id is None or item.order_set_id is None or uow.s.execute(_TUBE, given).first() is None:
        return False
    return bool(uow.s.scalar(_TOLD, given))


def lock(uow: UnitOfWork, item_ids: Iterable[int]) -> list[Line]:
    """These items, locked."""
    return [Line(*row) for row in uow.s.execute(_LOCK, {"t": uow.tenant_id, "ids": list(item_ids)})]


def just_placed(items: Iterable[OrderItem], item_ids: Collection[int]) -> list[Line]:
    """Items that this transaction has placed itself: nobody else has seen them, so there is nothing to lock and nothing to read."""
    return [
        Line(
            each.id, each.order_id, each.source, each.order_item_no, each.his_code, each.his_name, each.status, each.specimen_id,
            each.status_at, each.charge_state == "unpaid" and each.charged_at is None and not each.settled,
        )
        for each in items if each.id in item_ids
    ]  # fmt: skip


def lock_of_tube(uow: UnitOfWork, specimen_id: int, states: Sequence[str]) -> list[Line]:
    """A tube's items that stand in one of the states, locked."""
    return [Line(*row) for row in uow.s.execute(_LOCK_OF_TUBE, {"t": uow.tenant_id, "s": specimen_id, "states": list(states)})]


def save(uow: UnitOfWork, lines: Iterable[Line]) -> None:
    """Write back what moved; their version rises. An ORM row of one that this transaction also holds reads itself anew."""
    moved = [each for each in lines if each.moved]
    if not moved:
        return
    values = {
        "ids": [each.id for each in moved],
        "statuses": [each.status for each in moved],
        "specimens": [each.specimen_id for each in moved],
        "times": [each.status_at for each in moved],
    }
    uow.s.execute(_SAVE, {"t": uow.tenant_id, **values})
    for each in moved:
        held = uow.s.identity_map.get(identity_key(OrderItem, (uow.tenant_id, each.id)))
        if held is not None:
            uow.s.expire(held)
