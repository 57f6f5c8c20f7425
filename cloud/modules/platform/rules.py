"""Rules of identity (M01): passwords, lockout, second factor, idle locks, signing windows, exclusive admin roles."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from zoneinfo import ZoneInfo

from common.say import Said, say

ZONE = ZoneInfo("Asia/Shanghai")
MAX_FAILURES = 5
LOCK_FOR = timedelta(minutes=30)
PASSWORD_LIFE = timedelta(days=90)
REMEMBERED = 5
IDLE_LOCK = timedelta(minutes=15)
BENCH_LOCK = timedelta(minutes=5)
TICKET_LIFE = timedelta(seconds=60)
TICKET_SKEW = timedelta(seconds=5)
GRANT_HOURS = 8
JUST_IN_TIME = frozenset({"engineer"})
DORMANT = timedelta(days=90)
BULK_PATIENTS = 200
OFFICE_HOURS = (7, 19)  # local hours outside which many records read by one person is told (M01 alerts)
BACKGROUND = 60  # seconds without a key or a click after which a page's own requests do not count as somebody being there
SESSION_LIFE = timedelta(hours=12)
MFA_LIFE = timedelta(hours=12)
WIDEST_NETWORK = 8  # bits: two ranges of one bit were everybody, and nobody remote
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
    GRANTS = "platform:grants"
    SSO = "platform:sso"
    SENSITIVE = "platform:sensitive"
    """Sees results of sensitive items (HIV, STD, toxicology, paternity: marked in the master data) without giving a reason (R8)."""
    MLPS = "platform:mlps"
    EXPORTS = "platform:exports"
    """Approves exports of many rows that name patients (R6)."""
    BREAKS = "platform:breaks"
    """Reviews who looked at what was not theirs, and why."""
    OPERATE = "platform:operate"


class Level(IntEnum):
    """How pressing an alert is."""

    NOTICE = 1
    WARNING = 2
    URGENT = 3


ADMINISTRATION = frozenset({Perm.USERS, Perm.ROLES, Perm.SESSIONS, Perm.SSO, Perm.WORKSTATIONS, Perm.AUDIT, Perm.OPERATE})
"""What only the three administrators may do; no composed role may hold any of it (R10)."""

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


# What each role acts on, by the family of an alert's kind ("edge" of "edge.offline"): of two equally grave ones this stands first.
_FIRST: Mapping[str, Sequence[str]] = {
    "tester": ("critical", "bench", "qc", "reports", "specimen", "handover"),
    "verifier": ("critical", "reports", "autoverify", "bench", "qc"),
    "senior": ("critical", "reports", "autoverify", "bench", "qc"),
    "leader": ("critical", "reports", "qc", "autoverify", "bench", "handover", "changes", "catalog"),
    "quality": ("qc", "quality", "autoverify", "reports"),
    "director": ("critical", "reports", "qc", "quality", "autoverify", "changes"),
    "infogroup": ("catalog", "changes", "interfaces", "orders", "edge", "platform"),
    "clinician": ("critical", "reports"),
    "engineer": ("edge", "interfaces", "servicedesk"),
    "supervision": ("servicedesk",),
    "nurse": ("critical", "specimen", "orders"),
    "receiver": ("specimen", "orders"),
    "sysadmin": ("platform", "edge", "interfaces"),
}


def first_families(roles: Collection[str]) -> Sequence[str]:
    """The families of alerts that these roles act on, in the order in which they come first; of several roles by the best place."""
    best = dict[str, int]()
    for role in roles:
        for place, family in enumerate(_FIRST.get(role, ())):
            best[family] = min(place, best.get(family, place))
    return sorted(best, key=lambda family: (best[family], family))


def role_changed(offered: Collection[str], held: Collection[str], known: Collection[str]) -> bool:
    """Whether a hospital changed a standard role: it holds something else than it was offered, as far as the permission still exists.

    Nothing offered yet: nobody could change it.
    """
    return bool(offered) and set(offered) & set(known) != set(held) & set(known)


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


def _classes(text: str) -> int:
    return sum(bool(re.search(p, text)) for p in (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^A-Za-z0-9]"))


def looks_scanned(secret: str) -> bool:
    """Whether what stands in a PIN's field is a code somebody scanned: too long for a PIN, too plain for a password. It is no guess, so it
    counts as none: five tubes scanned at a locked screen would lock its person out."""
    return len(secret.strip()) >= 8 and _classes(secret.strip()) < 3


def password_problem(password: str, employee_no: str) -> str | None:
    """Why a password is refused (R1: ≥ 10 characters, 3 of 4 classes, not a common one), or None."""
    if len(password) < 10:
        return "密码至少 10 个字符。"
    if _classes(password) < 3:
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


def network(text: str) -> str | None:
    """An address or a range (10.20.0.0/16) in one spelling; None when it is neither, or wider than any hospital's own (10.0.0.0/8)."""
    try:
        found = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
    return str(found) if found.prefixlen >= WIDEST_NETWORK else None


def is_remote(ip: str, near: Collection[str]) -> bool:
    """Whether somebody comes from outside the hospital's own networks. Where none is on record nobody can tell, and nobody is."""
    if not near:
        return False
    try:
        found = ipaddress.ip_address(ip.strip())
    except ValueError:
        return True
    mapped = getattr(found, "ipv4_mapped", None)
    return not any((mapped or found) in ipaddress.ip_network(each) for each in near)


_MAC = re.compile(r"[0-9A-F]{12}")


def mac(text: str) -> str | None:
    """A network card's address as AA:BB:CC:DD:EE:FF, "" for none; None when it is no such address."""
    bare = re.sub(r"[\s:.-]", "", text).upper()
    if not bare:
        return ""
    return ":".join(bare[i : i + 2] for i in range(0, 12, 2)) if _MAC.fullmatch(bare) else None


_TELEPHONE = re.compile(r"\+?[0-9][0-9 ()-]{2,24}")


def telephone_problem(text: str) -> str | None:
    """Why a telephone number cannot be kept (an extension of the house is one), or None."""
    return None if not text or _TELEPHONE.fullmatch(text) else "电话请只写数字，可用空格、括号、短横和开头的 +。"


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


class UserState(StrEnum):
    """States of an account (M01)."""

    PENDING = "pending"
    ACTIVE = "active"
    LOCKED = "locked"
    SUSPENDED = "suspended"
    LEFT = "left"


USER_MOVES: dict[UserState, frozenset[UserState]] = {
    UserState.PENDING: frozenset({UserState.ACTIVE, UserState.LEFT}),
    UserState.ACTIVE: frozenset({UserState.LOCKED, UserState.SUSPENDED, UserState.LEFT}),
    UserState.LOCKED: frozenset({UserState.ACTIVE, UserState.SUSPENDED, UserState.LEFT}),
    UserState.SUSPENDED: frozenset({UserState.ACTIVE, UserState.LEFT}),
    UserState.LEFT: frozenset(),
}


ENTERING = (UserState.PENDING, UserState.ACTIVE)
"""Who may log in: somebody new too, for nothing but to choose a password of their own, which makes the account active."""


def may_move(state: UserState, to: UserState) -> bool:
    """True when an account in ``state`` may become ``to``; who has left never comes back under the same account."""
    return to in USER_MOVES[state]


class TenantState(StrEnum):
    """States of a hospital (M01). ``read_only``: its people look things up and print; what machines send is still kept."""

    TRIAL = "trial"
    ACTIVE = "active"
    READ_ONLY = "read_only"
    CLOSED = "closed"


TENANT_MOVES: dict[TenantState, frozenset[TenantState]] = {
    TenantState.TRIAL: frozenset({TenantState.ACTIVE}),
    # Back from read_only, too: nothing is lost by it, and nobody is shut out for good by one wrong word.
    TenantState.ACTIVE: frozenset({TenantState.READ_ONLY}),
    TenantState.READ_ONLY: frozenset({TenantState.ACTIVE, TenantState.CLOSED}),
    TenantState.CLOSED: frozenset(),
}


EDITION_WORDS = {"full": say("完整版"), "standard": say("标准版"), "basic": say("基层版")}
EDITIONS: dict[str, frozenset[str]] = {
    "full": frozenset(),
    "standard": frozenset({"portal", "queue", "servicedesk"}),
    "basic": frozenset({"portal", "queue", "servicedesk", "handover"}),
}
"""Edition → modules its hospital does not have. What a result, its checks and its report rest on is in every one."""


class Scope(StrEnum):
    """Where a role counts for the person who holds it (M01: tenant, campus, section, own)."""

    TENANT = "tenant"
    CAMPUS = "campus"
    SECTION = "section"
    OWN = "own"


SCOPE_WORDS = {Scope.TENANT: say("全院"), Scope.CAMPUS: say("院区"), Scope.SECTION: say("本人专业组"), Scope.OWN: say("本人病区")}


def campus_problem(code: str, name: str, sections: Collection[str], known: Collection[str], taken: Mapping[str, str]) -> Said | None:
    """Why a campus cannot be kept so, or None. ``taken``: section → name of the other campus it is at."""
    if not re.fullmatch(r"[A-Z0-9]{1,10}", code) or not name:
        return say("请填写院区代码（大写字母和数字，最多 10 位）和名称。")
    strange = sorted(set(sections) - set(known))
    if strange:
        return say("没有专业组 {strange}。", strange=tuple(strange))
    for section in sorted(set(sections) & taken.keys()):
        return say("专业组 {section} 已属于“{campus}”，请先从那里移出。", section=section, campus=taken[section])
    return None


NOWHERE = "—"
"""No section and no ward is called so: what a set of places holds that must not be taken for "all of them"."""


@dataclass(frozen=True)
class Places:
    """Codes of sections and of wards; an empty set sets no bounds."""

    sections: frozenset[str]
    wards: frozenset[str]


def places(scope: Scope, own: Places, campus: Places | None) -> Places | None:
    """Where a role given so counts for somebody with these own places; None: nowhere yet. ``campus``: None when it is closed."""
    if scope is Scope.CAMPUS:
        if campus is None or not (campus.sections or campus.wards):
            return None
        return Places(_both(campus.sections, own.sections), _both(campus.wards, own.wards))
    if scope is Scope.SECTION:
        return own if own.sections else None
    if scope is Scope.OWN:
        return Places(own.sections or frozenset({NOWHERE}), own.wards) if own.wards else None
    return own


def _both(there: frozenset[str], own: frozenset[str]) -> frozenset[str]:
    return (there & own if own else there) or frozenset({NOWHERE})


def together(found: Iterable[Places]) -> Places:
    """All places that at least one of several grants reaches; one without bounds has none."""
    sections, wards = zip(*((p.sections, p.wards) for p in found), strict=True)
    return Places(_widest(sections), _widest(wards))


def _widest(sets: Collection[frozenset[str]]) -> frozenset[str]:
    return frozenset() if not all(sets) else frozenset().union(*sets)


def password_expired(set_at: datetime, now: datetime) -> bool:
    """True from the end of a password's 90 days on (R1)."""
    return now - set_at >= PASSWORD_LIFE


def ticket_problem(issued: datetime, now: datetime) -> str | None:
    """Why a single sign-on ticket is too old or from the future (R5: 60 s; AC-PL-3), or None."""
    if now - issued > TICKET_LIFE:
        return "expired"
    return "future" if issued - now > TICKET_SKEW else None


class GrantState(StrEnum):
    """States of an outside engineer's access."""

    ASKED = "asked"
    APPROVED = "approved"
    REFUSED = "refused"
    ENDED = "ended"


GRANT_MOVES: dict[GrantState, frozenset[GrantState]] = {
    GrantState.ASKED: frozenset({GrantState.APPROVED, GrantState.REFUSED}),
    GrantState.APPROVED: frozenset({GrantState.ENDED}),
    GrantState.REFUSED: frozenset(),
    GrantState.ENDED: frozenset(),
}


def grant_problem(hours: int, purpose: str) -> str | None:
    """Why an access cannot be asked for so (R7: at most 8 h, with a purpose), or None."""
    if not 1 <= hours <= GRANT_HOURS:
        return say("临时访问须在 1 到 {most} 小时之间。", most=GRANT_HOURS)
    return None if purpose.strip() else "请写明访问目的（做什么、涉及哪台设备或哪个页面）。"


_TICKET = re.compile(r"(?:工单|#|NO\.?)?\s*([0-9]{1,18})", re.IGNORECASE)


def ticket_number(given: str) -> int | None:
    """The number of a ticket as people write it (12, #12, 工单 12), or None."""
    found = _TICKET.fullmatch(unicodedata.normalize("NFKC", given).strip())
    return None if found is None else int(found[1])


AUDIT_ONLINE = timedelta(days=180)
"""Audit entries are archived from this age on (R9; they stay online as well)."""
MLPS_YEAR = 365
MLPS_SOON = 60  # days before the yearly assessment is due that it is told
EXPORT_ROWS = 500
"""Rows naming patients that one person may export without another's approval (R6) [C]."""
DELEGATION_MOST = timedelta(days=60)


def needs_approval(rows: int, identifying: bool) -> bool:
    """Whether an export waits for somebody's approval."""
    return identifying and rows > EXPORT_ROWS


def delegation_problem(first: datetime, until: datetime, now: datetime) -> Said | None:
    """Why these times cannot be, or None."""
    if until <= first:
        return say("结束时间须晚于开始时间。")
    if until <= now:
        return say("结束时间已经过去，请核对。")
    if until - first > DELEGATION_MOST:
        return say("代理最长 {days} 天，请缩短。", days=DELEGATION_MOST.days)
    return None


LOGIN_WORDS = {
    "password": say("密码不正确"),
    "unknown": say("没有这个工号"),
    "locked": say("账号锁定中"),
    "second_factor": say("动态口令不正确"),
    "no_second_factor": say("没有启用动态口令"),
    "remote": say("院外登录没有第二种鉴别方式"),
    "certificate": say("证书已过期、已吊销或不可用"),
    "no_certificate": say("没有插入登记的 UKey"),
    "wework": say("扫码的不是本人的企业微信"),
    "wework_away": say("企业微信没有确认扫码"),
    "pin": say("PIN 不正确"),
    "no_grant": say("没有已批准的临时访问"),
    "password_change": say("改密码时原密码不正确"),
    "sso_replay": say("单点登录票据重复使用"),
    "sso_forged": say("单点登录票据签名不符"),
    "sso_expired": say("单点登录票据过期"),
    "sso_future": say("单点登录票据时间在将来"),
    "sso_malformed": say("单点登录票据无法识别"),
    "sso_unknown": say("单点登录的工号不存在或已锁定"),
    "sso_second_factor": say("单点登录不能代替动态口令"),
}
"""Why somebody did not come in."""


def off_hours(now: datetime) -> tuple[datetime, datetime] | None:
    """The part of the hour before ``now`` that lies outside office hours; None: there is none (M01 alerts: off-hours bulk view)."""
    until = now.astimezone(ZONE)
    since = until - timedelta(hours=1)
    morning, evening = (until.replace(hour=hour, minute=0, second=0, microsecond=0) for hour in OFFICE_HOURS)
    since, until = (max(since, evening), until) if until > evening else (since, min(until, morning))
    return (since, until) if since < until else None


def pin_problem(pin: str) -> str | None:
    """Why a signing PIN is refused (6 digits, not alike, not a row), or None."""
    if not re.fullmatch(r"[0-9]{6}", pin):
        return "签名 PIN 须为 6 位数字。"
    steps = {(int(b) - int(a)) % 10 for a, b in zip(pin, pin[1:], strict=False)}
    return "这个 PIN 太容易被猜到，请换一个。" if len(steps) == 1 and steps <= {0, 1, 9} else None
