"""Two invented hospitals with a tiny catalog mapped for the HIS source ``HIS``, and messages to place in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import create_engine, text

from cloud.db.session import Actor, Database, UnitOfWork
from cloud.modules.catalog.models import Container, HisItemMap, OrderSet, Section, SpecimenType
from cloud.modules.orders.messages import (
    Action,
    Charge,
    ItemData,
    OrderData,
    OrderMessage,
    PatientData,
    PatientId,
    Priority,
    Sex,
    VisitData,
    VisitType,
)
from tests.support.database import TestDatabase

SOURCE = "HIS"
CODES = {"CBC": "血常规", "GLU": "葡萄糖", "PT": "凝血酶原时间"}
START = datetime(2026, 5, 6, 0, 30, tzinfo=UTC)


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def hospitals(database: TestDatabase, clock: Clock | None = None) -> Iterator[Database]:
    """Tenants 1 and 2, each with the catalog of CODES."""
    owner = create_engine(database.owner_url)
    with owner.begin() as conn:
        conn.execute(text("INSERT INTO tenant (id, code, name, site) VALUES (1,'a','甲医院（虚构）',1),(2,'b','乙医院（虚构）',2)"))
    owner.dispose()
    db = Database(database.app_url, secret="5e" * 32, clock=clock or Clock())
    try:
        for tenant_id in (1, 2):
            with db.tenant(tenant_id) as uow:
                seed_catalog(uow)
        yield db
    finally:
        db.dispose()


def seed_catalog(uow: UnitOfWork) -> None:
    """One section, one tube, an order set a code."""
    section, kind = Section(code="SH", name="生化"), SpecimenType(code="SER", name="血清")
    tube = Container(code="Y", name="黄管", colour="yellow", nominal_ml=Decimal(5), draw_order=3)
    uow.s.add_all([section, kind, tube])
    uow.s.flush()
    for code, name in CODES.items():
        made = OrderSet(
            code=code, name=name, abbr=code, section_id=section.id, specimen_type_id=kind.id, container_id=tube.id, volume_ml=Decimal(1)
        )
        uow.s.add(made)
        uow.s.flush()
        uow.s.add(HisItemMap(source=SOURCE, his_code=code, his_name=name, order_set_id=made.id))


HIS = Actor("HIS", ip="127.0.0.1")


def person(
    number: str = "P001", name: str = "张三丰", *, card: str = "", birth: date | None = date(1990, 3, 7), sex: Sex = Sex.FEMALE
) -> PatientData:
    """An invented patient."""
    ids = (PatientId("patient_no", number), *([PatientId("visit_card", card)] if card else []))
    return PatientData(ids, name, sex, birth, None, "13800000000")


def item(
    number: str = "I1", code: str | None = "CBC", action: Action = Action.NEW, charge: Charge | None = Charge.PAID, **more: str
) -> ItemData:
    """One item."""
    return ItemData(number, action, code, CODES.get(code or "", code), charge, location="OBR^1", **more)


def message(
    *items: ItemData,
    who: PatientData | None = None,
    visit: VisitType | None = VisitType.OUTPATIENT,
    form: str = "F1",
    priority: Priority = Priority.ROUTINE,
    note: str | None = None,
) -> OrderMessage:
    """One order message."""
    who = who or person()
    contact = VisitData(visit, f"V-{who.ids[0].value}", "内科", "D01", "三病区", "05", "贫血")
    order = OrderData(form, priority, items or (item(),), "李四", "D007", "心内科", "D01", START, None, note)
    return OrderMessage("key", who, contact, (order,))
