"""The catalog as one immutable snapshot a hospital, loaded once and kept until its version changes.

``catalog(uow)`` costs one small read in the first call of a transaction and none afterwards, so that the intake can interpret thousands of
results a second and a page can name a hundred items without asking the database for each. Rows are frozen values: nobody can change the
shared copy. Other modules take the rules of age and interval from here too.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from cloud.db import session
from cloud.db.session import UnitOfWork
from cloud.modules.catalog import models, rule_models
from cloud.modules.catalog.coverage import Lane, gaps, lanes
from cloud.modules.catalog.formulas import (
    EGFR,
    MEASURED_ITEMS,
    STARTING,
    Calculation,
    Judgement,
    Starting,
    calc_symbols,
    calculations,
    judge_symbols,
    judgement,
    person,
    rule_symbols,
    with_aliases,
)
from cloud.modules.catalog.reflexes import STARTING_REFLEXES, StartingReflex
from cloud.modules.catalog.rows import (
    AnalyzerRow,
    AvRangeRow,
    BreakpointRow,
    BreakpointSetRow,
    CalcRow,
    ChannelRow,
    CommentRow,
    ContainerRow,
    CriticalRow,
    DeltaRow,
    HilRow,
    ItemRow,
    JudgeRow,
    LayoutRow,
    LogicRow,
    OrderSetRow,
    ReflexRow,
    RejectReasonRow,
    SectionRow,
    SpecimenTypeRow,
)
from cloud.modules.catalog.rules import (
    NO_INTERVAL_TEXT,
    Age,
    AgeUnit,
    Interval,
    NoInterval,
    Specific,
    Subject,
    age_at,
    age_from_text,
    allowed_error,
    choose,
    gest_week,
    gestation,
    most_specific,
    phase_of,
)
from cloud.web.faults import NotFound
from common.errors import LocalError

# Not a fixed offset: the summer times of 1986–1991 would otherwise move birthdays to the day before.
HOSPITAL_ZONE = ZoneInfo("Asia/Shanghai")
HIL_PREFIX = "HIL-"
"""Items HIL-H, HIL-I, HIL-L are serum indices as the analyzer sends them: they speak about a tube and stand on no report."""


_Row = TypeVar("_Row")
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Catalog:
    """All of a hospital's catalog. Mappings are by id unless their name says otherwise."""

    number: int
    sections: Mapping[int, SectionRow]
    specimen_types: Mapping[int, SpecimenTypeRow]
    containers: Mapping[int, ContainerRow]
    items: Mapping[int, ItemRow]
    order_sets: Mapping[int, OrderSetRow]
    analyzers: Mapping[int, AnalyzerRow]
    reject_reasons: Mapping[int, RejectReasonRow]
    set_items: Mapping[int, tuple[int, ...]]
    """Order set → its items, in print order."""
    his_codes: Mapping[tuple[str, str], int]
    """(source, HIS code) → order set."""
    channels: Mapping[tuple[int, str], ChannelRow]
    """(analyzer, channel code) → item and its factors."""
    intervals: Mapping[int, tuple[Interval, ...]]
    """Item → its reference intervals."""
    criticals: Mapping[int, tuple[CriticalRow, ...]]
    """Item → its critical limits."""
    deltas: Mapping[int, tuple[DeltaRow, ...]]
    """Item → its active delta rules (so the next ones)."""
    hil_limits: Mapping[int, tuple[HilRow, ...]]
    av_ranges: Mapping[int, tuple[AvRangeRow, ...]]
    judgements: Mapping[int, Judgement]
    """Item → its compiled judgement."""
    calculations: tuple[Calculation, ...]
    """Calculated items, each after those whose results it uses."""
    logic_rules: tuple[LogicRow, ...]
    """Active ones, in order of code (so the next two)."""
    reflex_rules: tuple[ReflexRow, ...]
    comments: tuple[CommentRow, ...]
    layouts: tuple[LayoutRow, ...]
    breakpoint_sets: Mapping[int, BreakpointSetRow]
    breakpoints: Mapping[int, tuple[BreakpointRow, ...]]
    """Edition → its active rows."""
    settings: Mapping[str, Mapping[str, Any]]
    items_by_code: Mapping[str, ItemRow] = field(default_factory=dict)
    order_sets_by_code: Mapping[str, OrderSetRow] = field(default_factory=dict)
    sections_by_code: Mapping[str, SectionRow] = field(default_factory=dict)
    analyzers_by_code: Mapping[str, AnalyzerRow] = field(default_factory=dict)
    item_channels: Mapping[tuple[int, int], tuple[str, ...]] = field(default_factory=dict)
    """(analyzer, item) → channel codes, for worklists."""

    def channel(self, analyzer_id: int, code: str) -> ChannelRow | None:
        """What an analyzer's channel code means; None = unmapped, to be shown, never guessed."""
        return self.channels.get((analyzer_id, code))

    def order_set_of(self, source: str, his_code: str) -> OrderSetRow | None:
        """What a HIS code orders; None = 未对照."""
        found = self.his_codes.get((source, his_code))
        return None if found is None else self.order_sets[found]

    def items_of(self, order_set_id: int) -> tuple[ItemRow, ...]:
        """The items of an order set, in print order."""
        return tuple(self.items[each] for each in self.set_items.get(order_set_id, ()))

    def interval(self, item_id: int, subject: Subject) -> Interval | NoInterval:
        """The reference interval of an item for somebody (M02)."""
        return choose(self.intervals.get(item_id, ()), subject)

    def critical_limit(self, item_id: int, places: Collection[str] = (), age: Age | None = None) -> CriticalRow | None:
        """The critical limits of an item: the unit's own row (by any of its names) before the general one, then the age's own."""
        rows = [r for r in self.criticals.get(item_id, ()) if r.dept_class is None or r.dept_class in places]
        asks = lambda r: Specific(((r.dept_class, r.dept_class),), r.age_low, r.age_high, r.age_unit)  # noqa: E731
        return most_specific(rows, asks, age)

    def critical_by_age(self, item_id: int, places: Collection[str] = ()) -> list[CriticalRow]:
        """The limits that ask for an age; which of them counts nobody can say of a patient without one."""
        rows = (r for r in self.criticals.get(item_id, ()) if r.dept_class is None or r.dept_class in places)
        return [r for r in rows if r.age_low is not None or r.age_high is not None]

    def av_range(self, item_id: int, sex: str | None, age: Age | None) -> AvRangeRow | None:
        """The autoverification range of an item for somebody; None = there is none, which holds."""
        return most_specific(self.av_ranges.get(item_id, ()), lambda r: Specific(((r.sex, sex),), r.age_low, r.age_high, r.age_unit), age)

    def deltas_of(self, item_id: int, specimen_type_id: int | None) -> tuple[DeltaRow, ...]:
        """The delta rules of an item in a kind of specimen; rows of that kind alone replace the general ones."""
        rows = self.deltas.get(item_id, ())
        own = tuple(each for each in rows if each.specimen_type_id is not None and each.specimen_type_id == specimen_type_id)
        return own or tuple(each for each in rows if each.specimen_type_id is None)

    def interfaced(self, item_id: int) -> bool:
        """Whether some analyzer sends the item."""
        return any(each == item_id for _, each in self.item_channels)

    def unflagged(self, item: ItemRow) -> bool:
        """Whether nothing flags its numbers: neither an interval (which may be words, 见报告) nor a judgement."""
        return item.active and item.result_type == "numeric" and not self.intervals.get(item.id) and item.id not in self.judgements

    def setting(self, key: str, name: str, default: Any) -> Any:
        """A hospital's own value of a choice ([C]), or the default."""
        return self.settings.get(key, {}).get(name, default)

    def layout(self, section_id: int) -> LayoutRow | None:
        """How a section's reports look: its own layout, else the hospital's; None: as the program comes."""
        own = [each for each in self.layouts if each.section_id in (section_id, None)]
        return min(own, key=lambda each: each.section_id is None, default=None)

    def without_sensitive(self, names: Iterable[str]) -> list[str]:
        """Names of order sets, each several joined by 、, as somebody reads them who may not see sensitive items (M01 R8)."""
        shut = {row.name for row in self.order_sets.values() if any(item.sensitive for item in self.items_of(row.id))}
        return ["、".join(each for each in joined.split("、") if each not in shut) for joined in names]

    def search_items(self, text: str) -> list[ItemRow]:
        """Items whose code, name, abbreviation or pinyin initials contain the text, in print order."""
        word = text.strip().casefold()
        rows = sorted(self.items.values(), key=lambda each: (each.section_id, each.print_order, each.code))
        return [
            each
            for each in rows
            if word in each.code.casefold()
            or word in each.name.casefold()
            or word in each.abbr.casefold()
            or each.pinyin.casefold().startswith(word)
        ]


def subject_age(birth: datetime | None, age_text: str | None, at: datetime, zone: tzinfo = HOSPITAL_ZONE) -> Age | None:
    """Age at collection: from the birth date, else from what the HIS wrote; None when neither says (M02)."""
    return age_at(birth, at, zone) or age_from_text(age_text)


_ASK = "SELECT number FROM catalog_version WHERE tenant_id = :t"
_NUMBER = text(_ASK)
_ALONG = "catalog_number"
session.ALONG[_ALONG] = _ASK
_lock = threading.Lock()
_kept: dict[tuple[str, int], Catalog] = {}


def catalog(uow: UnitOfWork) -> Catalog:
    """This hospital's catalog as of this transaction."""
    here: Catalog | None = uow.s.info.get("catalog")
    if here is not None and not uow.s.info.get("catalog_changed"):
        return here
    if uow.s.info.get("catalog_changed"):
        # What this transaction changed itself may still be rolled back: others must not see it.
        return _whole(uow, _number(uow))
    number = uow.s.info[_ALONG] or 0 if _ALONG in uow.s.info else _number(uow)
    found = _kept.get(uow.place)
    if found is None or found.number != number:
        found = _whole(uow, number)
        with _lock:
            _kept[uow.place] = found
    uow.s.info["catalog"] = found
    return found


def section_names(uow: UnitOfWork) -> dict[str, str]:
    """Code → name of every section of the hospital."""
    return {s.code: s.name for s in catalog(uow).sections.values()}


def own_sections(uow: UnitOfWork, own: Collection[str]) -> list[SectionRow]:
    """The sections a person works in: those of their list ``own``; somebody without any listed works in all of the hospital's."""
    return [s for s in catalog(uow).sections.values() if not own or s.code in own]


def own_section(uow: UnitOfWork, own: Collection[str], code: str) -> SectionRow:
    """The section of an address, if the person works there; a foreign one is absent (NotFound)."""
    found = catalog(uow).sections_by_code.get(code)
    if found is None or (own and code not in own):
        raise NotFound("该专业组")
    return found


def listed_codes(uow: UnitOfWork) -> dict[str, str]:
    """Code → name of the hospital's own copy of WS/T 886; empty until it is loaded."""
    rows = uow.s.execute(select(models.Wst886Code.code, models.Wst886Code.name).order_by(models.Wst886Code.code))
    return {r.code: r.name for r in rows}


def is_own(uow: UnitOfWork) -> bool:
    """Whether this transaction has changed the catalog itself, so that nobody else sees what it sees."""
    return bool(uow.s.info.get("catalog_changed"))


def _number(uow: UnitOfWork) -> int:
    return uow.s.execute(_NUMBER, {"t": uow.tenant_id}).scalar_one_or_none() or 0


def _whole(uow: UnitOfWork, number: int) -> Catalog:
    """The catalog of one version. Each table is its own question, and somebody may commit a change between two: then read again."""
    while True:
        try:
            found = _load(uow, number)
        except KeyError:  # a row names another that came later
            found = None
        now = _number(uow)
        if found is not None and now == number:
            return found
        if now == number:
            raise LocalError("catalog_torn", f"the catalog of hospital {uow.tenant_id}, version {number}, names rows that are not there")
        number = now


def _load(uow: UnitOfWork, number: int) -> Catalog:
    items = _by_id(uow, models.TestItem, ItemRow)
    channels = _rows(uow, models.AnalyzerItemMap, ChannelRow, active=True)
    order_sets = _by_id(uow, models.OrderSet, OrderSetRow)
    sections = _by_id(uow, models.Section, SectionRow)
    analyzers = _by_id(uow, models.Analyzer, AnalyzerRow)
    by_code = MappingProxyType({each.code: each for each in items.values()})
    his = uow.s.execute(select(models.HisItemMap.source, models.HisItemMap.his_code, models.HisItemMap.order_set_id))
    return Catalog(
        number=number,
        sections=sections,
        specimen_types=_by_id(uow, models.SpecimenType, SpecimenTypeRow),
        containers=_by_id(uow, models.Container, ContainerRow),
        items=items,
        order_sets=order_sets,
        analyzers=analyzers,
        reject_reasons=_by_id(uow, models.RejectReason, RejectReasonRow),
        set_items=_set_items(uow, items),
        his_codes=MappingProxyType({(source, code): order_set for source, code, order_set in his}),
        channels=MappingProxyType({(each.analyzer_id, each.channel_code): each for each in channels}),
        intervals=_grouped(_rows(uow, models.RefInterval, Interval, active=True), lambda each: each.item_id),
        criticals=_grouped(_rows(uow, models.CriticalLimit, CriticalRow, active=True), lambda each: each.item_id),
        deltas=_active_of_items(uow, rule_models.DeltaRule, DeltaRow),
        hil_limits=_active_of_items(uow, rule_models.HilLimit, HilRow),
        av_ranges=_active_of_items(uow, rule_models.AvRange, AvRangeRow),
        judgements=MappingProxyType(
            {key: judgement(row, items[key]) for key, row in _one_an_item(uow, rule_models.JudgeFormula, JudgeRow).items()}
        ),
        calculations=calculations(_one_an_item(uow, rule_models.CalcFormula, CalcRow).values(), by_code, items),
        logic_rules=_active_by_code(uow, rule_models.LogicRule, LogicRow),
        reflex_rules=_active_by_code(uow, rule_models.ReflexRule, ReflexRow),
        comments=_active_by_code(uow, rule_models.CommentTemplate, CommentRow),
        layouts=tuple(_rows(uow, rule_models.ReportLayout, LayoutRow, active=True)),
        breakpoint_sets=_by_id(uow, rule_models.BreakpointSet, BreakpointSetRow),
        breakpoints=_grouped(_rows(uow, rule_models.Breakpoint, BreakpointRow, active=True), lambda each: each.set_id),
        settings=MappingProxyType({each.key: each.value for each in uow.s.scalars(select(models.SavedSetting))}),
        items_by_code=by_code,
        order_sets_by_code=MappingProxyType({each.code: each for each in order_sets.values()}),
        sections_by_code=MappingProxyType({each.code: each for each in sections.values()}),
        analyzers_by_code=MappingProxyType({each.code: each for each in analyzers.values()}),
        item_channels=MappingProxyType(
            {key: tuple(c.channel_code for c in rows) for key, rows in _grouped(channels, lambda c: (c.analyzer_id, c.item_id)).items()}
        ),
    )


def _rows(uow: UnitOfWork, table: type[Any], row: type[_Row], active: bool = False) -> list[_Row]:
    columns = [getattr(table, each.name) for each in fields(row)]  # type: ignore[arg-type]
    query = select(*columns).order_by(table.id)
    return [row(*values) for values in uow.s.execute(query.where(table.active) if active else query)]


def _active_of_items(uow: UnitOfWork, table: type[Any], row: type[_Row]) -> Mapping[int, tuple[_Row, ...]]:
    return _grouped(_rows(uow, table, row, active=True), lambda each: each.item_id)


def _one_an_item(uow: UnitOfWork, table: type[Any], row: type[_Row]) -> Mapping[int, _Row]:
    return MappingProxyType({item_id: rows[0] for item_id, rows in _active_of_items(uow, table, row).items()})


def _active_by_code(uow: UnitOfWork, table: type[Any], row: type[_Row]) -> tuple[_Row, ...]:
    return tuple(sorted(_rows(uow, table, row, active=True), key=lambda each: each.code))  # type: ignore[attr-defined]


def _by_id(uow: UnitOfWork, table: type[Any], row: type[_Row]) -> Mapping[int, _Row]:
    return MappingProxyType({each.id: each for each in _rows(uow, table, row)})  # type: ignore[attr-defined]


def _grouped(rows: Iterable[_Row], key: Any) -> Mapping[Any, tuple[_Row, ...]]:
    out: dict[Any, list[_Row]] = {}
    for each in rows:
        out.setdefault(key(each), []).append(each)
    return MappingProxyType({k: tuple(v) for k, v in out.items()})


def _set_items(uow: UnitOfWork, items: Mapping[int, ItemRow]) -> Mapping[int, tuple[int, ...]]:
    pairs = uow.s.execute(select(models.OrderSetItem.order_set_id, models.OrderSetItem.item_id))
    ordered = sorted(((a, b) for a, b in pairs), key=lambda pair: (pair[0], items[pair[1]].print_order, pair[1]))
    return _grouped_ids(ordered)


def _grouped_ids(pairs: Iterable[tuple[int, int]]) -> Mapping[int, tuple[int, ...]]:
    out: dict[int, list[int]] = {}
    for owner, member in pairs:
        out.setdefault(owner, []).append(member)
    return MappingProxyType({k: tuple(v) for k, v in out.items()})


__all__ = [
    "EGFR",
    "STARTING",
    "STARTING_REFLEXES",
    "StartingReflex",
    "Starting",
    "calc_symbols",
    "judge_symbols",
    "judgement",
    "Lane",
    "gaps",
    "lanes",
    "MEASURED_ITEMS",
    "Calculation",
    "Judgement",
    "HIL_PREFIX",
    "person",
    "rule_symbols",
    "with_aliases",
    "NO_INTERVAL_TEXT",
    "Age",
    "AgeUnit",
    "AnalyzerRow",
    "AvRangeRow",
    "BreakpointRow",
    "BreakpointSetRow",
    "CalcRow",
    "Catalog",
    "ChannelRow",
    "CommentRow",
    "ContainerRow",
    "CriticalRow",
    "DeltaRow",
    "HilRow",
    "Interval",
    "ItemRow",
    "LayoutRow",
    "JudgeRow",
    "LogicRow",
    "NoInterval",
    "OrderSetRow",
    "ReflexRow",
    "RejectReasonRow",
    "SectionRow",
    "SpecimenTypeRow",
    "Subject",
    "age_at",
    "age_from_text",
    "allowed_error",
    "is_own",
    "listed_codes",
    "catalog",
    "gest_week",
    "gestation",
    "phase_of",
    "subject_age",
]
