"""Change control of master data (M02, C8): states, who may approve, deadlines. Pure.

A change is one or many rows of one kind. It is drafted, tested against past reports, approved by the section and by the information
group (neither the requester nor one another, C12), scheduled, active, and retired when a later change replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from common.say import Said, say, word

EMERGENCY_LIMIT = timedelta(hours=24)
SAMPLE = 500
REVIEWED_EVERY = timedelta(days=365)
LIMITS: Mapping[str, Said] = {"ri": say("参考区间"), "critical": say("危急值界限")}
"""Kinds of rows that are reviewed every year."""


class Perm(StrEnum):
    """What a person may do with changes. A vendor engineer holds PROPOSE only."""

    READ = "changes:read"
    PROPOSE = "changes:propose"
    TEST = "changes:test"
    SECTION = "changes:approve_section"
    AV = "changes:approve_av"
    GROUP = "changes:approve"
    EMERGENCY = "changes:emergency"


class State(StrEnum):
    """Where a change stands."""

    DRAFT = "draft"
    TESTED = "tested"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    RETIRED = "retired"
    WITHDRAWN = "withdrawn"


_S = State
TRANSITIONS: Mapping[State, frozenset[State]] = {
    _S.DRAFT: frozenset({_S.TESTED, _S.WITHDRAWN, _S.ACTIVE}),  # to active: in an emergency only
    _S.TESTED: frozenset({_S.DRAFT, _S.TESTED, _S.APPROVED, _S.WITHDRAWN, _S.ACTIVE}),
    _S.APPROVED: frozenset({_S.SCHEDULED, _S.DRAFT, _S.WITHDRAWN}),
    _S.SCHEDULED: frozenset({_S.ACTIVE, _S.DRAFT, _S.WITHDRAWN}),
    _S.ACTIVE: frozenset({_S.RETIRED}),
    _S.RETIRED: frozenset(),
    _S.WITHDRAWN: frozenset(),
}
WORDS: Mapping[State, str] = {
    _S.DRAFT: "草稿",
    _S.TESTED: "已测试",
    _S.APPROVED: "已批准",
    _S.SCHEDULED: "已排期",
    _S.ACTIVE: "生效",
    _S.RETIRED: "已退役",
    _S.WITHDRAWN: "已撤回",
}
OPEN = (_S.DRAFT, _S.TESTED, _S.APPROVED, _S.SCHEDULED)


def may_move(state: State, to: State) -> bool:
    """Whether the table allows the move."""
    return to in TRANSITIONS[state]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the approval rules look at."""

    state: State
    requested_by: int | None
    section_by: int | None
    group_by: int | None
    emergency: bool = False

    @property
    def approved(self) -> bool:
        """Whether both have approved."""
        return self.section_by is not None and self.group_by is not None


def approval_problem(standing: Standing, person: int | None, side: str) -> str | None:
    """Why this person cannot give this approval (``side``: section or group), or None."""
    waiting = standing.state is _S.TESTED or (standing.emergency and standing.state is _S.ACTIVE)
    if not waiting:
        return say("变更目前为“{state}”，不能批准；须先完成测试。", state=word(WORDS[standing.state]))
    if person is None or person == standing.requested_by:
        return "申请人不能批准自己的变更，请由他人批准。"
    given, other = (standing.section_by, standing.group_by) if side == "section" else (standing.group_by, standing.section_by)
    if given is not None:
        return "这一方已经批准过了。"
    if other == person:
        return "专业组与信息管理组须由两个人分别批准。"
    return None


def overdue(emergency: bool, approved: bool, activated_at: datetime | None, now: datetime) -> bool:
    """An emergency change that nobody has approved within 24 h."""
    return emergency and not approved and activated_at is not None and now - activated_at > EMERGENCY_LIMIT


BOXES: tuple[tuple[str, str], ...] = (
    ("item", "项目资料"),
    ("map", "仪器通道"),
    ("ri", "参考区间"),
    ("critical", "危急值"),
    ("delta", "差值检查"),
    ("qc", "质控计划"),
    ("method", "方法文件"),
    ("price", "收费"),
    ("his", "HIS 对照"),
    ("print", "报告打印"),
    ("handbook", "检验手册"),
    ("av", "自动审核规则"),
)
"""The boxes of a new item; all are mandatory: done, or said to be not applicable by a named person."""


def open_boxes(closed: Mapping[str, bool]) -> list[str]:
    """Words of the boxes still open."""
    return [word for code, word in BOXES if not closed.get(code)]


def limits_due(last: datetime | None, now: datetime) -> bool:
    """Whether limits last looked at then are to be reviewed; what nobody ever did is."""
    return last is None or now >= last + REVIEWED_EVERY
