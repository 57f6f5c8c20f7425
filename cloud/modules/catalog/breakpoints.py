"""Breakpoints of susceptibility testing: which row counts for an organism and a drug, and what it says of a MIC or a zone (M02, M13 R4).

Pure. CLSI: MIC S ≤ s, R ≥ r; zone S ≥ s, R ≤ r; what lies between is SDD up to ``sdd``, the rest I. EUCAST: R only beyond r (MIC > r,
zone < r), and I means susceptible at increased exposure. The figures are the laboratory's own; none is shipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from cloud.modules.catalog.rows import BreakpointRow, BreakpointSetRow
from common.say import Said, say

SCALE = tuple(Decimal(2) ** n for n in range(-9, 11))
"""The doubling dilutions from 0.001953125 to 1024 mg/l."""
SHORT = {Decimal(f"{exact:.{n}g}"): exact for exact in SCALE if exact < 1 for n in (3, 2, 1) if n > 1 or exact < Decimal("0.1")} | {
    Decimal("0.015"): Decimal("0.015625")
}
"""How dilutions are written: 0.06, 0.12, 0.25 …"""
ZONE = (Decimal(6), Decimal(50))
"""A disk is 6 mm; no zone is read beyond 50 mm."""
LEVELS = ("species", "complex", "genus", "group")
"""From the narrowest to the widest name a breakpoint may speak of."""


def dilution(value: Decimal) -> Decimal | None:
    """The exact doubling dilution that a written MIC means, or None for a number that is none."""
    return value if value in SCALE else SHORT.get(value)


def rounded_up(value: Decimal) -> Decimal:
    """A MIC read between two dilutions (a gradient strip) counts as the next higher one."""
    return dilution(value) or next((each for each in SCALE if each >= value), SCALE[-1])


def in_force(sets: Iterable[BreakpointSetRow], day: object) -> BreakpointSetRow | None:
    """The edition that interprets on a day: the one that came into force last; None before the first."""
    begun = [each for each in sets if each.active and each.effective <= day]  # type: ignore[operator]
    return max(begun, key=lambda each: (each.effective, each.id), default=None)


def choose(rows: Iterable[BreakpointRow], names: Sequence[str], drug: str, method: str, site: str = "") -> BreakpointRow | None:
    """The row of the narrowest name, and of the site before the general one. ``names``: species, complex, genus, group ("" unknown)."""
    fit = [
        each
        for each in rows
        if (each.drug, each.method) == (drug, method)
        and each.site in ("", site)
        and each.organism in (names[LEVELS.index(each.level)] if LEVELS.index(each.level) < len(names) else "",)
    ]
    return min(fit, key=lambda each: (LEVELS.index(each.level), each.site == ""), default=None)


def interpret(row: BreakpointRow, standard: str, value: Decimal, comparator: str = "") -> str | None:
    """S, SDD, I or R; None when an off-scale reading leaves it open ("≤v" above s, "≥v" below r) and a person must say.

    MIC: ``≤v`` is S if v ≤ s, else open; ``>v`` counts as the next doubling; ``≥v`` is R if v is, else open: it may be any higher one;
    between two dilutions the higher one.
    """
    if row.method == "disk":
        return _zone(row, standard, value)
    if comparator in ("<", "≤", "<="):
        return "S" if row.s is not None and value <= row.s else None
    mic = rounded_up(value)
    if comparator == ">":
        mic = min(2 * mic, SCALE[-1])
    if row.r is not None and (mic > row.r if standard == "EUCAST" else mic >= row.r):
        return "R"
    if comparator in ("≥", ">="):
        return None
    if row.s is not None and mic <= row.s:
        return "S"
    return _between(row, row.sdd is not None and mic <= row.sdd)


def _zone(row: BreakpointRow, standard: str, mm: Decimal) -> str | None:
    if row.s is not None and mm >= row.s:
        return "S"
    if row.r is not None and (mm < row.r if standard == "EUCAST" else mm <= row.r):
        return "R"
    return _between(row, row.sdd is not None and mm >= row.sdd)


def _between(row: BreakpointRow, dependent: bool) -> str | None:
    if dependent:
        return "SDD"
    # Where only "susceptible" is defined, anything else is not susceptible: no category of ours.
    return "I" if row.r is not None else None


def problems(method: str, standard: str, s: Decimal | None, sdd: Decimal | None, r: Decimal | None) -> list[Said]:
    """Why figures cannot be breakpoints, in sentences."""
    if s is None and r is None:
        return [say("敏感和耐药界限至少填写一项。")]
    given = [each for each in (s, sdd, r) if each is not None]
    if method == "disk":
        out = [say("抑菌圈 {mm} mm 不在 6–50 mm 之间。", mm=f"{each:f}") for each in given if not ZONE[0] <= each <= ZONE[1]]
        order = [each for each in (r, sdd, s) if each is not None]
    else:
        out = [
            say("MIC {mic} 不是倍比稀释值，例如 0.12、0.25、0.5、1、2、4。", mic=f"{each:f}") for each in given if dilution(each) is None
        ]
        order = [each for each in (s, sdd, r) if each is not None]
    equal_allowed = standard == "EUCAST" and s == r and sdd is None
    if any(a >= b for a, b in zip(order, order[1:], strict=False)) and not equal_allowed:
        what = say("抑菌圈应为：耐药 < 剂量依赖 < 敏感") if method == "disk" else say("MIC 应为：敏感 < 剂量依赖 < 耐药")
        out.append(say("界限的次序不对（{what}），请核对。", what=what))
    if standard == "EUCAST" and sdd is not None:
        out.append(say("EUCAST 没有剂量依赖（SDD）一类，请留空。"))
    return out
