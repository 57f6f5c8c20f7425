"""Rules of reports (M09): states, four eyes, completeness, what an amendment must say. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from common.say import Listed, Said, say


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "reports:read"
    TEST = "reports:test"
    RELEASE = "results:release"
    AMEND = "reports:amend"
    RECALL = "reports:recall"
    NOTIFY = "reports:notify"
    LAYOUTS = "reports:layouts"


class State(StrEnum):
    """Where a report stands. Readers see only what is released or amended."""

    DRAFT = "draft"
    TESTED = "tested"
    PRELIMINARY = "preliminary"
    RELEASED = "released"
    AMENDED = "amended"
    RECALLED = "recalled"
    CANCELLED = "cancelled"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.DRAFT: frozenset({State.TESTED}),
    # Back to draft: the verifier sends it back, or a value changed after the review; where a part was told already it stays told.
    State.TESTED: frozenset({State.TESTED, State.DRAFT, State.PRELIMINARY, State.RELEASED, State.RECALLED}),
    # 预报告: a part is told, the rest is still open. It may be corrected (still preliminary) or recalled like any told report.
    State.PRELIMINARY: frozenset({State.PRELIMINARY, State.TESTED, State.RECALLED}),
    State.RELEASED: frozenset({State.AMENDED, State.RECALLED}),
    State.AMENDED: frozenset({State.AMENDED, State.RECALLED}),
    State.RECALLED: frozenset({State.AMENDED, State.PRELIMINARY, State.CANCELLED}),
    State.CANCELLED: frozenset(),
}
WORDS: Mapping[State, Said] = {
    State.DRAFT: say("待初审"),
    State.TESTED: say("已初审，待审核"),
    State.PRELIMINARY: say("已发预报告，其余待出"),
    State.RELEASED: say("已发布"),
    State.AMENDED: say("已修改"),
    State.RECALLED: say("已召回"),
    State.CANCELLED: say("已取消"),
}


def may_move(state: State, to: State) -> bool:
    """Whether the table allows the move."""
    return to in TRANSITIONS[state]


class VersionState(StrEnum):
    """What one version of a report is worth today."""

    CURRENT = "current"
    SUPERSEDED = "superseded"
    RECALLED = "recalled"


VERSION_WORDS = {VersionState.CURRENT: say("现行"), VersionState.SUPERSEDED: say("已被替代"), VersionState.RECALLED: say("已召回")}


class Reason(StrEnum):
    """Why a told report changes; all but ``SUPPLEMENT`` count as errors (indicator 13)."""

    RESULT = "result"
    PATIENT = "patient"
    SPECIMEN = "specimen"
    OMISSION = "omission"
    SUPPLEMENT = "supplement"


REASON_WORDS = {
    Reason.RESULT: say("结果错误"),
    Reason.PATIENT: say("患者信息错误"),
    Reason.SPECIMEN: say("标本错误"),
    Reason.OMISSION: say("漏项"),
    Reason.SUPPLEMENT: say("补充信息"),
}


class Notice(StrEnum):
    """What a reader of an earlier version must learn: it was corrected or withdrawn; the final report says otherwise than the preliminary
    one they saw; or only that the final report is there."""

    CHANGED = "changed"
    DIFFERS = "differs"
    FINAL = "final"


NOTICE_WORDS = {
    Notice.CHANGED: say("已修改"),
    Notice.DIFFERS: say("终报告与预报告不同"),
    Notice.FINAL: say("终报告已出"),
}
_TOLD_OF_A_LINE = ("value", "unit", "interval", "flag", "critical")


def differing(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[tuple[int, str, str, str]]:
    """(item id, name, before, now) of the items that two versions tell differently; an item that was not told before is no difference, one
    that is told no more is. Lines as in a report's document."""
    after = {line["item_id"]: line for line in now}
    out = []
    for line in before:
        new = after.get(line["item_id"])
        if new is None or any(line.get(name) != new.get(name) for name in _TOLD_OF_A_LINE):
            out.append((line["item_id"], line["name"], _shown(line), "—" if new is None else _shown(new)))
    return out


def _shown(line: Mapping[str, Any]) -> str:
    return f"{line.get('value', '')} {line.get('unit', '')}".strip()


CHECK_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A report somebody wants to release, as it is now."""

    name: str
    state: State
    section_id: int
    section_code: str
    tester_id: int | None
    hands: frozenset[int]
    """Who typed a value of it."""
    missing: tuple[str, ...]
    """Mandatory items with neither value nor reason."""
    held: tuple[str, ...]
    unreviewed: tuple[str, ...]
    """Items that somebody settled after the review: the same value, but nobody has looked at it since."""
    reviewed: str
    found: str
    """What the reviewer saw and what is there now (bench.queries.basis)."""
    qc_closed: tuple[str, ...] = ()
    """Items whose quality control keeps them from leaving, each with the reason (M11)."""
    blocked: tuple[str, ...] = ()
    """Items measured on an analyzer that is out of order, each with what is wrong with it (R2)."""
    unasked: tuple[str, ...] = ()
    """Items whose request was cancelled or refunded since."""
    part: bool = False
    """Only what was reviewed leaves, as a preliminary report; what is missing or held follows."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Who wants to release."""

    user_id: int
    sections: frozenset[str]
    alone_in: frozenset[int] = frozenset()
    """Sections whose roster leaves this person alone with both checks now (R1)."""


def release_problem(report: Candidate, who: Verifier) -> Said | None:
    """Why this report must not leave, naming what to do, or None."""
    if report.state is not State.TESTED:
        return say("目前为“{state}”，不能发布。", state=WORDS[report.state])
    if not may_work_in(who.sections, report.section_code):
        return say("不属于您负责的专业组。")
    if report.unasked:
        return say("申请已取消或退费：{items}。请刷新后重新初审。", items=report.unasked)
    if report.missing and not report.part:
        return say("缺少必报项目：{items}。", items=report.missing)
    if report.held and not report.part:
        return say("有待处理的结果：{items}。", items=report.held)
    if report.unreviewed and not report.part:
        return say("初审之后又处理过：{items}。请重新初审。", items=report.unreviewed)
    if report.qc_closed:
        return say("质控未放行：{items}。", items=Listed(report.qc_closed, "；"))
    if report.blocked:
        return say("仪器停用期间测定：{items}。请换仪器复查，或维修验证后结束故障。", items=Listed(report.blocked, "；"))
    if report.reviewed != report.found:
        return say("初审之后结果有变化，请重新初审。")
    if needs_second_look(report, who) and report.section_id not in who.alone_in:
        return say("检验者与审核者不能是同一人，请由他人审核。")
    return None


def unchecked_problem(items: Sequence[str]) -> Said:
    """A critical value waits for its two checks (M10 R2): nothing leaves before."""
    return say("危急值尚未复核：{items}。请先完成两次复核，或登记为非危急值。", items=list(items))


def awaited_problem() -> Said:
    """The patient's sex or birthday was corrected, and the values are still judged for the person known before."""
    return say("患者性别或出生日期刚刚更正，正在按新的信息重新判断，请稍候再试。")


def needs_second_look(report: Candidate, who: Verifier) -> bool:
    """The verifier made this report, or typed a value of it: four eyes, or solo duty and a second look within 24 h."""
    return who.user_id == report.tester_id or who.user_id in report.hands


def may_work_in(sections: frozenset[str], code: str) -> bool:
    """Own sections only; somebody without any listed works in all of the hospital's."""
    return not sections or code in sections


def may_amend(state: State) -> bool:
    """Whether what was told may be corrected now; a preliminary report while the rest is being reviewed is sent back first."""
    return state is State.PRELIMINARY or may_move(state, State.AMENDED)


def cannot_amend(state: State) -> Said:
    """What is said where it may not."""
    return say("报告目前为“{state}”，不能修改。", state=WORDS[state])


def amend_problem(
    state: State, reason: str, reason_text: str, before: Mapping[str, str], after: Mapping[str, str], other: bool = False
) -> Said | None:
    """Why an amendment is refused, or None. ``before`` and ``after`` are item → value of what is to change; ``other``: something else
    does (what is said of the patient or the tube, the remark)."""
    if not may_amend(state):
        return cannot_amend(state)
    if reason not in tuple(Reason):
        return say("请选择修改原因类别。")
    if not reason_text.strip():
        return say("请写明修改原因。")
    if not other and all(before.get(item) == value for item, value in after.items()):
        if reason == Reason.PATIENT:  # nobody types these here: they come from the hospital's own register
            return say("内容没有变化，无需修改。患者资料以 HIS 登记为准：请先在 HIS 更正，本页列出更正内容后再发布修改。")
        return say("内容没有变化，无需修改。")
    return None


# --- notifiable findings (R6) -----------------------------------------------------------------------------------------

NOTIFY_WITHIN: Mapping[str, timedelta] = {"A": timedelta(hours=2), "B": timedelta(hours=24)}
"""甲类 and 按甲类管理: 2 h; 乙类 and 丙类: 24 h, from the report on [D]."""
_SAID_POSITIVE = re.compile(r"阳性|\+|^检出|positive|(?<!non-)(?<!non)reactive", re.IGNORECASE)
_SAID_NEGATIVE = re.compile(r"阴性|未检出|假阳性|negative|^-$", re.IGNORECASE)


def is_positive(reported_text: str, flag: str) -> bool:
    """Whether a value of a notifiable item is a finding: a judgement marked it abnormal, or its words say so."""
    word = unicodedata.normalize("NFKC", reported_text).strip()
    if _SAID_NEGATIVE.search(word):
        return False
    return flag in ("A", "H") or _SAID_POSITIVE.search(word) is not None


# --- a result among the patient's earlier ones ----------------------------------------------------------------------

SPARK_WIDTH, SPARK_HEIGHT = 72, 20


@dataclass(frozen=True, slots=True)
class Spark:
    """A small line of the last values, oldest first, ready to be drawn in 72 × 20: its points, and the interval's band (top, height)."""

    points: tuple[tuple[float, float], ...]
    band: tuple[float, float] | None


def spark(values: Sequence[Decimal], low: Decimal | None, high: Decimal | None) -> Spark | None:
    """Scale the values; None where there is nothing to compare (fewer than two)."""
    if len(values) < 2:
        return None
    shown = [*values, *(v for v in (low, high) if v is not None)]
    bottom, top = min(shown), max(shown)
    span = top - bottom or Decimal(1)

    def y(value: Decimal) -> float:
        return round(SPARK_HEIGHT - 3 - float((value - bottom) / span) * (SPARK_HEIGHT - 6), 1)

    step = (SPARK_WIDTH - 8) / (len(values) - 1)
    points = tuple((round(4 + step * n, 1), y(v)) for n, v in enumerate(values))
    if low is None and high is None:
        return Spark(points, None)
    above = y(high) if high is not None else 0.0
    below = y(low) if low is not None else float(SPARK_HEIGHT)
    return Spark(points, (above, round(below - above, 1)))


# --- order of the review queue --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """What makes a report need an eye before it leaves."""

    abnormal: int
    critical: int
    alarms: int
    solo: bool
    empty: int = 0


class Needs(StrEnum):
    """Why a report needs an eye."""

    CRITICAL = "critical"
    ABNORMAL = "abnormal"
    ALARM = "alarm"
    OWN = "own"
    EMPTY = "empty"


def batch_exceptions(look: Look) -> tuple[tuple[Needs, int], ...]:
    """Reasons (and how often) why a report is not ticked for a batch by itself: somebody must look at it first (LESSONS B11)."""
    found = {Needs.CRITICAL: look.critical, Needs.ABNORMAL: look.abnormal, Needs.EMPTY: look.empty, Needs.ALARM: look.alarms}
    return tuple((need, n) for need, n in (*found.items(), (Needs.OWN, int(look.solo))) if n)


def refused(problems: Sequence[tuple[str, str]]) -> Said:
    """One sentence for all reports of a batch that cannot leave; nothing of the batch has left."""
    listed = Listed([say("{name}：{why}", name=name, why=why) for name, why in problems[:5]], "；")
    if len(problems) > 5:
        return say("未发布任何报告。{listed}（共 {n} 份）", listed=listed, n=len(problems))
    return say("未发布任何报告。{listed}", listed=listed)
