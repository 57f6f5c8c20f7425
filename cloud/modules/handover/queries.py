"""What is open in a section at a shift's start and end, its hand-over notes, its day log with the day's figures. Read-only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Row, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import queries as autoverify
from cloud.modules.bench import queries as bench
from cloud.modules.catalog import queries as md
from cloud.modules.critical import queries as critical
from cloud.modules.edge import queries as edge
from cloud.modules.equipment import queries as equipment
from cloud.modules.handover.models import DayEntry, HandoverNote
from cloud.modules.handover.rules import Code, Figure, State, figure
from cloud.modules.qc import queries as qc
from cloud.modules.reagents import queries as reagents
from cloud.modules.reports import queries as reports
from cloud.modules.scheduling import queries as scheduling
from cloud.modules.servicedesk import queries as desk
from common.say import say, word

SOON = timedelta(hours=24)
PAGE = 30
CALIBRATION = {"none": say("无校准记录"), "failed": say("校准不合格"), "expired": say("校准已过期"), "soon": say("校准将到期")}
PACK = {"none": say("无在机试剂记录"), "unaccepted": say("批号未验证"), "expired": say("在机过期"), "soon": say("在机将到期")}


def figures(uow: UnitOfWork, section: md.SectionRow) -> list[Figure]:
    """All that is open in a section, in the order of the screen. Some twenty statements, whatever the day brought."""
    catalog, code = md.catalog(uow), section.code
    analyzers = {a.id: a.name for a in catalog.analyzers.values() if a.section_id == section.id and a.active}
    measured: dict[int, set[int]] = {a: set() for a in analyzers}
    for channel in catalog.channels.values():
        if channel.analyzer_id in measured and catalog.items[channel.item_id].active:
            measured[channel.analyzer_id].add(channel.item_id)
    counts = bench.open_counts(uow, [section.id])[section.id]
    reruns = bench.reruns(uow, section.id, open_only=True)
    faults = [f for per in equipment.faults(uow, analyzers, uow.now).values() for f in per]
    links = edge.troubled(uow, analyzers)
    return [
        *_quality(uow, analyzers, code),
        figure(Code.CALIBRATION, _calibrations(uow, catalog, measured, uow.now + SOON), "/eq/due"),
        figure(Code.REAGENT, _packs(uow, catalog, measured, uow.now + SOON), "/rg/open"),
        figure(Code.LINK, [say("{name} {state}", name=name, state=word(state)) for name, state in links], "/edge/board"),
        figure(Code.FAULT, [f"{analyzers[f.analyzer_id]} {f.symptom}" for f in faults], "/eq/due"),
        figure(Code.CRITICAL, [_told(uow, e) for e in critical.untold(uow, section.id)], f"/critical/board?section={code}&show=untold"),
        figure(Code.HELD, bench.names(uow, section.id, "held"), f"/bench/{code}?show=held", counts.held),
        figure(Code.LATE, bench.names(uow, section.id, "late"), f"/bench/{code}?show=late", counts.late),
        figure(
            Code.RERUN,
            [say("{code} {item}{state}", code=r.barcode, item=r.item, state=word(r.row.word)) for r in reruns],
            f"/bench/rerun?section={code}",
        ),
        figure(Code.REVIEW, [], f"/review/{code}", reports.count_waiting(uow, [section.id]).get(section.id, 0)),
        figure(Code.WAITING, [], f"/bench/{code}?show=all", counts.waiting),
        figure(Code.ORPHAN, [], "/edge/orphans", edge.counts(uow).tray),
        figure(Code.STOP, _stops(uow, catalog, section, analyzers), "/av/switch"),
        figure(Code.TICKET, [f"{t.id} {t.title}" for t in desk.listed(uow, section.id)], f"/desk?section={code}"),
    ]


def _quality(uow: UnitOfWork, analyzers: dict[int, str], code: str) -> list[Figure]:
    out: dict[bool, list[str]] = {True: [], False: []}
    for analyzer, tiles in qc.tiles(uow).items():
        for tile in tiles if analyzer in analyzers else ():
            state = tile.gate.state.value
            if state not in ("open", "no_plan"):
                named = {"item": tile.item.name, "analyzer": analyzers[analyzer], "state": word(tile.gate.word)}
                out[state == "overdue"].append(say("{item}（{analyzer}）{state}", **named))
    url = f"/qc/today?section={code}"
    return [figure(Code.QC_OUT, out[False], url), figure(Code.QC_DUE, out[True], url)]


def _items(catalog: md.Catalog, ids: Sequence[int]) -> str:
    return catalog.items[ids[0]].name if len(ids) == 1 else say("{n} 项", n=len(ids))


def _calibrations(uow: UnitOfWork, catalog: md.Catalog, measured: dict[int, set[int]], until: datetime) -> list[str]:
    due = equipment.due(uow, measured, until)
    return [
        say(
            "{analyzer} {items}{state}",
            analyzer=catalog.analyzers[d.analyzer_id].name,
            items=_items(catalog, d.items),
            state=CALIBRATION[d.why],
        )
        for d in due
    ]


def _packs(uow: UnitOfWork, catalog: md.Catalog, measured: dict[int, set[int]], until: datetime) -> list[str]:
    out: list[str] = []
    for e in reagents.ending(uow, measured, until):
        at = "" if e.until is None else f" {e.until.astimezone(md.HOSPITAL_ZONE):%m-%d %H:%M}"
        named = {"analyzer": catalog.analyzers[e.analyzer_id].name, "items": _items(catalog, e.items), "state": PACK[e.why]}
        out.append(say("{analyzer} {items}{lot} {state}{at}", lot=e.lot_no and f" {e.lot_no}", at=at, **named))
    return out


def _told(uow: UnitOfWork, event: Any) -> str:
    # What is handed over is read by the whole shift: a sensitive item stays unnamed (M01 R8).
    return event.patient_name if critical.is_sensitive(uow, event) else f"{event.patient_name} {event.item_name} {event.value_text}"


def _stops(uow: UnitOfWork, catalog: md.Catalog, section: md.SectionRow, analyzers: dict[int, str]) -> list[str]:
    out = []
    for stop in autoverify.open_stops(uow):
        item = catalog.items.get(stop.target_id or 0)
        mine = {
            "tenant": True,
            "section": stop.target_id == section.id,
            "analyzer": stop.target_id in analyzers,
            "item": item is not None and item.section_id == section.id,
        }
        if mine[stop.scope]:
            out.append(f"{stop.target_name} {stop.reason}")
    paused = [r for r in autoverify.sets(uow, section.id) if r.state == "suspended"]
    return out + [say("规则集 {number} 暂停：{reason}", number=r.number, reason=r.reason) for r in paused]


def on_duty(uow: UnitOfWork, section_id: int) -> list[scheduling.OnDuty]:
    """Who is on duty in the section now."""
    return scheduling.duty(uow, uow.now, [section_id])


# --- notes ----------------------------------------------------------------------------------------------------------


def open_note(uow: UnitOfWork, section_id: int) -> HandoverNote | None:
    """The section's note that is being written or waits for its receiver."""
    query = select(HandoverNote).where(HandoverNote.section_id == section_id, HandoverNote.state != State.RECEIVED.value)
    return uow.s.execute(query).scalar_one_or_none()


def past(uow: UnitOfWork, section_id: int, before: int | None = None) -> Sequence[HandoverNote]:
    """A page of what was handed over, newest first."""
    query = select(HandoverNote).where(HandoverNote.section_id == section_id, HandoverNote.state == State.RECEIVED.value)
    query = query.where(HandoverNote.id < before) if before else query
    return uow.s.execute(query.order_by(HandoverNote.id.desc()).limit(PAGE)).scalars().all()


def one(uow: UnitOfWork, section_id: int, note_id: int) -> HandoverNote | None:
    """A note of the section."""
    query = select(HandoverNote).where(HandoverNote.id == note_id, HandoverNote.section_id == section_id)
    return uow.s.execute(query).scalar_one_or_none()


def untaken(uow: UnitOfWork, before: datetime) -> Sequence[HandoverNote]:
    """Notes given before a moment that nobody signed for."""
    return (
        uow.s.execute(select(HandoverNote).where(HandoverNote.state == State.GIVEN.value, HandoverNote.given_at < before)).scalars().all()
    )


# --- the day log ----------------------------------------------------------------------------------------------------


def entries(uow: UnitOfWork, section_id: int, day: date) -> Sequence[DayEntry]:
    """A day's entries, oldest first."""
    query = select(DayEntry).where(DayEntry.section_id == section_id, DayEntry.day == day).order_by(DayEntry.id)
    return uow.s.execute(query).scalars().all()


def bounds(day: date) -> tuple[datetime, datetime]:
    """First moment of a local day and of the next."""
    start = datetime.combine(day, time(), md.HOSPITAL_ZONE)
    return start, datetime.combine(day + timedelta(days=1), time(), md.HOSPITAL_ZONE)


# The day in numbers. Plain SQL over published columns of other modules, as a day log must not cost a question a module.
# What opens a list is counted by that list's condition.
_DAY = text("""
SELECT
  (SELECT count(*) FROM bench_tube b WHERE b.tenant_id = :t AND b.section_id = :s AND b.received_at >= :a AND b.received_at < :b) AS tubes,
  told.released, told.auto,
  (SELECT count(*) FROM report_version v JOIN report r ON r.tenant_id = v.tenant_id AND r.id = v.report_id
    WHERE v.tenant_id = :t AND r.section_id = :s AND v.reason_class IS NOT NULL AND v.released_at >= :a AND v.released_at < :b) AS amended,
  (SELECT count(*) FROM follow_up f WHERE f.tenant_id = :t AND f.section_id = :s AND f.asked_at >= :a AND f.asked_at < :b)
    AS reruns,
  (SELECT count(*) FROM critical_event e WHERE e.tenant_id = :t AND e.section_id = :s AND e.found_at >= :a AND e.found_at < :b)
    AS criticals,
  (SELECT count(*) FROM qc_run q JOIN qc_plan p ON p.tenant_id = q.tenant_id AND p.id = q.plan_id
     JOIN analyzer a ON a.tenant_id = p.tenant_id AND a.id = p.analyzer_id
    WHERE q.tenant_id = :t AND a.section_id = :s AND q.at >= :a AND q.at < :b AND q.state <> 'trial') AS qc_runs,
  (SELECT count(*) FROM qc_run q JOIN qc_plan p ON p.tenant_id = q.tenant_id AND p.id = q.plan_id
     JOIN analyzer a ON a.tenant_id = p.tenant_id AND a.id = p.analyzer_id
    WHERE q.tenant_id = :t AND a.section_id = :s AND q.at >= :a AND q.at < :b AND q.state = 'rejected')
    AS qc_rejected,
  (SELECT count(*) FROM equipment_fault f JOIN analyzer a ON a.tenant_id = f.tenant_id AND a.id = f.analyzer_id
    WHERE f.tenant_id = :t AND a.section_id = :s AND f.started_at >= :a AND f.started_at < :b) AS faults
FROM (SELECT count(*) AS released, count(*) FILTER (WHERE r.auto) AS auto FROM report_version v
  JOIN report r ON r.tenant_id = v.tenant_id AND r.id = v.report_id
  WHERE v.tenant_id = :t AND r.section_id = :s AND v.released_at >= :a AND v.released_at < :b AND NOT v.preliminary
    AND v.reason_class IS NULL) AS told
""")


def day(uow: UnitOfWork, section_id: int, when: date) -> Row[Any]:
    """The section's day in numbers; one statement."""
    start, end = bounds(when)
    return uow.s.execute(_DAY, {"t": uow.tenant_id, "s": section_id, "a": start, "b": end}).one()


def handed(uow: UnitOfWork, section_id: int, when: date) -> Sequence[HandoverNote]:
    """Notes given on a day."""
    start, end = bounds(when)
    query = select(HandoverNote).where(HandoverNote.section_id == section_id, HandoverNote.given_at >= start, HandoverNote.given_at < end)
    return uow.s.execute(query.order_by(HandoverNote.id)).scalars().all()
