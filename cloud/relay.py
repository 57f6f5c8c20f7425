"""The outbox relay: domain events to their handlers, in order per key, many events a transaction.

A round takes what is due and at the head of its key, handles it for a tenth of a second and commits. When a handler of the round fails,
nothing of it happened and its events are tried one by one: the failing one waits (with backoff), and with it the later ones of its key;
other keys go on. So a handler may be called again for an event; what it does outside the database must bear repeating.

Two lanes, each with a loop of its own in the worker: what takes long and nobody waits for (``LATER``) never stands before a critical value,
a message to the HIS or a label. Between lanes no order is kept, so a later event has a key that no other lane uses.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import text

from cloud.db.outbox import OutboxEvent
from cloud.db.session import Actor, Database, UnitOfWork
from cloud.web.module import Handler

log = structlog.get_logger("relay")
RELAY = Actor("relay")
BACKOFF_S = (1, 5, 30, 120, 600)
ROUND = 60
ROUND_S = 0.1  # rows that people may want are locked no longer than this
LATER = frozenset({"report.print"})
Handlers = Mapping[str, Sequence[Handler]]

# People go first: a round that must wait for a lock gives up before PostgreSQL looks for a deadlock (1 s) and perhaps ends theirs.
PATIENCE_MS = 300

# Open events that are due and behind no postponed one of their key; SKIP LOCKED lets several workers share the work.
_DUE = text("""
SELECT e.id, e.topic, e.key, e.payload FROM outbox_event e
WHERE e.tenant_id = :t AND e.done_at IS NULL AND (e.next_at IS NULL OR e.next_at <= :now) AND e.id > :after
  AND (CAST(:later AS boolean) IS NULL OR (e.topic = ANY(:topics)) = :later)
  AND NOT EXISTS (SELECT 1 FROM outbox_event p
                  WHERE p.tenant_id = e.tenant_id AND p.done_at IS NULL AND p.key = e.key AND p.id < e.id AND p.next_at > :now)
ORDER BY e.id LIMIT :n FOR UPDATE OF e SKIP LOCKED
""")
_OPEN = text("SELECT id, key FROM outbox_event WHERE tenant_id = :t AND done_at IS NULL AND key = ANY(:keys) AND id <= :last ORDER BY id")
_DONE = text("UPDATE outbox_event SET done_at = :now WHERE tenant_id = :t AND id = ANY(:ids)")
_HEAD = text("""
SELECT e.id, e.topic, e.key, e.payload FROM outbox_event e
WHERE e.tenant_id = :t AND e.id = :id AND e.done_at IS NULL AND NOT EXISTS (
  SELECT 1 FROM outbox_event p WHERE p.tenant_id = e.tenant_id AND p.done_at IS NULL AND p.key = e.key AND p.id < e.id)
FOR UPDATE OF e SKIP LOCKED
""")


def drain(db: Database, tenant_id: int, handlers: Handlers, later: bool | None = None) -> int:
    """Handle what is due for one hospital, of one lane or (None) of both; returns how many events were done."""
    done, after = 0, 0
    lane = {"later": later, "topics": list(LATER)}
    while True:
        taken: list[Any] = []
        try:
            with db.tenant(tenant_id, RELAY, PATIENCE_MS) as uow:
                found = uow.s.execute(_DUE, {"t": tenant_id, "now": uow.now, "after": after, "n": ROUND} | lane).all()
                if not found:
                    return done
                taken = _heads(uow, found)
                handled = _handle(uow, taken, handlers)
        except Exception as exc:
            log.info("round_failed", tenant=tenant_id, events=len(taken), error=type(exc).__name__)
            if not taken:
                raise
            done += sum(_one(db, tenant_id, event.id, handlers) for event in taken)
            # Whatever of them is still open has been tried: the next look goes on behind it.
            after = taken[-1].id
            continue
        done += handled
        if handled == len(found) < ROUND and not any(later is None or (topic in LATER) == later for topic in uow.emitted):
            return done  # that was all; who writes an event later wakes the worker
        if not taken:
            after = found[-1].id


def _heads(uow: UnitOfWork, found: Sequence[Any]) -> list[Any]:
    """Those of the locked events with no open event of their key before them but such as are locked here too."""
    ours, keys = {e.id: e for e in found}, {e.key for e in found}
    out, blocked = [], set()
    for id_, key in uow.s.execute(_OPEN, {"t": uow.tenant_id, "keys": list(keys), "last": found[-1].id}):
        if key in blocked:
            continue
        if id_ in ours:
            out.append(ours[id_])
        else:
            blocked.add(key)
    return out


def _handle(uow: UnitOfWork, events: Sequence[Any], handlers: Handlers) -> int:
    """Call the handlers in order until the round's time is over; the number of events done."""
    end, done = time.monotonic() + ROUND_S, []
    for event in events:
        for handler in handlers.get(event.topic, ()):
            handler(uow, {**event.payload, "event_id": event.id})
        done.append(event.id)
        if time.monotonic() > end:
            break
    if done:
        uow.s.execute(_DONE, {"now": uow.now, "t": uow.tenant_id, "ids": done})
    return len(done)


def _one(db: Database, tenant_id: int, event_id: int, handlers: Handlers) -> bool:
    topic = ""
    try:
        with db.tenant(tenant_id, RELAY) as uow:
            event = uow.s.execute(_HEAD, {"t": tenant_id, "id": event_id}).one_or_none()
            if event is None:
                return False
            topic = event.topic
            return _handle(uow, [event], handlers) == 1
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
