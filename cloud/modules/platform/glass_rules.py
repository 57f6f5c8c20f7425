"""Looks past a wall (M01 R8): what they are of, what the reviewer found, which reason is enough. Pure."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from common.say import Said, say

BREAK_GLASS = timedelta(hours=4)
REVIEW_WITHIN = timedelta(days=30)
MIN_REASON = 4


class Glass(StrEnum):
    """What was looked at past its wall."""

    PATIENT = "patient"
    SENSITIVE = "sensitive"


class Verdict(StrEnum):
    """What the reviewer found."""

    FIT = "fit"
    UNFIT = "unfit"


GLASS_WORDS = {Glass.PATIENT: say("非本病区患者"), Glass.SENSITIVE: say("敏感项目")}
VERDICT_WORDS = {Verdict.FIT: say("合理"), Verdict.UNFIT: say("不合理")}


def reason_problem(reason: str) -> Said | None:
    """Why a break-glass reason is refused, or None."""
    return say("请写明查看原因（至少 4 个字），例如：会诊、急救。") if len(reason.strip()) < MIN_REASON else None
