"""Whatever a transaction wrote has its audit entry (C4): asked of the database, by the transaction's own number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.db.tenancy import tenant_tables
from cloud.modules.tables import METADATA

# What stands beside the thing itself, which has the entry: the chain, queues, traces of looks and projections that can be made anew.
BESIDE = {"audit_log", "audit_head", "outbox_event", "access_log", "user_session", "bench_tube", "specimen_counter", "alert"}
BESIDE |= {"lab_order"}  # when its sender last spoke of it is noted by itself
_TABLES = [t.name for t in tenant_tables(METADATA) if t.name not in BESIDE]
_WRITTEN = " UNION ALL ".join(f"SELECT '{t}' WHERE EXISTS (SELECT 1 FROM {t} WHERE xmin = CAST(:x AS xid))" for t in _TABLES)


@dataclass(frozen=True)
class Mark:
    """A unit of work to be looked at after its COMMIT."""

    number: str
    entries: list[dict[str, Any]]


def mark(uow: UnitOfWork) -> Mark:
    """Remember this unit of work; its entries may still come."""
    return Mark(str(uow.s.scalar(text("SELECT CAST(CAST(pg_current_xact_id() AS xid) AS text)"))), uow._closing.entries)


def silent(uow: UnitOfWork, made: Mark) -> list[str]:
    """Tables that the marked unit, which is over, wrote without any audit entry."""
    return [] if made.entries else list(uow.s.scalars(text(_WRITTEN), {"x": made.number}))
