"""The analyzer's print-out against the value here: units and the arithmetic between them, differences, what a record lacks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from cloud.modules.edge.mapping import Row
from common.values import Value, parse, plain, rounded

SLIP = Decimal(5)
"""Units of one quantity differ by ten and more; no correction of a method does."""

_PREFIX = {"": 0, "k": 3, "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15}

_SHARES = {"%": -2, "‰": -3, "l/l": 0, "ml/dl": -2, "ml/l": -3}
"""A share of a volume or a count (haematocrit, reticulocytes). Not mmol/mol: HbA1c in it is another scale than in percent."""

_UNIT = re.compile(r"(?:10(?:\^|\*)?(\d+)|([kdcmunpf]?)(mol|g|iu|u|kat|cells?)|(%))/([dcmunpf]?)l")


@lru_cache(maxsize=4096)
def factor_between(said: str, wanted: str) -> Decimal | None:
    """What a number in ``said`` is multiplied by to stand in ``wanted``; None when nobody can say (mass to amount, unknown unit)."""
    a, b = _plain(said), _plain(wanted)
    if a == b:
        return Decimal(1)
    one, two = _power(a), _power(b)
    if one is None or two is None or one[0] != two[0]:
        return None
    return Decimal(1).scaleb(one[1] - two[1])


def unit_slip(said: str | None, wanted: str, factor: Decimal) -> Decimal | None:
    """What a number in the unit the analyzer says would be multiplied by, where the channel's ``factor`` is another order of magnitude.

    None where the two agree or nobody can say. A factor near one corrects a method (a site's own calibration), it converts no unit.
    """
    right = None if not said or not wanted or not factor else factor_between(said, wanted)
    if right is None:
        return None
    ratio = right / factor
    return right if ratio >= SLIP or ratio <= 1 / SLIP else None


def other_unit(said: str | None, set_up: str, wanted: str, factor: Decimal) -> str | None:
    """The unit that ``said`` does not agree with, or None: what the channel was set up for; without that, the item's where mass is read
    as amount of substance (or the other way round) by a factor of one, which no two units of them have."""
    if not said:
        return None
    if set_up:
        return None if factor_between(said, set_up) == 1 else set_up
    one, two = _power(_plain(said)), _power(_plain(wanted))
    return wanted if factor == 1 and one and two and {one[0], two[0]} == {"g", "mol"} else None


def _plain(unit: str) -> str:
    text = unit.strip().replace("µ", "u").replace("μ", "u").replace("×", "").replace("x10", "10").replace(" ", "")
    return text.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")).lower().replace("10e", "10^").replace("10*", "10^")


def _power(unit: str) -> tuple[str, int] | None:
    if unit in _SHARES:
        return "share", _SHARES[unit]
    match = _UNIT.fullmatch(unit)
    if match is None:
        return None
    ten, prefix, base, _percent, litre = match.groups()
    if base is None and ten is None:
        return None
    kind = "count" if ten is not None or (base or "").startswith("cell") else base.replace("iu", "u")
    return kind, (int(ten) if ten is not None else _PREFIX[prefix]) - _PREFIX[litre]


@dataclass(frozen=True, slots=True)
class Compared:
    """One typed value against the value here. ``why`` names the difference; empty when equal."""

    equal: bool
    why: str = ""


def compare(here: str, printed: str, print_unit: str, item_unit: str) -> Compared:
    """Compare what the laboratory would report with what the analyzer printed in its own unit.

    The unit conversion is ours, not the mapping's: a wrong factor in the mapping shows as a difference (AC-PJ-1).
    """
    if not printed.strip():
        return Compared(False, "未填写打印值")
    a, b = parse(here), parse(printed)
    if a.number is None or b.number is None or a.kind is not b.kind:
        return Compared(True) if _same_text(a, b) else Compared(False, f"打印“{printed.strip()}”，系统“{here.strip()}”")
    if a.comparator != b.comparator:
        return Compared(False, f"打印“{printed.strip()}”，系统“{here.strip()}”：比较符号不同")
    factor = factor_between(print_unit, item_unit) if print_unit.strip() and item_unit.strip() else Decimal(1)
    if factor is None:
        return Compared(False, f"单位 {print_unit} 与 {item_unit} 不能换算，请按 {item_unit} 填写打印值并选同一单位")
    wanted = b.number * factor
    # The value here is rounded to the item's decimals; the print-out may show more of them.
    places = max(0, -int(a.number.as_tuple().exponent))
    if a.number in (wanted, rounded(wanted, places)):
        return Compared(True)
    return Compared(False, _difference(a.number, wanted, item_unit))


def _same_text(a: Value, b: Value) -> bool:
    if a.missing or b.missing:
        return a.missing and b.missing
    return "".join(a.text.split()).casefold() == "".join(b.text.split()).casefold() or (a.grade is not None and a.grade == b.grade)


def _difference(here: Decimal, wanted: Decimal, unit: str) -> str:
    said = f"按打印值应为 {plain(wanted.normalize())}，系统为 {plain(here)} {unit}".rstrip()
    if not (wanted and here):
        return said
    ratio = here / wanted
    for power in (1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6):
        ten = Decimal(1).scaleb(power)
        if abs(ratio - ten) <= ten / 100:
            return f"{said}：{'大' if power > 0 else '小'}了 {10 ** abs(power)} 倍，请核对单位和系数"
    return said


LEVELS = ("low", "normal", "high")

LEVEL_WORDS = {"low": "低", "normal": "正常", "high": "高", "": "定性"}


def likely_level(here: str, intervals: Iterable[tuple[Decimal | None, Decimal | None]]) -> str:
    """Low or high where a value lies beyond every one of an item's reference intervals (age and sex of a recording are not known)."""
    number, both = parse(here).number, list(intervals)
    lows, highs = [low for low, _ in both if low is not None], [high for _, high in both if high is not None]
    if number is None:
        return "normal"
    return "low" if lows and number < min(lows) else "high" if highs and number > max(highs) else "normal"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the acceptance record, as the rules need it."""

    item_id: int
    level: str
    equal: bool


def test_problems(rows: Sequence[Row], checks: Iterable[Check]) -> list[tuple[int, str]]:
    """What keeps a version from being tested: (item, why). Every mapped item is compared at least once, and none differs."""
    done = list(checks)
    found = [(r.item_id, "未与打印值比对") for r in rows if r.item_id is not None and not any(c.item_id == r.item_id for c in done)]
    found += [(item, "与打印值不符") for item in dict.fromkeys(c.item_id for c in done if not c.equal)]
    return found


def acceptance_problems(rows: Sequence[Row], checks: Iterable[Check], numeric: frozenset[int]) -> list[tuple[int, str]]:
    """What keeps the record from being signed: beside the above, a low, a normal and a high sample of every numeric item (M27 R2)."""
    done = list(checks)
    found = test_problems(rows, done)
    for item in dict.fromkeys(r.item_id for r in rows if r.item_id is not None and r.item_id in numeric):
        have = {c.level for c in done if c.item_id == item}
        lacking = [LEVEL_WORDS[level] for level in LEVELS if level not in have]
        if have and lacking:
            found.append((item, f"缺{'、'.join(lacking)}值标本"))
    return found
