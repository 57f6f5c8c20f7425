"""A result text read by the catalog of this moment: value, flag, critical mark, and what the reading used (C8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from cloud.expression import NotCalculable
from cloud.modules.bench import measure
from cloud.modules.bench.facts import Tube
from cloud.modules.bench.rules import Critical, Flag, Hold, Judged, Limits, judge, judge_critical
from cloud.modules.catalog import queries as md
from cloud.modules.critical import queries as critical
from common import values
from common.say import Listed, say
from common.values import Value

EITHER = " 或 "


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
    repeat_rule: str = "none"
    missing: bool = False
    holds: tuple[Hold, ...] = ()
    snapshot: dict[str, Any] = field(default_factory=dict)


class Reader:
    """Reads results by one catalog; what it decided for a tube's item it keeps, for a CBC asks the same person 25 times."""

    def __init__(self, catalog: md.Catalog, now: datetime) -> None:
        self.catalog = catalog
        self._now = now
        self._ages: dict[int, md.Age | None] = {}
        self._snapshots: dict[tuple[object, ...], dict[str, Any]] = {}

    def mandatory(self, item_id: int) -> bool:
        """Whether a report without this item must not leave."""
        return self.catalog.items[item_id].mandatory

    def age(self, tube: Tube) -> md.Age | None:
        """The patient's age when the tube was drawn (at receipt, or now, where nobody recorded the drawing)."""
        if tube.specimen_id not in self._ages:
            self._ages[tube.specimen_id] = md.subject_age(tube.birth, tube.age_text, self._drawn(tube))
        return self._ages[tube.specimen_id]

    def week(self, tube: Tube) -> int | None:
        """The week of pregnancy when the tube was drawn: as its request told it, else as the diagnosis names it."""
        age, told = self.age(tube), None
        if tube.pregnant_from:
            told = md.gest_week(tube.pregnant_from, self._drawn(tube).astimezone(md.HOSPITAL_ZONE).date(), tube.sex, age)
        return told if told is not None else md.gestation(tube.diagnosis, tube.sex, age)

    def _drawn(self, tube: Tube) -> datetime:
        return tube.collected_at or tube.received_at or self._now

    def read(
        self,
        item_id: int,
        analyzer_id: int | None,
        raw_text: str,
        tube: Tube,
        factor: Decimal = Decimal(1),
        offset: Decimal = Decimal(0),
        dilution: Decimal = Decimal(1),
    ) -> Reading:
        """The reading of one text for one item of one tube: mapped, diluted, held to the measuring range, rounded, then judged on what
        will be printed (C3)."""
        item = self.catalog.items[item_id]
        value, held = _ranged(values.scaled(values.parse(raw_text, item.result_type), factor, offset), item, dilution)
        age = self.age(tube)
        week, phase = self.week(tube), md.phase_of(tube.diagnosis, self.catalog.intervals.get(item_id, ()))
        subject = md.Subject(age, tube.sex, tube.specimen_type_id, analyzer_id, item.method or None, week, phase)
        interval = self.catalog.interval(item_id, subject)
        places = critical.unit_names(tube.visit_kind, tube.ward, tube.dept)
        limit = self.catalog.critical_limit(item_id, places, subject.age)
        found = judge(
            value,
            item.result_type == "numeric",
            Limits(interval.low, interval.high, interval.text) if isinstance(interval, md.Interval) else None,
            None if limit is None else Limits(limit.low, limit.high),
        )
        if subject.age is None and found.critical is Critical.NO and value.number is not None:
            found = _by_any_age(found, value, self.catalog.critical_by_age(item_id, places))
        judged = None if value.missing else self.judgement(item_id, value, tube)
        told = value.text
        if isinstance(judged, tuple):
            told = f"{judged[0]}({value.text})" if value.number is not None else judged[0]
            found = replace(found, flag=Flag(judged[1]))
        elif judged is not None:
            words = say("判断公式得不出结论：{why}。请核对结果后接受或复查。", why=judged.text)
            found = replace(found, holds=(*found.holds, Hold("JUDGE", words)))
        return Reading(
            name=item.name,
            raw_text=raw_text,
            comparator=value.comparator,
            value=value.number,
            reported_text=told,
            unit=item.unit,
            flag=found.flag.value,
            critical=found.critical in (Critical.LOW, Critical.HIGH),
            ref_text=interval.shown if isinstance(interval, md.Interval) else md.NO_INTERVAL_TEXT,
            limit_text=_limits(limit),
            repeat_rule="none" if limit is None else limit.repeat_rule,
            missing=value.missing,
            holds=(*((held,) if held is not None else ()), *found.holds),
            snapshot=self._used(item, interval, limit, factor, offset)
            | ({"dilution": dilution} if dilution != 1 else {})
            | ({} if week is None else {"week": week}),
        )

    def judgement(self, item_id: int, value: values.Value, tube: Tube) -> tuple[str, str] | NotCalculable | None:
        """(text, flag) of the item's 结果判断公式, why it cannot tell, or None where there is no formula."""
        rule = self.catalog.judgements.get(item_id)
        return None if rule is None else rule.judge(value, md.person(tube.sex, self.age(tube)))

    def _used(
        self, item: md.ItemRow, interval: md.Interval | md.NoInterval, limit: md.CriticalRow | None, factor: Decimal, offset: Decimal
    ) -> dict[str, Any]:
        """Rows of the catalog behind a reading; one object for all readings that used the same rows, so nobody changes it."""
        key = (item.id, interval.id if isinstance(interval, md.Interval) else None, None if limit is None else limit.id, factor, offset)
        found = self._snapshots.get(key)
        if found is None:
            found = self._snapshots[key] = self._rows(item, interval, limit, factor, offset)
        return found

    def _rows(
        self, item: md.ItemRow, interval: md.Interval | md.NoInterval, limit: md.CriticalRow | None, factor: Decimal, offset: Decimal
    ) -> dict[str, Any]:
        out: dict[str, Any] = {"catalog": self.catalog.number, "decimals": item.decimals, "rounding": item.rounding, "method": item.method}
        if isinstance(interval, md.Interval):
            out["interval"] = [interval.id, interval.low, interval.high]
            if interval.placeholder:
                out["placeholder"] = True
        if item.id in self.catalog.judgements:
            row = self.catalog.judgements[item.id].row
            out["judge"] = [row.id, row.version]
        if limit is not None:
            out["critical"] = [limit.id, limit.low, limit.high]
        if factor != 1 or offset != 0:
            out["map"] = [factor, offset]
        if item.amr_low is not None or item.amr_high is not None or item.crr_high is not None:
            out["range"] = [item.amr_low, item.amr_high, item.crr_high]
        return out


def _by_any_age(found: Judged, value: Value, limits: Iterable[md.CriticalRow]) -> Judged:
    """Nobody knows the age: a value that is critical at some age is looked at, never passed over."""
    assert value.number is not None
    for limit in limits:
        if judge_critical(value.comparator, value.number, limit.low, limit.high) is not Critical.NO:
            words = say(
                "患者年龄不明，按某一年龄段的界限（{limit}）“{value}”可能是危急值，请核实出生日期后再处理。",
                limit=Listed(_parts(limit), EITHER),
                value=value.text,
            )
            return replace(found, holds=(*found.holds, Hold("MAYBE_CRITICAL", words)))
    return found


def _ranged(value: Value, item: md.ItemRow, dilution: Decimal) -> tuple[Value, Hold | None]:
    """The value as it may be told by the item's verified range, rounded to its decimals; a limit is told as it stands in the catalog."""
    if value.number is None or item.result_type != "numeric":
        return values.reported(value, item.decimals, item.rounding), None
    span = measure.Span(item.amr_low, item.amr_high, item.crr_high, tuple(Decimal(str(each)) for each in item.dilutions))
    told = measure.in_range(value.comparator, value.number, dilution, span)
    if (told.comparator, told.number) == (value.comparator, value.number):
        return values.reported(value, item.decimals, item.rounding), told.hold
    new = replace(values.parse(f"{told.comparator}{told.number:f}", item.result_type), raw=value.raw)
    return (new if told.comparator != value.comparator else values.reported(new, item.decimals, item.rounding)), told.hold


def unrounded(value: Value, item: md.ItemRow, dilution: Decimal) -> Value:
    """What formulas use: the value by the verified range (a limit where it says no more), not rounded (C3)."""
    if value.number is None or item.result_type != "numeric":
        return value
    span = measure.Span(item.amr_low, item.amr_high, item.crr_high, tuple(Decimal(str(each)) for each in item.dilutions))
    told = measure.in_range(value.comparator, value.number, dilution, span)
    return replace(values.parse(f"{told.comparator}{told.number:f}", item.result_type), raw=value.raw)


def _limits(limit: md.CriticalRow | None) -> str:
    return "" if limit is None else EITHER.join(_parts(limit))


def _parts(limit: md.CriticalRow) -> list[str]:
    parts = [f"<{limit.low:f}" if limit.low is not None else "", f">{limit.high:f}" if limit.high is not None else ""]
    return [part for part in parts if part]
