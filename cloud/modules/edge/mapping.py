"""What an analyzer's codes mean: suggestions, versions under change control, comparison with the analyzer's print-out. Pure.

A version goes draft → tested → approved → active → retired (M02, C8). Two people other than its author approve it (C12), and a version
whose values were not compared with the print-out cannot become tested (M27 R2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

from common.values import Value, ValueKind, parse, plain, rounded

APPROVALS = 2
SLIP = Decimal(5)
"""Units of one quantity differ by ten and more; no correction of a method does."""


class State(StrEnum):
    """A mapping version's place in change control."""

    DRAFT = "draft"
    TESTED = "tested"
    APPROVED = "approved"
    ACTIVE = "active"
    RETIRED = "retired"
    REFUSED = "refused"


MOVES = {
    State.DRAFT: frozenset({State.TESTED, State.REFUSED}),
    State.TESTED: frozenset({State.DRAFT, State.APPROVED, State.REFUSED}),
    State.APPROVED: frozenset({State.DRAFT, State.ACTIVE, State.REFUSED}),
    State.ACTIVE: frozenset({State.RETIRED}),
    State.RETIRED: frozenset[State](),
    State.REFUSED: frozenset[State](),
}
OPEN = (State.DRAFT, State.TESTED, State.APPROVED)
WORDS = {
    State.DRAFT: "草稿", State.TESTED: "已试验", State.APPROVED: "已批准", State.ACTIVE: "使用中", State.RETIRED: "已停用",
    State.REFUSED: "已退回",
}  # fmt: skip


def may_move(state: State, to: State) -> bool:
    """Whether the table allows the move."""
    return to in MOVES[state]


@dataclass(frozen=True, slots=True)
class Row:
    """One code of an analyzer: reported = sent · factor + offset. ``item_id`` None: nobody said yet what it means."""

    code: str
    item_id: int | None
    factor: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    unit: str = ""
    """The unit the analyzer sends, for the eye and the unit check."""

    def to_json(self) -> dict[str, Any]:
        """As stored; numbers as text, so that none is rounded."""
        return {"code": self.code, "item_id": self.item_id, "factor": str(self.factor), "offset": str(self.offset), "unit": self.unit}


def row_of(value: Mapping[str, Any]) -> Row:
    """A stored row."""
    return Row(value["code"], value["item_id"], Decimal(value["factor"]), Decimal(value["offset"]), value.get("unit", ""))


def number_of(text: str, default: Decimal) -> Decimal | None:
    """A factor or offset as typed; blank is the default, None when it is no number."""
    value = parse(text)
    if not text.strip():
        return default
    return value.number if value.kind is ValueKind.NUMBER and not value.comparator else None


@dataclass(frozen=True, slots=True)
class Item:
    """An item as the suggestions need it."""

    id: int
    code: str
    wst886: str
    names: tuple[str, ...]
    unit: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An item a code could mean, with the reason in words. ``sure``: a person may take it at once, having looked."""

    item_id: int
    why: str
    score: int

    @property
    def sure(self) -> bool:
        """Equal by code, not only alike."""
        return self.score >= SURE


SURE = 80
WHY = {"wst886": "WS/T 886 代码相同", "code": "代码相同", "name": "名称相同", "alike": "代码相近"}


def suggest(code: str, name: str | None, unit: str | None, items: Sequence[Item], limit: int = 3) -> list[Suggestion]:
    """Items a code of an analyzer could mean, best first; of equals the one with the analyzer's unit. Never applied by itself."""
    parts = {p for p in (_fold(code), _fold(name or ""), *(_fold(p) for p in re.split(r"[\^/\\&]", code))) if p}
    found = []
    for item in items:
        score, why = _score(parts, item)
        if score:
            same = bool(unit) and factor_between(unit or "", item.unit) == 1
            other = bool(unit) and bool(item.unit) and factor_between(unit or "", item.unit) is None
            found.append(Suggestion(item.id, WHY[why], score + (5 if same else -5 if other else 0)))
    return sorted(found, key=lambda s: (-s.score, s.item_id))[:limit]


def _score(parts: set[str], item: Item) -> tuple[int, str]:
    if item.wst886 and _fold(item.wst886) in parts:
        return 100, "wst886"
    if _fold(item.code) in parts:
        return 95, "code"
    names = {_fold(n) for n in item.names if n}
    if parts & names:
        return 90, "name"
    near = {_fold(item.code), *names}
    if any(_alike(p, n) for p in parts for n in near if len(n) >= 2):
        return 50, "alike"
    return 0, ""


def _alike(said: str, known: str) -> bool:
    """One begins with the other and what is left says nothing about kind (``GLU2`` is GLU; ``NEU%`` is never ``NEU#``)."""
    long, short = (said, known) if len(said) >= len(known) else (known, said)
    rest = long[len(short) :]
    return len(short) >= 2 and long.startswith(short) and len(rest) <= 3 and not set(rest) & set("%#")


def _fold(text: str) -> str:
    return "".join(c for c in text.replace("％", "%").replace("＃", "#") if c.isalnum() or c in "%#").casefold()


# --- units -----------------------------------------------------------------------------------------------------------

_PREFIX = {"": 0, "k": 3, "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15}
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


def _plain(unit: str) -> str:
    text = unit.strip().replace("µ", "u").replace("μ", "u").replace("×", "").replace("x10", "10").replace(" ", "")
    return text.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")).lower().replace("10e", "10^").replace("10*", "10^")


def _power(unit: str) -> tuple[str, int] | None:
    match = _UNIT.fullmatch(unit)
    if match is None:
        return None
    ten, prefix, base, _percent, litre = match.groups()
    if base is None and ten is None:
        return None
    kind = "count" if ten is not None or (base or "").startswith("cell") else base.replace("iu", "u")
    return kind, (int(ten) if ten is not None else _PREFIX[prefix]) - _PREFIX[litre]


# --- the print-out ---------------------------------------------------------------------------------------------------


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


# --- may it go on? ---------------------------------------------------------------------------------------------------

LEVELS = ("low", "normal", "high")
LEVEL_WORDS = {"low": "低", "normal": "正常", "high": "高", "": "定性"}


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


def row_problems(rows: Sequence[Row]) -> list[str]:
    """What cannot stand in one version: a code twice, a factor of nothing."""
    codes = [r.code for r in rows]
    found = [f"代码 {c} 出现两次" for c in dict.fromkeys(codes) if codes.count(c) > 1]
    found += [f"代码 {r.code} 的系数不能为 0" for r in rows if r.factor == 0]
    of_item: dict[int, list[str]] = {}
    for row in rows:
        if row.item_id is not None:
            of_item.setdefault(row.item_id, []).append(row.code)
    found += [f"两个代码对照到同一项目：{'、'.join(same)}" for same in of_item.values() if len(same) > 1]
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions."""

    code: str
    before: Row | None
    after: Row | None


def changes(old: Iterable[Row], new: Iterable[Row]) -> list[Change]:
    """Codes that mean something else in the new version, in the order of the codes."""
    a, b = ({r.code: r for r in rows if r.item_id is not None} for rows in (old, new))
    keys = sorted(a.keys() | b.keys())
    return [Change(k, a.get(k), b.get(k)) for k in keys if _meaning(a.get(k)) != _meaning(b.get(k))]


def _meaning(row: Row | None) -> tuple[int | None, Decimal, Decimal] | None:
    return None if row is None else (row.item_id, row.factor, row.offset)
