"""Rules of duty (M18): when a shift of a day begins and ends, and that nobody stands in two places. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "scheduling:read"
    PUBLISH = "scheduling:publish"
    ALONE = "scheduling:alone"


@dataclass(frozen=True, slots=True)
class Hours:
    """A shift's local hours; an end at or before the start is on the next day."""

    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Stretch:
    """A person's shift on each local day first … last."""

    user_id: int
    hours: Hours
    first: date
    last: date


def window(hours: Hours, day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """When the shift of a local day begins and ends; the end itself is over."""
    start = datetime.combine(day, hours.start, zone)
    end = datetime.combine(day if hours.end > hours.start else day + timedelta(days=1), hours.end, zone)
    return start, end


ALONE_MOST = timedelta(hours=16)


def too_long_alone(hours: Hours, day: date, zone: tzinfo) -> bool:
    """Whether a shift is longer than one person may be left alone with both checks (M09 R1)."""
    start, end = window(hours, day, zone)
    return end - start > ALONE_MOST


def on_duty(stretch: Stretch, at: datetime, zone: tzinfo) -> bool:
    """Whether the moment lies inside the shift of its day, or of the day before when that one crosses midnight."""
    day = at.astimezone(zone).date()
    for each in (day, day - timedelta(days=1)):
        if stretch.first <= each <= stretch.last:
            start, end = window(stretch.hours, each, zone)
            if start <= at < end:
                return True
    return False


def day_of(hours: Hours, at: datetime, zone: tzinfo) -> date:
    """The day whose shift runs at the moment, a night's is the day it began; today where none runs."""
    today = at.astimezone(zone).date()
    start, end = window(hours, today - timedelta(days=1), zone)
    return today - timedelta(days=1) if start <= at < end else today


Days = tuple[date, date]


def around(first: date, last: date, day: date) -> tuple[Days | None, Days | None]:
    """What is left of first … last before and after one day of it."""
    one = timedelta(days=1)
    return (first, day - one) if first < day else None, (day + one, last) if day < last else None


def overlapping(new: Stretch, others: Iterable[Stretch], zone: tzinfo) -> Iterator[Stretch]:
    """Other stretches of the same person that would have them in two places at once (H1)."""
    for other in others:
        if other.user_id == new.user_id and any(_meet(new, other, zone)):
            yield other


def _meet(a: Stretch, b: Stretch, zone: tzinfo) -> Iterator[bool]:
    day = max(a.first, b.first - timedelta(days=1))
    last = min(a.last, b.last + timedelta(days=1))
    while day <= last:
        start, end = window(a.hours, day, zone)
        for other in (day - timedelta(days=1), day, day + timedelta(days=1)):
            if b.first <= other <= b.last:
                begins, ends = window(b.hours, other, zone)
                yield start < ends and begins < end
        day += timedelta(days=1)
