"""What is known of agents and connections, an analyzer's own pace, and the alerts that call somebody. Pure.

Instants are aware; durations are timedeltas. Limits are the specification's (M06 alerts).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from enum import StrEnum

OFFLINE = timedelta(minutes=2)
SILENT_TIMES = 3
BACKLOG = 100
CERT_DAYS = 30
SKEW = timedelta(seconds=30)
ANALYZER_SKEW = timedelta(seconds=60)
LOW_SHARE, LOW_FREE = 0.80, 20 << 30
"""A disk so full, and with so little left (of a large one a fifth is plenty), is shown to a person (RELIABILITY R5)."""
OLD_VERSION = timedelta(days=7)
"""An agent that still runs another version so long after the laboratory's consent is told of (M29)."""
LEAST_GAP = timedelta(minutes=5)
"""A pace is never taken for faster than this: 3 × 40 s of quiet is no fault."""
PAUSE = timedelta(hours=4)
"""A longer gap is a night or a weekend, not a pace."""
ENOUGH = 20
"""Gaps needed before a pace is believed."""


def usual_gap(times: Sequence[datetime]) -> timedelta | None:
    """The gap that nine of ten results of this analyzer keep, pauses left out; None while too few are known. ``times`` ascending."""
    gaps = sorted(b - a for a, b in zip(times, times[1:], strict=False) if timedelta(0) < b - a < PAUSE)
    if len(gaps) < ENOUGH:
        return None
    return max(LEAST_GAP, gaps[(len(gaps) * 9) // 10])


def working(at: datetime, zone: tzinfo, begin: time, end: time) -> bool:
    """Whether the laboratory works at this instant; ``begin`` after ``end`` means over midnight."""
    here = at.astimezone(zone).time()
    return begin <= here < end if begin <= end else here >= begin or here < end


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """One connection, as agent and cloud know it now."""

    enabled: bool
    online: bool
    offline_for: timedelta | None
    """How long its agent has not been heard; None when it was never heard."""
    state: str = ""
    transport: str = ""
    peer: bool = False
    silent_for: timedelta | None = None
    """Since the last byte the agent read; None when none came since it started."""
    result_ago: timedelta | None = None
    usual_gap: timedelta | None = None
    frames: int = 0
    checksum_errors: int = 0
    incomplete: int = 0
    messages: int = 0
    last_error: str = ""
    judged: bool = False
    """Whether the agent counts its last ten minutes, so that its own signs decide about the wire (common.diagnosis)."""
    agent_layer: str = ""
    """The layer those signs name; empty when they name none."""
    agent_why: str = ""
    agent_advice: str = ""
    unread: int = 0
    """Its messages of the last day that nobody could read."""
    unmapped: int = 0
    orphans: int = 0
    received: int = 0
    """Its messages of the last day."""
    has_analyzer: bool = True
    simulator: bool = False
    on_demand: bool = False
    """The analyzer connects for each message: between two of them nobody being there is no fault."""
    spare: bool = False
    """Nobody counts on this connection: it may stand idle for days, and a peer that is away is no fault."""
    skew: timedelta | None = None
    """How far the analyzer's clock is ahead, by its newest messages; None when it writes no time of day."""


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """One agent, as the cloud knows it now."""

    enrolled: bool
    online: bool
    offline_for: timedelta | None
    pending: int = 0
    pending_age: timedelta | None = None
    refusing: bool = False
    skew: timedelta | None = None
    certificate_left: timedelta | None = None
    others_online: bool | None = None
    """Whether any other agent of the hospital is heard; None when there is no other."""
    behind: bool = False
    disk_free: int = 0
    disk_total: int = 0
    """Bytes; 0 while the agent has not said."""
    overdue: str = ""
    """The version consented to more than OLD_VERSION ago that it does not run yet."""


def low_disk(agent: AgentFacts) -> bool:
    """Whether the agent's disk should be cleared before it refuses."""
    used = agent.disk_total - agent.disk_free
    return agent.disk_total > 0 and used >= agent.disk_total * LOW_SHARE and agent.disk_free < LOW_FREE


def noisy(link: LinkFacts) -> bool:
    """More than one frame of a hundred had a wrong checksum."""
    return link.frames > 0 and link.checksum_errors * 100 > link.frames


def up(link: LinkFacts) -> bool:
    """Whether results could come now: for the share of minutes a link was up. One that is called for each message is up between two."""
    waits = link.on_demand and not link.agent_layer and link.state not in ("fault", "error")
    return link.online and (link.state in ("idle", "transferring") or waits)


def silent(link: LinkFacts) -> bool:
    """No result for more than three times this analyzer's usual gap."""
    usual = None if link.spare else link.usual_gap
    return link.result_ago is not None and usual is not None and link.result_ago > SILENT_TIMES * usual


def away(link: LinkFacts) -> bool:
    """Whether its section waits in vain: no results can come, or none come at its pace. What nobody counts on is not missed."""
    return link.enabled and not link.spare and (not up(link) or silent(link))


class Mute(StrEnum):
    """Why nothing can be expected of an analyzer now."""

    AGENT = "agent"
    FAULT = "fault"
    ABSENT = "absent"
    SILENT = "silent"


def counted(link: LinkFacts) -> bool:
    """Whether an analyzer's results are expected on this connection: in use, no trial, and its agent was heard once."""
    return link.enabled and not link.spare and not link.simulator and link.offline_for is not None


def mute(links: Sequence[LinkFacts]) -> Mute | None:
    """Why nothing comes from the analyzer on these connections (counted ones, at least one); None when it speaks on one of them.

    A result of the last minutes shows that it speaks, whatever its line looks like between two.
    """
    if any(up(each) and not silent(each) or each.result_ago is not None and each.result_ago <= LEAST_GAP for each in links):
        return None
    if any(up(each) for each in links):
        return Mute.SILENT
    if not any(each.online for each in links):
        return Mute.AGENT
    return Mute.FAULT if any(each.online and each.state in ("fault", "error") for each in links) else Mute.ABSENT


def called(why: Mute, at_work: bool) -> bool:
    """Whether another alert says so already, without regard to tubes: in working hours all but an analyzer that does not connect."""
    return at_work and why is not Mute.ABSENT


def whole_minutes(gap: timedelta) -> int:
    """Minutes, for people."""
    return int(gap.total_seconds() // 60)


# --- alerts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signal:
    """An alert that holds now: a key of WORDS with the fields of its words."""

    kind: str
    fields: dict[str, str | int]


WORDS = {
    "offline": "采集端 %(name)s 离线 %(minutes)s 分钟",
    "backlog": "采集端 %(name)s 积压 %(pending)s 条",
    "certificate": "采集端 %(name)s 的证书还有 %(days)s 天到期",
    "disk": "采集端 %(name)s 磁盘将满，已停止接收",
    "disk_low": "采集端 %(name)s 的磁盘只剩 %(gb)s GB，请清理；再少就会停止接收",
    "old_version": "采集端 %(name)s 还没有换成 %(version)s 版，检验科同意已超过 7 天",
    "clock": "采集端 %(name)s 的时钟相差 %(seconds)s 秒",
    "analyzer_clock": "%(name)s 的仪器时钟与采集端相差 %(minutes)s 分钟，请在仪器上校时；周转时间按采集端的时间计算",
    "link": "%(name)s 连接故障",
    "silent": "%(name)s 已 %(minutes)s 分钟没有结果，平常 %(usual)s 分钟内有一条",
    "checksum": "%(name)s 的 %(frames)s 帧中有 %(errors)s 帧校验错误",
    "unmapped": "%(name)s 有 %(results)s 个结果的通道代码未对照",
}
URGENT = frozenset({"offline", "disk", "link", "silent"})
"""Results are not coming; the others can wait an hour."""


def agent_signals(agent: AgentFacts, at_work: bool) -> list[Signal]:
    """Alerts about one agent: offline in working hours, backlog, certificate, disk, clock, an old version."""
    out = []
    if agent.enrolled and not agent.online and agent.offline_for is not None and agent.offline_for > OFFLINE and at_work:
        out.append(Signal("offline", {"minutes": whole_minutes(agent.offline_for)}))
    if agent.pending > BACKLOG:
        out.append(Signal("backlog", {"pending": agent.pending}))
    if agent.enrolled and agent.certificate_left is not None and agent.certificate_left < timedelta(days=CERT_DAYS):
        out.append(Signal("certificate", {"days": max(0, agent.certificate_left.days)}))
    if agent.refusing and agent.online:
        out.append(Signal("disk", {}))
    elif agent.online and low_disk(agent):
        out.append(Signal("disk_low", {"gb": f"{agent.disk_free / (1 << 30):.1f}"}))
    if agent.enrolled and agent.overdue:
        out.append(Signal("old_version", {"version": agent.overdue}))
    if agent.online and agent.skew is not None and abs(agent.skew) > SKEW:
        out.append(Signal("clock", {"seconds": int(agent.skew.total_seconds())}))
    return out


def clock_ahead(found: Sequence[timedelta]) -> timedelta:
    """How far a clock is ahead, by what its messages say, the newest first.

    A message that waited was sent before it came, so it can only make the clock look slow: one that does not is believed, and a slow
    clock only when none of the last few says less.
    """
    return found[0] if found[0] >= -ANALYZER_SKEW else min(found, key=abs)


def link_signals(link: LinkFacts, at_work: bool) -> list[Signal]:
    """Alarms about one connection: link down, silent against its own pace (a spare one may be both), checksum errors, unmapped codes."""
    if not link.enabled or link.simulator:
        return []
    out = []
    if link.online and link.state in ("fault", "error") and at_work and not link.spare:
        out.append(Signal("link", {}))
    if at_work and link.online and silent(link) and link.result_ago is not None and link.usual_gap is not None:
        out.append(Signal("silent", {"minutes": whole_minutes(link.result_ago), "usual": whole_minutes(link.usual_gap)}))
    if link.online and noisy(link):
        out.append(Signal("checksum", {"frames": link.frames, "errors": link.checksum_errors}))
    if link.unmapped:
        out.append(Signal("unmapped", {"results": link.unmapped}))
    if link.skew is not None and abs(link.skew) > ANALYZER_SKEW:
        out.append(Signal("analyzer_clock", {"minutes": f"{link.skew.total_seconds() / 60:+.1f}"}))
    return out
