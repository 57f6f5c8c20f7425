"""Tables of tubes: identity, place and fitness at every minute."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class Specimen(Versioned, TenantTable, Base):
    """标本: one tube with one barcode, never reused."""

    __tablename__ = "specimen"
    __table_args__ = (
        UniqueConstraint("tenant_id", "barcode"),
        UniqueConstraint("tenant_id", "section_id", "sample_day", "sample_no"),
        Index("ix_specimen_state", "tenant_id", "section_id", "state", "id"),
        # A month of tubes is read, not all; the day's tubes lie together, so that a summary of the blocks does.
        Index(
            "ix_specimen_received",
            "received_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
        ),
        Index("ix_specimen_parent", "tenant_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        Index("ix_specimen_on_the_way", "tenant_id", "id", postgresql_where=text("state IN ('collected','sent','arrived')")),
        tenant_fk("patient_id", "patient"),
        tenant_fk("visit_id", "visit"),
        tenant_fk("specimen_type_id", "specimen_type"),
        tenant_fk("container_id", "container"),
        tenant_fk("section_id", "section"),
        tenant_fk("parent_id", "specimen"),
    )
    barcode: Mapped[str]
    patient_id: Mapped[int] = mapped_column(BigInteger, index=True)
    visit_id: Mapped[int | None] = mapped_column(BigInteger)
    specimen_type_id: Mapped[int] = mapped_column(BigInteger)
    container_id: Mapped[int] = mapped_column(BigInteger)
    section_id: Mapped[int] = mapped_column(BigInteger)
    parent_id: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="planned", server_default="planned")
    priority: Mapped[str] = mapped_column(default="routine", server_default="routine")
    volume_ml: Mapped[Decimal]
    tube_k: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    tube_n: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    sample_no: Mapped[str | None]
    sample_day: Mapped[date | None] = mapped_column(Date)
    labelled_at: Mapped[datetime | None]
    collected_at: Mapped[datetime | None]
    collector_id: Mapped[int | None] = mapped_column(BigInteger)
    received_at: Mapped[datetime | None]
    receiver_id: Mapped[int | None] = mapped_column(BigInteger)
    caveat: Mapped[str] = mapped_column(default="", server_default="")
    issues: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """What the receiver saw on it (``rules.Issue``)."""
    label_prints: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    prep: Mapped[str] = mapped_column(default="", server_default="")
    """What its label was printed under (``rules.Prep``)."""


class SpecimenEvent(TenantTable, Base):
    """What happened to a tube, when, by whom, where (closed loop)."""

    __tablename__ = "specimen_event"
    __table_args__ = (
        Index("ix_specimen_event_specimen", "tenant_id", "specimen_id", "id"),
        Index("ix_specimen_event_counted", "tenant_id", "kind", "at", postgresql_where=text("kind IN ('conditional','lost')")),
        tenant_fk("specimen_id", "specimen"),
    )
    specimen_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    at: Mapped[datetime]
    actor: Mapped[str]
    place: Mapped[str] = mapped_column(default="", server_default="")
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


class TubePosition(TenantTable, Base):
    """Where a track line saw a tube last. ``specimen_id`` is empty for a code nobody knows; ``at``: the line's clock or the agent's;
    ``noted_at``: ours, which the list goes by."""

    __tablename__ = "tube_position"
    __table_args__ = (
        UniqueConstraint("tenant_id", "code"),
        Index("ix_tube_position_noted", "tenant_id", "noted_at"),
        Index("ix_tube_position_error", "tenant_id", "id", postgresql_where=text("step = 'error'")),
        tenant_fk("specimen_id", "specimen"),
    )
    code: Mapped[str]
    specimen_id: Mapped[int | None] = mapped_column(BigInteger)
    step: Mapped[str]
    said: Mapped[str] = mapped_column(default="", server_default="")
    place: Mapped[str] = mapped_column(default="", server_default="")
    device: Mapped[str]
    at: Mapped[datetime]
    noted_at: Mapped[datetime]


class SpecimenCounter(TenantTable, Base):
    """Counters of barcodes (key ``barcode:<site>``) and sample numbers (key ``sample:<section>``), a row a day."""

    __tablename__ = "specimen_counter"
    __table_args__ = (UniqueConstraint("tenant_id", "key", "day"),)
    key: Mapped[str]
    day: Mapped[date] = mapped_column(Date)
    last: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class Rejection(TenantTable, Base):
    """拒收: why, by whom, who was told, and the recollection it asks for."""

    __tablename__ = "rejection"
    __table_args__ = (
        Index("ix_rejection_unread", "tenant_id", "id", postgresql_where=text("ward_read_at IS NULL")),
        Index("ix_rejection_at", "tenant_id", "at"),
        tenant_fk("specimen_id", "specimen"),
        tenant_fk("reason_id", "reject_reason"),
    )
    specimen_id: Mapped[int] = mapped_column(BigInteger, index=True)
    reason_id: Mapped[int] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(default="", server_default="")
    at: Mapped[datetime]
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    ward_read_at: Mapped[datetime | None]
    ward_read_by: Mapped[str | None]


class RejectionItem(TenantTable, Base):
    """What a rejected tube was for: the requests whose recollection is followed to its end."""

    __tablename__ = "rejection_item"
    __table_args__ = (
        UniqueConstraint("tenant_id", "rejection_id", "order_item_id"),
        Index("ix_rejection_item_item", "tenant_id", "order_item_id"),
        tenant_fk("rejection_id", "rejection"),
        tenant_fk("order_item_id", "order_item"),
    )
    rejection_id: Mapped[int] = mapped_column(BigInteger)
    order_item_id: Mapped[int] = mapped_column(BigInteger)


class Referral(Versioned, TenantTable, Base):
    """外送: a tube sent to another laboratory under a contract, until its report is back. One open at a time."""

    __tablename__ = "referral"
    __table_args__ = (
        Index("uq_referral_open", "tenant_id", "specimen_id", unique=True, postgresql_where=text("returned_at IS NULL")),
        Index("ix_referral_sent", "tenant_id", "sent_at"),
        tenant_fk("specimen_id", "specimen"),
    )
    specimen_id: Mapped[int] = mapped_column(BigInteger)
    lab: Mapped[str]
    contract: Mapped[str] = mapped_column(default="", server_default="")
    courier: Mapped[str] = mapped_column(default="", server_default="")
    due: Mapped[date] = mapped_column(Date)
    sent_at: Mapped[datetime]
    sent_by: Mapped[str]
    returned_at: Mapped[datetime | None]
    returned_by: Mapped[str] = mapped_column(default="", server_default="")
    outcome: Mapped[str] = mapped_column(default="", server_default="")


class StrayTube(TenantTable, Base):
    """无主标本: a scanned code nobody knows, put aside on purpose; closed when somebody found out whose it is."""

    __tablename__ = "stray_tube"
    __table_args__ = (Index("ix_stray_tube_open", "tenant_id", "id", postgresql_where=text("closed_at IS NULL")),)
    code: Mapped[str]
    note: Mapped[str] = mapped_column(default="", server_default="")
    at: Mapped[datetime]
    actor: Mapped[str]
    place: Mapped[str] = mapped_column(default="", server_default="")
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    outcome: Mapped[str] = mapped_column(default="", server_default="")


class LabelJob(TenantTable, Base):
    """Labels to print: the documents, and what the worker made of them (PDF and ZPL). Deleted after a day."""

    __tablename__ = "label_job"
    __table_args__ = (Index("ix_label_job_at", "tenant_id", "at"),)
    at: Mapped[datetime]
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    documents: Mapped[list[Any]]
    pdf: Mapped[bytes | None] = mapped_column(LargeBinary)
    zpl: Mapped[bytes | None] = mapped_column(LargeBinary)
    error: Mapped[str | None]


class SpecimenBag(Versioned, TenantTable, Base):
    """一袋标本 on its way from a ward to the laboratory; a bag's printed code is used again once it is closed."""

    __tablename__ = "specimen_bag"
    __table_args__ = (
        Index("ix_specimen_bag_open", "tenant_id", "code", unique=True, postgresql_where=text("state <> 'closed'")),
        Index("ix_specimen_bag_closed", "tenant_id", "closed_at"),
    )
    code: Mapped[str]
    origin: Mapped[str] = mapped_column(default="", server_default="")
    destination: Mapped[str] = mapped_column(default="", server_default="")
    courier: Mapped[str] = mapped_column(default="", server_default="")
    state: Mapped[str] = mapped_column(default="packing", server_default="packing")
    packed_by: Mapped[str]
    packed_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str] = mapped_column(default="", server_default="")
    note: Mapped[str] = mapped_column(default="", server_default="")
    # The temperature logger that travels with it, and what it showed when the bag was opened, in °C.
    logger_no: Mapped[str] = mapped_column(default="", server_default="")
    temp_low: Mapped[Decimal | None]
    temp_high: Mapped[Decimal | None]
    temp_by: Mapped[str] = mapped_column(default="", server_default="")
    # [moment, °C] as text, of the way only: from the logger's file.
    temp_curve: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")


class BagTube(TenantTable, Base):
    """A code of a bag: ``listed`` by the ward, or found in it only (then too many); when the desk scanned it."""

    __tablename__ = "bag_tube"
    __table_args__ = (
        UniqueConstraint("tenant_id", "bag_id", "code"),
        Index("ix_bag_tube_code", "tenant_id", "code"),
        tenant_fk("bag_id", "specimen_bag"),
        tenant_fk("specimen_id", "specimen"),
    )
    bag_id: Mapped[int] = mapped_column(BigInteger)
    code: Mapped[str]
    specimen_id: Mapped[int | None] = mapped_column(BigInteger)
    listed: Mapped[bool] = mapped_column(Boolean)
    scanned_at: Mapped[datetime | None]
    scanned_by: Mapped[str] = mapped_column(default="", server_default="")
