"""Rules of reports (M09): states, four eyes, completeness, what an amendment must say. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "reports:read"
    TEST = "reports:test"
    RELEASE = "results:release"
    AMEND = "reports:amend"
    RECALL = "reports:recall"
    SOLO = "reports:solo_duty"


class State(StrEnum):
    """Where a report stands. Readers see only what is released or amended."""

    DRAFT = "draft"
    TESTED = "tested"
    RELEASED = "released"
    AMENDED = "amended"
    RECALLED = "recalled"
    CANCELLED = "cancelled"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.DRAFT: frozenset({State.TESTED}),
    # Back to draft: the verifier sends it back, or a value changed after the review.
    State.TESTED: frozenset({State.TESTED, State.DRAFT, State.RELEASED}),
    State.RELEASED: frozenset({State.AMENDED, State.RECALLED}),
    State.AMENDED: frozenset({State.AMENDED, State.RECALLED}),
    State.RECALLED: frozenset({State.AMENDED, State.CANCELLED}),
    State.CANCELLED: frozenset(),
}
VISIBLE = (State.RELEASED, State.AMENDED)
WORDS: Mapping[State, str] = {
    State.DRAFT: "待初审",
    State.TESTED: "已初审，待审核",
    State.RELEASED: "已发布",
    State.AMENDED: "已修改",
    State.RECALLED: "已召回",
    State.CANCELLED: "已取消",
}


def may_move(state: State, to: State) -> bool:
    """Whether the table allows the move."""
    return to in TRANSITIONS[state]


class VersionState(StrEnum):
    """What one version of a report is worth today."""

    CURRENT = "current"
    SUPERSEDED = "superseded"
    RECALLED = "recalled"


VERSION_WORDS = {VersionState.CURRENT: "现行", VersionState.SUPERSEDED: "已被替代", VersionState.RECALLED: "已召回"}


class Reason(StrEnum):
    """Why a told report changes; all but ``SUPPLEMENT`` count as errors (indicator 13)."""

    RESULT = "result"
    PATIENT = "patient"
    SPECIMEN = "specimen"
    OMISSION = "omission"
    SUPPLEMENT = "supplement"


REASON_WORDS = {
    Reason.RESULT: "结果错误",
    Reason.PATIENT: "患者信息错误",
    Reason.SPECIMEN: "标本错误",
    Reason.OMISSION: "漏项",
    Reason.SUPPLEMENT: "补充信息",
}


@dataclass(frozen=True, slots=True)
class Duty:
    """A night on which one person alone may test and verify (R1)."""

    user_id: int
    section_id: int
    starts_at: datetime
    ends_at: datetime


CHECK_WITHIN = timedelta(hours=24)


def on_solo_duty(duties: Collection[Duty], user_id: int, section_id: int, at: datetime) -> bool:
    """Whether this person is flagged for this section at this moment; the end itself is over."""
    return any(d.user_id == user_id and d.section_id == section_id and d.starts_at <= at < d.ends_at for d in duties)


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
    reviewed: str
    found: str
    """What the reviewer saw and what is there now (bench.queries.basis)."""
    qc_closed: tuple[str, ...] = ()
    """Items whose quality control keeps them from leaving, each with the reason (M11)."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Who wants to release."""

    user_id: int
    sections: frozenset[str]


def release_problem(report: Candidate, who: Verifier, duties: Collection[Duty], at: datetime) -> str | None:
    """Why this report must not leave, naming what to do, or None."""
    if report.state is not State.TESTED:
        return f"目前为“{WORDS[report.state]}”，不能发布。"
    if not may_work_in(who.sections, report.section_code):
        return "不属于您负责的专业组。"
    if report.missing:
        return f"缺少必报项目：{'、'.join(report.missing)}。"
    if report.held:
        return f"有待处理的结果：{'、'.join(report.held)}。"
    if report.qc_closed:
        return f"质控未放行：{'；'.join(report.qc_closed)}。"
    if report.reviewed != report.found:
        return "初审之后结果有变化，请重新初审。"
    if needs_second_look(report, who) and not on_solo_duty(duties, who.user_id, report.section_id, at):
        return "检验者与审核者不能是同一人，请由他人审核。"
    return None


def needs_second_look(report: Candidate, who: Verifier) -> bool:
    """The verifier made this report, or typed a value of it: four eyes, or solo duty and a second look within 24 h."""
    return who.user_id == report.tester_id or who.user_id in report.hands


def may_work_in(sections: frozenset[str], code: str) -> bool:
    """Own sections only; somebody without any listed works in all of the hospital's."""
    return not sections or code in sections


def amend_problem(state: State, reason: str, reason_text: str, before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """Why an amendment is refused, or None. ``before`` and ``after`` are item → value of what is to change."""
    if not may_move(state, State.AMENDED):
        return f"报告目前为“{WORDS[state]}”，不能修改。"
    if reason not in tuple(Reason):
        return "请选择修改原因类别。"
    if not reason_text.strip():
        return "请写明修改原因。"
    if all(before.get(item) == value for item, value in after.items()):
        return "内容没有变化，无需修改。"
    return None


# --- order of the review queue --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """What makes a report need an eye before it leaves."""

    abnormal: int
    critical: int
    alarms: int
    solo: bool


class Needs(StrEnum):
    """Why a report needs an eye."""

    CRITICAL = "critical"
    ABNORMAL = "abnormal"
    ALARM = "alarm"
    OWN = "own"


def batch_exceptions(look: Look) -> tuple[tuple[Needs, int], ...]:
    """Reasons (and how often) why a report is not ticked for a batch by itself: somebody must look at it first (LESSONS B11)."""
    found = ((Needs.CRITICAL, look.critical), (Needs.ABNORMAL, look.abnormal), (Needs.ALARM, look.alarms), (Needs.OWN, int(look.solo)))
    return tuple((need, n) for need, n in found if n)


def refused(problems: Sequence[tuple[str, str]]) -> str:
    """One sentence for all reports of a batch that cannot leave; nothing of the batch has left."""
    listed = "；".join(f"{name}：{why}" for name, why in problems[:5])
    more = f"（共 {len(problems)} 份）" if len(problems) > 5 else ""
    return f"未发布任何报告。{listed}{more}"
