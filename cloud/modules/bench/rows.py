"""Bulk writes of the bench: a few statements whatever the number of rows, through arrays that PostgreSQL unnests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import TextClause, text

from cloud.db.arrays import literal
from cloud.db.session import UnitOfWork
from cloud.modules.bench.arrival_rules import Incoming, Known
from cloud.modules.bench.followup import FollowRow
from cloud.modules.bench.reading import Reading
from cloud.modules.bench.rules import Hold


@dataclass(slots=True)
class TestRow:
    """A test as loaded and then changed in memory; ``dirty`` rows are written back together."""

    __test__ = False

    id: int
    specimen_id: int
    item_id: int
    section_id: int
    state: str
    current_id: int | None
    pending_id: int | None
    version: int
    notes: list[dict[str, Any]]
    followed: bool = False
    """Whether its tube has follow-ups: most have none, and then nobody asks for them."""
    dirty: bool = False


@dataclass(slots=True)
class VersionRow:
    """A version as the deciding rules and the tube's sums need it."""

    id: int
    test_id: int
    known: Known
    flag: str
    critical: bool
    alarm: bool
    map: list[str] | None = None
    """Factor and offset of the channel, where it had any."""
    dilution: Decimal = Decimal(1)
    held: bool = False
    """Whether the reading itself held."""


_TESTS = text("""
SELECT id, specimen_id, item_id, section_id, state, current_id, pending_id, version, notes,
       EXISTS (SELECT 1 FROM follow_up f WHERE f.tenant_id = :t AND f.specimen_id = test.specimen_id) AS followed
FROM test WHERE tenant_id = :t AND specimen_id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE
""")

_VERSIONS = text("""
SELECT id, test_id, version_no, analyzer_id, source, raw_text, reported_text, unit, run_at, at, snapshot->>'stream' AS stream,
       (snapshot->>'seq')::bigint AS seq, flag, critical, snapshot ? 'alarm' AS alarm,
       snapshot->'map' AS map, snapshot->>'dilution' AS dilution, holds <> '[]'::jsonb AS held
FROM result_version WHERE tenant_id = :t AND test_id = ANY(:ids) ORDER BY id
""")


def load_tests(uow: UnitOfWork, specimen_ids: Sequence[int]) -> list[TestRow]:
    """All tests of the tubes, locked."""
    return [TestRow(*row) for row in uow.s.execute(_TESTS, {"t": uow.tenant_id, "ids": list(specimen_ids)})]


_ADD = text("""
INSERT INTO test (tenant_id, specimen_id, item_id, section_id, state, version)
SELECT :t, u.specimen_id, u.item_id, u.section_id, 'expected', 1
FROM unnest(CAST(:specimen AS bigint[]), CAST(:item AS bigint[]), CAST(:section AS bigint[])) AS u(specimen_id, item_id, section_id)
ON CONFLICT (tenant_id, specimen_id, item_id) DO UPDATE SET version = test.version
RETURNING id, specimen_id, item_id, section_id, state, current_id, pending_id, version, notes
""")


def add_tests(uow: UnitOfWork, wanted: Sequence[tuple[int, int, int]]) -> list[TestRow]:
    """Tests nobody ordered, as (tube, item, section), locked by their writing."""
    columns = {name: [row[i] for row in wanted] for i, name in enumerate(("specimen", "item", "section"))}
    return [TestRow(*row) for row in uow.s.execute(_ADD, {"t": uow.tenant_id, **columns})]


def load_versions(uow: UnitOfWork, test_ids: Sequence[int]) -> dict[int, list[VersionRow]]:
    """Test id → its versions, oldest first."""
    out: dict[int, list[VersionRow]] = {}
    if test_ids:
        for r in uow.s.execute(_VERSIONS, {"t": uow.tenant_id, "ids": list(test_ids)}):
            known = Known(r.version_no, r.analyzer_id, r.source, r.raw_text, r.reported_text, r.unit, r.run_at, r.at, r.stream, r.seq)
            out.setdefault(r.test_id, []).append(
                VersionRow(r.id, r.test_id, known, r.flag, r.critical, r.alarm, r.map, Decimal(r.dilution or 1), r.held)
            )
    return out


@dataclass(slots=True)
class NewVersion:
    """A version to insert."""

    test: TestRow
    version_no: int
    patient_id: int
    source: str
    reading: Reading
    at: datetime
    observation_id: int | None = None
    analyzer_id: int | None = None
    flags: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    holds: tuple[Hold, ...] = ()
    run_at: datetime | None = None
    entered_by: int | None = None
    reason: str = ""
    stream: str | None = None
    seq: int | None = None
    id: int = 0
    counts: bool = False
    waits: bool = False
    replaces: VersionRow | NewVersion | None = None
    answers: FollowRow | None = None
    """The rerun whose value this is."""

    @property
    def flag(self) -> str:
        """The reading's flag."""
        return self.reading.flag

    @property
    def critical(self) -> bool:
        """Whether the reading is critical."""
        return self.reading.critical

    @property
    def alarm(self) -> bool:
        """Whether the instrument itself warned."""
        return bool(self.alarms)

    @property
    def held(self) -> bool:
        """Whether the reading itself held."""
        return bool(self.holds)

    @property
    def known(self) -> Known:
        """As the deciding rules see it."""
        r = self.reading
        return Known(
            self.version_no, self.analyzer_id, self.source, r.raw_text, r.reported_text, r.unit, self.run_at, self.at, self.stream, self.seq
        )

    def beside(self) -> dict[str, Any]:
        """What is kept beside the rows a reading used: the message's place in its stream, the instrument's alarms."""
        extra: dict[str, Any] = {} if self.stream is None else {"stream": self.stream, "seq": self.seq}
        return extra | ({"alarm": list(self.alarms)} if self.alarms else {})


def from_instrument(test: TestRow, no: int, tube_patient: int, new: Incoming, reading: Reading, holds: tuple[Hold, ...], at: datetime,
                    alarms: tuple[str, ...]) -> NewVersion:  # fmt: skip
    """The version an instrument's result becomes."""
    return NewVersion(
        test, no, tube_patient, "analyzer", reading, at, new.observation_id, new.analyzer_id, new.flags, alarms, holds, new.run_at,
        stream=new.stream, seq=new.seq,
    )  # fmt: skip


_COLUMNS = (
    ("test_id", "bigint"), ("version_no", "int"), ("patient_id", "bigint"), ("item_id", "bigint"), ("source", "text"),
    ("observation_id", "bigint"), ("analyzer_id", "bigint"), ("raw_text", "text"), ("comparator", "text"), ("value", "numeric"),
    ("reported_text", "text"), ("unit", "text"), ("flag", "text"), ("critical", "boolean"), ("ref_text", "text"),
    ("instrument_flags", "jsonb"), ("holds", "jsonb"), ("run_at", "timestamptz"), ("at", "timestamptz"), ("entered_by", "bigint"),
    ("reason", "text"), ("snapshot", "jsonb"),
)  # fmt: skip


def _unnest(columns: Iterable[tuple[str, str]]) -> str:
    # jsonb travels as text: psycopg would have to be told about each element otherwise.
    return ", ".join(f"CAST(:{name} AS {'text' if kind == 'jsonb' else kind}[])" for name, kind in columns)


_INSERT = text(
    f"INSERT INTO result_version (tenant_id, {', '.join(n for n, _ in _COLUMNS)}) "
    f"SELECT :t, {', '.join(f'u.{n}::{k}' if k == 'jsonb' else f'u.{n}' for n, k in _COLUMNS)} "
    f"FROM unnest({_unnest(_COLUMNS)}) AS u({', '.join(n for n, _ in _COLUMNS)}) RETURNING id, test_id, version_no"
)


def insert_versions(uow: UnitOfWork, new: Sequence[NewVersion]) -> None:
    """Insert in one statement and give each its id."""
    if not new:
        return
    shared: dict[int, str] = {}
    table = [_values(v, shared) for v in new]
    params: dict[str, Any] = {name: literal([row[i] for row in table]) for i, (name, _) in enumerate(_COLUMNS)}
    ids = {(r.test_id, r.version_no): r.id for r in uow.s.execute(_INSERT, {"t": uow.tenant_id, **params})}
    for version in new:
        version.id = ids[version.test.id, version.version_no]


def _values(v: NewVersion, shared: dict[int, str]) -> tuple[Any, ...]:
    r = v.reading
    return (
        v.test.id, v.version_no, v.patient_id, v.test.item_id, v.source, v.observation_id, v.analyzer_id, r.raw_text, r.comparator,
        r.value, r.reported_text, r.unit, r.flag, r.critical, r.ref_text, _flags(v.flags), _json([h.to_json() for h in v.holds]),
        v.run_at, v.at, v.entered_by, v.reason, _snapshot(v, shared),
    )  # fmt: skip


def _snapshot(v: NewVersion, shared: dict[int, str]) -> str:
    """``v.snapshot()`` as JSON; what readings by the same rows share (one object, see Reader) is encoded once, by its identity."""
    base = shared.get(id(v.reading.snapshot))
    if base is None:
        base = shared[id(v.reading.snapshot)] = _json(v.reading.snapshot)
    own = _json(v.beside())
    return base if own == "{}" else own if base == "{}" else f"{base[:-1]}, {own[1:]}"


@lru_cache(maxsize=1024)
def _flags(flags: tuple[str, ...]) -> str:
    return _json(list(flags))


def _json(value: object) -> str:
    if value == []:  # flags and holds: mostly there are none
        return "[]"
    # NUL is the one character PostgreSQL cannot keep; the raw message still has it.
    return _ENCODE(value).replace("\\u0000", "\\ufffd")


def _plain(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


_ENCODE = json.JSONEncoder(ensure_ascii=False, default=_plain).encode


_UPDATE_TESTS = """
UPDATE test x SET state = u.state, current_id = u.current_id, pending_id = u.pending_id, notes = u.notes::jsonb, version = x.version + 1
FROM unnest(CAST(:test AS bigint[]), CAST(:test_state AS text[]), CAST(:current AS bigint[]), CAST(:pending AS bigint[]),
            CAST(:notes AS text[])) AS u(id, state, current_id, pending_id, notes)
WHERE x.tenant_id = :t AND x.id = u.id
"""


@dataclass(frozen=True, slots=True)
class Sums:
    """A tube's sums, written after each change of its tests."""

    specimen_id: int
    state: str
    n_tests: int
    n_results: int
    n_abnormal: int
    n_critical: int
    n_alarm: int
    n_pending: int
    last_at: datetime | None


_UPDATE_TUBES = """
UPDATE bench_tube b SET state = u.state, n_tests = u.n_tests, n_results = u.n_results, n_abnormal = u.n_abnormal,
       n_critical = u.n_critical, n_alarm = u.n_alarm, n_pending = u.n_pending, last_at = greatest(b.last_at, u.last_at),
       revision = b.revision + 1
FROM unnest(CAST(:specimen_id AS bigint[]), CAST(:state AS text[]), CAST(:n_tests AS int[]), CAST(:n_results AS int[]),
            CAST(:n_abnormal AS int[]), CAST(:n_critical AS int[]), CAST(:n_alarm AS int[]), CAST(:n_pending AS int[]),
            CAST(:last_at AS timestamptz[]))
     AS u(specimen_id, state, n_tests, n_results, n_abnormal, n_critical, n_alarm, n_pending, last_at)
WHERE b.tenant_id = :t AND b.specimen_id = u.specimen_id
"""
_TELL = "UPDATE result_version SET released_at = :at WHERE tenant_id = :t AND id = ANY(:told)"


def save(uow: UnitOfWork, tests: Iterable[TestRow], sums: Sequence[Sums], told: Sequence[int] = ()) -> None:
    """Write the changed tests and the tubes' sums back, and which versions are told now, in one statement; versions and revisions rise."""
    rows = [t for t in tests if t.dirty]
    parts, given = list[str](), dict[str, Any]()
    if told:
        parts.append(_TELL)
        given |= {"told": list(told), "at": uow.now}
    if rows:
        parts.append(_UPDATE_TESTS)
        given |= {
            "test": literal([t.id for t in rows]),
            "test_state": literal([str(t.state) for t in rows]),
            "current": literal([t.current_id for t in rows]),
            "pending": literal([t.pending_id for t in rows]),
            "notes": literal([_json(t.notes) if t.notes else "[]" for t in rows]),
        }
    if sums:
        parts.append(_UPDATE_TUBES)
        names = ("specimen_id", "state", "n_tests", "n_results", "n_abnormal", "n_critical", "n_alarm", "n_pending", "last_at")
        given |= {n: [getattr(s, n) for s in sums] for n in names}
    if parts:
        uow.s.execute(_together(tuple(parts)), {"t": uow.tenant_id, **given})


@cache
def _together(parts: tuple[str, ...]) -> TextClause:
    """The parts as one statement; each is of a table of its own."""
    *first, last = parts
    return text((f"WITH {', '.join(f'w{n} AS ({part})' for n, part in enumerate(first))} " if first else "") + last)


RESEND_WINDOW = timedelta(seconds=600)
