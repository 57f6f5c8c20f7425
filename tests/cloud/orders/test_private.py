"""Identity numbers and telephones are sealed in the database, found by their hash, read as they were given (M01 R11)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.fernet import InvalidToken
from sqlalchemy import text

from cloud.db.session import Database
from cloud.db.vault import Vault
from cloud.modules.orders import private, queries, service
from cloud.modules.orders.messages import PatientId
from cloud.modules.specimens import facts
from tests.support.database import TestDatabase
from tests.support.orders import SOURCE, hospitals, item, message, person

NUMBER, PHONE = "11010119900307747X", "13800000000"


@pytest.fixture
def db(fresh_db: TestDatabase) -> Iterator[Database]:
    with hospitals(fresh_db) as made:
        yield made


def place(db: Database, key: str = "I1", no: str = "P001", tenant: int = 1, number: str = NUMBER) -> int:
    who = replace(person(no), ids=(PatientId("patient_no", no), PatientId("id_card", number)))
    with db.tenant(tenant) as uow:
        return service.place_order(uow, message(item(key), who=who, form=f"F{key}"), SOURCE).patient_id


def everything(db: Database) -> str:
    """What anybody who reads the two tables and the audit finds."""
    with db.tenant(1) as uow:
        rows = [uow.s.execute(text(f"SELECT * FROM {t}")).all() for t in ("patient", "patient_identifier", "audit_log")]
        return str(rows)


def test_the_database_holds_neither_number_nor_telephone(db: Database) -> None:
    patient = place(db)
    assert place(db, "I2", "P001") == patient, "found again by both numbers"
    with db.tenant(1) as uow:
        service.place_order(uow, message(item("I3"), who=replace(person("P001"), phone="13911112222"), form="F3"), SOURCE)
        for code in (NUMBER, NUMBER.lower(), "P001"):
            found = queries.patient_by_code(uow, code)
            assert found is not None and found.id == patient, code
            who = facts.person_by_code(uow, code)
            assert who is not None and who.id == patient, code
        assert [p.phone for p in queries.search_patients(uow, "13911112222")] == ["13911112222"]
        assert queries.search_patients(uow, PHONE) == [] and queries.patient_by_code(uow, "11010119900307748X") is None
        assert ("id_card", NUMBER) in queries.identifiers(uow, patient)
    shown = everything(db)
    assert NUMBER not in shown and PHONE not in shown and "13911112222" not in shown and "*******2222" in shown


def test_the_same_number_is_another_hash_in_another_hospital(db: Database) -> None:
    place(db), place(db, tenant=2)
    values = []
    for tenant in (1, 2):
        with db.tenant(tenant) as uow:
            values.append(uow.s.execute(text("SELECT value, sealed FROM patient_identifier WHERE kind = 'id_card'")).one())
    assert values[0].value != values[1].value
    with db.tenant(1) as uow, pytest.raises(InvalidToken):
        uow.vault.unseal(values[1].sealed)
    with pytest.raises(RuntimeError, match="no secret"):
        Vault("", 1).seal(NUMBER)


def test_what_an_earlier_release_wrote_is_found_at_once_and_sealed_by_the_job(db: Database) -> None:
    first, second = place(db), place(db, "I2", "P002", number="320101198001010019")
    plain = text("UPDATE patient_identifier SET value = :v, sealed = NULL WHERE kind = 'id_card' AND patient_id = :p")
    twice = text("INSERT INTO patient_identifier (tenant_id, patient_id, kind, value) VALUES (1, :p, 'id_card', :v)")
    with db.tenant(1) as uow:
        uow.s.execute(plain, {"v": NUMBER, "p": first})
        uow.s.execute(text("UPDATE patient SET phone = :v, phone_sealed = NULL, phone_key = NULL WHERE id = :p"), {"v": PHONE, "p": first})
        # While it still serves it does not find the second person's sealed number, and writes it again, also for somebody else.
        uow.s.execute(twice, {"p": second, "v": "320101198001010019"})
    assert place(db, "I4", "P003") == first, "the same name and the identity number, though plain"
    with db.tenant(1) as uow:
        found = queries.patient_by_code(uow, NUMBER)
        assert found is not None and found.id == first and found.phone == PHONE
    with db.tenant(1) as uow:
        private.seal_old(uow)
    with db.tenant(1) as uow:
        rows = uow.s.execute(text("SELECT patient_id, value, sealed FROM patient_identifier WHERE kind = 'id_card' ORDER BY id")).all()
        assert [r.patient_id for r in rows] == [first, second] and all(r.sealed is not None and r.value.startswith("~") for r in rows)
        found = queries.patient_by_code(uow, NUMBER)
        assert found is not None and found.id == first and found.phone == PHONE
        assert uow.s.execute(text("SELECT count(*) FROM patient WHERE phone IS NOT NULL")).scalar_one() == 0
        private.seal_old(uow)
    assert NUMBER not in everything(db)


def test_a_number_of_two_records_stays_with_both_and_finds_the_first(db: Database) -> None:
    first, second = place(db), place(db, "I2", "P002", number="320101198001010019")
    twice = text("INSERT INTO patient_identifier (tenant_id, patient_id, kind, value) VALUES (1, :p, 'id_card', :v)")
    with db.tenant(1) as uow:
        uow.s.execute(twice, {"p": second, "v": NUMBER})
    with db.tenant(1) as uow:
        private.seal_old(uow)
    with db.tenant(1) as uow:
        assert ("id_card", NUMBER) in queries.identifiers(uow, second)
        found = queries.patient_by_code(uow, NUMBER)
        assert found is not None and found.id == first
