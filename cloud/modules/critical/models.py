"""Table of critical values (危急值): the record that someone who can act was told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class CriticalEvent(Versioned, TenantTable, Base):
    """One item of one tube beyond its limit; reruns of the tube count once (M10 R7)."""

    __tablename__ = "critical_event"
    __table_args__ = (
        UniqueConstraint("tenant_id", "test_id"),
        Index("ix_critical_event_state", "tenant_id", "state", "id"),
        tenant_fk("test_id", "test"),
        tenant_fk("patient_id", "patient"),
    )
    test_id: Mapped[int] = mapped_column(BigInteger)
    patient_id: Mapped[int] = mapped_column(BigInteger)
    item_name: Mapped[str]
    value_text: Mapped[str]
    unit: Mapped[str] = mapped_column(default="", server_default="")
    limit_text: Mapped[str]
    state: Mapped[str] = mapped_column(default="detected", server_default="detected")
    found_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]
    received_by: Mapped[str | None]
    readback: Mapped[str | None]
    closed_at: Mapped[datetime | None]
