"""Rules of reagent lots (M17): states, on-board expiry, what may be opened. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from common.say import say, word


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "reagents:read"
    KEEP = "reagents:keep"
    ACCEPT = "reagents:accept"


class LotState(StrEnum):
    """Where a lot stands; expiry is a date, not a state somebody must set."""

    QUARANTINE = "quarantine"
    PENDING = "pending_verify"
    AVAILABLE = "available"
    RECALLED = "recalled"
    SCRAPPED = "scrapped"


_L = LotState
TRANSITIONS: Mapping[LotState, frozenset[LotState]] = {
    _L.QUARANTINE: frozenset({_L.PENDING, _L.SCRAPPED, _L.RECALLED}),
    _L.PENDING: frozenset({_L.AVAILABLE, _L.QUARANTINE, _L.SCRAPPED, _L.RECALLED}),
    _L.AVAILABLE: frozenset({_L.QUARANTINE, _L.SCRAPPED, _L.RECALLED}),
    _L.RECALLED: frozenset({_L.SCRAPPED}),
    _L.SCRAPPED: frozenset(),
}
WORDS = {_L.QUARANTINE: "待验收", _L.PENDING: "待批间验证", _L.AVAILABLE: "可用", _L.RECALLED: "召回", _L.SCRAPPED: "报废"}


def may_move(state: LotState, to: LotState) -> bool:
    """Whether the table allows the move."""
    return to in TRANSITIONS[state]


def open_until(expiry: date, opened_at: datetime, open_days: int, zone: tzinfo) -> datetime:
    """When an open pack ends: end of the lot's expiry day, or opened_at + stability, whichever is first (R6, AC-RG-2)."""
    end_of_lot = datetime.combine(expiry, time(23, 59), zone)
    return min(end_of_lot, opened_at + timedelta(days=open_days))


def open_problem(state: LotState, expiry: date, today: date) -> str | None:
    """Why a lot must not be opened (R4, R6), or None."""
    if expiry < today:
        return say("该批号已于 {expiry} 过期，不能上机。", expiry=expiry)
    if state is not LotState.AVAILABLE:
        return say("该批号目前为“{state}”，通过批间验证之前不能上机。", state=word(WORDS[state]))
    return None
