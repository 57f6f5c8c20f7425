"""What the edge's pages show: the board, one agent, the trays, codes, raw messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import rules
from cloud.modules.edge.alarms import KINDS
from cloud.modules.edge.heartbeat import connections
from cloud.modules.edge.models import Agent, Connection, EdgeAlarm, RawMessage
from cloud.modules.edge.rules import Light
from common import visible

PAGE = 100


@dataclass(frozen=True, slots=True)
class Tile:
    """One connection on the board."""

    connection: Connection
    analyzer: str
    light: Light
    word: str
    state: str
    last_byte: str
    errors: int


@dataclass(frozen=True, slots=True)
class AgentLine:
    """One agent on the board, with its connections."""

    agent: Agent
    online: bool
    pending: int
    oldest: str
    disk_free: int | None
    tiles: list[Tile]
    alarms: list[EdgeAlarm]
    behind: bool


def board(uow: UnitOfWork) -> list[AgentLine]:
    """Every agent of the hospital."""
    agents = uow.s.scalars(select(Agent).order_by(Agent.name, Agent.id)).all()
    links = uow.s.scalars(select(Connection).order_by(Connection.key)).all()
    open_alarms = uow.s.scalars(select(EdgeAlarm).where(EdgeAlarm.closed_at.is_(None)).order_by(EdgeAlarm.id)).all()
    return [_line(uow, a, [c for c in links if c.agent_id == a.id], [x for x in open_alarms if x.agent_id == a.id]) for a in agents]


def agent_line(uow: UnitOfWork, agent_id: int) -> AgentLine | None:
    """One agent, or None."""
    return next((line for line in board(uow) if line.agent.id == agent_id), None)


def _line(uow: UnitOfWork, agent: Agent, links: Sequence[Connection], open_alarms: list[EdgeAlarm]) -> AgentLine:
    status = agent.status
    online = agent.state == "enrolled" and rules.agent_online(agent.last_seen_at, _time(status.get("gone")), uow.now)
    said = {str(c.get("conn")): c for c in connections(status)}
    pending = _int(status.get("pending"))
    analyzers = md.catalog(uow).analyzers
    tiles = []
    for link in links:
        now = said.get(link.key, {})
        state = "refusing" if status.get("refusing") is True else str(now.get("state") or "")
        errors = _int(now.get("checksum_errors"))
        noisy = errors * 100 > max(_int(now.get("frames")), 1)
        light, word = rules.link_light(link.enabled, online, state, pending, noisy)
        analyzer = analyzers.get(link.analyzer_id) if link.analyzer_id is not None else None
        tiles.append(Tile(link, "" if analyzer is None else analyzer.name, light, word, state, str(now.get("last_byte") or ""), errors))
    behind = agent.applied_version is not None and agent.applied_version != agent.config_version
    disk = status.get("disk_free")
    return AgentLine(
        agent, online, pending, str(status.get("oldest") or ""), disk if isinstance(disk, int) else None, tiles, open_alarms, behind
    )


def alarm_word(kind: str) -> str:
    """An alarm's kind in words."""
    return KINDS.get(kind, kind)


BALANCE = text("""
SELECT count(*) AS stored, count(*) FILTER (WHERE state = 'quarantined') AS quarantined,
       count(*) FILTER (WHERE state = 'deferred') AS deferred
FROM raw_message WHERE tenant_id = :t AND agent_id = :a AND received_at > :since
""")


def balance(uow: UnitOfWork, agent_id: int) -> Any:
    """What came from an agent in the last 24 hours (R8)."""
    return uow.s.execute(BALANCE, {"t": uow.tenant_id, "a": agent_id, "since": uow.now - timedelta(hours=24)}).one()


# --- trays -----------------------------------------------------------------------------------------------------------

TRAY = text("""
SELECT o.raw_message_id AS raw_id, o.specimen_text, min(o.received_at) AS received_at, count(*) AS n,
       min(o.patient_text) AS patient_text, min(o.patient_name) AS patient_name, min(o.time_text) AS time_text,
       string_agg(DISTINCT o.reason, ',') AS reasons, string_agg(DISTINCT o.state, ',') AS states,
       min(o.analyzer_id) AS analyzer_id, min(c.name) AS connection,
       (array_agg(coalesce(o.code, '') || ' ' || coalesce(o.value, '') || ' ' || coalesce(o.unit, '') ORDER BY o.idx))[1:60] AS results,
       min(s.barcode) AS barcode, min(p.name) AS tube_name, min(p.id) AS patient_id
FROM observation o
LEFT JOIN connection c ON c.tenant_id = o.tenant_id AND c.id = o.connection_id
LEFT JOIN specimen s ON s.tenant_id = o.tenant_id AND s.id = o.specimen_id
LEFT JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
WHERE o.tenant_id = :t AND o.state IN ('orphan', 'mismatch') AND o.closed_at IS NULL
GROUP BY o.raw_message_id, o.specimen_text
ORDER BY o.raw_message_id DESC LIMIT :n
""")


def tray(uow: UnitOfWork) -> list[Any]:
    """Results that match no tube (or another patient's), a row a specimen and message, newest first."""
    return list(uow.s.execute(TRAY, {"t": uow.tenant_id, "n": PAGE}))


def tray_one(uow: UnitOfWork, raw_id: int, specimen_text: str) -> Any | None:
    """One row of the tray."""
    return next((r for r in tray(uow) if r.raw_id == raw_id and (r.specimen_text or "") == specimen_text), None)


UNMAPPED = text("""
SELECT o.analyzer_id, btrim(o.code) AS code, count(*) AS n, max(o.received_at) AS last_at,
       (array_agg(DISTINCT left(coalesce(o.value, '') || ' ' || coalesce(o.unit, ''), 40)))[1:4] AS samples, max(o.raw_message_id) AS raw_id
FROM observation o WHERE o.tenant_id = :t AND o.state = 'unmapped' AND o.closed_at IS NULL AND o.code IS NOT NULL
GROUP BY o.analyzer_id, btrim(o.code) ORDER BY count(*) DESC, code LIMIT :n
""")


def unmapped(uow: UnitOfWork) -> list[Any]:
    """Codes without an item, with counts and samples."""
    return list(uow.s.execute(UNMAPPED, {"t": uow.tenant_id, "n": PAGE}))


def quarantined(uow: UnitOfWork) -> list[Any]:
    """Messages nobody could read, newest first."""
    question = select(RawMessage.id, RawMessage.received_at, RawMessage.conn_key, RawMessage.state, RawMessage.problems, RawMessage.seq)
    return list(uow.s.execute(question.where(RawMessage.state != "interpreted").order_by(RawMessage.id.desc()).limit(PAGE)))


def counts(uow: UnitOfWork) -> Any:
    """What waits for a person."""
    sql = """
    SELECT (SELECT count(*) FROM observation WHERE tenant_id = :t AND state IN ('orphan', 'mismatch') AND closed_at IS NULL) AS tray,
           (SELECT count(*) FROM observation WHERE tenant_id = :t AND state = 'unmapped' AND closed_at IS NULL) AS unmapped,
           (SELECT count(*) FROM raw_message WHERE tenant_id = :t AND state IN ('quarantined', 'deferred')) AS quarantined
    """
    return uow.s.execute(text(sql), {"t": uow.tenant_id}).one()


# --- raw messages ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RawPage:
    """One message as its page shows it: patient fields hidden, control characters named."""

    raw: RawMessage
    lines: list[list[visible.Piece]]
    observations: list[Any]
    agent: str


SAID = text("""
SELECT idx, specimen_text, code, value, unit, flags, status, time_text, state, reason FROM observation
WHERE tenant_id = :t AND raw_message_id = :r ORDER BY idx LIMIT 500
""")
SHOWN_BYTES = 64 * 1024


def raw_page(uow: UnitOfWork, raw_id: int) -> RawPage | None:
    """A stored message, or None."""
    raw = uow.s.get(RawMessage, (uow.tenant_id, raw_id))
    if raw is None:
        return None
    agent = uow.s.get(Agent, (uow.tenant_id, raw.agent_id))
    meta = raw.meta.get("encoding")
    lines = visible.readable(raw.body[:SHOWN_BYTES], meta if isinstance(meta, str) and meta in ("gb18030", "gbk", "latin-1") else None)
    rows = list(uow.s.execute(SAID, {"t": uow.tenant_id, "r": raw_id}))
    return RawPage(raw, visible.mask_lines(lines), rows, "" if agent is None else agent.name)


def recent(uow: UnitOfWork, agent_id: int, limit: int = 20) -> list[Any]:
    """The newest messages of an agent."""
    question = select(RawMessage.id, RawMessage.received_at, RawMessage.conn_key, RawMessage.seq, RawMessage.state, RawMessage.kind)
    return list(uow.s.execute(question.where(RawMessage.agent_id == agent_id).order_by(RawMessage.id.desc()).limit(limit)))


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None


def _int(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
