"""Tables of patients, visits and requests (患者, 就诊, 申请)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class Patient(Versioned, TenantTable, Base):
    """A patient of this hospital. ``birth`` is an instant; ``age_text`` what the HIS sent instead of it."""

    __tablename__ = "patient"
    __table_args__ = (
        UniqueConstraint("tenant_id", "patient_no"),
        Index("ix_patient_name", "tenant_id", text('name COLLATE "C"')),
        Index("ix_patient_pinyin", "tenant_id", text('pinyin COLLATE "C"')),
    )
    patient_no: Mapped[str]
    name: Mapped[str]
    pinyin: Mapped[str] = mapped_column(default="", server_default="")
    sex: Mapped[str] = mapped_column(default="U", server_default="U")
    birth: Mapped[datetime | None]
    age_text: Mapped[str | None]
    phone: Mapped[str | None]
    merged_into: Mapped[int | None] = mapped_column(BigInteger)
    provisional: Mapped[bool] = mapped_column(default=False, server_default="false")


class PatientIdentifier(TenantTable, Base):
    """身份证, 医保, 就诊卡, 电子健康卡, 住院号 … as issued elsewhere."""

    __tablename__ = "patient_identifier"
    __table_args__ = (
        UniqueConstraint("tenant_id", "kind", "value"),
        Index("ix_patient_identifier_value", "tenant_id", "value"),
        tenant_fk("patient_id", "patient"),
    )
    patient_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    value: Mapped[str]


class Visit(Versioned, TenantTable, Base):
    """就诊: outpatient | emergency | inpatient | exam | external | research."""

    __tablename__ = "visit"
    __table_args__ = (UniqueConstraint("tenant_id", "visit_no"), tenant_fk("patient_id", "patient"))
    visit_no: Mapped[str]
    patient_id: Mapped[int] = mapped_column(BigInteger, index=True)
    kind: Mapped[str] = mapped_column(default="outpatient", server_default="outpatient")
    dept: Mapped[str] = mapped_column(default="", server_default="")
    ward: Mapped[str] = mapped_column(default="", server_default="")
    bed: Mapped[str] = mapped_column(default="", server_default="")
    diagnosis: Mapped[str] = mapped_column(default="", server_default="")


class LabOrder(Versioned, TenantTable, Base):
    """申请单: one placer order of one source system."""

    __tablename__ = "lab_order"
    __table_args__ = (
        UniqueConstraint("tenant_id", "source", "placer_no"),
        Index("ix_lab_order_ordered_at", "tenant_id", "ordered_at"),
        tenant_fk("patient_id", "patient"),
        tenant_fk("visit_id", "visit"),
    )
    source: Mapped[str]
    placer_no: Mapped[str]
    patient_id: Mapped[int] = mapped_column(BigInteger, index=True)
    visit_id: Mapped[int | None] = mapped_column(BigInteger)
    doctor: Mapped[str] = mapped_column(default="", server_default="")
    dept: Mapped[str] = mapped_column(default="", server_default="")
    priority: Mapped[str] = mapped_column(default="routine", server_default="routine")
    ordered_at: Mapped[datetime]
    note: Mapped[str] = mapped_column(default="", server_default="")
    created_at: Mapped[datetime]


class OrderItem(Versioned, TenantTable, Base):
    """申请项目. ``order_set_id`` is None while the HIS code is 未对照; the row is kept, never lost."""

    __tablename__ = "order_item"
    __table_args__ = (
        UniqueConstraint("tenant_id", "source", "order_item_no"),
        Index("ix_order_item_status", "tenant_id", "status", "id"),
        tenant_fk("order_id", "lab_order"),
        tenant_fk("order_set_id", "order_set"),
        tenant_fk("specimen_id", "specimen"),
    )
    order_id: Mapped[int] = mapped_column(BigInteger, index=True)
    source: Mapped[str]
    order_item_no: Mapped[str]
    his_code: Mapped[str]
    his_name: Mapped[str] = mapped_column(default="", server_default="")
    order_set_id: Mapped[int | None] = mapped_column(BigInteger)
    charge_state: Mapped[str] = mapped_column(default="unpaid", server_default="unpaid")
    status: Mapped[str] = mapped_column(default="requested", server_default="requested")
    specimen_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
