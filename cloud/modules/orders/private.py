"""Identity numbers and telephones of patients are kept sealed (M01 R11): written sealed from now on, what stood plain is sealed by a job.

An identity number's row keeps a keyed hash where the number stood, so that unique keys and searches go on as they were.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.orders.models import Patient, PatientIdentifier

SEALED = frozenset({"id_card"})
BATCH = 500


def stored(uow: UnitOfWork, kind: str, value: str) -> str:
    """An identifier as its row's ``value`` has it."""
    return uow.vault.blind(value) if kind in SEALED else value


def identifier(uow: UnitOfWork, patient_id: int, kind: str, value: str) -> PatientIdentifier:
    """A new row of an identifier."""
    sealed = uow.vault.seal(value) if kind in SEALED else None
    return PatientIdentifier(patient_id=patient_id, kind=kind, value=stored(uow, kind, value), sealed=sealed)


def shown(uow: UnitOfWork, value: str, sealed: bytes | None) -> str:
    """An identifier as it was issued."""
    return value if sealed is None else uow.vault.unseal(sealed)


def codes(uow: UnitOfWork, code: str) -> list[str]:
    """What a scanned or typed number may stand as: itself, or the hash of an identity number."""
    return [code, uow.vault.blind(code)]


def set_phone(uow: UnitOfWork, patient: Patient, number: str | None) -> None:
    """Keep a telephone: sealed, and its hash to find the patient by."""
    patient.phone = None
    patient.phone_sealed = None if number is None else uow.vault.seal(number)
    patient.phone_key = None if number is None else uow.vault.blind(number)


def phone(uow: UnitOfWork, plain: str | None, sealed: bytes | None) -> str | None:
    """A patient's telephone."""
    return plain if sealed is None else uow.vault.unseal(sealed)


def masked(number: str | None) -> str | None:
    """A telephone for the audit: that it changed, and to which end."""
    return None if number is None else "*" * max(len(number) - 4, 0) + number[-4:]


def seal_old(uow: UnitOfWork) -> None:
    """Calendar job: what an earlier release wrote plain is sealed, some hundred rows a time."""
    plain = select(Patient).where(Patient.phone.is_not(None)).order_by(Patient.id).limit(BATCH)
    for patient in uow.s.scalars(plain.with_for_update(skip_locked=True)).all():
        set_phone(uow, patient, patient.phone)
    _seal_identifiers(uow)


def _seal_identifiers(uow: UnitOfWork) -> None:
    query = select(PatientIdentifier).where(PatientIdentifier.kind.in_(SEALED), PatientIdentifier.sealed.is_(None))
    rows = uow.s.scalars(query.order_by(PatientIdentifier.id).limit(BATCH).with_for_update(skip_locked=True)).all()
    held = _held(uow, [stored(uow, r.kind, r.value) for r in rows])
    before = {value for _, value in held}
    for row in rows:
        hashed = stored(uow, row.kind, row.value)
        holder = held.setdefault((row.kind, hashed), row.patient_id)
        if holder == row.patient_id and hashed in before:
            uow.s.delete(row)  # the earlier release, still serving, did not find the sealed number and wrote it once more
            continue
        row.sealed = uow.vault.seal(row.value)
        # Written for another record meanwhile: kept and shown there, found under its first holder; a person decides about a merge.
        row.value = hashed if holder == row.patient_id else f"{hashed}/{row.id}"


def _held(uow: UnitOfWork, hashes: Sequence[str]) -> dict[tuple[str, str], int]:
    query = select(PatientIdentifier.kind, PatientIdentifier.value, PatientIdentifier.patient_id)
    return {(k, v): p for k, v, p in uow.s.execute(query.where(PatientIdentifier.value.in_(hashes)))} if hashes else {}
