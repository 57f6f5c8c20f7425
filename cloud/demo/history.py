"""A past for the demo: released reports of the last weeks, so that trends, delta and the clinician's page have something to show.

Everything goes through the product's own verbs, under a clock that stands where it happened. Invented values only.
"""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import select

from cloud.config import Settings
from cloud.db.session import Database, UnitOfWork
from cloud.demo import catalog_data, messages, people_data, walk
from cloud.demo.people_data import Hospital
from cloud.demo.state import Account, State
from cloud.modules.bench import queries as bench_queries
from cloud.modules.orders import place
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
from cloud.modules.orders.models import LabOrder
from cloud.modules.specimens import facts

DAYS_AGO = (28, 14, 7, 2)
PATIENTS = ("P100001", "P100003", "P100004")
SETS = ("CBC", "RFT")
MARK = "HISTORY"


class StandingClock:
    """A clock that somebody moves."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def set(self, now: datetime) -> None:
        """Stand somewhere else."""
        self.now = now


def write(settings: Settings, state: State, tenants: Mapping[str, int], today: datetime) -> int:
    """Write the past of every hospital that has none; the number of reports."""
    clock = StandingClock(today)
    db = Database(settings.database_url, secret=settings.secret, pool_size=2, clock=clock)
    made = 0
    try:
        for hospital in people_data.HOSPITALS:
            with db.tenant(tenants[hospital.code]) as uow:
                if uow.s.execute(select(LabOrder.id).where(LabOrder.placer_no.startswith(MARK))).first() is not None:
                    continue
            accounts = {a.username: a for a in state.accounts() if a.tenant == hospital.code}
            for days in DAYS_AGO:
                clock.now = (today - timedelta(days=days)).astimezone(UTC).replace(hour=1, minute=0, second=0, microsecond=0)
                made += _day(walk.ward(db, tenants[hospital.code]), hospital, accounts, settings, clock, days)
    finally:
        db.dispose()
    return made


def _day(where: walk.Ward, hospital: Hospital, accounts: Mapping[str, Account], settings: Settings, clock: StandingClock, days: int) -> int:
    """One morning: orders, tubes, values, signatures."""
    tester, verifier = accounts["t1001"], accounts["v2001"]
    ids: list[int] = []
    people = [row for row in people_data.PATIENTS[hospital.code] if row.number in PATIENTS]
    for row in people:
        with where.db.tenant(where.tenant_id, where.nurse) as uow:
            placed = place.place_order(uow, _order(row, hospital, days, clock.now), hospital.source, default_charge=Charge.PAID)
        # What the hospital system asks for at the same time is today's, and not all of it is a number.
        ids += walk.label(where, placed.patient_id, placed.created)
    clock.now += timedelta(minutes=10)
    walk.collect(where, ids)
    clock.now += timedelta(minutes=25)
    walk.receive(where, ids)
    clock.now += timedelta(minutes=40)
    who = walk.log_in(where, tester, settings)
    report_ids = []
    for specimen_id in ids:
        with where.db.tenant(where.tenant_id) as uow:
            tube = walk.tubes(uow, [specimen_id])[0]
            codes = [test.item.code for test in bench_queries.tests_of(uow, [specimen_id])[specimen_id]]
            sex = next(p.sex for p in people if p.number == _number(uow, tube.patient_id))
        dice = random.Random(f"{tube.patient_id}")  # the same person keeps much the same values …
        drift = random.Random(f"{tube.patient_id}{days}")  # … that drift a little from day to day
        drawn = messages.coherent({code: _value(code, sex, dice, drift) for code in codes})
        values = {code: f"{round(value, messages.DECIMALS[code]):f}" for code, value in drawn.items()}
        walk.enter(where, who, specimen_id, values)
        report_ids.append(walk.review(where, who, specimen_id))
    clock.now += timedelta(minutes=15)
    walk.release(where, walk.log_in(where, verifier, settings), verifier, report_ids, settings)
    return len(report_ids)


def _number(uow: UnitOfWork, patient_id: int) -> str:
    person = facts.person(uow, patient_id)
    assert person is not None
    return person.patient_no


def _value(code: str, sex: str, dice: random.Random, drift: random.Random) -> Decimal:
    return messages.draw(code, sex, dice) * (1 + Decimal(repr(round(drift.uniform(-0.04, 0.04), 4))))


def _order(row: people_data.Patient, hospital: Hospital, days: int, now: datetime) -> OrderMessage:
    number = f"{MARK}-{hospital.code}-{row.number}-{days}"
    born = datetime.fromisoformat(row.born).date()
    items = tuple(ItemData(f"{number}-{code}", Action.NEW, code, _name(code), Charge.PAID) for code in SETS)
    return OrderMessage(
        key=number,
        patient=PatientData((PatientId("patient_no", row.number), PatientId("visit_card", row.card)), row.name, Sex(row.sex), born),
        visit=VisitData(VisitType.OUTPATIENT, f"V{number}", dept="内科", ward="门诊"),
        orders=(OrderData(number, Priority.ROUTINE, items, doctor=people_data.DOCTORS[hospital.code][0], dept="内科", ordered_at=now),),
        sent_at=now,
    )


def _name(code: str) -> str:
    return next(row.name for row in catalog_data.ORDER_SETS if row.code == code)
