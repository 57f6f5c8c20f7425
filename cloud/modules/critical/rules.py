"""Rules of critical values (M10): states, clocks, read-back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from common.values import parse


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "critical:read"
    HANDLE = "critical:handle"


class State(StrEnum):
    """Where one critical value stands."""

    DETECTED = "detected"
    CONFIRMED = "confirmed"
    NOTIFYING = "notifying"
    RECEIVED = "received"
    ACKNOWLEDGED = "doctor_acknowledged"
    HANDLED = "handled"
    CLOSED = "closed"
    FALSE_ALARM = "false_alarm"
    ESCALATED = "escalated"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.DETECTED: frozenset({State.CONFIRMED, State.FALSE_ALARM}),
    State.CONFIRMED: frozenset({State.NOTIFYING, State.RECEIVED, State.ESCALATED, State.FALSE_ALARM}),
    State.NOTIFYING: frozenset({State.RECEIVED, State.ESCALATED}),
    State.ESCALATED: frozenset({State.RECEIVED}),
    State.RECEIVED: frozenset({State.ACKNOWLEDGED, State.HANDLED}),
    State.ACKNOWLEDGED: frozenset({State.HANDLED}),
    State.HANDLED: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
    State.FALSE_ALARM: frozenset(),
}
OPEN = tuple(state for state in State if state not in (State.CLOSED, State.FALSE_ALARM, State.HANDLED))
WORDS: Mapping[State, str] = {
    State.DETECTED: "待复核",
    State.CONFIRMED: "已复核，待通知",
    State.NOTIFYING: "通知中",
    State.RECEIVED: "临床已接收",
    State.ACKNOWLEDGED: "医生已确认",
    State.HANDLED: "已处置",
    State.CLOSED: "已关闭",
    State.FALSE_ALARM: "非危急值",
    State.ESCALATED: "已升级",
}


def may_move(state: State, to: State) -> bool:
    """Whether the table allows the move."""
    return to in TRANSITIONS[state]


# R4: emergency and ICU 10 min, ward 15 min, outpatient 30 min.
MINUTES = {"emergency": 10, "icu": 10, "inpatient": 15}
OUTPATIENT_MINUTES = 30


def notify_minutes(visit_kind: str | None, ward: str) -> int:
    """How many minutes there are to tell the clinical unit."""
    if "ICU" in ward.upper() or "监护" in ward:
        return MINUTES["icu"]
    return MINUTES.get(visit_kind or "", OUTPATIENT_MINUTES)


class Light(StrEnum):
    """How a clock looks: at 50 % of its time it warns, at 100 % it is late (R4)."""

    OK = "ok"
    SOON = "soon"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Clock:
    """Minutes gone since the value was found, of those there are; stopped at receipt."""

    spent: int
    minutes: int
    light: Light


def clock(found_at: datetime, received_at: datetime | None, minutes: int, now: datetime) -> Clock:
    """The clock of one event; it runs from ``found_at`` (2025 edition), the stricter of the two."""
    spent = max((received_at or now) - found_at, timedelta())
    limit = timedelta(minutes=minutes)
    light = Light.LATE if spent > limit else Light.SOON if spent * 2 >= limit else Light.OK
    return Clock(int(spent / timedelta(minutes=1)), minutes, light)


def readback_equal(told: str, readback: str) -> bool:
    """Whether the receiver repeated the value told (AC-CV-4): the same number, or the same text; 6.80 is 6.8, 5.8 is not."""
    a, b = parse(told), parse(readback)
    if b.missing:
        return False
    if a.number is not None and b.number is not None:
        return (a.comparator, a.number) == (b.comparator, b.number)
    return a.text == b.text


def phone_problem(receiver: str, readback: str, told: str) -> str | None:
    """Why a phone entry does not count as receipt, or None."""
    if not receiver.strip():
        return "请填写接听人的姓名和科室，再登记。"
    if not readback.strip():
        return "请让对方复述数值，并把复述的数值填在“复述”一栏。"
    if not readback_equal(told, readback):
        return f"复述“{readback.strip()}”与危急值 {told} 不一致，未登记为已接收。请重新告知并再次复述。"
    return None
