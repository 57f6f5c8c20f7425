"""Table of personnel: authorisations."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, Index
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class Authorization(Versioned, TenantTable, Base):
    """Person × function × section × item group (an order set), from … until (local days, both included).

    ``until`` is never later than ``competency_until`` or ``licence_until`` (R1). No section: all; no order set: all items.
    """

    __tablename__ = "authorization_grant"
    __table_args__ = (
        Index("ix_authorization_grant_user", "tenant_id", "user_id"),
        tenant_fk("user_id", "app_user"),
        tenant_fk("section_id", "section"),
        tenant_fk("order_set_id", "order_set"),
    )
    user_id: Mapped[int] = mapped_column(BigInteger)
    function: Mapped[str]
    section_id: Mapped[int | None] = mapped_column(BigInteger)
    order_set_id: Mapped[int | None] = mapped_column(BigInteger)
    first: Mapped[date] = mapped_column(Date)
    until: Mapped[date] = mapped_column(Date)
    competency_until: Mapped[date] = mapped_column(Date)
    licence_until: Mapped[date] = mapped_column(Date)
    state: Mapped[str] = mapped_column(default="active", server_default="active")
    reason: Mapped[str] = mapped_column(default="", server_default="")
    granted_by: Mapped[int | None] = mapped_column(BigInteger)
    granted_at: Mapped[datetime]
