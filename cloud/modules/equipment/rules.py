"""Rules of equipment (M20): when a calibration counts, when the next is due. Pure."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "equipment:read"
    CALIBRATE = "equipment:calibrate"
    FAULT = "equipment:fault"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration of an analyzer, of one item or (None) of all."""

    id: int
    item_id: int | None
    done_at: datetime
    valid_until: datetime
    passed: bool


def in_force(found: list[Calibrated], item_id: int, at: datetime) -> Calibrated | None:
    """The latest calibration of the item (or of the whole analyzer) done before the moment, passed or not."""
    return _last(found, item_id, at)


def holds(calibration: Calibrated | None, at: datetime) -> bool:
    """Whether there is a passed calibration that is valid at the moment; its last moment is still inside."""
    return calibration is not None and calibration.passed and at <= calibration.valid_until


SOON = timedelta(days=14)


def lapsing(found: list[Calibrated], at: datetime) -> tuple[int, int, datetime | None]:
    """Of an analyzer's calibrations: how many hold no longer, how many end within ``SOON``, and when the first of these does.

    A later one of the whole analyzer stands for an item's own; what was never calibrated is not counted: nothing of it ends.
    """
    last = {c.id: c for key in {c.item_id for c in found} if (c := _last(found, key, at)) is not None}
    over = [c for c in last.values() if not holds(c, at)]
    soon = [c.valid_until for c in last.values() if holds(c, at) and not holds(c, at + SOON)]
    return len(over), len(soon), min(soon, default=None)


def _last(found: list[Calibrated], item_id: int | None, at: datetime) -> Calibrated | None:
    fits = [c for c in found if c.item_id in (None, item_id) and c.done_at <= at]
    return max(fits, key=lambda c: (c.done_at, c.id), default=None)


def next_due(last: date, months: int) -> date:
    """Last + interval in months (R3, AC-EQP-1); the 31st of a short month is its last day."""
    year, month = divmod(last.month - 1 + months, 12)
    year, month = last.year + year, month + 1
    return date(year, month, min(last.day, calendar.monthrange(year, month)[1]))
