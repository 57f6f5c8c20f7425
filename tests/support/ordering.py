"""Orders for tests, placed through the orders module as a HIS would: patients, visits and items are invented."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import date

from cloud.db.session import UnitOfWork
from cloud.modules.orders import messages as m
from cloud.modules.orders import service

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Placed:
    """Ids of what was placed."""

    patient_id: int
    order_ids: list[int]
    item_ids: list[int]


def place(
    uow: UnitOfWork,
    *codes: str,
    patient_no: str = "P100",
    name: str = "张小伟",
    sex: str = "M",
    birth: date | None = date(1980, 5, 20),
    visit_no: str | None = None,
    kind: str = "outpatient",
    priority: str = "routine",
    paid: bool = True,
    ward: str = "",
    bed: str = "",
    card: str | None = None,
) -> Placed:
    """Place one order of these HIS codes (tests/cloud/catalog/seed.py) for one patient."""
    n = next(_numbers)
    charge = m.Charge.PAID if paid else m.Charge.UNPAID
    items = tuple(m.ItemData(f"I{n}-{i}", m.Action.NEW, code, f"项目{code}", charge) for i, code in enumerate(codes))
    numbers = (m.PatientId("patient_no", patient_no), *((m.PatientId("visit_card", card),) if card else ()))
    message = m.OrderMessage(
        f"msg{n}",
        m.PatientData(numbers, name, m.Sex(sex), birth),
        m.VisitData(m.VisitType(kind), visit_no or f"V-{patient_no}", dept="内科门诊", ward=ward or None, bed=bed or None),
        (m.OrderData(f"O{n}", m.Priority(priority), items, doctor="李医生", ordered_at=uow.now),),
    )
    placed = service.place_order(uow, message, "HIS")
    return Placed(placed.patient_id, placed.order_ids, placed.created)
