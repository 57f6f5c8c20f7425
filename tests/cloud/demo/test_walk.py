"""The demo's people by the product's verbs."""

from sqlalchemy import text

from cloud.db.session import Actor
from cloud.demo import walk
from tests.support.hospital import Hospital, hospital, shared_db
from tests.support.ordering import place

__all__ = ["hospital", "shared_db"]

NURSE = Actor("护士一号", 7, workstation="W3")


def test_the_past_takes_no_tube_that_somebody_else_asked_for_at_the_same_time(hospital: Hospital) -> None:
    """The simulated hospital system orders while the past is written: a urine of today among its tubes ended the past half way."""
    own = hospital.act(lambda uow: place(uow, "1001"))
    hospital.act(lambda uow: place(uow, "1002", "1006"))
    where = walk.Ward(hospital.db, hospital.a, NURSE, NURSE)
    [tube] = walk.label(where, own.patient_id, own.item_ids)
    found = hospital.rows("SELECT id, specimen_id FROM order_item WHERE status <> 'cancelled' ORDER BY id")
    assert [row.id for row in found if row.specimen_id == tube] == own.item_ids
    assert any(row.specimen_id is None for row in found)
    assert walk.label(where, own.patient_id), "without a list all that is left is labelled"
    assert not hospital.act(lambda uow: uow.s.execute(text("SELECT 1 FROM order_item WHERE specimen_id IS NULL")).all())
