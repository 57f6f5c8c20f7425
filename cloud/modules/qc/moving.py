"""Patient-based quality control: moving average, moving median, EWMA, with truncation limits. Pure, in Decimal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """How patient values are smoothed."""

    AVERAGE = "average"
    MEDIAN = "median"
    EWMA = "ewma"


@dataclass(frozen=True, slots=True)
class Setting:
    """``size`` patients in the window (average, median); ``weight`` λ in (0, 1] and ``start`` Z_0 (EWMA). Values outside
    [trunc_low, trunc_high] are left out; a smoothed value outside [low, high] is out of control."""

    kind: Kind
    low: Decimal
    high: Decimal
    size: int = 20
    weight: Decimal = Decimal("0.1")
    start: Decimal | None = None
    trunc_low: Decimal | None = None
    trunc_high: Decimal | None = None


def kept(values: Iterable[Decimal], setting: Setting) -> list[Decimal]:
    """The values inside the truncation limits, limits included."""
    low, high = setting.trunc_low, setting.trunc_high
    return [v for v in values if (low is None or v >= low) and (high is None or v <= high)]


def smooth(values: Sequence[Decimal], setting: Setting) -> list[Decimal]:
    """The smoothed values of those kept, oldest first; a window that is not yet full gives none."""
    inside = kept(values, setting)
    if setting.kind is Kind.EWMA:
        return _ewma(inside, setting)
    windows = (inside[i - setting.size : i] for i in range(setting.size, len(inside) + 1))
    return [_median(w) if setting.kind is Kind.MEDIAN else sum(w, Decimal(0)) / len(w) for w in windows]


def out_of_control(smoothed: Decimal, setting: Setting) -> bool:
    """Strictly beyond a limit."""
    return smoothed < setting.low or smoothed > setting.high


def _ewma(values: Sequence[Decimal], setting: Setting) -> list[Decimal]:
    """Z_t = λx + (1 - λ)Z_{t-1}; without a start the first value is it."""
    out: list[Decimal] = []
    z = setting.start
    for x in values:
        z = x if z is None else setting.weight * x + (1 - setting.weight) * z
        out.append(z)
    return out


def _median(values: Sequence[Decimal]) -> Decimal:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
