"""Control results of analyzers into runs, in the worker: by material, channel and plan; what fits nothing stays listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.equipment import queries as equipment
from cloud.modules.qc import record, rules
from cloud.modules.qc.models import QcMaterial, QcPlan
from cloud.modules.qc.record import Measured
from cloud.modules.reagents import queries as reagents
from common import ids, values
from common.errors import UserError
from common.run_time import run_time
from common.say import say

FUTURE = timedelta(minutes=5)
RETAKE = timedelta(days=7)
SEVERAL = "该质控品有几个批号同时在用，请选择测的是哪一批；不再使用的批号请停用"


@dataclass(frozen=True, slots=True)
class Observed:
    """A control observation as the edge stored it."""

    id: int
    analyzer_id: int | None
    material: str | None
    code: str | None
    aspect: str | None
    text: str | None
    received_at: datetime
    time_text: str | None

    @property
    def run_at(self) -> datetime | None:
        """When the analyzer says it measured."""
        return run_time(self.time_text, md.HOSPITAL_ZONE)


_BY_ID = text("""
SELECT o.id, o.analyzer_id, o.specimen_text, o.code, o.aspect, coalesce(o.read_as, o.value), o.received_at, o.time_text FROM observation o
WHERE o.tenant_id = :t AND o.id = ANY(:ids) AND o.state = 'qc'
  AND NOT EXISTS (SELECT 1 FROM qc_result q WHERE q.tenant_id = o.tenant_id AND q.observation_id = o.id)
ORDER BY o.id
""")
_OPEN = text("""
SELECT o.id, o.analyzer_id, o.specimen_text, o.code, o.aspect, coalesce(o.read_as, o.value), o.received_at, o.time_text FROM observation o
WHERE o.tenant_id = :t AND o.state = 'qc' AND o.received_at >= :since
  AND NOT EXISTS (SELECT 1 FROM qc_result q WHERE q.tenant_id = o.tenant_id AND q.observation_id = o.id)
ORDER BY o.id DESC LIMIT :n
""")
_SAME_TUBE = text("""
SELECT x.id FROM observation o JOIN observation x ON x.tenant_id = o.tenant_id AND x.raw_message_id = o.raw_message_id
  AND x.specimen_text = o.specimen_text
WHERE o.tenant_id = :t AND o.id = :i AND o.state = 'qc'
""")


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A control observation that belongs nowhere yet, why, and the lots it may be of where that is all that is open."""

    seen: Observed
    why: str
    lots: Sequence[QcMaterial] = ()


class Shelf:
    """Materials and plans of the hospital, loaded once."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.catalog = md.catalog(uow)
        self.materials: dict[str, list[QcMaterial]] = {}
        for m in uow.s.execute(select(QcMaterial).where(QcMaterial.active).order_by(QcMaterial.id.desc())).scalars():
            for name in ids.names_of_control(m.code, m.lot) | {ids.normalise_scan(m.lot)}:
                self.materials.setdefault(name, []).append(m)
        query = select(QcPlan.analyzer_id, QcPlan.item_id, QcPlan.id).where(QcPlan.active)
        self.plans = {(a, i): p for a, i, p in uow.s.execute(query)}

    def when(self, seen: Observed, at: datetime | None) -> datetime:
        """When it was measured, as far as that can be believed."""
        return seen.received_at if at is None or at > seen.received_at + FUTURE else at

    def lots(self, seen: Observed, at: datetime | None) -> list[QcMaterial]:
        """The lots an observation may be of: in use, and usable when it was measured."""
        named, when = self.materials.get(ids.normalise_scan(seen.material), []) if seen.material else [], self.when(seen, at)
        return [m for m in named if rules.material_problem(m.expires_at, m.opened_at, m.open_days, when) is None]

    def place(self, seen: Observed, at: datetime | None = None, chosen: int | None = None) -> Measured | str:
        """Where an observation belongs, or why nowhere. Nobody guesses between two lots: the barcode says it, or a person (``chosen``)."""
        if seen.analyzer_id is None:
            return "线路没有对应的仪器"
        named = self.materials.get(ids.normalise_scan(seen.material)) if seen.material else None
        if not named:
            return "质控品编号未登记"
        code = (seen.code or "").strip()
        own = self.catalog.channel(seen.analyzer_id, f"{code}/{seen.aspect}") if seen.aspect else None
        channel = own or self.catalog.channel(seen.analyzer_id, code)
        if channel is None:
            return "通道代码未对照"
        plan = self.plans.get((seen.analyzer_id, channel.item_id))
        if plan is None:
            return "没有质控计划"
        when = self.when(seen, at)
        lots = [m for m in self.lots(seen, at) if chosen in (None, m.id)]
        if not lots:
            first = named[0]
            return rules.material_problem(first.expires_at, first.opened_at, first.open_days, when) or SEVERAL
        if len(lots) > 1:
            return SEVERAL
        lot = lots[0]
        item = self.catalog.items[channel.item_id]
        value = values.scaled(values.parse(seen.text, item.result_type), channel.factor, channel.offset)
        number: Decimal | None = value.number if value.kind is values.ValueKind.NUMBER and not value.comparator else None
        if value.missing or (number is None and item.result_type == "numeric"):
            return "结果不是数值"
        note = "" if when == (at or when) else "仪器时间晚于接收时间，按接收时间"
        raw = values.plain(number) if number is not None else value.text
        return Measured(plan, lot.id, lot.level, when, raw, number, "analyzer", observation_id=seen.id, note=note)


def take(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``qc.observed``: observations with the time each was run at (or None)."""
    times = {int(i): None if at is None else datetime.fromisoformat(at) for i, at in payload["observations"]}
    found = [Observed(*row) for row in uow.s.execute(_BY_ID, {"t": uow.tenant_id, "ids": sorted(times)})]
    _record(uow, ((each, times[each.id]) for each in found))


def take_again(uow: UnitOfWork) -> int:
    """Try once more what lies unplaced (a material or a plan was added since), by when it was measured; how many found their place."""
    found = [Observed(*row) for row in uow.s.execute(_OPEN, {"t": uow.tenant_id, "since": uow.now - RETAKE, "n": 2000})]
    return _record(uow, ((each, each.run_at) for each in reversed(found)))


def analyzer_of(uow: UnitOfWork, observation_id: int) -> int | None:
    """Which analyzer a control observation came from."""
    found = uow.s.execute(_BY_ID, {"t": uow.tenant_id, "ids": [observation_id]}).one_or_none()
    return None if found is None else Observed(*found).analyzer_id


def choose(uow: UnitOfWork, observation_id: int, material_id: int) -> int:
    """A person says which lot was measured: for all that the analyzer told of that tube in one message. How many found their place.

    UserErrors: conflict where it was placed meanwhile, or the lot is none of those it may be of.
    """
    same = list(uow.s.execute(_SAME_TUBE, {"t": uow.tenant_id, "i": observation_id}).scalars())
    found = [Observed(*row) for row in uow.s.execute(_BY_ID, {"t": uow.tenant_id, "ids": same})]
    n = _record(uow, ((each, each.run_at) for each in found), material_id)
    if not n:
        raise UserError("conflict", say("这些质控结果已经归入，或所选批号当时不能使用。请刷新后再试。"))
    after = {"observations": [each.id for each in found], "material": found[0].material}
    uow.audit("qc_material", material_id, "choose", after=after)
    return n


def unplaced(uow: UnitOfWork, since: datetime, limit: int = 200) -> list[Unplaced]:
    """What lies unplaced since a moment, each with the reason, newest first."""
    found = [Observed(*row) for row in uow.s.execute(_OPEN, {"t": uow.tenant_id, "since": since, "n": limit})]
    if not found:
        return []
    shelf, out = Shelf(uow), []
    for each in found:
        why = shelf.place(each, each.run_at)
        lots = shelf.lots(each, each.run_at) if why is SEVERAL else ()
        out.append(Unplaced(each, why if isinstance(why, str) else "可重新归入", lots))
    return out


def _record(uow: UnitOfWork, found: Iterable[tuple[Observed, datetime | None]], chosen: int | None = None) -> int:
    seen = list(found)
    if not seen:
        return 0
    shelf = Shelf(uow)
    fits = [(placed, each.analyzer_id) for each, at in seen if not isinstance(placed := shelf.place(each, at, chosen), str)]
    if fits:
        record.record(uow, _traced(uow, shelf, fits))
    return len(fits)


def _traced(uow: UnitOfWork, shelf: Shelf, fits: Sequence[tuple[Measured, int | None]]) -> list[Measured]:
    """Each with the reagent lot that was on board and the calibration in force when it was measured, as patients' results have them."""
    analyzers = {a for _, a in fits if a is not None}
    packs = reagents.on_board(uow, analyzers, min(m.at for m, _ in fits))
    calibrations = equipment.calibrations(uow, analyzers)
    item_of = {plan: item for (_, item), plan in shelf.plans.items()}
    out = []
    for measured, analyzer in fits:
        item = item_of[measured.plan_id]
        on = [p.lot_no for p in packs.get((analyzer or 0, item), ()) if p.at(measured.at)]
        calibration = equipment.in_force(calibrations.get(analyzer or 0, []), item, measured.at)
        done = "" if calibration is None else f"{calibration.done_at.astimezone(md.HOSPITAL_ZONE):%Y-%m-%d %H:%M}"
        out.append(replace(measured, reagent_lot=on[-1] if on else "", calibration=done))
    return out
