"""Tables of the rules a laboratory writes itself: delta, logic, judgement, calculation, autoverification ranges, reflex, HIL, comments.

Every row is ``placeholder`` until a laboratory approved it, and the screens say so. Expressions are texts of ``cloud.expression``.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, Versioned, tenant_fk
from cloud.modules.catalog.models import Counted


class _Rule(Versioned, Counted):
    """What all rules have."""

    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    placeholder: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class DeltaRule(_Rule, Base):
    """差值检查 of an item against its latest released value inside ``window_h`` hours.

    ``kind``: absolute (in the item's unit), percent, rate (unit per ``per``: h or d), percent_rate (% per ``per``), rcv (from ``cva``,
    ``cvi`` in % and ``z``). ``limit_up``/``limit_down``: allowed rise and fall, NULL = that direction is not judged. Rules of one
    ``grouped`` number must all fail, one failing group fails the item. ``not_evaluable``: pass or hold (censored or zero previous value).
    """

    __tablename__ = "delta_rule"
    __table_args__ = (tenant_fk("item_id", "test_item"), tenant_fk("specimen_type_id", "specimen_type"))
    item_id: Mapped[int] = mapped_column(BigInteger, index=True)
    specimen_type_id: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str]
    limit_up: Mapped[Decimal | None]
    limit_down: Mapped[Decimal | None]
    per: Mapped[str] = mapped_column(default="d", server_default="d")
    cva: Mapped[Decimal | None]
    cvi: Mapped[Decimal | None]
    z: Mapped[Decimal] = mapped_column(default=Decimal("1.96"), server_default="1.96")
    window_h: Mapped[int] = mapped_column(Integer, default=168, server_default="168")
    grouped: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    not_evaluable: Mapped[str] = mapped_column(default="pass", server_default="pass")


class LogicRule(_Rule, Base):
    """逻辑规则 across items: ``expression`` true = something is wrong; ``action``: hold, comment, rerun."""

    __tablename__ = "logic_rule"
    __table_args__ = (UniqueConstraint("tenant_id", "code"), tenant_fk("section_id", "section"))
    code: Mapped[str]
    name: Mapped[str]
    section_id: Mapped[int | None] = mapped_column(BigInteger)
    expression: Mapped[str]
    action: Mapped[str] = mapped_column(default="hold", server_default="hold")
    message: Mapped[str] = mapped_column(default="", server_default="")


class JudgeFormula(_Rule, Base):
    """结果判断公式: ``branches`` = [{when, text, flag}, …], first true wins, the last one without ``when`` is the default.

    ``when`` may name ``x`` (the reported value), sex, age.
    """

    __tablename__ = "judge_formula"
    __table_args__ = (UniqueConstraint("tenant_id", "item_id"), tenant_fk("item_id", "test_item"))
    item_id: Mapped[int] = mapped_column(BigInteger)
    branches: Mapped[list[Any]]


class CalcFormula(_Rule, Base):
    """计算项目: ``expression`` over unrounded inputs, rounded last; ``units``: item code → unit the formula was written for (UCUM)."""

    __tablename__ = "calc_formula"
    __table_args__ = (UniqueConstraint("tenant_id", "item_id"), tenant_fk("item_id", "test_item"))
    item_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str]
    expression: Mapped[str]
    units: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    source: Mapped[str] = mapped_column(default="", server_default="")


class AvRange(_Rule, Base):
    """自动审核范围 of an item: its own limits (inclusive), maybe wider than the reference interval, never beyond critical."""

    __tablename__ = "av_range"
    __table_args__ = (tenant_fk("item_id", "test_item"),)
    item_id: Mapped[int] = mapped_column(BigInteger, index=True)
    sex: Mapped[str | None]
    age_low: Mapped[int | None] = mapped_column(Integer)
    age_high: Mapped[int | None] = mapped_column(Integer)
    age_unit: Mapped[str] = mapped_column(default="year", server_default="year")
    low: Mapped[Decimal | None]
    high: Mapped[Decimal | None]


class ReflexRule(_Rule, Base):
    """反射检验: when ``expression`` is true, ``item_id`` is added (``action`` add), proposed (suggest), measured again (repeat), or
    confirmed before anything of it is told (confirm). ``authority``: standing (the requesters agreed beforehand) or ask (a doctor is
    asked each time); ``charge``: charge (by the item's price) or free (waived by the laboratory)."""

    __tablename__ = "reflex_rule"
    __table_args__ = (UniqueConstraint("tenant_id", "code"), tenant_fk("item_id", "test_item"))
    code: Mapped[str]
    name: Mapped[str]
    expression: Mapped[str]
    item_id: Mapped[int] = mapped_column(BigInteger)
    action: Mapped[str] = mapped_column(default="suggest", server_default="suggest")
    authority: Mapped[str] = mapped_column(default="ask", server_default="ask")
    charge: Mapped[str] = mapped_column(default="charge", server_default="charge")
    message: Mapped[str] = mapped_column(default="", server_default="")


class HilLimit(_Rule, Base):
    """溶血/黄疸/脂血 (``index_kind`` H, I, L): an index from ``above`` on makes the item's result unsafe; ``action``: hold, comment,
    reject. From ``reject_above`` on the value is not told at all. ``direction``: "+" falsely high, "-" falsely low."""

    __tablename__ = "hil_limit"
    __table_args__ = (UniqueConstraint("tenant_id", "item_id", "index_kind"), tenant_fk("item_id", "test_item"))
    item_id: Mapped[int] = mapped_column(BigInteger)
    index_kind: Mapped[str]
    above: Mapped[Decimal]
    reject_above: Mapped[Decimal | None]
    direction: Mapped[str] = mapped_column(default="", server_default="")
    action: Mapped[str] = mapped_column(default="hold", server_default="hold")
    message: Mapped[str] = mapped_column(default="", server_default="")


class CommentTemplate(_Rule, Base):
    """备注模板: a sentence a verifier inserts by its code."""

    __tablename__ = "comment_template"
    __table_args__ = (UniqueConstraint("tenant_id", "code"), tenant_fk("section_id", "section"))
    code: Mapped[str]
    section_id: Mapped[int | None] = mapped_column(BigInteger)
    text: Mapped[str]


class ReportLayout(_Rule, Base):
    """报告格式: how a section's reports look, or (without a section) those of all that have none of their own.

    ``logo``: SHA-256 of the uploaded picture; ``remarks``: printed after the results, a line each. What a report must show (M09 R3) is
    the template's and cannot be switched off here.
    """

    __tablename__ = "report_layout"
    __table_args__ = (tenant_fk("section_id", "section"),)
    name: Mapped[str]
    section_id: Mapped[int | None] = mapped_column(BigInteger)
    paper: Mapped[str] = mapped_column(default="a5-landscape", server_default="a5-landscape")
    subtitle: Mapped[str] = mapped_column(default="", server_default="")
    logo: Mapped[str] = mapped_column(default="", server_default="")
    show_code: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    show_method: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    tester_word: Mapped[str] = mapped_column(default="检验者", server_default="检验者")
    verifier_word: Mapped[str] = mapped_column(default="审核者", server_default="审核者")
    remarks: Mapped[str] = mapped_column(default="", server_default="")


class BreakpointSet(_Rule, Base):
    """折点版本: an edition (year) of CLSI or EUCAST and the day from which it interprets here."""

    __tablename__ = "breakpoint_set"
    __table_args__ = (UniqueConstraint("tenant_id", "standard", "edition"),)
    standard: Mapped[str]
    edition: Mapped[int] = mapped_column(Integer)
    effective: Mapped[date] = mapped_column(Date)
    source: Mapped[str] = mapped_column(default="", server_default="")


class Breakpoint(_Rule, Base):
    """折点 of one edition: ``organism`` at a ``level`` (species, complex, genus, group) × ``drug`` × ``method`` (mic in mg/l, disk in mm).

    ``s``: susceptible up to (MIC) or from (zone); ``r``: resistant from (MIC) or up to (zone); ``sdd``: far end of the dose-dependent
    range.
    """

    __tablename__ = "breakpoint"
    __table_args__ = (tenant_fk("set_id", "breakpoint_set"), Index("ix_breakpoint_set", "tenant_id", "set_id", "drug"))
    set_id: Mapped[int] = mapped_column(BigInteger)
    level: Mapped[str] = mapped_column(default="species", server_default="species")
    organism: Mapped[str]
    drug: Mapped[str]
    drug_name: Mapped[str] = mapped_column(default="", server_default="")
    method: Mapped[str]
    disk_ug: Mapped[Decimal | None]
    site: Mapped[str] = mapped_column(default="", server_default="")
    route: Mapped[str] = mapped_column(default="", server_default="")
    s: Mapped[Decimal | None]
    sdd: Mapped[Decimal | None]
    r: Mapped[Decimal | None]
    note: Mapped[str] = mapped_column(default="", server_default="")
