"""Repeats inside a minimum interval (M03 R4): the HIS and the reception are told with the last result; what became of them is counted.

The interval is the hospital's own (setting ``orders``/``min_interval_h``: hours by code of the order set); without one nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.orders import queries
from cloud.modules.orders.models import OrderItem

CHINA = ZoneInfo("Asia/Shanghai")
# Told values only, and none that is sensitive: the sentence goes to other systems.
_SQL = """
SELECT i.order_set_id, i.id, o.ordered_at, coalesce((
  SELECT string_agg(rtrim(m.name || ' ' || v.reported_text || ' ' || v.unit), '、' ORDER BY m.print_order, m.id)
  FROM test t JOIN test_item m ON m.tenant_id = t.tenant_id AND m.id = t.item_id AND NOT m.sensitive
  JOIN result_version v ON v.tenant_id = t.tenant_id AND v.id = t.current_id
  WHERE t.tenant_id = i.tenant_id AND t.order_item_id = i.id AND t.state IN ('released', 'amended')), '') AS told
FROM order_item i JOIN lab_order o ON o.tenant_id = i.tenant_id AND o.id = i.order_id
WHERE i.tenant_id = :t AND
"""
_EARLIER = text(
    _SQL + "o.patient_id = ANY(:people) AND i.order_set_id = ANY(:sets) AND i.id <> ALL(:new) AND o.ordered_at > :since "
    "AND i.status NOT IN ('cancelled', 'refunded', 'expired') ORDER BY o.ordered_at DESC, i.id DESC"
)
_ONE = text(_SQL + "i.id = :id")


@dataclass(frozen=True, slots=True)
class Earlier:
    """The request that came before, within the interval."""

    item_id: int
    ordered_at: datetime
    told: str
    hours: float

    @property
    def text(self) -> str:
        """As the HIS and the reception read it."""
        days = self.hours / 24
        span = f"{days:g} 天" if days >= 1 else f"{self.hours:g} 小时"
        result = f"，结果 {self.told[:80]}" if self.told else "，尚无结果"
        return f"{span}内重复申请：{self.ordered_at.astimezone(CHINA):%Y-%m-%d %H:%M} 已申请{result}"


def intervals(uow: UnitOfWork) -> Mapping[str, float]:
    """Hours by order set's code, those that are set."""
    found = md.catalog(uow).setting("orders", "min_interval_h", {})
    return {code: float(hours) for code, hours in found.items() if float(hours) > 0}


def earlier(uow: UnitOfWork, patient_id: int, rows: Iterable[OrderItem]) -> dict[int, Earlier]:
    """New item → the newest request of the same set inside its interval; two statements, none where no interval is set."""
    hours = intervals(uow)
    if not hours:
        return {}
    known, new = md.catalog(uow), list(rows)
    sets_of = {r.id: r.order_set_id for r in new if r.order_set_id is not None}
    asked = {item_id: hours.get(known.order_sets[set_id].code, 0.0) for item_id, set_id in sets_of.items()}
    limited = {item_id: set_id for item_id, set_id in sets_of.items() if asked[item_id]}
    if not limited:
        return {}
    since = uow.now - timedelta(hours=max(asked.values()))
    people, sets = queries.person_ids(uow, patient_id), list(set(limited.values()))
    values = {"t": uow.tenant_id, "people": people, "sets": sets, "new": [r.id for r in new], "since": since}
    out: dict[int, Earlier] = {}
    for set_id, item_id, at, told in uow.s.execute(_EARLIER, values):
        for new_id, wanted in limited.items():
            if wanted == set_id and new_id not in out and uow.now - at < timedelta(hours=asked[new_id]):
                out[new_id] = Earlier(item_id, at, told, asked[new_id])
    return out


def told(uow: UnitOfWork, item_id: int) -> str:
    """What the reception reads on the page of a request that came inside the interval of an earlier one; "" for any other."""
    row = uow.s.get(OrderItem, (uow.tenant_id, item_id))
    if row is None or row.twin_id is None or row.order_set_id is None:
        return ""
    values = {"t": uow.tenant_id, "id": row.twin_id}
    before = uow.s.execute(_ONE, values).one()
    hours = intervals(uow).get(md.catalog(uow).order_sets[row.order_set_id].code, 0.0)
    return Earlier(row.twin_id, before.ordered_at, before.told, hours).text
