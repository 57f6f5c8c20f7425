"""The laboratory's rules: reports decided a second in one process (20 items, history read, cleared ones released), and a simulation; then
the floor itself (floor.py).

The first two run in this process against a PostgreSQL of their own. Beside the wall clock stands the processor time of this process, to
compare by on a busy machine, and the number of statements a report costs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import event, text

from cloud.modules.autoverify import service, simulation
from cloud.modules.autoverify.case import to_json
from cloud.modules.autoverify.fingerprint import of_section
from cloud.modules.autoverify.models import RuleSet, Simulation
from cloud.modules.autoverify.sets import starting_policy
from cloud.modules.bench import service as bench
from cloud.modules.catalog import models as md
from cloud.modules.catalog.rule_models import AvRange, DeltaRule
from tests.bench import floor
from tests.bench.common import arguments, attempt, emit
from tests.cloud.autoverify.floor import DESK, MORNING, fit
from tests.cloud.bench.world import World, build
from tests.cloud.qc.shop import T0
from tests.support import database
from tests.support import lab as labs

ITEMS = 20
REACH, SIMULATION_REACH = "100 reports/s", "10 000 reports in 60 s"
NAMES = [f"I{n:02d}" for n in range(ITEMS)]
VALUES = {name: f"{10 + n}.04" for n, name in enumerate(NAMES)}
PAST = 3


def main() -> int:
    """Measure all."""
    quick = arguments(__doc__)
    went = [attempt("autoverification", _rules, quick), attempt("the laboratory floor", floor.measure, quick)]
    return 0 if all(went) else 1


def _rules(quick: bool) -> None:
    with database.server() as server:
        made = server.create()
        database.build_schema(made)
        lab = labs.make(made, labs.Clock(T0))
        world = _world(lab)
        _decide(world, 60 if quick else 600)
        _simulate(world, 300 if quick else 10_000)
        lab.db.dispose()


def _world(lab: labs.Lab) -> World:
    """Twenty items with range and delta, calibrated, on board, in control, two people on duty, a set in use."""
    lab.clock.set(T0 - timedelta(days=10))
    world = build(lab, items=[(n, "mmol/L", 1, "5", "40", "1", "90", True) for n in NAMES])
    with lab.uow() as uow:
        world.items |= {"K": world.items["I00"], "NA": world.items["I01"]}
        for name in NAMES:
            item = uow.s.get_one(md.TestItem, (uow.tenant_id, world.items[name]))
            item.amr_low, item.amr_high, item.stability_h = Decimal(1), Decimal(100), 8
            uow.s.add(AvRange(item_id=item.id, low=Decimal(5), high=Decimal(60)))
            uow.s.add(DeltaRule(item_id=item.id, kind="percent", limit_up=Decimal(50), limit_down=Decimal(50), window_h=168))
        fit(uow, world)
        lot = uow.s.execute(text("SELECT id FROM reagent_lot")).scalar_one()
        query = text(
            "INSERT INTO reagent_lot_item (tenant_id, lot_id, item_id) SELECT :t, :l, unnest(CAST(:i AS bigint[])) ON CONFLICT DO NOTHING"
        )
        uow.s.execute(query, {"t": uow.tenant_id, "l": lot, "i": [world.items[n] for n in NAMES]})
    lab.clock.set(T0)
    with lab.uow() as uow:
        _controls(uow, world)
    with lab.uow() as uow:
        row = RuleSet(
            section_id=world.section, number=1, name="bench", state="active", policy=to_json(starting_policy()), created_at=uow.now
        )
        row.fingerprint, row.valid_until = of_section(uow, world.section), uow.now + timedelta(days=300)
        uow.s.add(row)
    lab.clock.set(MORNING)
    return world


def _controls(uow: Any, world: World) -> None:
    from cloud.modules.qc.plans import NewPlan, save_plan

    for name in NAMES:
        plan = save_plan(uow, NewPlan(world.analyzer, world.items[name], (1, 2), tea_percent=Decimal(6)))
        uow.s.flush()
        query = text("INSERT INTO qc_run (tenant_id, plan_id, at, state, source) VALUES (:t, :p, :at, 'in_control', 'manual')")
        uow.s.execute(query, {"t": uow.tenant_id, "p": plan.id, "at": uow.now})


def _tubes(world: World, n: int, patients: list[int] | None = None) -> tuple[list[int], list[int]]:
    """Tubes with all results: (tubes, their patients)."""
    lab, tubes, owners = world.lab, [], []
    for start in range(0, n, 50):
        with lab.uow() as uow:
            size = min(50, n - start)
            mine = patients[start : start + size] if patients else [world.patient(uow) for _ in range(size)]
            batch = [world.tube(uow, patient) for patient in mine]
            bench.record_results(uow, [each for tube in batch for each in world.incoming(tube, VALUES, uow.now)])
            tubes, owners = tubes + batch, owners + mine
    return tubes, owners


def _told(world: World, tubes: list[int]) -> None:
    """These reports were released by people, as measured."""
    given = {"t": world.tenant, "ids": tubes}
    with world.lab.uow() as uow:
        given["now"] = uow.now
        for statement in (
            "UPDATE test SET state = 'released' WHERE tenant_id = :t AND specimen_id = ANY(:ids)",
            "UPDATE result_version v SET released_at = v.at FROM test t WHERE t.tenant_id = :t AND t.id = v.test_id AND v.tenant_id = :t "
            "AND t.specimen_id = ANY(:ids)",
            "UPDATE bench_tube SET state = 'released' WHERE tenant_id = :t AND specimen_id = ANY(:ids)",
            "INSERT INTO report (tenant_id, specimen_id, patient_id, section_id, state, no, current_no, released_at) "
            "SELECT :t, s.id, s.patient_id, s.section_id, 'released', 'P' || s.id, 1, :now FROM specimen s "
            "WHERE s.tenant_id = :t AND s.id = ANY(:ids)",
        ):
            uow.s.execute(text(statement), given)


@contextmanager
def _counted(world: World) -> Iterator[list[int]]:
    seen = [0]

    def count(*_args: object) -> None:
        seen[0] += 1

    event.listen(world.lab.db.engine, "before_cursor_execute", count)
    yield seen
    event.remove(world.lab.db.engine, "before_cursor_execute", count)


def _decide(world: World, n: int) -> None:
    """Decide ``n`` reports whose patients have three earlier ones, in batches of fifty."""
    patients: list[int] | None = None
    for back in range(PAST, 0, -1):
        world.lab.clock.set(MORNING - timedelta(days=back))
        tubes, patients = _tubes(world, n, patients)
        _told(world, tubes)
    world.lab.clock.set(MORNING)
    tubes, _ = _tubes(world, n, patients)
    with world.lab.uow() as uow:
        for tube in tubes:
            service.on_results(uow, {"specimen_id": tube})
    with _counted(world) as statements:
        wall, cpu = time.perf_counter(), time.process_time()
        while True:
            with world.lab.uow() as uow:
                if not service.decide_due(uow, DESK):
                    break
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with world.lab.uow() as uow:
        found = uow.s.execute(text("SELECT outcome, count(*) AS n FROM av_decision GROUP BY 1")).all()
        held = uow.s.execute(text("SELECT reasons FROM av_decision WHERE outcome = 'held' LIMIT 1")).scalar()
    outcomes = {r.outcome: r.n for r in found}
    if held:
        print(held)
    more = {"reports": n, "items": ITEMS, "outcomes": outcomes, "cpu_ms_a_report": round(1000 * cpu / n, 2)}
    emit("autoverification decided/s", round(n / wall, 1), REACH, **more, statements_a_report=round(statements[0] / n, 2))


def _simulate(world: World, n: int) -> None:
    """A simulation over ``n`` past reports, slice after slice as the worker does."""
    have = 0
    with world.lab.uow() as uow:
        have = int(uow.s.execute(text("SELECT count(*) FROM report WHERE NOT auto")).scalar_one())
        rule_set = uow.s.execute(text("SELECT id FROM av_rule_set")).scalar_one()
    if have < n:
        tubes, _ = _tubes(world, n - have)
        _told(world, tubes)
    with world.lab.uow() as uow:
        run = service.start(uow, rule_set, n).id
    wall, cpu = time.perf_counter(), time.process_time()
    while True:
        with world.lab.uow() as uow:
            if not simulation.step(uow):
                break
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with world.lab.uow() as uow:
        row = uow.s.get_one(Simulation, (uow.tenant_id, run))
        more = {"reports": row.done, "state": row.state, "confusion": row.confusion, "cpu_s": round(cpu, 1)}
    emit("autoverification simulation, s", round(wall, 1), SIMULATION_REACH, **more)


if __name__ == "__main__":
    sys.exit(main())
