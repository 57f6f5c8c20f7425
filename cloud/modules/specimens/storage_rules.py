"""The archive's rules (M05 storage, ISO 15189 7.4.2): positions, what may be stored, how long it is kept, who signs a discard. Pure.

Positions are numbered from 0 along the rows; people read and type them as row letter and column, A1 first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cloud.modules.specimens.rules import IN_LAB, STATE_WORDS, State
from common.say import Said, say

MAX_ROWS, MAX_COLS = 26, 40
HOURS = {"": 168, "UR": 24}
"""[C] Hours a tube is kept after it was archived, by specimen type code; "" is every other type. A laboratory sets its own."""
OUT_LIMIT = timedelta(hours=24)
_POSITION = re.compile(r"([A-Z])0*([1-9][0-9]?)")

MAY_STORE = (IN_LAB - {State.REFERRED}) | {State.TESTED, State.REVIEWED, State.RELEASED, State.ARCHIVED}
"""A tube may stand in a rack before its report is out; archived it is only afterwards."""


def position(slot: int, cols: int) -> str:
    """Slot 0 of ten columns is A1, slot 10 is B1."""
    return f"{chr(ord('A') + slot // cols)}{slot % cols + 1}"


def slot_of(text: str, rows: int, cols: int) -> int | None:
    """The slot somebody typed or scanned as A1 or A01; None when it is no position of this rack."""
    found = _POSITION.fullmatch(text)
    if found is None:
        return None
    row, col = ord(found[1]) - ord("A"), int(found[2]) - 1
    return row * cols + col if row < rows and col < cols else None


def looks_like_position(text: str) -> bool:
    """Whether a scan names a position of some rack."""
    return _POSITION.fullmatch(text) is not None


def next_free(taken: Collection[int], size: int, after: int = -1) -> int | None:
    """The first free slot behind the last one filled, else the first free one; None when the rack is full."""
    order: Iterable[int] = (*range(after + 1, size), *range(min(after + 1, size)))
    return next((slot for slot in order if slot not in taken), None)


def following(taken: Collection[int], size: int, last: int | None) -> int | None:
    """Where the next tube goes: the place chosen when it is free, else the first free one behind the place filled last."""
    return last if last is not None and last not in taken else next_free(taken, size, -1 if last is None else last)


def store_problem(state: State) -> Said | None:
    """Why a tube may not be put into a rack, or None."""
    if state in MAY_STORE:
        return None
    if state in (State.REJECTED, State.CANCELLED, State.LOST, State.DISCARDED):
        return say("这管标本{state}，不能存入。请按医疗废物处理，或先查明情况。", state=STATE_WORDS[state])
    return say("这管标本{state}，还没有核收，不能存入。请先核收。", state=STATE_WORDS[state])


def keep_hours(own: Mapping[str, int], type_code: str) -> int:
    """Hours by the hospital's own table, else by the default."""
    table = {**HOURS, **own}
    return int(table.get(type_code, table[""]))


def keep_until(at: datetime, hours: int, sensitive: bool) -> datetime | None:
    """When a tube archived at ``at`` may be proposed for discard; None: never by itself (HIV, legal: a person decides)."""
    return None if sensitive else at + timedelta(hours=hours)


@dataclass(frozen=True, slots=True)
class Stay:
    """A stored tube as a discard is decided."""

    state: State
    keep_until: datetime | None
    hold: str
    out: bool
    told: bool = True
    """Its report, or its parent's, stands: none that was recalled, has open parts or awaits a confirmation."""


def discard_problem(stay: Stay, now: datetime) -> Said | None:
    """Why a stored tube may not be discarded, or None: archived, retention over, not held, its report not in question, and there."""
    if stay.out:
        return say("已取出，不在架上")
    if stay.state is not State.ARCHIVED:
        return say("标本{state}，尚未归档", state=STATE_WORDS[stay.state])
    if stay.hold:
        return say("延长保存：{why}", why=stay.hold)
    if not stay.told:
        return say("报告已召回、尚未发完或等待确证，可能还要用")
    if stay.keep_until is None:
        return say("敏感项目，须专人决定")
    return say("保存期未到") if stay.keep_until > now else None


class BatchState(StrEnum):
    """销毁单 from proposal to the second signature."""

    OPEN = "open"
    SIGNED = "signed"
    DONE = "done"
    CANCELLED = "cancelled"


B = BatchState
BATCH_WORDS = {B.OPEN: say("待第一人签字"), B.SIGNED: say("待第二人签字"), B.DONE: say("已销毁"), B.CANCELLED: say("已作废")}
BATCH_TRANSITIONS: Mapping[BatchState, frozenset[BatchState]] = {
    B.OPEN: frozenset({B.SIGNED, B.CANCELLED}),
    B.SIGNED: frozenset({B.DONE, B.OPEN, B.CANCELLED}),
    B.DONE: frozenset(),
    B.CANCELLED: frozenset(),
}


def batch_problem(state: BatchState, to: BatchState) -> Said | None:
    """Why a step of a batch is refused, naming the state, or None."""
    if to in BATCH_TRANSITIONS[state]:
        return None
    return say("这张销毁单目前“{state}”，不能改为“{to}”。请刷新。", state=BATCH_WORDS[state], to=BATCH_WORDS[to])


def second_problem(first_id: int | None, second_id: int | None) -> Said | None:
    """Two persons (C12): the second is told apart by id, never by name."""
    if second_id is None or first_id is None:
        return say("签字人不明，请重新登录后再签字。")
    return say("第一人和第二人不能是同一人，请换一位同事登录后签字。") if first_id == second_id else None
