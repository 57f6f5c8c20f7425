"""Tables of the shift's start and end: hand-over notes with their two signatures, and the day log."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Date, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class HandoverNote(Versioned, TenantTable, Base):
    """交班记录 of a section; one at a time is open. ``figures``: what was open when the text was written from it; ``given_figures``: when
    it was signed. ``content_sha256`` is what both signatures cover."""

    __tablename__ = "handover_note"
    __table_args__ = (
        Index("uq_handover_note_open", "tenant_id", "section_id", unique=True, postgresql_where=text("state <> 'received'")),
        Index("ix_handover_note_section", "tenant_id", "section_id", "id"),
        tenant_fk("section_id", "section"),
    )
    section_id: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="writing", server_default="writing")
    opened_at: Mapped[datetime]
    text: Mapped[str] = mapped_column(default="", server_default="")
    written_at: Mapped[datetime]
    writer: Mapped[str]
    figures: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    giver_id: Mapped[int | None] = mapped_column(BigInteger)
    giver: Mapped[str] = mapped_column(default="", server_default="")
    given_at: Mapped[datetime | None]
    given_figures: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    content_sha256: Mapped[str] = mapped_column(default="", server_default="")
    receiver_id: Mapped[int | None] = mapped_column(BigInteger)
    receiver: Mapped[str] = mapped_column(default="", server_default="")
    received_at: Mapped[datetime | None]
    remark: Mapped[str] = mapped_column(default="", server_default="")


class DayEntry(TenantTable, Base):
    """An entry of a section's day log; taken back with a reason, never removed."""

    __tablename__ = "day_entry"
    __table_args__ = (Index("ix_day_entry_day", "tenant_id", "section_id", "day", "id"), tenant_fk("section_id", "section"))
    section_id: Mapped[int] = mapped_column(BigInteger)
    day: Mapped[date] = mapped_column(Date)
    at: Mapped[datetime]
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    by_name: Mapped[str]
    kind: Mapped[str]
    words: Mapped[str]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str] = mapped_column(default="", server_default="")
    withdrawn_why: Mapped[str] = mapped_column(default="", server_default="")
