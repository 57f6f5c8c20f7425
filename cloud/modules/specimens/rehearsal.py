"""A receipt played through and taken back, so that the first tube of a morning does not wait for what is done once.

PostgreSQL reads each table's description and plans each foreign key's check once a session, SQLAlchemy compiles each statement once a
process. Only doing the work warms all of it, so it is done: an invented request, its label, its collection, its receipt, in one
transaction that ends with a rollback. Nobody ever sees any of it, and the numbers given out return with it.
"""

from __future__ import annotations

import uuid

import structlog
from sqlalchemy.exc import SQLAlchemyError

from cloud.db.session import Actor, Database, UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.orders import service as orders
from cloud.modules.orders.messages import Registration
from cloud.modules.specimens import queries, service, strays
from common.errors import UserError

ACTOR = Actor("rehearsal")


class _TakenBackError(Exception):
    """Ends the transaction; never leaves this module."""


def receipt(db: Database, tenant_id: int) -> list[service.Answer]:
    """Play one receipt in this hospital and take it back: what the scans were answered, nothing where it could not be played."""
    answers: list[service.Answer] = []
    try:
        with db.tenant(tenant_id, ACTOR) as uow:
            answers = _play(uow)
            uow.finish()
            raise _TakenBackError
    except _TakenBackError:
        pass
    except (UserError, SQLAlchemyError) as error:
        structlog.get_logger("web").info("not_rehearsed", tenant=tenant_id, error=type(error).__name__)
    return answers


def _play(uow: UnitOfWork) -> list[service.Answer]:
    asked = next((s.code for s in md.catalog(uow).order_sets_by_code.values() if s.active and not s.consent), "")
    form = Registration(
        key=uuid.uuid4().hex, patient_no="", name="演练", sex="M", birth="1980-01-01", phone="", kind="outpatient", dept="", doctor="",
        priority="routine", paid=True, note="", order_sets=[asked], other_person=True,
    )  # fmt: skip
    placed = orders.register(uow, form)
    service.print_labels(uow, placed.patient_id, placed.created, ("name", "birth"))
    codes = [tube.barcode for tube in service.open_tubes(uow, placed.patient_id)]
    for code in codes:
        service.collect(uow, code, placed.patient_id)
    answers = [service.receive(uow, code) for code in codes]
    queries.received_today(uow)
    queries.on_the_way(uow)
    strays.opened(uow)
    return answers
