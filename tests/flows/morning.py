"""What stands ready before a day's work is played: orders that came by the HIS's own messages, tubes collected at the wards, control
material with targets, and rule sets that were validated and approved. Patients and values are invented.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text

from cloud.config import load
from cloud.db.session import Actor, Database
from cloud.demo import catalog_data, messages, walk
from cloud.demo.analyzer_data import INSTRUMENTS, Instrument
from cloud.demo.fitness import CHINA
from cloud.demo.messages import Measured, Tube
from cloud.modules.autoverify import service as autoverify
from cloud.modules.autoverify.sets import starting_policy
from cloud.modules.catalog import models as catalog
from cloud.modules.qc import plans, record, targets
from cloud.modules.qc.plans import NewMaterial, NewPlan, NewTarget
from cloud.modules.specimens import bags
from tests.flows.stack import World
from tests.support.fake_his import send

HOSPITAL = "rm"
LINES = {row.key: row for row in INSTRUMENTS[HOSPITAL]}
SETS = {"xn1": "CBC", "bs1": "BIO", "cs1": "COA"}
CV = Decimal(3)  # of every control, in percent
SECTIONS = {"xn1": "XY", "bs1": "SH", "cs1": "NX"}


@dataclass
class Bench:
    """One tube of the day: which analyzer measures it and whose it is."""

    line: str
    number: str
    barcode: str = ""
    specimen: int = 0
    patient: int = 0

    @property
    def items(self) -> tuple[str, ...]:
        """What the order set asks for."""
        return next(tuple(s.items) for s in catalog_data.ORDER_SETS if s.code == SETS[self.line])


@dataclass
class Morning:
    """The hospital before eight o'clock."""

    lab: World
    db: Database
    tenant: int
    tubes: list[Bench] = field(default_factory=list)

    def sql(self, statement: str, **params: object) -> list[Any]:
        """Rows, as the hospital sees them."""
        with self.db.tenant(self.tenant, Actor("test")) as uow:
            return list(uow.s.execute(text(statement), {"t": self.tenant, **params}))

    def one(self, statement: str, **params: object) -> Any:
        """The first column of the only row."""
        [(found,)] = self.sql(statement, **params)
        return found

    def ward(self) -> walk.Ward:
        return walk.ward(self.db, self.tenant)


def order(number: str, patient: str, item_set: str, kind: str = "O", place: str = "门诊") -> bytes:
    """One order as this hospital's HIS sends it."""
    stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    code = catalog_data.HIS_CODES[HOSPITAL][item_set]
    lines = [
        f"MSH|^~\\&|HIS-RM|rm|LIS|LAB|{stamp}||OML^O21^OML_O21|{number}|P|2.5.1||||||UNICODE UTF-8",
        f"PID|1||{patient}^^^rm^PI~63{patient[1:]:0>11}^^^^VC||虚构{patient[-4:]}||197003040000|{'MF'[int(patient[1:]) % 2]}",
        f"PV1|1|{kind}|{place}|||||||内科|||||||||{kind}{patient}",
        f"ORC|NW|{number}-1||{number}|||||{stamp}|||D01^演示医生",
        f"OBR|1|{number}-1||{code}^{item_set}^L|R" + "|" * 22 + "^^^^^R",
        "ZPY|1|PAID",
    ]
    return ("\r".join(lines) + "\r").encode()


def prepare(lab: World, counts: Mapping[str, int], ward: str = "内一病区^12^03") -> Morning:
    """Order, label and collect so many tubes an analyzer; controls ready."""
    settings = load(str(lab.stack.state.settings_file))
    db = Database(settings.database_url, secret=settings.secret, pool_size=4)
    with db.registry() as s:
        tenant = s.execute(text("SELECT id FROM tenant WHERE code = :c"), {"c": HOSPITAL}).scalar_one()
    made = Morning(lab, db, tenant)
    controls(made)
    wanted = [Bench(line, f"P6{n:02d}{i:04d}") for n, line in enumerate(counts) for i in range(counts[line])]
    orders = [order(f"DAY{n:05d}", t.number, SETS[t.line], "I", ward) for n, t in enumerate(wanted)]
    for answer in send(lab.stack.ports["mllp"], *orders):
        assert b"MSA|AA" in answer, answer
    for tube in wanted:
        collect(made, tube)
    made.tubes = wanted
    return made


def collect(made: Morning, tube: Bench) -> None:
    """Label and collect a patient's tube at the ward."""
    tube.patient = made.one("SELECT id FROM patient WHERE tenant_id = :t AND patient_no = :n", n=tube.number)
    where = made.ward()
    [tube.specimen] = walk.label(where, tube.patient)
    walk.collect(where, [tube.specimen])
    tube.barcode = made.one("SELECT barcode FROM specimen WHERE tenant_id = :t AND id = :s", s=tube.specimen)


def pack(made: Morning, bag: str, tubes: Sequence[Bench]) -> None:
    """A ward packs a bag and hands it to the porter."""
    with made.db.tenant(made.tenant, made.ward().nurse) as uow:
        number = [bags.pack(uow, bag, tube.barcode, "内一病区")[0] for tube in tubes][0]
    with made.db.tenant(made.tenant, made.ward().nurse) as uow:
        bags.send(uow, number, "运送乙")


def means(line: str) -> dict[str, tuple[Decimal, Decimal]]:
    """Each item's target of the day's two control levels, in the item's unit: below and above the middle of its interval."""
    out = {}
    for channel in LINES[line].channels:
        low, high = messages.limits(channel.item, "M")
        middle, places = (low + high) / 2, Decimal(1).scaleb(-messages.DECIMALS[channel.item] - 1)
        out[channel.item] = ((middle * Decimal("0.9")).quantize(places), (middle * Decimal("1.1")).quantize(places))
    return out


def control(line: str, level: int, off: Mapping[str, str] | None = None) -> bytes:
    """What the analyzer says of its control material: the targets, some ``off`` by so many SD."""
    row, found = LINES[line], []
    for channel in row.channels:
        mean = means(line)[channel.item][level - 1]
        value = mean * (1 + Decimal((off or {}).get(channel.item, "0")) * CV / 100)
        found.append(Measured(channel, f"{value / Decimal(channel.factor):.5f}"))
    return messages.message(row, Tube(material(line, level), "", tuple(means(line))), found, now(), level)


def material(line: str, level: int) -> str:
    return f"QT-{line.upper()}{level}"


def controls(made: Morning) -> None:
    """Every item of the counter and the chemistry analyzer has a plan of two levels, an approved target and a good run of just now."""
    at = datetime.now(UTC) - timedelta(minutes=5)
    with made.db.tenant(made.tenant, Actor("test")) as uow:
        items = {r.code: r.id for r in uow.s.execute(select(catalog.TestItem.code, catalog.TestItem.id))}
        analyzers = {r.code: r.id for r in uow.s.execute(select(catalog.Analyzer.code, catalog.Analyzer.id))}
        measured = []
        for line in ("xn1", "bs1", "cs1"):
            new = [NewMaterial(material(line, k), "质控（虚构）", k, f"D{k}", "演示", at + timedelta(days=200), stock=400) for k in (1, 2)]
            lots = [plans.add_material(uow, one) for one in new]
            for code, levels in means(line).items():
                plan = plans.save_plan(uow, NewPlan(analyzers[line], items[code], (1, 2), tea_percent=Decimal(20), source="占位示例"))
                for level, mean in enumerate(levels, 1):
                    sd = (mean * CV / 100).normalize()
                    target = NewTarget(plan.id, level, lots[level - 1].id, mean, sd, targets.Basis.MAKER, 20, reason="虚构")
                    row = plans.propose_target(uow, target)
                    plans.approve_target(uow, row.id, row.version)
                    measured.append(record.Measured(plan.id, lots[level - 1].id, level, at, f"{mean:f}", mean, "analyzer"))
        query = text("UPDATE qc_target SET effective_at = :at WHERE tenant_id = :t")
        uow.s.execute(query, {"t": made.tenant, "at": at - timedelta(days=90)})
        record.record(uow, measured)


def now() -> datetime:
    """As an analyzer's clock shows it."""
    return datetime.now(CHINA)


def values(line: Instrument, items: Sequence[str], seed: str, odd: Mapping[str, str] | None = None) -> list[Measured]:
    """Values in the middle of their intervals, scattered a little; ``odd`` replaces some, in the item's own unit."""
    dice = random.Random(seed)
    drawn = {}
    for item in items:
        if item in messages.ENUMS:
            continue
        low, high = messages.limits(item, "M")
        drawn[item] = (low + high) / 2 + (high - low) / 20 * Decimal(repr(round(dice.uniform(-1, 1), 3)))
    drawn = messages.coherent(drawn) | {k: Decimal(v) for k, v in (odd or {}).items()}
    out = []
    for channel in line.channels:
        if channel.item in drawn:
            places = max(messages.DECIMALS[channel.item] - messages._shift(Decimal(channel.factor)), 0)
            value = (drawn[channel.item] / Decimal(channel.factor)).quantize(Decimal(1).scaleb(-places))
            out.append(Measured(channel, str(value)))
    return out


def rules(made: Morning) -> None:
    """The way of a rule set, for haematology and chemistry: made by the leader, approved by another, active."""
    db = made.db
    leader, quality = person(made, "g3001"), person(made, "q3101")
    for line in ("xn1", "bs1"):
        section = made.one("SELECT id FROM section WHERE tenant_id = :t AND code = :c", c=SECTIONS[line])
        template = next(t for t in made.tubes if t.line == line)
        with db.tenant(made.tenant, leader) as uow:
            row = autoverify.create_set(uow, section, "全天测试", starting_policy())
            autoverify.make_cases(uow, row.id, template.specimen)
            uow.s.flush()
            autoverify.validate(uow, row.id, least=0)
            number = row.id
        with db.tenant(made.tenant, quality) as uow:
            autoverify.approve(uow, number)
        with db.tenant(made.tenant, leader) as uow:
            autoverify.activate(uow, number)


def person(made: Morning, number: str) -> Actor:
    with made.db.tenant(made.tenant) as uow:
        return walk.actor(uow, number, "W-TEST-1")


def message(line: str, tube: Bench, number: int, odd: Mapping[str, str] | None = None, only: Sequence[str] = ()) -> bytes:
    """What the analyzer says of a tube, or of some of its items."""
    row, items = LINES[line], tuple(only) or tube.items
    return messages.message(row, Tube(tube.barcode, "M", items), values(row, items, tube.barcode, odd), now(), number)
