"""What agents say about themselves: kept in memory, written to the board at most every few seconds, and judged (clone, clock, gaps)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.edge import alarms, interpret, rules
from cloud.modules.edge.door import Admitted
from cloud.modules.edge.registry import Registration
from common.errors import PeerError

WRITE_EVERY = timedelta(seconds=5)
HELLO_AFTER = timedelta(seconds=45)
"""A silence after which the agent is told everything again, as one that has just connected."""
SKEW_WARN = timedelta(seconds=2)
SKEW_ALARM = timedelta(seconds=30)
GAP_AFTER = timedelta(seconds=60)
FLIPS = 3
"""Changes of the boot id back to one already seen: a restart never comes back, a copy does (F17)."""

UPDATE = text("""
UPDATE agent SET last_seen_at = :seen, status = CAST(:status AS jsonb), software = :software, applied_version = :applied,
       boot_uuid = :boot, stream_uuid = coalesce(:stream, stream_uuid), clock_skew_ms = :skew
WHERE tenant_id = :t AND id = :id
""")
GONE = text("""
UPDATE agent SET status = status || jsonb_build_object('gone', CAST(:now AS text)) WHERE tenant_id = :t AND id = :id
""")


@dataclass(slots=True)
class Pulse:
    """One agent in memory."""

    reg: Registration
    seen: datetime | None = None
    written: datetime | None = None
    status: dict[str, Any] = field(default_factory=dict)
    signature: str = ""
    boots: list[str] = field(default_factory=list)
    skew: timedelta = timedelta(0)
    stream: str | None = None
    gone: bool = False
    dirty: bool = False
    clone: bool = False
    gap: tuple[int, datetime] | None = None
    whole: dict[str, int] = field(default_factory=dict)
    """By stream: the number up to which nothing is missing."""
    config_sent: datetime | None = None


@dataclass(frozen=True, slots=True)
class News:
    """What one heartbeat asks the intake to do."""

    hello: bool
    config: bool


class Pulses:
    """All agents heard by this process."""

    def __init__(self) -> None:
        self._all: dict[int, dict[int, Pulse]] = {}

    def of(self, reg: Registration) -> Pulse:
        """The pulse of an agent, made when new."""
        return self._all.setdefault(reg.tenant_id, {}).setdefault(reg.agent_id, Pulse(reg))

    def lost(self, reg: Registration) -> None:
        """The broker published the agent's last will."""
        pulse = self.of(reg)
        pulse.gone = pulse.dirty = True

    def beat(self, one: Admitted, now: datetime) -> News:
        """Take in a status message. Raises PeerError when its body is no status."""
        body = one.sealed.json() if one.sealed is not None else None
        if not isinstance(body, dict):
            raise PeerError("status", "a status that is no object")
        pulse, header = self.of(one.reg), one.header
        hello = pulse.seen is None or pulse.gone or now - pulse.seen > HELLO_AFTER or (bool(pulse.boots) and header.boot != pulse.boots[-1])
        pulse.reg, pulse.gone, pulse.seen = one.reg, False, now
        pulse.status = interpret.clean_json(body)
        pulse.stream = interpret.clean(header.stream) or None
        sent = interpret.agent_time(header.at)
        pulse.skew = timedelta(0) if sent is None else sent - now
        _boots(pulse, header.boot)
        signature = json.dumps([body.get("refusing"), *([c.get("conn"), c.get("state")] for c in connections(body))], default=str)
        if signature != pulse.signature or hello or pulse.written is None or now - pulse.written >= WRITE_EVERY:
            pulse.signature, pulse.dirty = signature, True
        behind = body.get("config_version") != one.reg.config_version
        due = behind and (pulse.config_sent is None or now - pulse.config_sent > timedelta(seconds=30))
        pulse.config_sent = now if due else pulse.config_sent
        return News(hello, due)

    def waiting(self, tenant_id: int) -> list[Pulse]:
        """Pulses whose news are not in the database yet."""
        return [p for p in self._all.get(tenant_id, {}).values() if p.dirty]

    def tenants(self) -> list[int]:
        """Hospitals with something to write."""
        return [t for t, pulses in self._all.items() if any(p.dirty for p in pulses.values())]

    def silent(self, now: datetime) -> dict[int, list[int]]:
        """Agents that have just been silent for too long, by hospital, each told once."""
        out: dict[int, list[int]] = {}
        for tenant, pulses in self._all.items():
            for pulse in pulses.values():
                if pulse.seen is not None and not pulse.gone and now - pulse.seen > rules.OFFLINE_AFTER:
                    pulse.gone = True
                    out.setdefault(tenant, []).append(pulse.reg.agent_id)
        return out


def write(uow: UnitOfWork, pulse: Pulse) -> None:
    """Put one agent's news on the board."""
    pulse.dirty, pulse.written = False, uow.now
    if pulse.gone:
        uow.s.execute(GONE, {"t": uow.tenant_id, "id": pulse.reg.agent_id, "now": uow.now.isoformat()})
    else:
        _write(uow, pulse)
    uow.notify("edge", {"what": "agent", "agent": pulse.reg.agent_id})


def _write(uow: UnitOfWork, pulse: Pulse) -> None:
    status = pulse.status
    applied = status.get("config_version")
    uow.s.execute(
        UPDATE,
        {
            "t": uow.tenant_id,
            "id": pulse.reg.agent_id,
            "seen": pulse.seen,
            "status": json.dumps(status, ensure_ascii=False, default=str),
            "software": str(status.get("version") or "")[:64],
            "applied": applied if isinstance(applied, int) and 0 <= applied < 1 << 31 else None,
            "boot": pulse.boots[-1] if pulse.boots else None,
            "stream": pulse.stream,
            "skew": int(pulse.skew / timedelta(milliseconds=1)),
        },
    )
    if pulse.clone:
        alarms.raise_alarm(uow, pulse.reg.agent_id, "clone", {"boots": pulse.boots[-4:]})
        pulse.clone = False
    if abs(pulse.skew) > SKEW_ALARM:
        alarms.raise_alarm(uow, pulse.reg.agent_id, "clock", {"seconds": round(pulse.skew.total_seconds(), 1)})
    elif abs(pulse.skew) < SKEW_WARN:
        alarms.clear_alarm(uow, pulse.reg.agent_id, "clock", "时钟已恢复")
    _gaps(uow, pulse)


SEQS = text("""
SELECT seq FROM raw_message WHERE tenant_id = :t AND agent_id = :agent AND stream_uuid = :stream AND seq > :after
ORDER BY seq LIMIT 20000
""")
NEWEST = text("SELECT max(seq) FROM raw_message WHERE tenant_id = :t AND agent_id = :agent AND stream_uuid = :stream")
WINDOW = 20_000
"""After a restart the newest so many numbers of a stream are looked at again; older ones were looked at when they were new."""


def _gaps(uow: UnitOfWork, pulse: Pulse) -> None:
    """A number neither stored here nor pending there, for more than a minute, is a lost message until explained (R4)."""
    pending = _ranges(pulse.status.get("pending_ranges"))
    if pulse.stream is None or pending is None:
        return
    at = {"t": uow.tenant_id, "agent": pulse.reg.agent_id, "stream": pulse.stream}
    if pulse.whole.get(pulse.stream) is None:
        newest = uow.s.scalar(NEWEST, at)
        if newest is None:
            return
        pulse.whole[pulse.stream] = max(0, newest - WINDOW)
    after = pulse.whole[pulse.stream]
    stored = uow.s.scalars(SEQS, {**at, "after": after}).all()
    pulse.whole[pulse.stream] = after = rules.contiguous(stored, after)
    missing = rules.gaps(stored, pending, after + 1, stored[-1]) if stored else []
    if not missing:
        if pulse.gap is not None:
            alarms.clear_alarm(uow, pulse.reg.agent_id, "gap", "缺失的报文已收到")
        pulse.gap = None
    elif pulse.gap is None or pulse.gap[0] != missing[0]:
        pulse.gap = (missing[0], uow.now)
    elif uow.now - pulse.gap[1] > GAP_AFTER:
        alarms.raise_alarm(uow, pulse.reg.agent_id, "gap", {"stream": pulse.stream, "missing": missing[:20]})


def _boots(pulse: Pulse, boot: str) -> None:
    if pulse.boots and pulse.boots[-1] == boot:
        return
    back = boot in pulse.boots
    pulse.boots = [*pulse.boots[-7:], boot]
    if back and sum(b == boot for b in pulse.boots) >= FLIPS - 1:
        pulse.clone = True


def _ranges(value: Any) -> list[tuple[int, int]] | None:
    if not isinstance(value, list):
        return None
    out = []
    for pair in value:
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(n, int) for n in pair):
            out.append((pair[0], pair[1]))
    return out


def connections(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The connections of a status, whatever else stands there."""
    found = status.get("connections")
    return [c for c in found if isinstance(c, dict)] if isinstance(found, list) else []
