"""Tables of change control: changes of master data, and the checklist of new items."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class CatalogChange(Versioned, TenantTable, Base):
    """One change of master data. ``rows`` = [{id, before, after}, …] in plain values (catalog kinds); ``after`` null retires the row.

    ``items``: codes of the items it touches, for the item's page. ``report``: what the dry run found. ``applied``: ids written.
    """

    __tablename__ = "catalog_change"
    __table_args__ = (
        tenant_fk("section_id", "section"),
        Index("ix_catalog_change_state", "tenant_id", "state", "id"),
        Index("ix_catalog_change_activated", "tenant_id", "activated_at"),
        Index("ix_catalog_change_items", "items", postgresql_using="gin", postgresql_ops={"items": "jsonb_path_ops"}),
    )
    kind: Mapped[str]
    title: Mapped[str]
    section_id: Mapped[int | None] = mapped_column(BigInteger)
    items: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    rows: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(default="draft", server_default="draft")
    reason: Mapped[str]
    ticket: Mapped[str] = mapped_column(default="", server_default="")
    requested_by: Mapped[int | None] = mapped_column(BigInteger)
    requested_name: Mapped[str]
    requested_at: Mapped[datetime]
    report: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    tested_by: Mapped[str] = mapped_column(default="", server_default="")
    tested_at: Mapped[datetime | None]
    section_by: Mapped[int | None] = mapped_column(BigInteger)
    section_name: Mapped[str] = mapped_column(default="", server_default="")
    section_at: Mapped[datetime | None]
    group_by: Mapped[int | None] = mapped_column(BigInteger)
    group_name: Mapped[str] = mapped_column(default="", server_default="")
    group_at: Mapped[datetime | None]
    effective_at: Mapped[datetime | None]
    activated_at: Mapped[datetime | None]
    emergency: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    applied: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    closed_reason: Mapped[str] = mapped_column(default="", server_default="")


class CatalogTrial(TenantTable, Base):
    """A dry run over past reports: its rows as [id, values], the tubes it reads (frozen), how many are done, what was found so far."""

    __tablename__ = "catalog_trial"
    __table_args__ = (Index("ix_catalog_trial_change", "tenant_id", "change_id", "id"), tenant_fk("change_id", "catalog_change"))
    change_id: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str]
    rows: Mapped[list[Any]]
    items: Mapped[list[Any]]
    tubes: Mapped[list[Any]]
    asked: Mapped[int] = mapped_column(Integer)
    total: Mapped[int] = mapped_column(Integer)
    done: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    state: Mapped[str] = mapped_column(default="queued", server_default="queued")
    report: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    error: Mapped[str] = mapped_column(default="", server_default="")
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    by_name: Mapped[str]
    at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class ItemBox(TenantTable, Base):
    """A box of a new item's checklist that a person closed: done, or not applicable with a note."""

    __tablename__ = "item_box"
    __table_args__ = (UniqueConstraint("tenant_id", "item_id", "box"), tenant_fk("item_id", "test_item"))
    item_id: Mapped[int] = mapped_column(BigInteger)
    box: Mapped[str]
    note: Mapped[str]
    by_name: Mapped[str]
    at: Mapped[datetime]


class LimitReview(TenantTable, Base):
    """An item's intervals (``kind`` ri) or critical limits (critical) were looked at and still hold: by whom, on what ground."""

    __tablename__ = "limit_review"
    __table_args__ = (Index("ix_limit_review_item", "tenant_id", "item_id", "kind", "at"), tenant_fk("item_id", "test_item"))
    item_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    at: Mapped[datetime]
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    by_name: Mapped[str]
    note: Mapped[str]
