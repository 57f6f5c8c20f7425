"""Rows of the catalog as frozen values, column by column as in the tables; None in a condition means "any"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class SectionRow:
    """专业组."""

    id: int
    code: str
    name: str
    name_en: str
    share_group: str | None
    sample_no_prefix: str


@dataclass(frozen=True, slots=True)
class SpecimenTypeRow:
    """标本类型."""

    id: int
    code: str
    name: str
    name_en: str
    active: bool


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """容器; ``nominal_ml`` in ml, ``draw_order`` 1 is drawn first."""

    id: int
    code: str
    name: str
    colour: str
    additive: str
    nominal_ml: Decimal
    draw_order: int
    active: bool


@dataclass(frozen=True, slots=True)
class ItemRow:
    """检验项目; limits in ``unit``, ``dilutions`` are factors, ``stability_h`` hours from collection, ``tea`` see ``allowed_error``."""

    id: int
    code: str
    wst886_code: str | None
    name: str
    name_en: str
    abbr: str
    pinyin: str
    section_id: int
    result_type: str
    unit: str
    decimals: int
    rounding: str
    method: str
    amr_low: Decimal | None
    amr_high: Decimal | None
    crr_high: Decimal | None
    lod: Decimal | None
    dilutions: list[Any]
    choices: list[Any]
    tea: Mapping[str, Any]
    stability_h: int | None
    sensitive: bool
    notifiable: str
    mutual_recognition: str
    accredited: str
    loinc: str | None
    report_name: str
    print_order: int
    mandatory: bool
    active: bool


@dataclass(frozen=True, slots=True)
class OrderSetRow:
    """医嘱项目/组合; ``volume_ml`` is what it needs of the tube."""

    id: int
    code: str
    name: str
    abbr: str
    pinyin: str
    section_id: int
    specimen_type_id: int
    container_id: int
    volume_ml: Decimal
    no_merge: bool
    handling: str
    service: str
    prep_notes: str
    tat_minutes: int | None
    transport_minutes: int | None
    """From collection to receipt; None: the hospital's own limit."""
    sex: str | None
    age_low: int | None
    age_high: int | None
    price_code: str
    graphs: bool
    fasting: bool
    consent: bool
    active: bool


@dataclass(frozen=True, slots=True)
class AnalyzerRow:
    """检验仪器; a repeat without a run time counts as one inside ``resend_window_s``."""

    id: int
    code: str
    name: str
    model: str
    section_id: int
    driver: str | None
    resend_window_s: int
    active: bool


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A channel code of one analyzer: reported = raw·factor + offset."""

    id: int
    analyzer_id: int
    channel_code: str
    item_id: int
    factor: Decimal
    offset: Decimal
    dilution: Decimal
    unit: str
    priority: int


@dataclass(frozen=True, slots=True)
class CriticalRow:
    """危急值界限 of an item; both limits strict; None means "any". ``repeat_rule``: none, repeat, first."""

    id: int
    item_id: int
    dept_class: str | None
    age_low: int | None
    age_high: int | None
    age_unit: str
    repeat_rule: str
    low: Decimal | None
    high: Decimal | None
    placeholder: bool


@dataclass(frozen=True, slots=True)
class RejectReasonRow:
    """拒收原因."""

    id: int
    code: str
    name: str
    indicator: str
    active: bool


@dataclass(frozen=True, slots=True)
class DeltaRow:
    """差值检查 (columns as in ``rule_models.DeltaRule``)."""

    id: int
    item_id: int
    specimen_type_id: int | None
    kind: str
    limit_up: Decimal | None
    limit_down: Decimal | None
    per: str
    cva: Decimal | None
    cvi: Decimal | None
    z: Decimal
    window_h: int
    grouped: int
    not_evaluable: str
    placeholder: bool
    version: int
    active: bool


@dataclass(frozen=True, slots=True)
class LogicRow:
    """逻辑规则; ``expression`` true = something is wrong."""

    id: int
    code: str
    name: str
    section_id: int | None
    expression: str
    action: str
    message: str
    placeholder: bool
    version: int
    active: bool


@dataclass(frozen=True, slots=True)
class JudgeRow:
    """结果判断公式: ``branches`` = [{when, text, flag}, …]; the last has no ``when``."""

    id: int
    item_id: int
    branches: list[Any]
    placeholder: bool
    version: int
    active: bool


@dataclass(frozen=True, slots=True)
class CalcRow:
    """计算公式 of an item, with the units it was written for."""

    id: int
    item_id: int
    name: str
    expression: str
    units: Mapping[str, str]
    source: str
    placeholder: bool
    version: int
    active: bool


@dataclass(frozen=True, slots=True)
class AvRangeRow:
    """自动审核范围; limits inclusive."""

    id: int
    item_id: int
    sex: str | None
    age_low: int | None
    age_high: int | None
    age_unit: str
    low: Decimal | None
    high: Decimal | None
    placeholder: bool
    version: int
    active: bool


@dataclass(frozen=True, slots=True)
class ReflexRow:
    """反射检验: ``expression`` true → ``item_id`` is added, suggested, repeated or confirmed."""

    id: int
    code: str
    name: str
    expression: str
    item_id: int
    action: str
    authority: str
    charge: str
    message: str
    placeholder: bool
    version: int
    active: bool


@dataclass(frozen=True, slots=True)
class HilRow:
    """HIL threshold: ``index_kind`` H, I or L from ``above`` on; from ``reject_above`` on the value is not told."""

    id: int
    item_id: int
    index_kind: str
    above: Decimal
    reject_above: Decimal | None
    direction: str
    action: str
    message: str
    placeholder: bool
    version: int
    active: bool


@dataclass(frozen=True, slots=True)
class CommentRow:
    """备注模板."""

    id: int
    code: str
    section_id: int | None
    text: str
    placeholder: bool
    version: int
    active: bool


@dataclass(frozen=True, slots=True)
class LayoutRow:
    """报告格式 of a section, or of all that have none of their own."""

    id: int
    name: str
    section_id: int | None
    paper: str
    subtitle: str
    logo: str
    show_code: bool
    show_method: bool
    tester_word: str
    verifier_word: str
    remarks: str
    placeholder: bool
    version: int
    active: bool


@dataclass(frozen=True, slots=True)
class BreakpointSetRow:
    """折点版本: an edition of a standard and the day it came into force here."""

    id: int
    standard: str
    edition: int
    effective: date
    source: str
    placeholder: bool
    active: bool

    @property
    def code(self) -> str:
        """How rows and people name it: CLSI-2026."""
        return f"{self.standard}-{self.edition}"

    @property
    def name(self) -> str:
        """The same with a space."""
        return f"{self.standard} {self.edition}"


@dataclass(frozen=True, slots=True)
class BreakpointRow:
    """折点: limits in mg/l (``mic``) or mm (``disk``); see ``breakpoints``."""

    id: int
    set_id: int
    level: str
    organism: str
    drug: str
    drug_name: str
    method: str
    disk_ug: Decimal | None
    site: str
    route: str
    s: Decimal | None
    sdd: Decimal | None
    r: Decimal | None
    note: str
    placeholder: bool
