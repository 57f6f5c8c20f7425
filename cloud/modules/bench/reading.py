"""A result text read by the catalog of this moment: value, flag, critical mark, and what the reading used (C8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from cloud.modules.bench.facts import Tube
from cloud.modules.bench.rules import Critical, Hold, Limits, judge
from cloud.modules.catalog import queries as md
from common import values


@dataclass(frozen=True, slots=True)
class Reading:
    """One result as the laboratory says it."""

    name: str
    raw_text: str
    comparator: str
    value: Decimal | None
    reported_text: str
    unit: str
    flag: str
    critical: bool
    ref_text: str
    limit_text: str = ""
    missing: bool = False
    holds: tuple[Hold, ...] = ()
    snapshot: dict[str, Any] = field(default_factory=dict)


class Reader:
    """Reads results by one catalog; what it decided for a tube's item it keeps, for a CBC asks the same person 25 times."""

    def __init__(self, catalog: md.Catalog, now: datetime) -> None:
        self.catalog = catalog
        self._now = now
        self._ages: dict[int, md.Age | None] = {}

    def mandatory(self, item_id: int) -> bool:
        """Whether a report without this item must not leave."""
        return self.catalog.items[item_id].mandatory

    def age(self, tube: Tube) -> md.Age | None:
        """The patient's age when the tube was drawn (at receipt, or now, where nobody recorded the drawing)."""
        if tube.specimen_id not in self._ages:
            at = tube.collected_at or tube.received_at or self._now
            self._ages[tube.specimen_id] = md.subject_age(tube.birth, tube.age_text, at)
        return self._ages[tube.specimen_id]

    def read(
        self, item_id: int, analyzer_id: int | None, raw_text: str, tube: Tube, factor: Decimal = Decimal(1), offset: Decimal = Decimal(0)
    ) -> Reading:
        """The reading of one text for one item of one tube: mapped, rounded, then judged on what will be printed (C3)."""
        item = self.catalog.items[item_id]
        value = values.reported(values.scaled(values.parse(raw_text, item.result_type), factor, offset), item.decimals, item.rounding)
        subject = md.Subject(self.age(tube), tube.sex, tube.specimen_type_id, analyzer_id, item.method or None)
        interval = self.catalog.interval(item_id, subject)
        limit = self.catalog.critical_limit(item_id, tube.dept or None)
        found = judge(
            value,
            item.result_type == "numeric",
            Limits(interval.low, interval.high, interval.text) if isinstance(interval, md.Interval) else None,
            None if limit is None else Limits(limit.low, limit.high),
        )
        return Reading(
            name=item.name,
            raw_text=raw_text,
            comparator=value.comparator,
            value=value.number,
            reported_text=value.text,
            unit=item.unit,
            flag=found.flag.value,
            critical=found.critical in (Critical.LOW, Critical.HIGH),
            ref_text=interval.shown if isinstance(interval, md.Interval) else md.NO_INTERVAL_TEXT,
            limit_text=_limits(limit),
            missing=value.missing,
            holds=found.holds,
            snapshot=self._used(item, interval, limit, factor, offset),
        )

    def _used(
        self, item: md.ItemRow, interval: md.Interval | md.NoInterval, limit: md.CriticalRow | None, factor: Decimal, offset: Decimal
    ) -> dict[str, Any]:
        out: dict[str, Any] = {"catalog": self.catalog.number, "decimals": item.decimals, "rounding": item.rounding, "method": item.method}
        if isinstance(interval, md.Interval):
            out["interval"] = [interval.id, interval.low, interval.high]
            if interval.placeholder:
                out["placeholder"] = True
        if limit is not None:
            out["critical"] = [limit.id, limit.low, limit.high]
        if factor != 1 or offset != 0:
            out["map"] = [factor, offset]
        return out


def _limits(limit: md.CriticalRow | None) -> str:
    if limit is None:
        return ""
    parts = [f"<{limit.low:f}" if limit.low is not None else "", f">{limit.high:f}" if limit.high is not None else ""]
    return " 或 ".join(part for part in parts if part)
