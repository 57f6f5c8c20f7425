"""A small laboratory with control material, a plan for K and NA on its analyzer and approved targets. All invented."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.platform.models import UserSession
from cloud.modules.qc import ooc, plans, record, targets
from cloud.modules.qc.models import QcOoc, QcPlan
from cloud.modules.qc.plans import NewMaterial, NewPlan, NewTarget
from cloud.modules.qc.record import Measured
from cloud.web.principal import Principal
from tests.cloud.bench.world import World

T0 = datetime(2026, 5, 4, 0, 0, tzinfo=UTC)
NOON = datetime(2026, 5, 4, 4, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
D = Decimal
TARGETS = {"K": {1: ("4.00", "0.10"), 2: ("6.50", "0.15")}, "NA": {1: ("125", "1.5"), 2: ("145", "1.5")}}


@dataclass
class Shop:
    """Ids of what was made."""

    world: World
    plans: dict[str, int] = field(default_factory=dict)
    materials: dict[int, int] = field(default_factory=dict)

    def person(self, uow: UnitOfWork, role: str) -> Principal:
        """Somebody with an open signing window, who acts from now on."""
        user = self.world.lab.users[(uow.tenant_id, role)]
        until = uow.now + timedelta(minutes=5)
        session = UserSession(
            token_hash=uuid.uuid4().hex,
            user_id=user,
            workstation="WS1",
            created_at=uow.now,
            seen_at=uow.now,
            mfa_at=uow.now,
            signing_until=until,
            signing_id=f"win-{role}",
        )
        uow.s.add(session)
        uow.s.flush()
        uow.actor = replace(uow.actor, user_id=user, name=role)
        return Principal(
            user_id=user,
            name=role,
            employee_no=f"{role}1",
            tenant_id=uow.tenant_id,
            tenant_code="a",
            tenant_name="甲医院（虚构）",
            session_id=session.id,
            permissions=frozenset(),
            roles=frozenset({role}),
            sections=frozenset(),
            wards=frozenset(),
            workstation="WS1",
            locale="zh",
            mfa=True,
            locked=False,
            signing_until=until,
            signing_id=f"win-{role}",
        )

    def run(self, uow: UnitOfWork, item: str, at: datetime, values: Mapping[int, str], source: str = "manual") -> int:
        """One run of levels → values."""
        measured = [Measured(self.plans[item], self.materials[k], k, at, v, D(v), source) for k, v in values.items()]
        return record.record(uow, measured)[-1]

    def good(self, uow: UnitOfWork, item: str, at: datetime) -> int:
        """An in-control run."""
        shift = D("0.02") if at.hour % 2 else D("-0.02")
        return self.run(uow, item, at, {k: str(D(mean) + shift * (1 if k == 1 else -1)) for k, (mean, _) in TARGETS[item].items()})

    def bad(self, uow: UnitOfWork, item: str, at: datetime) -> int:
        """A run beyond 3 SD at level 1."""
        mean, sd = TARGETS[item][1]
        return self.run(uow, item, at, {1: str(D(mean) + 4 * D(sd)), 2: TARGETS[item][2][0]})

    def work(self, uow: UnitOfWork, item: str) -> QcOoc:
        """The newest out-of-control work of an item."""
        found = uow.s.query(QcOoc).filter(QcOoc.plan_id == self.plans[item]).order_by(QcOoc.id.desc()).first()
        assert found is not None
        return found

    def mend(self, uow: UnitOfWork, item: str) -> None:
        """Investigate and correct, by the tester."""
        self.person(uow, "tester")
        work = self.work(uow, item)
        ooc.investigate(uow, work.id, work.version)
        ooc.correct(uow, work.id, work.version, "calibration", "校准漂移", "重新校准")

    def plan(self, uow: UnitOfWork, item: str) -> QcPlan:
        """The plan of an item."""
        return uow.s.get_one(QcPlan, (uow.tenant_id, self.plans[item]))


def open_shop(world: World, at: datetime = T0) -> Shop:
    """Material of two levels, plans and targets, in force since ``at``."""
    shop = Shop(world)
    with world.lab.uow(world.tenant) as uow:
        for level in (1, 2):
            new = NewMaterial(f"QC-L{level}", f"化学质控（虚构）水平{level}", level, f"LOT{level}", expires_at=T0 + timedelta(days=3650))
            shop.materials[level] = plans.add_material(uow, new).id
        for item, levels in TARGETS.items():
            plan = plans.save_plan(uow, NewPlan(world.analyzer, world.items[item], (1, 2), tea_percent=D(6)))
            shop.plans[item] = plan.id
            for level, (mean, sd) in levels.items():
                new_target = NewTarget(plan.id, level, shop.materials[level], D(mean), D(sd), targets.Basis.MAKER)
                made = plans.propose_target(uow, new_target)
                plans.approve_target(uow, made.id, made.version)
        uow.s.execute(text("UPDATE qc_target SET effective_at = :at"), {"at": at - timedelta(days=1)})
    return shop


def fields(shop: Shop, **values: str) -> dict[str, str]:
    """The form of the entry page: K1='4.02' is level 1 of K."""
    out = {"analyzer": str(shop.world.analyzer)}
    for key, value in values.items():
        item, level = key[:-1], int(key[-1])
        out[f"v-{shop.plans[item]}-{level}-{shop.materials[level]}"] = value
    return out


def count(shop: Shop, table: str = "qc_result") -> int:
    """Rows of a table."""
    with shop.world.lab.uow() as uow:
        return int(uow.s.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
