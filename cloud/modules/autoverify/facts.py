"""The facts of many reports in a fixed number of statements: a batch of fifty asks no more often than one (M08, throughput)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import text

from cloud.db.arrays import literal
from cloud.db.session import UnitOfWork
from cloud.modules.autoverify.case import Case, Delta, Hil, Item, Person, Prior, Range
from cloud.modules.autoverify.rules import Scope, Stop, stops_for
from cloud.modules.bench.queries import Detail, Shown, TestLine
from cloud.modules.catalog import queries as md
from cloud.modules.equipment import queries as equipment
from cloud.modules.orders import queries as orders
from cloud.modules.personnel import queries as personnel
from cloud.modules.qc import queries as qc
from cloud.modules.reagents import queries as reagents
from cloud.modules.scheduling import queries as scheduling
from common import values

HELD, GONE = "held", frozenset({"cancelled"})
PRIORS = 3
# For the past: what is out of control today says nothing about then.
TODAY_ONLY = frozenset({"rejected", "overdue", "bypassed"})


@dataclass(slots=True)
class Around:
    """What surrounds a batch of reports, loaded once."""

    priors: dict[tuple[int, int], tuple[Prior, ...]] = field(default_factory=dict)
    gates: dict[qc.Ask, qc.Gate] = field(default_factory=dict)
    calibrations: dict[int, list[equipment.Calibrated]] = field(default_factory=dict)
    faults: dict[int, list[equipment.Fault]] = field(default_factory=dict)
    moving: set[tuple[int, int]] = field(default_factory=set)
    """(item, analyzer) whose patients' moving average is out of control."""
    packs: dict[tuple[int, int], list[reagents.OnBoard]] = field(default_factory=dict)
    duty: list[scheduling.OnDuty] = field(default_factory=list)
    grants: list[personnel.Grant] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    ranges: dict[tuple[int, str, md.Age | None], md.AvRangeRow | None] = field(default_factory=dict)
    """Ranges already chosen: twenty patients of one age ask once."""


def cases(uow: UnitOfWork, details: Mapping[int, Detail], past: bool = False) -> dict[int, Case]:
    """Specimen id → its report with all facts. ``past``: as it was when measured; duty, stops and today's QC are left aside."""
    lines = [(d, t, t.current) for d in details.values() for t in d.tests if t.current is not None]
    around = _around(uow, lines, {d.tube.section_id for d in details.values()}, past)
    if not past:  # what is still to come is asked for too: whether it could turn out to be another patient's (mixup.may_turn)
        around.priors |= _priors(uow, [(d, t, None) for d in details.values() for t in d.tests if t.current is None])
    catalog = md.catalog(uow)
    return {i: _case(uow, catalog, detail, around, past) for i, detail in details.items()}


def _around(uow: UnitOfWork, lines: list[tuple[Detail, TestLine, Shown]], sections: set[int], past: bool) -> Around:
    analyzers = {s.analyzer_id for _, _, s in lines if s.analyzer_id is not None}
    first = min((s.run_at or s.at for _, _, s in lines), default=uow.now)
    out = Around(
        priors=_priors(uow, lines),
        gates=qc.gate_state(uow, [_ask(t, s) for _, t, s in lines]),
        calibrations=equipment.calibrations(uow, analyzers),
        faults=equipment.faults(uow, analyzers, first - timedelta(minutes=1)),
        packs=reagents.on_board(uow, analyzers, first - timedelta(minutes=1)),
    )
    if not past:
        out.duty = scheduling.duty(uow, uow.now, sections)
        out.grants = personnel.grants(uow, {d.user_id for d in out.duty}, uow.now)
        out.stops = stops(uow)
        out.moving = qc.moving_out(uow, {(t.item.id, s.analyzer_id) for _, t, s in lines if s.analyzer_id is not None})
    return out


def _ask(test: TestLine, shown: Shown) -> qc.Ask:
    return qc.Ask(test.item.id, shown.analyzer_id, shown.run_at or shown.at, shown.id)


_PRIORS = text(f"""
SELECT a.n, h.at, h.run_at, h.raw_text, h.reported_text, h.method, h.factor, h.shift, h.dilution
FROM unnest(CAST(:n AS int[]), CAST(:patients AS bigint[]), CAST(:items AS bigint[]), CAST(:before AS timestamptz[]),
            CAST(:tubes AS bigint[]), CAST(:types AS bigint[])) AS a(n, patient_id, item_id, before, tube, type_id)
CROSS JOIN LATERAL (
  SELECT v.at, v.run_at, v.raw_text, v.reported_text, v.snapshot->>'method' AS method,
         v.snapshot->'map'->>0 AS factor, v.snapshot->'map'->>1 AS shift, v.snapshot->>'dilution' AS dilution
  FROM result_version v
  JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id AND t.current_id = v.id AND t.state IN ('released','amended')
  JOIN specimen s ON s.tenant_id = t.tenant_id AND s.id = t.specimen_id AND s.specimen_type_id = a.type_id
  WHERE v.tenant_id = :t AND v.patient_id = a.patient_id AND v.item_id = a.item_id AND v.released_at IS NOT NULL
    AND v.at < a.before AND t.specimen_id <> a.tube
  ORDER BY v.at DESC LIMIT {PRIORS}) h
ORDER BY a.n, h.at DESC
""")


def _priors(uow: UnitOfWork, lines: Sequence[tuple[Detail, TestLine, Shown | None]]) -> dict[tuple[int, int], tuple[Prior, ...]]:
    """(specimen, item) → the latest released values before this one, newest first; same patient, item and specimen type."""
    if not lines:
        return {}
    people = orders.people(uow, (d.tube.patient_id for d, _, _ in lines))
    # A person of several records is asked for once a record.
    asked = [(n, p, d, t, s) for n, (d, t, s) in enumerate(lines) for p in people.get(d.tube.patient_id, [d.tube.patient_id])]
    params = {
        "t": uow.tenant_id,
        "n": literal(n for n, *_ in asked),
        "patients": literal(p for _, p, *_ in asked),
        "items": literal(t.item.id for *_, t, _ in asked),
        "before": literal(uow.now if s is None else s.at for *_, s in asked),
        "tubes": literal(d.tube.specimen_id for _, _, d, *_ in asked),
        "types": literal(d.tube.specimen_type_id for _, _, d, *_ in asked),
    }
    found: dict[tuple[int, int], list[Prior]] = {}
    for r in uow.s.execute(_PRIORS, params):
        detail, test, _ = lines[r.n]
        value = _unrounded(r.raw_text, test.item.result_type, r.factor, r.shift, _decimal(r.dilution) or Decimal(1))
        prior = Prior(r.run_at or r.at, r.reported_text, value.number, value.comparator, r.method or "")
        found.setdefault((detail.tube.specimen_id, test.item.id), []).append(prior)
    return {key: tuple(priors[:PRIORS]) for key, priors in found.items()}


def _unrounded(raw: str, kind: str, factor: Any, shift: Any, dilution: Decimal) -> values.Value:
    """The value before it was rounded for print: what the instrument sent, through its channel's factor and offset, times what the tube
    was diluted by."""
    value = values.parse(raw, kind)
    mapped = value if factor is None or shift is None else values.scaled(value, Decimal(str(factor)), Decimal(str(shift)))
    return values.scaled(mapped, dilution)


def _case(uow: UnitOfWork, catalog: md.Catalog, detail: Detail, around: Around, past: bool) -> Case:
    tube = detail.tube
    tests = [t for t in detail.tests if t.state.value not in GONE]
    at = max((t.current.at for t in tests if t.current is not None), default=uow.now) if past else uow.now
    age = md.subject_age(tube.birth, tube.age_text, tube.collected_at or tube.received_at or at)
    analyzers = {t.current.analyzer_id for t in tests if t.current is not None and t.current.analyzer_id is not None}
    items = [t for t in tests if not t.item.code.startswith(md.HIL_PREFIX)]
    authoriser, operator = (_people(tube.section_id, items, around, uow.now)) if not past else (SIMULATED, SIMULATED)
    return Case(
        specimen_id=tube.specimen_id,
        at=at,
        items=tuple(_item(catalog, detail, t, age, around, past) for t in items),
        patient_no=tube.patient_no,
        patient_name=tube.name,
        sex=tube.sex,
        age_years=None if age is None else Decimal(age.years),
        ordered=bool(detail.requests),
        dept=tube.dept,
        ward=tube.ward,
        visit=tube.visit_kind or "",
        diagnosis=tube.diagnosis,
        drugs=_drugs(detail),
        specimen_type=tube.specimen_type,
        specimen_state="tested" if past else tube.state,
        specimen_issues=tube.issues,
        caveat=tube.caveat,
        fed=any(r.fed for r in detail.requests),
        collected_at=tube.collected_at,
        received_at=tube.received_at,
        indices=_indices(tests),
        faults=tuple(_faults(catalog, tests, around, at)),
        authoriser=authoriser,
        operator=operator,
        stops=stops_for(around.stops, tube.section_id, analyzers, {t.item.id for t in items}),
    )


def _drugs(detail: Detail) -> str | None:
    """What the requests behind the tube said of drugs; None where none said anything."""
    said = [r.drugs for r in detail.requests if r.drugs is not None]
    return "；".join(dict.fromkeys(d for d in said if d)) if said else None


SIMULATED = Person(0, "", True)


def _indices(tests: Iterable[TestLine]) -> dict[str, Decimal]:
    """Haemolysis, icterus and lipaemia as the analyzer measured them with the tube (items HIL-H, HIL-I, HIL-L)."""
    out = {}
    for test in tests:
        if test.item.code.startswith(md.HIL_PREFIX) and test.current is not None and test.current.value is not None:
            out[test.item.code.removeprefix(md.HIL_PREFIX)] = test.current.value
    return out


def _faults(catalog: md.Catalog, tests: Iterable[TestLine], around: Around, at: datetime) -> Iterable[str]:
    runs: dict[int, set[datetime]] = {}
    for test in tests:
        shown = test.current
        if shown is not None and shown.analyzer_id is not None:
            runs.setdefault(shown.analyzer_id, {at}).add(shown.run_at or shown.at)
    for analyzer, moments in sorted(runs.items()):
        for fault in around.faults.get(analyzer, ()):
            if any(fault.at(moment) for moment in moments):
                yield f"{catalog.analyzers[analyzer].name} {fault.symptom}"


def _item(catalog: md.Catalog, detail: Detail, test: TestLine, age: md.Age | None, around: Around, past: bool) -> Item:
    row, shown, tube = test.item, test.current, detail.tube
    if shown is None or not shown.reported_text:
        holds = (HELD.upper(),) if test.state.value == HELD else ()
        numeric, pending = row.result_type == "numeric", tuple(f.word for f in test.waits)
        priors = around.priors.get((tube.specimen_id, row.id), ())
        return Item(row.code, row.name, numeric, row.mandatory, False, holds=holds, pending=pending, priors=priors)
    run = shown.run_at or shown.at
    factor, shift = shown.snapshot.get("map") or (None, None)
    dilution = _decimal(shown.snapshot.get("dilution")) or Decimal(1)
    value = _unrounded(shown.raw_text, row.result_type, factor, shift, dilution)
    numeric = row.result_type == "numeric"
    critical = shown.snapshot.get("critical") or [None, None, None]
    key = (row.id, tube.sex, age)
    if key not in around.ranges:
        around.ranges[key] = catalog.av_range(*key)
    found = around.ranges[key]
    gate = around.gates.get(_ask(test, shown))
    reagent, lot = _reagent(around, shown.analyzer_id, row.id, run)
    return Item(
        code=row.code,
        name=row.name,
        numeric=numeric,
        mandatory=row.mandatory,
        text=shown.reported_text,
        value=value.number if numeric else None,
        reported=shown.value if numeric else None,
        comparator=value.comparator,
        flag=shown.flag,
        interval="interval" in shown.snapshot,
        critical=_critical(shown),
        critical_low=_decimal(critical[1]),
        critical_high=_decimal(critical[2]),
        holds=_holds(test, shown),
        source=shown.source,
        analyzer="" if shown.analyzer_id is None else catalog.analyzers[shown.analyzer_id].code,
        run_at=run,
        alarms=tuple(shown.alarms),
        amr_low=row.amr_low,
        amr_high=row.amr_high,
        crr_high=row.crr_high,
        dilution=dilution,
        calibration=_calibration(around, shown.analyzer_id, row.id, run),
        reagent=reagent,
        lot=lot,
        qc=_quality(gate, past),
        moving="out" if (row.id, shown.analyzer_id) in around.moving else "off",
        pending=tuple(f.word for f in test.waits),
        stability_h=row.stability_h,
        method=row.method,
        range=None if found is None else Range(found.low, found.high),
        deltas=tuple(_delta(d) for d in catalog.deltas_of(row.id, tube.specimen_type_id)),
        hil=tuple(Hil(h.index_kind, h.above) for h in catalog.hil_limits.get(row.id, ()) if h.active and h.action != "comment"),
        priors=around.priors.get((tube.specimen_id, row.id), ()),
        inputs=tuple(sorted(shown.snapshot.get("formula", {}).get("inputs", ()))),
    )


def _holds(test: TestLine, shown: Shown) -> tuple[str, ...]:
    if test.pending is not None:
        return ("DIFFERENT",)
    if test.state.value != HELD:
        return ()
    codes = (*(h["code"] for h in shown.holds), *(n.code.value for n in test.notes if n.holds))
    return codes or (HELD.upper(),)


def _critical(shown: Shown) -> str:
    if shown.critical:
        return "low" if shown.flag == "L" else "high"
    return "maybe" if any(h["code"] == "MAYBE_CRITICAL" for h in shown.holds) else ""


def _quality(gate: qc.Gate | None, past: bool) -> str:
    if gate is None:
        return "none"
    state = gate.state.value
    return "ok" if gate.open_for_auto or (past and state in TODAY_ONLY) else state


def _calibration(around: Around, analyzer: int | None, item: int, run: datetime) -> str:
    found = equipment.in_force(around.calibrations.get(analyzer or 0, []), item, run)
    if found is None:
        return "none"
    return "ok" if equipment.holds(found, run) else "expired" if found.passed else "failed"


def _reagent(around: Around, analyzer: int | None, item: int, run: datetime) -> tuple[str, str]:
    packs = [p for p in around.packs.get((analyzer or 0, item), ()) if p.at(run)]
    if not packs:
        return "none", ""
    pack = packs[-1]
    if not pack.usable:
        return "unaccepted", pack.lot_no
    return ("ok" if run <= pack.expires_at else "expired"), pack.lot_no


def _people(section: int, items: list[TestLine], around: Around, now: datetime) -> tuple[Person | None, Person | None]:
    """Who answers for verifying and, another person, for testing: on duty in the section and authorised for all items, if anybody is."""
    wanted = {t.item.id for t in items}
    on = [d for d in around.duty if d.section_id == section]

    def ranked(function: personnel.Function, but: int | None = None) -> list[Person]:
        day = personnel.local_day(now)
        held = {g.user_id for g in around.grants if g.function is function}
        people = [
            Person(d.user_id, d.name, not personnel.uncovered(around.grants, d.user_id, function, section, wanted, day))
            for d in on
            if d.user_id in held and d.user_id != but
        ]
        return sorted(people, key=lambda p: not p.covers)

    best: tuple[Person | None, Person | None] = (None, None)
    for authoriser in ranked(personnel.Function.VERIFY):
        operators = ranked(personnel.Function.TEST, authoriser.user_id)
        pair = (authoriser, operators[0] if operators else None)
        if authoriser.covers and pair[1] is not None and pair[1].covers:
            return pair
        best = best if best[0] is not None else pair
    if best[0] is None:
        operators = ranked(personnel.Function.TEST)
        return None, operators[0] if operators else None
    return best


@lru_cache(4096)
def _delta(row: md.DeltaRow) -> Delta:
    return Delta(
        row.kind, row.limit_up, row.limit_down, row.per, row.cva, row.cvi, row.z, row.window_h, row.grouped, row.not_evaluable
    )  # fmt: skip


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


_STOPS = text("SELECT scope, target_id, target_name, reason FROM av_suspension WHERE tenant_id = :t AND ended_at IS NULL ORDER BY id")


def stops(uow: UnitOfWork) -> list[Stop]:
    """The stops in force, read in the transaction of the decision itself (R4)."""
    return [Stop(Scope(r.scope), r.target_id, f"{r.target_name} {r.reason}".strip()) for r in uow.s.execute(_STOPS, {"t": uow.tenant_id})]
