"""Tables of the edge: agents, connections, raw messages, what instruments said."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class Agent(Versioned, TenantTable, Base):
    """An edge agent with its registered certificate; the tenant of all it sends comes from here (R7)."""

    __tablename__ = "agent"
    __table_args__ = (UniqueConstraint("tenant_id", "uuid"),)
    uuid: Mapped[str]
    name: Mapped[str]
    location: Mapped[str] = mapped_column(default="", server_default="")
    state: Mapped[str] = mapped_column(default="created", server_default="created")
    certificate: Mapped[str | None]
    serial: Mapped[str | None]
    not_after: Mapped[datetime | None]
    stream_uuid: Mapped[str | None]
    boot_uuid: Mapped[str | None]
    software: Mapped[str] = mapped_column(default="", server_default="")
    config_version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    applied_version: Mapped[int | None] = mapped_column(Integer)
    last_seen_at: Mapped[datetime | None]
    clock_skew_ms: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    kiosk: Mapped[dict[str, Any] | None]


class EnrolCode(TenantTable, Base):
    """A single-use code of 30 minutes; only its hash is kept."""

    __tablename__ = "enrol_code"
    __table_args__ = (UniqueConstraint("tenant_id", "code_hash"), tenant_fk("agent_id", "agent"))
    agent_id: Mapped[int] = mapped_column(BigInteger)
    code_hash: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Connection(Versioned, TenantTable, Base):
    """One link of an agent to one analyzer: protocol, driver, transport, character set."""

    __tablename__ = "connection"
    __table_args__ = (
        UniqueConstraint("tenant_id", "agent_id", "key"),
        tenant_fk("agent_id", "agent"),
        tenant_fk("analyzer_id", "analyzer"),
    )
    agent_id: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str]
    name: Mapped[str]
    analyzer_id: Mapped[int | None] = mapped_column(BigInteger)
    protocol: Mapped[str]
    driver: Mapped[str | None]
    encoding: Mapped[str | None]
    transport: Mapped[dict[str, Any]]
    host_query: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    enabled: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    last_result_at: Mapped[datetime | None]


class RawMessage(TenantTable, Base):
    """Bytes exactly as the agent accepted them; the transport key makes a repeat harmless (R3)."""

    __tablename__ = "raw_message"
    __table_args__ = (
        UniqueConstraint("tenant_id", "agent_id", "stream_uuid", "seq"),
        Index("ix_raw_message_connection", "tenant_id", "connection_id", "id"),
        tenant_fk("agent_id", "agent"),
        tenant_fk("connection_id", "connection"),
    )
    agent_id: Mapped[int] = mapped_column(BigInteger)
    stream_uuid: Mapped[str]
    seq: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    connection_id: Mapped[int | None] = mapped_column(BigInteger)
    conn_key: Mapped[str]
    agent_at: Mapped[datetime | None]
    received_at: Mapped[datetime]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    meta: Mapped[dict[str, Any]]
    state: Mapped[str]
    problems: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")


class Observation(TenantTable, Base):
    """What the instrument said, as sent. ``state``: matched | orphan | unmapped | qc | repeat | info | mismatch."""

    __tablename__ = "observation"
    __table_args__ = (
        Index("ix_observation_open", "tenant_id", "state", "id", postgresql_where=text("state IN ('orphan','unmapped','mismatch')")),
        Index("ix_observation_raw", "tenant_id", "raw_message_id"),
        Index("ix_observation_key", "tenant_id", "analyzer_id", "specimen_text", "code"),
        tenant_fk("raw_message_id", "raw_message"),
        tenant_fk("connection_id", "connection"),
        tenant_fk("analyzer_id", "analyzer"),
        tenant_fk("test_id", "test"),
    )
    raw_message_id: Mapped[int] = mapped_column(BigInteger)
    idx: Mapped[int] = mapped_column(Integer)
    connection_id: Mapped[int | None] = mapped_column(BigInteger)
    analyzer_id: Mapped[int | None] = mapped_column(BigInteger)
    specimen_text: Mapped[str | None]
    patient_text: Mapped[str | None]
    code: Mapped[str | None]
    value: Mapped[str | None]
    unit: Mapped[str | None]
    flags: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    status: Mapped[str | None]
    time_text: Mapped[str | None]
    received_at: Mapped[datetime]
    state: Mapped[str]
    test_id: Mapped[int | None] = mapped_column(BigInteger)
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    close_reason: Mapped[str | None]
