"""Tables of interfaces: endpoints, what came in, what must go out, what a person must look at."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk

UNFINISHED = text("state NOT IN ('acked','closed')")


class Endpoint(Versioned, TenantTable, Base):
    """A neighbouring system: direction in | out, where, in which character set (``config``: see endpoints.py).

    ``source`` is the name under which its codes are mapped and its orders numbered; an in and an out endpoint of one system share it.
    """

    __tablename__ = "endpoint"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str]
    direction: Mapped[str]
    transport: Mapped[str] = mapped_column(default="mllp", server_default="mllp")
    source: Mapped[str] = mapped_column(default="", server_default="")
    config: Mapped[dict[str, Any]]
    enabled: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    last_ok_at: Mapped[datetime | None]
    last_error_at: Mapped[datetime | None]
    last_error: Mapped[str | None]


class InboxMessage(TenantTable, Base):
    """A message as received and what became of it; ``key`` (MSH-10 and content hash) makes repeats harmless (C6).

    state: applied | parked | quarantined | refused. ``subject``: patient and order numbers, to search by.
    """

    __tablename__ = "inbox_message"
    __table_args__ = (
        UniqueConstraint("tenant_id", "endpoint_id", "key"),
        Index("ix_inbox_message_at", "tenant_id", "received_at"),
        Index("ix_inbox_message_state", "tenant_id", "state", "id"),
        tenant_fk("endpoint_id", "endpoint"),
    )
    endpoint_id: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str]
    control_id: Mapped[str] = mapped_column(default="", server_default="")
    sha256: Mapped[str]
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    kind: Mapped[str] = mapped_column(default="", server_default="")
    subject: Mapped[str] = mapped_column(default="", server_default="")
    state: Mapped[str]
    problem: Mapped[str | None]
    answer: Mapped[bytes] = mapped_column(LargeBinary)
    answer_code: Mapped[str]
    received_at: Mapped[datetime]
    repeats: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    seen_at: Mapped[datetime | None]


class Delivery(TenantTable, Base):
    """One message to one endpoint. MSH-10 is ``msg_id``, fixed across retries, never reused.

    Order is kept per ``order_key`` (a patient); ``subject`` is what the message is about: a dead letter holds back only what
    follows it about the same thing. ``next_at`` of a sent row is the end of its sender's lease.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("tenant_id", "endpoint_id", "event_key"),
        UniqueConstraint("tenant_id", "msg_id"),
        Index("ix_delivery_due", "tenant_id", "endpoint_id", "id", postgresql_where=UNFINISHED),
        Index("ix_delivery_order", "tenant_id", "endpoint_id", "order_key", "id", postgresql_where=UNFINISHED),
        Index("ix_delivery_event", "tenant_id", "event_key"),
        tenant_fk("endpoint_id", "endpoint"),
    )
    endpoint_id: Mapped[int] = mapped_column(BigInteger)
    event_key: Mapped[str]
    order_key: Mapped[str]
    subject: Mapped[str] = mapped_column(default="", server_default="")
    msg_id: Mapped[str]
    kind: Mapped[str]
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(default="pending", server_default="pending")
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    created_at: Mapped[datetime]
    first_try_at: Mapped[datetime | None]
    next_at: Mapped[datetime]
    acked_at: Mapped[datetime | None]
    ack_code: Mapped[str | None]
    error: Mapped[str | None]


class InterfaceIssue(TenantTable, Base):
    """Something a person must look at: unmapped | quarantined | dead_letter | late. One open row a (kind, key), counted."""

    __tablename__ = "interface_issue"
    __table_args__ = (
        Index("uq_interface_issue_open", "tenant_id", "kind", "key", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index("ix_interface_issue_open", "tenant_id", "id", postgresql_where=text("closed_at IS NULL")),
    )
    kind: Mapped[str]
    key: Mapped[str]
    text: Mapped[str]
    link: Mapped[str] = mapped_column(default="", server_default="")
    opened_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    count: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    close_reason: Mapped[str | None]
