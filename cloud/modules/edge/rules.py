"""Rules of the edge (M06): states, what an observation becomes, what is one measurement, whose tube it is.

Pure: no clock, no store. Instants are aware, `None` means unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "edge:read"
    RAW = "edge:raw"
    MANAGE = "edge:manage"
    ATTACH = "edge:attach"
    MAP = "edge:map"
    PROPOSE = "edge:propose"
    APPROVE = "edge:approve"
    CONSENT = "edge:consent"
    INSTALL = "edge:install"


class AgentState(StrEnum):
    """An agent's registration. Online and offline are told by its heartbeat, not stored (see `link_light`)."""

    CREATED = "created"
    ENROLLED = "enrolled"
    REVOKED = "revoked"


AGENT_MOVES = {
    AgentState.CREATED: frozenset({AgentState.ENROLLED, AgentState.REVOKED}),
    # Enrolling again (new PC, lost key) replaces the certificate; the old one is revoked by it.
    AgentState.ENROLLED: frozenset({AgentState.ENROLLED, AgentState.REVOKED}),
    AgentState.REVOKED: frozenset({AgentState.ENROLLED}),
}


def may_move(state: AgentState, to: AgentState) -> bool:
    """Whether the table allows the move."""
    return to in AGENT_MOVES[state]


def waiting(status: Mapping[str, object]) -> int:
    """Messages an agent still held when it was last heard; 0 when it has not said."""
    said = status.get("pending")
    return said if isinstance(said, int) and said > 0 else 0


class RawState(StrEnum):
    """What became of a stored message; one of them always holds (R8)."""

    INTERPRETED = "interpreted"
    DEFERRED = "deferred"  # stored and receipted, read later outside the stream because of its size
    QUARANTINED = "quarantined"


KEEP_DAYS = 90
"""Bytes of messages are kept at least so long (M06 R11)."""


def keep_days(setting: object) -> int:
    """Days that bytes are kept by a hospital's setting; never fewer than the specification's."""
    return max(KEEP_DAYS, setting) if isinstance(setting, int) else KEEP_DAYS


ARCHIVE_MESSAGES, ARCHIVE_BYTES = 5000, 32 << 20
"""One file of an archive holds so many messages and bytes at most; a single message may be larger."""
SETTLED = timedelta(minutes=1)
"""A message so old has no neighbour with a smaller number that is still being committed."""


def archive_share(sizes: Sequence[tuple[int, datetime]], now: datetime) -> int:
    """How many of the next messages (bytes, when received; by number) go into one file now."""
    total = 0
    for n, (size, at) in enumerate(sizes):
        total += size
        if n == ARCHIVE_MESSAGES or (n and total > ARCHIVE_BYTES) or now - at < SETTLED:
            return n
    return len(sizes)


class Fate(StrEnum):
    """What became of one observation."""

    MATCHED = "matched"
    ORPHAN = "orphan"
    UNMAPPED = "unmapped"
    MISMATCH = "mismatch"
    QC = "qc"
    REPEAT = "repeat"
    INFO = "info"
    DISCARDED = "discarded"


OPEN_FATES = (Fate.ORPHAN, Fate.UNMAPPED, Fate.MISMATCH)

# Why an observation lies where it lies; the page words them.
REASONS = {
    "unknown_tube": "没有这个条码或样本号的标本",
    "no_id": "仪器没有发送标本号",
    "not_received": "标本尚未核收",
    "tube_closed": "标本已拒收、取消或作废",
    "ambiguous": "样本号对应多支标本",
    "control_code": "条码同时是登记的质控品编号",
    "no_analyzer": "该连接没有对应仪器",
    "unmapped": "通道代码未对照",
    "name_differs": "姓名与本标本患者不符",
    "not_ordered": "该标本没有申请此项目",
    "nothing_ordered": "该标本没有申请本仪器的任何项目，可能扫错或贴错条码",
    "ignored": "已登记为无需报告的代码",
    "picture": "图形，与结果并列显示",
    "track": "流水线事件，记入标本轨迹",
    "simulator": "连接处于模拟模式，不入患者结果",
    "future_time": "测定时间在未来",
    "no_value": "仪器没有给出数值，已有结果保留",
    "refused": "标本或项目的状态不接受结果",
    "late": "报告已发布，保留待处理",
    "same_value": "与现有结果相同，不另列",
    "resend": "仪器重发，与已有结果相同",
    "aspect": "同一项目的附加信息（原始信号、判读等）",
    "qc": "质控结果",
}

# Tubes that results may reach. A tube that nobody has received yet waits in the tray and is taken up at its receipt.
RESULT_STATES = frozenset(
    {"received", "conditional", "centrifuged", "aliquoted", "on_analyzer", "tested", "reviewed", "released", "archived"}
)
EARLY_STATES = frozenset({"planned", "labelled", "collected", "sent", "arrived"})


def tube_problem(state: str) -> str | None:
    """Why a tube in this state cannot take a result, as a key of REASONS; None when it can."""
    if state in RESULT_STATES:
        return None
    return "not_received" if state in EARLY_STATES else "tube_closed"


# --- one measurement (RELIABILITY R3) -------------------------------------------------------------------------------


def content_key(
    source: str, specimen: str | None, code: str | None, time: str | None, run: str | None, nth: int, value: str | None, message: str
) -> str:
    """The name of one measurement, 128 bit: equal key = the same measurement, shown once.

    With a specimen and the instrument's own run time the key is clinical: source (analyzer), specimen, code, time, run, the `nth` of equal
    ones within its message, value. Without them only the message itself can say so: `message` is then its identity.
    """
    if specimen and time:
        parts: tuple[str, ...] = ("c", source, specimen, code or "", time, run or "", str(nth), value or "")
    else:
        parts = ("m", source, message, str(nth), code or "", value or "")
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The message before or after another one on the same link: its bytes' hash, when, and whether it was a resend."""

    seq: int
    sha256: str
    at: datetime | None


def is_resend(sha256: str, at: datetime | None, before: Neighbour | None, after: Neighbour | None, window: timedelta) -> bool:
    """The same bytes again with no other message in between, inside the analyzer's window (M06 R3).

    A message may arrive after its follower (R4: sending order is free), so the neighbour on either side counts.
    """
    return any(n is not None and n.sha256 == sha256 and _within(at, n.at, window) for n in (before, after))


def _within(a: datetime | None, b: datetime | None, window: timedelta) -> bool:
    return a is not None and b is not None and abs(a - b) <= window


# --- whose tube ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    """The patient of a tube, as far as an instrument could name them."""

    name: str
    pinyin: str
    numbers: frozenset[str]


class Identity(StrEnum):
    """What the names in a message say about the tube they came with."""

    AGREES = "agrees"
    UNSURE = "unsure"
    DIFFERS = "differs"


def identity(said_number: str | None, said_name: str | None, person: Person, own_codes: Collection[str]) -> Identity:
    """Compare what the instrument says about the patient with the tube's patient.

    A Chinese name that differs is proof of a mix-up; a Latin one may be a transliteration and a number may be anything an instrument puts
    there, so these only ask for a look. A name cut short by a field length agrees. Missing says nothing.
    """
    number, name = _fold(said_number), _fold(said_name)
    number_known = number in {_fold(n) for n in person.numbers} | {_fold(c) for c in own_codes}
    if name and not _same_name(name, person):
        return Identity.DIFFERS if _is_chinese(name) and _is_chinese(person.name) else Identity.UNSURE
    if number and not number_known and not name:
        return Identity.UNSURE
    return Identity.AGREES


def _same_name(name: str, person: Person) -> bool:
    full, pinyin = _fold(person.name), _fold(person.pinyin)
    if _is_chinese(name):
        # An instrument's field may cut a name; one character is too little to agree on.
        return full == name or (len(name) >= 2 and full.startswith(name))
    return name in (full, pinyin) or (len(name) >= 4 and bool(pinyin) and pinyin.startswith(name))


def _fold(text: str | None) -> str:
    return "".join(c for c in (text or "") if c.isalnum()).casefold()


def _is_chinese(text: str) -> bool:
    return any("㐀" <= c <= "鿿" or "\U00020000" <= c <= "\U0003ffff" for c in text)


def same_sample_no(said: str, known: str) -> bool:
    """A sample number as typed at an instrument: leading zeros do not count."""
    return said.strip().lstrip("0") == known.strip().lstrip("0") != ""


def run_day(time_text: str | None, fallback: date) -> date:
    """The laboratory day of a run: the day in the instrument's time text (YYYYMMDD… or YYYY-MM-DD…), else the given one."""
    digits = "".join(c for c in (time_text or "") if c.isascii() and c.isdigit())[:8]
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) if len(digits) == 8 else fallback
    except ValueError:
        return fallback


FUTURE = timedelta(minutes=5)


def in_future(run_at: datetime | None, received_at: datetime) -> bool:
    """Whether an instrument's run time lies more than 5 minutes behind its arrival (C2)."""
    return run_at is not None and run_at - received_at > FUTURE


# --- the board -------------------------------------------------------------------------------------------------------

OFFLINE_AFTER = timedelta(seconds=60)


def agent_online(last_seen: datetime | None, gone: datetime | None, now: datetime) -> bool:
    """Online: heard within 60 s and no last will since."""
    if last_seen is None or now - last_seen > OFFLINE_AFTER:
        return False
    return gone is None or gone < last_seen


# --- completeness (R4, R8) -------------------------------------------------------------------------------------------


def gaps(stored: Iterable[int], pending: Sequence[tuple[int, int]], low: int, high: int, limit: int = 50) -> list[int]:
    """Sequence numbers in low..high that are neither stored here nor reported as pending by the agent."""
    known = set(stored)
    out: list[int] = []
    for seq in range(low, high + 1):
        if seq not in known and not any(a <= seq <= b for a, b in pending):
            out.append(seq)
            if len(out) == limit:
                break
    return out


def contiguous(stored: Iterable[int], start: int) -> int:
    """The last number up to which, from ``start`` on, none is missing. ``stored`` ascending."""
    for seq in stored:
        if seq > start + 1:
            break
        start = max(start, seq)
    return start
