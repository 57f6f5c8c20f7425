"""A small laboratory's catalog, patients and tubes in one hospital, for tests of bench, reports and portal. All invented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from cloud.db.session import UnitOfWork
from cloud.modules.bench import service as bench
from cloud.modules.bench.arrival_rules import Incoming, Recorded
from cloud.modules.catalog import models as md
from cloud.modules.edge import models as edge
from cloud.modules.orders import models as orders
from cloud.modules.specimens import models as specimens
from tests.support.lab import Lab

BORN = datetime(1968, 3, 1, tzinfo=UTC)
DRAWN = datetime(2026, 5, 4, 0, 30, tzinfo=UTC)
# code, unit, decimals, low, high, critical low, critical high, mandatory
ITEMS = (
    ("K", "mmol/L", 1, "3.5", "5.3", "2.8", "6.2", True),
    ("NA", "mmol/L", 0, "137", "147", "120", "160", True),
    ("GLU", "mmol/L", 2, "3.9", "6.1", "2.2", "22.2", True),
    ("CREA", "umol/L", 0, "57", "97", None, "650", True),
    ("EXTRA", "U/L", 0, None, "40", None, None, False),
)


@dataclass
class World:
    """Ids of what ``build`` made."""

    lab: Lab
    tenant: int
    section: int = 0
    section_code: str = "CHEM"
    items: dict[str, int] = field(default_factory=dict)
    order_set: int = 0
    specimen_type: int = 0
    container: int = 0
    analyzer: int = 0
    numbers: count[int] = field(default_factory=lambda: count(1))

    def patient(self, uow: UnitOfWork, name: str = "张三丰", sex: str = "M", birth: datetime | None = BORN) -> int:
        """A patient."""
        n = next(self.numbers)
        row = orders.Patient(patient_no=f"P{self.tenant}{n:06d}", name=name, pinyin="zsf", sex=sex, birth=birth)
        uow.s.add(row)
        uow.s.flush()
        return row.id

    def tube(
        self, uow: UnitOfWork, patient: int | None = None, ward: str = "内科一病区", state: str = "received", stat: bool = False
    ) -> int:
        """A received tube with a request for the whole set."""
        n = next(self.numbers)
        patient = patient or self.patient(uow)
        visit = orders.Visit(visit_no=f"V{n}", patient_id=patient, kind="inpatient", dept="内科", ward=ward, bed="12")
        uow.s.add(visit)
        uow.s.flush()
        order = orders.LabOrder(
            source="his",
            placer_no=f"O{n}",
            patient_id=patient,
            visit_id=visit.id,
            doctor="李医生",
            dept="内科",
            ordered_at=DRAWN,
            created_at=DRAWN,
        )
        tube = specimens.Specimen(
            barcode=f"{self.tenant}26124{n:05d}0",
            patient_id=patient,
            visit_id=visit.id,
            specimen_type_id=self.specimen_type,
            container_id=self.container,
            section_id=self.section,
            state=state,
            priority="stat" if stat else "routine",
            volume_ml=Decimal(3),
            sample_no=str(n),
            sample_day=DRAWN.date(),
            collected_at=DRAWN,
            received_at=DRAWN + timedelta(minutes=20),
        )
        uow.s.add_all([order, tube])
        uow.s.flush()
        uow.s.add(
            orders.OrderItem(
                order_id=order.id,
                source="his",
                order_item_no=f"I{n}",
                his_code="ELEC",
                his_name="电解质",
                order_set_id=self.order_set,
                specimen_id=tube.id,
                status="received",
            )  # fmt: skip
        )
        uow.s.flush()
        bench.expect_tests(uow, [tube.id])
        return tube.id

    def incoming(self, tube: int, values: dict[str, str], run_at: datetime | None = None, **more: object) -> list[Incoming]:
        """What an analyzer sends about a tube."""
        return [
            Incoming(tube, self.items[code], None, self.analyzer, value, run_at=run_at, **more)  # type: ignore[arg-type]
            for code, value in values.items()
        ]

    def send(self, uow: UnitOfWork, tube: int, values: dict[str, str], run_at: datetime | None = None, **more: object) -> list[Recorded]:
        """An analyzer's results arrive."""
        return bench.record_results(uow, self.incoming(tube, values, run_at, **more))


NORMAL = {"K": "4.10", "NA": "140.2", "GLU": "5.00", "CREA": "80"}


def build(
    lab: Lab, tenant: int | None = None, items: Sequence[tuple[str, str, int, str | None, str | None, str | None, str | None, bool]] = ITEMS
) -> World:
    """The catalog of one hospital."""
    world = World(lab, tenant or lab.a)
    with lab.uow(world.tenant) as uow:
        section = md.Section(code=world.section_code, name="生化组")
        kind = md.SpecimenType(code="SER", name="血清")
        container = md.Container(code="Y", name="黄管", colour="黄", nominal_ml=Decimal(5), draw_order=3)
        uow.s.add_all([section, kind, container])
        uow.s.flush()
        world.section, world.specimen_type, world.container = section.id, kind.id, container.id
        analyzer = md.Analyzer(code="AU1", name="生化仪一号", section_id=section.id)
        order_set = md.OrderSet(
            code="ELEC",
            name="电解质",
            abbr="电解质",
            section_id=section.id,
            specimen_type_id=kind.id,
            container_id=container.id,
            volume_ml=Decimal(2),
        )
        uow.s.add_all([analyzer, order_set])
        uow.s.flush()
        world.analyzer, world.order_set = analyzer.id, order_set.id
        for n, (code, unit, decimals, low, high, crit_low, crit_high, mandatory) in enumerate(items):
            item = md.TestItem(
                code=code,
                name=f"项目{code}",
                abbr=code,
                section_id=section.id,
                unit=unit,
                decimals=decimals,
                print_order=n,
                mandatory=mandatory,
            )
            uow.s.add(item)
            uow.s.flush()
            world.items[code] = item.id
            uow.s.add(md.AnalyzerItemMap(analyzer_id=analyzer.id, channel_code=f"W-{code}", item_id=item.id))
            uow.s.add(md.OrderSetItem(order_set_id=order_set.id, item_id=item.id))
            uow.s.add(md.RefInterval(item_id=item.id, low=_number(low), high=_number(high)))
            if crit_low or crit_high:
                uow.s.add(md.CriticalLimit(item_id=item.id, low=_number(crit_low), high=_number(crit_high)))
    return world


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


__all__ = ["NORMAL", "World", "build", "edge"]
