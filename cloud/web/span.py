"""Days a page asks for: first and last, both included, on the hospital's wall clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from cloud.web.faults import Invalid
from common.say import say

ZONE = ZoneInfo("Asia/Shanghai")
LONGEST = 1100  # three years: figures are counted over each day of it


@dataclass(frozen=True, slots=True)
class Span:
    """From the first day's midnight up to the one after the last day."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        """Its first instant."""
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=ZONE)

    @property
    def end(self) -> datetime:
        """The instant after it."""
        return datetime(self.last.year, self.last.month, self.last.day, tzinfo=ZONE) + timedelta(days=1)

    @property
    def query(self) -> str:
        """As it stands in an address."""
        return f"first={self.first}&last={self.last}"


def asked(args: Mapping[str, str], now: datetime) -> Span:
    """``first`` and ``last`` of the address; this month until today without them. Raises Invalid naming the field."""
    today = now.astimezone(ZONE).date()
    try:
        first, last = (
            date.fromisoformat(args.get(k) or str(otherwise)) for k, otherwise in (("first", today.replace(day=1)), ("last", today))
        )
    except ValueError as error:
        raise Invalid(say("日期请写成 2026-05-04 的样子。"), "first") from error
    if first > last:
        raise Invalid(say("开始日期晚于结束日期，请核对。"), "first")
    if (last - first).days > LONGEST or not 2000 <= first.year <= last.year <= 2200:
        raise Invalid(say("最多统计三年，请缩短日期范围。"), "first")
    return Span(first, last)
