"""Tables of quality management: nonconformities and their steps."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class Nonconformity(Versioned, TenantTable, Base):
    """不符合项: ``source`` and ``subject`` ('report:12/2') open it once; ``url`` is where the matter itself stands."""

    __tablename__ = "nonconformity"
    __table_args__ = (
        UniqueConstraint("tenant_id", "source", "subject"),
        Index("ix_nonconformity_open", "tenant_id", "id", postgresql_where=text("state <> 'closed'")),
        tenant_fk("section_id", "section"),
    )
    source: Mapped[str]
    subject: Mapped[str]
    url: Mapped[str] = mapped_column(default="", server_default="")
    title: Mapped[str]
    description: Mapped[str] = mapped_column(default="", server_default="")
    severity: Mapped[str] = mapped_column(default="major", server_default="major")
    section_id: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="open", server_default="open")
    opened_at: Mapped[datetime]
    opened_by: Mapped[str]
    due: Mapped[date | None] = mapped_column(Date)
    acting_since: Mapped[date | None] = mapped_column(Date)
    closed_at: Mapped[datetime | None]


class NonconformityStep(TenantTable, Base):
    """What was done at one step; never changed afterwards."""

    __tablename__ = "nonconformity_step"
    __table_args__ = (Index("ix_nonconformity_step_nc", "tenant_id", "nc_id", "id"), tenant_fk("nc_id", "nonconformity"))
    nc_id: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str]
    words: Mapped[str]
    by: Mapped[str]
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime]
