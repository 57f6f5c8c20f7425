"""Two lots of a control measured side by side: each keeps its own counts, and one value of the other level serves both."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import rule_models
from cloud.modules.qc import plans, record, targets, tracks
from cloud.modules.qc.plans import NewMaterial, NewPlan, NewTarget
from cloud.modules.qc.record import Measured
from cloud.modules.qc.rules import Method
from cloud.modules.qc.tracks import Seen
from cloud.modules.qc.westgard import Point, Rule, evaluate
from tests.cloud.qc.shop import DAY, HOUR, NOON, T0, D, Shop


def new_lot(shop: Shop, uow: UnitOfWork, level: int, mean: str, sd: str) -> int:
    """A second lot of a level with a target in force beside the first."""
    lot = plans.add_material(uow, NewMaterial(f"QC-L{level}", f"化学质控（虚构）水平{level}", level, f"LOT{level}B")).id
    new = NewTarget(shop.plans["K"], level, lot, D(mean), D(sd), targets.Basis.MAKER)
    made = plans.propose_target(uow, new)
    plans.approve_target(uow, made.id, made.version)
    uow.s.execute(text("UPDATE qc_target SET effective_at = :at"), {"at": T0 - DAY})
    return lot


def measure(shop: Shop, uow: UnitOfWork, at: datetime, *values: tuple[int, int, str]) -> list[tuple[str, str]]:
    """Values (level, lot, value) one after the other, as an analyzer sends them; what the day's runs came to, oldest first."""
    for n, (level, lot, value) in enumerate(values):
        one = Measured(shop.plans["K"], lot, level, at + timedelta(minutes=n), value, D(value), "analyzer")
        record.record(uow, [one])
    found = uow.s.execute(text("SELECT state, rules FROM qc_run WHERE at >= :at ORDER BY id"), {"at": at})
    return [(r.state, r.rules) for r in found]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_level_measured_once_serves_both_lots_in_any_order(shop: Shop, order: tuple[int, ...]) -> None:
    with shop.world.lab.uow() as uow:
        young = new_lot(shop, uow, 1, "6.00", "0.20")
        three = [(1, shop.materials[1], "4.02"), (1, young, "6.05"), (2, shop.materials[2], "6.48")]
        assert measure(shop, uow, NOON, *(three[k] for k in order)) == [("in_control", ""), ("in_control", "")]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_what_two_levels_break_together_is_found_with_either_lot(shop: Shop, order: tuple[int, ...]) -> None:
    """R-4s of the old lot and the other level, whichever run that level came to."""
    with shop.world.lab.uow() as uow:
        young = new_lot(shop, uow, 1, "6.00", "0.20")
        three = [(1, shop.materials[1], "4.22"), (1, young, "6.05"), (2, shop.materials[2], "6.17")]
        found = measure(shop, uow, NOON, *(three[k] for k in order))
    assert "rejected" in [state for state, _ in found]
    assert any("R-4s" in broken for _, broken in found)


def test_a_lot_beside_another_does_not_break_its_counts(shop: Shop) -> None:
    """2-2s of the old lot over two days, with a good value of the new one between."""
    with shop.world.lab.uow() as uow:
        young = new_lot(shop, uow, 1, "6.00", "0.20")
        measure(shop, uow, NOON, (1, shop.materials[1], "4.22"), (2, shop.materials[2], "6.50"), (1, young, "6.05"))
        found = measure(shop, uow, NOON + DAY, (1, shop.materials[1], "4.23"), (1, young, "6.04"), (2, shop.materials[2], "6.51"))
    assert ("rejected", "1-2s(L1)、2-2s(L1)") in found


def test_two_kits_side_by_side_keep_to_themselves(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        young = {level: new_lot(shop, uow, level, mean, sd) for level, mean, sd in ((1, "6.00", "0.20"), (2, "8.00", "0.20"))}
        four = [(1, shop.materials[1], "4.00"), (1, young[1], "6.00"), (2, shop.materials[2], "6.50"), (2, young[2], "8.00")]
        for n, order in enumerate(permutations(range(4))):
            at = NOON + n * DAY
            assert [state for state, _ in measure(shop, uow, at, *(four[k] for k in order))] == ["in_control"] * 2
            if {*order[:2]} in ({0, 3}, {1, 2}):
                continue  # one kit's first level and the other's second, before anything else: nobody can tell these apart
            rows = uow.s.execute(text("SELECT run_id, array_agg(material_id) FROM qc_result WHERE at >= :at GROUP BY 1"), {"at": at})
            assert {frozenset(lots) for _, lots in rows} == {frozenset(shop.materials.values()), frozenset(young.values())}, order


def test_one_kit_alone_waits_for_its_own_second_level(shop: Shop) -> None:
    """The old kit's level 2 says nothing of the new kit's: with both levels side by side each run needs its own."""
    with shop.world.lab.uow() as uow:
        young = {level: new_lot(shop, uow, level, mean, sd) for level, mean, sd in ((1, "6.00", "0.20"), (2, "8.00", "0.20"))}
        old = [(k, shop.materials[k], v) for k, v in ((1, "4.02"), (2, "6.48"))]
        assert [s for s, _ in measure(shop, uow, NOON, *old, (1, young[1], "6.05"))] == ["in_control", "incomplete"]


def test_a_retest_needs_all_levels_measured_again(shop: Shop) -> None:
    """While a rejection is open nothing is borrowed: the gate opens by what was measured after the correction."""
    with shop.world.lab.uow() as uow:
        young = new_lot(shop, uow, 1, "6.00", "0.20")
        measure(shop, uow, NOON, (1, shop.materials[1], "4.02"), (2, shop.materials[2], "6.48"))
        shop.run(uow, "K", NOON + timedelta(minutes=10), {1: "4.40"})
        found = measure(shop, uow, NOON + timedelta(minutes=20), (1, young, "6.05"))
    assert found == [("incomplete", "")]


def test_a_value_said_twice_of_one_lot_still_waits(shop: Shop) -> None:
    """Level 1 measured again within the hour is no second lot: its run waits for level 2."""
    with shop.world.lab.uow() as uow:
        old = [(k, shop.materials[k], v) for k, v in ((1, "4.02"), (2, "6.48"))]
        assert [s for s, _ in measure(shop, uow, NOON, *old, (1, shop.materials[1], "4.01"))] == ["in_control", "incomplete"]


def _seen(run: int, level: int, lot: int, hour: float, z: str = "0") -> Seen:
    return Seen(Point(run, level, Decimal(z), lot), lot, T0 + hour * HOUR)


def test_a_track_follows_one_lot_of_each_level() -> None:
    seen = [
        *(_seen(1, 1, 10, 0), _seen(1, 2, 20, 0)),  # before the new lot
        *(_seen(2, 1, 10, 24), _seen(3, 1, 11, 24.2), _seen(3, 2, 20, 24.2)),  # side by side, level 2 beside the new one
        *(_seen(4, 1, 10, 48), _seen(5, 1, 11, 48.2), _seen(5, 2, 20, 48.2)),
    ]

    def shown(run: int) -> list[list[tuple[int, int]]]:
        return [[(p.run, p.level) for p in each] for each in tracks.track(seen, run)]

    assert shown(5) == [[(1, 2)], [(3, 1), (3, 2)], [(5, 1), (5, 2)]]
    assert shown(4) == [[(1, 1), (1, 2)], [(2, 1), (3, 2)], [(4, 1), (5, 2)]]
    assert shown(1) == [[(1, 1), (1, 2)]]
    # Another hour's level is nobody's to borrow.
    far = [_seen(1, 1, 10, 0), _seen(2, 1, 11, 1.1), _seen(2, 2, 20, 1.1)]
    assert [[(p.run, p.level) for p in each] for each in tracks.track(far, 1)] == [[(1, 1)]]
    near = [_seen(1, 1, 10, 0), _seen(2, 1, 11, 1), _seen(2, 2, 20, 1)]
    assert [[(p.run, p.level) for p in each] for each in tracks.track(near, 1)] == [[(1, 1), (2, 2)]]
    # Two runs of one lot stay two, however close.
    twice = [_seen(1, 1, 10, 0), _seen(2, 2, 20, 0.5), _seen(3, 1, 10, 24), _seen(3, 2, 20, 24)]
    assert [[(p.run, p.level) for p in each] for each in tracks.track(twice, 3)] == [[(1, 1)], [(2, 2)], [(3, 1), (3, 2)]]


# --- qualitative, said as a ratio ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "value", "state"),
    [
        *(("neg", "0.05", "in_control"), ("neg", "0.95", "rejected"), ("neg", "3.0", "rejected"), ("pos", "3.0", "in_control")),
        *(("pos", "0.05", "rejected"), ("weak", "3.0", "in_control"), ("weak", "0.95", "in_control"), ("weak", "0.05", "rejected")),
    ],
)
def test_a_ratio_is_as_positive_as_the_items_judgement_says(shop: Shop, expected: str, value: str, state: str) -> None:
    """S/CO 0.05 of a negative control is negative; by its number alone every control was out."""
    world = shop.world
    with world.lab.uow() as uow:
        branches = [{"when": "x < 0.90", "text": "阴性"}, {"when": "x < 1.10", "text": "灰区(复检)"}, {"text": "阳性"}]
        uow.s.add(rule_models.JudgeFormula(item_id=world.items["EXTRA"], branches=branches))
    with world.lab.uow() as uow:
        plan = plans.save_plan(
            uow, NewPlan(world.analyzer, world.items["EXTRA"], (1,), method=Method.QUALITATIVE, rules=(), warnings=frozenset())
        )
        made = plans.propose_target(uow, NewTarget(plan.id, 1, shop.materials[1], None, None, targets.Basis.MAKER, expected=expected))
        plans.approve_target(uow, made.id, made.version)
        run = record.record(uow, [Measured(plan.id, shop.materials[1], 1, NOON, value, D(value), "manual")])[0]
        assert uow.s.execute(text("SELECT state FROM qc_run WHERE id = :i"), {"i": run}).scalar_one() == state


@pytest.mark.parametrize(("mean", "state"), [(None, "rejected"), ("0.05", "in_control")])
def test_a_ratio_without_a_judgement_is_for_its_chart_alone(shop: Shop, mean: str | None, state: str) -> None:
    """Without a target mean nothing could tell it right from wrong, and what nobody can tell is not in control."""
    world = shop.world
    with world.lab.uow() as uow:
        plan = plans.save_plan(
            uow, NewPlan(world.analyzer, world.items["EXTRA"], (1,), method=Method.QUALITATIVE, rules=(), warnings=frozenset())
        )
        sd = None if mean is None else D("0.01")
        new = NewTarget(plan.id, 1, shop.materials[1], None if mean is None else D(mean), sd, targets.Basis.MAKER, expected="neg")
        made = plans.propose_target(uow, new)
        plans.approve_target(uow, made.id, made.version)
        run = record.record(uow, [Measured(plan.id, shop.materials[1], 1, NOON, "0.05", D("0.05"), "manual")])[0]
        assert uow.s.execute(text("SELECT state FROM qc_run WHERE id = :i"), {"i": run}).scalar_one() == state


_Z = st.sampled_from([Decimal(k) / 10 for k in (-32, -21, -11, -4, 4, 11, 21, 32)])


@given(st.lists(st.tuples(_Z, st.none() | _Z, _Z, st.booleans()), min_size=1, max_size=14))
def test_the_other_lot_changes_nothing_of_a_lots_verdict(days: list[tuple[Decimal, Decimal | None, Decimal, bool]]) -> None:
    """What a lot breaks with another beside it is what it breaks alone, wherever the value of level 2 came to."""
    seen: list[Seen] = []
    alone: dict[int, list[list[Point]]] = {10: [], 11: []}
    for day, (old, young, other, with_old) in enumerate(days):
        runs = [(2 * day, 10, old, 0.0), *([] if young is None else [(2 * day + 1, 11, young, 0.25)])]
        two = Point(runs[0 if with_old else -1][0], 2, other, 20)
        for run, lot, z, hour in runs:
            at = T0 + day * DAY + hour * HOUR
            seen += [Seen(Point(run, 1, z, lot), lot, at), *([Seen(two, 20, at)] if two.run == run else [])]
        of = {lot: Point(run, 1, z, lot) for run, lot, z, _ in runs}
        for lot, history in alone.items():
            history.append([of[lot], two] if lot in of else [two])
        for run, lot, _, _ in runs:
            beside, by_itself = (
                {(v.rule, v.level, v.points) for v in evaluate(h, set(Rule)) if of[lot] in v.points}
                for h in (tracks.track(seen, run), alone[lot])
            )
            assert beside == by_itself
