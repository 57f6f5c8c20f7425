"""Whether anything that a message names is in the database already: all its numbers in one question."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.orders import patients
from cloud.modules.orders.messages import OrderMessage


def visit_no(message: OrderMessage, source: str) -> str | None:
    """A contact without a number is told by its first request form."""
    return None if message.visit is None else message.visit.visit_no or f"{source}/{message.orders[0].order_no}"


_STORED = text("""
SELECT EXISTS (SELECT 1 FROM patient WHERE tenant_id = :t AND patient_no = :no) AS person,
       EXISTS (SELECT 1 FROM unnest(CAST(:kinds AS text[]), CAST(:values AS text[])) AS w(kind, value)
               JOIN patient_identifier p ON p.tenant_id = :t AND p.kind = w.kind AND p.value = w.value)
    OR EXISTS (SELECT 1 FROM visit WHERE tenant_id = :t AND visit_no = :visit)
    OR EXISTS (SELECT 1 FROM lab_order WHERE tenant_id = :t AND source = :source AND placer_no = ANY(:orders))
    OR EXISTS (SELECT 1 FROM order_item WHERE tenant_id = :t AND source = :source AND order_item_no = ANY(:items))
    OR EXISTS (SELECT 1 FROM parked_cancel WHERE tenant_id = :t AND source = :source AND order_item_no = ANY(:items)) AS more
""")


@dataclass(frozen=True, slots=True)
class Stored:
    """Whether what a message names is there already: its patient's own number; anything else (card, visit, form, items)."""

    person: bool
    more: bool

    @property
    def nothing(self) -> bool:
        """Whether all of it is new."""
        return not (self.person or self.more)


def stored(uow: UnitOfWork, message: OrderMessage, source: str) -> Stored:
    """All of a message's numbers in one question. Somebody who registers by hand mostly brings a new person with a new form: what is not
    there need not be looked for once more, number by number, to be locked."""
    held = patients.spellings(uow, message.patient)
    values = {
        "t": uow.tenant_id, "no": message.patient.ids[0].value, "kinds": [kind for kind, _ in held], "values": [value for _, value in held],
        "visit": visit_no(message, source), "source": source, "orders": [o.order_no for o in message.orders],
        "items": [i.order_item_no for i in message.items],
    }  # fmt: skip
    return Stored(*uow.s.execute(_STORED, values).one())
