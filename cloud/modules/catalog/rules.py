"""Which reference interval applies to a result, and which rows of the catalog contradict each other (M02).

Pure: no clock, no store. Ages are completed units at collection, intervals are half-open in age and closed in value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from common.say import Listed, Said, say

# Only a default for callers without a hospital's zone; they pass ZoneInfo("Asia/Shanghai"), which knows the summer times of 1986–1991.
CHINA = timezone(timedelta(hours=8))


class Perm(StrEnum):
    """What a person may do with the catalog."""

    READ = "catalog:read"
    MAP = "catalog:map"


# --- age ---------------------------------------------------------------------------------------------------------------------------------


class AgeUnit(StrEnum):
    """Units of an interval's age limits."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    YEAR = "year"


def in_units(n: int | str, unit: str) -> Said:
    """A number of completed units in words: 36小时, 5天, 3月, 28岁."""
    match unit:
        case AgeUnit.HOUR:
            return say("{n}小时", n=n)
        case AgeUnit.DAY:
            return say("{n}天", n=n)
        case AgeUnit.MONTH:
            return say("{n}月", n=n)
    return say("{n}岁", n=n)


@dataclass(frozen=True, slots=True)
class Age:
    """A patient's age in completed units; ``unit`` is the one it is told in: hours <72 h, days <28 d, months <24 m, else years."""

    hours: int
    days: int
    months: int
    years: int

    @property
    def unit(self) -> AgeUnit:
        """The unit the age is spoken in (M02)."""
        if self.hours < 72:
            return AgeUnit.HOUR
        if self.days < 28:
            return AgeUnit.DAY
        return AgeUnit.MONTH if self.months < 24 else AgeUnit.YEAR

    def in_unit(self, unit: AgeUnit | str) -> int:
        """Completed units of one kind."""
        return {AgeUnit.HOUR: self.hours, AgeUnit.DAY: self.days, AgeUnit.MONTH: self.months, AgeUnit.YEAR: self.years}[AgeUnit(unit)]

    def text(self) -> Said:
        """As printed on labels and reports: 36小时, 5天, 3月, 28岁; an English page says it its own way."""
        unit = AgeUnit.DAY if self.unit is AgeUnit.MONTH and self.months == 0 else self.unit
        n = self.in_unit(unit)
        return in_units(n, unit)


_DAYS_OF_MONTH = Decimal("30.4375")
_AGE_PART = re.compile(r"(\d{1,4})\s*(周岁|岁|年|Y|个月|月|M|周|W|天|日|D|小时|时|H)", re.ASCII)
_AGE_TEXT = re.compile(rf"(?:{_AGE_PART.pattern}\s*)+", re.ASCII)
_AGE_FACTORS = {"岁": "year", "年": "year", "Y": "year", "月": "month", "M": "month", "周": "week", "W": "week", "天": "day", "日": "day"}


def age_at(birth: datetime | None, at: datetime, zone: tzinfo = CHINA) -> Age | None:
    """Age at an instant; None without a birth or with one in the future. Born on 29 February: the birthday is 1 March in common years."""
    if birth is None or birth > at:
        return None
    hours = int((at - birth) / timedelta(hours=1))
    born, day = birth.astimezone(zone).date(), at.astimezone(zone).date()
    # A day of the month that does not exist counts on the first of the next one, which is what comparing day numbers does.
    months = (day.year - born.year) * 12 + day.month - born.month - (day.day < born.day)
    return Age(hours, hours // 24, months, months // 12)


def age_from_text(text: str | None) -> Age | None:
    """The age a HIS wrote instead of a birth date (28岁, 3月, 1岁6月, 5天, 36小时, bare number = years); None when it is none of them."""
    plain = (text or "").strip().upper().replace(" ", "")
    if re.fullmatch(r"\d{1,3}", plain, re.ASCII):
        plain += "岁"
    if not _AGE_TEXT.fullmatch(plain):
        return None
    hours = months = 0
    for number, word in _AGE_PART.findall(plain):
        unit = _AGE_FACTORS.get(word[-1], "hour")
        if unit in ("year", "month"):
            months += int(number) * (12 if unit == "year" else 1)
        else:
            hours += int(number) * {"week": 168, "day": 24}.get(unit, 1)
    days = int(months * _DAYS_OF_MONTH) + hours // 24
    whole = months + int(Decimal(hours // 24) / _DAYS_OF_MONTH)
    return Age(int(months * _DAYS_OF_MONTH) * 24 + hours, days, whole, whole // 12)


# --- choice of the interval --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interval:
    """One reference interval; None means "any". Value limits are part of the interval, ``age_high`` is not."""

    id: int
    item_id: int
    method: str | None = None
    analyzer_id: int | None = None
    specimen_type_id: int | None = None
    gest_low: int | None = None
    gest_high: int | None = None
    phase: str | None = None
    sex: str | None = None
    age_low: int | None = None
    age_high: int | None = None
    age_unit: str = AgeUnit.YEAR
    low: Decimal | None = None
    high: Decimal | None = None
    text: str = ""
    source: str = ""
    placeholder: bool = True

    @property
    def shown(self) -> str:
        """The interval as printed: its own text, or 3.5–5.3, ≤40, ≥1.0."""
        if self.text:
            return self.text
        if self.low is not None and self.high is not None:
            return f"{self.low:f}–{self.high:f}"
        if self.high is not None:
            return f"≤{self.high:f}"
        return "" if self.low is None else f"≥{self.low:f}"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose result, measured how; None is "not known", which never satisfies an interval that asks for it."""

    age: Age | None = None
    sex: str | None = None
    specimen_type_id: int | None = None
    analyzer_id: int | None = None
    method: str | None = None
    gest_week: int | None = None
    phase: str | None = None


_GESTATION_TEXT = re.compile(r"(?:孕|妊娠)\s*(\d{1,2})\s*(?:\+\s*\d?\s*)?周", re.ASCII)
MOTHER_FROM, LAST_WEEK = 10, 45


def gestation(diagnosis: str, sex: str | None, age: Age | None) -> int | None:
    """The completed week of pregnancy a diagnosis names (孕24周, 妊娠 24+3 周). None: it names none, or two, or speaks of somebody who is
    not pregnant: a newborn's diagnosis names the week of its own birth."""
    if sex != "F" or age is None or age.years < MOTHER_FROM:
        return None
    weeks = {int(n) for n in _GESTATION_TEXT.findall(diagnosis)}
    return weeks.pop() if len(weeks) == 1 and max(weeks) <= LAST_WEEK else None


def gest_week(began: Iterable[date], day: date, sex: str | None, age: Age | None) -> int | None:
    """The completed week of pregnancy on a day, by the days from which a tube's requests count it. None: nobody said, two requests name
    different weeks, or it cannot be."""
    if sex != "F" or age is None or age.years < MOTHER_FROM:
        return None
    weeks = {(day - each).days // 7 for each in began}
    return weeks.pop() if len(weeks) == 1 and 0 <= max(weeks) <= LAST_WEEK else None


def phase_of(diagnosis: str, intervals: Iterable[Interval]) -> str | None:
    """The one phase of these intervals (卵泡期, 绝经后 …) that a diagnosis names; None: none, or several."""
    named = {each.phase for each in intervals if each.phase and each.phase in diagnosis}
    return named.pop() if len(named) == 1 else None


class NoInterval(StrEnum):
    """Why there is none: autoverification fails with this reason."""

    NO_RI = "NO_RI"
    CONFLICT = "RI_CONFLICT"


NO_INTERVAL_TEXT = "无适用参考区间"
_METHOD, _SPECIMEN, _GESTATION, _SEX, _AGE = 32, 16, 8, 4, 2


def choose(intervals: Iterable[Interval], subject: Subject) -> Interval | NoInterval:
    """The most specific interval that fits. Two that fit equally are refused at save time; should one slip in, none is guessed here."""
    best: list[Interval] = []
    top = -1
    for interval in intervals:
        if not _fits(interval, subject):
            continue
        points = score(interval)
        if points > top:
            best, top = [interval], points
        elif points == top:
            best.append(interval)
    if not best:
        return NoInterval.NO_RI
    return best[0] if len(best) == 1 else NoInterval.CONFLICT


def score(interval: Interval) -> int:
    """Weight of what the interval asks for: method or analyzer 32, specimen 16, gestation or phase 8, sex 4, age 2."""
    return (
        (_METHOD if interval.method is not None or interval.analyzer_id is not None else 0)
        + (_SPECIMEN if interval.specimen_type_id is not None else 0)
        + (_GESTATION if interval.phase is not None or _has(interval.gest_low, interval.gest_high) else 0)
        + (_SEX if interval.sex is not None else 0)
        + (_AGE if _has(interval.age_low, interval.age_high) else 0)
    )


def _has(low: int | None, high: int | None) -> bool:
    return low is not None or high is not None


def _fits(interval: Interval, subject: Subject) -> bool:
    for asked, given in (
        (interval.method, subject.method),
        (interval.analyzer_id, subject.analyzer_id),
        (interval.specimen_type_id, subject.specimen_type_id),
        (interval.phase, subject.phase),
        (interval.sex, subject.sex),
    ):
        if asked is not None and asked != given:
            return False
    age = None if subject.age is None else subject.age.in_unit(interval.age_unit)
    return _within(age, interval.age_low, interval.age_high) and _within(subject.gest_week, interval.gest_low, interval.gest_high)


def _within(value: int | None, low: int | None, high: int | None) -> bool:
    if not _has(low, high):
        return True
    return value is not None and (low is None or low <= value) and (high is None or value < high)


# --- other rows chosen by person and place ------------------------------------------------------------------------------------------------

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Ages:
    """A half-open range of completed units; None is "any"."""

    age_low: int | None = None
    age_high: int | None = None
    age_unit: str = AgeUnit.YEAR

    @property
    def bounds(self) -> int:
        """How many limits it has."""
        return int(self.age_low is not None) + int(self.age_high is not None)

    @property
    def width(self) -> int:
        """Its span in hours, at the widest; 0 for one that is not closed."""
        low, high = _hours_range(self)
        return 0 if low is None or high is None else high - low


def ambiguous_ages(a: Ages, b: Ages) -> bool:
    """Whether two rows ask for ages alike and neither is clearly the closer one: ranges that meet without one lying inside the other."""
    if a.bounds != b.bounds or not _ages_meet(a, b):
        return False
    return a.bounds < 2 or a.width == b.width or not (_inside(a, b) or _inside(b, a))


def _inside(a: Ages, b: Ages) -> bool:
    (a_low, a_high), (b_low, b_high) = _hours_range(a), _hours_range(b)
    return None not in (a_low, a_high, b_low, b_high) and b_low <= a_low and a_high <= b_high  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class Specific:
    """What a row asks for: (asked, given) pairs, the first weighing most, and a half-open range of ages."""

    pairs: tuple[tuple[object, object], ...]
    age_low: int | None = None
    age_high: int | None = None
    age_unit: str = AgeUnit.YEAR


def most_specific(rows: Iterable[_Row], asks: Callable[[_Row], Specific], age: Age | None) -> _Row | None:
    """The fitting row that asks for most; of equals the narrower age, then the first. None when nothing fits."""
    best: tuple[tuple[int, ...], _Row] | None = None
    for row in rows:
        asked = asks(row)
        if any(want is not None and want != have for want, have in asked.pairs):
            continue
        if not _within(None if age is None else age.in_unit(asked.age_unit), asked.age_low, asked.age_high):
            continue
        ages = Ages(asked.age_low, asked.age_high, asked.age_unit)
        points = (*(int(want is not None) for want, _ in asked.pairs), ages.bounds, -ages.width)
        if best is None or points > best[0]:
            best = points, row
    return None if best is None else best[1]


def allowed_error(tea: Mapping[str, Any], value: Decimal) -> Decimal | None:
    """TEa in the item's unit at a value, from ``{"steps": [{"to": "3.3", "abs": "0.2"}, {"pct": "6.0"}]}`` (WS/T 403 is piecewise).

    The first step whose ``to`` (inclusive) reaches the value counts, one without ``to`` always; None when no rule is set.
    """
    for step in tea.get("steps", ()):
        if "to" not in step or value <= Decimal(str(step["to"])):
            return Decimal(str(step["abs"])) if "abs" in step else abs(value) * Decimal(str(step["pct"])) / 100
    return None


# --- checks at save time -----------------------------------------------------------------------------------------------------------------


def problems(interval: Interval) -> list[str]:
    """What is wrong with one row by itself, in sentences; empty when it may be saved."""
    out = []
    if interval.low is None and interval.high is None and not interval.text:
        out.append("下限、上限和文字至少填写一项。")
    if interval.low is not None and interval.high is not None and interval.low >= interval.high:
        out.append(say("下限 {low} 不小于上限 {high}。", low=f"{interval.low:f}", high=f"{interval.high:f}"))
    if interval.age_low is not None and interval.age_high is not None and interval.age_low >= interval.age_high:
        out.append(say("年龄下限 {age_low} 不小于年龄上限 {age_high}。", age_low=interval.age_low, age_high=interval.age_high))
    if any(each is not None and each < 0 for each in (interval.age_low, interval.age_high)):
        out.append("年龄不能小于 0。")
    if any(each is not None and not 0 <= each <= LAST_WEEK for each in (interval.gest_low, interval.gest_high)):
        out.append(say("孕周要在 0 到 {last} 之间。", last=LAST_WEEK))
    if interval.gest_low is not None and interval.gest_high is not None and interval.gest_low >= interval.gest_high:
        out.append(say("孕周下限 {gest_low} 不小于孕周上限 {gest_high}。", gest_low=interval.gest_low, gest_high=interval.gest_high))
    if interval.age_unit not in tuple(AgeUnit):
        out.append(say("年龄单位“{age_unit}”不认识。", age_unit=interval.age_unit))
    return out


SEX_WORDS = {"M": say("男"), "F": say("女")}


def describe(interval: Interval) -> Said:
    """The conditions of an interval in words."""
    parts: list[str] = [SEX_WORDS.get(interval.sex or "", say("不限性别"))]
    if interval.age_low is not None or interval.age_high is not None:
        low, high, unit = interval.age_low, interval.age_high, interval.age_unit
        if high is None:
            parts.append(say("≥{age}", age=in_units(str(low), unit)))
        elif low is None:
            parts.append(say("<{age}", age=in_units(high, unit)))
        else:
            parts.append(say("{least}–<{age}", least=low, age=in_units(high, unit)))
    if interval.gest_low is not None or interval.gest_high is not None:
        weeks = interval.gest_low or 0
        open_ = interval.gest_high is None
        parts.append(say("孕 ≥{low} 周", low=weeks) if open_ else say("孕 {low}–{high} 周", low=weeks, high=interval.gest_high))
    parts += [each for each in (interval.phase, interval.method) if each]
    return say("{parts}", parts=Listed(parts, "，"))


def in_life_order(interval: Interval) -> tuple[object, ...]:
    """As the coverage map reads: birth before old age, at one age men before women; what is special after what is general."""
    low, _ = _hours_range(interval)
    special = interval.analyzer_id is not None, interval.specimen_type_id is not None, interval.gest_low or 0, interval.phase or ""
    return special, low or 0, {"M": 1, "F": 2}.get(interval.sex or "", 0), interval.id


def overlapping(new: Interval, others: Iterable[Interval]) -> list[Interval]:
    """Rows that would fit a same patient equally well as ``new``: the configuration error of M02, named at save time."""
    return [each for each in others if each.id != new.id and each.item_id == new.item_id and _ambiguous(new, each)]


def _ambiguous(a: Interval, b: Interval) -> bool:
    # The weights are powers of two, so equal scores mean that both rows ask for the same groups of things.
    if score(a) != score(b):
        return False
    pairs: Sequence[tuple[object, object]] = (
        (a.method, b.method),
        (a.analyzer_id, b.analyzer_id),
        (a.specimen_type_id, b.specimen_type_id),
        (a.phase, b.phase),
        (a.sex, b.sex),
    )
    if any(x is not None and y is not None and x != y for x, y in pairs):
        return False
    return _ages_meet(a, b) and _ranges_meet((a.gest_low, a.gest_high), (b.gest_low, b.gest_high))


def _ages_meet(a: Ages | Interval, b: Ages | Interval) -> bool:
    if {a.age_unit, b.age_unit} <= {AgeUnit.MONTH, AgeUnit.YEAR}:
        return _ranges_meet(_months_range(a), _months_range(b))
    return _ranges_meet(_hours_range(a), _hours_range(b))


def _ranges_meet(a: tuple[int | None, int | None], b: tuple[int | None, int | None]) -> bool:
    before = a[1] is not None and b[0] is not None and a[1] <= b[0]
    after = b[1] is not None and a[0] is not None and b[1] <= a[0]
    return not before and not after


def _months_range(interval: Ages | Interval) -> tuple[int | None, int | None]:
    factor = 12 if interval.age_unit == AgeUnit.YEAR else 1
    low, high = interval.age_low, interval.age_high
    return None if low is None else low * factor, None if high is None else high * factor


def _hours_range(interval: Ages | Interval) -> tuple[int | None, int | None]:
    """The widest span of hours after birth in which the row can apply (months and years differ in length)."""
    low = None if interval.age_low is None else _hours(interval.age_low, interval.age_unit, longest=False)
    high = None if interval.age_high is None else _hours(interval.age_high, interval.age_unit, longest=True)
    return low, high


@cache
def _hours(count: int, unit: str, longest: bool) -> int:
    if unit in (AgeUnit.HOUR, AgeUnit.DAY):
        return count * (24 if unit == AgeUnit.DAY else 1)
    months = count * (12 if unit == AgeUnit.YEAR else 1)
    spans = [(_first(start + months) - _first(start)).days for start in range(48)]
    return 24 * (max(spans) if longest else min(spans))


def _first(month: int) -> date:
    return date(2000 + month // 12, month % 12 + 1, 1)
