"""Autoverification for the demo: placeholder limits, delta and logic rules, and a draft that runs as a shadow. Invented."""

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import sets
from cloud.modules.autoverify.case import to_json
from cloud.modules.autoverify.models import RuleSet
from cloud.modules.catalog import models as catalog
from cloud.modules.catalog.reflexes import STARTING_REFLEXES
from cloud.modules.catalog.rule_models import AvRange, DeltaRule, LogicRule, ReflexRule

D = Decimal
# Table D of the specification; every other numeric item gets half its lowest to twice its highest reference limit.
RANGES = {
    "K": ("2.8", "6.2"),
    "NA": ("125", "155"),
    "GLU": ("2.5", "20.0"),
    "CREA": ("20", "600"),
    "HGB": ("60", "190"),
    "PLT": ("40", "800"),
    "WBC": ("1.5", "25"),
    "MCHC": ("250", "370"),
    "HCT": ("0.20", "0.60"),
    "RBC": ("2.0", "7.0"),
    "MCH": ("20", "40"),
    "MCV": ("60", "120"),
    "APTT": ("18", "80"),
}
# item, kind, limit, window in hours; rules of one item must all fail
DELTAS = (
    ("K", "absolute", "1.0", 168),
    ("K", "percent", "20", 168),
    ("NA", "absolute", "10", 168),
    ("CREA", "percent", "50", 168),
    ("HGB", "absolute", "20", 72),
    ("PLT", "percent", "50", 72),
    ("WBC", "percent", "100", 72),
    ("MCV", "absolute", "5", 72),
)
LOGIC = (
    ("TP_ALB", '"TP" < "ALB"', "总蛋白低于白蛋白", "SH"),
    ("TBIL_DBIL", '"TBIL" < "DBIL"', "总胆红素低于直接胆红素", "SH"),
    ("LIPID", '"TC" < "HDL-C" + "LDL-C"', "高低密度胆固醇之和超过总胆固醇", "SH"),
    ("HGB_HCT", 'abs("HGB" * 3 / 10 - "HCT" * 100) > 3', "血红蛋白与红细胞比容不符", "XY"),
    ("MCHC_HIGH", '"MCHC" > 370', "MCHC 超过 370 g/L", "XY"),
)
HOURS = {"SH": 24, "XY": 8, "NX": 8, "TY": 4}


def seed(uow: UnitOfWork) -> None:
    """Once a hospital, after everything else of the catalog is there."""
    if uow.s.execute(select(RuleSet.id)).first() is not None:
        return
    sections = {code: id_ for id_, code in uow.s.execute(select(catalog.Section.id, catalog.Section.code))}
    names = {id_: code for code, id_ in sections.items()}
    items = {i.code: i for i in uow.s.execute(select(catalog.TestItem)).scalars()}
    limits: dict[int, list[tuple[Decimal | None, Decimal | None]]] = {}
    for item_id, low, high in uow.s.execute(select(catalog.RefInterval.item_id, catalog.RefInterval.low, catalog.RefInterval.high)):
        limits.setdefault(item_id, []).append((low, high))
    for item in items.values():
        _limits(uow, item, HOURS.get(names[item.section_id], 8), limits.get(item.id, ()))
    uow.s.add_all(
        DeltaRule(item_id=items[code].id, kind=kind, limit_up=D(limit), limit_down=D(limit), window_h=hours)
        for code, kind, limit, hours in DELTAS
    )
    uow.s.add_all(
        LogicRule(code=code, name=words, section_id=sections[section], expression=source, message=words)
        for code, source, words, section in LOGIC
    )
    uow.s.add_all(
        ReflexRule(
            code=r.code,
            name=r.name,
            expression=r.expression,
            item_id=items[r.item].id,
            action=r.action,
            authority="standing",
            message=r.message,
        )
        for r in STARTING_REFLEXES
        if r.items <= items.keys()
    )
    uow.s.flush()
    for section in ("SH", "XY"):
        _rule_set(uow, sections[section])


def _limits(uow: UnitOfWork, item: catalog.TestItem, hours: int, rows: Sequence[tuple[Decimal | None, Decimal | None]]) -> None:
    item.stability_h = item.stability_h or hours
    if item.result_type != "numeric":
        return
    lows, highs = [low for low, _ in rows if low is not None], [high for _, high in rows if high is not None]
    high = max(highs, default=D(100))
    low = min(lows, default=D(0))
    item.amr_low = D(0) if item.amr_low is None else item.amr_low
    item.amr_high = high * 20 if item.amr_high is None else item.amr_high
    given = RANGES.get(item.code)
    most = min(high * 2, D(100)) if item.unit == "%" else high * 2
    uow.s.add(AvRange(item_id=item.id, low=D(given[0]) if given else low / 2, high=D(given[1]) if given else most))


def _rule_set(uow: UnitOfWork, section_id: int) -> None:
    uow.s.add(
        RuleSet(
            section_id=section_id,
            number=1,
            name="演示规则（占位，未经验证，只作影子运行）",
            shadow=True,
            policy=to_json(sets.starting_policy()),
            created_at=uow.now,
        )
    )
    uow.audit("av_rule_set", section_id, "seed_demo")
