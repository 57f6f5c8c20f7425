"""Who a message speaks of: find the patient by any identifier, store what is new, never merge or re-hang by itself.

A merged record keeps its number: what comes for that number stays under it and is read together with the record it was merged into, so
that undoing a merge takes nothing of anybody along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.orders import names, private, rules
from cloud.modules.orders.messages import PatientData
from cloud.modules.orders.models import Patient
from cloud.modules.orders.rules import SamePerson

CHINA = ZoneInfo("Asia/Shanghai")
MAX_MERGES = 10
OWN_NUMBERS = ("patient_no", "empi")


@dataclass(frozen=True)
class Found:
    """The patient a message means, or the other person who holds its number; and who holds each of its identifiers."""

    patient: Patient | None
    other_person: Patient | None = None
    renamed: bool = False
    holders: Mapping[tuple[str, str], int] = field(default_factory=dict)


def final_id(uow: UnitOfWork, patient_id: int) -> int:
    """The patient a merged one now is."""
    for _ in range(MAX_MERGES):
        row = uow.s.get(Patient, (uow.tenant_id, patient_id))
        if row is None or row.merged_into is None:
            break
        patient_id = row.merged_into
    return patient_id


def same(uow: UnitOfWork, one: int, other: int) -> bool:
    """Whether two records are read as one person's."""
    return one == other or final_id(uow, one) == final_id(uow, other)


def find(uow: UnitOfWork, data: PatientData) -> Found:
    """By the sender's own number first, then by the other identifiers, but those only for a person who fits."""
    holders = _holders(uow, data)
    main = data.ids[0]
    owner = _by_number(uow, main.value) if main.kind in OWN_NUMBERS else None
    if owner is None and (main.kind, main.value) in holders:
        owner = _by_id(uow, holders[main.kind, main.value])
    if owner is not None:
        same = rules.same_person(owner.name, owner.sex, local_day(owner.birth), data)
        if same is SamePerson.NO:
            return Found(None, owner, holders=holders)
        return Found(owner, renamed=same is SamePerson.RENAMED, holders=holders)
    for identifier in data.ids[1:]:
        held = holders.get((identifier.kind, identifier.value))
        other = _by_id(uow, held) if held is not None else None
        if other is not None and rules.shares_card(other.name, other.sex, local_day(other.birth), data):
            return Found(other, holders=holders)
    return Found(None, holders=holders)


def store(uow: UnitOfWork, data: PatientData, found: Found) -> Patient:
    """The patient as the message describes them: created, or brought up to date with an audit entry."""
    patient = found.patient or _create(uow, data)
    if found.patient is not None:
        _update(uow, patient, data)
    # What somebody else holds stays theirs: a person decides about a merge, not a message.
    new = dict.fromkeys((i.kind, i.value) for i in data.ids if (i.kind, i.value) not in found.holders)
    uow.insert(*(private.identifier(uow, patient.id, kind, value) for kind, value in new))
    return patient


def local_day(birth: datetime | None) -> date | None:
    """The birthday of a stored instant."""
    return birth.astimezone(CHINA).date() if birth is not None else None


def instant(day: date | None, at: datetime | None) -> datetime | None:
    """A birthday as stored: the minute when it is known, else midnight in China."""
    return at if at is not None or day is None else midnight(day)


def midnight(day: date) -> datetime:
    """The instant a day begins in China."""
    return datetime.combine(day, time(0), CHINA).astimezone(UTC)


_NUMBERED = text("SELECT id FROM patient WHERE tenant_id = :t AND patient_no = :no FOR UPDATE")


def _by_number(uow: UnitOfWork, number: str) -> Patient | None:
    # A message about somebody new is as frequent as one about somebody known: the row itself is asked for only where there is one.
    found = uow.s.scalar(_NUMBERED, {"t": uow.tenant_id, "no": number})
    return None if found is None else uow.s.get(Patient, (uow.tenant_id, found), with_for_update=True)


def _by_id(uow: UnitOfWork, patient_id: int) -> Patient | None:
    return uow.s.get(Patient, (uow.tenant_id, patient_id))


_HOLDERS = text("""
SELECT p.kind, p.value, p.patient_id FROM unnest(CAST(:kinds AS text[]), CAST(:values AS text[])) AS w(kind, value)
JOIN patient_identifier p ON p.tenant_id = :t AND p.kind = w.kind AND p.value = w.value
""")


def spellings(uow: UnitOfWork, data: PatientData) -> dict[tuple[str, str], tuple[str, str]]:
    """Each identifier of a message as it may stand in its row, with the identifier itself."""
    asked = {(i.kind, private.stored(uow, i.kind, i.value)): (i.kind, i.value) for i in data.ids}
    return asked | {(i.kind, i.value): (i.kind, i.value) for i in data.ids}  # written by an earlier release and not sealed yet


def _holders(uow: UnitOfWork, data: PatientData) -> dict[tuple[str, str], int]:
    """Who holds the message's identifiers, in one statement."""
    asked = spellings(uow, data)
    wanted = {"t": uow.tenant_id, "kinds": [kind for kind, _ in asked], "values": [value for _, value in asked]}
    return {asked[kind, value]: patient_id for kind, value, patient_id in uow.s.execute(_HOLDERS, wanted)}


def _create(uow: UnitOfWork, data: PatientData) -> Patient:
    main = data.ids[0]
    # A card's number may equal another patient's number: then it is told apart by its kind.
    taken = main.kind not in OWN_NUMBERS and _by_number(uow, main.value) is not None
    patient = Patient(
        patient_no=f"{main.kind}:{main.value}" if taken else main.value,
        name=data.name,
        pinyin=names.pinyin(data.name),
        initials=names.initials(data.name),
        sex=data.sex.value,
        birth=instant(data.birth, data.birth_at),
    )
    private.set_phone(uow, patient, data.phone)
    uow.insert(patient)
    uow.audit("patient", patient.id, "created", after={"patient_no": patient.patient_no, "name": patient.name, "sex": patient.sex})
    return patient


def _update(uow: UnitOfWork, patient: Patient, data: PatientData) -> None:
    """Only what the message really says: an unknown sex or a missing birthday takes nothing away."""
    new: dict[str, object] = {"name": data.name}
    if data.name != patient.name:
        new |= {"pinyin": names.pinyin(data.name), "initials": names.initials(data.name)}
    if data.sex.value != "U":
        new["sex"] = data.sex.value
    if data.birth is not None and (local_day(patient.birth) != data.birth or data.birth_at is not None):
        new["birth"] = instant(data.birth, data.birth_at)
    before = {k: getattr(patient, k) for k, v in new.items() if getattr(patient, k) != v}
    for name in before:
        setattr(patient, name, new[name])
    if patient.provisional:
        patient.provisional = False
    texts = {k: str(v) if isinstance(v, datetime) else v for k, v in before.items()}
    after = {k: str(new[k]) if isinstance(new[k], datetime) else new[k] for k in before}
    number = private.phone(uow, patient.phone, patient.phone_sealed)
    if data.phone and data.phone != number:
        private.set_phone(uow, patient, data.phone)
        texts["phone"], after["phone"] = private.masked(number), private.masked(data.phone)
    if texts:
        uow.audit("patient", patient.id, "changed", before=texts, after=after)
