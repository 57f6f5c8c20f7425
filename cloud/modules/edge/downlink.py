"""Down to the agents: sealed with the cloud's key and published; what must survive a restart waits in a table until it went out."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import text

from cloud.db.session import Database, UnitOfWork
from cloud.modules.edge.models import Downlink
from cloud.modules.edge.registry import Registration, Registry
from common import crypto, envelope, topics

log = structlog.get_logger("edge")
CHANNEL = "downlink"
MAX_ROWS = 500
MAX_TUBES = 500
"""Tubes of one worklist message; a longer list is sent in parts."""

Publish = Callable[[str, bytes], bool]

DUE = text("""
SELECT id, agent_id, conn_key, kind, body FROM downlink
WHERE tenant_id = :t AND sent_at IS NULL ORDER BY id LIMIT :n FOR UPDATE SKIP LOCKED
""")
SENT = text("UPDATE downlink SET sent_at = :now WHERE tenant_id = :t AND id = ANY(:ids)")
PURGE = text("DELETE FROM downlink WHERE tenant_id = :t AND sent_at < :before")


def enqueue(uow: UnitOfWork, agent_id: int, kind: str, body: dict[str, Any], conn_key: str = "") -> None:
    """Send this to an agent once this transaction is committed."""
    uow.s.add(Downlink(agent_id=agent_id, conn_key=conn_key, kind=kind, body=body, at=uow.now))
    uow.notify(CHANNEL, {})


class Sender:
    """Seals and publishes."""

    def __init__(self, key: crypto.PrivateKey, publish: Publish) -> None:
        self._key = key
        self._publish = publish
        self._boot = str(uuid.uuid4())

    def send(self, reg: Registration, kind: str, body: bytes, stream: str = "", conn: str = "") -> bool:
        """One envelope to one agent; False when the broker is away."""
        header = envelope.Header(
            tenant=reg.tenant_code, agent=reg.uuid, kind=kind, at=datetime.now(UTC).isoformat(), boot=self._boot, stream=stream, conn=conn
        )
        return self._publish(topics.down(reg.tenant_code, reg.uuid, kind), envelope.seal(header, body, self._key))

    def json(self, reg: Registration, kind: str, body: Any, conn: str = "") -> bool:
        """A JSON body."""
        return self.send(reg, kind, json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str).encode(), conn=conn)

    def worklist(self, reg: Registration, conn: str, tubes: Sequence[dict[str, Any]], version: int) -> bool:
        """A worklist in parts. An empty one goes out too: it answers a query."""
        parts = [tubes[i : i + MAX_TUBES] for i in range(0, len(tubes), MAX_TUBES)] or [tubes]
        return all(self.json(reg, "worklist", {"version": version, "conn": conn, "tubes": list(p)}, conn) for p in parts)


def drain(db: Database, registry: Registry, sender: Sender, tenant_ids: Iterable[int]) -> int:
    """Publish what is due for these hospitals. A row is marked in the transaction that saw it leave; a failure leaves it for later."""
    return sum(_drain(db, registry, sender, tenant_id) for tenant_id in tenant_ids)


def _drain(db: Database, registry: Registry, sender: Sender, tenant_id: int) -> int:
    with db.tenant(tenant_id) as uow:
        rows = uow.s.execute(DUE, {"t": tenant_id, "n": MAX_ROWS}).all()
        if not rows:
            return 0
        regs = {r.agent_id: r for r in registry.of_tenant(tenant_id) if r.state == "enrolled"}
        sent: list[int] = []
        for (agent, conn, kind), group in _grouped(rows).items():
            reg = regs.get(agent)
            # An agent that is gone gets nothing; its rows are closed, or they would wait for ever.
            if reg is None or _send(sender, reg, conn, kind, group):
                sent += [r.id for r in group]
        if sent:
            uow.s.execute(SENT, {"t": tenant_id, "now": uow.now, "ids": sent})
        return len(sent)


def _grouped(rows: Sequence[Any]) -> dict[tuple[int, str, str], list[Any]]:
    out: dict[tuple[int, str, str], list[Any]] = {}
    for row in rows:
        out.setdefault((row.agent_id, row.conn_key, row.kind), []).append(row)
    return out


def _send(sender: Sender, reg: Registration, conn: str, kind: str, rows: Sequence[Any]) -> bool:
    if kind == "worklist":
        # Of several changes of one tube only the last one matters.
        tubes = {t["barcode"]: t for row in rows for t in row.body["tubes"]}
        return sender.worklist(reg, conn, list(tubes.values()), int(rows[-1].id))
    if kind == "config":
        return sender.json(reg, kind, rows[-1].body)
    return all(sender.json(reg, kind, row.body, conn) for row in rows)
