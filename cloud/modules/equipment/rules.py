"""Rules of equipment (M20): when a calibration counts, when the next is due. Pure."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime
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
    fits = [c for c in found if c.item_id in (None, item_id) and c.done_at <= at]
    return max(fits, key=lambda c: (c.done_at, c.id), default=None)


def holds(calibration: Calibrated | None, at: datetime) -> bool:
    """Whether there is a passed calibration that is valid at the moment; its last moment is still inside."""
    return calibration is not None and calibration.passed and at <= calibration.valid_until


def next_due(last: date, months: int) -> date:
    """Last + interval in months (R3, AC-EQP-1); the 31st of a short month is its last day."""
    year, month = divmod(last.month - 1 + months, 12)
    year, month = last.year + year, month + 1
    return date(year, month, min(last.day, calendar.monthrange(year, month)[1]))
