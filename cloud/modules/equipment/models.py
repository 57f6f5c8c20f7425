"""Tables of equipment: calibrations and faults of analyzers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, tenant_fk


class Calibration(TenantTable, Base):
    """A calibration of an analyzer, of one item or of all; valid until."""

    __tablename__ = "calibration"
    __table_args__ = (
        UniqueConstraint("tenant_id", "analyzer_id", "certificate"),
        Index("ix_calibration_analyzer", "tenant_id", "analyzer_id", "valid_until"),
        tenant_fk("analyzer_id", "analyzer"),
        tenant_fk("item_id", "test_item"),
    )
    analyzer_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int | None] = mapped_column(BigInteger)
    certificate: Mapped[str]
    done_at: Mapped[datetime]
    valid_until: Mapped[datetime]
    passed: Mapped[bool] = mapped_column(Boolean)
    by_id: Mapped[int | None] = mapped_column(BigInteger)


class EquipmentFault(TenantTable, Base):
    """A fault of an analyzer, from its start to the repair's verification."""

    __tablename__ = "equipment_fault"
    __table_args__ = (
        Index("ix_equipment_fault_open", "tenant_id", "analyzer_id", postgresql_where=text("ended_at IS NULL")),
        tenant_fk("analyzer_id", "analyzer"),
    )
    analyzer_id: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[datetime]
    symptom: Mapped[str]
    reported_by: Mapped[int | None] = mapped_column(BigInteger)
    ended_at: Mapped[datetime | None]
    repair: Mapped[str] = mapped_column(default="", server_default="")
    ended_by: Mapped[int | None] = mapped_column(BigInteger)
