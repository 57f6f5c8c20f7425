"""Tables of interfaces: endpoints, what came in, what must go out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class Endpoint(Versioned, TenantTable, Base):
    """A neighbouring system: direction in | out, where, in which character set."""

    __tablename__ = "endpoint"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str]
    direction: Mapped[str]
    transport: Mapped[str] = mapped_column(default="mllp", server_default="mllp")
    config: Mapped[dict[str, Any]]
    enabled: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    last_ok_at: Mapped[datetime | None]
    last_error: Mapped[str | None]


class InboxMessage(TenantTable, Base):
    """A message as received and what became of it; ``key`` (MSH-10 or hash) makes repeats harmless (C6)."""

    __tablename__ = "inbox_message"
    __table_args__ = (UniqueConstraint("tenant_id", "endpoint_id", "key"), tenant_fk("endpoint_id", "endpoint"))
    endpoint_id: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str]
    sha256: Mapped[str]
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    kind: Mapped[str] = mapped_column(default="", server_default="")
    state: Mapped[str]
    problem: Mapped[str | None]
    answer: Mapped[bytes] = mapped_column(LargeBinary)
    answer_code: Mapped[str]
    received_at: Mapped[datetime]


class Delivery(TenantTable, Base):
    """One message to one endpoint. MSH-10 is ``msg_id``, fixed across retries, never reused; order kept per key."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("tenant_id", "endpoint_id", "event_key"),
        Index("ix_delivery_due", "tenant_id", "endpoint_id", "id", postgresql_where=text("state IN ('pending','sent','retrying')")),
        tenant_fk("endpoint_id", "endpoint"),
    )
    endpoint_id: Mapped[int] = mapped_column(BigInteger)
    event_key: Mapped[str]
    order_key: Mapped[str]
    msg_id: Mapped[str]
    kind: Mapped[str]
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(default="pending", server_default="pending")
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    created_at: Mapped[datetime]
    next_at: Mapped[datetime]
    acked_at: Mapped[datetime | None]
    ack_code: Mapped[str | None]
    error: Mapped[str | None]
