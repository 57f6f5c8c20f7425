"""The rehearsed receipt: played to its end, and nothing of it is left."""

from sqlalchemy import text

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


def test_a_hospital_without_a_catalog_plays_nothing_and_says_so_only_in_the_log(hospital: Hospital) -> None:
    empty = max(hospital.a, hospital.b) + 1_000_000
    assert rehearsal.receipt(hospital.db, empty) == []
