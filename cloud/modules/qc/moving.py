"""Patient-based quality control: moving average, moving median, EWMA, with truncation limits. Pure, in Decimal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from common.say import Said, say


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


KIND_WORDS = {Kind.AVERAGE: say("移动均值"), Kind.MEDIAN: say("移动中位数"), Kind.EWMA: say("EWMA（指数加权）")}
MOST = 500


def problem(s: Setting) -> Said | None:
    """Why a setting is refused, or None."""
    numbers = (s.low, s.high, s.weight, s.start, s.trunc_low, s.trunc_high)
    if any(n is not None and not n.is_finite() for n in numbers):
        return say("请填写普通的数字。")
    if s.low >= s.high:
        return say("控制下限 {low} 不小于控制上限 {high}，请核对。", low=s.low, high=s.high)
    if not 2 <= s.size <= MOST:
        return say("窗口人数请填 2 至 {most}。", most=MOST)
    if not 0 < s.weight <= 1:
        return say("EWMA 的权重 λ 须大于 0、不超过 1。")
    if s.trunc_low is not None and s.trunc_high is not None and s.trunc_low >= s.trunc_high:
        return say("截断下限 {low} 不小于截断上限 {high}，请核对。", low=s.trunc_low, high=s.trunc_high)
    return None


def at_the_end(earlier: Sequence[Decimal], newest: Sequence[Decimal], z: Decimal | None, setting: Setting) -> Decimal | None:
    """The smoothed value once ``newest`` have come after ``earlier`` (both oldest first); ``z``: the EWMA so far. None: too few yet."""
    if setting.kind is Kind.EWMA:
        found = smooth(newest, replace(setting, start=setting.start if z is None else z))
        return found[-1] if found else z
    window = kept([*earlier, *newest], setting)[-setting.size :]
    found = smooth(window, setting)
    return found[-1] if found else None


def limits(values: Sequence[Decimal], setting: Setting) -> tuple[Decimal, Decimal] | None:
    """Limits the past suggests: the mean of the smoothed values ± 3 of their SD; None from fewer than five windows' values."""
    smoothed = smooth(values, setting)
    if len(kept(values, setting)) < 5 * setting.size or len(smoothed) < 2:
        return None
    mean = sum(smoothed, Decimal(0)) / len(smoothed)
    sd = (sum(((v - mean) ** 2 for v in smoothed), Decimal(0)) / (len(smoothed) - 1)).sqrt()
    return (mean - 3 * sd, mean + 3 * sd) if sd else None


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
