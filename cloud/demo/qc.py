"""Quality control of the demo: invented control material, targets and two months of points; then the analyzers' own controls.

The plans come with a good run of just now, so that nothing of the demo is held; the past is written afterwards, under a clock that stands
where it happened. The controls of today travel the real lines like any result.
"""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select, text

from cloud.db.session import Actor, Database, UnitOfWork
from cloud.demo import messages
from cloud.demo.analyzer_data import INSTRUMENTS, Instrument
from cloud.demo.messages import DECIMALS, Measured, Tube
from cloud.modules.catalog import models as catalog
from cloud.modules.qc import plans, record, targets
from cloud.modules.qc.models import QcMaterial, QcPlan, QcTarget
from cloud.modules.qc.plans import NewMaterial, NewPlan, NewTarget

DEMO = Actor("demo-qc")
DAYS = {"rm": 60, "zx": 10}
AGAIN = timedelta(hours=8)
# Instrument → material code, name, and each item's level means with one CV in percent. Placeholders, as all limits of the demo.
CONTROLS: dict[str, tuple[str, str, dict[str, tuple[str, ...]], dict[str, str]]] = {
    "xn1": (
        "QC-H",
        "血细胞质控（虚构）",
        {"WBC": ("3.10", "7.20", "18.50"), "RBC": ("2.30", "4.40", "5.30"), "HGB": ("60", "128", "168"), "PLT": ("70", "230", "480")},
        {"WBC": "2.2", "RBC": "1.1", "HGB": "1.0", "PLT": "4.0"},
    ),
    "bs1": (
        "QC-C",
        "生化质控（虚构）",
        {"K": ("3.9", "6.4"), "NA": ("128", "152"), "GLU": ("5.20", "15.40"), "CREA": ("88", "420"), "ALT": ("36", "128")},
        {"K": "1.4", "NA": "0.8", "GLU": "1.6", "CREA": "2.4", "ALT": "3.0"},
    ),
}
# TEa in percent (WS/T 403 as second-hand figures, F5), and an invented bias.
GOALS = {
    "WBC": ("15.0", "1.2"),
    "RBC": ("6.0", "0.6"),
    "HGB": ("6.0", "0.7"),
    "PLT": ("20.0", "2.0"),
    "K": ("6.0", "0.6"),
    "NA": ("4.0", "0.4"),
    "GLU": ("7.0", "1.5"),
    "CREA": ("12.0", "2.0"),
    "ALT": ("15.0", "4.0"),
}


def material(instrument: str, level: int) -> str:
    """The code an analyzer sends in place of a barcode."""
    return f"{CONTROLS[instrument][0]}{level}"


# No side of the mean twice over in a row, so that chance breaks no counting rule and the demo's gate stays open.
SIDES = "+-++--+-+--++-+-"


def value(item: str, mean: str, cv: str, level: int, day: int, dice: random.Random) -> Decimal:
    """A control value about its target; level 1 wanders a little further, and some day a month is warned about."""
    far = 1.6 if level == 1 else 0.9
    size = 2.2 if level == 1 and (day + len(item)) % 29 == 7 else min(far, abs(dice.gauss(0, 0.7)))
    z = Decimal(repr(round(size, 3))) * (1 if SIDES[(day + 5 * level + len(item)) % len(SIDES)] == "+" else -1)
    return (Decimal(mean) * (1 + z * Decimal(cv) / 100)).quantize(Decimal(1).scaleb(-max(DECIMALS[item], 1)))


def seed(db: Database, tenant_id: int, now: datetime) -> bool:
    """Material, plans, approved targets and a good run of just now; False when they are there already."""
    with db.tenant(tenant_id, DEMO) as uow:
        if uow.s.execute(select(QcPlan.id)).first() is not None:
            return False
        items = {r.code: r.id for r in uow.s.execute(select(catalog.TestItem.code, catalog.TestItem.id))}
        analyzers = {r.code: r.id for r in uow.s.execute(select(catalog.Analyzer.code, catalog.Analyzer.id))}
        for instrument, (_, name, levels, cvs) in CONTROLS.items():
            count = len(next(iter(levels.values())))
            lots = {k: _lot(uow, instrument, name, k, now) for k in range(1, count + 1)}
            for item, means in levels.items():
                plan = _plan(uow, analyzers[instrument], items[item], item, count)
                for level, mean in enumerate(means, 1):
                    sd = Decimal(f"{Decimal(mean) * Decimal(cvs[item]) / 100:.3g}")
                    new = NewTarget(plan.id, level, lots[level].id, Decimal(mean), sd, targets.Basis.MAKER, 20, reason="演示数据，虚构")
                    made = plans.propose_target(uow, new)
                    plans.approve_target(uow, made.id, made.version)
        uow.s.execute(
            text("UPDATE qc_target SET effective_at = :at WHERE tenant_id = :t"), {"t": tenant_id, "at": now - timedelta(days=90)}
        )
        _run(uow, now - timedelta(minutes=5))
    return True


def _lot(uow: UnitOfWork, instrument: str, name: str, level: int, now: datetime) -> QcMaterial:
    new = NewMaterial(material(instrument, level), name, level, f"D26{level:02d}", "演示", now + timedelta(days=200), stock=400)
    return plans.add_material(uow, new)


def _plan(uow: UnitOfWork, analyzer_id: int, item_id: int, item: str, levels: int) -> QcPlan:
    tea, bias = GOALS[item]
    new = NewPlan(
        analyzer_id,
        item_id,
        tuple(range(1, levels + 1)),
        tea_percent=Decimal(tea),
        bias_percent=Decimal(bias),
        source="占位示例，须经实验室批准",
    )
    return plans.save_plan(uow, new)


def past(db: Database, tenant_id: int, hospital: str, move: Callable[[datetime], None], now: datetime) -> Iterator[int]:
    """Write the days before, newest first, one transaction each; yields how many runs a day made, so that a caller may stop between."""
    for days in range(1, DAYS[hospital]):
        at = (now - timedelta(days=days)).replace(hour=0, minute=5, second=0, microsecond=0)
        move(at)
        with db.tenant(tenant_id, DEMO) as uow:
            made = _run(uow, at)
        yield made


def _run(uow: UnitOfWork, at: datetime) -> int:
    """One run of every plan."""
    rows = uow.s.execute(
        select(QcPlan.id, QcTarget.level, QcTarget.material_id, QcTarget.mean, QcTarget.sd, catalog.TestItem.code)
        .join(QcTarget, (QcTarget.tenant_id == QcPlan.tenant_id) & (QcTarget.plan_id == QcPlan.id))
        .join(catalog.TestItem, (catalog.TestItem.tenant_id == QcPlan.tenant_id) & (catalog.TestItem.id == QcPlan.item_id))
        .where(QcTarget.ended_at.is_(None), QcTarget.mean.is_not(None), QcTarget.sd.is_not(None))
        .order_by(QcPlan.id, QcTarget.level)
    ).all()
    measured = []
    for plan_id, level, material_id, mean, sd, code in rows:
        dice = random.Random(f"{at:%Y%m%d}/{plan_id}/{level}")
        found = value(code, f"{mean:f}", str(100 * sd / mean), level, at.toordinal(), dice)  # type: ignore[operator]
        measured.append(record.Measured(plan_id, material_id, level, at, f"{found:f}", found, "analyzer"))
    return len(record.record(uow, measured))


_NEWEST = text("""
SELECT max(r.at) FROM qc_run r
JOIN qc_plan p ON p.tenant_id = r.tenant_id AND p.id = r.plan_id
JOIN analyzer a ON a.tenant_id = p.tenant_id AND a.id = p.analyzer_id
WHERE r.tenant_id = :t AND a.code = :code
""")


def due(db: Database, tenant_id: int, hospital: str, now: datetime) -> list[Instrument]:
    """Analyzers whose controls were measured more than eight hours ago."""
    out = []
    with db.tenant(tenant_id, DEMO) as uow:
        for row in INSTRUMENTS[hospital]:
            newest = uow.s.execute(_NEWEST, {"t": tenant_id, "code": row.key}).scalar()
            if row.key in CONTROLS and newest is not None and newest < now - AGAIN:
                out.append(row)
    return out


def control(row: Instrument, level: int, at: datetime, number: int) -> bytes:
    """What an analyzer says of one level of its control material."""
    _, _, levels, cvs = CONTROLS[row.key]
    values = []
    for channel in row.channels:
        if channel.item in levels:
            dice = random.Random(f"{at:%Y%m%d%H}{channel.item}{level}")
            found = value(channel.item, levels[channel.item][level - 1], cvs[channel.item], level + 1, at.toordinal(), dice)
            values.append(Measured(channel, f"{found / Decimal(channel.factor):f}"))
    return messages.message(row, Tube(material(row.key, level), "", tuple(levels)), values, at, number)


def levels_of(row: Instrument) -> range:
    """The levels an analyzer measures."""
    return range(1, len(next(iter(CONTROLS[row.key][2].values()))) + 1)
