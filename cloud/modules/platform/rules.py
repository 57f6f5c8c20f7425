"""Rules of identity (M01): passwords, lockout, second factor, idle locks, signing windows, exclusive admin roles."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

MAX_FAILURES = 5
LOCK_FOR = timedelta(minutes=30)
PASSWORD_LIFE = timedelta(days=90)
REMEMBERED = 5
IDLE_LOCK = timedelta(minutes=15)
BENCH_LOCK = timedelta(minutes=5)
BACKGROUND = 60  # seconds without a key or a click after which a page's own requests do not count as somebody being there
SESSION_LIFE = timedelta(hours=12)
MFA_LIFE = timedelta(hours=12)
SIGNING_WINDOW = timedelta(minutes=5)
PIN_FAILURES = 5
ADMIN_ROLES = ("sysadmin", "secadmin", "auditadmin")


class Perm(StrEnum):
    """Permissions of this module."""

    USERS = "platform:users"
    ROLES = "platform:roles"
    MATRIX = "platform:matrix"
    SESSIONS = "platform:sessions"
    WORKSTATIONS = "platform:workstations"
    AUDIT = "platform:audit"
    OPERATE = "platform:operate"


class Level(IntEnum):
    """How pressing an alert is."""

    NOTICE = 1
    WARNING = 2
    URGENT = 3


STANDARD_ROLES: tuple[tuple[str, str, bool], ...] = (
    # code, name, needs a second factor (R2: remote, admin and release roles)
    ("tester", "检验者", False),
    ("verifier", "审核者", True),
    ("senior", "高级审核者", True),
    ("leader", "专业组长", True),
    ("quality", "质量/技术主管", True),
    ("director", "科主任", True),
    ("infogroup", "科室信息管理组", True),
    ("clinician", "临床医生", False),
    ("recordroom", "病案室", False),
    ("engineer", "公司工程师", True),
    ("supervision", "监督部门", True),
    ("nurse", "护士/采血员", False),
    ("receiver", "标本接收员", False),
    ("guide", "导诊", False),
    ("reagent", "试剂管理员", False),
    ("equipment", "设备管理员", False),
    ("document", "文档管理员", False),
    ("scheduler", "排班员", False),
    ("sysadmin", "系统管理员", True),
    ("secadmin", "安全管理员", True),
    ("auditadmin", "审计管理员", True),
    ("screen", "候诊大屏", False),
)

COMMON_PASSWORDS = frozenset(
    [
        "password1!",
        "passw0rd!",
        "qwerty123!",
        "admin123!",
        "admin@123",
        "abc123456!",
        "123456abc!",
        "p@ssw0rd123",
        "welcome1!",
        "a123456789!",
        "hospital@123",
    ]
)


def password_problem(password: str, employee_no: str) -> str | None:
    """Why a password is refused (R1: ≥ 10 characters, 3 of 4 classes, not a common one), or None."""
    if len(password) < 10:
        return "密码至少 10 个字符。"
    classes = sum(bool(re.search(p, password)) for p in (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^A-Za-z0-9]"))
    if classes < 3:
        return "密码须包含大写字母、小写字母、数字、符号中的至少三种。"
    if password.lower() in COMMON_PASSWORDS or (employee_no and employee_no.lower() in password.lower()):
        return "这个密码太容易被猜到，请换一个。"
    return None


@dataclass(frozen=True)
class Lockout:
    """State of an account's failed attempts."""

    failures: int
    locked_until: datetime | None


def is_locked(state: Lockout, now: datetime) -> bool:
    """True while the account is shut (until, not at, the end of its 30 minutes)."""
    return state.locked_until is not None and now < state.locked_until


def after_failure(state: Lockout, now: datetime) -> Lockout:
    """The state after one more wrong secret; the fifth shuts the account for 30 minutes (R1, AC-PL-2)."""
    expired = state.locked_until is not None and now >= state.locked_until
    failures = 1 if expired else state.failures + 1
    return Lockout(failures, now + LOCK_FOR if failures >= MAX_FAILURES else None)


def idle_limit(bench: bool) -> timedelta:
    """How long nobody may touch a session before it locks (R3)."""
    return BENCH_LOCK if bench else IDLE_LOCK


def session_over(created: datetime, now: datetime) -> bool:
    """True when the session has reached its absolute end."""
    return now - created >= SESSION_LIFE


def mfa_fresh(mfa_at: datetime | None, now: datetime) -> bool:
    """True when the second factor was shown at most 12 h ago (R2)."""
    return mfa_at is not None and now - mfa_at <= MFA_LIFE


def signing_open(until: datetime | None, now: datetime) -> bool:
    """True inside a signing window."""
    return until is not None and now < until


def admin_conflict(roles: Iterable[str]) -> bool:
    """True when one person would hold two of the three admin roles (R10)."""
    return sum(r in ADMIN_ROLES for r in roles) > 1
