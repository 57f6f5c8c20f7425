"""Tables of the catalog: what the laboratory can measure, how it judges, and how others call it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, UniqueConstraint, event, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class Counted(TenantTable):
    """Mixin of a table whose change makes every process load the catalog anew."""


class Section(Counted, Base):
    """专业组: 血液, 生化, 凝血, 尿液 …; ``share_group`` lets sections share a tube (合管)."""

    __tablename__ = "section"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str]
    name_en: Mapped[str] = mapped_column(default="", server_default="")
    share_group: Mapped[str | None]
    sample_no_prefix: Mapped[str] = mapped_column(default="", server_default="")


class SpecimenType(Counted, Base):
    """标本类型: 全血, 血清, 尿 …"""

    __tablename__ = "specimen_type"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str]
    name_en: Mapped[str] = mapped_column(default="", server_default="")
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class Container(Counted, Base):
    """容器: cap colour, additive, nominal volume in ml, order of draw."""

    __tablename__ = "container"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str]
    colour: Mapped[str]
    additive: Mapped[str] = mapped_column(default="", server_default="")
    nominal_ml: Mapped[Decimal]
    draw_order: Mapped[int] = mapped_column(Integer)
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class TestItem(Versioned, Counted, Base):
    """检验项目: one analyte as it stands on the report.

    ``amr_low``/``amr_high``: analytical measuring range, ``crr_high``: reportable after the highest dilution of ``dilutions`` (factors),
    ``lod``: limit of detection, all in ``unit``. ``tea``: allowable total error, see ``rules.allowed_error``. ``stability_h``: hours from
    collection to measurement. ``mutual_recognition``: scope printed as HR mark, "" = none. ``accredited``: number of the accreditation in
    whose scope it is, printed as ◆, "" = none.
    """

    __tablename__ = "test_item"
    __table_args__ = (UniqueConstraint("tenant_id", "code"), tenant_fk("section_id", "section"))
    code: Mapped[str]
    wst886_code: Mapped[str | None]
    name: Mapped[str]
    name_en: Mapped[str] = mapped_column(default="", server_default="")
    abbr: Mapped[str]
    pinyin: Mapped[str] = mapped_column(default="", server_default="")
    section_id: Mapped[int] = mapped_column(BigInteger)
    result_type: Mapped[str] = mapped_column(default="numeric", server_default="numeric")
    unit: Mapped[str] = mapped_column(default="", server_default="")
    decimals: Mapped[int] = mapped_column(Integer, default=2, server_default="2")
    rounding: Mapped[str] = mapped_column(default="half_up", server_default="half_up")
    method: Mapped[str] = mapped_column(default="", server_default="")
    amr_low: Mapped[Decimal | None]
    amr_high: Mapped[Decimal | None]
    crr_high: Mapped[Decimal | None]
    lod: Mapped[Decimal | None]
    dilutions: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    # What a person may type for a qualitative item, and nothing else (M07 R6); empty: any word.
    choices: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    tea: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    stability_h: Mapped[int | None] = mapped_column(Integer)
    sensitive: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    # A positive needs an infectious-disease card: A within 2 h (甲类, 按甲类), B within 24 h (乙类, 丙类), "" none.
    notifiable: Mapped[str] = mapped_column(default="", server_default="")
    mutual_recognition: Mapped[str] = mapped_column(default="", server_default="")
    accredited: Mapped[str] = mapped_column(default="", server_default="")
    loinc: Mapped[str | None]
    report_name: Mapped[str] = mapped_column(default="", server_default="")
    print_order: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    mandatory: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class Wst886Code(TenantTable, Base):
    """A line of the hospital's own copy of the WS/T 886 list; only suggestions are made of it, items keep their code themselves."""

    __tablename__ = "wst886_code"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str]
    note: Mapped[str] = mapped_column(default="", server_default="")


class OrderSet(Versioned, Counted, Base):
    """医嘱项目/组合: what a doctor orders; names specimen, container, volume in ml and the executing section."""

    __tablename__ = "order_set"
    __table_args__ = (
        UniqueConstraint("tenant_id", "code"),
        tenant_fk("section_id", "section"),
        tenant_fk("specimen_type_id", "specimen_type"),
        tenant_fk("container_id", "container"),
    )
    code: Mapped[str]
    name: Mapped[str]
    abbr: Mapped[str]
    pinyin: Mapped[str] = mapped_column(default="", server_default="")
    section_id: Mapped[int] = mapped_column(BigInteger)
    specimen_type_id: Mapped[int] = mapped_column(BigInteger)
    container_id: Mapped[int] = mapped_column(BigInteger)
    volume_ml: Mapped[Decimal]
    no_merge: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    handling: Mapped[str] = mapped_column(default="", server_default="")
    service: Mapped[str] = mapped_column(default="blood", server_default="blood")
    prep_notes: Mapped[str] = mapped_column(default="", server_default="")
    tat_minutes: Mapped[int | None] = mapped_column(Integer)
    transport_minutes: Mapped[int | None] = mapped_column(Integer)
    sex: Mapped[str | None]
    age_low: Mapped[int | None] = mapped_column(Integer)
    age_high: Mapped[int | None] = mapped_column(Integer)
    price_code: Mapped[str] = mapped_column(default="", server_default="")
    # Histograms, scattergrams and images of its runs are printed on the report.
    graphs: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    # Taken from a fasting patient; done only with the patient's written consent (HIV, genetics).
    fasting: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    consent: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class OrderSetItem(Counted, Base):
    """Member item of an order set."""

    __tablename__ = "order_set_item"
    __table_args__ = (
        UniqueConstraint("tenant_id", "order_set_id", "item_id"),
        tenant_fk("order_set_id", "order_set"),
        tenant_fk("item_id", "test_item"),
    )
    order_set_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int] = mapped_column(BigInteger)


class HisItemMap(Counted, Base):
    """A HIS's own item code → order set; what is not here is 未对照, never guessed (M23 R6)."""

    __tablename__ = "his_item_map"
    __table_args__ = (UniqueConstraint("tenant_id", "source", "his_code"), tenant_fk("order_set_id", "order_set"))
    source: Mapped[str]
    his_code: Mapped[str]
    his_name: Mapped[str] = mapped_column(default="", server_default="")
    order_set_id: Mapped[int] = mapped_column(BigInteger)


class RefInterval(Versioned, Counted, Base):
    """参考区间, half-open in age [low, high); a column left NULL means "any"; ``placeholder`` until a laboratory approves it."""

    __tablename__ = "ref_interval"
    __table_args__ = (
        tenant_fk("item_id", "test_item"),
        tenant_fk("analyzer_id", "analyzer"),
        tenant_fk("specimen_type_id", "specimen_type"),
    )
    item_id: Mapped[int] = mapped_column(BigInteger, index=True)
    method: Mapped[str | None]
    analyzer_id: Mapped[int | None] = mapped_column(BigInteger)
    specimen_type_id: Mapped[int | None] = mapped_column(BigInteger)
    gest_low: Mapped[int | None] = mapped_column(Integer)
    gest_high: Mapped[int | None] = mapped_column(Integer)
    phase: Mapped[str | None]
    sex: Mapped[str | None]
    age_low: Mapped[int | None] = mapped_column(Integer)
    age_high: Mapped[int | None] = mapped_column(Integer)
    age_unit: Mapped[str] = mapped_column(default="year", server_default="year")
    low: Mapped[Decimal | None]
    high: Mapped[Decimal | None]
    text: Mapped[str] = mapped_column(default="", server_default="")
    source: Mapped[str] = mapped_column(default="", server_default="")
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    placeholder: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class CriticalLimit(Versioned, Counted, Base):
    """危急值界限: below low or above high (strict) is critical; placeholder until approved.

    NULL conditions mean "any"; ages are half-open. ``repeat_rule``: none, repeat (measure again before telling), first (only the
    first of an episode is repeated).
    """

    __tablename__ = "critical_limit"
    __table_args__ = (tenant_fk("item_id", "test_item"),)
    item_id: Mapped[int] = mapped_column(BigInteger, index=True)
    dept_class: Mapped[str | None]
    age_low: Mapped[int | None] = mapped_column(Integer)
    age_high: Mapped[int | None] = mapped_column(Integer)
    age_unit: Mapped[str] = mapped_column(default="year", server_default="year")
    repeat_rule: Mapped[str] = mapped_column(default="none", server_default="none")
    low: Mapped[Decimal | None]
    high: Mapped[Decimal | None]
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    placeholder: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class Analyzer(Versioned, Counted, Base):
    """检验仪器: one unit (not the model) in a section."""

    __tablename__ = "analyzer"
    __table_args__ = (UniqueConstraint("tenant_id", "code"), tenant_fk("section_id", "section"))
    code: Mapped[str]
    name: Mapped[str]
    model: Mapped[str] = mapped_column(default="", server_default="")
    section_id: Mapped[int] = mapped_column(BigInteger)
    driver: Mapped[str | None]
    resend_window_s: Mapped[int] = mapped_column(Integer, default=600, server_default="600")
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class AnalyzerItemMap(Versioned, Counted, Base):
    """Channel code of one analyzer → item; reported = raw·factor + offset. ``unit``: the analyzer's own; ``priority``: 1 is asked first."""

    __tablename__ = "analyzer_item_map"
    __table_args__ = (
        UniqueConstraint("tenant_id", "analyzer_id", "channel_code"),
        tenant_fk("analyzer_id", "analyzer"),
        tenant_fk("item_id", "test_item"),
    )
    analyzer_id: Mapped[int] = mapped_column(BigInteger)
    channel_code: Mapped[str]
    item_id: Mapped[int] = mapped_column(BigInteger)
    factor: Mapped[Decimal] = mapped_column(default=Decimal(1), server_default="1")
    offset: Mapped[Decimal] = mapped_column(default=Decimal(0), server_default="0")
    dilution: Mapped[Decimal] = mapped_column(default=Decimal(1), server_default="1")
    unit: Mapped[str] = mapped_column(default="", server_default="")
    priority: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class RejectReason(Counted, Base):
    """拒收原因, each feeding one quality indicator."""

    __tablename__ = "reject_reason"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str]
    indicator: Mapped[str] = mapped_column(default="", server_default="")
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class SavedSetting(Versioned, Counted, Base):
    """A hospital's own value of a configurable choice ([C] in the specification)."""

    __tablename__ = "setting"
    __table_args__ = (UniqueConstraint("tenant_id", "key"),)
    key: Mapped[str]
    value: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime | None]


class CatalogVersion(TenantTable, Base):
    """One row a hospital: raised with every change of the catalog, so that processes know when their copy is old."""

    __tablename__ = "catalog_version"
    __table_args__ = (UniqueConstraint("tenant_id"),)
    number: Mapped[int] = mapped_column(BigInteger)


RAISE_VERSION = text(
    "INSERT INTO catalog_version (tenant_id, number) VALUES (:t, 1) "
    "ON CONFLICT (tenant_id) DO UPDATE SET number = catalog_version.number + 1"
)


def raise_version(session: Session) -> None:
    """Count one change of the catalog; needed by hand only after a bulk statement, which the session does not see."""
    session.info["catalog_changed"] = True
    session.connection().execute(RAISE_VERSION, {"t": session.info["tenant_id"]})


@event.listens_for(Session, "before_flush")
def _on_flush(session: Session, _context: object, _instances: object) -> None:
    changed = (*session.new, *session.deleted, *(each for each in session.dirty if session.is_modified(each)))
    if any(isinstance(each, Counted) for each in changed):
        raise_version(session)
