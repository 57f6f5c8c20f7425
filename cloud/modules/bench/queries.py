"""Read-only looks of the bench: one tube with its history, what a report is made of. The list beside it is listing.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import facts, followup, measure, pictures, rules
from cloud.modules.bench.facts import Request, Tube
from cloud.modules.bench.followup import FollowRow
from cloud.modules.bench.pictures import MAX_PRINTED, Print, printed
from cloud.modules.bench.reread import Difference, Said, open_count, reread
from cloud.modules.bench.rules import TestState
from cloud.modules.catalog import queries as md
from common.errors import UserError


@dataclass(frozen=True, slots=True)
class Shown:
    """A result version as pages and reports show it."""

    id: int
    test_id: int
    version_no: int
    source: str
    analyzer_id: int | None
    raw_text: str
    comparator: str
    value: Decimal | None
    reported_text: str
    unit: str
    flag: str
    critical: bool
    ref_text: str
    instrument_flags: list[str]
    holds: list[dict[str, str]]
    run_at: datetime | None
    at: datetime
    entered_by: int | None
    reason: str
    released_at: datetime | None
    snapshot: dict[str, Any]

    @property
    def mark(self) -> str:
        """↑ ↓ 危↑ …"""
        return rules.mark(self.flag, self.critical)

    @property
    def alarms(self) -> list[str]:
        """The instrument's own warnings."""
        return list(self.snapshot.get("alarm", ()))


@dataclass(frozen=True, slots=True)
class TestLine:
    """One item of one tube with what counts, what waits, and what was before."""

    __test__ = False

    id: int
    specimen_id: int
    item: md.ItemRow
    state: TestState
    version: int
    no_result_reason: str
    order_item_id: int | None
    current: Shown | None
    pending: Shown | None
    notes: list[measure.Note] = field(default_factory=list)
    follow: list[FollowRow] = field(default_factory=list)
    history: list[Past] = field(default_factory=list)

    @property
    def word(self) -> str:
        """The state in words."""
        return rules.STATE_WORDS[self.state]

    @property
    def index(self) -> bool:
        """Whether it is a serum index: shown with the tube, on no report."""
        return self.item.code.startswith(md.HIL_PREFIX)

    @property
    def waits(self) -> list[FollowRow]:
        """What is still to be done on top of it."""
        return [f for f in self.follow if f.open]

    @property
    def rerun(self) -> FollowRow | None:
        """The open rerun or confirmation."""
        return next((f for f in self.waits if f.again), None)

    @property
    def by_key(self) -> bool:
        """Whether one key may accept its holds."""
        return self.pending is None and self.rerun is None and not any(n.code in measure.NOT_BY_KEY for n in self.notes)

    @property
    def suppressed(self) -> str:
        """Why its value must not be told at all; "" when it may."""
        return next((n.told or n.text for n in self.notes if n.code is measure.NoteCode.HIL_REJECT), "")

    @property
    def told(self) -> list[str]:
        """What the report says beside the value."""
        return [n.told for n in self.notes if n.told and not n.holds]


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier told value of the same patient and item."""

    at: datetime
    reported_text: str
    flag: str
    critical: bool
    value: Decimal | None
    unit: str = ""
    method: str = ""
    low: Decimal | None = None
    high: Decimal | None = None
    ref_text: str = ""

    @property
    def mark(self) -> str:
        """↑ ↓ 危↑ …"""
        return rules.mark(self.flag, self.critical)


@dataclass(frozen=True, slots=True)
class Detail:
    """A tube as the bench opens it."""

    tube: Tube
    age: str
    state: str
    revision: int
    tests: list[TestLine]
    requests: list[Request]
    pictures: list[pictures.Shown] = field(default_factory=list)
    prints: list[Print] = field(default_factory=list)
    """What its report prints beside the results."""

    @property
    def held(self) -> list[TestLine]:
        """Tests that wait for a decision."""
        return [t for t in self.tests if t.state is TestState.HELD or t.pending is not None]

    @property
    def indices(self) -> list[TestLine]:
        """Serum indices that were measured."""
        return [t for t in self.tests if t.index and t.current is not None]

    @property
    def repeatable(self) -> list[TestLine]:
        """Tests that may be measured again."""
        may = [t for t in self.tests if t.state in (TestState.RECEIVED, TestState.HELD) and not t.index and t.rerun is None]
        return [t for t in may if t.current is not None and t.current.source != "calc" and t.pending is None]

    @property
    def acceptable(self) -> list[TestLine]:
        """Held tests with a value and no rival: one key accepts them together."""
        alone = [t for t in self.held if t.state is TestState.HELD and t.by_key]
        return [t for t in alone if t.current is not None and t.current.reported_text]


_TESTS = text("""
SELECT t.id, t.specimen_id, t.item_id, t.state, t.version, t.no_result_reason, t.order_item_id, t.current_id, t.pending_id, t.notes,
       EXISTS (SELECT 1 FROM follow_up f WHERE f.tenant_id = :t AND f.specimen_id = t.specimen_id) AS followed
FROM test t WHERE t.tenant_id = :t AND t.specimen_id = ANY(:ids)
""")

_VERSIONS = text("""
SELECT id, test_id, version_no, source, analyzer_id, raw_text, comparator, value, reported_text, unit, flag, critical, ref_text,
       instrument_flags, holds, run_at, at, entered_by, reason, released_at, snapshot
FROM result_version WHERE tenant_id = :t AND id = ANY(:ids)
""")

_HISTORY = text("""
SELECT i.item_id, h.run_at, h.at, h.reported_text, h.flag, h.critical, h.value, h.unit, h.snapshot, h.ref_text
FROM unnest(CAST(:items AS bigint[])) AS i(item_id)
CROSS JOIN LATERAL (
  SELECT v.run_at, v.at, v.reported_text, v.flag, v.critical, v.value, v.unit, v.snapshot, v.ref_text FROM result_version v
  JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id AND t.current_id = v.id AND t.state IN ('released','amended')
  WHERE v.tenant_id = :t AND v.patient_id = :p AND v.item_id = i.item_id AND v.released_at IS NOT NULL AND t.specimen_id <> :not_this
  ORDER BY v.at DESC LIMIT :n
) h
""")


_STANDING = text("""
SELECT b.state, b.revision, EXISTS (SELECT 1 FROM run_picture p WHERE p.tenant_id = b.tenant_id AND p.specimen_id = b.specimen_id) AS drawn
FROM bench_tube b WHERE b.tenant_id = :t AND b.specimen_id = :i
""")


def tests_of(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, list[TestLine]]:
    """Specimen id → its tests in print order, with the versions that count and wait."""
    ids = list(specimen_ids)
    if not ids:
        return {}
    catalog = md.catalog(uow)
    found = uow.s.execute(_TESTS, {"t": uow.tenant_id, "ids": ids}).all()
    wanted = [v for r in found for v in (r.current_id, r.pending_id) if v is not None]
    versions = {r.id: Shown(*r) for r in uow.s.execute(_VERSIONS, {"t": uow.tenant_id, "ids": wanted})} if wanted else {}
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
    found = facts.tubes(uow, [specimen_id]).get(specimen_id)
    if found is None:
        return None
    row = uow.s.execute(_STANDING, {"t": uow.tenant_id, "i": specimen_id}).one_or_none()
    tests = tests_of(uow, [specimen_id])[specimen_id]
    before = history(uow, found.patient_id, [t.item.id for t in tests], past, specimen_id) if past else {}
    for test in tests:
        test.history.extend(before.get(test.item.id, ()))
    requests = facts.requests(uow, [specimen_id]).get(specimen_id, [])
    state, revision = (row.state, row.revision) if row is not None else ("waiting", 0)
    drawn = pictures.of_tube(uow, specimen_id) if row is not None and row.drawn else []
    return Detail(found, age_text(found, uow.now), state, revision, tests, requests, drawn)


def differential(detail: Detail) -> list[TestLine]:
    """The tube's tests that a manual differential counts, in print order."""
    return [t for t in detail.tests if t.item.code in measure.DIFFERENTIAL and t.state in rules.OPEN_STATES]


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


def details_of(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, Detail]:
    """Tubes with their tests and requests, without history, a few statements for all of them; for rules that look at many."""
    found = facts.tubes(uow, specimen_ids)
    tests, asked = tests_of(uow, found), facts.requests(uow, found)
    return {i: Detail(t, age_text(t, uow.now), "", 0, tests[i], asked.get(i, [])) for i, t in found.items()}


def first_versions(uow: UnitOfWork, test_ids: Sequence[int]) -> dict[int, Shown]:
    """Test id → what was first measured, whatever counts today."""
    if not test_ids:
        return {}
    query = text(_VERSIONS.text.replace("id = ANY(:ids)", "version_no = 1 AND test_id = ANY(:ids)"))
    return {r.test_id: Shown(*r) for r in uow.s.execute(query, {"t": uow.tenant_id, "ids": list(test_ids)})}


def requests_of(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, list[Request]]:
    """Specimen id → the request lines behind it."""
    return facts.requests(uow, specimen_ids)


def age_text(tube: Tube, now: datetime) -> str:
    """The patient's age at collection, as printed."""
    age = md.subject_age(tube.birth, tube.age_text, tube.collected_at or tube.received_at or now)
    return age.text() if age is not None else tube.age_text or ""


def history(uow: UnitOfWork, patient_id: int, item_ids: Sequence[int], n: int, not_this: int = 0) -> dict[int, list[Past]]:
    """Item id → the last ``n`` told values of a patient, newest first; recalled ones are not told any more."""
    params = {"t": uow.tenant_id, "p": patient_id, "items": list(item_ids), "n": n, "not_this": not_this}
    out: dict[int, list[Past]] = {}
    for r in uow.s.execute(_HISTORY, params):
        low, high = _limits(r.snapshot)
        at, method = r.run_at or r.at, r.snapshot.get("method", "")
        past = Past(at, r.reported_text, r.flag, r.critical, r.value, r.unit, method, low, high, r.ref_text)
        out.setdefault(r.item_id, []).append(past)
    return out


def _limits(snapshot: dict[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    interval = snapshot.get("interval") or [None, None, None]
    low, high = interval[1], interval[2]
    return (None if low is None else Decimal(low)), (None if high is None else Decimal(high))


def last_told(uow: UnitOfWork, patient_id: int, item_ids: Sequence[int]) -> dict[int, Decimal | None]:
    """The patient's last told number of each item, to hint at a slip of the unit."""
    return {item: past[0].value for item, past in history(uow, patient_id, item_ids, 1).items() if past}


@dataclass(frozen=True, slots=True)
class Coming:
    """A tube of a patient that has not been told yet."""

    specimen_id: int
    barcode: str
    section: str
    state: str
    tube_state: str
    urgent: bool
    items: str
    collected_at: datetime | None
    received_at: datetime | None


_COMING = text("""
SELECT sp.id, sp.barcode, sp.section_id, sp.state, coalesce(b.state, 'waiting') AS tube_state, sp.priority = 'stat' AS urgent,
       (SELECT string_agg(DISTINCT os.name, '、') FROM order_item oi
          JOIN order_set os ON os.tenant_id = oi.tenant_id AND os.id = oi.order_set_id
         WHERE oi.tenant_id = sp.tenant_id AND oi.specimen_id = sp.id) AS items,
       sp.collected_at, sp.received_at
FROM specimen sp LEFT JOIN bench_tube b ON b.tenant_id = sp.tenant_id AND b.specimen_id = sp.id
WHERE sp.tenant_id = :t AND sp.patient_id = :p AND sp.state NOT IN ('released','archived','discarded','cancelled')
  AND coalesce(b.state, 'waiting') NOT IN ('released','closed')
ORDER BY sp.id DESC LIMIT 30
""")


def coming(uow: UnitOfWork, patient_id: int) -> list[Coming]:
    """What is still to come for a patient, newest first."""
    sections = md.catalog(uow).sections
    rows = uow.s.execute(_COMING, {"t": uow.tenant_id, "p": patient_id})
    return [
        Coming(r.id, r.barcode, sections[r.section_id].name, r.state, r.tube_state, r.urgent, r.items or "", r.collected_at, r.received_at)
        for r in rows
    ]


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


def reruns(uow: UnitOfWork, section_id: int, *, open_only: bool, before: int = 0) -> list[Again]:
    """A page of a section's reruns, dilutions and added items with both values, newest first."""
    rows = followup.of_section(uow, section_id, open_only=open_only, before=before)
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


def find(uow: UnitOfWork, barcode: str) -> tuple[int, int] | None:
    """(specimen, section) of a tube on the bench by its barcode."""
    query = text("SELECT specimen_id, section_id FROM bench_tube WHERE tenant_id = :t AND barcode = :c")
    row = uow.s.execute(query, {"t": uow.tenant_id, "c": barcode}).one_or_none()
    return None if row is None else (row.specimen_id, row.section_id)


def section_of_tube(uow: UnitOfWork, specimen_id: int) -> int | None:
    """The section whose bench a tube lies on."""
    query = text("SELECT section_id FROM bench_tube WHERE tenant_id = :t AND specimen_id = :i")
    return uow.s.execute(query, {"t": uow.tenant_id, "i": specimen_id}).scalar_one_or_none()


def specimen_of_test(uow: UnitOfWork, test_id: int) -> int | None:
    """The tube of a test."""
    query = text("SELECT specimen_id FROM test WHERE tenant_id = :t AND id = :i")
    return uow.s.execute(query, {"t": uow.tenant_id, "i": test_id}).scalar_one_or_none()


def basis(tests: Iterable[tuple[int, int | None]]) -> str:
    """What somebody looked at, in one word: the tests and the versions that counted."""
    return ",".join(f"{test}:{version or 0}" for test, version in sorted(tests))


def mark(flag: str, critical: bool) -> str:
    """↑ ↓ 危↑ … of a stored flag, for those who hold only the data."""
    return rules.mark(flag, critical)


__all__ = [
    "MAX_PRINTED",
    "Again",
    "Coming",
    "Detail",
    "Difference",
    "Past",
    "Print",
    "Request",
    "Said",
    "Shown",
    "TestLine",
    "TestState",
    "Tube",
    "age_text",
    "basis",
    "coming",
    "find",
    "follow_up",
    "history",
    "last_told",
    "mark",
    "open_count",
    "printed",
    "requests_of",
    "reread",
    "reruns",
    "section_of_tube",
    "specimen_of_test",
    "tests_of",
    "tube",
]
