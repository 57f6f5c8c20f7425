"""Bags of tubes between ward and laboratory (打包, M05): states, what lacks and what is too many, when a bag may be closed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class BagState(StrEnum):
    """A bag from the ward's first tube to the laboratory's last word on it."""

    PACKING = "packing"
    SENT = "sent"
    OPEN = "open"
    CLOSED = "closed"


BAG_WORDS = {BagState.PACKING: "装袋中", BagState.SENT: "运送中", BagState.OPEN: "核对中", BagState.CLOSED: "已核对"}
BAG_TRANSITIONS: Mapping[BagState, frozenset[BagState]] = {
    BagState.PACKING: frozenset({BagState.SENT}),
    BagState.SENT: frozenset({BagState.OPEN}),
    BagState.OPEN: frozenset({BagState.CLOSED}),
    BagState.CLOSED: frozenset(),
}


def bag_problem(state: BagState, to: BagState) -> str | None:
    """Why a step is refused, naming the state, or None."""
    return None if to in BAG_TRANSITIONS[state] else f"这一袋目前“{BAG_WORDS[state]}”，不能改为“{BAG_WORDS[to]}”。"


@dataclass(frozen=True, slots=True)
class Balance:
    """The bag's list against what was scanned out of it, codes in order."""

    here: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def even(self) -> bool:
        """Nothing lacks, nothing is too many."""
        return not self.missing and not self.extra


def balance(listed: Iterable[str], scanned: Iterable[str]) -> Balance:
    """Compare; a code scanned twice counts once."""
    wanted, found = dict.fromkeys(listed), dict.fromkeys(scanned)
    here = tuple(c for c in wanted if c in found)
    return Balance(here, tuple(c for c in wanted if c not in found), tuple(c for c in found if c not in wanted))


def close_problem(found: Balance, note: str) -> str | None:
    """A bag that does not balance is closed only with a note (AC-SP-4); None when it may be closed."""
    if found.even or note.strip():
        return None
    parts = [f"缺 {len(found.missing)} 管" if found.missing else "", f"多 {len(found.extra)} 管" if found.extra else ""]
    return f"这一袋{'、'.join(p for p in parts if p)}，须写明情况后才能关闭。"
