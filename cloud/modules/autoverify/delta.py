"""Delta check (M08, EP33): absolute, percent, rate, percent rate and reference change value against the latest released value. Pure.

All on unrounded values, all comparisons strict: a change equal to the limit passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from cloud.modules.autoverify.case import Delta, Failure, Item, Prior

HOUR = Decimal(3600)
PER = {"h": HOUR, "d": HOUR * 24}
CODES = {"absolute": "DELTA_ABS", "percent": "DELTA_PCT", "rate": "DELTA_RATE", "percent_rate": "DELTA_PCT_RATE", "rcv": "DELTA_RCV"}
RELATIVE = frozenset({"percent", "percent_rate", "rcv"})


@dataclass(frozen=True, slots=True)
class Measured:
    """What one rule found: the change and its limit, in the rule's unit."""

    change: Decimal
    limit: Decimal

    @property
    def failed(self) -> bool:
        """Strictly beyond."""
        return self.change > self.limit


def rcv(cva: Decimal, cvi: Decimal, z: Decimal) -> Decimal:
    """Reference change value in %: √2·Z·√(CVa²+CVi²) (F9)."""
    return Decimal(2).sqrt() * z * (cva * cva + cvi * cvi).sqrt()


def previous(item: Item, at: datetime, window_h: int) -> Prior | None:
    """The latest released value inside the window (its edge included) by a comparable method."""
    for prior in item.priors:
        if at - timedelta(hours=window_h) <= prior.at < at and prior.method == item.method:
            return prior
    return None


def measure(rule: Delta, item: Item, prior: Prior, at: datetime) -> Measured | None:
    """The change by one rule; None: not evaluable (a limit instead of a number, previous value 0, no time between)."""
    if item.value is None or item.comparator or prior.value is None or prior.comparator:
        return None
    diff = item.value - prior.value
    change = abs(diff)
    if rule.kind in RELATIVE:
        if prior.value == 0:
            return None
        change = 100 * change / abs(prior.value)
    if rule.kind in ("rate", "percent_rate"):
        change = change * PER[rule.per] / Decimal((at - prior.at).total_seconds())
    limit = _limit(rule, diff)
    return Measured(change, limit) if limit is not None else Measured(Decimal(0), Decimal(1))


def _limit(rule: Delta, diff: Decimal) -> Decimal | None:
    if rule.kind == "rcv":
        return rcv(rule.cva or Decimal(0), rule.cvi or Decimal(0), rule.z)  # a missing CV makes it stricter
    return rule.up if diff > 0 else rule.down


def check(item: Item, rules: Sequence[Delta], at: datetime) -> list[Failure]:
    """What fails: a group of rules fails when all of its rules fail."""
    out = []
    for group in sorted({rule.group for rule in rules}):
        out += _group(item, [rule for rule in rules if rule.group == group], at)
    return out


def _group(item: Item, rules: Sequence[Delta], at: datetime) -> list[Failure]:
    """One rule that nothing can be compared by, or that the change keeps to, lets the group pass, in whatever order they stand; only what
    is left then is held for not being evaluable."""
    measured: list[tuple[Delta, Measured | None]] = []
    for rule in rules:
        prior = previous(item, at, rule.window_h)
        if prior is None:
            return []
        measured.append((rule, measure(rule, item, prior, at)))
    if any(found is not None and not found.failed for _, found in measured):
        return []
    unclear = [rule for rule, found in measured if found is None]
    if unclear:
        return [Failure(9, "DELTA_NE", item.code)] if any(rule.not_evaluable == "hold" for rule in unclear) else []
    parts = [f"{CODES[rule.kind]} {item.code} {figures(rule, found)}" for rule, found in measured if found is not None]
    joined = " & ".join(parts)
    code, _, rest = joined.partition(" ")
    return [Failure(9, code, item.code, rest.partition(" ")[2])]


def closeness(item: Item, rules: Sequence[Delta], at: datetime) -> Decimal:
    """How near the item is to failing: change ÷ limit of its worst group (of its mildest rule there); 0 when nothing can be compared."""
    worst = Decimal(0)
    for group in {rule.group for rule in rules}:
        ratios = [_ratio(item, rule, at) for rule in rules if rule.group == group]
        worst = max(worst, min(ratios))
    return worst


def _ratio(item: Item, rule: Delta, at: datetime) -> Decimal:
    prior = previous(item, at, rule.window_h)
    found = None if prior is None else measure(rule, item, prior, at)
    return Decimal(0) if found is None or found.limit <= 0 else found.change / found.limit


def figures(rule: Delta, found: Measured) -> str:
    """``75.0>50``, ``20.0>15/d``: with as many digits as it takes to see that it is more."""
    places = 2 if rule.kind == "rcv" else 1
    limit = found.limit.quantize(Decimal("0.01")) if rule.kind == "rcv" else found.limit
    change = found.change.quantize(Decimal(1).scaleb(-places))
    while change <= limit and places < 9:
        places += 1
        change = found.change.quantize(Decimal(1).scaleb(-places))
    per = f"/{rule.per}" if rule.kind in ("rate", "percent_rate") else ""
    return f"{change:f}>{limit:f}{per}"
