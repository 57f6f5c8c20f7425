"""Sigma, quality goal index, CV goal. Pure; TEa, bias and CV in percent of the same concentration."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Tea:
    """Allowable total error: ``absolute`` (the item's unit) up to and including ``below``, else ``percent`` (WS/T 403 is piecewise, F5)."""

    percent: Decimal
    absolute: Decimal | None = None
    below: Decimal | None = None

    def allowed(self, value: Decimal) -> Decimal:
        """The allowed error of a value, in its unit."""
        if self.absolute is not None and (self.below is None or value <= self.below):
            return self.absolute
        return self.percent * abs(value) / 100


class Fault(StrEnum):
    """What a low sigma comes from."""

    IMPRECISION = "imprecision"
    BOTH = "both"
    BIAS = "bias"


FAULT_WORDS = {Fault.IMPRECISION: "优先改善精密度", Fault.BOTH: "精密度与正确度都要改善", Fault.BIAS: "优先改善正确度"}


def sigma(tea: Decimal, bias: Decimal, cv: Decimal) -> Decimal | None:
    """(TEa - |bias|) / CV; None without a CV."""
    return None if cv == 0 else (tea - abs(bias)) / cv


def qgi(bias: Decimal, cv: Decimal) -> Decimal | None:
    """Quality goal index |bias| / (1.5 CV); None without a CV."""
    return None if cv == 0 else abs(bias) / (Decimal("1.5") * cv)


def fault(index: Decimal) -> Fault:
    """< 0.8 imprecision, 0.8 to 1.2 both, > 1.2 bias."""
    if index < Decimal("0.8"):
        return Fault.IMPRECISION
    return Fault.BIAS if index > Decimal("1.2") else Fault.BOTH


def cv_goal(standard: Decimal | None, tea: Decimal | None) -> Decimal | None:
    """The standard's CV (WS/T 403) where there is one, else TEa/3."""
    return standard if standard is not None else None if tea is None else tea / 3


def recall_needed(before: Decimal, again: Decimal, allowed: Decimal) -> bool:
    """Whether a re-examined value differs by more than half the error allowed at it (strictly): then the report must be recalled (M11)."""
    return abs(again - before) > allowed / 2
