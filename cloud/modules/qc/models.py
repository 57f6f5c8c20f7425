"""Tables of quality control: material, plan, targets, runs with their points, violations, out-of-control work, month summaries."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class QcMaterial(Versioned, TenantTable, Base):
    """质控品: one lot of one level; ``code`` is what analyzers send in place of a barcode. ``stock`` in uses."""

    __tablename__ = "qc_material"
    __table_args__ = (UniqueConstraint("tenant_id", "code", "lot"),)
    code: Mapped[str]
    name: Mapped[str]
    level: Mapped[int] = mapped_column(Integer)
    lot: Mapped[str]
    maker: Mapped[str] = mapped_column(default="", server_default="")
    expires_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    open_days: Mapped[int | None] = mapped_column(Integer)
    short_life: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    stock: Mapped[int | None] = mapped_column(Integer)
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class QcPlan(Versioned, TenantTable, Base):
    """质控计划 of an item on an analyzer. ``window_hours``: how long a good run holds. TEa, bias and CV goal in percent."""

    __tablename__ = "qc_plan"
    __table_args__ = (
        UniqueConstraint("tenant_id", "analyzer_id", "item_id"),
        tenant_fk("analyzer_id", "analyzer"),
        tenant_fk("item_id", "test_item"),
    )
    analyzer_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int] = mapped_column(BigInteger)
    method: Mapped[str] = mapped_column(default="lj", server_default="lj")
    levels: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    window_hours: Mapped[int] = mapped_column(Integer, default=24, server_default="24")
    rules: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    warnings: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    freeze: Mapped[str] = mapped_column(default="breaks", server_default="breaks")
    tea_percent: Mapped[Decimal | None]
    tea_absolute: Mapped[Decimal | None]
    tea_below: Mapped[Decimal | None]
    bias_percent: Mapped[Decimal | None]
    cv_standard: Mapped[Decimal | None]
    source: Mapped[str] = mapped_column(default="", server_default="")
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    overdue_since: Mapped[datetime | None]


class QcTarget(Versioned, TenantTable, Base):
    """靶值 of a plan's level for one lot. It counts from ``effective_at`` on, once another person has approved it."""

    __tablename__ = "qc_target"
    __table_args__ = (
        Index("ix_qc_target_plan", "tenant_id", "plan_id", "level", "id"),
        tenant_fk("plan_id", "qc_plan"),
        tenant_fk("material_id", "qc_material"),
    )
    plan_id: Mapped[int] = mapped_column(BigInteger)
    level: Mapped[int] = mapped_column(Integer)
    material_id: Mapped[int] = mapped_column(BigInteger)
    mean: Mapped[Decimal | None]
    sd: Mapped[Decimal | None]
    expected: Mapped[str] = mapped_column(default="", server_default="")
    basis: Mapped[str] = mapped_column(default="maker", server_default="maker")
    n: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    proposed_by: Mapped[int | None] = mapped_column(BigInteger)
    proposed_at: Mapped[datetime]
    approved_by: Mapped[int | None] = mapped_column(BigInteger)
    effective_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(default="", server_default="")


class QcRun(TenantTable, Base):
    """One measurement of the plan's levels together; ``at`` is its first measurement. ``signed_*``: the retest that opened the gate.
    ``history``: verdicts it had before a run that arrived late changed them, each with when and by which runs."""

    __tablename__ = "qc_run"
    __table_args__ = (
        Index("ix_qc_run_plan", "tenant_id", "plan_id", "at"),
        Index("ix_qc_run_good", "tenant_id", "plan_id", "at", postgresql_where=text("state IN ('in_control','warning')")),
        tenant_fk("plan_id", "qc_plan"),
        tenant_fk("ooc_id", "qc_ooc"),
    )
    plan_id: Mapped[int] = mapped_column(BigInteger)
    run_key: Mapped[str | None]
    at: Mapped[datetime]
    state: Mapped[str]
    source: Mapped[str]
    rules: Mapped[str] = mapped_column(default="", server_default="")
    ooc_id: Mapped[int | None] = mapped_column(BigInteger)
    signed_by: Mapped[int | None] = mapped_column(BigInteger)
    signed_at: Mapped[datetime | None]
    history: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")


class QcResult(TenantTable, Base):
    """A point: one level's value in a run. ``frozen``: it took part in a rejection. ``excluded``: the documented cause for which it
    leaves the statistics; it stays on the chart."""

    __tablename__ = "qc_result"
    __table_args__ = (
        Index("ix_qc_result_plan", "tenant_id", "plan_id", "at"),
        Index("ix_qc_result_run", "tenant_id", "run_id"),
        UniqueConstraint("tenant_id", "observation_id"),
        tenant_fk("run_id", "qc_run"),
        tenant_fk("plan_id", "qc_plan"),
        tenant_fk("material_id", "qc_material"),
        tenant_fk("target_id", "qc_target"),
    )
    run_id: Mapped[int] = mapped_column(BigInteger)
    plan_id: Mapped[int] = mapped_column(BigInteger)
    level: Mapped[int] = mapped_column(Integer)
    material_id: Mapped[int] = mapped_column(BigInteger)
    target_id: Mapped[int | None] = mapped_column(BigInteger)
    raw_text: Mapped[str]
    value: Mapped[Decimal | None]
    z: Mapped[Decimal | None]
    at: Mapped[datetime]
    received_at: Mapped[datetime]
    operator_id: Mapped[int | None] = mapped_column(BigInteger)
    operator: Mapped[str] = mapped_column(default="", server_default="")
    reagent_lot: Mapped[str] = mapped_column(default="", server_default="")
    calibration: Mapped[str] = mapped_column(default="", server_default="")
    note: Mapped[str] = mapped_column(default="", server_default="")
    observation_id: Mapped[int | None] = mapped_column(BigInteger)
    frozen: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    rejected: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    excluded: Mapped[str] = mapped_column(default="", server_default="")


class QcViolation(TenantTable, Base):
    """A broken rule of a run, with the points (result ids) that broke it. ``ended_at``: when a run that arrived late showed that
    it was not broken."""

    __tablename__ = "qc_violation"
    __table_args__ = (Index("ix_qc_violation_plan", "tenant_id", "plan_id", "at"), tenant_fk("run_id", "qc_run"))
    run_id: Mapped[int] = mapped_column(BigInteger)
    plan_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    rule: Mapped[str]
    scope: Mapped[str]
    level: Mapped[int | None] = mapped_column(Integer)
    severity: Mapped[str]
    points: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    ended_at: Mapped[datetime | None]


class QcOoc(Versioned, TenantTable, Base):
    """失控处理. Results run in [rejected_at, retest_at) need a person's decision, those since ``suspect_from`` while it is open;
    the gate is closed until ``verified_at``."""

    __tablename__ = "qc_ooc"
    __table_args__ = (
        Index("ix_qc_ooc_plan", "tenant_id", "plan_id", "rejected_at"),
        Index("ix_qc_ooc_open", "tenant_id", "plan_id", unique=True, postgresql_where=text("verified_at IS NULL")),
        Index("ix_qc_ooc_state", "tenant_id", "state", "id"),
        tenant_fk("plan_id", "qc_plan"),
    )
    plan_id: Mapped[int] = mapped_column(BigInteger)
    run_id: Mapped[int] = mapped_column(BigInteger)
    rules: Mapped[str]
    state: Mapped[str] = mapped_column(default="open", server_default="open")
    suspect_from: Mapped[datetime | None]
    rejected_at: Mapped[datetime]
    opened_at: Mapped[datetime]
    cause_class: Mapped[str] = mapped_column(default="", server_default="")
    cause: Mapped[str] = mapped_column(default="", server_default="")
    action: Mapped[str] = mapped_column(default="", server_default="")
    corrected_by: Mapped[int | None] = mapped_column(BigInteger)
    corrected_at: Mapped[datetime | None]
    retest_run_id: Mapped[int | None] = mapped_column(BigInteger)
    retest_at: Mapped[datetime | None]
    verified_by: Mapped[int | None] = mapped_column(BigInteger)
    verified_at: Mapped[datetime | None]
    closed_by: Mapped[int | None] = mapped_column(BigInteger)
    closed_at: Mapped[datetime | None]
    conclusion: Mapped[str] = mapped_column(default="", server_default="")


class QcImpact(TenantTable, Base):
    """A patient result of the doubtful time: what was decided, and what measuring it again gave."""

    __tablename__ = "qc_impact"
    __table_args__ = (
        UniqueConstraint("tenant_id", "ooc_id", "result_id"),
        Index("ix_qc_impact_result", "tenant_id", "result_id"),
        tenant_fk("ooc_id", "qc_ooc"),
        tenant_fk("result_id", "result_version"),
    )
    ooc_id: Mapped[int] = mapped_column(BigInteger)
    result_id: Mapped[int] = mapped_column(BigInteger)
    decision: Mapped[str] = mapped_column(default="", server_default="")
    again: Mapped[Decimal | None]
    exceeds: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    by_name: Mapped[str] = mapped_column(default="", server_default="")
    at: Mapped[datetime]


class QcBypass(TenantTable, Base):
    """临时放行: the director lets results leave although the gate is closed, at most four hours."""

    __tablename__ = "qc_bypass"
    __table_args__ = (Index("ix_qc_bypass_plan", "tenant_id", "plan_id", "until_at"), tenant_fk("plan_id", "qc_plan"))
    plan_id: Mapped[int] = mapped_column(BigInteger)
    from_at: Mapped[datetime]
    until_at: Mapped[datetime]
    reason: Mapped[str]
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    by_name: Mapped[str]


class QcNote(TenantTable, Base):
    """Something that happened to an analyzer and shows on its charts: a lot change, a calibration, a maintenance."""

    __tablename__ = "qc_note"
    __table_args__ = (Index("ix_qc_note_analyzer", "tenant_id", "analyzer_id", "at"), tenant_fk("analyzer_id", "analyzer"))
    analyzer_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime]
    kind: Mapped[str]
    text: Mapped[str]
    by_name: Mapped[str]


class QcMonth(Versioned, TenantTable, Base):
    """月总结 of one level of a plan: raw, in-control and cumulative statistics as they were when drafted; signed once."""

    __tablename__ = "qc_month"
    __table_args__ = (UniqueConstraint("tenant_id", "plan_id", "level", "material_id", "month"), tenant_fk("plan_id", "qc_plan"))
    plan_id: Mapped[int] = mapped_column(BigInteger)
    level: Mapped[int] = mapped_column(Integer)
    material_id: Mapped[int] = mapped_column(BigInteger)
    month: Mapped[date] = mapped_column(Date)
    data: Mapped[dict[str, Any]]
    comment: Mapped[str] = mapped_column(default="", server_default="")
    drafted_at: Mapped[datetime]
    signed_by: Mapped[int | None] = mapped_column(BigInteger)
    signed_name: Mapped[str] = mapped_column(default="", server_default="")
    signed_at: Mapped[datetime | None]


class QcMoving(Versioned, TenantTable, Base):
    """Patient-based control of a plan's item and analyzer (moving.Setting)."""

    __tablename__ = "qc_moving"
    __table_args__ = (UniqueConstraint("tenant_id", "plan_id"), tenant_fk("plan_id", "qc_plan"))
    plan_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    size: Mapped[int] = mapped_column(Integer, default=20, server_default="20")
    weight: Mapped[Decimal] = mapped_column(default=Decimal("0.1"), server_default="0.1")
    start: Mapped[Decimal | None]
    trunc_low: Mapped[Decimal | None]
    trunc_high: Mapped[Decimal | None]
    low: Mapped[Decimal]
    high: Mapped[Decimal]
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class QcMovingPoint(TenantTable, Base):
    """The smoothed patient value at the end of an hour; ``n`` patients of that hour."""

    __tablename__ = "qc_moving_point"
    __table_args__ = (UniqueConstraint("tenant_id", "plan_id", "hour"), tenant_fk("plan_id", "qc_plan"))
    plan_id: Mapped[int] = mapped_column(BigInteger)
    hour: Mapped[datetime]
    n: Mapped[int] = mapped_column(Integer)
    value: Mapped[Decimal | None]
    out: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")


class QcRobot(Versioned, TenantTable, Base):
    """企业微信群机器人 that hears of rejections: of one section, or (None) of all. Its address is a secret."""

    __tablename__ = "qc_robot"
    __table_args__ = (tenant_fk("section_id", "section"),)
    name: Mapped[str]
    section_id: Mapped[int | None] = mapped_column(BigInteger)
    url_sealed: Mapped[bytes]
    made_at: Mapped[datetime]
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class QcNotice(TenantTable, Base):
    """One message to one group about one rejected run: waits until ``sent_at``, or until it was given up (``ended_at``)."""

    __tablename__ = "qc_notice"
    __table_args__ = (
        UniqueConstraint("tenant_id", "robot_id", "run_id"),
        Index("ix_qc_notice_due", "tenant_id", "next_at", postgresql_where=text("sent_at IS NULL AND ended_at IS NULL")),
        tenant_fk("robot_id", "qc_robot"),
        tenant_fk("run_id", "qc_run"),
    )
    robot_id: Mapped[int] = mapped_column(BigInteger)
    run_id: Mapped[int] = mapped_column(BigInteger)
    words: Mapped[str]
    made_at: Mapped[datetime]
    next_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    problem: Mapped[str] = mapped_column(default="", server_default="")
    sent_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
