"""Two records read as one person's (M03 R7): whichever number is asked for, the reports, tubes and looks of both are found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from cloud.modules.platform import looks
from cloud.modules.reports import queries
from cloud.modules.specimens import facts
from tests.cloud.bench.world import build
from tests.cloud.reports.test_release import Room
from tests.support import lab as labs
from tests.support.database import TestDatabase


@pytest.fixture
def room(fresh_db: TestDatabase) -> Iterator[Room]:
    lab = labs.make(fresh_db)
    lab.clock.set(datetime(2026, 5, 4, 2, 0, tzinfo=UTC))
    yield Room(build(lab))
    lab.db.dispose()


def test_reports_tubes_and_looks_are_found_by_either_number_until_the_merge_is_undone(room: Room) -> None:
    world, lab = room.world, room.world.lab
    with lab.uow() as uow:
        people = [world.patient(uow) for _ in range(3)]
        reports = [room.told(uow, patient=patient) for patient in people]
        kept, merged, other = uow.s.execute(text("SELECT patient_no FROM patient ORDER BY id")).scalars().all()
        add = "INSERT INTO patient_identifier (tenant_id, patient_id, kind, value) VALUES (:t, :p, 'visit_card', 'CARD7')"
        uow.s.execute(text(add), {"t": lab.a, "p": people[1]})
        looked = """INSERT INTO access_log (tenant_id, at, user_id, actor, patient_id, purpose, path, request_id)
                    SELECT :t, :at, :u, 'x', p, 'review', '/review', 'r' FROM unnest(CAST(:people AS bigint[])) p"""
        user = lab.users[(lab.a, "verifier")]
        uow.s.execute(text(looked), {"t": lab.a, "at": uow.now, "u": user, "people": people})

        def found(number: str) -> tuple[set[str], set[int], set[str]]:
            told = {each.no for each in queries.search(uow, number, [world.section])}
            tubes = {each.patient_id for each in facts.find(uow, number, uow.now.date(), [])}
            return told, tubes, {each.patient_no for each in looks.page(uow, looks.Asked(patient=number))}

        apart = [({no}, {person}, {number}) for no, person, number in zip(reports, people, (kept, merged, other), strict=True)]
        assert [found(number) for number in (kept, merged, other)] == apart
        uow.s.execute(text("UPDATE patient SET merged_into = :k WHERE id = :m"), {"k": people[0], "m": people[1]})
        both = ({*reports[:2]}, {*people[:2]}, {kept, merged})
        assert [found(number) for number in (kept, merged, other)] == [both, both, apart[2]]
        assert found("CARD7")[1] == {*people[:2]} and found("nobody") == (set(), set(), set())
        uow.s.execute(text("UPDATE patient SET merged_into = NULL"))
        assert [found(number) for number in (kept, merged, other)] == apart


def test_a_number_is_found_as_it_is_written(room: Room) -> None:
    """The HIS writes small letters in some numbers; reports and barcodes have none."""
    with room.world.lab.uow() as uow:
        no = room.told(uow)
        uow.s.execute(text("UPDATE patient SET patient_no = 'mz7x'"))
        assert [each.no for each in queries.search(uow, "mz7x", [room.world.section])] == [no]
        assert [each.no for each in queries.search(uow, no.lower(), [room.world.section])] == [no]
