"""Table of the portal: reasons for looking at a patient who is not one's own (break-glass)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, tenant_fk


class BreakGlass(TenantTable, Base):
    """A person's stated reason, good for a few hours for one patient; reviewed monthly (M01 R8)."""

    __tablename__ = "break_glass"
    __table_args__ = (
        Index("ix_break_glass_user", "tenant_id", "user_id", "patient_id", "until"),
        tenant_fk("user_id", "app_user"),
        tenant_fk("patient_id", "patient"),
    )
    user_id: Mapped[int] = mapped_column(BigInteger)
    patient_id: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str]
    at: Mapped[datetime]
    until: Mapped[datetime]
