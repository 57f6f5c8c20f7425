"""A slow, obvious second reading of M11's control rules, written from the spec alone: no sharing with cloud.modules.qc.westgard.

A history is a list of runs; a run is a dict level → (z, epoch, frozen). Answers are a set of (rule, level or None).
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

Cell = tuple[Decimal, int, bool]
History = list[dict[int, Cell]]


def usable_column(history: History, level: int, freeze: str) -> list[Decimal]:
    """The z of a level, oldest first, that may be counted together with the newest one."""
    cells = [run[level] for run in history if level in run]
    newest, rest = cells[-1], cells[:-1]
    out = [newest[0]]
    for z, epoch, frozen in reversed(rest):
        if epoch != newest[1]:
            break
        if frozen and freeze == "breaks":
            break
        if frozen and freeze == "skipped":
            continue
        out.insert(0, z)
    return out


def usable_table(history: History, freeze: str) -> list[list[Decimal]]:
    """Whole runs like the newest one, oldest first, each as its z values by level."""
    newest = history[-1]
    out = [[newest[k][0] for k in sorted(newest)]]
    for run in reversed(history[:-1]):
        if sorted(run) != sorted(newest):
            break
        if any(run[k][1] != newest[k][1] for k in newest):
            break
        if any(run[k][2] for k in run) and freeze == "breaks":
            break
        if any(run[k][2] for k in run) and freeze == "skipped":
            continue
        out.insert(0, [run[k][0] for k in sorted(run)])
    return out


def all_above(zs: list[Decimal], limit: int) -> bool:
    return all(z > limit for z in zs)


def all_below(zs: list[Decimal], limit: int) -> bool:
    return all(z < -limit for z in zs)


def one_side(zs: list[Decimal], limit: int) -> bool:
    return all_above(zs, limit) or all_below(zs, limit)


def broken(history: History, freeze: str = "breaks") -> set[tuple[str, int | None]]:
    """Every rule the newest run breaks, all rules switched on."""
    newest = history[-1]
    levels = sorted(newest)
    here = [newest[k][0] for k in levels]
    three = len(levels) == 3
    out: set[tuple[str, int | None]] = set()
    for k in levels:
        z = newest[k][0]
        column = usable_column(history, k, freeze)
        if z > 2 or z < -2:
            out.add(("1-2s", k))
        if z > 3 or z < -3:
            out.add(("1-3s", k))
        if len(column) >= 2 and one_side(column[-2:], 2):
            out.add(("2-2s", k))
        if len(column) >= 4 and one_side(column[-4:], 1):
            out.add(("4-1s", k))
        if three and len(column) >= 3 and one_side(column[-3:], 1):
            out.add(("3-1s", k))
        for name, n in (("6x", 6), ("8x", 8), ("9x", 9), ("10x", 10), ("12x", 12)):
            if name in ("6x", "9x") and not three:
                continue
            if len(column) >= n and one_side(column[-n:], 0):
                out.add((name, k))
        if len(column) >= 7:
            last = column[-7:]
            if all(a < b for a, b in pairwise(last)) or all(a > b for a, b in pairwise(last)):
                out.add(("7T", k))
    above, below = [z for z in here if z > 2], [z for z in here if z < -2]
    if len(above) >= 2 or len(below) >= 2:
        out.add(("2-2s", None))
        if three:
            out.add(("2of3-2s", None))
    if above and below:
        out.add(("R-4s", None))
    if max(here) - min(here) > 4:
        out.add(("R-range4", None))
    table = usable_table(history, freeze)
    if len(levels) == 2 and len(table) >= 2 and one_side(table[-1] + table[-2], 1):
        out.add(("4-1s", None))
    if three and one_side(here, 1):
        out.add(("3-1s", None))
    for name, n in (("6x", 6), ("8x", 8), ("9x", 9), ("10x", 10), ("12x", 12)):
        if len(levels) < 2 or n % len(levels) or (name in ("6x", "9x") and not three):
            continue
        need = n // len(levels)
        if len(table) >= need and one_side([z for row in table[-need:] for z in row], 0):
            out.add((name, None))
    return out
