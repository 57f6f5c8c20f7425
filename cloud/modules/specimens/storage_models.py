"""Tables of the archive: racks, which tube stands where (and stood), and what was discarded by whom."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class StorageRack(Versioned, TenantTable, Base):
    """样本架: ``rows`` lettered from A, ``cols`` counted from 1; ``place`` is fridge and shelf, ``condition`` e.g. 2–8 ℃."""

    __tablename__ = "storage_rack"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str] = mapped_column(default="", server_default="")
    place: Mapped[str] = mapped_column(default="", server_default="")
    condition: Mapped[str] = mapped_column(default="", server_default="")
    rows: Mapped[int] = mapped_column(Integer, default=5, server_default="5")
    cols: Mapped[int] = mapped_column(Integer, default=10, server_default="10")
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class StoredTube(TenantTable, Base):
    """A tube's stay at one position, from 0 row by row; ``taken_at`` ends it. ``keep_until`` None: nobody may propose to discard it."""

    __tablename__ = "stored_tube"
    __table_args__ = (
        Index("uq_stored_tube_slot", "tenant_id", "rack_id", "slot", unique=True, postgresql_where=text("taken_at IS NULL")),
        Index("uq_stored_tube_specimen", "tenant_id", "specimen_id", unique=True, postgresql_where=text("taken_at IS NULL")),
        Index("ix_stored_tube_specimen", "tenant_id", "specimen_id", "id"),
        Index("ix_stored_tube_due", "tenant_id", "keep_until", postgresql_where=text("taken_at IS NULL AND keep_until IS NOT NULL")),
        Index("ix_stored_tube_out", "tenant_id", "taken_at", postgresql_where=text("returns")),
        tenant_fk("specimen_id", "specimen"),
        tenant_fk("rack_id", "storage_rack"),
    )
    specimen_id: Mapped[int] = mapped_column(BigInteger)
    rack_id: Mapped[int] = mapped_column(BigInteger)
    slot: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime]
    by: Mapped[str]
    keep_until: Mapped[datetime | None]
    hold: Mapped[str] = mapped_column(default="", server_default="")
    taken_at: Mapped[datetime | None]
    taken_by: Mapped[str] = mapped_column(default="", server_default="")
    taken_why: Mapped[str] = mapped_column(default="", server_default="")
    returns: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    """Taken out to be put back; false again once it stands somewhere."""


class DiscardBatch(Versioned, TenantTable, Base):
    """销毁单: proposed, signed by the person who took the tubes out, then by a second one; only then are the tubes discarded."""

    __tablename__ = "discard_batch"
    __table_args__ = (Index("ix_discard_batch_state", "tenant_id", "state", "id"),)
    state: Mapped[str] = mapped_column(default="open", server_default="open")
    made_at: Mapped[datetime]
    made_by: Mapped[str]
    first_id: Mapped[int | None] = mapped_column(BigInteger)
    first_by: Mapped[str] = mapped_column(default="", server_default="")
    first_at: Mapped[datetime | None]
    second_id: Mapped[int | None] = mapped_column(BigInteger)
    second_by: Mapped[str] = mapped_column(default="", server_default="")
    second_at: Mapped[datetime | None]
    method: Mapped[str] = mapped_column(default="", server_default="")
    autoclave: Mapped[str] = mapped_column(default="", server_default="")
    note: Mapped[str] = mapped_column(default="", server_default="")


class DiscardLine(TenantTable, Base):
    """A tube of a batch: ``outcome`` waiting, discarded or kept (with why)."""

    __tablename__ = "discard_line"
    __table_args__ = (
        UniqueConstraint("tenant_id", "batch_id", "stored_id"),
        Index("ix_discard_line_stored", "tenant_id", "stored_id"),
        tenant_fk("batch_id", "discard_batch"),
        tenant_fk("stored_id", "stored_tube"),
    )
    batch_id: Mapped[int] = mapped_column(BigInteger)
    stored_id: Mapped[int] = mapped_column(BigInteger)
    outcome: Mapped[str] = mapped_column(default="waiting", server_default="waiting")
    why: Mapped[str] = mapped_column(default="", server_default="")
