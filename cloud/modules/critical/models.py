"""Tables of critical values (危急值): the record that someone who can act was told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class CriticalEvent(Versioned, TenantTable, Base):
    """One item of one tube beyond its limit; reruns of the tube count once (M10 R7). Who and where are as they were when found."""

    __tablename__ = "critical_event"
    __table_args__ = (
        UniqueConstraint("tenant_id", "test_id"),
        Index("ix_critical_event_state", "tenant_id", "state", "id"),
        tenant_fk("test_id", "test"),
        tenant_fk("patient_id", "patient"),
    )
    test_id: Mapped[int] = mapped_column(BigInteger)
    patient_id: Mapped[int] = mapped_column(BigInteger)
    patient_name: Mapped[str] = mapped_column(default="", server_default="")
    patient_no: Mapped[str] = mapped_column(default="", server_default="")
    place: Mapped[str] = mapped_column(default="", server_default="")
    barcode: Mapped[str] = mapped_column(default="", server_default="")
    item_name: Mapped[str]
    value_text: Mapped[str]
    unit: Mapped[str] = mapped_column(default="", server_default="")
    limit_text: Mapped[str]
    minutes: Mapped[int] = mapped_column(Integer, default=15, server_default="15")
    state: Mapped[str] = mapped_column(default="detected", server_default="detected")
    found_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    confirmed_by: Mapped[int | None] = mapped_column(BigInteger)
    received_at: Mapped[datetime | None]
    received_by: Mapped[str | None]
    readback: Mapped[str | None]
    action_text: Mapped[str | None]
    reason: Mapped[str | None]
    closed_at: Mapped[datetime | None]


class CriticalAttempt(TenantTable, Base):
    """One try to tell somebody, whether it worked or not (AC-CV-4)."""

    __tablename__ = "critical_attempt"
    __table_args__ = (Index("ix_critical_attempt_event", "tenant_id", "event_id", "id"), tenant_fk("event_id", "critical_event"))
    event_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    by_name: Mapped[str]
    channel: Mapped[str]
    receiver: Mapped[str]
    readback: Mapped[str] = mapped_column(default="", server_default="")
    ok: Mapped[bool] = mapped_column(Boolean)
    note: Mapped[str] = mapped_column(default="", server_default="")
