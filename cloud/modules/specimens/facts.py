"""Whose tubes these are and what was ordered: the specimens' only look at other modules' rows.

Plain SQL, read-only, one statement a question.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.orders import places as requests
from cloud.modules.orders import queries as orders
from common.errors import UserError
from common.say import Said


@dataclass(frozen=True, slots=True)
class Person:
    """A patient as the window and the labels need them."""

    id: int
    patient_no: str
    name: str
    sex: str
    birth: datetime | None
    age_text: str | None
    pinyin: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order item without a tube. ``order_set_id`` None = 未对照."""

    order_item_id: int
    order_id: int
    patient_id: int
    visit_id: int | None
    visit_no: str
    visit_kind: str | None
    dept: str
    ward: str
    bed: str
    doctor: str
    priority: str
    ordered_at: datetime
    his_code: str
    his_name: str
    order_set_id: int | None
    charge_state: str
    status: str
    hold: str
    fasting: bool | None


_PERSON = "p.id, p.patient_no, p.name, p.sex, p.birth, p.age_text, p.pinyin"
# A merged patient's number still finds the person who remains. Of two owners of one card the newer wins (M04 bad input).
_BY_CODE = text(f"""
SELECT {_PERSON} FROM patient p WHERE p.tenant_id = :t AND p.id = (
  SELECT coalesce(f.merged_into, f.id) FROM (
    SELECT id, merged_into FROM patient WHERE tenant_id = :t AND patient_no = :code
    UNION ALL SELECT o.id, o.merged_into FROM patient_identifier i JOIN patient o ON o.tenant_id = i.tenant_id AND o.id = i.patient_id
              WHERE i.tenant_id = :t AND i.value IN (:code, :blind)
    UNION ALL SELECT o.id, o.merged_into FROM visit v JOIN patient o ON o.tenant_id = v.tenant_id AND o.id = v.patient_id
              WHERE v.tenant_id = :t AND v.visit_no = :code
    UNION ALL SELECT o.id, o.merged_into FROM specimen s JOIN patient o ON o.tenant_id = s.tenant_id AND o.id = s.patient_id
              WHERE s.tenant_id = :t AND s.barcode = :code
  ) f ORDER BY (f.merged_into IS NULL) DESC, f.id DESC LIMIT 1)
""")
_BY_REQUEST = text(f"""
SELECT DISTINCT {_PERSON} FROM lab_order o JOIN patient asked ON asked.tenant_id = o.tenant_id AND asked.id = o.patient_id
JOIN patient p ON p.tenant_id = o.tenant_id AND p.id = coalesce(asked.merged_into, asked.id)
WHERE o.tenant_id = :t AND o.placer_no = ANY(:codes)
""")
_BY_ID = text(f"SELECT {_PERSON} FROM patient p WHERE p.tenant_id = :t AND p.id = :id")
_BY_TICKET = text(f"""
SELECT {_PERSON} FROM patient p JOIN queue_ticket q ON q.tenant_id = p.tenant_id AND q.patient_id = p.id
WHERE p.tenant_id = :t AND q.day = :day AND q.no = :no
""")


def person(uow: UnitOfWork, patient_id: int) -> Person | None:
    """A patient by id."""
    row = uow.s.execute(_BY_ID, {"t": uow.tenant_id, "id": patient_id}).first()
    return None if row is None else Person(*row)


def person_by_code(uow: UnitOfWork, code: str) -> Person | None:
    """A patient by card, patient number, visit number, or one of their tubes."""
    row = uow.s.execute(_BY_CODE, {"t": uow.tenant_id, "code": code, "blind": uow.vault.blind(code)}).first()
    return None if row is None else Person(*row)


def person_by_request(uow: UnitOfWork, codes: Sequence[str]) -> Person | None:
    """The patient of a request form's number in one of these spellings; None when it names nobody, or (of two systems) two people."""
    rows = uow.s.execute(_BY_REQUEST, {"t": uow.tenant_id, "codes": list(codes)}).all()
    return Person(*rows[0]) if len(rows) == 1 else None


def person_by_ticket(uow: UnitOfWork, day: date, no: str) -> Person | None:
    """The patient of a queue ticket; None when it names nobody, or more than one hall gave out the number."""
    rows = uow.s.execute(_BY_TICKET, {"t": uow.tenant_id, "day": day, "no": no}).all()
    return Person(*rows[0]) if len({row.id for row in rows}) == 1 else None


_WAITING = """
SELECT oi.id, oi.order_id, o.patient_id, o.visit_id, coalesce(v.visit_no, ''), v.kind, coalesce(nullif(o.dept, ''), v.dept, ''),
       coalesce(v.ward, ''), coalesce(v.bed, ''), o.doctor, o.priority, o.ordered_at, oi.his_code, oi.his_name, oi.order_set_id,
       oi.charge_state, oi.status, oi.hold, o.fasting
FROM order_item oi JOIN lab_order o ON o.tenant_id = oi.tenant_id AND o.id = oi.order_id
LEFT JOIN visit v ON v.tenant_id = o.tenant_id AND v.id = o.visit_id
WHERE oi.tenant_id = :t AND oi.status IN ('requested', 'confirmed', 'rejected')
"""
_WAITING_OF = text(_WAITING + " AND o.patient_id = ANY(:people) AND oi.charge_state <> 'refunded' ORDER BY oi.id")
_WAITING_LOCKED = text(_WAITING + " AND oi.id = ANY(:ids) ORDER BY oi.id FOR UPDATE OF oi")
_WAITING_PATIENTS = text("""
SELECT p.id, p.patient_no, p.name, p.sex, v.kind, coalesce(v.ward, ''), coalesce(v.bed, ''), coalesce(v.dept, ''), count(*) AS items,
       bool_or(o.priority <> 'routine') AS urgent, min(o.ordered_at) AS since, count(*) OVER () AS of
FROM order_item oi JOIN lab_order o ON o.tenant_id = oi.tenant_id AND o.id = oi.order_id
JOIN patient p ON p.tenant_id = o.tenant_id AND p.id = o.patient_id
LEFT JOIN visit v ON v.tenant_id = o.tenant_id AND v.id = o.visit_id
WHERE oi.tenant_id = :t AND oi.status IN ('requested', 'confirmed', 'rejected') AND o.ordered_at > :since
  AND (:everywhere OR v.ward = ANY(:wards) OR v.dept = ANY(:wards))
GROUP BY p.id, p.patient_no, p.name, p.sex, v.kind, v.ward, v.bed, v.dept ORDER BY urgent DESC, since LIMIT 100
""")


@dataclass(frozen=True, slots=True)
class WaitingPatient:
    """A patient with items to label, one ``of`` so many."""

    patient_id: int
    patient_no: str
    name: str
    sex: str
    visit_kind: str | None
    ward: str
    bed: str
    dept: str
    items: int
    urgent: bool
    since: datetime
    of: int


def waiting(uow: UnitOfWork, patient_id: int) -> list[Waiting]:
    """A patient's items that still need a tube; those of the person's own place."""
    asked = {"t": uow.tenant_id, "people": orders.person_ids(uow, patient_id)}
    return [w for w in (Waiting(*row) for row in uow.s.execute(_WAITING_OF, asked)) if _waits_here(uow, w)]


def waiting_locked(uow: UnitOfWork, order_item_ids: Collection[int]) -> list[Waiting]:
    """The same by id, locked: whoever comes second finds them labelled."""
    rows = uow.s.execute(_WAITING_LOCKED, {"t": uow.tenant_id, "ids": list(order_item_ids)})
    return [w for w in (Waiting(*row) for row in rows) if _waits_here(uow, w)]


def _waits_here(uow: UnitOfWork, item: Waiting) -> bool:
    return requests.covers(uow, item.order_set_id, (item.ward, item.dept))


def waiting_patients(uow: UnitOfWork, since: datetime, wards: frozenset[str]) -> list[WaitingPatient]:
    """Who still needs tubes; a nurse with wards sees those wards only."""
    values = {"t": uow.tenant_id, "since": since, "wards": sorted(wards), "everywhere": not wards}
    return [WaitingPatient(*row) for row in uow.s.execute(_WAITING_PATIENTS, values)]


@dataclass(frozen=True, slots=True)
class Item:
    """An order item on a tube."""

    specimen_id: int
    order_item_id: int
    order_set_id: int | None
    name: str
    status: str
    charge_state: str
    priority: str
    visit_kind: str | None


"""States of an order item in which nobody waits for it any more."""

_ITEMS = text("""
SELECT oi.specimen_id, oi.id, oi.order_set_id, coalesce(nullif(oi.his_name, ''), oi.his_code), oi.status, oi.charge_state,
       o.priority, v.kind
FROM order_item oi JOIN lab_order o ON o.tenant_id = oi.tenant_id AND o.id = oi.order_id
LEFT JOIN visit v ON v.tenant_id = o.tenant_id AND v.id = o.visit_id
WHERE oi.tenant_id = :t AND oi.specimen_id = ANY(:ids) ORDER BY oi.id
""")


def items(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, list[Item]]:
    """Order items by tube."""
    out: dict[int, list[Item]] = {}
    for row in uow.s.execute(_ITEMS, {"t": uow.tenant_id, "ids": list(specimen_ids)}):
        out.setdefault(row.specimen_id, []).append(Item(*row))
    return out


@dataclass(frozen=True, slots=True)
class TubeRow:
    """A tube in a list, with its patient."""

    id: int
    barcode: str
    state: str
    priority: str
    sample_no: str | None
    sample_day: date | None
    section_id: int
    specimen_type_id: int
    container_id: int
    volume_ml: Decimal
    tube_k: int
    tube_n: int
    labelled_at: datetime | None
    collected_at: datetime | None
    received_at: datetime | None
    caveat: str
    label_prints: int
    version: int
    patient_id: int
    patient_no: str
    name: str
    sex: str
    birth: datetime | None
    age_text: str | None
    ward: str
    bed: str
    dept: str
    issues: list[str]
    prep: str


_TUBE = """
SELECT s.id, s.barcode, s.state, s.priority, s.sample_no, s.sample_day, s.section_id, s.specimen_type_id, s.container_id, s.volume_ml,
       s.tube_k, s.tube_n, s.labelled_at, s.collected_at, s.received_at, s.caveat, s.label_prints, s.version,
       p.id, p.patient_no, p.name, p.sex, p.birth, p.age_text, coalesce(v.ward, ''), coalesce(v.bed, ''), coalesce(v.dept, ''),
       s.issues, s.prep
FROM specimen s JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
LEFT JOIN visit v ON v.tenant_id = s.tenant_id AND v.id = s.visit_id
WHERE s.tenant_id = :t AND
"""
_TUBES_BY_ID = text(_TUBE + "s.id = ANY(:ids) ORDER BY s.id")
_TUBES_OF = text(_TUBE + "s.patient_id = ANY(:people) AND s.state = ANY(:states) ORDER BY s.id DESC LIMIT 60")
_OF_CARD = orders.records_sql("SELECT patient_id FROM patient_identifier WHERE tenant_id = :t AND value IN (:code, :blind)")
_LAST = "SELECT y.id FROM specimen y WHERE y.tenant_id = :t AND y.patient_id = who.id ORDER BY y.id DESC LIMIT 20"
_FIND = text(
    _TUBE
    + f""" s.id IN (
  SELECT id FROM specimen WHERE tenant_id = :t AND barcode = :code
  UNION ALL SELECT id FROM specimen WHERE tenant_id = :t AND section_id = ANY(:sections) AND sample_day = :day AND sample_no = :code
  UNION ALL SELECT s1.id FROM {orders.BY_NUMBER_SQL} who CROSS JOIN LATERAL ({_LAST}) s1
  UNION ALL (SELECT s2.id FROM specimen s2 JOIN patient p2 ON p2.tenant_id = s2.tenant_id AND p2.id = s2.patient_id
             WHERE s2.tenant_id = :t AND p2.name COLLATE "C" = :code ORDER BY s2.id DESC LIMIT 20)
  UNION ALL SELECT s3.id FROM {_OF_CARD} who CROSS JOIN LATERAL ({_LAST}) s3
) ORDER BY s.id DESC LIMIT 50"""
)


def tubes(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, TubeRow]:
    """Tubes by id."""
    return {row[0]: TubeRow(*row) for row in uow.s.execute(_TUBES_BY_ID, {"t": uow.tenant_id, "ids": list(specimen_ids)})}


def tubes_of(uow: UnitOfWork, patient_id: int, states: Iterable[str]) -> list[TubeRow]:
    """A patient's tubes in some states, newest first; of the person's own place."""
    values = {"t": uow.tenant_id, "people": orders.person_ids(uow, patient_id), "states": list(states)}
    return _here(uow, [TubeRow(*row) for row in uow.s.execute(_TUBES_OF, values)])


def find(uow: UnitOfWork, code: str, day: date, section_ids: Collection[int]) -> list[TubeRow]:
    """Tubes by barcode, today's sample number, patient number or card (whichever of a person's merged records has it) or name, newest
    first; of the person's own place."""
    values = {"t": uow.tenant_id, "code": code, "blind": uow.vault.blind(code), "day": day, "sections": list(section_ids)}
    return _here(uow, [TubeRow(*row) for row in uow.s.execute(_FIND, values)])


def _here(uow: UnitOfWork, found: list[TubeRow]) -> list[TubeRow]:
    return [each for each in found if is_here(uow, each)]


def is_here(uow: UnitOfWork, tube: TubeRow) -> bool:
    """Whether a tube is of the place of the person at work: examined there, or drawn there."""
    return places.covers(uow, tube.section_id, (tube.ward, tube.dept))


_PLACE = text("""
SELECT s.section_id, coalesce(v.ward, '') AS ward, coalesce(v.dept, '') AS dept FROM specimen s
LEFT JOIN visit v ON v.tenant_id = s.tenant_id AND v.id = s.visit_id WHERE s.tenant_id = :t AND s.id = :id
""")


def elsewhere(uow: UnitOfWork, specimen_id: int) -> Said | None:
    """What to say of another place's tube, or None where the person at work may have it; costs nothing for who is bound to no place."""
    if uow.actor.reach is None:
        return None
    row = uow.s.execute(_PLACE, {"t": uow.tenant_id, "id": specimen_id}).one_or_none()
    if row is None or places.covers(uow, row.section_id, (row.ward, row.dept)):
        return None
    return places.elsewhere(uow, row.section_id)


_PERSON_HERE = text(f"""
SELECT EXISTS (SELECT 1 FROM visit v WHERE v.tenant_id = :t AND v.patient_id = ANY(:people)
               AND (v.ward = ANY(:own_wards) OR v.dept = ANY(:own_wards)))
  OR EXISTS (SELECT 1 FROM specimen s WHERE s.tenant_id = :t AND s.patient_id = ANY(:people) AND {places.TUBE})
  OR EXISTS (SELECT 1 FROM lab_order o JOIN order_item i ON i.tenant_id = o.tenant_id AND i.order_id = o.id
             JOIN order_set x ON x.tenant_id = i.tenant_id AND x.id = i.order_set_id
             WHERE o.tenant_id = :t AND o.patient_id = ANY(:people) AND x.section_id = ANY(:own_sections))
""")


def person_is_here(uow: UnitOfWork, patient_id: int) -> bool:
    """Whether a patient lies in a ward of the person's own place, or anything of theirs is examined there."""
    if uow.actor.reach is None:
        return True
    asked = {"t": uow.tenant_id, "people": orders.person_ids(uow, patient_id), **places.binds(uow)}
    return bool(uow.s.execute(_PERSON_HERE, asked).scalar_one())


def require_here(uow: UnitOfWork, specimen_id: int) -> None:
    """Refuse another place's tube: it is absent, and said to be where it belongs."""
    said = elsewhere(uow, specimen_id)
    if said is not None:
        raise UserError("not_found", said)


_SITE = text("SELECT site, name FROM tenant WHERE id = :t")


def hospital(uow: UnitOfWork) -> tuple[int, str]:
    """The site digit of barcodes and the hospital's name."""
    row = uow.s.execute(_SITE, {"t": uow.tenant_id}).one()
    return int(row[0]), str(row[1])


_OPEN_TESTS = text("""
SELECT count(*) FILTER (WHERE t.state = 'expected' AND i.mandatory) FROM test t
JOIN test_item i ON i.tenant_id = t.tenant_id AND i.id = t.item_id WHERE t.tenant_id = :t AND t.specimen_id = :id
""")


def still_expected(uow: UnitOfWork, specimen_id: int) -> int:
    """How many of a tube's mandatory tests have no value yet."""
    return int(uow.s.execute(_OPEN_TESTS, {"t": uow.tenant_id, "id": specimen_id}).scalar_one())


_VALUES = text("""
SELECT EXISTS (SELECT 1 FROM test t JOIN result_version v ON v.tenant_id = t.tenant_id AND v.test_id = t.id
               WHERE t.tenant_id = :t AND t.specimen_id = :id)
""")


def has_values(uow: UnitOfWork, specimen_id: int) -> bool:
    """Whether anything was measured from a tube."""
    return bool(uow.s.scalar(_VALUES, {"t": uow.tenant_id, "id": specimen_id}))


_REPORT = text("SELECT specimen_id FROM report WHERE tenant_id = :t AND id = :id")


def specimen_of_report(uow: UnitOfWork, report_id: int) -> int | None:
    """The tube a report speaks of."""
    found = uow.s.execute(_REPORT, {"t": uow.tenant_id, "id": report_id}).scalar()
    return None if found is None else int(found)
