"""WS/T 886—2026 codes of items: which are missing or malformed, and what fits. Pure.

The standard's list of 399 codes is not in this repository (no third-party text is): the hospital loads its own copy (code and name a
line). Suggestions come from that list and from the hospital's own coded items with names alike; somebody confirms each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from cloud.modules.catalog.kind_checks import WST886
from cloud.modules.catalog.queries import Catalog, ItemRow
from common.say import Said, say

_ALIKE = 0.6
_SHOWN = 3
HEADS = {"代码": "code", "编码": "code", "code": "code", "名称": "name", "项目名称": "name", "name": "name", "备注": "note", "标本": "note"}


@dataclass(frozen=True, slots=True)
class Fit:
    """A code that may be an item's: how alike the names are in %, and whether it stands in the loaded list."""

    code: str
    name: str
    likeness: int
    listed: bool


@dataclass(frozen=True, slots=True)
class Missing:
    """An item in use without a code, with what fits best."""

    item: ItemRow
    like: tuple[Fit, ...]

    @property
    def sure(self) -> bool:
        """One listed code has exactly the item's name."""
        return [f.likeness for f in self.like if f.listed].count(100) == 1 and self.like[0].likeness == 100


def missing(known: Catalog, listed: Mapping[str, str]) -> list[Missing]:
    """未对应清单, by section and print order. ``listed``: code → name of the hospital's copy of the standard."""
    own = {i.wst886_code: i.name for i in known.items.values() if i.wst886_code and i.wst886_code not in listed}
    taken = {i.wst886_code for i in known.items.values() if i.active and i.wst886_code}
    free = {code: name for code, name in listed.items() if code not in taken}
    return [Missing(i, _like(i, free, own)) for i in known.search_items("") if i.active and not i.wst886_code]


def _like(item: ItemRow, free: Mapping[str, str], own: Mapping[str, str]) -> tuple[Fit, ...]:
    found = [Fit(code, name, _alike(item, name), True) for code, name in free.items()]
    found += [Fit(code, name, _alike(item, name), False) for code, name in own.items()]
    best = sorted((f for f in found if f.likeness >= 100 * _ALIKE), key=lambda f: (-f.likeness, not f.listed, f.code))
    return tuple(best[:_SHOWN])


def _alike(item: ItemRow, name: str) -> int:
    names = {n for n in (item.name, item.report_name) if n}
    return max(int(100 * SequenceMatcher(None, n, name).ratio()) for n in names) if names else 0


def wrong(known: Catalog, listed: Mapping[str, str]) -> list[tuple[ItemRow, Said]]:
    """Items whose code is malformed, used by another item in use too, or not in the hospital's list (where it has one)."""
    used = Counter(each.wst886_code for each in known.items.values() if each.active and each.wst886_code)
    out = []
    for each in known.search_items(""):
        if not each.active or not each.wst886_code:
            continue
        if not WST886.fullmatch(each.wst886_code):
            out.append((each, say("格式应为 7 位数字加 A–D")))
        elif used[each.wst886_code] > 1:
            out.append((each, say("另有在用项目使用同一代码")))
        elif listed and each.wst886_code not in listed:
            out.append((each, say("不在已导入的标准代码表中")))
    return out


def read(lines: Sequence[Sequence[str]]) -> tuple[list[tuple[str, str, str]], list[tuple[int, Said]]]:
    """(code, name, note) of each line of a sheet, and everything wrong as (line of the sheet, sentence). All or nothing is the caller's."""
    if not lines:
        return [], [(1, say("文件是空的。"))]
    head = [HEADS.get(word.strip().lower()) for word in lines[0]]
    if "code" not in head or "name" not in head:
        return [], [(1, say("第一行要有“代码”和“名称”两列。"))]
    rows: list[tuple[str, str, str]] = []
    wrong_ones: list[tuple[int, Said]] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in line):
            continue
        code, name, note = (_cell(head, line, field) for field in ("code", "name", "note"))
        code = code.upper()
        problem = _problem(code, name, seen.get(code))
        if problem is not None:
            wrong_ones.append((number, problem))
        seen.setdefault(code, number)
        rows.append((code, name, note))
    return rows, wrong_ones if rows else [(1, say("文件里没有代码。"))]


def _cell(head: Sequence[str | None], line: Sequence[str], field: str) -> str:
    at = head.index(field) if field in head else -1
    return line[at].strip() if 0 <= at < len(line) else ""


def _problem(code: str, name: str, before: int | None) -> Said | None:
    if not WST886.fullmatch(code):
        return say("代码“{code}”应为 7 位数字加 A–D，例如 0100101A。", code=code)
    if before is not None:
        return say("代码 {code} 与第 {line} 行重复。", code=code, line=before)
    return None if name else say("代码 {code} 没有名称。", code=code)
