"""Tables of reagents: lots, the items they serve, packs opened on analyzers."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class ReagentLot(Versioned, TenantTable, Base):
    """A lot of one product; ``open_days`` is the stability after opening; usable only when ``available`` and not expired."""

    __tablename__ = "reagent_lot"
    __table_args__ = (UniqueConstraint("tenant_id", "product", "lot_no"),)
    product: Mapped[str]
    lot_no: Mapped[str]
    expiry: Mapped[date] = mapped_column(Date)
    open_days: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(default="quarantine", server_default="quarantine")
    evidence: Mapped[str] = mapped_column(default="", server_default="")
    accepted_by: Mapped[int | None] = mapped_column(BigInteger)
    accepted_at: Mapped[datetime | None]


class ReagentLotItem(TenantTable, Base):
    """Which items a lot serves."""

    __tablename__ = "reagent_lot_item"
    __table_args__ = (
        UniqueConstraint("tenant_id", "lot_id", "item_id"),
        tenant_fk("lot_id", "reagent_lot"),
        tenant_fk("item_id", "test_item"),
    )
    lot_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int] = mapped_column(BigInteger)


class OpenPack(TenantTable, Base):
    """A pack on board of an analyzer, from opening to removal (or the next pack)."""

    __tablename__ = "open_pack"
    __table_args__ = (
        Index("ix_open_pack_analyzer", "tenant_id", "analyzer_id", "opened_at"),
        tenant_fk("lot_id", "reagent_lot"),
        tenant_fk("analyzer_id", "analyzer"),
    )
    lot_id: Mapped[int] = mapped_column(BigInteger)
    analyzer_id: Mapped[int] = mapped_column(BigInteger)
    opened_at: Mapped[datetime]
    opened_by: Mapped[int | None] = mapped_column(BigInteger)
    expires_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
