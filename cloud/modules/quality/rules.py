"""Rules of nonconformities (M22): what may follow what, and what each step must say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum

from common.say import Said, say


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "quality:read"
    REPORT = "quality:report"
    WORK = "quality:work"
    CLOSE = "quality:close"


class State(StrEnum):
    """Where a nonconformity stands."""

    OPEN = "open"
    CONTAINED = "contained"
    ANALYSED = "analysed"
    ACTING = "acting"
    VERIFYING = "verifying"
    CLOSED = "closed"
    REOPENED = "reopened"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.OPEN: frozenset({State.CONTAINED}),
    State.CONTAINED: frozenset({State.ANALYSED}),
    State.ANALYSED: frozenset({State.ACTING}),
    State.ACTING: frozenset({State.VERIFYING}),
    # A measure without effect (R4) goes back to the analysis.
    State.VERIFYING: frozenset({State.CLOSED, State.REOPENED}),
    State.REOPENED: frozenset({State.ANALYSED}),
    State.CLOSED: frozenset({State.REOPENED}),
}
WORDS: Mapping[State, Said] = {
    State.OPEN: say("待处置"),
    State.CONTAINED: say("已控制"),
    State.ANALYSED: say("已分析原因"),
    State.ACTING: say("纠正中"),
    State.VERIFYING: say("验证中"),
    State.CLOSED: say("已关闭"),
    State.REOPENED: say("重新打开"),
}
# What the words of each step are about, as the form asks for them.
ASKED: Mapping[State, Said] = {
    State.CONTAINED: say("即时处置：停用、暂停发布、召回了什么，影响范围"),
    State.ANALYSED: say("原因分析（5-Why 或鱼骨图的结论）"),
    State.ACTING: say("纠正措施"),
    State.VERIFYING: say("措施完成情况，怎样验证效果"),
    State.CLOSED: say("效果验证的数据"),
    State.REOPENED: say("为什么没有效果"),
}
DONE = (State.CLOSED,)
EFFECT_AFTER = timedelta(days=30)


class Source(StrEnum):
    """Where it was noticed."""

    RECALL = "recall"
    AMENDMENT = "amendment"
    LOST = "lost"
    CRITICAL = "critical"
    QC = "qc"
    COMPLAINT = "complaint"
    AUDIT = "audit"
    EQUIPMENT = "equipment"
    SYSTEM = "system"
    OTHER = "other"


SOURCE_WORDS: Mapping[Source, Said] = {
    Source.RECALL: say("报告召回"),
    Source.AMENDMENT: say("报告修改"),
    Source.LOST: say("标本遗失"),
    Source.CRITICAL: say("危急值未及时通知"),
    Source.QC: say("质控"),
    Source.COMPLAINT: say("投诉"),
    Source.AUDIT: say("内审/外审"),
    Source.EQUIPMENT: say("设备"),
    Source.SYSTEM: say("信息系统"),
    Source.OTHER: say("其他"),
}
BY_HAND = (Source.QC, Source.COMPLAINT, Source.AUDIT, Source.EQUIPMENT, Source.SYSTEM, Source.OTHER)


class Severity(StrEnum):
    """How grave it is."""

    MINOR = "minor"
    MAJOR = "major"
    SERIOUS = "serious"


SEVERITY_WORDS: Mapping[Severity, Said] = {Severity.MINOR: say("轻微"), Severity.MAJOR: say("一般"), Severity.SERIOUS: say("严重")}


def move_problem(state: State, to: State, words: str, due: date | None, acting_since: date | None, today: date) -> Said | None:
    """Why a step is refused, or None.

    ``due``: the day a measure must be done, asked for when it begins; ``acting_since``: the local day the measures began. A nonconformity
    is closed only with data on the effect, 30 days after the measures at the earliest (R4).
    """
    if to not in TRANSITIONS[state]:
        return say("该不符合项目前为“{state}”，不能改为“{to}”。", state=WORDS[state], to=WORDS[to])
    if not words.strip():
        return say("请填写：{what}。", what=ASKED[to])
    if to is State.ACTING and (due is None or due < today):
        return say("请填写措施的完成期限，不早于今天。")
    if to is State.CLOSED and (acting_since is None or today < acting_since + EFFECT_AFTER):
        return say("措施开始后至少 {n} 天才能验证效果并关闭。", n=EFFECT_AFTER.days)
    return None
