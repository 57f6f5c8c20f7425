"""Rows written in one plain statement are the rows that the unit of work would have written, and their objects go on like any others."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from cloud.db.session import UnitOfWork
from cloud.modules.orders.models import LabOrder, OrderItem, Patient
from cloud.modules.specimens.models import LabelJob, Specimen
from tests.support.hospital import Hospital, hospital, shared_db

__all__ = ["hospital", "shared_db"]

AT = datetime(2026, 5, 4, 8, 30, 0, 123456, tzinfo=UTC)


def patient(no: str, **more: Any) -> Patient:
    return Patient(patient_no=no, name="𠮷田\\n\"'\t", pinyin="jt", sex="F", birth=AT - timedelta(days=20000), **more)


def columns(uow: UnitOfWork, kind: type[Any], row_id: int, but: tuple[str, ...]) -> dict[str, Any]:
    found = uow.s.execute(select(kind.__table__).where(kind.id == row_id)).mappings().one()
    return {k: v for k, v in found.items() if k not in ("id", *but)}


def test_every_kind_of_column_is_written_as_the_unit_of_work_writes_it(hospital: Hospital) -> None:
    with hospital.uow() as uow:
        one, other = (patient(no, phone_sealed=b"\x00\xff\\x", phone_key="~a", age_text=None) for no in ("I1", "I2"))
        uow.insert(one)
        uow.s.add(other)
        uow.s.flush()
        assert columns(uow, Patient, one.id, ("patient_no",)) == columns(uow, Patient, other.id, ("patient_no",))
        known = uow.s.execute(
            text("SELECT id, container_id, specimen_type_id, section_id FROM order_set WHERE section_id IS NOT NULL ORDER BY id LIMIT 1")
        ).first()
        assert known is not None

        def tube(code: str) -> Specimen:
            return Specimen(
                barcode=code, patient_id=one.id, specimen_type_id=known.specimen_type_id, container_id=known.container_id,
                section_id=known.section_id, volume_ml=Decimal("2.50"), sample_day=date(2026, 5, 4), collected_at=AT, issues=["clot", '"'],
            )  # fmt: skip

        a, b = tube("INSERT000001"), tube("INSERT000002")
        uow.insert(a)
        uow.s.add(b)
        uow.s.flush()
        assert columns(uow, Specimen, a.id, ("barcode",)) == columns(uow, Specimen, b.id, ("barcode",))
        job, same = (LabelJob(at=AT, documents=[{"名": [1, None, True, "\\"]}], pdf=None, zpl=b"^XA") for _ in range(2))
        uow.insert(job)
        uow.s.add(same)
        uow.s.flush()
        assert columns(uow, LabelJob, job.id, ()) == columns(uow, LabelJob, same.id, ())


def test_ids_come_in_the_order_of_the_objects_and_what_waits_is_written_first(hospital: Hospital) -> None:
    with hospital.uow() as uow:
        who = patient("I3")
        uow.s.add(who)
        uow.s.flush()
        order = LabOrder(source="LIS", placer_no="I3", patient_id=who.id, ordered_at=AT, created_at=AT)
        uow.insert(order)
        rows = [OrderItem(order_id=order.id, source="LIS", order_item_no=f"I3-{n}", his_code=str(n)) for n in range(30)]
        uow.insert(*rows)
        assert [r.id for r in rows] == sorted(r.id for r in rows)
        stored = uow.s.execute(select(OrderItem.his_code).where(OrderItem.order_id == order.id).order_by(OrderItem.id)).scalars()
        assert list(stored) == [str(n) for n in range(30)]
        assert uow.s.get(OrderItem, (hospital.a, rows[7].id)) is rows[7]
        uow.insert()
        assert uow.s.execute(select(func.count()).where(OrderItem.order_id == order.id)).scalar_one() == 30


def test_an_inserted_object_changes_and_grows_stale_like_a_read_one(hospital: Hospital) -> None:
    with pytest.raises(StaleDataError), hospital.uow() as uow:
        who = patient("I4")
        uow.insert(who)
        assert (who.version, who.merged_into, who.provisional, who.phone) == (1, None, False, None)
        who.name = "改名"
        uow.s.flush()
        assert columns(uow, Patient, who.id, ())["name"] == "改名" and who.version == 2
        uow.s.execute(update(Patient).where(Patient.id == who.id).values(version=9).execution_options(synchronize_session=False))
        who.name = "再改"


def test_a_row_that_may_not_be_is_refused_and_another_hospital_has_its_own(hospital: Hospital) -> None:
    with hospital.uow() as uow:
        uow.insert(patient("I5"))
    with pytest.raises(IntegrityError), hospital.uow() as uow:
        uow.insert(patient("I5"))
    with hospital.uow(hospital.b) as uow:
        uow.insert(patient("I5"))
