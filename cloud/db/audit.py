"""Hash-chained audit (C4): h_i = SHA-256(h_{i-1} ‖ body_i), appended by one database function.

The app role can read and append (through ``audit_append``), never change. The function takes the chain head's
row lock, so it is called last in a transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, Text
from sqlalchemy.orm import Mapped, Session, mapped_column

from cloud.db.base import Base

GENESIS = b"\0" * 32


class AuditHead(Base):
    """The chain's last hash, one row a tenant; only audit_append writes it. The one table that asks whether its hospital exists: see
    ``TenantTable``."""

    __tablename__ = "audit_head"
    tenant_id: Mapped[int] = mapped_column(Integer, ForeignKey("tenant.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class AuditLog(Base):
    """One state change: who, when, where, what, before, after, why. ``body`` is what the hash covers."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_entity", "tenant_id", "entity", "entity_id", "seq"),
        Index("ix_audit_log_actor", "tenant_id", "actor_id", "seq"),
    )
    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[datetime]
    actor_id: Mapped[int | None] = mapped_column(BigInteger)
    actor: Mapped[str]
    entity: Mapped[str]
    entity_id: Mapped[str]
    action: Mapped[str]
    body: Mapped[str] = mapped_column(Text)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


# The body is PostgreSQL's own jsonb text: one canonical form, made where it is hashed.
AUDIT_APPEND = """
CREATE OR REPLACE FUNCTION audit_append(p_entries jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  t int := current_setting('app.tenant')::int;
  n bigint; last bigint; h bytea; e jsonb; b text; bodies text[] := '{}'; hashes bytea[] := '{}';
BEGIN
  INSERT INTO audit_head (tenant_id, seq, hash) VALUES (t, 0, decode(repeat('00', 32), 'hex'))
    ON CONFLICT (tenant_id) DO NOTHING;
  SELECT seq, hash INTO last, h FROM audit_head WHERE tenant_id = t FOR UPDATE;
  n := last;
  FOR e IN SELECT value FROM jsonb_array_elements(p_entries) LOOP
    n := n + 1;
    b := (e || jsonb_build_object('seq', n, 'tenant', t))::text;
    h := sha256(h || convert_to(b, 'UTF8'));
    bodies := bodies || b;
    hashes := hashes || h;
  END LOOP;
  INSERT INTO audit_log (tenant_id, seq, at, actor_id, actor, entity, entity_id, action, body, hash)
  SELECT t, last + x.i, (x.e->>'at')::timestamptz, (x.e->>'actor_id')::bigint, x.e->>'actor', x.e->>'entity', x.e->>'entity_id',
         x.e->>'action', x.b, x.h
  FROM ROWS FROM (jsonb_array_elements(p_entries), unnest(bodies), unnest(hashes)) WITH ORDINALITY AS x(e, b, h, i);
  UPDATE audit_head SET seq = n, hash = h WHERE tenant_id = t;
  RETURN n;
END $$
"""


@dataclass(frozen=True)
class Broken:
    """The first entry that does not fit the chain, and why."""

    seq: int
    reason: str


def verify(session: Session, batch: int = 5000) -> tuple[int, Broken | None]:
    """Walk the tenant's chain from the start: (entries read, first broken entry or None)."""
    prev, expect = GENESIS, 1
    for row in _rows(session, batch):
        body = json.loads(row.body)
        if row.seq != expect:
            return expect - 1, Broken(expect, "missing")
        if hashlib.sha256(prev + row.body.encode()).digest() != bytes(row.hash):
            return expect - 1, Broken(row.seq, "hash")
        if not _columns_match(row, body):
            return expect - 1, Broken(row.seq, "columns")
        prev, expect = bytes(row.hash), expect + 1
    head = session.get(AuditHead, session.info["tenant_id"])
    if head is not None and (head.seq != expect - 1 or bytes(head.hash) != prev):
        return expect - 1, Broken(expect, "tail")
    return expect - 1, None


def _columns_match(row: AuditLog, body: dict[str, Any]) -> bool:
    """The columns people search by must say what the hashed body says."""
    return (
        body["seq"] == row.seq
        and body["tenant"] == row.tenant_id
        and datetime.fromisoformat(body["at"]) == row.at
        and body["actor_id"] == row.actor_id
        and (body["actor"], body["entity"], body["entity_id"], body["action"]) == (row.actor, row.entity, row.entity_id, row.action)
    )


def _rows(session: Session, batch: int) -> Iterator[AuditLog]:
    last = 0
    while True:
        rows = session.query(AuditLog).filter(AuditLog.seq > last).order_by(AuditLog.seq).limit(batch).all()
        if not rows:
            return
        yield from rows
        last = rows[-1].seq
        session.expunge_all()
