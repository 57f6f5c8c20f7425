"""What the intake writes: raw messages and observations, each in one statement whatever the number of rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from cloud.db.arrays import literal
from cloud.db.session import UnitOfWork
from cloud.modules.edge.lookup import Cursor
from cloud.modules.edge.rules import Neighbour

Key = tuple[int, str, int]
"""(agent id, stream uuid, seq): the transport key of a message (RELIABILITY R3)."""


def cursor(uow: UnitOfWork) -> Cursor:
    """psycopg's own cursor on the unit's transaction: arrays go to the server without a detour."""
    uow.s.flush()
    raw = uow.s.connection().connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw.cursor()


@dataclass(slots=True)
class RawRow:
    """A message to store. ``id`` is given by the database."""

    agent_id: int
    stream: str
    seq: int
    kind: str
    sha256: str
    boot: str
    mono_ns: int
    connection_id: int | None
    conn_key: str
    agent_at: datetime | None
    received_at: datetime
    body: bytes
    meta: dict[str, Any]
    state: str
    problems: list[str] = field(default_factory=list)
    id: int = 0

    @property
    def key(self) -> Key:
        """The transport key."""
        return (self.agent_id, self.stream, self.seq)


EXISTING = """
SELECT r.agent_id, r.stream_uuid, r.seq, r.sha256
FROM unnest(%s::bigint[], %s::text[], %s::bigint[]) AS k(agent_id, stream_uuid, seq)
JOIN raw_message r ON r.tenant_id = %s AND r.agent_id = k.agent_id AND r.stream_uuid = k.stream_uuid AND r.seq = k.seq
"""


def existing(cur: Cursor, tenant: int, keys: Collection[Key]) -> dict[Key, str]:
    """SHA-256 of the messages of these keys that are stored already."""
    if not keys:
        return {}
    agents, streams, seqs = zip(*keys, strict=True)
    cur.execute(EXISTING, (list(agents), list(streams), list(seqs), tenant))
    return {(a, s, n): sha for a, s, n, sha in cur.fetchall()}


INSERT_RAW = """
INSERT INTO raw_message (tenant_id, agent_id, stream_uuid, seq, kind, sha256, boot_uuid, mono_ns, connection_id, conn_key, agent_at,
                         received_at, body, meta, state, problems)
SELECT %s, u.agent_id, u.stream_uuid, u.seq, u.kind, u.sha256, u.boot, u.mono, u.connection_id, u.conn_key, u.agent_at,
       u.received_at, u.body, u.meta::jsonb, u.state, u.problems::jsonb
FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[],
            %s::timestamptz[], %s::timestamptz[], %b::bytea[], %s::text[], %s::text[], %s::text[])
     AS u(agent_id, stream_uuid, seq, kind, sha256, boot, mono, connection_id, conn_key, agent_at, received_at, body, meta, state, problems)
ON CONFLICT (tenant_id, agent_id, stream_uuid, seq) DO NOTHING
RETURNING agent_id, stream_uuid, seq, id
"""


_BODY = 11
"""The column of bytes, which goes to the server in binary."""


def insert_raw(cur: Cursor, tenant: int, rows: Sequence[RawRow]) -> None:
    """Store messages; each gets its id. A row whose key came in meanwhile keeps id 0: it is a repeat."""
    if not rows:
        return
    table = [
        (r.agent_id, r.stream, r.seq, r.kind, r.sha256, r.boot, r.mono_ns, r.connection_id, r.conn_key, r.agent_at, r.received_at,
         r.body, _json(r.meta), r.state, _json(r.problems))
        for r in rows
    ]  # fmt: skip
    columns = [list(c) if n == _BODY else literal(c) for n, c in enumerate(zip(*table, strict=True))]
    cur.execute(INSERT_RAW, (tenant, *columns))
    ids = {(a, s, n): i for a, s, n, i in cur.fetchall()}
    for row in rows:
        row.id = ids.get(row.key, 0)


NEIGHBOURS = """
SELECT k.id, b.seq, b.sha256, b.at, a.seq, a.sha256, a.at
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bigint[]) AS k(id, agent_id, stream, conn, seq)
LEFT JOIN LATERAL (
  SELECT r.seq, r.sha256, coalesce(r.agent_at, r.received_at) AS at FROM raw_message r
  WHERE r.tenant_id = %s AND r.agent_id = k.agent_id AND r.stream_uuid = k.stream AND r.conn_key = k.conn AND r.seq < k.seq
  ORDER BY r.seq DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (
  SELECT r.seq, r.sha256, coalesce(r.agent_at, r.received_at) AS at FROM raw_message r
  WHERE r.tenant_id = %s AND r.agent_id = k.agent_id AND r.stream_uuid = k.stream AND r.conn_key = k.conn AND r.seq > k.seq
  ORDER BY r.seq LIMIT 1) a ON true
"""


def neighbours(cur: Cursor, tenant: int, rows: Sequence[RawRow]) -> dict[int, tuple[Neighbour | None, Neighbour | None]]:
    """The stored messages just before and just after each of these on the same link, by message id."""
    if not rows:
        return {}
    keys = [[r.id for r in rows], [r.agent_id for r in rows], [r.stream for r in rows], [r.conn_key for r in rows], [r.seq for r in rows]]
    cur.execute(NEIGHBOURS, (*keys, tenant, tenant))
    found = {}
    for raw, seq1, sha1, at1, seq2, sha2, at2 in cur.fetchall():
        before = None if seq1 is None else Neighbour(seq1, sha1, at1)
        found[raw] = (before, None if seq2 is None else Neighbour(seq2, sha2, at2))
    return found


@dataclass(slots=True)
class ObservationRow:
    """One observation to store, in its final state."""

    raw_message_id: int
    idx: int
    connection_id: int | None
    analyzer_id: int | None
    specimen_text: str | None
    patient_text: str | None
    patient_name: str | None
    code: str | None
    value: str | None
    read_as: str | None
    aspect: str | None
    unit: str | None
    flags: list[str]
    status: str | None
    time_text: str | None
    received_at: datetime
    state: str
    reason: str
    content_key: str | None
    specimen_id: int | None
    test_id: int | None
    id: int = 0


INSERT_OBSERVATION = """
INSERT INTO observation (tenant_id, id, raw_message_id, idx, connection_id, analyzer_id, specimen_text, patient_text, patient_name, code,
                         value, read_as, aspect, unit, flags, status, time_text, received_at, state, reason, content_key, specimen_id,
                         test_id)
SELECT %s, u.id, u.raw, u.idx, u.connection_id, u.analyzer_id, u.specimen_text, u.patient_text, u.patient_name, u.code,
       u.value, u.read_as, u.aspect, u.unit, u.flags::jsonb, u.status, u.time_text, u.received_at, u.state, u.reason, u.content_key,
       u.specimen_id, u.test_id
FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[],
            %s::text[], %s::text[], %s::bigint[], %s::bigint[])
     AS u(id, raw, idx, connection_id, analyzer_id, specimen_text, patient_text, patient_name, code,
          value, read_as, aspect, unit, flags, status, time_text, received_at, state, reason, content_key, specimen_id, test_id)
ON CONFLICT (tenant_id, content_key) WHERE state <> 'repeat' DO NOTHING
RETURNING id
"""


def insert_observations(cur: Cursor, tenant: int, rows: Sequence[ObservationRow]) -> set[int]:
    """Store observations; the ids of those that are new measurements. The others are stored as repeats of what is there (R3)."""
    if not rows:
        return set()
    cur.execute("SELECT nextval(pg_get_serial_sequence('observation', 'id')) FROM generate_series(1, %s)", (len(rows),))
    for row, (number,) in zip(rows, cur.fetchall(), strict=True):
        row.id = number
    fresh = _insert_observations(cur, tenant, rows)
    again = [r for r in rows if r.id not in fresh]
    for row in again:
        row.state, row.reason = "repeat", "resend"
    if again:
        _insert_observations(cur, tenant, again)
    return fresh


def _insert_observations(cur: Cursor, tenant: int, rows: Sequence[ObservationRow]) -> set[int]:
    table = [
        (r.id, r.raw_message_id, r.idx, r.connection_id, r.analyzer_id, r.specimen_text, r.patient_text, r.patient_name, r.code, r.value,
         r.read_as, r.aspect, r.unit, _flags(r.flags), r.status, r.time_text, r.received_at, r.state, r.reason, r.content_key,
         r.specimen_id, r.test_id)
        for r in rows
    ]  # fmt: skip
    cur.execute(INSERT_OBSERVATION, (tenant, *map(literal, zip(*table, strict=True))))
    return {number for (number,) in cur.fetchall()}


SET_FATE = """
UPDATE observation o SET state = u.state, reason = u.reason, test_id = u.test_id, specimen_id = coalesce(u.specimen_id, o.specimen_id)
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[]) AS u(id, state, reason, test_id, specimen_id)
WHERE o.tenant_id = %s AND o.id = u.id
"""


def set_fate(cur: Cursor, tenant: int, rows: Sequence[tuple[int, str, str, int | None, int | None]]) -> None:
    """Change what became of observations: (id, state, reason, test, specimen)."""
    if rows:
        cur.execute(SET_FATE, (*map(literal, zip(*rows, strict=True)), tenant))


LAST_RESULT = "UPDATE connection SET last_result_at = greatest(last_result_at, %s) WHERE tenant_id = %s AND id = ANY(%s)"


def spoke(cur: Cursor, tenant: int, connections: Sequence[int], at: datetime) -> None:
    """Results came over these connections at ``at``, which may be known only now; never a step back."""
    if connections:
        cur.execute(LAST_RESULT, (at, tenant, list(connections)))


def _flags(flags: list[str]) -> str:
    return "[]" if not flags else _json(flags)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
