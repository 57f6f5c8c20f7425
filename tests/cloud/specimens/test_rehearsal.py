"""The rehearsed receipt: played to its end, and nothing of it is left."""

from sqlalchemy import text

from cloud.modules.catalog import queries as md
from cloud.modules.catalog.models import OrderSet
from cloud.modules.specimens import rehearsal
from cloud.modules.specimens.rules import Finding
from tests.support.hospital import Hospital

TABLES = """SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
AND has_table_privilege(oid, 'SELECT') ORDER BY 1"""


def contents(hospital: Hospital) -> dict[str, list[str]]:
    """Every row of every table that this hospital can read."""
    with hospital.db.tenant(hospital.a) as uow:
        tables = uow.s.execute(text(TABLES)).scalars().all()
        return {name: list(uow.s.execute(text(f'SELECT t::text FROM "{name}" t ORDER BY 1')).scalars()) for name in tables}


def test_a_rehearsed_receipt_is_played_to_its_end_and_leaves_nothing(hospital: Hospital) -> None:
    before = contents(hospital)
    assert before["test_item"] and "specimen" in before, "there is something to compare"
    assert [answer.finding for answer in rehearsal.receipt(hospital.db, hospital.a)] == [Finding.OK]
    assert contents(hospital) == before


def test_what_needs_a_consent_is_not_rehearsed(hospital: Hospital) -> None:
    with hospital.db.tenant(hospital.a) as uow:
        first = next(s.id for s in md.catalog(uow).order_sets_by_code.values() if s.active)

    def needs_consent(yes: bool) -> None:
        with hospital.db.tenant(hospital.a) as uow:
            uow.s.get_one(OrderSet, (hospital.a, first)).consent = yes

    needs_consent(True)
    try:
        assert [answer.finding for answer in rehearsal.receipt(hospital.db, hospital.a)] == [Finding.OK]
    finally:
        needs_consent(False)


def test_a_hospital_without_a_catalog_plays_nothing_and_says_so_only_in_the_log(hospital: Hospital) -> None:
    empty = max(hospital.a, hospital.b) + 1_000_000
    assert rehearsal.receipt(hospital.db, empty) == []
