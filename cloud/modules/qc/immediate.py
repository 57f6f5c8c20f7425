"""Immediate method (即刻法, Grubbs) for rare tests: judged from the third value on, until twenty make a Levey-Jennings chart. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from cloud.modules.qc.targets import stats

# n → (n2s, n3s). The figures of M11 (WS/T 641 prints the same); those between them are the usual table of Grubbs' one-sided limits.
TABLE = {
    n: (Decimal(a), Decimal(b))
    for n, a, b in (
        (3, "1.153", "1.155"),
        (4, "1.463", "1.493"),
        (5, "1.671", "1.749"),
        (6, "1.822", "1.944"),
        (7, "1.938", "2.097"),
        (8, "2.032", "2.221"),
        (9, "2.110", "2.323"),
        (10, "2.176", "2.410"),
        (11, "2.234", "2.485"),
        (12, "2.285", "2.549"),
        (13, "2.331", "2.607"),
        (14, "2.371", "2.659"),
        (15, "2.409", "2.705"),
        (16, "2.443", "2.747"),
        (17, "2.475", "2.785"),
        (18, "2.504", "2.821"),
        (19, "2.532", "2.854"),
        (20, "2.557", "2.884"),
    )
}
CONVERT_AT = 20
JUDGED_FROM = 3


class Verdict(StrEnum):
    """What the newest value is worth."""

    TOO_FEW = "too_few"
    IN_CONTROL = "in_control"
    WARNING = "warning"
    REJECTED = "rejected"
    CONVERT = "convert"


@dataclass(frozen=True, slots=True)
class Immediate:
    """The verdict with its figures; ``si_up`` and ``si_low`` are None while all values are equal or fewer than three."""

    verdict: Verdict
    n: int
    mean: Decimal | None = None
    sd: Decimal | None = None
    si_up: Decimal | None = None
    si_low: Decimal | None = None


def judge(values: Sequence[Decimal]) -> Immediate:
    """Judge the values so far (in-control ones and the newest); more than twenty belong on a Levey-Jennings chart."""
    n = len(values)
    found = stats(values)
    if found is None or n < JUDGED_FROM:
        return Immediate(Verdict.TOO_FEW, n, None if found is None else found.mean, None if found is None else found.sd)
    if n > CONVERT_AT:
        return Immediate(Verdict.CONVERT, n, found.mean, found.sd)
    assert found.sd is not None
    if found.sd == 0:
        return Immediate(Verdict.IN_CONTROL, n, found.mean, found.sd)
    up, low = (max(values) - found.mean) / found.sd, (found.mean - min(values)) / found.sd
    n2s, n3s = TABLE[n]
    worst = max(up, low)
    verdict = Verdict.IN_CONTROL if worst <= n2s else Verdict.WARNING if worst <= n3s else Verdict.REJECTED
    return Immediate(verdict, n, found.mean, found.sd, up, low)


def newest(before: Sequence[Decimal], value: Decimal) -> Verdict:
    """What the newest value is worth beside those that count (M11). The test is of the value farthest out: an earlier warning does not
    reject those that come after it. With twenty values there the chart is due, and until somebody makes it they are its mean and SD."""
    found = judge([*before, value])
    if found.verdict is Verdict.CONVERT:
        return _beyond(before, value)
    mean = found.mean if found.mean is not None else value
    return Verdict.IN_CONTROL if any(abs(v - mean) > abs(value - mean) for v in before) else found.verdict


def _beyond(before: Sequence[Decimal], value: Decimal) -> Verdict:
    """By mean and SD of the values before: strictly beyond 2 SD warns, beyond 3 SD rejects; where they were all equal any other value."""
    found = stats(before)
    assert found is not None and found.sd is not None
    away = abs(value - found.mean)
    if away > 3 * found.sd:
        return Verdict.REJECTED
    return Verdict.WARNING if away > 2 * found.sd else Verdict.IN_CONTROL
