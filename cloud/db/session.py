"""One transaction, one tenant: the unit of work every service is handed.

``SET LOCAL`` (set_config with is_local) puts the tenant in the transaction, so a pooled connection carries
nothing over to its next user (SR5). At the end: flush, then one statement with all that goes out, then COMMIT.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, UOWTransaction, sessionmaker

from cloud.db.base import TenantTable
from cloud.db.closing import Closing
from cloud.db.insert import insert
from cloud.db.plain import PlainSession
from cloud.db.room import Room
from cloud.db.vault import Vault

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock, aware UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Reach:
    """Codes of sections and of wards: who is bound to them reads and writes nothing of others (M01)."""

    sections: frozenset[str]
    wards: frozenset[str]


@dataclass(frozen=True)
class Actor:
    """Who acts: a person, a machine or the system itself, and from where (C4)."""

    name: str
    user_id: int | None = None
    ip: str = ""
    workstation: str = ""
    request_id: str = ""
    reach: Reach | None = None
    """None: all of the hospital."""


SYSTEM = Actor("system")

ALONG: dict[str, str] = {}
"""Small questions (name → a scalar subquery of ``:t``) that are asked along with the session of a request; the answers stand in
``UnitOfWork.s.info`` under their names. A module adds its own when it is loaded; elsewhere it asks by itself."""


@dataclass
class UnitOfWork:
    """A tenant's transaction: session ``s``, the time ``now`` of this unit, and what must go out with its COMMIT."""

    s: Session
    tenant_id: int
    actor: Actor
    now: datetime
    vault: Vault
    """Seals and opens what this hospital keeps private."""
    place: tuple[str, int]
    """Database and hospital: whose a copy is that the process keeps."""
    _closing: Closing = field(default_factory=Closing)
    _gathered: dict[Callable[[UnitOfWork, list[Any]], None], list[Any]] = field(default_factory=dict)

    def audit(
        self,
        entity: str,
        entity_id: object,
        action: str,
        before: Any = None,
        after: Any = None,
        reason: str | None = None,
    ) -> None:
        """Record one state change; written to the chain at the end of the transaction."""
        self._closing.entries.append(
            {
                "at": self.now.isoformat(),
                "actor_id": self.actor.user_id,
                "actor": self.actor.name,
                "ip": self.actor.ip,
                "workstation": self.actor.workstation,
                "request": self.actor.request_id,
                "entity": entity,
                "entity_id": str(entity_id),
                "action": action,
                "before": before,
                "after": after,
                "reason": reason,
            }
        )

    def emit(self, topic: str, key: str, payload: dict[str, Any]) -> None:
        """Write a domain event into the outbox, in this transaction."""
        self._closing.events.append({"topic": topic, "key": key, "payload": payload})
        self.notify("outbox", {})

    def look(self, user_id: int | None, name: str, patient_id: int | None, purpose: str, path: str) -> None:
        """Record in the access log that somebody looked, or tried to look, at data of a patient."""
        request = self.actor.request_id
        self._closing.looks.append(
            {"user_id": user_id, "actor": name, "patient_id": patient_id, "purpose": purpose, "path": path, "request_id": request}
        )

    def notify(self, channel: str, payload: dict[str, Any]) -> None:
        """Tell listeners after COMMIT; equal notices of one transaction are sent once. Keep payloads to ids."""
        body = json.dumps({"t": self.tenant_id, **payload}, separators=(",", ":"), sort_keys=True, default=str)
        self._closing.notices[(channel, body)] = None

    def insert(self, *rows: TenantTable) -> None:
        """Write new rows of one table at once, without the unit of work's detour; they have their ids afterwards."""
        insert(self.s, rows)

    def gather(self, work: Callable[[UnitOfWork, list[Any]], None], item: Any) -> None:
        """Have ``work`` called once, at the end of this unit, with all the items given for it: what many events ask for is asked once."""
        items = self._gathered.setdefault(work, [])
        if item not in items:
            items.append(item)

    @property
    def emitted(self) -> set[str]:
        """The topics of the events that go out, or have gone out, with this unit."""
        return {str(event["topic"]) for event in self._closing.events}

    def finish(self) -> None:
        """What was gathered, then flush, then events, looks, notices and audit entries in one statement; the caller commits next."""
        while self._gathered:
            work, items = self._gathered.popitem()
            work(self, items)
        self.s.flush()
        self._closing.write(self.s, self.tenant_id, self.now)


def _fill_tenant(session: Session, _ctx: UOWTransaction, _instances: Any) -> None:
    tenant = session.info.get("tenant_id")
    for obj in session.new:
        if isinstance(obj, TenantTable) and obj.tenant_id is None:
            obj.tenant_id = tenant


def _set_up(connection: Any, _record: object) -> None:
    """The product has more statements than psycopg's hundred: with fewer, each connection would prepare and forget without end.

    Transactions are begun by ``Database.tenant`` itself, together with their tenant; outside of one each statement stands alone.
    """
    connection.prepared_max = 600
    # What is asked a third time is asked again: parsed and planned each time, it would cost several times what it takes to answer.
    connection.prepare_threshold = 2
    connection.autocommit = True


def _begin(connection: Connection, tenant_id: int, lock_ms: int) -> None:
    """BEGIN and the tenant in one round trip: there is no moment of a transaction without its tenant."""
    driver: Any = connection.connection.driver_connection
    patience = f"; SET LOCAL lock_timeout = {int(lock_ms)}" if lock_ms else ""
    try:
        driver.execute(f"BEGIN; SET LOCAL app.tenant = '{int(tenant_id)}'{patience}".encode(), prepare=False)
    except psycopg.Error as error:
        connection._handle_dbapi_exception(error, "BEGIN", None, None, None)
        raise


def _take_back(session: Session) -> None:
    """ROLLBACK after a refusal of ours: nothing is wrong with what the database has learned in this session.

    By its own rollback psycopg forgets every prepared statement, for a table may have been made anew meanwhile. The app role makes none;
    each refused scan made a session young again: where one stood before each flow, the database had 40 ms of work for it instead of 18.
    After an error of the database (its plans may be what is wrong) it is psycopg's, as before.
    """
    driver: Any = session.connection().connection.driver_connection if session.is_active else None
    if driver is not None and driver.pgconn.transaction_status == TransactionStatus.INTRANS:
        driver.pgconn.exec_(b"ROLLBACK")  # the session ends next, and finds nothing left to roll back; or, if this failed, all of it


PLANS_LIVE_S = 5.0
PLANS_LIVE_MOST_S = 320.0
PLANS_LIVE_USES = 100


def _plans_of_today(connection: Any, record: Any, _proxy: object) -> None:
    """Forget a session's plans after some seconds of work, each time after twice as many; its prepared statements stay, each is planned
    anew at its next use.

    PostgreSQL keeps a plan, that of each foreign key's check too, until somebody analyses the table. What a session learned while the
    tables were a page long reads them whole when a morning has filled them: 20 blood counts a second into a new hospital took seconds.
    Tables grow by work: a session that has hardly done any keeps its plans (autovacuum looks every 15 s), for planning all of a flow's
    statements anew took a seventh of the database's time. A plan is never older than all the session's time before it, in which a table
    grew to at least half of what it has grown to since.
    """
    now, info = monotonic(), record.info
    info["uses"] = info.get("uses", 0) + 1
    life = info.get("life", PLANS_LIVE_S)
    if now - info.setdefault("planned", now) > life and info["uses"] >= PLANS_LIVE_USES:
        info["planned"], info["uses"], info["life"] = now, 0, min(2 * life, PLANS_LIVE_MOST_S)
        connection.execute("DISCARD PLANS")


class Database:
    """The app role's connection pool and the doors to it. ``at_once``: how many short transactions begin beside each other (see ``room``);
    0: as many as come."""

    def __init__(self, url: str, pool_size: int = 10, clock: Clock = utc_now, secret: str = "", at_once: int = 0) -> None:
        self.engine: Engine = create_engine(
            url, pool_size=pool_size, max_overflow=10, pool_pre_ping=False, pool_recycle=1800, pool_use_lifo=True
        )
        event.listen(self.engine, "connect", _set_up)
        event.listen(self.engine, "checkout", _plans_of_today)
        self.clock = clock
        self._secret = secret
        self._room = Room(at_once)
        self._name = str(self.engine.url)
        self._maker = sessionmaker(self.engine, class_=PlainSession, expire_on_commit=False)
        event.listen(self._maker, "before_flush", _fill_tenant)

    @contextmanager
    def tenant(self, tenant_id: int, actor: Actor = SYSTEM, lock_ms: int = 0) -> Iterator[UnitOfWork]:
        """A transaction inside one hospital; commits at a clean exit, rolls back on any exception. ``lock_ms``: how long it waits for a
        lock before it fails; 0: as long as it takes."""
        with self._room.place(), self._maker(info={"tenant_id": tenant_id}) as s:
            _begin(s.connection(), tenant_id, lock_ms)
            uow = UnitOfWork(s, tenant_id, actor, self.clock(), Vault(self._secret, tenant_id), (self._name, tenant_id))
            try:
                yield uow
                uow.finish()
            except (SQLAlchemyError, psycopg.Error):
                raise
            except Exception:
                _take_back(s)
                raise
            s.commit()

    @contextmanager
    def registry(self) -> Iterator[Session]:
        """A read-only look at the global tables (the tenant registry); no tenant's rows are reachable from it."""
        with self._maker() as s:
            yield s
            s.commit()  # nothing was written; but psycopg forgets every prepared statement of a connection at a rollback

    def dispose(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()
