"""Rules of the shift's start and end: what is looked at, how it is said, who may sign what. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from common.say import Said, say


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "handover:read"
    WRITE = "handover:write"


class State(StrEnum):
    """Where a hand-over note stands."""

    WRITING = "writing"
    GIVEN = "given"
    RECEIVED = "received"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.WRITING: frozenset({State.GIVEN}),
    # What changed before the next shift signed is written in again, by whoever gave it.
    State.GIVEN: frozenset({State.RECEIVED, State.WRITING}),
    State.RECEIVED: frozenset(),
}
WORDS: Mapping[State, Said] = {State.WRITING: say("书写中"), State.GIVEN: say("待接班签收"), State.RECEIVED: say("已交接")}
UNTAKEN = timedelta(minutes=30)
"""A note that nobody signed for so long is alerted [C]."""


class Code(StrEnum):
    """What is looked at, in the order of the screen."""

    QC_OUT = "qc_out"
    QC_DUE = "qc_due"
    CALIBRATION = "calibration"
    REAGENT = "reagent"
    LINK = "link"
    FAULT = "fault"
    CRITICAL = "critical"
    HELD = "held"
    LATE = "late"
    RERUN = "rerun"
    REVIEW = "review"
    WAITING = "waiting"
    ORPHAN = "orphan"
    STOP = "stop"
    TICKET = "ticket"


class Level(StrEnum):
    """What a figure that is not zero asks for: to be dealt with now, to be looked at, only to be known."""

    ACT = "act"
    LOOK = "look"
    KNOW = "know"


LABELS: Mapping[Code, tuple[Said, Level]] = {
    Code.QC_OUT: (say("质控失控或待决定"), Level.ACT),
    Code.QC_DUE: (say("质控未做或超时"), Level.ACT),
    Code.CALIBRATION: (say("校准无效或 24 小时内到期"), Level.LOOK),
    Code.REAGENT: (say("试剂在机过期、24 小时内到期或未验证"), Level.LOOK),
    Code.LINK: (say("仪器连接异常"), Level.ACT),
    Code.FAULT: (say("仪器故障未修复"), Level.ACT),
    Code.CRITICAL: (say("危急值未通知到"), Level.ACT),
    Code.HELD: (say("待处理的标本"), Level.LOOK),
    Code.LATE: (say("已超报告时限的标本"), Level.ACT),
    Code.RERUN: (say("复查与加做未完成"), Level.LOOK),
    Code.REVIEW: (say("初审后未发布的报告"), Level.LOOK),
    Code.WAITING: (say("未出齐结果的标本"), Level.KNOW),
    Code.ORPHAN: (say("无主结果（全科）"), Level.LOOK),
    Code.STOP: (say("自动审核停用或暂停"), Level.LOOK),
    Code.TICKET: (say("未关闭的工单"), Level.KNOW),
}
NAMED = 6
"""So many things of one figure are named; the rest is the list's."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with the list it drills to and what it is made of, as the note names it."""

    code: Code
    n: int
    url: str
    names: tuple[str, ...] = ()

    @property
    def label(self) -> Said:
        """What is counted."""
        return LABELS[self.code][0]

    @property
    def level(self) -> Level:
        """How urgent it is when it is not zero."""
        return LABELS[self.code][1]

    @property
    def light(self) -> str:
        """ok, warn, bad or none: with the number the sign a reader sees."""
        return "ok" if self.n == 0 else {Level.ACT: "bad", Level.LOOK: "warn", Level.KNOW: "none"}[self.level]

    @property
    def rest(self) -> int:
        """How many are not named."""
        return max(0, self.n - len(self.names))

    def to_json(self) -> dict[str, Any]:
        """As frozen with the note."""
        return {"code": self.code.value, "n": self.n, "url": self.url, "names": list(self.names)}


def figures_from(stored: Iterable[Mapping[str, Any]]) -> list[Figure]:
    """Figures as they were frozen."""
    return [Figure(Code(f["code"]), f["n"], f["url"], tuple(f["names"])) for f in stored]


def figure(code: Code, names: Sequence[str], url: str, n: int | None = None) -> Figure:
    """A figure of what is named; ``n`` where there are more than were read."""
    return Figure(code, len(names) if n is None else n, url, tuple(names[:NAMED]))


def draft(figures: Iterable[Figure], on_duty: Sequence[str]) -> str:
    """The note as it follows from what is open: one line a matter, with names; the person corrects and adds."""
    lines = [f"值班：{'、'.join(on_duty)}。"] if on_duty else []
    for f in figures:
        if f.n:
            more = f" 等，另有 {f.rest} 项" if f.names and f.rest else ""
            lines.append(f"{f.label} {f.n}{'：' + '、'.join(f.names) + more if f.names else ''}。")
    if len(lines) == (1 if on_duty else 0):
        lines.append("没有未了事项。")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Moved:
    """A figure that changed since the note was written from it."""

    label: Said
    before: int
    now: int


def changed(then: Iterable[Figure], now: Iterable[Figure]) -> list[Moved]:
    """What is no longer as the note says, so that nobody signs yesterday's picture."""
    was = {f.code: f.n for f in then}
    return [Moved(f.label, was[f.code], f.n) for f in now if f.code in was and was[f.code] != f.n]


def give_problem(state: State, text: str) -> Said | None:
    """Why the note cannot be signed by the giver, or None."""
    if state is not State.WRITING:
        return say("交班记录目前为“{state}”，不能再签交班。", state=WORDS[state])
    return None if text.strip() else say("交班内容是空的。没有未了事项也请写明，或按“按现状重写”。")


def receive_problem(state: State, giver_id: int | None, user_id: int) -> Said | None:
    """Why this person cannot sign for it, or None: nobody takes over from themselves (C12)."""
    if state is not State.GIVEN:
        return say("交班记录目前为“{state}”，不能签收。", state=WORDS[state])
    return say("交班人不能自己签收，请由接班人签收。") if giver_id == user_id else None


class Kind(StrEnum):
    """What an entry of the day log is about."""

    ANALYZER = "analyzer"
    REAGENT = "reagent"
    QC = "qc"
    SPECIMEN = "specimen"
    ROOM = "room"
    CLINIC = "clinic"
    OTHER = "other"


KIND_WORDS: Mapping[Kind, Said] = {
    Kind.ANALYZER: say("仪器"),
    Kind.REAGENT: say("试剂"),
    Kind.QC: say("质控"),
    Kind.SPECIMEN: say("标本"),
    Kind.ROOM: say("环境"),
    Kind.CLINIC: say("临床联系"),
    Kind.OTHER: say("其他"),
}
