"""Read-only looks at changes: lists, one with its differences in words, the monthly log, the checklist of a new item."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.changes import models
from cloud.modules.changes.rules import BOXES, EMERGENCY_LIMIT, OPEN, WORDS, State
from cloud.modules.qc import queries as qc
from common.say import say

PAGE = 50


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A change in a list."""

    id: int
    version: int
    kind: str
    title: str
    state: State
    emergency: bool
    reason: str
    ticket: str
    requested_by: int | None
    requested_name: str
    requested_at: datetime
    section_name: str
    group_name: str
    effective_at: datetime | None
    activated_at: datetime | None
    report: Mapping[str, Any]
    count: int

    @property
    def word(self) -> str:
        """The state in Chinese."""
        return WORDS[self.state]

    @property
    def approval_due(self) -> datetime | None:
        """Until when an emergency change must be approved; None when it is, or is none."""
        waiting = self.emergency and not (self.section_name and self.group_name) and self.activated_at is not None
        return self.activated_at + EMERGENCY_LIMIT if waiting and self.activated_at is not None else None


def _row(each: models.CatalogChange) -> ChangeRow:
    return ChangeRow(
        each.id,
        each.version,
        each.kind,
        each.title,
        State(each.state),
        each.emergency,
        each.reason,
        each.ticket,
        each.requested_by,
        each.requested_name,
        each.requested_at,
        each.section_name,
        each.group_name,
        each.effective_at,
        each.activated_at,
        each.report,
        len(each.rows),
    )


def listed(uow: UnitOfWork, show: str = "open", item: str = "", start: int = 0) -> tuple[list[ChangeRow], int]:
    """A page of changes, newest first, and how many there are. ``show``: open, a state, or all; ``item``: touching that item."""
    table = models.CatalogChange
    query: Select[Any] = select(table)
    if show == "open":
        query = query.where(table.state.in_([each.value for each in OPEN]))
    elif show in tuple(State):
        query = query.where(table.state == show)
    if item:
        query = query.where(table.items.contains([item]))
    total = uow.s.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    rows = uow.s.scalars(query.order_by(table.id.desc()).offset(start).limit(PAGE))
    return [_row(each) for each in rows], total


def counts(uow: UnitOfWork) -> dict[str, int]:
    """How many changes stand in each state that somebody must do something about."""
    table = models.CatalogChange
    query = select(table.state, func.count()).where(table.state.in_([each.value for each in OPEN])).group_by(table.state)
    return {str(row[0]): int(row[1]) for row in uow.s.execute(query)}


def month_log(uow: UnitOfWork, since: datetime, until: datetime) -> list[ChangeRow]:
    """What became active in a span of time, oldest first (变更月报)."""
    table = models.CatalogChange
    query = select(table).where(table.activated_at >= since, table.activated_at < until).order_by(table.activated_at, table.id).limit(5000)
    return [_row(each) for each in uow.s.scalars(query)]


def unapproved_emergencies(uow: UnitOfWork) -> list[ChangeRow]:
    """Emergency changes still without both approvals."""
    table = models.CatalogChange
    query = select(table).where(table.emergency, table.state == State.ACTIVE.value).order_by(table.id).limit(200)
    return [row for each in uow.s.scalars(query) if (row := _row(each)).approval_due is not None]


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """One field before and after, in words."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RowDiff:
    """One row of a change: ``what`` is 新增, 修改 or 停用; only the fields that differ."""

    name: str
    what: str
    fields: tuple[FieldDiff, ...]


@dataclass(frozen=True, slots=True)
class Detail:
    """One change with its differences."""

    row: ChangeRow
    diffs: tuple[RowDiff, ...]
    kind: catalog.Kind
    items: tuple[str, ...]
    closed_reason: str
    tested_by: str
    tested_at: datetime | None
    section_at: datetime | None
    group_at: datetime | None
    section_id: int | None


def detail(uow: UnitOfWork, change_id: int) -> Detail | None:
    """One change; None when there is none."""
    found = uow.s.get(models.CatalogChange, (uow.tenant_id, change_id))
    if found is None:
        return None
    kind, known = catalog.KINDS[found.kind], md.catalog(uow)
    diffs = tuple(_diff(kind, each, known) for each in found.rows[:500])
    return Detail(
        _row(found),
        diffs,
        kind,
        tuple(found.items),
        found.closed_reason,
        found.tested_by,
        found.tested_at,
        found.section_at,
        found.group_at,
        found.section_id,
    )


def _diff(kind: catalog.Kind, row: Mapping[str, Any], known: md.Catalog) -> RowDiff:
    before, after = row["before"] or {}, row["after"] or {}
    what = "新增" if row["before"] is None else "停用" if row["after"] is None else "修改"
    fields = tuple(
        FieldDiff(each.label, catalog.shown(each, before.get(each.name), known), catalog.shown(each, after.get(each.name), known))
        for each in kind.fields
        if row["after"] is not None and before.get(each.name) != after.get(each.name)
    )
    shown = tuple(each for each in fields if each.before != each.after)
    return RowDiff(catalog.name_of(kind, after or before, known), what, shown)


# --- new items --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a new item's checklist: closed by what the catalog holds, or by a person."""

    code: str
    word: str
    closed: bool
    how: str


def checklist(uow: UnitOfWork, item: md.ItemRow) -> list[Box]:
    """The boxes of an item, each with what closed it."""
    known = md.catalog(uow)
    found = _found(known, item) | {"qc": _planned(uow, known, item)}
    notes = {each.box: each for each in uow.s.scalars(select(models.ItemBox).where(models.ItemBox.item_id == item.id))}
    out = []
    for code, word in BOXES:
        note = notes.get(code)
        how = found.get(code, "") or ("" if note is None else f"{note.note}（{note.by_name}）")
        out.append(Box(code, word, bool(how), how))
    return out


def boxes(uow: UnitOfWork, item: md.ItemRow) -> dict[str, bool]:
    """Box → whether it is closed."""
    return {each.code: each.closed for each in checklist(uow, item)}


def _found(known: md.Catalog, item: md.ItemRow) -> dict[str, str]:
    sets = [known.order_sets[key] for key, members in known.set_items.items() if item.id in members]
    ids = {each.id for each in sets}
    calculated = any(each.item_id == item.id for each in known.calculations)
    channels = sum(1 for each in known.channels.values() if each.item_id == item.id)
    priced = [each.price_code for each in sets if each.price_code]
    his = [code for (_, code), order_set in known.his_codes.items() if order_set in ids]
    return {
        "item": say("{name}，{unit}", name=item.name, unit=item.unit or say("无单位")),
        "map": say("计算项目") if calculated else say("{n} 个通道", n=channels) if channels else "",
        "ri": _rows(known.intervals.get(item.id)),
        "critical": _rows(known.criticals.get(item.id)),
        "delta": _rows(known.deltas.get(item.id)),
        "price": "、".join(priced),
        "his": "、".join(his[:3]),
        "print": say("第 {n} 位", n=item.print_order) if item.print_order else "",
        "av": _rows(known.av_ranges.get(item.id)),
    }


def _planned(uow: UnitOfWork, known: md.Catalog, item: md.ItemRow) -> str:
    """Controlled on every analyzer in use that measures it; one without a plan leaves the box open."""
    analyzers = {c.analyzer_id for c in known.channels.values() if c.item_id == item.id and known.analyzers[c.analyzer_id].active}
    planned = {p.analyzer_id for p in qc.plans(uow) if p.item_id == item.id}
    return say("{n} 台仪器有质控计划", n=len(analyzers)) if analyzers and analyzers <= planned else ""


def _rows(rows: Sized | None) -> str:
    return say("{n} 条", n=len(rows)) if rows else ""


def open_tests(uow: UnitOfWork, item_id: int) -> int:
    """Tests of an item whose report is not out: what a change would touch next."""
    return bench.open_count(uow, [item_id])
