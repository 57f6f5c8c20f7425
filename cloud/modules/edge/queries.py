"""What the edge's pages show: the board, one agent, the trays, codes, raw messages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.edge import facts, rules, verdicts
from cloud.modules.edge.alarms import KINDS
from cloud.modules.edge.models import Agent, Connection, EdgeAlarm, RawMessage
from cloud.modules.edge.places import OF_ANALYZER
from cloud.modules.platform import alerts
from common import visible

PAGE = 100


def security_alarms(uow: UnitOfWork) -> dict[int, list[EdgeAlarm]]:
    """Open alarms about who sends (clone, wrong signature, gap …) by agent."""
    out: dict[int, list[EdgeAlarm]] = {}
    for row in uow.s.scalars(select(EdgeAlarm).where(EdgeAlarm.closed_at.is_(None)).order_by(EdgeAlarm.id)):
        out.setdefault(row.agent_id, []).append(row)
    return out


def alarm_word(kind: str) -> str:
    """An alarm's kind in words."""
    return KINDS.get(kind, kind)


def open_alerts(uow: UnitOfWork) -> list[Any]:
    """What the watch found wrong and still is, the urgent and unanswered first."""
    held = frozenset({str(rules.Perm.READ)})
    return [a for a in alerts.visible(uow, held, bounds=alerts.within_reach(uow, held)) if a.kind.startswith("edge.")]


_HERE = OF_ANALYZER.format(analyzer="c.analyzer_id")
BALANCE = text(f"""
SELECT count(*) AS stored, count(*) FILTER (WHERE r.state = 'quarantined') AS quarantined,
       count(*) FILTER (WHERE r.state = 'deferred') AS deferred
FROM raw_message r LEFT JOIN connection c ON c.tenant_id = r.tenant_id AND c.id = r.connection_id
WHERE r.tenant_id = :t AND r.agent_id = :a AND r.received_at > :since AND {_HERE}
""")


def balance(uow: UnitOfWork, agent_id: int) -> Any:
    """What came from an agent in the last 24 hours (R8), of the own place's analyzers."""
    params = {"t": uow.tenant_id, "a": agent_id, "since": uow.now - timedelta(hours=24), **places.of_sections(uow)}
    return uow.s.execute(BALANCE, params).one()


def troubled(uow: UnitOfWork, analyzer_ids: Collection[int]) -> list[tuple[str, str]]:
    """Connections of some analyzers that are not as they should be: (name, word of its light); what was switched off on purpose is not."""
    out = []
    for view in facts.load(uow):
        for link in view.links:
            if link.connection.analyzer_id in analyzer_ids and link.connection.enabled:
                light, word = verdicts.light(link.facts, view.facts)
                if light in (verdicts.Light.RED, verdicts.Light.AMBER):
                    out.append((link.connection.name, word))
    return out


# --- trays -----------------------------------------------------------------------------------------------------------

TRAY = text(f"""
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
WHERE o.tenant_id = :t AND o.state IN ('orphan', 'mismatch') AND o.closed_at IS NULL AND (:raw = 0 OR o.raw_message_id = :raw)
  AND {OF_ANALYZER.format(analyzer="o.analyzer_id")}
  AND (:q = '' OR strpos(lower(concat_ws(' ', o.specimen_text, o.patient_text, o.patient_name, c.name)), lower(:q)) > 0)
GROUP BY o.raw_message_id, o.specimen_text
ORDER BY o.raw_message_id DESC, o.specimen_text LIMIT :n OFFSET :start
""")


def tray(uow: UnitOfWork, q: str = "", start: int = 0, raw: int = 0, limit: int | None = None) -> list[Any]:
    """Results that match no tube (or another patient's), a row a specimen and message, newest first; a page of them.

    ``q``: part of what the analyzer said of specimen or patient, or of the connection's name. ``raw``: of that message alone.
    """
    values = {"t": uow.tenant_id, "n": limit or PAGE, "q": q.strip(), "start": start, "raw": raw, **places.of_sections(uow)}
    return list(uow.s.execute(TRAY, values))


def tray_one(uow: UnitOfWork, raw_id: int, specimen_text: str) -> Any | None:
    """One row of the tray."""
    return next((r for r in tray(uow, raw=raw_id) if (r.specimen_text or "") == specimen_text), None)


UNMAPPED = text(f"""
SELECT o.analyzer_id, btrim(o.code) AS code, count(*) AS n, max(o.received_at) AS last_at,
       (array_agg(DISTINCT left(coalesce(o.value, '') || ' ' || coalesce(o.unit, ''), 40)))[1:4] AS samples,
       max(o.raw_message_id) AS raw_id, max(o.unit) AS unit
FROM observation o WHERE o.tenant_id = :t AND o.state = 'unmapped' AND o.closed_at IS NULL AND o.code IS NOT NULL
  AND {OF_ANALYZER.format(analyzer="o.analyzer_id")}
GROUP BY o.analyzer_id, btrim(o.code) ORDER BY count(*) DESC, code LIMIT :n
""")


def unmapped(uow: UnitOfWork, limit: int = PAGE) -> list[Any]:
    """Codes without an item, with counts and samples."""
    return list(uow.s.execute(UNMAPPED, {"t": uow.tenant_id, "n": limit, **places.of_sections(uow)}))


def quarantined(uow: UnitOfWork, before: int = 0, limit: int = PAGE) -> list[Any]:
    """Messages nobody could read, newest first; a page of them, from below one on."""
    columns = (RawMessage.id, RawMessage.received_at, RawMessage.seq, RawMessage.state, RawMessage.problems)
    question = select(*columns, RawMessage.conn_key.label("connection"))
    if before:
        question = question.where(RawMessage.id < before)
    own = places.sections(uow)
    if own is not None:  # a line that is assigned to no analyzer yet is everybody's
        theirs = [a.id for a in md.catalog(uow).analyzers.values() if a.section_id not in own]
        lines = select(Connection.id).where(Connection.analyzer_id.in_(theirs))
        question = question.where(func.coalesce(RawMessage.connection_id, 0).not_in(lines))
    return list(uow.s.execute(question.where(RawMessage.state != "interpreted").order_by(RawMessage.id.desc()).limit(limit)))


COUNTS = text(f"""
SELECT (SELECT count(DISTINCT (o.raw_message_id, o.specimen_text)) FROM observation o
         WHERE o.tenant_id = :t AND o.state IN ('orphan', 'mismatch') AND o.closed_at IS NULL
           AND {OF_ANALYZER.format(analyzer="o.analyzer_id")}) AS tray,
       (SELECT count(DISTINCT (o.analyzer_id, btrim(o.code))) FROM observation o
         WHERE o.tenant_id = :t AND o.state = 'unmapped' AND o.closed_at IS NULL AND o.code IS NOT NULL
           AND {OF_ANALYZER.format(analyzer="o.analyzer_id")}) AS unmapped,
       (SELECT count(*) FROM raw_message r LEFT JOIN connection c ON c.tenant_id = r.tenant_id AND c.id = r.connection_id
         WHERE r.tenant_id = :t AND r.state IN ('quarantined', 'deferred')
           AND {OF_ANALYZER.format(analyzer="c.analyzer_id")}) AS quarantined
""")


def counts(uow: UnitOfWork) -> Any:
    """What waits for a person: as many as the three lists have rows, which show the own place's."""
    return uow.s.execute(COUNTS, {"t": uow.tenant_id, **places.of_sections(uow)}).one()


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


_RECENT = text(f"""
SELECT r.id, r.received_at, r.conn_key, r.seq, r.state, r.kind FROM raw_message r
LEFT JOIN connection c ON c.tenant_id = r.tenant_id AND c.id = r.connection_id
WHERE r.tenant_id = :t AND r.agent_id = :a AND {_HERE} ORDER BY r.id DESC LIMIT :n
""")


def recent(uow: UnitOfWork, agent_id: int, limit: int = 20) -> list[Any]:
    """The newest messages of an agent, of the own place's analyzers."""
    return list(uow.s.execute(_RECENT, {"t": uow.tenant_id, "a": agent_id, "n": limit, **places.of_sections(uow)}))


UNASSIGNED = text(f"""
SELECT r.conn_key, a.name AS agent, r.agent_id, count(*) AS n, max(r.received_at) AS last_at,
       (array_agg(r.id ORDER BY r.id DESC))[1:50] AS ids
FROM raw_message r JOIN agent a ON a.tenant_id = r.tenant_id AND a.id = r.agent_id
LEFT JOIN connection c ON c.tenant_id = r.tenant_id AND c.id = r.connection_id
WHERE r.tenant_id = :t AND r.received_at > :since AND r.kind = 'raw' AND r.cleared_at IS NULL AND {_HERE}
  AND (c.id IS NULL OR c.analyzer_id IS NULL OR r.state = 'quarantined'
       OR NOT EXISTS (SELECT 1 FROM analyzer_item_map m WHERE m.tenant_id = c.tenant_id AND m.analyzer_id = c.analyzer_id))
GROUP BY r.conn_key, a.name, r.agent_id ORDER BY max(r.received_at) DESC LIMIT 20
""")


def unassigned(uow: UnitOfWork) -> list[Any]:
    """Links of the last week whose messages nobody can place: no analyzer, no code mapped, unreadable; with the newest of them."""
    return list(uow.s.execute(UNASSIGNED, {"t": uow.tenant_id, "since": uow.now - timedelta(days=7), **places.of_sections(uow)}))


APPLIED = text("""
SELECT c.analyzer_id, c.name, a.name AS agent, a.id AS agent_id, a.config_version AS wanted, a.applied_version AS applied, a.last_seen_at
FROM connection c JOIN agent a ON a.tenant_id = c.tenant_id AND a.id = c.agent_id
WHERE c.tenant_id = :t AND c.analyzer_id IS NOT NULL ORDER BY c.analyzer_id, c.id
""")


def applied(uow: UnitOfWork) -> dict[int, list[Any]]:
    """By analyzer: the configuration version its agents should run and the one they say they run."""
    out: dict[int, list[Any]] = {}
    for row in uow.s.execute(APPLIED, {"t": uow.tenant_id}):
        out.setdefault(row.analyzer_id, []).append(row)
    return out


RELEASES = text("""
SELECT r.id, r.version, r.published_at, r.published_by, r.withdrawn_at, c.id AS consent_id, c.kind, c.person, c.recorded_by, c.written_at,
       c.at AS consent_at, r.manifest::jsonb ->> 'notes' AS notes
FROM agent_release r LEFT JOIN agent_consent c ON c.tenant_id = r.tenant_id AND c.release_id = r.id
WHERE r.tenant_id = :t ORDER BY r.id DESC LIMIT 50
""")


def releases(uow: UnitOfWork) -> list[Any]:
    """Releases of the agent with the laboratory's consent, newest first."""
    return list(uow.s.execute(RELEASES, {"t": uow.tenant_id}))


def software(uow: UnitOfWork) -> list[Any]:
    """Agents with the version they say they run."""
    return list(uow.s.execute(select(Agent.id, Agent.name, Agent.state, Agent.software, Agent.last_seen_at).order_by(Agent.name)))
