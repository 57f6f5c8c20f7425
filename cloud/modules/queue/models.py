"""Tables of the queue: windows, tickets, calls, number blocks for kiosks."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, Index, Integer, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class QueueWindow(Versioned, TenantTable, Base):
    """采血窗口."""

    __tablename__ = "queue_window"
    __table_args__ = (UniqueConstraint("tenant_id", "hall", "no"),)
    hall: Mapped[str]
    no: Mapped[int] = mapped_column(Integer)
    services: Mapped[list[Any]] = mapped_column(default=lambda: ["blood"], server_default='["blood"]')
    state: Mapped[str] = mapped_column(default="closed", server_default="closed")
    operator_id: Mapped[int | None] = mapped_column(BigInteger)
    priority_run: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class QueueTicket(Versioned, TenantTable, Base):
    """号票: class E 急 · P 优先 · A 预约 · N 普通; ``ticket_key`` is the kiosk's own id of it (idempotency).

    ``place`` orders a ticket that came back after being passed among those of the same ``eff_at`` (rules.Waiting).
    """

    __tablename__ = "queue_ticket"
    __table_args__ = (
        UniqueConstraint("tenant_id", "ticket_key"),
        UniqueConstraint("tenant_id", "hall", "day", "no"),
        Index("ix_queue_ticket_waiting", "tenant_id", "hall", "day", "state"),
        tenant_fk("patient_id", "patient"),
        tenant_fk("window_id", "queue_window"),
    )
    ticket_key: Mapped[str]
    hall: Mapped[str]
    day: Mapped[date] = mapped_column(Date)
    no: Mapped[str]
    seq: Mapped[int] = mapped_column(Integer)
    klass: Mapped[str] = mapped_column(default="N", server_default="N")
    service: Mapped[str] = mapped_column(default="blood", server_default="blood")
    state: Mapped[str] = mapped_column(default="waiting", server_default="waiting")
    patient_id: Mapped[int | None] = mapped_column(BigInteger)
    visit_no: Mapped[str | None]
    card_text: Mapped[str] = mapped_column(default="", server_default="")
    checkin_at: Mapped[datetime]
    eff_at: Mapped[datetime]
    place: Mapped[Decimal | None]
    slot: Mapped[datetime | None]
    operator_id: Mapped[int | None] = mapped_column(BigInteger)
    window_id: Mapped[int | None] = mapped_column(BigInteger)
    called_at: Mapped[datetime | None]
    calls: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    pass_count: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    serving_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    offline: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    answers: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


class QueueCounter(TenantTable, Base):
    """The last number given, a row a hall, day and prefix; monotonic whatever the clock does."""

    __tablename__ = "queue_counter"
    __table_args__ = (UniqueConstraint("tenant_id", "hall", "day", "prefix"),)
    hall: Mapped[str]
    day: Mapped[date] = mapped_column(Date)
    prefix: Mapped[str]
    last: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    consecutive_p: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class NumberLease(TenantTable, Base):
    """A block of numbers reserved for one kiosk, to go on without the cloud (M04 R11).

    ``confirmed`` once the kiosk has named it as kept; a block it never named is offered again instead of a new one.
    """

    __tablename__ = "number_lease"
    __table_args__ = (UniqueConstraint("tenant_id", "hall", "day", "first"),)
    hall: Mapped[str]
    day: Mapped[date] = mapped_column(Date)
    kiosk: Mapped[str]
    first: Mapped[int] = mapped_column(Integer)
    last: Mapped[int] = mapped_column(Integer)
    confirmed: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")


class TicketJob(TenantTable, Base):
    """A ticket to print again at the guide's desk: the document, and what the worker made of it. Deleted after a day."""

    __tablename__ = "ticket_job"
    __table_args__ = (Index("ix_ticket_job_at", "tenant_id", "at"),)
    at: Mapped[datetime]
    document: Mapped[dict[str, Any]]
    pdf: Mapped[bytes | None] = mapped_column(LargeBinary)
    escpos: Mapped[bytes | None] = mapped_column(LargeBinary)
    error: Mapped[str | None]
