"""Tables of the service desk: tickets and their steps."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class Ticket(Versioned, TenantTable, Base):
    """工单. ``notified_at``: when the laboratory was in touch, from which the clock runs; ``solved_at``: when a solution was proposed."""

    __tablename__ = "ticket"
    __table_args__ = (
        Index("ix_ticket_open", "tenant_id", "section_id", "id", postgresql_where=text("state <> 'closed'")),
        Index("ix_ticket_opened_by", "tenant_id", "opened_by", "id", postgresql_where=text("opened_by IS NOT NULL")),
        tenant_fk("opened_by", "app_user"),
        tenant_fk("section_id", "section"),
        tenant_fk("analyzer_id", "analyzer"),
    )
    channel: Mapped[str]
    notified_at: Mapped[datetime]
    typed_at: Mapped[datetime]
    opened_by: Mapped[int | None] = mapped_column(BigInteger)
    late_why: Mapped[str] = mapped_column(default="", server_default="")
    reporter: Mapped[str]
    section_id: Mapped[int | None] = mapped_column(BigInteger)
    analyzer_id: Mapped[int | None] = mapped_column(BigInteger)
    category: Mapped[str]
    severity: Mapped[str]
    title: Mapped[str]
    owner: Mapped[str] = mapped_column(default="", server_default="")
    backup: Mapped[str] = mapped_column(default="", server_default="")
    state: Mapped[str] = mapped_column(default="new", server_default="new")
    due_at: Mapped[datetime]
    solved_at: Mapped[datetime | None]
    root_cause: Mapped[str] = mapped_column(default="", server_default="")
    closed_at: Mapped[datetime | None]


class TicketStep(TenantTable, Base):
    """What was done at one step; never changed afterwards."""

    __tablename__ = "ticket_step"
    __table_args__ = (Index("ix_ticket_step_ticket", "tenant_id", "ticket_id", "id"), tenant_fk("ticket_id", "ticket"))
    ticket_id: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str]
    words: Mapped[str]
    by: Mapped[str]
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime]
