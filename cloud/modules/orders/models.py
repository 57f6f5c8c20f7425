"""Tables of patients, visits and requests (患者, 就诊, 申请)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk
from cloud.modules.orders.rules import PERFORMED

_PERFORMED = ", ".join(f"'{status}'" for status in sorted(PERFORMED))
UNCHARGED = (
    f"""{{i}}status IN ({_PERFORMED}) AND ({{i}}charge_state = 'refunded' OR {{i}}charge_state = 'unpaid' AND {{i}}charged_at IS NULL)"""
)
"""Examined, and nobody paid or posted it: the few that may be missing charges (``rules.leak`` decides)."""


class Patient(Versioned, TenantTable, Base):
    """A patient of this hospital. ``birth`` is an instant; ``age_text`` what the HIS sent instead of it.

    ``pinyin`` is the whole name (zhangsan), ``initials`` its 拼音码 (zs), both for searching. ``merged_into``: the record this one is
    read together with (M03 R7); every request, tube and result stays under the record it came for.
    """

    __tablename__ = "patient"
    __table_args__ = (
        UniqueConstraint("tenant_id", "patient_no"),
        Index("ix_patient_name", "tenant_id", text('name COLLATE "C"')),
        Index("ix_patient_pinyin", "tenant_id", text('pinyin COLLATE "C"')),
        Index("ix_patient_initials", "tenant_id", text('initials COLLATE "C"')),
        Index("ix_patient_phone", "tenant_id", "phone_key", postgresql_where=text("phone_key IS NOT NULL")),
        Index("ix_patient_merged", "tenant_id", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
    )
    patient_no: Mapped[str]
    name: Mapped[str]
    pinyin: Mapped[str] = mapped_column(default="", server_default="")
    initials: Mapped[str] = mapped_column(default="", server_default="")
    sex: Mapped[str] = mapped_column(default="U", server_default="U")
    birth: Mapped[datetime | None]
    age_text: Mapped[str | None]
    # Sealed since 0031, with a keyed hash to search by; ``phone`` holds what an earlier release wrote until a job seals it.
    phone: Mapped[str | None]
    phone_sealed: Mapped[bytes | None]
    phone_key: Mapped[str | None]
    merged_into: Mapped[int | None] = mapped_column(BigInteger)
    provisional: Mapped[bool] = mapped_column(default=False, server_default="false")


class PatientIdentifier(TenantTable, Base):
    """身份证, 医保, 就诊卡, 电子健康卡, 住院号 … as issued elsewhere."""

    __tablename__ = "patient_identifier"
    __table_args__ = (
        UniqueConstraint("tenant_id", "kind", "value"),
        Index("ix_patient_identifier_value", "tenant_id", "value"),
        Index("ix_patient_identifier_patient", "tenant_id", "patient_id"),
        tenant_fk("patient_id", "patient"),
    )
    patient_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    # Of an identity number a keyed hash; the number itself is in ``sealed`` (private.py).
    value: Mapped[str]
    sealed: Mapped[bytes | None]


class PatientMerge(Versioned, TenantTable, Base):
    """合并: two records that may be one person's, what was decided, and what was taken back. A new decision is a new row: the trail.

    ``moved``: records merged into ``other_id`` before, read together with ``keep_id`` since; undoing hands them back.
    """

    __tablename__ = "patient_merge"
    __table_args__ = (
        Index("ix_patient_merge_open", "tenant_id", "state", "id"),
        Index("ix_patient_merge_other", "tenant_id", "other_id"),
        tenant_fk("keep_id", "patient"),
        tenant_fk("other_id", "patient"),
    )
    keep_id: Mapped[int] = mapped_column(BigInteger)
    other_id: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="proposed", server_default="proposed")
    why: Mapped[str] = mapped_column(default="", server_default="")
    proposed_by: Mapped[str]
    proposed_at: Mapped[datetime]
    decided_by: Mapped[str] = mapped_column(default="", server_default="")
    decided_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(default="", server_default="")
    undone_by: Mapped[str] = mapped_column(default="", server_default="")
    undone_at: Mapped[datetime | None]
    undone_why: Mapped[str] = mapped_column(default="", server_default="")
    moved: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")


class Visit(Versioned, TenantTable, Base):
    """就诊: outpatient | emergency | inpatient | exam | external | research."""

    __tablename__ = "visit"
    __table_args__ = (
        UniqueConstraint("tenant_id", "visit_no"),
        Index("ix_visit_patient", "tenant_id", "patient_id"),
        tenant_fk("patient_id", "patient"),
    )
    visit_no: Mapped[str]
    patient_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(default="outpatient", server_default="outpatient")
    dept: Mapped[str] = mapped_column(default="", server_default="")
    ward: Mapped[str] = mapped_column(default="", server_default="")
    bed: Mapped[str] = mapped_column(default="", server_default="")
    diagnosis: Mapped[str] = mapped_column(default="", server_default="")


class LabOrder(Versioned, TenantTable, Base):
    """申请单: one placer order of one source system. ``heard_at``: when the source last said anything about it."""

    __tablename__ = "lab_order"
    __table_args__ = (
        UniqueConstraint("tenant_id", "source", "placer_no"),
        Index("ix_lab_order_placer", "tenant_id", "placer_no"),
        Index("ix_lab_order_ordered_at", "tenant_id", "ordered_at"),
        Index("ix_lab_order_patient", "tenant_id", "patient_id"),
        tenant_fk("patient_id", "patient"),
        tenant_fk("visit_id", "visit"),
    )
    source: Mapped[str]
    placer_no: Mapped[str]
    patient_id: Mapped[int] = mapped_column(BigInteger)
    visit_id: Mapped[int | None] = mapped_column(BigInteger)
    doctor: Mapped[str] = mapped_column(default="", server_default="")
    dept: Mapped[str] = mapped_column(default="", server_default="")
    priority: Mapped[str] = mapped_column(default="routine", server_default="routine")
    ordered_at: Mapped[datetime]
    planned_at: Mapped[datetime | None]
    note: Mapped[str] = mapped_column(default="", server_default="")
    drugs: Mapped[str | None]
    """Drugs that matter to the tests, as the sender said; "" none; None: nothing was said."""
    gest_from: Mapped[date | None]
    """The day the patient's pregnancy is counted from, as this request tells it. Of the request, not of the patient: the same woman's next
    request, after the birth, says nothing of it."""
    fasting: Mapped[bool | None]
    consent: Mapped[bool | None]
    """What the request says of the patient's fasting, and of a signed consent (知情同意); None: nothing."""
    created_at: Mapped[datetime]
    heard_at: Mapped[datetime | None]


class OrderItem(Versioned, TenantTable, Base):
    """申请项目. ``order_set_id`` is None while the HIS code is 未对照; the row is kept, never lost.

    ``hold``: why it does not fit its patient (no label meanwhile), ``hold_cleared``: who let it go and why. ``twin_id``: the request inside
    whose minimum interval this one came (R4); ``outside_id``: another hospital's report that is recognised for it. ``charged_at``: when its
    inpatient charge was posted, once; ``credited_at``: when that was taken back. ``settled``: how a missing charge ended (charged |
    waived), with why and who.
    """

    __tablename__ = "order_item"
    __table_args__ = (
        UniqueConstraint("tenant_id", "source", "order_item_no"),
        Index("ix_order_item_status", "tenant_id", "status", "id"),
        Index("ix_order_item_order", "tenant_id", "order_id"),
        Index("ix_order_item_specimen", "tenant_id", "specimen_id"),
        Index("ix_order_item_unmapped", "tenant_id", "source", "his_code", postgresql_where=text("order_set_id IS NULL")),
        Index("ix_order_item_uncharged", "tenant_id", "status_at", postgresql_where=text(UNCHARGED.format(i=""))),
        Index("ix_order_item_held", "tenant_id", "id", postgresql_where=text("hold <> ''")),
        Index("ix_order_item_twin", "tenant_id", "id", postgresql_where=text("twin_id IS NOT NULL")),
        Index("ix_order_item_outside", "tenant_id", "outside_id", postgresql_where=text("outside_id IS NOT NULL")),
        tenant_fk("order_id", "lab_order"),
        tenant_fk("order_set_id", "order_set"),
        tenant_fk("specimen_id", "specimen"),
    )
    order_id: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str]
    order_item_no: Mapped[str]
    his_code: Mapped[str]
    his_name: Mapped[str] = mapped_column(default="", server_default="")
    order_set_id: Mapped[int | None] = mapped_column(BigInteger)
    charge_state: Mapped[str] = mapped_column(default="unpaid", server_default="unpaid")
    status: Mapped[str] = mapped_column(default="requested", server_default="requested")
    specimen_id: Mapped[int | None] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(default="", server_default="")
    status_at: Mapped[datetime | None]
    hold: Mapped[str] = mapped_column(default="", server_default="")
    hold_cleared: Mapped[str] = mapped_column(default="", server_default="")
    twin_id: Mapped[int | None] = mapped_column(BigInteger)
    outside_id: Mapped[int | None] = mapped_column(BigInteger)
    charged_at: Mapped[datetime | None]
    credited_at: Mapped[datetime | None]
    settled: Mapped[str] = mapped_column(default="", server_default="")
    settled_why: Mapped[str] = mapped_column(default="", server_default="")
    settled_by: Mapped[str] = mapped_column(default="", server_default="")
    settled_at: Mapped[datetime | None]


class OutsideReport(Versioned, TenantTable, Base):
    """外院互认报告 (R4): one item's result of another hospital, with the mark under which it is recognised (HR)."""

    __tablename__ = "outside_report"
    __table_args__ = (
        Index("ix_outside_report_patient", "tenant_id", "patient_id"),
        tenant_fk("patient_id", "patient"),
        tenant_fk("item_id", "test_item"),
    )
    patient_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int] = mapped_column(BigInteger)
    hospital: Mapped[str]
    report_no: Mapped[str] = mapped_column(default="", server_default="")
    mark: Mapped[str]
    value: Mapped[str]
    unit: Mapped[str] = mapped_column(default="", server_default="")
    sampled_at: Mapped[datetime]
    entered_by: Mapped[str]
    entered_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str] = mapped_column(default="", server_default="")
    withdrawn_why: Mapped[str] = mapped_column(default="", server_default="")


class RefundRequest(Versioned, TenantTable, Base):
    """退费申请 for a tube the laboratory already has: waits for consent (R3). state: waiting | accepted | refused."""

    __tablename__ = "refund_request"
    __table_args__ = (
        Index("ix_refund_request_state", "tenant_id", "state", "id"),
        Index("uq_refund_request_waiting", "tenant_id", "order_item_id", unique=True, postgresql_where=text("state = 'waiting'")),
        tenant_fk("order_item_id", "order_item"),
    )
    order_item_id: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="waiting", server_default="waiting")
    reason: Mapped[str] = mapped_column(default="", server_default="")
    requested_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    answer: Mapped[str] = mapped_column(default="", server_default="")


class VerbalOrder(Versioned, TenantTable, Base):
    """口头申请 (R5): who called, who took it down and read it back, until when the written request must be here, and that it came."""

    __tablename__ = "verbal_order"
    __table_args__ = (
        UniqueConstraint("tenant_id", "order_id"),
        Index("ix_verbal_order_open", "tenant_id", "deadline", postgresql_where=text("confirmed_at IS NULL")),
        tenant_fk("order_id", "lab_order"),
    )
    order_id: Mapped[int] = mapped_column(BigInteger)
    caller: Mapped[str]
    phone: Mapped[str] = mapped_column(default="", server_default="")
    taken_by: Mapped[str]
    taken_at: Mapped[datetime]
    deadline: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    confirmed_by: Mapped[str] = mapped_column(default="", server_default="")
    written: Mapped[str] = mapped_column(default="", server_default="")


class ParkedCancel(TenantTable, Base):
    """A cancellation that arrived before its order: kept ten minutes, applied when the order comes (M23 bad input)."""

    __tablename__ = "parked_cancel"
    __table_args__ = (UniqueConstraint("tenant_id", "source", "order_item_no"),)
    source: Mapped[str]
    order_item_no: Mapped[str]
    patient_no: Mapped[str]
    reason: Mapped[str] = mapped_column(default="", server_default="")
    at: Mapped[datetime]
