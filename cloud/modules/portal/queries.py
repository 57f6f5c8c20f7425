"""Read-only looks of the portal; values come only from told reports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench
from cloud.modules.catalog import queries as md
from cloud.modules.orders import queries as orders
from cloud.modules.portal.rules import TREND_POINTS, Point, Show
from cloud.modules.reports import queries as reports
from cloud.modules.reports.queries import Brief, Flagged, Told
from cloud.web.principal import Principal

LIST_DAYS = 7
PAGE = 200
_FLAGGED = {Show.ABNORMAL: Flagged.ABNORMAL, Show.CRITICAL: Flagged.CRITICAL}
COLUMNS = 6

_PLACES = text(f"SELECT ward, dept FROM visit WHERE tenant_id = :t AND patient_id IN {orders.PERSON_SQL}")


def places(uow: UnitOfWork, patient_id: int) -> list[str]:
    """Wards and departments of a patient's visits."""
    found = uow.s.execute(_PLACES, {"t": uow.tenant_id, "p": patient_id})
    return list(dict.fromkeys(place for row in found for place in row if place))


def mine(uow: UnitOfWork, who: Principal, show: Show) -> list[Brief]:
    """Told reports of one's own wards in the last days, at most a page: not yet seen first, then critical, then newest."""
    since, flagged = uow.now - timedelta(days=LIST_DAYS), _FLAGGED.get(show, Flagged.ANY)
    if show is Show.CORRECTED:
        told = reports.corrected(uow, who.user_id, PAGE)
    else:
        told = reports.of_places(uow, who.wards, who.user_id, since, unread=show is Show.UNREAD, flagged=flagged, limit=PAGE)
    found = reports.veiled(uow, who, told)
    # Once more behind the veil: a shut report must not be known for abnormal by standing here.
    keep = {
        Show.ALL: lambda b: True,
        Show.UNREAD: lambda b: True,
        Show.CORRECTED: lambda b: True,
        Show.ABNORMAL: lambda b: b.n_abnormal > 0,
        Show.CRITICAL: lambda b: b.n_critical > 0,
    }[show]
    return sorted(
        filter(keep, found), key=lambda b: (not (b.unread or b.notice), not b.n_critical, not b.n_abnormal, -b.released_at.timestamp())
    )


def unread(uow: UnitOfWork, who: Principal) -> int:
    """How many of them the reader does not know."""
    return reports.count_unread(uow, who.wards, who.user_id, uow.now - timedelta(days=LIST_DAYS))


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of the cumulative table."""

    text: str
    mark: str
    critical: bool


@dataclass(frozen=True, slots=True)
class Table:
    """累积报告: items × times, newest first."""

    times: list[tuple[datetime, str]]
    rows: list[tuple[int, str, str, list[Cell | None]]]
    hidden: int = 0


def cumulative(uow: UnitOfWork, newest: list[Brief], hide: bool = False) -> Table:
    """The last told reports side by side; an item measured once is still a row. ``hide``: without sensitive items."""
    items = md.catalog(uow).items
    told = [t for t in reports.current(uow, [b.id for b in newest[:COLUMNS]]) if not t.recalled]
    told = [reports.without_sensitive(t, items) for t in told] if hide else told
    hidden = sum(t.hidden for t in told)
    rows: dict[int, tuple[str, str, list[Cell | None]]] = {}
    for column, report in enumerate(told):
        for line in report.lines:
            row = rows.setdefault(int(line["item_id"]), (line["name"], line["unit"], [None] * len(told)))
            row[2][column] = Cell(line["value"], line_mark(line), bool(line["critical"]))
    order = {i.id: (i.section_id, i.print_order) for i in items.values()}
    ordered = sorted(rows.items(), key=lambda kv: order.get(kv[0], (0, 0)))
    return Table([(t.released_at, t.no) for t in told], [(k, *v) for k, v in ordered], hidden)


def line_mark(line: Any) -> str:
    """↑ ↓ 危 of a stored line."""
    return bench.mark(line["flag"], bool(line["critical"])) if line.get("flag") or line.get("critical") else ""


def trend(uow: UnitOfWork, patient_id: int, item_id: int) -> list[Point]:
    """The last told numbers of an item."""
    past = bench.history(uow, patient_id, [item_id], TREND_POINTS).get(item_id, [])
    return [Point(p.at, p.value, p.reported_text, p.mark, p.method, p.low, p.high) for p in past if p.value is not None]


def coming(uow: UnitOfWork, patient_id: int, hide: bool) -> list[bench.Coming]:
    """What is still to come for a patient; ``hide``: without the names of sensitive requests."""
    found = bench.coming(uow, patient_id)
    names = md.catalog(uow).without_sensitive(c.items for c in found) if hide else [c.items for c in found]
    return [replace(c, items=name) for c, name in zip(found, names, strict=True)]


def before(uow: UnitOfWork, told: Told) -> dict[int, bench.Past]:
    """Item → the value told last before this report, to see what changed."""
    past = bench.history(uow, told.patient_id, [line["item_id"] for line in told.lines], 4, told.specimen_id)
    found = {item: next((p for p in values if p.at < told.released_at), None) for item, values in past.items()}
    return {item: value for item, value in found.items() if value is not None}
