"""WS/T 886—2026 codes of items: which are missing or malformed, and what fits. Pure over the catalog.

The standard's list of 399 codes is not in this repository (no third-party text is); a laboratory imports codes with its items.
Suggestions come from the hospital's own coded items with names alike; somebody compares them with the standard.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher

from cloud.modules.catalog.kind_checks import WST886
from cloud.modules.catalog.queries import Catalog, ItemRow

_ALIKE = 0.6
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Missing:
    """An item in use without a code, with the coded items whose names are most alike."""

    item: ItemRow
    like: tuple[tuple[ItemRow, int], ...]
    """(coded item, likeness in %)."""


def missing(known: Catalog) -> list[Missing]:
    """未对应清单, by section and print order."""
    coded = [each for each in known.items.values() if each.wst886_code]
    return [Missing(each, _like(each, coded)) for each in known.search_items("") if each.active and not each.wst886_code]


def _like(item: ItemRow, coded: list[ItemRow]) -> tuple[tuple[ItemRow, int], ...]:
    scored = [(other, int(100 * SequenceMatcher(None, item.name, other.name).ratio())) for other in coded]
    best = sorted((each for each in scored if each[1] >= 100 * _ALIKE), key=lambda each: -each[1])
    return tuple(best[:_SHOWN])


def wrong(known: Catalog) -> list[tuple[ItemRow, str]]:
    """Items whose code is malformed or used by another item in use too."""
    used = Counter(each.wst886_code for each in known.items.values() if each.active and each.wst886_code)
    out = []
    for each in known.search_items(""):
        if each.active and each.wst886_code and not WST886.fullmatch(each.wst886_code):
            out.append((each, "格式应为 7 位数字加 A–D"))
        elif each.active and each.wst886_code and used[each.wst886_code] > 1:
            out.append((each, "另有在用项目使用同一代码"))
    return out
