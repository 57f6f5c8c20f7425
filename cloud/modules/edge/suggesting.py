"""Items that a code of an analyzer could mean, each with its reason; a person decides. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cloud.modules.edge.comparing import factor_between


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
