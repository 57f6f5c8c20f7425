"""Read-only looks of the bench: one tube with its history, what a report is made of. The list beside it is listing.py, the patient's
other tubes past.py, the shapes of all of it shown.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Row, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import facts, followup, measure, pictures, rules
from cloud.modules.bench.facts import Request, Tube
from cloud.modules.bench.followup import FollowRow, reruns_asked
from cloud.modules.bench.listing import Line, Show, names, open_counts, page
from cloud.modules.bench.measure import notes_from
from cloud.modules.bench.past import Coming, coming, history, last_told
from cloud.modules.bench.pictures import MAX_PRINTED, Print, printed
from cloud.modules.bench.reread import Difference, Said, latest_told, open_count, open_tests, reread, state_word
from cloud.modules.bench.rules import TestState
from cloud.modules.bench.shown import Detail, Past, Shown, TestLine
from cloud.modules.catalog import queries as md
from cloud.modules.platform import glass
from cloud.modules.qc import queries as qc
from cloud.web.principal import Principal
from common import values
from common.errors import UserError
from common.say import say

_SHOWN = tuple(each.name for each in fields(Shown))
_VERSIONS = text(f"SELECT {', '.join(_SHOWN)} FROM result_version WHERE tenant_id = :t AND id = ANY(:ids)")

# A test with the version that counts, in one question.
_TESTS = text(f"""
SELECT t.id, t.specimen_id, t.item_id, t.state, t.version, t.no_result_reason, t.order_item_id, t.current_id, t.pending_id, t.notes,
       EXISTS (SELECT 1 FROM follow_up f WHERE f.tenant_id = :t AND f.specimen_id = t.specimen_id) AS followed,
       {", ".join(f"v.{name} AS v_{name}" for name in _SHOWN)}
FROM test t LEFT JOIN result_version v ON v.tenant_id = t.tenant_id AND v.id = t.current_id
WHERE t.tenant_id = :t AND t.specimen_id = ANY(:ids)
""")


_TUBE = text(f"""
SELECT {facts.COLUMNS}, coalesce(b.state, 'waiting') AS standing, coalesce(b.revision, 0) AS revision,
       EXISTS (SELECT 1 FROM run_picture r WHERE r.tenant_id = b.tenant_id AND r.specimen_id = b.specimen_id) AS drawn
{facts.FROM} LEFT JOIN bench_tube b ON b.tenant_id = sp.tenant_id AND b.specimen_id = sp.id
WHERE sp.tenant_id = :t AND sp.id = :i
""")


def tests_of(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, list[TestLine]]:
    """Specimen id → its tests in print order, with the versions that count and wait."""
    ids = list(specimen_ids)
    if not ids:
        return {}
    catalog = md.catalog(uow)
    found = uow.s.execute(_TESTS, {"t": uow.tenant_id, "ids": ids}).all()
    versions = {r.current_id: Shown(*r[-len(_SHOWN) :]) for r in found if r.current_id is not None}
    wanted = [r.pending_id for r in found if r.pending_id is not None]
    if wanted:
        versions |= {r.id: Shown(*r) for r in uow.s.execute(_VERSIONS, {"t": uow.tenant_id, "ids": wanted})}
    follow = followup.load(uow, {r.specimen_id for r in found if r.followed})
    out: dict[int, list[TestLine]] = {i: [] for i in ids}
    for r in found:
        mine = [f for f in follow.get(r.specimen_id, ()) if f.test_id == r.id]
        out[r.specimen_id].append(_line(r, catalog.items[r.item_id], versions, mine))
    for rows in out.values():
        rows.sort(key=lambda t: (t.item.print_order, t.item.id))
    return out


def _line(r: Row[Any], item: md.ItemRow, versions: dict[int, Shown], follow: list[FollowRow]) -> TestLine:
    current, pending, notes = versions.get(r.current_id or 0), versions.get(r.pending_id or 0), measure.notes_from(r.notes)
    state = TestState(r.state)
    return TestLine(r.id, r.specimen_id, item, state, r.version, r.no_result_reason, r.order_item_id, current, pending, notes, follow)


def tube(uow: UnitOfWork, specimen_id: int, past: int = 3) -> Detail | None:
    """A tube with its tests and the last told values of each item, or None."""
    row = uow.s.execute(_TUBE, {"t": uow.tenant_id, "i": specimen_id}).one_or_none()
    if row is None:
        return None
    found = facts.tube_of(row)
    tests = tests_of(uow, [specimen_id])[specimen_id]
    before = history(uow, found.patient_id, [t.item.id for t in tests], past, specimen_id) if past else {}
    for test in tests:
        test.history.extend(before.get(test.item.id, ()))
    requests = facts.requests(uow, [specimen_id]).get(specimen_id, [])
    drawn = pictures.of_tube(uow, specimen_id) if row.drawn else []
    return Detail(found, age_text(found, uow.now), row.standing, row.revision, tests, requests, drawn, gates=_gates(uow, tests))


def _gates(uow: UnitOfWork, tests: Iterable[TestLine]) -> dict[int, qc.Gate]:
    """Test id → the state of its quality control (M11), in one question for the tube."""
    live = [(t.id, t.item.id, t.current) for t in tests if t.current is not None and t.state is not TestState.CANCELLED]
    # What was typed or calculated has no analyzer to be in control.
    shown = [(test, item, c) for test, item, c in live if c.analyzer_id is not None]
    asks = {test: qc.Ask(item, c.analyzer_id, c.run_at or c.at, c.id) for test, item, c in shown}
    gates = qc.gate_state(uow, asks.values()) if asks else {}
    return {test: gates[ask] for test, ask in asks.items()}


@dataclass(frozen=True, slots=True)
class Machine:
    """An analyzer of the section as the bench's strip shows it: how many of its items are out, to be looked at, in control."""

    name: str
    bad: int
    warn: int
    ok: int
    why: tuple[str, ...]

    @property
    def light(self) -> str:
        """bad, warn or ok: the worst of its items."""
        return "bad" if self.bad else "warn" if self.warn else "ok"


def machines(uow: UnitOfWork, section_id: int) -> list[Machine]:
    """The quality control of a section's analyzers, the worst first; those without a plan are absent."""
    analyzers, out = md.catalog(uow).analyzers, []
    for analyzer_id, tiles in qc.tiles(uow).items():
        if analyzers[analyzer_id].section_id == section_id:
            n = {light: sum(t.light == light for t in tiles) for light in ("bad", "warn", "ok")}
            why = tuple(f"{t.item.name}：{t.gate.reason or t.word}" for t in tiles if t.light != "ok")
            out.append(Machine(analyzers[analyzer_id].name, n["bad"], n["warn"], n["ok"], why))
    return sorted(out, key=lambda m: (-m.bad, -m.warn, m.name))


def differential(detail: Detail) -> list[TestLine]:
    """The tube's tests that a manual differential counts, in print order."""
    return [t for t in detail.tests if t.item.code in measure.DIFFERENTIAL and t.state in rules.OPEN_STATES]


@dataclass(frozen=True, slots=True)
class Rival:
    """A test with two values to choose from, the earlier first; ``apart``: absolute and per cent; ``undisputed``: measure's word."""

    test: TestLine
    first: Shown
    second: Shown
    apart: tuple[Decimal, Decimal | None] | None
    undisputed: bool


def rivals(uow: UnitOfWork, detail: Detail) -> list[Rival]:
    """The tube's tests with two values, in print order."""
    catalog, out = md.catalog(uow), list[Rival]()
    percent, absolute = (Decimal(str(catalog.setting("bench", k, v))) for k, v in (("rerun_percent", 5), ("rerun_absolute", 0)))
    for test in detail.tests:
        if test.pending is None or test.current is None or test.state not in rules.OPEN_STATES:
            continue
        first, second = sorted((test.current, test.pending), key=lambda v: v.version_no)
        one, two = (measure.Side(values.parse(v.reported_text), v.flag, v.critical, tuple(v.alarms)) for v in (first, second))
        # A confirmation is decided item by item, whatever its values say (R5); so is what a third value speaks against.
        confirming = test.rerun is not None and test.rerun.kind is measure.Kind.CONFIRM
        same = not confirming and not test.others and measure.undisputed(one, two, measure.RerunRule(absolute, percent))
        out.append(Rival(test, first, second, measure.difference(one.value, two.value), same))
    return out


_ANSWERS = (("value", "v"), ("again", "again"), ("sure", "sure"), ("reason", "reason"))


def entered(
    uow: UnitOfWork, specimen_id: int, written: Iterable[int], asked: Mapping[int, UserError], form: Mapping[str, str]
) -> dict[str, Any]:
    """What the page shows after values were typed: the lines that were saved or must be answered first, with what was typed in them."""
    detail = tube(uow, specimen_id)
    assert detail is not None, "values were just written for it"
    section = md.catalog(uow).sections[detail.tube.section_id]
    typed = {i: {k: form.get(f"{f}-{i}", "") for k, f in _ANSWERS} for i in asked}
    touched = {*written, *asked}
    lines = [t for t in detail.tests if t.id in touched]
    return {"section": section, "detail": detail, "now": uow.now, "asked": asked, "typed": typed, "touched": lines}


def details_of(uow: UnitOfWork, specimen_ids: Iterable[int], gates: bool = False) -> dict[int, Detail]:
    """Tubes with their tests and requests, without history, a few statements for all of them; for rules that look at many. ``gates``:
    with the quality control behind each value."""
    found = facts.tubes(uow, specimen_ids)
    tests, asked = tests_of(uow, found), facts.requests(uow, found)
    lights = _gates(uow, [t for lines in tests.values() for t in lines]) if gates else {}
    return {i: Detail(t, age_text(t, uow.now), "", 0, tests[i], asked.get(i, []), gates=lights) for i, t in found.items()}


def contradictions(detail: Detail) -> list[measure.Contradiction]:
    """Values of the tube that cannot all be right (R8), as it was loaded."""
    found: dict[str, Decimal] = {}
    for test in detail.tests:
        if test.current is not None and test.state is not TestState.CANCELLED and test.item.result_type == "numeric":
            value = values.parse(test.current.reported_text)
            if value.number is not None and not value.comparator:
                found[test.item.code] = measure.comparable(test.item.code, value.number, test.current.unit)
    return measure.contradictions(found)


def whole(uow: UnitOfWork, section_id: int, limit: int) -> list[Line]:
    """The first tubes of a section whose values are all there, urgent first."""
    return page(uow, section_id, Show.READY, limit=limit)


def first_versions(uow: UnitOfWork, test_ids: Sequence[int]) -> dict[int, Shown]:
    """Test id → what was first measured, whatever counts today."""
    if not test_ids:
        return {}
    query = text(_VERSIONS.text.replace("id = ANY(:ids)", "version_no = 1 AND test_id = ANY(:ids)"))
    return {r.test_id: Shown(*r) for r in uow.s.execute(query, {"t": uow.tenant_id, "ids": list(test_ids)})}


_ENDED = text("SELECT item_id FROM test WHERE tenant_id = :t AND specimen_id = :s AND state = 'cancelled'")


def ended_items(uow: UnitOfWork, specimen_id: int) -> set[int]:
    """Items whose tests on this tube were cancelled: that is for good."""
    return set(uow.s.scalars(_ENDED, {"t": uow.tenant_id, "s": specimen_id}))


def requests_of(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, list[Request]]:
    """Specimen id → the request lines behind it."""
    return facts.requests(uow, specimen_ids)


def barcodes(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, str]:
    """Tube → its number."""
    rows = uow.s.execute(
        text("SELECT id, barcode FROM specimen WHERE tenant_id = :t AND id = ANY(:ids)"), {"t": uow.tenant_id, "ids": list(specimen_ids)}
    )
    return {r.id: r.barcode for r in rows}


def age_text(tube: Tube, now: datetime) -> str:
    """The patient's age at collection, as printed."""
    age = md.subject_age(tube.birth, tube.age_text, tube.collected_at or tube.received_at or now)
    return age.text() if age is not None else tube.age_text or ""


@dataclass(frozen=True, slots=True)
class Again:
    """A line of the rerun and dilution log."""

    row: FollowRow
    item: str
    barcode: str
    name: str
    first: Shown | None
    second: Shown | None


def follow_up(uow: UnitOfWork, follow_id: int) -> FollowRow | None:
    """What is done on top of a result, by id."""
    return followup.one(uow, follow_id)


def reruns(
    uow: UnitOfWork, section_id: int, *, open_only: bool = False, before: int = 0, which: followup.Which | None = None, limit: int = 100
) -> list[Again]:
    """A page of a section's reruns, dilutions and added items with both values, newest first."""
    rows = followup.of_section(uow, section_id, which or followup.Which("open" if open_only else ""), before, limit)
    tubes = facts.tubes(uow, {r.specimen_id for r in rows})
    ids = [i for r in rows for i in (r.first_id, r.second_id) if i is not None]
    versions = {r.id: Shown(*r) for r in uow.s.execute(_VERSIONS, {"t": uow.tenant_id, "ids": ids})} if ids else {}
    items = md.catalog(uow).items
    return [
        Again(
            r,
            items[r.item_id].name,
            tubes[r.specimen_id].barcode,
            tubes[r.specimen_id].name,
            versions.get(r.first_id or 0),
            versions.get(r.second_id or 0),
        )
        for r in rows
    ]


def shut_items(uow: UnitOfWork, who: Principal, rows: Sequence[Again]) -> set[int]:
    """Of these lines those of a sensitive item that is shut to a person (M01 R8): their ids."""
    items = md.catalog(uow).items
    secret = [a.row for a in rows if items[a.row.item_id].sensitive]
    shut = shut_tubes(uow, who, {r.specimen_id for r in secret})
    return {r.id for r in secret if r.specimen_id in shut}


def part_of_log(only: str, item_id: int, kind: str, first: str, last: str) -> followup.Which:
    """The part of the log of reruns that a page asks for. UserError invalid for what it has no word for."""
    try:
        days = [datetime.combine(date.fromisoformat(day), time(), md.HOSPITAL_ZONE) if day else None for day in (first, last)]
    except ValueError as error:
        raise UserError("invalid", say("日期请写成 2026-11-22。"), field="from") from error
    if only not in followup.COUNTED or kind not in ("", *measure.Kind):
        raise UserError("invalid", say("请从检验统计上选择数字。"), field="only")
    return followup.Which(only, item_id, kind, days[0], None if days[1] is None else days[1] + timedelta(days=1))


def find(uow: UnitOfWork, barcode: str) -> tuple[int, int] | None:
    """(specimen, section) of a tube on the bench by its barcode."""
    query = text("SELECT specimen_id, section_id FROM bench_tube WHERE tenant_id = :t AND barcode = :c")
    row = uow.s.execute(query, {"t": uow.tenant_id, "c": barcode}).one_or_none()
    return None if row is None else (row.specimen_id, row.section_id)


def section_of_tube(uow: UnitOfWork, specimen_id: int) -> int | None:
    """The section whose bench a tube lies on."""
    query = text("SELECT section_id FROM bench_tube WHERE tenant_id = :t AND specimen_id = :i")
    return uow.s.execute(query, {"t": uow.tenant_id, "i": specimen_id}).scalar_one_or_none()


def state_of(uow: UnitOfWork, specimen_id: int) -> str | None:
    """Where a tube stands on the bench."""
    query = text("SELECT state FROM bench_tube WHERE tenant_id = :t AND specimen_id = :i")
    return uow.s.execute(query, {"t": uow.tenant_id, "i": specimen_id}).scalar_one_or_none()


def specimen_of_test(uow: UnitOfWork, test_id: int) -> int | None:
    """The tube of a test."""
    query = text("SELECT specimen_id FROM test WHERE tenant_id = :t AND id = :i")
    return uow.s.execute(query, {"t": uow.tenant_id, "i": test_id}).scalar_one_or_none()


_SECTION_OF = {
    table: text(f"SELECT section_id FROM {table} WHERE tenant_id = :t AND id = :i")
    for table in ("test", "specimen", "follow_up", "confirmation")
}


def in_sections(uow: UnitOfWork, own: frozenset[str], what: Literal["test", "specimen", "follow_up", "confirmation"], row_id: int) -> bool:
    """Whether a row of the bench is of one of these sections; none listed is all of them, and nothing is asked."""
    if not own:
        return True
    section = uow.s.execute(_SECTION_OF[what], {"t": uow.tenant_id, "i": row_id}).scalar_one_or_none()
    return section is not None and md.catalog(uow).sections[section].code in own


def basis(tests: Iterable[tuple[int, int | None]]) -> str:
    """What somebody looked at, in one word: the tests and the versions that counted."""
    return ",".join(f"{test}:{version or 0}" for test, version in sorted(tests))


def mark(flag: str, critical: bool) -> str:
    """↑ ↓ 危↑ … of a stored flag, for those who hold only the data."""
    return rules.mark(flag, critical)


def open_to(uow: UnitOfWork, who: Principal, detail: Detail) -> Detail:
    """The tube as this person may see it (M01 R8): without sensitive items where they are shut, ``hidden`` counts them."""
    shut = sum(t.item.sensitive for t in detail.tests)
    if not shut or glass.may_see_sensitive(uow, who, detail.tube.patient_id):
        return detail
    # Whose picture it is, no message says: with a sensitive item in the tube they all stay shut.
    return replace(detail, tests=[t for t in detail.tests if not t.item.sensitive], pictures=[], hidden=shut)


_SENSITIVE = text("""
SELECT DISTINCT t.specimen_id, b.patient_id FROM test t
JOIN test_item i ON i.tenant_id = t.tenant_id AND i.id = t.item_id AND i.sensitive
JOIN bench_tube b ON b.tenant_id = t.tenant_id AND b.specimen_id = t.specimen_id
WHERE t.tenant_id = :t AND t.specimen_id = ANY(:ids)
""")


def sensitive_tubes(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, int]:
    """Of these tubes, those with a sensitive item, each with its patient."""
    return {r.specimen_id: r.patient_id for r in uow.s.execute(_SENSITIVE, {"t": uow.tenant_id, "ids": list(specimen_ids)})}


def shut_tubes(uow: UnitOfWork, who: Principal, specimen_ids: Iterable[int]) -> set[int]:
    """Of these tubes, those with a sensitive item shut to a person (M01 R8); costs nothing for who may see them."""
    ids = list(specimen_ids)
    if not ids or who.may(glass.Perm.SENSITIVE):
        return set()
    found = sensitive_tubes(uow, ids)
    shut = glass.shut_patients(uow, who, set(found.values()))
    return {specimen for specimen, patient in found.items() if patient in shut}


__all__ = [
    "MAX_PRINTED",
    "Again",
    "Coming",
    "Detail",
    "Difference",
    "Line",
    "Past",
    "Print",
    "Request",
    "Rival",
    "Said",
    "Shown",
    "TestLine",
    "TestState",
    "Tube",
    "age_text",
    "basis",
    "coming",
    "contradictions",
    "ended_items",
    "find",
    "follow_up",
    "history",
    "last_told",
    "latest_told",
    "machines",
    "mark",
    "names",
    "notes_from",
    "open_count",
    "open_counts",
    "open_tests",
    "printed",
    "requests_of",
    "reread",
    "reruns",
    "reruns_asked",
    "rivals",
    "section_of_tube",
    "sensitive_tubes",
    "shut_tubes",
    "specimen_of_test",
    "state_word",
    "tests_of",
    "tube",
    "whole",
]
