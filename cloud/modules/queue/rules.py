"""Who is called next, where a passed patient comes in again, how long it takes (M04). Pure functions over values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from common.say import say


class Perm(StrEnum):
    """What a person may do with the queue."""

    WINDOW = "queue:window"
    GUIDE = "queue:guide"
    BOARD = "queue:board"
    SCREEN = "queue:screen"


class Klass(StrEnum):
    """号别: 急, 优先, 预约, 普通."""

    EMERGENCY = "E"
    PRIORITY = "P"
    APPOINTMENT = "A"
    NORMAL = "N"


class Ticket(StrEnum):
    """States of a ticket."""

    BOOKED = "booked"
    CHECKED_IN = "checked_in"
    WAITING = "waiting"
    CALLED = "called"
    SERVING = "serving"
    DONE = "done"
    PASSED = "passed"
    HELD = "held"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Window(StrEnum):
    """States of a window."""

    CLOSED = "closed"
    OPEN = "open"
    BUSY = "busy"
    PAUSED = "paused"


T, W = Ticket, Window
# called → waiting: a paused window gives its called ticket back (R6). Cancelled: before anything was drawn.
TICKET_TRANSITIONS: Mapping[Ticket, frozenset[Ticket]] = {
    T.BOOKED: frozenset((T.CHECKED_IN, T.CANCELLED, T.EXPIRED)),
    T.CHECKED_IN: frozenset((T.WAITING, T.CANCELLED)),
    T.WAITING: frozenset((T.CALLED, T.HELD, T.CANCELLED)),
    T.CALLED: frozenset((T.SERVING, T.PASSED, T.WAITING, T.CANCELLED)),
    T.SERVING: frozenset((T.DONE,)),
    T.DONE: frozenset(),
    T.PASSED: frozenset((T.WAITING, T.EXPIRED, T.CANCELLED)),
    T.HELD: frozenset((T.WAITING, T.CANCELLED)),
    T.EXPIRED: frozenset(),
    T.CANCELLED: frozenset(),
}
WINDOW_TRANSITIONS: Mapping[Window, frozenset[Window]] = {
    W.CLOSED: frozenset((W.OPEN,)),
    W.OPEN: frozenset((W.BUSY, W.PAUSED, W.CLOSED)),
    W.BUSY: frozenset((W.OPEN, W.PAUSED)),
    W.PAUSED: frozenset((W.OPEN, W.CLOSED)),
}
ENDED = frozenset((T.DONE, T.EXPIRED, T.CANCELLED))

KLASS_WORDS = {Klass.EMERGENCY: "急诊", Klass.PRIORITY: "优先", Klass.APPOINTMENT: "预约", Klass.NORMAL: "普通"}
SERVICE_WORDS = {"blood": "采血", "urine": "尿便", "marrow": "骨髓", "special": "特殊"}
STATE_WORDS = {
    T.BOOKED: "已预约",
    T.CHECKED_IN: "已签到",
    T.WAITING: "等候",
    T.CALLED: "已叫号",
    T.SERVING: "采血中",
    T.DONE: "完成",
    T.PASSED: "过号",
    T.HELD: "暂离",
    T.EXPIRED: "作废",
    T.CANCELLED: "取消",
}
WINDOW_WORDS = {W.CLOSED: "未开", W.OPEN: "空闲", W.BUSY: "采血中", W.PAUSED: "暂停"}
PROOFS = {"soldier": "军人", "age80": "80 岁及以上", "pregnant": "孕产妇", "disabled": "残疾", "toddler": "3 岁以下", "critical": "危重"}

RUN_OF_P = 3
LATE = timedelta(minutes=15)
CALL_GAP = timedelta(seconds=30)
MAX_CALLS = 3
BEHIND = 3


@dataclass(frozen=True, slots=True)
class Waiting:
    """A waiting ticket. ``eff_at`` then ``place`` order its line; ``place`` is the sequence, or lies between two for one that came back."""

    id: int
    klass: Klass
    seq: int
    eff_at: datetime
    place: Decimal | None = None

    @property
    def key(self) -> tuple[datetime, Decimal, int]:
        """What the line is sorted by."""
        return self.eff_at, Decimal(self.seq) if self.place is None else self.place, self.seq


def effective_at(klass: Klass, checkin_at: datetime, slot: datetime | None) -> datetime:
    """Where a ticket stands in the A/N line: an appointment's slot start when it came at most 15 min after it, else its check-in."""
    if klass is Klass.APPOINTMENT and slot is not None and checkin_at <= slot + LATE:
        return slot
    return checkin_at


def downgraded(klass: Klass, checkin_at: datetime, slot: datetime | None) -> Klass:
    """R12: an appointment more than 15 min late falls back to N."""
    late = klass is Klass.APPOINTMENT and (slot is None or checkin_at > slot + LATE)
    return Klass.NORMAL if late else klass


AN = (Klass.APPOINTMENT, Klass.NORMAL)


def line(waiting: Iterable[Waiting], klasses: Sequence[Klass]) -> list[Waiting]:
    """The line of some classes, its head first."""
    return sorted((each for each in waiting if each.klass in klasses), key=lambda each: each.key)


def line_of(klass: Klass) -> tuple[Klass, ...]:
    """The classes a ticket shares its line with: A and N one line, E and P each their own."""
    return AN if klass in AN else (klass,)


def order_of(waiting: Iterable[Waiting], run_of_p: int, k: int = RUN_OF_P) -> list[Waiting]:
    """Everybody in the order they would be called if nobody else came."""
    rest, out = list(waiting), []
    while chosen := choose(rest, run_of_p, k):
        out.append(chosen)
        rest.remove(chosen)
        run_of_p = next_run(chosen.klass, run_of_p)
    return out


def choose(waiting: Sequence[Waiting], run_of_p: int, k: int = RUN_OF_P) -> Waiting | None:
    """R3: any E, earliest first; else after ``k`` P in a row the head of A/N; else P; else the head of A/N."""
    emergencies = line(waiting, (Klass.EMERGENCY,))
    if emergencies:
        return emergencies[0]
    first, rest = line(waiting, (Klass.PRIORITY,)), line(waiting, AN)
    if rest and (run_of_p >= k or not first):
        return rest[0]
    return first[0] if first else None


def next_run(called: Klass, run_of_p: int) -> int:
    """How many P were called in a row after this call; an E does not count, neither way."""
    if called is Klass.EMERGENCY:
        return run_of_p
    return run_of_p + 1 if called is Klass.PRIORITY else 0


class Return(StrEnum):
    """What a re-check-in of a passed ticket gives."""

    BEHIND_NEXT = "behind_next"
    END = "end"
    EXPIRED = "expired"


def on_return(pass_count: int) -> Return:
    """R5: first time behind the next three, second time at the end, third time the number is void."""
    return {1: Return.BEHIND_NEXT, 2: Return.END}.get(pass_count, Return.EXPIRED)


def return_place(waiting: Sequence[Waiting], run_of_p: int, klass: Klass, how: Return, now: datetime) -> tuple[datetime, Decimal | None]:
    """``eff_at`` and ``place`` for a returning ticket: behind the next three to be called (AC-Q-2), or behind everybody of its line."""
    own = line(waiting, line_of(klass))
    ahead = own if how is Return.END else [each for each in order_of(waiting, run_of_p)[:BEHIND] if each.klass in line_of(klass)]
    if not own:
        return now, None
    if not ahead:
        return own[0].eff_at - timedelta(microseconds=1), None
    last = max(ahead, key=lambda each: each.key)
    follower = next((each for each in own if each.key > last.key), None)
    if follower is None and last.eff_at < now:
        return now, None
    if follower is not None and follower.eff_at == last.eff_at:
        return last.eff_at, (last.key[1] + follower.key[1]) / 2
    return last.eff_at, last.key[1] + 1


def call_problem(calls: int, called_at: datetime | None, now: datetime) -> str | None:
    """Why a ticket may not be called again yet: at most three calls, at least 30 s apart."""
    if calls >= MAX_CALLS:
        return "已经叫了 3 次，请按“过号”。"
    if called_at is not None and now - called_at < CALL_GAP:
        return say("请再等 {seconds} 秒后再叫，给患者走过来的时间。", seconds=math.ceil((CALL_GAP - (now - called_at)).total_seconds()))
    return None


def pass_problem(calls: int, called_at: datetime | None, now: datetime) -> str | None:
    """Why a ticket may not be passed yet: three calls, 30 s apart, come first."""
    if calls < MAX_CALLS:
        return say("才叫了 {calls} 次，叫满 3 次（每次间隔 30 秒）无人应答才能过号。", calls=calls)
    if called_at is not None and now - called_at < CALL_GAP:
        return say(
            "请再等 {seconds} 秒，第 3 次叫号后也要留出走过来的时间。", seconds=math.ceil((CALL_GAP - (now - called_at)).total_seconds())
        )
    return None


def eta_minutes(ahead: int, open_windows: int, mean_service_minutes: float) -> float | None:
    """Expected wait: ceil(ahead / open windows) × mean of the last service times; None when no window is open."""
    return None if open_windows < 1 else math.ceil(ahead / open_windows) * mean_service_minutes


def eta_range(minutes: float) -> tuple[int, int]:
    """What is shown: ±30 %, in whole minutes."""
    return math.floor(minutes * 0.7), math.ceil(minutes * 1.3)


def mask(name: str) -> str:
    """A name for a public screen: 张*伟, 张*, 欧**锋; one character stays hidden altogether."""
    letters = list(name.strip())
    if len(letters) < 2:
        return "*" * len(letters)
    if len(letters) == 2:
        return f"{letters[0]}*"
    return f"{letters[0]}{'*' * (len(letters) - 2)}{letters[-1]}"


def voice(no: str, name: str, window: int) -> str:
    """R13: what the speaker says."""
    return f"请 {no} 号 {mask(name)} 到 {window} 号窗口采血"
