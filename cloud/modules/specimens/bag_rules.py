"""Bags of tubes between ward and laboratory (打包, M05): states, what lacks and what is too many, when a bag may be closed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from common.say import say, word
from common.values import number


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
    return (
        None
        if to in BAG_TRANSITIONS[state]
        else say("这一袋目前“{state}”，不能改为“{to}”。", state=word(BAG_WORDS[state]), to=word(BAG_WORDS[to]))
    )


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


@dataclass(frozen=True, slots=True)
class Reading:
    """What a temperature logger showed of a bag's way, in °C."""

    low: Decimal
    high: Decimal


RANGE = Reading(Decimal(2), Decimal(25))
"""[C] What a bag may be between; a hospital sets its own (``specimens``/``transport_temp``)."""


def temperature(text: str) -> Decimal | None:
    """A temperature as typed, with two decimals at most; None for what is none, or none of this world."""
    found = number(text.strip().removesuffix("℃").removesuffix("°C"))
    return found if found is not None and -100 <= found <= 80 and found == round(found, 2) else None


def reading_problem(logger: str, low: Decimal | None, high: Decimal | None) -> str | None:
    """Why what was typed is no reading of a logger, or None."""
    if not logger:
        return "这一袋没有随附温度记录仪，不用登记温度。"
    if low is None or high is None:
        return "请填写记录仪显示的最低和最高温度（℃），例如 4.2 和 7.9。"
    return say("最低温度 {low} 高于最高温度 {high}，请核对。", low=f"{low:f}", high=f"{high:f}") if low > high else None


def excursion(found: Reading, allowed: Reading) -> str | None:
    """In words, how far the way was outside of what is allowed; None when it was not."""
    if found.low >= allowed.low and found.high <= allowed.high:
        return None
    shown = {"low": f"{found.low:f}", "high": f"{found.high:f}", "least": f"{allowed.low:f}", "most": f"{allowed.high:f}"}
    return say("运送温度 {low}～{high} ℃，超出 {least}～{most} ℃", **shown)


def close_problem(found: Balance, note: str, unread_logger: bool = False) -> str | None:
    """A bag that does not balance is closed only with a note (AC-SP-4), one with a logger only when it was read; None when it may be
    closed."""
    if unread_logger:
        return "这一袋随附温度记录仪，请先登记最低和最高温度，再关闭。"
    if found.even or note.strip():
        return None
    parts = [say("缺 {n} 管", n=len(found.missing)) if found.missing else "", say("多 {n} 管", n=len(found.extra)) if found.extra else ""]
    return say("这一袋{names}，须写明情况后才能关闭。", names=tuple(p for p in parts if p))
