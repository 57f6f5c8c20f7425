"""Versions of what an analyzer's codes mean, under change control. Pure.

A version goes draft → tested → approved → active → retired (M02, C8). Two people other than its author approve it (C12), and a version
whose values were not compared with the print-out cannot become tested (M27 R2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from common.say import say
from common.values import number

APPROVALS = 2


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
    return number(text) if text.strip() else default


def row_problems(rows: Sequence[Row]) -> list[str]:
    """What cannot stand in one version: a code twice, a factor of nothing."""
    codes = [r.code for r in rows]
    found: list[str] = [say("代码 {c} 出现两次", c=c) for c in dict.fromkeys(codes) if codes.count(c) > 1]
    found += [say("代码 {code} 的系数不能为 0", code=r.code) for r in rows if r.factor == 0]
    of_item: dict[int, list[str]] = {}
    for row in rows:
        if row.item_id is not None:
            of_item.setdefault(row.item_id, []).append(row.code)
    found += [say("两个代码对照到同一项目：{same}", same=tuple(same)) for same in of_item.values() if len(same) > 1]
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
