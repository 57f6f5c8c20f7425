"""Target values of control material: statistics, provisional and cumulative targets, pooling, transfer to a new lot. Pure, in Decimal.

SD is the sample SD (n - 1); CV in percent. A target of a new lot that has few points takes the historical CV (M11; WS/T 641—2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from common.say import say

PROVISIONAL_N = 20
SHORT_LIFE_N = 10


class Basis(StrEnum):
    """Where a target comes from."""

    PROVISIONAL = "provisional"
    CUMULATIVE = "cumulative"
    MAKER = "maker"
    TRANSFER = "transfer"


BASIS_WORDS = {
    Basis.PROVISIONAL: "暂定",
    Basis.CUMULATIVE: "累积",
    Basis.MAKER: "厂家参考",
    Basis.TRANSFER: "沿用历史 CV",
}


@dataclass(frozen=True, slots=True)
class Stats:
    """n, mean, SD (None for n < 2) and CV in percent (None without an SD or for mean 0)."""

    n: int
    mean: Decimal
    sd: Decimal | None

    @property
    def cv(self) -> Decimal | None:
        """100·SD/mean."""
        return None if self.sd is None or self.mean == 0 else 100 * self.sd / abs(self.mean)


def stats(values: Sequence[Decimal]) -> Stats | None:
    """The sample statistics, or None of nothing."""
    n = len(values)
    if n == 0:
        return None
    mean = sum(values, Decimal(0)) / n
    if n == 1:
        return Stats(n, mean, None)
    square = sum(((v - mean) ** 2 for v in values), Decimal(0))
    return Stats(n, mean, (square / (n - 1)).sqrt())


def pool(*parts: Stats) -> Stats | None:
    """The statistics of all values together, from those of the parts; a part without SD counts only when it is one value."""
    n = sum(p.n for p in parts)
    if n == 0:
        return None
    mean = sum((p.n * p.mean for p in parts), Decimal(0)) / n
    if n == 1:
        return Stats(1, mean, None)
    inside = sum(((p.n - 1) * p.sd**2 for p in parts if p.sd is not None), Decimal(0))
    between = sum((p.n * (p.mean - mean) ** 2 for p in parts), Decimal(0))
    return Stats(n, mean, ((inside + between) / (n - 1)).sqrt())


def transferred_sd(historical_cv: Decimal, new_mean: Decimal) -> Decimal:
    """SD of a new lot with few points: CV_hist (percent) x mean_new."""
    return historical_cv * abs(new_mean) / 100


def provisional_problem(days: Sequence[date], short_life: bool = False) -> str | None:
    """Why these values (the local day of each) do not yet make a provisional target, or None."""
    need = SHORT_LIFE_N if short_life else PROVISIONAL_N
    if len(days) < need:
        return say("只有 {n} 个测定值，暂定靶值至少需要 {need} 个。", n=len(days), need=need)
    # Short-lived material cannot wait for twenty days: its values may share days (WS/T 641: several a day).
    if not short_life and len(set(days)) < need:
        return say("测定值只来自 {n} 天，暂定靶值至少需要 {need} 个不同的日期。", n=len(set(days)), need=need)
    return None


def target_problem(mean: Decimal | None, sd: Decimal | None) -> str | None:
    """Why a target cannot be saved, or None."""
    if mean is None or sd is None:
        return "请填写靶值均值和标准差。"
    if not mean.is_finite() or not sd.is_finite():
        return "靶值均值和标准差必须是数字。"
    if sd == 0:
        return "标准差不能为 0，否则任何差异都会被判为失控；请核对后重新填写。"
    return "标准差不能为负数。" if sd < 0 else None


def z_score(value: Decimal, mean: Decimal, sd: Decimal) -> Decimal:
    """(x - mean) / SD; ``sd`` is positive."""
    return (value - mean) / sd
