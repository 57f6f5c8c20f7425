"""A small laboratory in which K and NA may be released by rules: QC in control, calibrated, on board, people on duty. All invented."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from cloud.db.session import Actor, UnitOfWork
from cloud.modules.autoverify import service
from cloud.modules.autoverify.case import Expression
from cloud.modules.autoverify.decision import Verdict
from cloud.modules.autoverify.models import RuleSet
from cloud.modules.autoverify.sets import starting_policy
from cloud.modules.catalog import models as md
from cloud.modules.catalog.rule_models import AvRange, DeltaRule
from cloud.modules.equipment import service as equipment
from cloud.modules.platform import signing
from cloud.modules.reagents import service as reagents
from cloud.modules.reagents.rules import LotState
from cloud.modules.scheduling import service as scheduling
from tests.cloud.bench.world import ITEMS, World, build
from tests.cloud.qc.shop import T0, Shop, open_shop
from tests.support import lab as labs

D = Decimal
DESK = signing.Desk(signing.open_signer("", "5e" * 32), "https://lab.example")
MORNING = T0 + timedelta(minutes=90)  # 09:30 in Shanghai; tubes are drawn at T0 + 30 min
CLEAN = {"K": "4.13", "NA": "140.2"}


@dataclass
class Floor:
    """The world, its QC and its rule set."""

    world: World
    shop: Shop
    rule_set: int = 0

    def actor(self, role: str) -> Actor:
        return Actor(role, user_id=self.world.lab.users[(self.world.tenant, role)])

    def tube(self, values: dict[str, str] | None = None, patient: int | None = None, run: datetime | None = None) -> int:
        """A tube whose results have arrived; what is due is not yet decided."""
        with self.world.lab.uow() as uow:
            tube = self.world.tube(uow, patient)
        with self.world.lab.uow() as uow:
            self.world.send(uow, tube, values or CLEAN, run or uow.now)
            service.on_results(uow, {"specimen_id": tube})
        return tube

    def decide(self) -> int:
        with self.world.lab.uow() as uow:
            return service.decide_due(uow, DESK)

    def verdict(self, tube: int) -> Verdict:
        """Decide one tube by name."""
        with self.world.lab.uow() as uow:
            return service.decide_tubes(uow, [tube], DESK)[tube]

    def reasons(self, tube: int) -> list[str]:
        """What is stored of the set that counts."""
        from cloud.modules.autoverify import queries

        with self.world.lab.uow() as uow:
            told = [t for t in queries.reasons(uow, tube) if not t.shadow]
            return [s.code for s in told[0].said] if told else ["nothing"]


def catalog(uow: UnitOfWork, world: World) -> None:
    """Measuring ranges, stability, AV ranges and a delta rule."""
    for code, amr, av in (("K", (1, 10), ("2.8", "6.2")), ("NA", (100, 200), ("125", "155"))):
        item = uow.s.get_one(md.TestItem, (uow.tenant_id, world.items[code]))
        item.amr_low, item.amr_high, item.stability_h, item.method = D(amr[0]), D(amr[1]), 8, "ISE"
        uow.s.add(AvRange(item_id=item.id, low=D(av[0]), high=D(av[1])))
    for kind, limit in (("absolute", "1.0"), ("percent", "20")):
        uow.s.add(DeltaRule(item_id=world.items["K"], kind=kind, limit_up=D(limit), limit_down=D(limit), window_h=168))


def fit(uow: UnitOfWork, world: World) -> None:
    """Calibrated, reagents on board, a verifier and a tester on duty round the clock."""
    now = uow.now
    equipment.calibrate(uow, world.analyzer, None, "CAL1", now - timedelta(days=1), now + timedelta(days=300), True)
    lot = reagents.add_lot(uow, "离子试剂", "L1", date(2030, 1, 1), 400, [world.items["K"], world.items["NA"]])
    for to in (LotState.PENDING, LotState.AVAILABLE):
        reagents.move_lot(uow, lot.id, to, "验证记录")
        uow.s.flush()
    reagents.open_pack(uow, lot.id, world.analyzer, now - timedelta(days=1))
    shift = scheduling.add_shift(uow, "A", "全天", time(0), time(0))
    for role in ("verifier", "tester"):
        user = world.lab.users[(world.tenant, role)]
        scheduling.assign(uow, user, world.section, shift.id, date(2026, 5, 1), date(2026, 12, 1))


def open_floor(lab: labs.Lab, active: bool = True, partial: bool = False) -> Floor:
    """Everything; ``active``: with a rule set made by the leader, shown on cases, approved by the quality lead, in use. ``partial``: it
    lets the items that pass leave before the rest."""
    lab.clock.set(T0)
    world = build(lab, items=ITEMS[:2])
    shop = open_shop(world)
    floor = Floor(world, shop)
    with lab.uow() as uow:
        shop.good(uow, "K", T0 - timedelta(hours=1))
        shop.good(uow, "NA", T0 - timedelta(hours=1))
        catalog(uow, world)
        fit(uow, world)
    lab.clock.set(MORNING)
    if active:
        floor.rule_set = make_active(floor, partial)
    return floor


def make_active(floor: Floor, partial: bool = False) -> int:
    """The whole way of a set: draft, cases from a clean tube, validated, approved by another person, active."""
    lab = floor.world.lab
    template = floor.tube()
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        policy = replace(starting_policy(), partial=partial)
        row = service.create_set(uow, floor.world.section, "生化常规", policy)
        service.make_cases(uow, row.id, template)
        uow.s.flush()
        service.validate(uow, row.id, least=0)
        rule_set = row.id
    with lab.db.tenant(lab.a, floor.actor("quality")) as uow:
        service.approve(uow, rule_set)
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        service.activate(uow, rule_set)
    return rule_set


__all__ = ["CLEAN", "DESK", "MORNING", "Expression", "Floor", "RuleSet", "make_active", "open_floor"]
