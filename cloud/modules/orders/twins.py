"""Repeats inside a minimum interval (M03 R4): the HIS and the reception are told with the last result; what became of them is counted.

The interval is the hospital's own (setting ``orders``/``min_interval_h``: hours by code of the order set); without one nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.orders.models import OrderItem

K = TypeVar("K")
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
        # Without an interval (the hospital has taken it away since) the repeat is still one.
        span = f"{days:g} 天内" if days >= 1 else f"{self.hours:g} 小时内" if self.hours else ""
        result = f"，结果 {self.told[:80]}" if self.told else "，尚无结果"
        return f"{span}重复申请：{self.ordered_at.astimezone(CHINA):%Y-%m-%d %H:%M} 已申请{result}"


def hours_by_set(uow: UnitOfWork) -> Mapping[int, float]:
    """Minimum interval in hours by order set, those that have one."""
    known = md.catalog(uow)
    found = {code: float(hours) for code, hours in known.setting("orders", "min_interval_h", {}).items()}
    return {known.order_sets_by_code[code].id: h for code, h in found.items() if h > 0 and code in known.order_sets_by_code}


def earlier(uow: UnitOfWork, people: Sequence[int], wanted: Mapping[K, int], new: Sequence[int] = ()) -> dict[K, Earlier]:
    """Of what is asked (key → order set) the newest request of the same set inside its interval, none of ``new``; two statements, none
    where no interval is set."""
    hours = hours_by_set(uow)
    limited = {key: set_id for key, set_id in wanted.items() if set_id in hours}
    if not limited:
        return {}
    since = uow.now - timedelta(hours=max(hours[s] for s in limited.values()))
    values = {"t": uow.tenant_id, "people": list(people), "sets": sorted(set(limited.values())), "new": list(new), "since": since}
    out: dict[K, Earlier] = {}
    for set_id, item_id, at, told in uow.s.execute(_EARLIER, values):
        for key, asked in limited.items():
            if asked == set_id and key not in out and uow.now - at < timedelta(hours=hours[set_id]):
                out[key] = Earlier(item_id, at, told, hours[set_id])
    return out


def told(uow: UnitOfWork, item_id: int) -> str:
    """What the reception reads on the page of a request that came inside the interval of an earlier one; "" for any other."""
    row = uow.s.get(OrderItem, (uow.tenant_id, item_id))
    if row is None or row.twin_id is None or row.order_set_id is None:
        return ""
    values = {"t": uow.tenant_id, "id": row.twin_id}
    before = uow.s.execute(_ONE, values).one()
    hours = hours_by_set(uow).get(row.order_set_id, 0.0)
    return Earlier(row.twin_id, before.ordered_at, before.told, hours).text
