"""Rules of the service desk (M26): states, what each step needs, the solution clock. Pure.

The clock runs day and night from the moment the laboratory was in touch, not from when it was typed; contracts with office hours come
with the module's own issue.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from common.say import Said, say


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "servicedesk:read"
    OPEN = "servicedesk:open"
    ASK = "servicedesk:ask"
    WORK = "servicedesk:work"
    CONFIRM = "servicedesk:confirm"


class State(StrEnum):
    """Where a ticket stands."""

    NEW = "new"
    ACCEPTED = "accepted"
    DIAGNOSING = "diagnosing"
    SOLUTION = "solution_given"
    SCHEDULED = "onsite_scheduled"
    ONSITE = "onsite"
    RESOLVED = "resolved"
    CONFIRMED = "confirmed"
    CLOSED = "closed"
    REOPENED = "reopened"


_S = State
TRANSITIONS: Mapping[State, frozenset[State]] = {
    _S.NEW: frozenset({_S.ACCEPTED}),
    _S.ACCEPTED: frozenset({_S.DIAGNOSING}),
    _S.DIAGNOSING: frozenset({_S.SOLUTION}),
    _S.SOLUTION: frozenset({_S.SCHEDULED, _S.RESOLVED}),
    _S.SCHEDULED: frozenset({_S.ONSITE}),
    _S.ONSITE: frozenset({_S.RESOLVED}),
    _S.RESOLVED: frozenset({_S.CONFIRMED, _S.REOPENED}),
    _S.CONFIRMED: frozenset({_S.CLOSED, _S.REOPENED}),
    _S.CLOSED: frozenset({_S.REOPENED}),
    _S.REOPENED: frozenset({_S.DIAGNOSING}),
}
WORDS: Mapping[State, Said] = {
    _S.NEW: say("新工单"),
    _S.ACCEPTED: say("已受理"),
    _S.DIAGNOSING: say("诊断中"),
    _S.SOLUTION: say("已给方案"),
    _S.SCHEDULED: say("已约上门"),
    _S.ONSITE: say("已到场"),
    _S.RESOLVED: say("已解决，待确认"),
    _S.CONFIRMED: say("已确认"),
    _S.CLOSED: say("已关闭"),
    _S.REOPENED: say("重新打开"),
}
ASKED: Mapping[State, Said] = {
    _S.ACCEPTED: say("受理说明"),
    _S.DIAGNOSING: say("现象与初步判断"),
    _S.SOLUTION: say("解决方案"),
    _S.SCHEDULED: say("上门时间和人员"),
    _S.ONSITE: say("到场时间和情况"),
    _S.RESOLVED: say("怎样解决的"),
    _S.CONFIRMED: say("检验科确认的情况"),
    _S.CLOSED: say("关闭说明"),
    _S.REOPENED: say("为什么重新打开"),
}
LAB_ONLY = frozenset({_S.CONFIRMED, _S.CLOSED, _S.REOPENED})
REOPEN_WITHIN = timedelta(days=7)


class Severity(StrEnum):
    """P1 interrupts testing or clinical care; P2 is everything else."""

    P1 = "P1"
    P2 = "P2"


SEVERITY_WORDS: Mapping[Severity, Said] = {Severity.P1: say("P1 影响检验或临床"), Severity.P2: say("P2 一般")}


class Category(StrEnum):
    """What it is about."""

    QUESTION = "question"
    FAULT = "fault"
    DATA = "data"
    INTERFACE = "interface"
    DEVICE = "device"
    CHANGE = "change"
    COMPLAINT = "complaint"


CATEGORY_WORDS: Mapping[Category, Said] = {
    Category.QUESTION: say("咨询"),
    Category.FAULT: say("故障"),
    Category.DATA: say("数据"),
    Category.INTERFACE: say("接口"),
    Category.DEVICE: say("新设备或移机"),
    Category.CHANGE: say("开发"),
    Category.COMPLAINT: say("投诉"),
}
ASKABLE = (Category.QUESTION, Category.FAULT, Category.DATA, Category.COMPLAINT)
"""What people outside the laboratory come with."""
SOLVE_WITHIN = timedelta(hours=1)
UNASSIGNED = timedelta(minutes=5)
TYPED_WITHIN = timedelta(hours=24)


def solution_due(notified_at: datetime) -> datetime:
    """When a solution must have been proposed (requirement 3.2.2; AC-SLA-1, AC-SLA-5)."""
    return notified_at + SOLVE_WITHIN


def breached(due: datetime, at: datetime) -> bool:
    """The last moment is still in time (AC-SLA-6)."""
    return at > due


def notified_problem(notified_at: datetime, now: datetime, why_late: str) -> Said | None:
    """Why the moment the laboratory was in touch cannot be taken as typed, or None."""
    if notified_at > now:
        return say("联系时间晚于现在，请改正。")
    if now - notified_at > TYPED_WITHIN and not why_late.strip():
        return say("联系时间早于 24 小时以前，请写明补录原因。")
    return None


def move_problem(
    state: State,
    to: State,
    words: str,
    owner: str,
    backup: str,
    severity: Severity,
    root_cause: str,
    closed_at: datetime | None,
    now: datetime,
) -> Said | None:
    """Why a step is refused, or None."""
    if to not in TRANSITIONS[state]:
        return say("工单目前为“{state}”，不能改为“{to}”。", state=WORDS[state], to=WORDS[to])
    if not words.strip():
        return say("请填写：{what}。", what=ASKED[to])
    if to is _S.ACCEPTED and (not owner.strip() or not backup.strip() or owner.strip() == backup.strip()):
        return say("受理须写明负责人和另一名后备人员（不依赖一个人）。")
    if to is _S.CLOSED and severity is Severity.P1 and not root_cause.strip():
        return say("P1 工单没有根本原因不能关闭，请先填写根本原因。")
    if to is _S.REOPENED and state is _S.CLOSED and (closed_at is None or now - closed_at > REOPEN_WITHIN):
        return say("关闭超过 7 天的工单不能重新打开，请新建一张并注明原编号。")
    return None
