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
from common.values import significant

PROVISIONAL_N = 20
SHORT_LIFE_N = 10
FEW = 3
"""Values of a new lot at least for a mean of its own with the historical CV [C]."""


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


OWN_VALUES = frozenset({Basis.PROVISIONAL, Basis.CUMULATIVE})
"""Targets made of the lot's own values: the next is their continuation."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A target that a lot's values make; mean and SD are None for a qualitative control."""

    mean: Decimal | None
    sd: Decimal | None
    basis: Basis
    n: int


def historical_cv(old: Stats | None, mean: Decimal | None, sd: Decimal | None) -> Decimal | None:
    """The CV a new lot inherits: of the old lot's own values where they are enough, else of its target; None of neither."""
    if old is not None and old.n >= PROVISIONAL_N and old.cv:
        return old.cv
    return None if mean is None or sd is None or mean == 0 else 100 * sd / abs(mean)


def propose(found: Stats | None, problem: str | None, history: Decimal | None, *, renewed: bool = False) -> Proposal | None:
    """What to propose of a lot's values: their own SD once they are enough (``problem`` None), before that the historical CV's; None of
    too few, of values that do not differ, and where no CV is known. ``renewed``: the target in force is of its own values already."""
    if found is None:
        return None
    if problem is None and found.sd:
        return Proposal(_round(found.mean, 5), _round(found.sd, 4), Basis.CUMULATIVE if renewed else Basis.PROVISIONAL, found.n)
    if found.n < FEW or history is None or renewed or not found.mean:
        return None
    return Proposal(_round(found.mean, 5), _round(transferred_sd(history, found.mean), 4), Basis.TRANSFER, found.n)


def _round(value: Decimal, digits: int) -> Decimal:
    return Decimal(significant(value, digits))


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
