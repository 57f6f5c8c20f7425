"""The outbox relay: domain events to their handlers, in order per key, one transaction an event.

A handler that fails keeps its event and the later ones of the same key waiting (with backoff); other keys go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog
from sqlalchemy import text

from cloud.db.outbox import OutboxEvent
from cloud.db.session import Actor, Database
from cloud.web.module import Handler

log = structlog.get_logger("relay")
RELAY = Actor("relay")
BACKOFF_S = (1, 5, 30, 120, 600)

# The oldest open event of each key, if it is due; SKIP LOCKED lets several workers share the work.
_NEXT = text("""
SELECT e.id FROM outbox_event e
WHERE e.tenant_id = :t AND e.done_at IS NULL AND (e.next_at IS NULL OR e.next_at <= :now) AND e.id > :after
  AND NOT EXISTS (SELECT 1 FROM outbox_event p
                  WHERE p.tenant_id = e.tenant_id AND p.done_at IS NULL AND p.key = e.key AND p.id < e.id)
ORDER BY e.id LIMIT 1 FOR UPDATE OF e SKIP LOCKED
""")


def drain(db: Database, tenant_id: int, handlers: Mapping[str, Sequence[Handler]]) -> int:
    """Handle what is due for one hospital; returns how many events were done."""
    done, after = 0, 0
    while True:
        with db.tenant(tenant_id, RELAY) as uow:
            found = uow.s.execute(_NEXT, {"t": tenant_id, "now": uow.now, "after": after}).scalar()
        if found is None:
            return done
        if _one(db, tenant_id, int(found), handlers):
            done += 1
        else:
            after = int(found)


def _one(db: Database, tenant_id: int, event_id: int, handlers: Mapping[str, Sequence[Handler]]) -> bool:
    topic = ""
    try:
        with db.tenant(tenant_id, RELAY) as uow:
            event = uow.s.get(OutboxEvent, (tenant_id, event_id), with_for_update={"skip_locked": True})
            if event is None or event.done_at is not None:
                return False
            topic = event.topic
            for handler in handlers.get(topic, ()):
                handler(uow, {**event.payload, "event_id": event.id})
            event.done_at = uow.now
        return True
    except Exception as exc:
        log.warning("event_failed", tenant=tenant_id, topic=topic, event_id=event_id, error=f"{type(exc).__name__}: {exc}"[:300])
        _postpone(db, tenant_id, event_id, exc)
        return False


def _postpone(db: Database, tenant_id: int, event_id: int, exc: Exception) -> None:
    with db.tenant(tenant_id, RELAY) as uow:
        event = uow.s.get(OutboxEvent, (tenant_id, event_id), with_for_update=True)
        if event is not None and event.done_at is None:
            event.attempts += 1
            event.next_at = uow.now + timedelta(seconds=BACKOFF_S[min(event.attempts, len(BACKOFF_S)) - 1])
            event.error = f"{type(exc).__name__}: {exc}"[:500]
