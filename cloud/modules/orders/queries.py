"""Read-only selects of patients and requests, for the pages of this module and for the modules that collect, test and report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select, text, true, union
from sqlalchemy.orm import aliased

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.orders import patients, places, private, rules
from cloud.modules.orders.messages import Charge, Priority, VisitType
from cloud.modules.orders.models import LabOrder, OrderItem, ParkedCancel, Patient, PatientIdentifier, RefundRequest, Visit
from cloud.modules.orders.rules import ItemStatus

PAGE = 100
ENDED = tuple(sorted(s.value for s in rules.ENDED))
"""What a request says of itself once nobody waits for it."""

WORDS: Mapping[str, Mapping[str, str]] = {
    "status": {s.value: word for s, word in rules.STATUS_TEXT.items()},
    "priority": {Priority.ROUTINE: "常规", Priority.STAT: "急", Priority.GREEN: "绿色通道"},
    "charge": {"paid": "已收费", "unpaid": "未收费", "refunded": "已退费"},
    "kind": {
        VisitType.OUTPATIENT: "门诊", VisitType.EMERGENCY: "急诊", VisitType.INPATIENT: "住院", VisitType.EXAM: "体检",
        VisitType.EXTERNAL: "外院", VisitType.RESEARCH: "科研",
    },
    "sex": {"M": "男", "F": "女", "U": "未知", "O": "其他"},
    "identifier": {
        "patient_no": "患者号", "empi": "主索引号", "id_card": "身份证", "medical_insurance": "医保号", "visit_card": "就诊卡",
        "health_card": "电子健康卡", "inpatient_no": "住院号", "outpatient_no": "门诊号",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PatientRow:
    """A patient as lists and labels show them."""

    id: int
    patient_no: str
    name: str
    sex: str
    birth: datetime | None
    age_text: str | None
    phone: str | None = None
    """None in lists of many."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An order item with its request form and contact. ``order_set_id`` None = 未对照."""

    id: int
    order_id: int
    patient_id: int
    visit_id: int | None
    source: str
    placer_no: str
    order_item_no: str
    his_code: str
    his_name: str
    order_set_id: int | None
    charge: Charge
    status: ItemStatus
    specimen_id: int | None
    note: str
    priority: Priority
    doctor: str
    dept: str
    ordered_at: datetime
    planned_at: datetime | None
    order_note: str
    visit_no: str | None
    visit_kind: VisitType | None
    ward: str
    bed: str
    diagnosis: str
    hold: str
    hold_cleared: str
    version: int
    gest_from: date | None
    fasting: bool | None
    consent: bool | None

    @property
    def label_problem(self) -> str | None:
        """Why no label may be printed for it, or None (M03 R2)."""
        return rules.label_problem(self.status, self.charge, self.visit_kind, self.priority, self.order_set_id is not None, self.hold)


@dataclass(frozen=True, slots=True)
class ListRow:
    """A line of /orders."""

    item: ItemRow
    patient: PatientRow
    heard_at: datetime | None


_PATIENT = (Patient.id, Patient.patient_no, Patient.name, Patient.sex, Patient.birth, Patient.age_text)
_ITEM = (
    OrderItem.id, OrderItem.order_id, LabOrder.patient_id, LabOrder.visit_id, OrderItem.source, LabOrder.placer_no,
    OrderItem.order_item_no, OrderItem.his_code, OrderItem.his_name, OrderItem.order_set_id, OrderItem.charge_state, OrderItem.status,
    OrderItem.specimen_id, OrderItem.note, LabOrder.priority, LabOrder.doctor, LabOrder.dept, LabOrder.ordered_at, LabOrder.planned_at,
    LabOrder.note.label("order_note"), Visit.visit_no, Visit.kind, Visit.ward, Visit.bed, Visit.diagnosis,
    OrderItem.hold, OrderItem.hold_cleared, OrderItem.version, LabOrder.gest_from, LabOrder.fasting, LabOrder.consent,
)  # fmt: skip


def _items() -> Any:
    return (
        select(*_ITEM)
        .join(LabOrder, and_(LabOrder.tenant_id == OrderItem.tenant_id, LabOrder.id == OrderItem.order_id))
        .outerjoin(Visit, and_(Visit.tenant_id == LabOrder.tenant_id, Visit.id == LabOrder.visit_id))
    )


def _item(v: Any) -> ItemRow:
    values = list(v[: len(_ITEM)])
    values[10], values[11], values[14] = Charge(values[10]), ItemStatus(values[11]), Priority(values[14])
    values[21] = VisitType(values[21]) if values[21] is not None else None
    for i in (22, 23, 24):
        values[i] = values[i] or ""
    return ItemRow(*values)


_ONE_PATIENT = text("""
SELECT id, patient_no, name, sex, birth, age_text, phone, phone_sealed, merged_into FROM patient WHERE tenant_id = :t AND id = :id
""")


def patient(uow: UnitOfWork, patient_id: int) -> PatientRow | None:
    """One patient, following merges; None when there is none."""
    for _ in range(patients.MAX_MERGES):
        row = uow.s.execute(_ONE_PATIENT, {"t": uow.tenant_id, "id": patient_id}).one_or_none()
        if row is None or row.merged_into is None:
            break
        patient_id = row.merged_into
    return _called(uow, row[:-1]) if row is not None else None


def _called(uow: UnitOfWork, row: Any) -> PatientRow:
    """With the telephone, the last two columns of the row."""
    values = [*row[:-2], private.phone(uow, *row[-2:])]
    return PatientRow(*values)


_PEOPLE = text("""
SELECT y.id, ARRAY(SELECT coalesce(y.merged_into, y.id) UNION ALL
  SELECT x.id FROM patient x WHERE x.tenant_id = :t AND x.merged_into = coalesce(y.merged_into, y.id) ORDER BY 1)
FROM patient y WHERE y.tenant_id = :t AND y.id = ANY(:ids)
""")
PERSON_SQL = """(WITH one AS (SELECT coalesce(merged_into, id) AS id FROM patient WHERE tenant_id = :t AND id = :p)
  SELECT id FROM one UNION ALL SELECT x.id FROM patient x JOIN one ON x.merged_into = one.id WHERE x.tenant_id = :t)"""
"""For statements of other modules that must not cost a second one: ids of all records read as the person's of ``:p``."""


def records_sql(owners: str) -> str:
    """The same for whoever a statement finds, by a number or a card: all records read together with those of ``owners`` (ids)."""
    return f"""(WITH one AS (SELECT DISTINCT coalesce(merged_into, id) AS id FROM patient WHERE tenant_id = :t AND id IN ({owners}))
  SELECT id FROM one UNION ALL SELECT x.id FROM patient x JOIN one ON x.merged_into = one.id WHERE x.tenant_id = :t)"""


BY_NUMBER_SQL = records_sql("SELECT id FROM patient WHERE tenant_id = :t AND patient_no = :code")


def people(uow: UnitOfWork, patient_ids: Iterable[int]) -> dict[int, list[int]]:
    """Each record → all records read as the same person's, itself among them (M03 R7), in one statement."""
    ids = sorted(set(patient_ids))
    return {row[0]: list(row[1]) for row in uow.s.execute(_PEOPLE, {"t": uow.tenant_id, "ids": ids})} if ids else {}


def person_ids(uow: UnitOfWork, patient_id: int) -> list[int]:
    """All records read as this person's."""
    return people(uow, [patient_id]).get(patient_id, [patient_id])


def same_person(uow: UnitOfWork, one: int, other: int) -> bool:
    """Whether two records are read as one person's."""
    return one == other or other in person_ids(uow, one)


def patient_by_code(uow: UnitOfWork, code: str) -> PatientRow | None:
    """Who a scanned or typed number names: patient number, any identifier, visit number, request number. None unless exactly one."""
    wanted = code.strip()
    if not wanted:
        return None
    ids = set(uow.s.scalars(select(Patient.id).where(Patient.patient_no == wanted)))
    ids |= set(uow.s.scalars(select(PatientIdentifier.patient_id).where(PatientIdentifier.value.in_(private.codes(uow, wanted)))))
    if not ids:
        ids = set(uow.s.scalars(select(Visit.patient_id).where(Visit.visit_no == wanted)))
    if not ids:
        ids = set(uow.s.scalars(select(LabOrder.patient_id).where(LabOrder.placer_no == wanted)))
    final = {patients.final_id(uow, i) for i in ids}
    return patient(uow, final.pop()) if len(final) == 1 else None


NEAREST = 300
"""Patients looked at of those whose name, pinyin or initials begin alike; a list shows fewer and asks for more letters."""


def search_patients(uow: UnitOfWork, typed: str, limit: int = 20) -> list[PatientRow]:
    """By number or telephone, or by the beginning of the name, its pinyin or its initials (C11); a merged record's own number, which stands
    on its tubes and in the HIS, finds the person it is read together with."""
    wanted = typed.strip()
    if not wanted:
        return []
    low = wanted.casefold()
    person = aliased(Patient)
    # Each way by its own index, and of a beginning that thousands share the nearest ones: joined by OR all patients were read, twice.
    begins = ((person.name, wanted), (person.pinyin, low), (person.initials, low))
    found = union(
        select(PatientIdentifier.patient_id).where(PatientIdentifier.value.in_(private.codes(uow, wanted))),
        select(person.id).where(person.patient_no == wanted),
        select(person.id).where(person.phone_key == uow.vault.blind(wanted)),
        *(select(person.id).where(_starts(c, begin)).order_by(c.collate("C")).limit(NEAREST) for c, begin in begins),
    )
    meant = select(func.coalesce(person.merged_into, person.id)).where(person.id.in_(found))
    query = select(*_PATIENT, Patient.phone, Patient.phone_sealed).where(Patient.id.in_(meant))
    return [_called(uow, row) for row in uow.s.execute(query.order_by(Patient.name.collate("C"), Patient.id).limit(limit))]


def _starts(column: Any, begin: str) -> ColumnElement[bool]:
    """A prefix as a range: LIKE loses its index under row security (RELIABILITY 0.4)."""
    c = column.collate("C")
    return and_(c >= begin, c < begin[:-1] + chr(ord(begin[-1]) + 1))


def identifiers(uow: UnitOfWork, patient_id: int) -> list[tuple[str, str]]:
    """(kind, value) of a patient, oldest first."""
    query = select(PatientIdentifier.kind, PatientIdentifier.value, PatientIdentifier.sealed)
    rows = uow.s.execute(query.where(PatientIdentifier.patient_id == patient_id).order_by(PatientIdentifier.id))
    return [(kind, private.shown(uow, value, sealed)) for kind, value, sealed in rows]


def open_items(uow: UnitOfWork, patient_id: int) -> list[ItemRow]:
    """What still has to be collected from a patient: items before or at the label, oldest first."""
    states = [s.value for s in (*rules.BEFORE_LABEL, ItemStatus.LABELLED)]
    query = _items().where(LabOrder.patient_id.in_(person_ids(uow, patient_id)), OrderItem.status.in_(states))
    return [_item(row) for row in uow.s.execute(query.order_by(OrderItem.id))]


def items(uow: UnitOfWork, item_ids: Sequence[int]) -> list[ItemRow]:
    """Items by id, in id order; absent ones are left out."""
    query = _items().where(OrderItem.id.in_(list(item_ids)))
    return [_item(row) for row in uow.s.execute(query.order_by(OrderItem.id))]


def items_of_specimen(uow: UnitOfWork, specimen_id: int) -> list[ItemRow]:
    """What a tube is for."""
    query = _items().where(OrderItem.specimen_id == specimen_id)
    return [_item(row) for row in uow.s.execute(query.order_by(OrderItem.id))]


def items_of_order(uow: UnitOfWork, order_id: int) -> list[ItemRow]:
    """One request form's items."""
    return [_item(row) for row in uow.s.execute(_items().where(OrderItem.order_id == order_id).order_by(OrderItem.id))]


def twins(uow: UnitOfWork, item: ItemRow) -> list[ItemRow]:
    """R4: other requests of the same set for the same patient: open ones, and those within the hospital's own interval, newest first.

    The interval is the setting ``orders``/``min_interval_h``: hours by code of the order set; without one only open requests count.
    """
    if item.order_set_id is None:
        return []
    known = md.catalog(uow)
    hours = known.setting("orders", "min_interval_h", {}).get(known.order_sets[item.order_set_id].code, 0)
    waiting = [s.value for s in ItemStatus if s not in rules.ENDED and s is not ItemStatus.REPORTED]
    query = _items().where(
        LabOrder.patient_id.in_(person_ids(uow, item.patient_id)),
        OrderItem.order_set_id == item.order_set_id,
        OrderItem.id != item.id,
        OrderItem.status.not_in([s.value for s in rules.ENDED]),
        or_(OrderItem.status.in_(waiting), LabOrder.ordered_at >= item.ordered_at - timedelta(hours=float(hours))),
        LabOrder.ordered_at <= item.ordered_at + timedelta(hours=float(hours)) if hours else OrderItem.status.in_(waiting),
    )
    return [_item(row) for row in uow.s.execute(query.order_by(OrderItem.id.desc()).limit(5))]


@dataclass(frozen=True, slots=True)
class Filter:
    """What /orders is filtered by; "" and None mean anything."""

    status: str = ""
    unmapped: bool = False
    held: bool = False
    never: bool = False
    lapsed: bool = False
    day: date | None = None
    text: str = ""


_NEVER = and_(OrderItem.status.in_([s.value for s in rules.PAID_WAITING]), OrderItem.charge_state == Charge.PAID.value)
_LAPSED = and_(OrderItem.status == ItemStatus.EXPIRED.value, OrderItem.charge_state == Charge.PAID.value)


def _here(uow: UnitOfWork) -> ColumnElement[bool]:
    reach, sets = uow.actor.reach, md.catalog(uow).order_sets
    if reach is None:
        return true()
    own = [each for each in sets if places.covers(uow, each, ())]
    wards = (Visit.ward.in_(reach.wards), Visit.dept.in_(reach.wards), LabOrder.dept.in_(reach.wards))
    return or_(OrderItem.order_set_id.in_(own), *wards)


def order_list(uow: UnitOfWork, f: Filter, before: int | None = None, limit: int | None = None) -> list[ListRow]:
    """A page of items, newest first; ``before`` continues after the last id of the page shown."""
    query = _items().add_columns(*_PATIENT, LabOrder.heard_at)
    query = query.join(Patient, and_(Patient.tenant_id == LabOrder.tenant_id, Patient.id == LabOrder.patient_id)).where(_here(uow))
    if f.status:
        query = query.where(OrderItem.status == f.status)
    if f.unmapped:
        query = query.where(OrderItem.order_set_id.is_(None))
    if f.held:
        query = query.where(OrderItem.hold != "")
    if f.never:
        old = uow.now - rules.NEVER_COLLECTED
        query = query.where(_NEVER, LabOrder.ordered_at <= old, or_(LabOrder.planned_at.is_(None), LabOrder.planned_at <= old))
    if f.lapsed:
        query = query.where(_LAPSED, OrderItem.status_at >= uow.now - rules.LAPSED_TOLD)
    if f.day is not None:
        start = patients.midnight(f.day)
        query = query.where(LabOrder.ordered_at >= start, LabOrder.ordered_at < start + timedelta(days=1))
    if f.text:
        persons = people(uow, (p.id for p in search_patients(uow, f.text, 200)))
        found = [record for records in persons.values() for record in records]
        # Each by its own index: an OR over two tables reads all requests there ever were.
        of_order = select(OrderItem.id).join(LabOrder, and_(LabOrder.tenant_id == OrderItem.tenant_id, LabOrder.id == OrderItem.order_id))
        query = query.where(
            OrderItem.id.in_(
                union(
                    of_order.where(LabOrder.patient_id.in_(found)),
                    of_order.where(LabOrder.placer_no == f.text),
                    select(OrderItem.id).where(OrderItem.order_item_no == f.text),
                )
            )
        )
    if before is not None:
        query = query.where(OrderItem.id < before)
    rows = uow.s.execute(query.order_by(OrderItem.id.desc()).limit(limit or PAGE)).all()
    n, m = len(_ITEM), len(_ITEM) + len(_PATIENT)
    return [ListRow(_item(row), PatientRow(*row[n:m]), row[m]) for row in rows]


def lapsed_of(uow: UnitOfWork, patient_id: int) -> list[ItemRow]:
    """A patient's requests that ran out and were not refunded, the newest first: whoever stands at the window is told of them."""
    query = _items().where(LabOrder.patient_id.in_(person_ids(uow, patient_id)), OrderItem.status == ItemStatus.EXPIRED.value)
    query = query.where(OrderItem.charge_state != Charge.REFUNDED.value)
    return [_item(row) for row in uow.s.execute(query.order_by(OrderItem.id.desc()).limit(10))]


def counts(uow: UnitOfWork) -> dict[str, int]:
    """Open items by status, and ``unmapped``."""
    # Named one by one: by what they are not, all that were ever reported would be read.
    waiting = [s.value for s in ItemStatus if s not in rules.ENDED and s is not ItemStatus.REPORTED]
    query = _counted(uow, OrderItem.status, func.count()).where(OrderItem.status.in_(waiting)).group_by(OrderItem.status)
    out = {str(row[0]): int(row[1]) for row in uow.s.execute(query)}
    out["held"] = uow.s.execute(_counted(uow, func.count()).where(OrderItem.hold != "")).scalar_one()
    out["unmapped"] = uow.s.execute(_counted(uow, func.count()).where(OrderItem.order_set_id.is_(None))).scalar_one()
    return out


def _counted(uow: UnitOfWork, *what: Any) -> Any:
    """Items to count, joined with what tells their place only for somebody who is bound to one."""
    query = select(*what).select_from(OrderItem)
    if uow.actor.reach is None:
        return query
    query = query.join(LabOrder, and_(LabOrder.tenant_id == OrderItem.tenant_id, LabOrder.id == OrderItem.order_id))
    return query.outerjoin(Visit, and_(Visit.tenant_id == LabOrder.tenant_id, Visit.id == LabOrder.visit_id)).where(_here(uow))


@dataclass(frozen=True, slots=True)
class RefundRow:
    """A line of the consent page."""

    id: int
    version: int
    requested_at: datetime
    reason: str
    state: str
    decided_by: str | None
    answer: str
    measured: int
    """How many of its tests have a value, untold yet: they end with it."""
    item: ItemRow
    patient: PatientRow


_MEASURED: ColumnElement[int] = literal_column("""(
  SELECT count(*) FROM test t JOIN order_set_item m ON m.tenant_id = t.tenant_id AND m.item_id = t.item_id
  WHERE t.tenant_id = order_item.tenant_id AND t.specimen_id = order_item.specimen_id AND m.order_set_id = order_item.order_set_id
    AND t.current_id IS NOT NULL AND t.state <> 'cancelled')""")


def refunds(uow: UnitOfWork, state: str = "waiting", limit: int = PAGE) -> list[RefundRow]:
    """Refund requests of one state, oldest first."""
    query = _items().add_columns(
        *_PATIENT, RefundRequest.id, RefundRequest.version, RefundRequest.requested_at, RefundRequest.reason, RefundRequest.state,
        RefundRequest.decided_by, RefundRequest.answer, _MEASURED,
    )  # fmt: skip
    query = query.join(RefundRequest, and_(RefundRequest.tenant_id == OrderItem.tenant_id, RefundRequest.order_item_id == OrderItem.id))
    query = query.join(Patient, and_(Patient.tenant_id == LabOrder.tenant_id, Patient.id == LabOrder.patient_id))
    rows: Any = uow.s.execute(query.where(RefundRequest.state == state, _here(uow)).order_by(RefundRequest.id).limit(limit)).all()
    n, m = len(_ITEM), len(_ITEM) + len(_PATIENT)
    return [RefundRow(*[*row[m:], _item(row), PatientRow(*row[n:m])]) for row in rows]


def unmapped_codes(uow: UnitOfWork) -> list[tuple[str, str, str, int, datetime]]:
    """Codes nobody has mapped: source, code, a name it came with, how many items wait, since when."""
    query = (
        select(OrderItem.source, OrderItem.his_code, func.max(OrderItem.his_name), func.count(), func.min(LabOrder.created_at))
        .join(LabOrder, and_(LabOrder.tenant_id == OrderItem.tenant_id, LabOrder.id == OrderItem.order_id))
        .where(OrderItem.order_set_id.is_(None), OrderItem.status.not_in([s.value for s in rules.ENDED]))
        .group_by(OrderItem.source, OrderItem.his_code)
        .order_by(func.min(LabOrder.created_at))
    )
    return [(a, b, c, d, e) for a, b, c, d, e in uow.s.execute(query.limit(PAGE))]


def parked(uow: UnitOfWork) -> int:
    """Cancellations waiting for their orders."""
    return uow.s.execute(select(func.count()).select_from(ParkedCancel)).scalar_one()


def order_sets(uow: UnitOfWork) -> list[md.OrderSetRow]:
    """What can be ordered, by section."""
    return sorted((s for s in md.catalog(uow).order_sets.values() if s.active), key=lambda s: (s.section_id, s.code))
