"""Westgard multirules over z-scores, each defined strictly (M11; WS/T 641—2018 names the same set). Pure.

A run is all levels measured together. A rule speaks about the newest run only: a violation always has a point of it. "Consecutive" means
consecutive measurements of one level, or whole consecutive runs across levels. ``z`` = (x - mean) / SD of that level, lot and analyzer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Rule(StrEnum):
    """Control rules."""

    R1_2S = "1-2s"
    R1_3S = "1-3s"
    R2_2S = "2-2s"
    R_4S = "R-4s"
    R_RANGE4 = "R-range4"
    R4_1S = "4-1s"
    R8X = "8x"
    R10X = "10x"
    R12X = "12x"
    R2OF3_2S = "2of3-2s"
    R3_1S = "3-1s"
    R6X = "6x"
    R9X = "9x"
    R7T = "7T"


WORDS: Mapping[Rule, str] = {
    Rule.R1_2S: "一点超出 ±2SD",
    Rule.R1_3S: "一点超出 ±3SD",
    Rule.R2_2S: "两点同侧超出 2SD",
    Rule.R_4S: "同批一点超 +2SD、另一点超 -2SD",
    Rule.R_RANGE4: "同批两点相差超过 4SD",
    Rule.R4_1S: "连续四点同侧超出 1SD",
    Rule.R8X: "连续 8 点在均值同侧",
    Rule.R10X: "连续 10 点在均值同侧",
    Rule.R12X: "连续 12 点在均值同侧",
    Rule.R2OF3_2S: "三个水平中两个同侧超出 2SD",
    Rule.R3_1S: "连续三点同侧超出 1SD",
    Rule.R6X: "连续 6 点在均值同侧",
    Rule.R9X: "连续 9 点在均值同侧",
    Rule.R7T: "连续 7 点单向升高或降低",
}
DEFAULT_RULES = (Rule.R1_2S, Rule.R1_3S, Rule.R2_2S, Rule.R_4S, Rule.R4_1S, Rule.R10X)
DEFAULT_WARNINGS = frozenset({Rule.R1_2S})
SAME_SIDE = {Rule.R6X: 6, Rule.R8X: 8, Rule.R9X: 9, Rule.R10X: 10, Rule.R12X: 12}
# 2of3-2s, 3-1s, 6x and 9x belong to sets of three levels.
THREE_LEVELS = frozenset({Rule.R2OF3_2S, Rule.R3_1S, Rule.R6X, Rule.R9X})
LOOK_BACK = 12
"""No rule looks at more measurements of a level than this."""


class Scope(StrEnum):
    """Whether a rule was broken by one level or by several together."""

    LEVEL = "level"
    ACROSS = "across"


class Freeze(StrEnum):
    """What a point of an earlier rejection does to a count (F20): laboratories differ."""

    OFF = "off"
    BREAKS = "breaks"
    SKIPPED = "skipped"


class Severity(StrEnum):
    """What a broken rule does."""

    WARNING = "warning"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement. Look-back ends where ``epoch`` changes (target, lot or a restart after a closed OOC); ``frozen``: it took part in
    a rejection."""

    run: int
    level: int
    z: Decimal
    epoch: int = 0
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule: at which level (None across levels), and the points, oldest first."""

    rule: Rule
    scope: Scope
    level: int | None
    points: tuple[Point, ...]


Run = Sequence[Point]
_Test = Callable[[Sequence[Point]], bool]


def evaluate(history: Sequence[Run], rules: Collection[Rule], freeze: Freeze = Freeze.BREAKS) -> tuple[Violation, ...]:
    """What the newest run (the last of ``history``, oldest first) breaks, in the order of ``Rule``. No runs, no violations."""
    if not history or not history[-1]:
        return ()
    current = sorted(history[-1], key=lambda p: p.level)
    found: list[Violation] = []
    for rule in Rule:
        if rule in rules:
            found += _RULES[rule](rule, current, history, freeze)
    return tuple(found)


def severity(rule: Rule, warnings: Collection[Rule]) -> Severity:
    """Whether a rule of a plan warns or rejects."""
    return Severity.WARNING if rule in warnings else Severity.REJECT


def rules_for_sigma(sigma: Decimal) -> tuple[Rule, ...]:
    """The rule set a method of this sigma needs (M11): the better the method, the fewer rules."""
    chosen = [Rule.R1_3S]
    if sigma < 6:
        chosen += [Rule.R2_2S, Rule.R_4S]
    if sigma < 5:
        chosen.append(Rule.R4_1S)
    if sigma < 4:
        chosen.append(Rule.R8X)
    return tuple(chosen)


# --- what a rule looks at -------------------------------------------------------------------------------------------


def _chain(level: int, history: Sequence[Run], freeze: Freeze) -> list[Point]:
    """Measurements of a level, newest first, as far back as a rule may look."""
    out: list[Point] = []
    for run in reversed(history):
        point = next((p for p in run if p.level == level), None)
        if point is None:
            continue
        if out and point.epoch != out[0].epoch:
            break
        if out and point.frozen and freeze is not Freeze.OFF:
            if freeze is Freeze.BREAKS:
                break
            continue
        out.append(point)
    return out[:LOOK_BACK]


def _whole_runs(current: Sequence[Point], history: Sequence[Run], freeze: Freeze) -> list[Sequence[Point]]:
    """Runs with the same levels and epochs as the newest one, newest first, until one differs."""
    wanted = {p.level: p.epoch for p in current}
    out: list[Sequence[Point]] = [current]
    for run in list(reversed(history))[1:]:
        if {p.level: p.epoch for p in run} != wanted:
            break
        if freeze is not Freeze.OFF and any(p.frozen for p in run):
            if freeze is Freeze.BREAKS:
                break
            continue
        out.append(sorted(run, key=lambda p: p.level))
    return out


def _same_side(points: Iterable[Point], limit: int) -> bool:
    """All strictly beyond the same limit; with limit 0 strictly on one side of the mean, so that z = 0 breaks it."""
    zs = [p.z for p in points]
    return all(z > limit for z in zs) or all(z < -limit for z in zs)


def _within(rule: Rule, current: Run, history: Sequence[Run], freeze: Freeze, n: int, holds: _Test) -> list[Violation]:
    out = []
    for point in current:
        last = _chain(point.level, history, freeze)[:n]
        if len(last) == n and holds(last):
            out.append(Violation(rule, Scope.LEVEL, point.level, tuple(reversed(last))))
    return out


def _across(rule: Rule, current: Run, history: Sequence[Run], freeze: Freeze, n: int, limit: int) -> list[Violation]:
    """The last ``n`` measurements of whole runs; only for as many levels as divide n evenly, and at least two."""
    levels = len(current)
    if levels < 2 or n % levels:
        return []
    runs = _whole_runs(current, history, freeze)[: n // levels]
    points = [p for run in reversed(runs) for p in run]
    if len(points) == n and _same_side(points, limit):
        return [Violation(rule, Scope.ACROSS, None, tuple(points))]
    return []


# --- the rules ------------------------------------------------------------------------------------------------------


def _beyond(limit: int) -> Callable[..., list[Violation]]:
    def check(rule: Rule, current: Run, history: Sequence[Run], freeze: Freeze) -> list[Violation]:
        return [Violation(rule, Scope.LEVEL, p.level, (p,)) for p in current if abs(p.z) > limit]

    return check


def _two_two(rule: Rule, current: Run, history: Sequence[Run], freeze: Freeze) -> list[Violation]:
    out = _within(rule, current, history, freeze, 2, lambda ps: _same_side(ps, 2))
    for side in (1, -1):
        beyond = tuple(p for p in current if p.z * side > 2)
        if len(beyond) >= 2:
            out.append(Violation(rule, Scope.ACROSS, None, beyond))
    return out


def _r4(rule: Rule, current: Run, history: Sequence[Run], freeze: Freeze) -> list[Violation]:
    """Within one run only: one level beyond +2 and another beyond -2."""
    high, low = max(current, key=lambda p: p.z), min(current, key=lambda p: p.z)
    return [Violation(rule, Scope.ACROSS, None, (low, high))] if high.z > 2 and low.z < -2 else []


def _range4(rule: Rule, current: Run, history: Sequence[Run], freeze: Freeze) -> list[Violation]:
    high, low = max(current, key=lambda p: p.z), min(current, key=lambda p: p.z)
    return [Violation(rule, Scope.ACROSS, None, (low, high))] if high.z - low.z > 4 else []


def _four_one(rule: Rule, current: Run, history: Sequence[Run], freeze: Freeze) -> list[Violation]:
    out = _within(rule, current, history, freeze, 4, lambda ps: _same_side(ps, 1))
    # Across: two levels in two runs; other numbers of levels have their own rules.
    return out + (_across(rule, current, history, freeze, 4, 1) if len(current) == 2 else [])


def _three_one(rule: Rule, current: Run, history: Sequence[Run], freeze: Freeze) -> list[Violation]:
    if len(current) != 3:
        return []
    within = _within(rule, current, history, freeze, 3, lambda ps: _same_side(ps, 1))
    return within + _across(rule, current, history, freeze, 3, 1)


def _two_of_three(rule: Rule, current: Run, history: Sequence[Run], freeze: Freeze) -> list[Violation]:
    if len(current) != 3:
        return []
    sides = (tuple(p for p in current if p.z * side > 2) for side in (1, -1))
    return [Violation(rule, Scope.ACROSS, None, beyond) for beyond in sides if len(beyond) >= 2]


def _n_x(rule: Rule, current: Run, history: Sequence[Run], freeze: Freeze) -> list[Violation]:
    if rule in THREE_LEVELS and len(current) != 3:
        return []
    n = SAME_SIDE[rule]
    within = _within(rule, current, history, freeze, n, lambda ps: _same_side(ps, 0))
    return within + _across(rule, current, history, freeze, n, 0)


def _trend(points: Sequence[Point]) -> bool:
    """Strictly one way; a tie breaks it."""
    steps = [a.z - b.z for a, b in zip(points, points[1:], strict=False)]
    return all(s > 0 for s in steps) or all(s < 0 for s in steps)


def _seven_t(rule: Rule, current: Run, history: Sequence[Run], freeze: Freeze) -> list[Violation]:
    return _within(rule, current, history, freeze, 7, _trend)


_RULES: Mapping[Rule, Callable[[Rule, Run, Sequence[Run], Freeze], list[Violation]]] = {
    Rule.R1_2S: _beyond(2),
    Rule.R1_3S: _beyond(3),
    Rule.R2_2S: _two_two,
    Rule.R_4S: _r4,
    Rule.R_RANGE4: _range4,
    Rule.R4_1S: _four_one,
    Rule.R8X: _n_x,
    Rule.R10X: _n_x,
    Rule.R12X: _n_x,
    Rule.R2OF3_2S: _two_of_three,
    Rule.R3_1S: _three_one,
    Rule.R6X: _n_x,
    Rule.R9X: _n_x,
    Rule.R7T: _seven_t,
}
