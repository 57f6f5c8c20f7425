"""Domain events, written in the transaction that caused them and handled afterwards by the worker.

Order is kept per ``key`` by id. A handler that fails leaves its event for the next round; nothing is dropped.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable


class OutboxEvent(TenantTable, Base):
    """A fact other modules or systems must learn: topic ``specimen.received``, key = what keeps order."""

    __tablename__ = "outbox_event"
    __table_args__ = (Index("ix_outbox_event_due", "tenant_id", "id", postgresql_where=text("done_at IS NULL")),)
    topic: Mapped[str]
    key: Mapped[str]
    payload: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    next_at: Mapped[datetime | None]
    error: Mapped[str | None]
