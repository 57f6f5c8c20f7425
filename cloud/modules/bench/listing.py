"""The bench's list of open tubes: urgent first, then by arrival, a page at a time by keyset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench.watch import NO_PICTURE

PAGE = 40
ASKED_MOST = 100
"""Tubes whose lines are asked for by id at once; bench.js asks for fewer (a burst of results gathers more than a page of them)."""
COUNT_TO = 1000


class Show(StrEnum):
    """Filters of the worklist."""

    READY = "ready"
    ALL = "all"
    URGENT = "urgent"
    ABNORMAL = "abnormal"
    HELD = "held"
    LATE = "late"
    MISSING = "missing"
    PICTURE = "picture"


# The open states are written out, so that the partial index of open tubes is used.
_OPEN = "b.state IN ('waiting','partial','held','ready')"
_WHERE = {
    Show.READY: f"{_OPEN} AND b.state IN ('ready','held')",
    Show.ALL: _OPEN,
    Show.URGENT: f"{_OPEN} AND b.urgent = 1",
    Show.ABNORMAL: f"{_OPEN} AND (b.n_abnormal > 0 OR b.n_alarm > 0 OR b.n_pending > 0)",
    Show.HELD: f"{_OPEN} AND b.state = 'held'",
    Show.LATE: f"{_OPEN} AND b.due_at < :now",
    Show.MISSING: f"{_OPEN} AND b.state = 'partial'",
    Show.PICTURE: f"{_OPEN} AND {NO_PICTURE}",
}
_LINE = """
SELECT b.specimen_id, b.id AS bench_id, b.barcode, b.sample_no, b.urgent, b.state, b.n_tests, b.n_results, b.n_abnormal, b.n_critical,
       b.n_alarm, b.n_pending, b.revision, b.received_at, b.last_at, b.due_at, p.name, p.sex, p.patient_no
FROM bench_tube b JOIN patient p ON p.tenant_id = b.tenant_id AND p.id = b.patient_id
WHERE b.tenant_id = :t AND b.section_id = :section AND {where} {after}
ORDER BY b.urgent DESC, b.id LIMIT :n
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A tube in the worklist."""

    specimen_id: int
    bench_id: int
    barcode: str
    sample_no: str | None
    urgent: int
    state: str
    n_tests: int
    n_results: int
    n_abnormal: int
    n_critical: int
    n_alarm: int
    n_pending: int
    revision: int
    received_at: datetime | None
    last_at: datetime | None
    due_at: datetime | None
    name: str
    sex: str
    patient_no: str
    shut: bool = False
    """Has a sensitive item that is shut to the reader: its signs are hidden (M01 R8)."""

    @property
    def key(self) -> str:
        """Where it stands in the list: urgent first, then by arrival."""
        return f"{1 - self.urgent}-{self.bench_id:012d}"


def page(uow: UnitOfWork, section_id: int, show: Show, after: str = "", limit: int = PAGE) -> list[Line]:
    """A page of a section's open tubes; ``after`` is the key of the last line of the page before."""
    params: dict[str, Any] = {"t": uow.tenant_id, "section": section_id, "n": limit, "now": uow.now}
    clause = ""
    urgent, _, bench_id = after.partition("-")
    if urgent in ("0", "1") and bench_id.isdecimal():
        clause = "AND (b.urgent < :u OR (b.urgent = :u AND b.id > :b))"
        params |= {"u": 1 - int(urgent), "b": int(bench_id)}
    query = text(_LINE.format(where=_WHERE[show], after=clause))
    return [Line(*row) for row in uow.s.execute(query, params)]


def lines(uow: UnitOfWork, section_id: int, show: Show, specimen_ids: Sequence[int]) -> list[Line]:
    """The lines of some tubes as they stand now; a tube that no longer belongs to the list is absent."""
    query = text(_LINE.format(where=_WHERE[show], after="AND b.specimen_id = ANY(:ids)"))
    params = {"t": uow.tenant_id, "section": section_id, "n": len(specimen_ids), "now": uow.now, "ids": list(specimen_ids)}
    return [Line(*row) for row in uow.s.execute(query, params)]


def names(uow: UnitOfWork, section_id: int, show: str, limit: int = 6) -> list[str]:
    """The first tubes of a filter, as people speak of them: sample number (or barcode) and name."""
    return [f"{line.sample_no or line.barcode} {line.name}" for line in page(uow, section_id, Show(show), limit=limit)]


_COUNTS = text(f"""
SELECT s.id, count(state) AS total, count(*) FILTER (WHERE state IN ('ready','held')) AS ready,
       count(*) FILTER (WHERE urgent = 1) AS urgent,
       count(*) FILTER (WHERE n_abnormal > 0 OR n_alarm > 0 OR n_pending > 0) AS abnormal,
       count(*) FILTER (WHERE state = 'held') AS held, count(*) FILTER (WHERE due_at < :now) AS late,
       count(*) FILTER (WHERE state IN ('waiting','partial')) AS waiting
FROM unnest(CAST(:sections AS bigint[])) AS s(id) LEFT JOIN LATERAL (
  SELECT b.state, b.urgent, b.n_abnormal, b.n_alarm, b.n_pending, b.due_at FROM bench_tube b
  WHERE b.tenant_id = :t AND b.section_id = s.id AND {_OPEN} LIMIT {COUNT_TO}) AS open_tubes ON true
GROUP BY s.id
""")


def counts(uow: UnitOfWork, section_id: int) -> dict[str, str]:
    """How many tubes each filter shows, counted to 1 000 and no further."""
    row = open_counts(uow, [section_id])[section_id]
    full = row.total >= COUNT_TO
    known = {Show.ALL.value: row.total, **{s.value: getattr(row, s.value) for s in Show if hasattr(row, s.value)}}
    return {show: f"{n}+" if full and n else str(n) for show, n in known.items()}


def open_counts(uow: UnitOfWork, section_ids: Sequence[int]) -> dict[int, Row[Any]]:
    """The same as numbers by section, with what still waits for results (``waiting``); at most 1 000 tubes of each are looked at."""
    return {row.id: row for row in uow.s.execute(_COUNTS, {"t": uow.tenant_id, "sections": list(section_ids), "now": uow.now})}
