"""Everything cloud and agent know about analyzers at this moment, in a fixed number of statements, for the board and for the watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import interpret, lookup, rules, signals, store, verdicts
from cloud.modules.edge.heartbeat import connections
from cloud.modules.edge.models import Agent, Connection
from cloud.modules.edge.signals import AgentFacts, LinkFacts
from common import diagnosis

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a connection's messages of the last 24 hours: received = read + waiting to be read + unreadable (R8, M5)."""

    received: int = 0
    read: int = 0
    deferred: int = 0
    quarantined: int = 0
    results: int = 0
    last_hour: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every message is in exactly one named state."""
        return self.received == self.read + self.deferred + self.quarantined


@dataclass(frozen=True, slots=True)
class LinkView:
    """One connection with what is known of it."""

    connection: Connection
    analyzer: str
    said: Mapping[str, Any]
    """The agent's own words about it, from its last heartbeat."""
    facts: LinkFacts
    account: Account
    verdict: verdicts.Verdict
    others: list[verdicts.Verdict]
    """What else is wrong with it."""


@dataclass(frozen=True, slots=True)
class AgentView:
    """One agent with its connections."""

    agent: Agent
    facts: AgentFacts
    links: list[LinkView]


ACCOUNTS = text("""
SELECT r.connection_id, count(*) AS received, count(*) FILTER (WHERE r.state = 'interpreted') AS read,
       count(*) FILTER (WHERE r.state = 'deferred') AS deferred, count(*) FILTER (WHERE r.state = 'quarantined') AS quarantined,
       count(*) FILTER (WHERE r.received_at > :hour) AS last_hour
FROM raw_message r WHERE r.tenant_id = :t AND r.received_at > :since AND r.connection_id IS NOT NULL AND r.kind = 'raw'
GROUP BY r.connection_id
""")

OPEN = text("""
SELECT o.connection_id, o.state, count(*) AS n FROM observation o
WHERE o.tenant_id = :t AND o.state IN ('orphan', 'unmapped', 'mismatch') AND o.closed_at IS NULL AND o.connection_id IS NOT NULL
GROUP BY o.connection_id, o.state
""")


CONSENTED = text("""
SELECT CASE WHEN c.at < :before THEN r.version END FROM agent_release r
JOIN agent_consent c ON c.tenant_id = r.tenant_id AND c.release_id = r.id
WHERE r.tenant_id = :t AND r.withdrawn_at IS NULL ORDER BY r.published_at DESC LIMIT 1
""")
"""The newest version the laboratory agreed to, if that was long enough ago."""


def load(uow: UnitOfWork) -> list[AgentView]:
    """Every agent of the hospital."""
    agents = uow.s.scalars(select(Agent).order_by(Agent.name, Agent.id)).all()
    links = uow.s.scalars(select(Connection).order_by(Connection.key)).all()
    at = {"t": uow.tenant_id, "since": uow.now - DAY, "hour": uow.now - timedelta(hours=1)}
    counts = {r.connection_id: Account(r.received, r.read, r.deferred, r.quarantined, 0, r.last_hour) for r in uow.s.execute(ACCOUNTS, at)}
    waiting: dict[int, dict[str, int]] = {}
    for connection_id, state, n in uow.s.execute(OPEN, {"t": uow.tenant_id}):
        waiting.setdefault(connection_id, {})[state] = n
    heard = {a.id: _online(a, uow.now) for a in agents}
    wanted = uow.s.scalar(CONSENTED, {"t": uow.tenant_id, "before": uow.now - signals.OLD_VERSION})
    out = []
    for agent in agents:
        others = [on for other, on in heard.items() if other != agent.id]
        about = agent_facts(agent, uow.now, any(others) if others else None, wanted or "")
        own = [c for c in links if c.agent_id == agent.id]
        out.append(AgentView(agent, about, [_link(uow, agent, about, c, counts, waiting.get(c.id, {})) for c in own]))
    return out


# The newest message alone, mostly; what came before it is read only where that one says that the clock is slow.
NEWEST = text("""
SELECT c.id, r.agent_id, r.conn_key, r.meta, r.at, CASE WHEN length(r.body) < :most THEN r.body END AS body
FROM connection c CROSS JOIN LATERAL (
    SELECT m.id, m.agent_id, m.conn_key, m.meta, m.body, coalesce(m.agent_at, m.received_at) AS at FROM raw_message m
    WHERE m.tenant_id = c.tenant_id AND m.connection_id = c.id AND m.kind = 'raw' AND m.state = 'interpreted' AND m.received_at > :since
    ORDER BY m.id DESC LIMIT :n OFFSET :skip) r
WHERE c.tenant_id = :t AND c.enabled AND c.last_result_at > :since AND (CAST(:only AS bigint[]) IS NULL OR c.id = ANY(:only))
ORDER BY c.id, r.id DESC
""")
CLOCK_BYTES = 200_000
"""Pictures are not decoded each minute for the time in their header."""
CLOCK_MESSAGES = 5
"""As many messages of the last day must agree that an analyzer's clock is slow: one alone may be an old one, sent late."""


def analyzer_clocks(uow: UnitOfWork, zone: tzinfo) -> dict[int, timedelta]:
    """How far each analyzer's clock is ahead of its agent's (C2), by connection: the time in its newest messages' headers, which most
    write as they send. Analyzers that write none, or a date only, are not in it."""
    newest = _ahead(uow, zone, None, 1, 0)
    slow = [link for link, found in newest.items() if found[0] < -signals.ANALYZER_SKEW]
    before = _ahead(uow, zone, slow, CLOCK_MESSAGES - 1, 1) if slow else {}
    return {link: signals.clock_ahead([*found, *before.get(link, ())]) for link, found in newest.items()}


def _ahead(uow: UnitOfWork, zone: tzinfo, only: list[int] | None, n: int, skip: int) -> dict[int, list[timedelta]]:
    """By connection, how far ahead of the agent's clock each of ``n`` messages was sent by its header, the newest first."""
    given = {"t": uow.tenant_id, "since": uow.now - DAY, "most": CLOCK_BYTES, "only": only, "n": n, "skip": skip}
    rows = uow.s.execute(NEWEST, given).all()
    links = lookup.links(store.cursor(uow), uow.tenant_id, {r.agent_id for r in rows}) if rows else {}
    out: dict[int, list[timedelta]] = {}
    for row in rows:
        link = links.get((row.agent_id, row.conn_key))
        if row.body is None or link is None or link.simulated(row.at):
            continue
        sent = interpret.sent_at(row.body, row.meta, link, md.catalog(uow), zone)
        if sent is not None:
            out.setdefault(row.id, []).append(sent - row.at)
    return out


def _online(agent: Agent, now: datetime) -> bool:
    return agent.state == "enrolled" and rules.agent_online(agent.last_seen_at, _time(agent.status.get("gone")), now)


def agent_facts(agent: Agent, now: datetime, others_online: bool | None, wanted: str = "") -> AgentFacts:
    """What is known of an agent. ``wanted``: the version that it should run by now."""
    status = agent.status
    oldest = _time(status.get("oldest"))
    skew = agent.clock_skew_ms
    return AgentFacts(
        enrolled=agent.state == "enrolled",
        online=_online(agent, now),
        offline_for=None if agent.last_seen_at is None else now - agent.last_seen_at,
        pending=_int(status.get("pending")),
        pending_age=None if oldest is None else now - oldest,
        refusing=status.get("refusing") is True,
        skew=None if skew is None else timedelta(milliseconds=skew),
        certificate_left=None if agent.not_after is None else agent.not_after - now,
        others_online=others_online,
        behind=agent.applied_version is not None and agent.applied_version != agent.config_version,
        disk_free=_int(status.get("disk_free")),
        disk_total=_int(status.get("disk_total")),
        overdue=wanted if agent.software and agent.software != wanted else "",
    )


def _link(
    uow: UnitOfWork, agent: Agent, about: AgentFacts, link: Connection, counts: Mapping[int, Account], waiting: Mapping[str, int]
) -> LinkView:
    said = next((c for c in connections(agent.status) if str(c.get("conn")) == link.key), {})
    account = counts.get(link.id, Account())
    last_byte = _time(said.get("last_byte"))
    recent = said.get("recent")
    lately = recent if isinstance(recent, Mapping) else None
    trouble = _trouble(said, uow.now) if lately is not None else None
    facts = LinkFacts(
        enabled=link.enabled,
        online=about.online,
        offline_for=about.offline_for,
        state=str(said.get("state") or ""),
        transport=str(link.transport.get("type") or ""),
        peer=bool(said.get("peer")),
        silent_for=None if last_byte is None else uow.now - last_byte,
        result_ago=None if link.last_result_at is None else uow.now - link.last_result_at,
        usual_gap=None if link.usual_gap_s is None else timedelta(seconds=link.usual_gap_s),
        frames=_int(said.get("frames") if lately is None else lately.get("frames")),
        checksum_errors=_int(said.get("checksum_errors") if lately is None else lately.get("checksum")),
        incomplete=_int(said.get("incomplete")),
        messages=_int(said.get("messages")),
        last_error=str(said.get("last_error") or "")[:300],
        judged=lately is not None,
        agent_layer="" if trouble is None else LAYERS[trouble.layer],
        agent_why="" if trouble is None else trouble.text,
        agent_advice="" if trouble is None else trouble.advice,
        unread=account.quarantined,
        unmapped=waiting.get("unmapped", 0),
        orphans=waiting.get("orphan", 0),
        received=account.received,
        has_analyzer=link.analyzer_id is not None,
        simulator=link.simulator,
        on_demand=said.get("on_demand") is True,
        spare=link.spare,
    )
    analyzer = md.catalog(uow).analyzers.get(link.analyzer_id) if link.analyzer_id is not None else None
    found = verdicts.everything(facts, about)
    return LinkView(link, "" if analyzer is None else analyzer.name, said, facts, account, found[0], found[1:])


LAYERS = {layer: verdicts.Layer.AGENT if layer is diagnosis.Layer.COMPUTER else verdicts.Layer(layer) for layer in diagnosis.Layer}
"""The agent's layers in ours: the lab PC is the agent's."""


def _trouble(said: Mapping[str, Any], now: datetime) -> diagnosis.Trouble | None:
    """What a connection's own signs say; None for a row that is no heartbeat's."""
    try:
        return diagnosis.connection(said, now)
    except (TypeError, ValueError, ArithmeticError):
        return None


# --- the laboratory's hours and an analyzer's pace -----------------------------------------------------------------------

HOURS = ("07:30", "17:30")
"""Working hours until a laboratory sets its own (setting ``edge``: ``from``, ``to``)."""


def at_work(uow: UnitOfWork, zone: tzinfo) -> bool:
    """Whether the laboratory works now."""
    given = md.catalog(uow).settings.get("edge", {})
    begin, end = (_clock(given.get(name), default) for name, default in zip(("from", "to"), HOURS, strict=True))
    return signals.working(uow.now, zone, begin, end)


def _clock(value: Any, default: str) -> time:
    try:
        return time.fromisoformat(str(value or default))
    except ValueError:
        return time.fromisoformat(default)


TIMES = text("""
SELECT received_at FROM raw_message WHERE tenant_id = :t AND connection_id = :c AND received_at > :since AND state = 'interpreted'
ORDER BY id DESC LIMIT 2000
""")
PACE_DAYS = 14


def pace(uow: UnitOfWork, connection_id: int) -> timedelta | None:
    """The usual gap between two messages of a connection, from the last two weeks."""
    at = {"t": uow.tenant_id, "c": connection_id, "since": uow.now - timedelta(days=PACE_DAYS)}
    times: Sequence[datetime] = uow.s.scalars(TIMES, at).all()
    return signals.usual_gap(list(reversed(times)))


def _time(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
    return at if at is None or at.tzinfo is not None else None


def _int(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def links(uow: UnitOfWork) -> list[Connection]:
    """Every connection, for choosing one."""
    return list(uow.s.scalars(select(Connection).order_by(Connection.name, Connection.id)))


def drivers_used(uow: UnitOfWork) -> dict[str, list[Connection]]:
    """Connections by the driver they are read with: their own, else their analyzer's."""
    analyzers = md.catalog(uow).analyzers
    out: dict[str, list[Connection]] = {}
    for link in links(uow):
        analyzer = analyzers.get(link.analyzer_id) if link.analyzer_id is not None else None
        driver = link.driver or (analyzer.driver if analyzer else None)
        if driver:
            out.setdefault(driver, []).append(link)
    return out
