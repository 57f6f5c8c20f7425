"""Rows locked and saved in plain statements are objects of the session like any others, and what was changed of them is written once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import StaleDataError

from cloud.db import kept
from cloud.db.session import UnitOfWork
from cloud.modules.orders.models import LabOrder, Patient
from cloud.modules.specimens.models import Specimen
from tests.support.hospital import Hospital, hospital, shared_db

__all__ = ["hospital", "shared_db"]

AT = datetime(2026, 5, 4, 8, 30, 0, 123456, tzinfo=UTC)


def tubes(uow: UnitOfWork, *codes: str) -> list[int]:
    """Tubes of somebody; their ids."""
    who = Patient(patient_no=f"K{codes[0]}", name="留存", pinyin="lc", sex="M", birth=AT - timedelta(days=9000))
    uow.insert(who)
    known = uow.s.execute(
        text("SELECT container_id, specimen_type_id, section_id FROM order_set WHERE section_id IS NOT NULL ORDER BY id LIMIT 1")
    ).one()
    rows = [
        Specimen(
            barcode=code, patient_id=who.id, specimen_type_id=known.specimen_type_id, container_id=known.container_id,
            section_id=known.section_id, volume_ml=Decimal("2.50"), collected_at=AT, issues=["clot", '"'],
        )
        for code in codes
    ]  # fmt: skip
    uow.insert(*rows)
    ids = [row.id for row in rows]
    uow.s.expunge_all()
    return ids


def values(row: Specimen) -> dict[str, Any]:
    return {c.name: getattr(row, c.name) for c in Specimen.__table__.columns}


def statements(uow: UnitOfWork) -> list[str]:
    seen: list[str] = []
    event.listen(uow.s.get_bind(), "before_cursor_execute", lambda _c, _cur, sql, *_: seen.append(sql))
    return seen


def test_a_locked_row_is_the_row_the_session_would_have_read(hospital: Hospital) -> None:
    with hospital.uow() as uow:
        ids = tubes(uow, "KEPT01", "KEPT02", "KEPT03")
        found = kept.locked(uow.s, Specimen, [ids[2], ids[0], 10**12])
        assert [row.id for row in found] == [ids[0], ids[2]]
        assert all(uow.s.get(Specimen, (hospital.a, row.id)) is row and not uow.s.is_modified(row) for row in found)
        got = [values(row) for row in found]
        uow.s.expunge_all()
        read = uow.s.scalars(select(Specimen).where(Specimen.id.in_([ids[0], ids[2]])).order_by(Specimen.id)).all()
        assert got == [values(row) for row in read]


def test_a_row_the_session_holds_is_read_anew(hospital: Hospital) -> None:
    with hospital.uow() as uow:
        [one] = tubes(uow, "KEPT11")
        held = uow.s.get_one(Specimen, (hospital.a, one))
        uow.s.execute(text("UPDATE specimen SET caveat = 'other' WHERE tenant_id = :t AND id = :i"), {"t": hospital.a, "i": one})
        assert kept.locked(uow.s, Specimen, [one]) == [held] and held.caveat == "other"


def test_the_lock_is_one(hospital: Hospital) -> None:
    with hospital.uow() as uow:
        [one] = tubes(uow, "KEPT21")
    with hospital.uow() as uow:
        kept.locked(uow.s, Specimen, [one])
        with pytest.raises(OperationalError), hospital.uow() as other:
            other.s.execute(text("SELECT 1 FROM specimen WHERE tenant_id = :t AND id = :i FOR UPDATE NOWAIT"), {"t": hospital.a, "i": one})


def test_only_what_changed_is_written_and_only_once(hospital: Hospital) -> None:
    with hospital.uow() as uow:
        ids = tubes(uow, "KEPT31", "KEPT32", "KEPT33")
        a, b, c = kept.locked(uow.s, Specimen, ids)
        a.state, a.sample_no, a.issues = "labelled", "K1", [{"名": None}, "\\"]
        b.state, b.sample_no, b.issues = "cancelled", None, []
        c.state = "planned"  # as it was
        seen = statements(uow)
        kept.save(uow.s, [a, b, c])
        uow.s.flush()
        assert len(seen) == 2 and all("UPDATE specimen" in sql for sql in seen), seen  # b keeps its sample number
        assert (a.version, b.version, c.version) == (2, 2, 1)
        a.caveat = "later"
        uow.s.flush()
        uow.s.expunge_all()
        rows = uow.s.scalars(select(Specimen).where(Specimen.id.in_(ids)).order_by(Specimen.id)).all()
        told = [(r.state, r.sample_no, r.issues, r.caveat, r.version) for r in rows]
        assert told == [
            ("labelled", "K1", [{"名": None}, "\\"], "later", 3),
            ("cancelled", None, [], "", 2),
            ("planned", None, ["clot", '"'], "", 1),
        ]


def test_who_forgets_to_save_loses_nothing(hospital: Hospital) -> None:
    with hospital.uow() as uow:
        [one] = tubes(uow, "KEPT41")
        [row] = kept.locked(uow.s, Specimen, [one])
        row.caveat = "by the session"
        uow.s.flush()
        assert uow.s.execute(select(Specimen.caveat, Specimen.version).where(Specimen.id == one)).one() == ("by the session", 2)


@pytest.mark.parametrize("saved", [False, True])
def test_a_stale_row_is_refused_as_ever(hospital: Hospital, saved: bool) -> None:
    with pytest.raises(StaleDataError), hospital.uow() as uow:
        ids = tubes(uow, f"KEPT5{saved:d}")
        [row] = kept.locked(uow.s, Specimen, ids)
        if saved:
            row.caveat = "saved"
            kept.save(uow.s, [row])
        uow.s.execute(update(Specimen).where(Specimen.id == ids[0]).values(version=9).execution_options(synchronize_session=False))
        row.caveat = "again"
        uow.s.flush()


def test_another_hospitals_row_is_absent(hospital: Hospital) -> None:
    with hospital.uow() as uow:
        who = Patient(patient_no="KEPT51", name="甲", pinyin="j", sex="M")
        uow.insert(who)
        order = LabOrder(source="LIS", placer_no="KEPT51", patient_id=who.id, ordered_at=AT, created_at=AT)
        uow.insert(order)
        mine = order.id
    with hospital.db.tenant(hospital.b) as uow:
        assert kept.locked(uow.s, LabOrder, [mine]) == []
