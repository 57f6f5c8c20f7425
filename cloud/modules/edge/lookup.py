"""What the intake must know to place a batch of results: links, tubes, their patients, tests; a query each for the whole batch.

These are the edge's only reads of other modules' tables. They are one place, read-only and plain SQL, because 3 000 results a second go
through here and a row object each would cost more than all the rest; everything that changes goes through the owners' services. Channel
codes, sections and windows come from the catalog's snapshot.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg

from cloud.db.session import UnitOfWork
from cloud.modules.edge import rules
from common import ids

Cursor = psycopg.Cursor[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Link:
    """A connection as the intake needs it."""

    id: int
    agent_id: int
    key: str
    analyzer_id: int | None
    driver: str | None
    encoding: str | None
    site: str | None = None
    """How the analyzer differs from its driver, as the JSON of its mapping in use."""
    simulator_from: datetime | None = None
    simulator_until: datetime | None = None
    track: bool = False
    name: str = ""

    def simulated(self, at: datetime) -> bool:
        """Whether a message the agent took at ``at`` was played: by the time of taking, for it may arrive much later."""
        if self.simulator_from is None or at < self.simulator_from:
            return False
        return self.simulator_until is None or at <= self.simulator_until


@dataclass(frozen=True, slots=True)
class Tube:
    """A specimen a result could belong to."""

    id: int
    barcode: str
    sample_no: str | None
    state: str
    patient_id: int
    person: rules.Person


LINKS = """
SELECT c.id, c.agent_id, c.key, c.analyzer_id, c.driver, coalesce(c.encoding, m.encoding), m.site::text, c.simulator_from,
       c.simulator_until, c.track, c.name
FROM connection c
LEFT JOIN edge_mapping m ON m.tenant_id = c.tenant_id AND m.analyzer_id = c.analyzer_id AND m.state = 'active'
WHERE c.tenant_id = %s AND c.agent_id = ANY(%s)
"""

_TUBE = """
SELECT s.id, s.barcode, s.sample_no, s.state, s.patient_id, p.name, p.pinyin, p.patient_no, v.visit_no, s.section_id, s.sample_day
FROM specimen s JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
LEFT JOIN visit v ON v.tenant_id = s.tenant_id AND v.id = s.visit_id
WHERE s.tenant_id = %s AND
"""
# An aliquot's results are its parent's: what was asked for hangs on the tube that was drawn.
BY_BARCODE = """
SELECT s.id, c.barcode, s.sample_no, s.state, s.patient_id, p.name, p.pinyin, p.patient_no, v.visit_no, s.section_id, s.sample_day
FROM specimen c JOIN specimen s ON s.tenant_id = c.tenant_id AND s.id = coalesce(c.parent_id, c.id)
JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
LEFT JOIN visit v ON v.tenant_id = s.tenant_id AND v.id = s.visit_id
WHERE c.tenant_id = %s AND c.barcode = ANY(%s)
"""
BY_NUMBER = _TUBE + "s.section_id = ANY(%s) AND s.sample_day = ANY(%s) AND s.sample_no IS NOT NULL"
BY_ID = _TUBE + "s.id = ANY(%s)"

IDENTIFIERS = "SELECT patient_id, value, sealed FROM patient_identifier WHERE tenant_id = %s AND patient_id = ANY(%s)"
TESTS = "SELECT specimen_id, item_id, id FROM test WHERE tenant_id = %s AND specimen_id = ANY(%s) AND state <> 'cancelled'"
MATERIALS = "SELECT code, lot FROM qc_material WHERE tenant_id = %s AND active"
IGNORED = "SELECT analyzer_id, code FROM ignored_code WHERE tenant_id = %s AND analyzer_id = ANY(%s)"


def links(cur: Cursor, tenant: int, agents: Collection[int]) -> dict[tuple[int, str], Link]:
    """Connections of these agents by (agent, key)."""
    cur.execute(LINKS, (tenant, list(agents)))
    return {(r[1], r[2]): Link(*r) for r in cur.fetchall()}


def _tube(row: tuple[Any, ...]) -> Tube:
    numbers = frozenset(n for n in (row[7], row[8]) if n)
    return Tube(row[0], row[1], row[2], row[3], row[4], rules.Person(row[5], row[6], numbers))


def tubes_by_barcode(cur: Cursor, tenant: int, codes: Collection[str]) -> dict[str, Tube]:
    """Tubes by barcode."""
    if not codes:
        return {}
    cur.execute(BY_BARCODE, (tenant, list(codes)))
    return {t.barcode: t for t in map(_tube, cur.fetchall())}


def tubes_by_id(cur: Cursor, tenant: int, ids: Collection[int]) -> dict[int, Tube]:
    """Tubes by id."""
    cur.execute(BY_ID, (tenant, list(ids)))
    return {t.id: t for t in map(_tube, cur.fetchall())}


def tubes_by_number(cur: Cursor, tenant: int, asked: Collection[tuple[int, date, str]]) -> dict[tuple[int, date, str], list[Tube]]:
    """Tubes by (section, day, sample number as typed at the instrument); several when the number does not tell."""
    if not asked:
        return {}
    sections, days = list({a[0] for a in asked}), list({a[1] for a in asked})
    cur.execute(BY_NUMBER, (tenant, sections, days))
    found: dict[tuple[int, date, str], list[Tube]] = {}
    rows = cur.fetchall()
    for section, day, said in asked:
        hits = [_tube(r) for r in rows if r[9] == section and r[10] == day and rules.same_sample_no(said, r[2])]
        if hits:
            found[(section, day, said)] = hits
    return found


def identifiers(cur: Cursor, uow: UnitOfWork, patients: Collection[int]) -> dict[int, set[str]]:
    """Every further number of these patients, opened: an instrument may send any of them."""
    out: dict[int, set[str]] = {}
    if patients:
        cur.execute(IDENTIFIERS, (uow.tenant_id, list(patients)))
        for patient, value, sealed in cur.fetchall():
            out.setdefault(patient, set()).add(value if sealed is None else uow.vault.unseal(sealed))
    return out


def tests(cur: Cursor, tenant: int, specimens: Collection[int]) -> dict[tuple[int, int], int]:
    """Test ids by (specimen, item)."""
    if not specimens:
        return {}
    cur.execute(TESTS, (tenant, list(specimens)))
    return {(s, i): t for s, i, t in cur.fetchall()}


def ignored(cur: Cursor, tenant: int, analyzers: Collection[int]) -> set[tuple[int, str]]:
    """(analyzer, code) pairs that somebody declared to be no results."""
    if not analyzers:
        return set()
    cur.execute(IGNORED, (tenant, list(analyzers)))
    return {(a, c) for a, c in cur.fetchall()}


def materials(cur: Cursor, tenant: int, codes: Collection[str]) -> set[str]:
    """Those of these codes, as a scan reads them, that are registered control material."""
    if not codes:
        return set()
    cur.execute(MATERIALS, (tenant,))
    return {name for code, lot in cur.fetchall() for name in ids.names_of_control(code, lot)} & set(codes)
