"""How long the bytes of messages are kept: 90 days for looking into faults (M06 R11), longer where the hospital says so.

Only the bytes go. The row with its number, times and SHA-256, its problems and every result read from it stay: a repeat is still known for
one, an audit still sees what the analyzer said and what became of it, and a copy kept elsewhere can be proved by its hash. Bytes that
somebody may still need stay, too: of a message nobody could read yet, while one of its results waits for its tube or its item, and until
they are in the archive of their agent or analyzer that was taken out of use (archiving.py).
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge.rules import keep_days

AT_ONCE = 100_000
"""Messages cleared in one night at most: a hospital that begins late is done after some of them."""

CLEAR = text("""
WITH cleared AS (
  UPDATE raw_message SET body = '', cleared_at = :now WHERE tenant_id = :t AND id IN (
    SELECT r.id FROM raw_message r
    WHERE r.tenant_id = :t AND r.cleared_at IS NULL AND r.kind = 'raw' AND r.received_at < :before AND r.state = 'interpreted'
      AND NOT EXISTS (SELECT 1 FROM observation o WHERE o.tenant_id = :t AND o.raw_message_id = r.id
                      AND o.state IN ('orphan', 'unmapped', 'mismatch') AND o.closed_at IS NULL)
      AND NOT EXISTS (SELECT 1 FROM edge_archive x WHERE x.tenant_id = :t AND x.done_at IS NULL AND r.id > x.last_id
                      AND (x.agent_id = r.agent_id OR x.connections @> to_jsonb(r.connection_id)))
    ORDER BY r.received_at LIMIT :n)
  RETURNING id)
SELECT count(*) AS n, min(id) AS first, max(id) AS last FROM cleared
""")


def clear(uow: UnitOfWork) -> int:
    """Daily: clear the bytes of old messages; how many. One entry in the audit says which."""
    days = keep_days(md.catalog(uow).settings.get("edge", {}).get("raw_days"))
    before = uow.now - timedelta(days=days)
    done = uow.s.execute(CLEAR, {"t": uow.tenant_id, "now": uow.now, "before": before, "n": AT_ONCE}).one()
    if done.n:
        after = {"count": done.n, "first": done.first, "last": done.last, "until": before.isoformat(), "days": days}
        uow.audit("raw_message", f"{done.first}–{done.last}", "clear", after=after)
    return int(done.n)
