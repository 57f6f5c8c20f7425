"""Who a tube belongs to and what was ordered for it, in one statement each; the bench's only look at other modules' rows.

Read-only. Plain SQL, because a worklist of sixty tubes must not cost sixty questions; the columns are those the owners publish.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from common.ids import normalise_scan

SHORTEST_BARCODE = 8


@dataclass(frozen=True, slots=True)
class Tube:
    """A tube with its patient and visit. ``urgent``: 急."""

    specimen_id: int
    barcode: str
    sample_no: str | None
    urgent: bool
    state: str
    section_id: int
    specimen_type_id: int
    specimen_type: str
    collected_at: datetime | None
    received_at: datetime | None
    caveat: str
    patient_id: int
    patient_no: str
    name: str
    sex: str
    birth: datetime | None
    age_text: str | None
    visit_kind: str | None
    visit_no: str
    dept: str
    ward: str
    bed: str
    diagnosis: str
    issues: tuple[str, ...] = ()
    """What the receiver noted about it: haemolysis, clot, too little … (specimens.rules.Issue)."""
    pregnant_from: tuple[date, ...] = ()
    """Days from which its requests count the patient's pregnancy."""

    @property
    def place(self) -> str:
        """Where the patient is: ward and bed, or department."""
        return " ".join(part for part in (self.ward or self.dept, f"{self.bed}床" if self.bed else "") if part)


COLUMNS = """
       sp.id AS specimen_id, sp.barcode, sp.sample_no, sp.priority = 'stat' AS urgent, sp.state, sp.section_id, sp.specimen_type_id,
       st.name AS specimen_type, sp.collected_at, sp.received_at, sp.caveat, p.id AS patient_id, p.patient_no, p.name, p.sex, p.birth,
       p.age_text, v.kind AS visit_kind, coalesce(v.visit_no, '') AS visit_no, coalesce(v.dept, '') AS dept, coalesce(v.ward, '') AS ward,
       coalesce(v.bed, '') AS bed, coalesce(v.diagnosis, '') AS diagnosis, sp.issues,
       CASE WHEN p.sex = 'F' THEN ARRAY(SELECT DISTINCT o.gest_from FROM order_item oi
         JOIN lab_order o ON o.tenant_id = oi.tenant_id AND o.id = oi.order_id
         WHERE oi.tenant_id = sp.tenant_id AND oi.specimen_id = sp.id AND o.gest_from IS NOT NULL) END AS began"""
FROM = """
FROM specimen sp
JOIN patient p ON p.tenant_id = sp.tenant_id AND p.id = sp.patient_id
JOIN specimen_type st ON st.tenant_id = sp.tenant_id AND st.id = sp.specimen_type_id
LEFT JOIN visit v ON v.tenant_id = sp.tenant_id AND v.id = sp.visit_id
"""
_TUBES = text(f"SELECT {COLUMNS} {FROM} WHERE sp.tenant_id = :t AND sp.id = ANY(:ids)")
_BEFORE_ISSUES = len(fields(Tube)) - 2


def tubes(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, Tube]:
    """Specimen id → tube; an id of nobody (or of another hospital) is absent."""
    ids = list(specimen_ids)
    if not ids:
        return {}
    rows = uow.s.execute(_TUBES, {"t": uow.tenant_id, "ids": ids})
    return {row.specimen_id: tube_of(row) for row in rows}


def tube_of(row: Any) -> Tube:
    """A tube from a row that begins with ``COLUMNS``."""
    return Tube(*(*row[:_BEFORE_ISSUES], tuple(row.issues), tuple(row.began or ())))


@dataclass(frozen=True, slots=True)
class Request:
    """A line of the request behind a tube, as its sender knows it."""

    specimen_id: int
    order_id: int
    order_item_id: int
    source: str
    placer_no: str
    order_item_no: str
    his_code: str
    his_name: str
    doctor: str
    dept: str
    drugs: str | None
    """Drugs that matter, as the sender said; "" none; None: nothing was said."""
    fed: bool
    """What was ordered needs a fasting patient, and the request says this one was not."""


_REQUESTS = text("""
SELECT oi.specimen_id, oi.order_id, oi.id, oi.source, o.placer_no, oi.order_item_no, oi.his_code, oi.his_name, o.doctor, o.dept,
       o.drugs, coalesce(os.fasting AND NOT o.fasting, false) AS fed
FROM order_item oi
JOIN lab_order o ON o.tenant_id = oi.tenant_id AND o.id = oi.order_id
LEFT JOIN order_set os ON os.tenant_id = oi.tenant_id AND os.id = oi.order_set_id
WHERE oi.tenant_id = :t AND oi.specimen_id = ANY(:ids) AND oi.status NOT IN ('cancelled', 'refunded')
ORDER BY oi.specimen_id, oi.id
""")


def requests(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, list[Request]]:
    """Specimen id → the request lines behind it that stand."""
    ids = list(specimen_ids)
    out: dict[int, list[Request]] = {}
    if ids:
        for row in uow.s.execute(_REQUESTS, {"t": uow.tenant_id, "ids": ids}):
            out.setdefault(row.specimen_id, []).append(Request(*row))
    return out


def is_barcode(uow: UnitOfWork, typed: str) -> bool:
    """Whether what was typed as a result is the code on a tube: a scanner whose keys went into the field that was open."""
    code = normalise_scan(typed)
    if len(code) < SHORTEST_BARCODE:
        return False
    query = text("SELECT 1 FROM specimen WHERE tenant_id = :t AND barcode = :c")
    return uow.s.execute(query, {"t": uow.tenant_id, "c": code}).first() is not None
