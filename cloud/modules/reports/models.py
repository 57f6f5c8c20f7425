"""Tables of reports: versions that were told, who looked, who must be told."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class Report(Versioned, TenantTable, Base):
    """报告单 of one tube: draft → tested → released → amended | recalled; between them preliminary, when a part is told before the rest."""

    __tablename__ = "report"
    __table_args__ = (
        UniqueConstraint("tenant_id", "no"),
        UniqueConstraint("tenant_id", "specimen_id"),
        Index("ix_report_state", "tenant_id", "section_id", "state", "id"),
        Index(
            "ix_report_cocheck", "tenant_id", "section_id", "id", postgresql_where=text("cocheck_due IS NOT NULL AND cochecked_at IS NULL")
        ),
        Index("ix_report_patient", "tenant_id", "patient_id", "released_at"),
        Index("ix_report_ward", "tenant_id", "ward", text("released_at DESC"), postgresql_where=text("released_at IS NOT NULL")),
        Index("ix_report_dept", "tenant_id", "dept", text("released_at DESC"), postgresql_where=text("released_at IS NOT NULL")),
        tenant_fk("specimen_id", "specimen"),
        tenant_fk("patient_id", "patient"),
        tenant_fk("section_id", "section"),
        tenant_fk("order_id", "lab_order"),
    )
    # Given at release, so that a withdrawn draft leaves no gap among the numbers that were told.
    no: Mapped[str | None]
    specimen_id: Mapped[int] = mapped_column(BigInteger)
    patient_id: Mapped[int] = mapped_column(BigInteger)
    section_id: Mapped[int] = mapped_column(BigInteger)
    order_id: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="draft", server_default="draft")
    current_no: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    # What the tester saw: hash over (test, version) of the tube; a release of anything else is refused.
    basis: Mapped[str] = mapped_column(default="", server_default="")
    urgent: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    dept: Mapped[str] = mapped_column(default="", server_default="")
    ward: Mapped[str] = mapped_column(default="", server_default="")
    n_abnormal: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    n_critical: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    tester_id: Mapped[int | None] = mapped_column(BigInteger)
    tested_at: Mapped[datetime | None]
    verifier_id: Mapped[int | None] = mapped_column(BigInteger)
    released_at: Mapped[datetime | None]
    # Released by a rule set (自动审核); ``verifier_id`` is who answered for it on duty.
    auto: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    # The review that stands is of a part: what leaves by it is a preliminary report.
    partial: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    # Released by its own tester on solo duty: a second person looks within 24 h (R1).
    cocheck_due: Mapped[datetime | None]
    cochecked_by: Mapped[int | None] = mapped_column(BigInteger)
    cochecked_at: Mapped[datetime | None]


class ReportVersion(TenantTable, Base):
    """What was told, frozen: the canonical document, its hash, and the PDF rendered once from it."""

    __tablename__ = "report_version"
    __table_args__ = (
        UniqueConstraint("tenant_id", "report_id", "version_no"),
        # Figures of a month read a month: rows come in the order of their release, so a few pages of summaries tell where to look.
        Index(
            "ix_report_version_released",
            "released_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
        ),
        Index("ix_report_version_recalled", "tenant_id", "recalled_at", postgresql_where=text("recalled_at IS NOT NULL")),
        tenant_fk("report_id", "report"),
    )
    report_id: Mapped[int] = mapped_column(BigInteger)
    version_no: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(default="current", server_default="current")
    # 预报告: not all of the tube's items; a later version supersedes it.
    preliminary: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    document: Mapped[dict[str, Any]]
    content_sha256: Mapped[str]
    template_version: Mapped[str]
    pdf_key: Mapped[str | None]
    pdf_sha256: Mapped[str | None]
    rendered_at: Mapped[datetime | None]
    render_error: Mapped[str | None]
    reason_class: Mapped[str | None]
    reason_text: Mapped[str | None]
    released_at: Mapped[datetime]
    released_by: Mapped[int | None] = mapped_column(BigInteger)
    recalled_at: Mapped[datetime | None]
    recalled_by: Mapped[str] = mapped_column(default="", server_default="")
    recall_reason: Mapped[str] = mapped_column(default="", server_default="")


class ReportView(TenantTable, Base):
    """ViewReceipt / PrintLog: who saw or printed which version, when."""

    __tablename__ = "report_view"
    __table_args__ = (Index("ix_report_view_report", "tenant_id", "report_id", "id"), tenant_fk("report_id", "report"))
    report_id: Mapped[int] = mapped_column(BigInteger)
    version_no: Mapped[int] = mapped_column(Integer)
    user_id: Mapped[int | None] = mapped_column(BigInteger)
    viewer: Mapped[str]
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(default="view", server_default="view")


class ReportCounter(TenantTable, Base):
    """The last report number of a day."""

    __tablename__ = "report_counter"
    __table_args__ = (UniqueConstraint("tenant_id", "day"),)
    day: Mapped[date] = mapped_column(Date)
    last: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class SoloDuty(TenantTable, Base):
    """Nights flagged before the duty roster carried them (``Duty.alone``): kept as a record, read and written by nothing."""

    __tablename__ = "solo_duty"
    __table_args__ = (
        Index("ix_solo_duty_user", "tenant_id", "user_id", "ends_at"),
        tenant_fk("section_id", "section"),
        tenant_fk("user_id", "app_user"),
    )
    section_id: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[int] = mapped_column(BigInteger)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    granted_by: Mapped[int | None] = mapped_column(BigInteger)


class InfectiousFinding(TenantTable, Base):
    """传染病阳性: one item of a told report whose positive needs a card; ``notify`` A (2 h) or B (24 h), counted from ``told_at``."""

    __tablename__ = "infectious_finding"
    __table_args__ = (
        UniqueConstraint("tenant_id", "report_id", "item_id"),
        Index("ix_infectious_finding_open", "tenant_id", "due_at", postgresql_where=text("carded_at IS NULL AND withdrawn_at IS NULL")),
        tenant_fk("report_id", "report"),
        tenant_fk("patient_id", "patient"),
        tenant_fk("item_id", "test_item"),
    )
    report_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int] = mapped_column(BigInteger)
    patient_id: Mapped[int] = mapped_column(BigInteger)
    item: Mapped[str]
    value_text: Mapped[str]
    notify: Mapped[str]
    told_at: Mapped[datetime]
    due_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    carded_at: Mapped[datetime | None]
    carded_by: Mapped[str] = mapped_column(default="", server_default="")
    card_no: Mapped[str] = mapped_column(default="", server_default="")


class ReportNotice(TenantTable, Base):
    """Somebody who saw or printed an earlier version must learn of the newer one (R4); ``read_at`` is the acknowledgement."""

    __tablename__ = "report_notice"
    __table_args__ = (
        UniqueConstraint("tenant_id", "report_id", "version_no", "user_id"),
        Index("ix_report_notice_user", "tenant_id", "user_id", postgresql_where=text("read_at IS NULL")),
        tenant_fk("report_id", "report"),
        tenant_fk("user_id", "app_user"),
    )
    report_id: Mapped[int] = mapped_column(BigInteger)
    version_no: Mapped[int] = mapped_column(Integer)
    user_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    read_at: Mapped[datetime | None]
    # changed | differs (the final report from the preliminary one that was seen) | final (it is there, and says the same).
    kind: Mapped[str] = mapped_column(default="changed", server_default="changed")
    # [item id, name, before, after] of what differs.
    detail: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    # Told by phone instead of on the screen: by whom of the laboratory, and what was said.
    told_by: Mapped[str] = mapped_column(default="", server_default="")
    told_note: Mapped[str] = mapped_column(default="", server_default="")
