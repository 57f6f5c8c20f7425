"""Tables of critical values (危急值): the record that someone who can act was told."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class CriticalEvent(Versioned, TenantTable, Base):
    """One item of one tube beyond its limit; reruns of the tube count once (M10 R7). Who and where are as they were when found."""

    __tablename__ = "critical_event"
    __table_args__ = (
        UniqueConstraint("tenant_id", "test_id", "round"),
        Index("ix_critical_event_specimen", "tenant_id", "specimen_id"),
        Index("ix_critical_event_state", "tenant_id", "state", "id"),
        Index("ix_critical_event_found", "tenant_id", "found_at"),
        Index("ix_critical_event_repeat", "tenant_id", "patient_id", "item_id", "found_at"),
        # What the clock of every 10 s and the pop-ups of the wards look for.
        Index(
            "ix_critical_event_running",
            "tenant_id",
            "id",
            postgresql_where=text("state NOT IN ('handled','closed','false_alarm','merged')"),
        ),
        tenant_fk("test_id", "test"),
        tenant_fk("patient_id", "patient"),
        tenant_fk("item_id", "test_item"),
        tenant_fk("section_id", "section"),
        tenant_fk("specimen_id", "specimen"),
    )
    test_id: Mapped[int] = mapped_column(BigInteger)
    # 1, and one more when the same tube must be told again: after a false alarm, a turn of direction, much worse.
    round: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    specimen_id: Mapped[int | None] = mapped_column(BigInteger)
    patient_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int | None] = mapped_column(BigInteger)
    section_id: Mapped[int | None] = mapped_column(BigInteger)
    patient_name: Mapped[str] = mapped_column(default="", server_default="")
    patient_no: Mapped[str] = mapped_column(default="", server_default="")
    place: Mapped[str] = mapped_column(default="", server_default="")
    dept: Mapped[str] = mapped_column(default="", server_default="")
    ward: Mapped[str] = mapped_column(default="", server_default="")
    dept_class: Mapped[str] = mapped_column(default="", server_default="")
    urgent: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    barcode: Mapped[str] = mapped_column(default="", server_default="")
    item_name: Mapped[str]
    value_text: Mapped[str]
    value: Mapped[Decimal | None]
    direction: Mapped[str] = mapped_column(default="", server_default="")
    unit: Mapped[str] = mapped_column(default="", server_default="")
    limit_text: Mapped[str]
    # Values of the same tube that came after: [value, time]; they count once with this one.
    reruns: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    minutes: Mapped[int] = mapped_column(Integer, default=15, server_default="15")
    handling: Mapped[str] = mapped_column(default="full", server_default="full")
    repeat_of: Mapped[int | None] = mapped_column(BigInteger)
    # Measured again before anybody is told (R1), or why that cannot be.
    needs_rerun: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    rerun_waived: Mapped[str] = mapped_column(default="", server_default="")
    # The run that found it: its QC and its analyzer's flags stand beside the value.
    analyzer_id: Mapped[int | None] = mapped_column(BigInteger)
    run_at: Mapped[datetime | None]
    alarms: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    state: Mapped[str] = mapped_column(default="detected", server_default="detected")
    found_at: Mapped[datetime]
    n_checks: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    confirmed_at: Mapped[datetime | None]
    confirmed_by: Mapped[int | None] = mapped_column(BigInteger)
    notified_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]
    received_by: Mapped[str | None]
    received_dept: Mapped[str | None]
    received_by_id: Mapped[int | None] = mapped_column(BigInteger)
    readback: Mapped[str | None]
    doctor_name: Mapped[str | None]
    doctor_ack_at: Mapped[datetime | None]
    action_text: Mapped[str | None]
    action_at: Mapped[datetime | None]
    action_by: Mapped[str | None]
    escalation_level: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    reminded_at: Mapped[datetime | None]
    nagged_at: Mapped[datetime | None]
    difficulty: Mapped[str] = mapped_column(default="", server_default="")
    reason: Mapped[str | None]
    closed_at: Mapped[datetime | None]


class CriticalCheck(TenantTable, Base):
    """One of the two looks before anybody is told (R2)."""

    __tablename__ = "critical_check"
    __table_args__ = (UniqueConstraint("tenant_id", "event_id", "no"), tenant_fk("event_id", "critical_event"))
    event_id: Mapped[int] = mapped_column(BigInteger)
    no: Mapped[int] = mapped_column(Integer)
    by_id: Mapped[int] = mapped_column(BigInteger)
    by_name: Mapped[str]
    at: Mapped[datetime]
    value_text: Mapped[str]


class CriticalAttempt(TenantTable, Base):
    """One try to tell somebody, whether it worked or not (AC-CV-4); ``outcome`` says what became of it."""

    __tablename__ = "critical_attempt"
    __table_args__ = (Index("ix_critical_attempt_event", "tenant_id", "event_id", "id"), tenant_fk("event_id", "critical_event"))
    event_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    by_name: Mapped[str]
    channel: Mapped[str]
    receiver: Mapped[str]
    readback: Mapped[str] = mapped_column(default="", server_default="")
    ok: Mapped[bool] = mapped_column(Boolean)
    outcome: Mapped[str] = mapped_column(default="", server_default="")
    level: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    note: Mapped[str] = mapped_column(default="", server_default="")


class CriticalContact(Versioned, TenantTable, Base):
    """Who is called at a level of escalation: 1 a ward's telephone, 2 the chief on duty, 3 总值班; ``place`` empty serves all."""

    __tablename__ = "critical_contact"
    __table_args__ = (UniqueConstraint("tenant_id", "level", "place"),)
    level: Mapped[int] = mapped_column(Integer)
    place: Mapped[str] = mapped_column(default="", server_default="")
    contact: Mapped[str]
    phone: Mapped[str]


class CriticalQuiet(Versioned, TenantTable, Base):
    """A department whose patients live with this item's critical value (血透 Crea): told once a day unless worse (R6)."""

    __tablename__ = "critical_quiet"
    __table_args__ = (UniqueConstraint("tenant_id", "dept", "item_id"), tenant_fk("item_id", "test_item"))
    dept: Mapped[str]
    item_id: Mapped[int] = mapped_column(BigInteger)
    worse_percent: Mapped[Decimal] = mapped_column(default=Decimal(20), server_default="20")


class CriticalRobot(Versioned, TenantTable, Base):
    """企业微信群机器人 that calls for somebody: of one ward or department, or ('') of all. Its address is a secret."""

    __tablename__ = "critical_robot"
    name: Mapped[str]
    place: Mapped[str] = mapped_column(default="", server_default="")
    url_sealed: Mapped[bytes]
    made_at: Mapped[datetime]
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class CriticalNotice(TenantTable, Base):
    """One message to one group about one critical value, at first (``level`` 0) and at each level it went up to."""

    __tablename__ = "critical_notice"
    __table_args__ = (
        UniqueConstraint("tenant_id", "robot_id", "event_id", "level"),
        Index("ix_critical_notice_due", "tenant_id", "next_at", postgresql_where=text("sent_at IS NULL AND ended_at IS NULL")),
        tenant_fk("robot_id", "critical_robot"),
        tenant_fk("event_id", "critical_event"),
    )
    robot_id: Mapped[int] = mapped_column(BigInteger)
    event_id: Mapped[int] = mapped_column(BigInteger)
    level: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    words: Mapped[str]
    made_at: Mapped[datetime]
    next_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    problem: Mapped[str] = mapped_column(default="", server_default="")
    sent_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
