"""Tables of scheduling: shifts, and who works which in which section."""

from __future__ import annotations

from datetime import date, datetime, time

from sqlalchemy import BigInteger, Boolean, Date, Index, Time, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, tenant_fk


class Shift(TenantTable, Base):
    """班次 白/早/中/夜: local hours; an end at or before the start is on the next day."""

    __tablename__ = "shift"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str]
    start: Mapped[time] = mapped_column(Time)
    end: Mapped[time] = mapped_column(Time)
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class Duty(TenantTable, Base):
    """A person's shift in a section on each local day ``first`` … ``last``; taken back by ``cancelled_at``, never deleted."""

    __tablename__ = "duty"
    __table_args__ = (
        Index("ix_duty_section", "tenant_id", "section_id", "last"),
        Index("ix_duty_user", "tenant_id", "user_id", "last"),
        tenant_fk("user_id", "app_user"),
        tenant_fk("section_id", "section"),
        tenant_fk("shift_id", "shift"),
    )
    user_id: Mapped[int] = mapped_column(BigInteger)
    section_id: Mapped[int] = mapped_column(BigInteger)
    shift_id: Mapped[int] = mapped_column(BigInteger)
    first: Mapped[date] = mapped_column(Date)
    last: Mapped[date] = mapped_column(Date)
    phone: Mapped[str] = mapped_column(default="", server_default="")
    # 单人值班: this person alone may test and verify during the shift, and a second one looks within 24 h (M09 R1).
    alone: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    cancelled_at: Mapped[datetime | None]
