"""Rules of the bench (M07): states of a test, flags of a reported value, what a second value means, what must be looked at.

Pure. Flags are judged on the reported (rounded) value, so that a print can never contradict its own arrow (C3). Limits are Decimals or
None for "no such limit"; zero is a limit like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from common.say import Listed, Said, kept, said_again, say
from common.values import Value, ValueKind, parse


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "results:read"
    ENTER = "results:enter"
    DECIDE = "results:decide"


class TestState(StrEnum):
    """Where one item of one tube stands (M07 States)."""

    __test__ = False

    EXPECTED = "expected"
    RECEIVED = "received"
    HELD = "held"
    REVIEWED = "reviewed"
    RELEASED = "released"
    AMENDED = "amended"
    RECALLED = "recalled"
    CANCELLED = "cancelled"
    NO_RESULT = "no_result"


_S = TestState

TRANSITIONS: Mapping[TestState, frozenset[TestState]] = {
    _S.EXPECTED: frozenset({_S.RECEIVED, _S.HELD, _S.NO_RESULT, _S.CANCELLED}),
    _S.RECEIVED: frozenset({_S.RECEIVED, _S.HELD, _S.REVIEWED, _S.NO_RESULT, _S.CANCELLED}),
    _S.HELD: frozenset({_S.HELD, _S.RECEIVED, _S.NO_RESULT, _S.CANCELLED}),
    # A reviewed value that changes, or is sent back, must be looked at again.
    _S.REVIEWED: frozenset({_S.RECEIVED, _S.HELD, _S.RELEASED}),
    _S.RELEASED: frozenset({_S.AMENDED, _S.RECALLED}),
    _S.AMENDED: frozenset({_S.AMENDED, _S.RECALLED}),
    _S.RECALLED: frozenset({_S.AMENDED, _S.CANCELLED}),
    _S.CANCELLED: frozenset(),
    # "No result" said too early: a value that arrives after all is a value.
    _S.NO_RESULT: frozenset({_S.RECEIVED, _S.HELD, _S.RELEASED, _S.CANCELLED}),
}


def may_end(state: TestState) -> bool:
    """Whether a test nobody asks for any more ends; a reviewed one is sent back first, what was told stays until it is recalled."""
    return state is TestState.REVIEWED or may_move(state, TestState.CANCELLED)


OPEN_STATES = frozenset({_S.EXPECTED, _S.RECEIVED, _S.HELD, _S.REVIEWED, _S.NO_RESULT})
TOLD_STATES = frozenset({_S.RELEASED, _S.AMENDED})
STATE_WORDS: Mapping[TestState, Said] = {
    _S.EXPECTED: say("待检"),
    _S.RECEIVED: say("已出结果"),
    _S.HELD: say("待处理"),
    _S.REVIEWED: say("已初审"),
    _S.RELEASED: say("已发布"),
    _S.AMENDED: say("已修改"),
    _S.RECALLED: say("已召回"),
    _S.CANCELLED: say("已取消"),
    _S.NO_RESULT: say("无结果"),
}


def may_move(state: TestState, to: TestState) -> bool:
    """Whether the table allows the move."""
    return to in TRANSITIONS[state]


class Confirming(StrEnum):
    """Where a screen that was told as 待复检 stands (R5)."""

    WAITING = "waiting"
    SENT = "sent"
    BACK = "back"
    ENDED = "ended"


CONFIRMING_MOVES: Mapping[Confirming, frozenset[Confirming]] = {
    Confirming.WAITING: frozenset({Confirming.SENT, Confirming.ENDED}),
    # The other laboratory may refuse the tube: too little, too old. Nothing is confirmed then, and a new tube is screened anew.
    Confirming.SENT: frozenset({Confirming.BACK, Confirming.ENDED}),
    Confirming.BACK: frozenset(),
    Confirming.ENDED: frozenset(),
}
CONFIRMING_WORDS: Mapping[Confirming, Said] = {
    Confirming.WAITING: say("待送确证"),
    Confirming.SENT: say("已送确证"),
    Confirming.BACK: say("确证已回报"),
    Confirming.ENDED: say("未能确证"),
}


class FollowState(StrEnum):
    """Where something done on top of a result stands: a rerun whose value is back, an addition the specimens could not make."""

    ASKED = "asked"
    BACK = "back"
    REFUSED = "refused"
    DONE = "done"
    CANCELLED = "cancelled"


FOLLOW_MOVES: Mapping[FollowState, frozenset[FollowState]] = {
    FollowState.ASKED: frozenset({FollowState.BACK, FollowState.REFUSED, FollowState.DONE, FollowState.CANCELLED}),
    FollowState.BACK: frozenset({FollowState.DONE, FollowState.CANCELLED}),
    # Tried again by a person, or not at all.
    FollowState.REFUSED: frozenset({FollowState.ASKED, FollowState.CANCELLED}),
    FollowState.DONE: frozenset(),
    FollowState.CANCELLED: frozenset(),
}


class TubeState(StrEnum):
    """Where a tube stands on the bench: the sum of its tests."""

    WAITING = "waiting"
    PARTIAL = "partial"
    HELD = "held"
    READY = "ready"
    REVIEWED = "reviewed"
    RELEASED = "released"
    CLOSED = "closed"


_OUT = frozenset({_S.RELEASED, _S.AMENDED, _S.RECALLED})
TUBE_OPEN = (TubeState.WAITING, TubeState.PARTIAL, TubeState.HELD, TubeState.READY)


def tube_state(tests: Sequence[tuple[TestState, bool, bool]], looked: bool = False) -> TubeState:
    """The state of a tube whose tests are (state, mandatory, another value waits).

    Optional items without a value do not keep a tube waiting. A value that came after the report puts the tube back before people's eyes;
    so does what a preliminary report left open, until it is told that there will be nothing more. ``looked``: it was just reviewed, which
    the tests alone do not show where none of them has a value.
    """
    live = [each for each in tests if each[0] is not _S.CANCELLED]
    states = {state for state, _, _ in live}
    if not live:
        return TubeState.CLOSED
    if _S.HELD in states or any(waits for _, _, waits in live):
        return TubeState.HELD
    missing = any(state is _S.EXPECTED and mandatory for state, mandatory, _ in live)
    if states & _OUT and not missing and not states & {_S.RECEIVED, _S.REVIEWED, _S.NO_RESULT}:
        return TubeState.RELEASED
    if missing or states == {_S.EXPECTED}:
        return TubeState.WAITING if states == {_S.EXPECTED} else TubeState.PARTIAL
    return TubeState.READY if _S.RECEIVED in states or not (looked or _S.REVIEWED in states) else TubeState.REVIEWED


# --- flags ----------------------------------------------------------------------------------------------------------


class Flag(StrEnum):
    """What a value is against its interval."""

    NONE = ""
    LOW = "L"
    HIGH = "H"
    ABNORMAL = "A"
    UNSURE = "?"


class Critical(StrEnum):
    """What a value is against the critical limits; ``MAYBE`` when "<3" cannot tell."""

    NO = ""
    LOW = "low"
    HIGH = "high"
    MAYBE = "maybe"


MARKS = {Flag.NONE: "", Flag.LOW: "↓", Flag.HIGH: "↑", Flag.ABNORMAL: "*", Flag.UNSURE: "?"}
CRITICAL_MARKS = {Critical.LOW: "危↓", Critical.HIGH: "危↑"}


def mark(flag: str, critical: bool) -> str:
    """The sign a reader sees; colour never carries the meaning alone."""
    plain = MARKS[Flag(flag)]
    return f"危{plain if plain in ('↑', '↓') else ''}" if critical else plain


def flag_interval(comparator: str, value: Decimal, low: Decimal | None, high: Decimal | None) -> Flag:
    """L, H, none, or ``?`` where a censored value does not tell (AC-MD-2, AC-MD-6). Both limits belong to the interval."""
    if comparator in ("", "="):
        if low is not None and value < low:
            return Flag.LOW
        return Flag.HIGH if high is not None and value > high else Flag.NONE
    if comparator in ("<", "≤"):
        # A quantity that starts at zero cannot lie below an interval that starts there; a base excess of "<-30" lies below -3.
        if low is not None and (value <= low if comparator == "<" else value < low) and not value == low == 0:
            return Flag.LOW
        open_below = low is None or low == 0
        return Flag.NONE if open_below and (high is None or value <= high) else Flag.UNSURE
    if comparator in (">", "≥"):
        if high is not None and (value >= high if comparator == ">" else value > high):
            return Flag.HIGH
        return Flag.NONE if high is None and (low is None or value >= low) else Flag.UNSURE
    raise ValueError(f"comparator {comparator!r}")


def judge_critical(comparator: str, value: Decimal, low: Decimal | None, high: Decimal | None) -> Critical:
    """Beyond a critical limit? Strictly: the limit itself is not critical. ``MAYBE`` must be looked at, never passed over."""
    if comparator in ("", "="):
        if low is not None and value < low:
            return Critical.LOW
        return Critical.HIGH if high is not None and value > high else Critical.NO
    if comparator in ("<", "≤"):
        if low is None:
            return Critical.MAYBE if high is not None and value > high else Critical.NO
        if value < low or (value == low and comparator == "<"):
            return Critical.LOW
        return Critical.MAYBE
    if comparator in (">", "≥"):
        if high is None:
            return Critical.MAYBE if low is not None and value < low else Critical.NO
        if value > high or (value == high and comparator == ">"):
            return Critical.HIGH
        return Critical.MAYBE
    raise ValueError(f"comparator {comparator!r}")


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a value waits for a person: a code for programs and one sentence that says why and what clears it."""

    code: str
    text: str

    def to_json(self) -> dict[str, Any]:
        """As stored in ``result_version.holds``: the sentence, and what it is made of for a reader in another language."""
        return {"code": self.code, "text": str(self.text), "said": kept(self.text)}

    @classmethod
    def stored(cls, data: Mapping[str, Any]) -> Hold:
        """As it was stored."""
        return cls(data["code"], said_again(data.get("said", data["text"])))


NO_VALUE = Hold("NO_VALUE", say("仪器报告无结果，请复查；确实做不出时登记“无结果”并写明原因。"))


@dataclass(frozen=True, slots=True)
class Limits:
    """Two limits, None where there is none: of a reference interval (with its text), or of a critical value."""

    low: Decimal | None
    high: Decimal | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a reported value means."""

    flag: Flag
    critical: Critical
    holds: tuple[Hold, ...] = ()


def judge(value: Value, numeric: bool, interval: Limits | None, critical: Limits | None) -> Judged:
    """Flag and critical mark of a reported value; what it cannot tell becomes a hold."""
    if value.number is None:
        sentence = say("该项目应为数值，收到的是“{value}”，请核对后改正或接受。", value=value.text)
        return Judged(_flag_text(value, interval), Critical.NO, (Hold("NOT_NUMERIC", sentence),) if numeric and not value.missing else ())
    flag = Flag.NONE if interval is None else _flag_number(value, interval)
    grade = Critical.NO if critical is None else judge_critical(value.comparator, value.number, critical.low, critical.high)
    if grade is not Critical.MAYBE:
        return Judged(flag, grade)
    return Judged(flag, grade, (Hold("MAYBE_CRITICAL", say("“{value}”无法判断是否达到危急值，请稀释或复查后确认。", value=value.text)),))


def _flag_number(value: Value, interval: Limits) -> Flag:
    """By the interval's limits, or by its words where those are a limit (<1:80); a titre that its words say nothing about is unsure."""
    assert value.number is not None
    if interval.low is not None or interval.high is not None or not interval.text:
        return flag_interval(value.comparator, value.number, interval.low, interval.high)
    said = parse(interval.text)
    if said.number is None or not said.comparator:
        return Flag.UNSURE if value.kind is ValueKind.TITRE else Flag.NONE
    if said.comparator == "≤":
        return flag_interval(value.comparator, value.number, None, said.number)
    if said.comparator == "≥":
        return flag_interval(value.comparator, value.number, said.number, None)
    return _strictly(value.comparator, value.number, said.number, below=said.comparator == "<")


def _strictly(comparator: str, value: Decimal, limit: Decimal, below: bool) -> Flag:
    """Against "<limit" (or ">limit"): the limit itself is outside."""
    outside = (value >= limit, Flag.HIGH) if below else (value <= limit, Flag.LOW)
    if comparator in ("", "="):
        return outside[1] if outside[0] else Flag.NONE
    if comparator in (("<", "≤") if below else (">", "≥")):
        inside = value < limit if below else value > limit
        return Flag.NONE if inside or (value == limit and comparator in "<>") else Flag.UNSURE
    return outside[1] if outside[0] else Flag.UNSURE


def _flag_text(value: Value, interval: Limits | None) -> Flag:
    """A word against the word that is normal; one whose grade nobody knows is unsure, never normal."""
    expected = None if interval is None or value.missing else parse(interval.text, "semi-quant").grade
    if expected is None:
        return Flag.NONE
    if value.grade is None:
        return Flag.UNSURE
    return Flag.ABNORMAL if value.grade > expected else Flag.NONE


# --- manual entry ---------------------------------------------------------------------------------------------------


def unit_slip(value: Decimal, reference: Decimal | None) -> Said | None:
    """A hint when the digits equal the reference's (last value, middle of the interval) but the size is 1000 times off."""
    if reference is None or value == 0 or reference == 0:
        return None
    ratio = abs(value / reference)
    if Decimal(500) <= ratio <= Decimal(2000) or Decimal(1) / 2000 <= ratio <= Decimal(1) / 500:
        return say("与参考值 {value} 相差约 1000 倍，请核对单位和小数点；确认无误请再保存一次。", value=reference)
    return None


class Twice(StrEnum):
    """Which values are typed twice: as M07 R6 says, or (a hospital's own choice) critical ones only."""

    ALL = "all"
    CRITICAL = "critical"


def typed_twice(critical: bool, infectious: bool, interfaced: bool, choice: Twice) -> Said | None:
    """Why a typed value must be typed once more before it counts (R6), or None."""
    if critical:
        return say("达到危急值界限")
    if choice is Twice.CRITICAL:
        return None
    if infectious:
        return say("属传染病项目")
    return None if interfaced else say("没有仪器接口")


# --- review ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A test as the reviewer must find it."""

    name: str
    state: TestState
    mandatory: bool
    waits: str = ""
    """What is still to be done on top of it: 复查, 加做 …"""
    key: str = "F6"
    """While it is held, the key that settles it: one of ``SETTLES``."""


def may_go_ahead(state: TestState, waits: str) -> bool:
    """Whether a value may be told in a preliminary report while the rest of its tube is open: there, settled, nothing on top of it."""
    return state in (_S.RECEIVED, _S.REVIEWED) and not waits


def part_problem(items: Sequence[ReviewItem]) -> Said | None:
    """Why no part of a tube can be reviewed by itself, or None: nothing is ready, or everything is (then it is no part)."""
    live = [item for item in items if item.state is not _S.CANCELLED]
    if not any(may_go_ahead(item.state, item.waits) for item in live):
        return say("没有可先发的结果：已出的结果都还待处理，或已经发布。")
    return say("结果已齐，请直接初审（F4），不必先发预报告。") if review_problem(items) is None else None


SETTLES = {
    "F6": say("接受请按 F6"),
    "Alt+X": say("两个结果选用其一请按 Alt+X"),
    "F8": say("不能报告的值登记无结果请按 F8"),
}
NAMED = 6  # items that a refusal names: more hide what to do about them


def review_problem(items: Sequence[ReviewItem]) -> Said | None:
    """Why a tube cannot be reviewed yet, naming the items, or None."""
    live = [item for item in items if item.state is not _S.CANCELLED]
    missing = [item.name for item in live if item.state is _S.EXPECTED and item.mandatory]
    held = [item.name for item in live if item.state is _S.HELD]
    # Only what helps here: a key that is not on the page would be looked for.
    how = Listed((words for key, words in SETTLES.items() if any(i.key == key for i in live if i.state is _S.HELD)), "，")
    if missing:
        return say("缺少必报项目：{items}。请补做，或登记“无结果”并写明原因。", items=missing)
    waiting = [f"{item.name}{item.waits}" for item in live if item.waits]
    if waiting:
        return say("还有未完成的{items}。等结果回来后选用，或在检验工作台撤销并写明原因。", items=waiting)
    if len(held) > NAMED:
        return say("{n} 项结果待处理：{items}等。{how}。", n=len(held), items=held[:NAMED], how=how)
    if held:
        return say("有待处理的结果：{items}。{how}。", items=held, how=how)
    # "No result" with its reason is told like a value (M05). Told before: the rest of a preliminary report was cancelled, it becomes final.
    if not any(item.state in (_S.RECEIVED, _S.REVIEWED, _S.NO_RESULT, *TOLD_STATES) for item in live):
        return say("没有可初审的结果。")
    return None
