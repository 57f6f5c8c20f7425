"""Plans, targets and the methods that judge without a Levey-Jennings chart."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import text

from cloud.modules.qc import plans, queries, record, targets
from cloud.modules.qc.models import QcMaterial
from cloud.modules.qc.plans import NewPlan, NewTarget
from cloud.modules.qc.rules import Method
from cloud.modules.qc.westgard import DEFAULT_RULES, Rule
from common.errors import UserError
from tests.cloud.qc.shop import DAY, HOUR, NOON, T0, D, Shop


def test_qualitative_control_of_the_wrong_sign_is_rejected(shop: Shop) -> None:
    world = shop.world
    with world.lab.uow() as uow:
        plan = plans.save_plan(
            uow, NewPlan(world.analyzer, world.items["EXTRA"], (1,), method=Method.QUALITATIVE, rules=(), warnings=frozenset())
        )
        made = plans.propose_target(uow, NewTarget(plan.id, 1, shop.materials[1], None, None, targets.Basis.MAKER, expected="neg"))
        plans.approve_target(uow, made.id, made.version)
        for at, said, state in ((NOON, "阴性", "in_control"), (NOON + 2 * HOUR, "1+", "rejected"), (NOON + 4 * HOUR, "??", "rejected")):
            run = record.record(uow, [record.Measured(plan.id, shop.materials[1], 1, at, said, None, "manual")])[0]
            assert uow.s.execute(text("SELECT state FROM qc_run WHERE id = :i"), {"i": run}).scalar_one() == state


def test_the_immediate_method_needs_no_target(shop: Shop) -> None:
    world = shop.world
    with world.lab.uow() as uow:
        plan = plans.save_plan(uow, NewPlan(world.analyzer, world.items["EXTRA"], (1,), method=Method.IMMEDIATE))
        states = []
        for n, said in enumerate(("5.0", "5.1", "4.9", "5.0", "5.6", "5.05", "9.0")):
            new = record.Measured(plan.id, shop.materials[1], 1, NOON + n * 2 * HOUR, said, D(said), "manual")
            run = record.record(uow, [new])[0]
            states.append(uow.s.execute(text("SELECT state FROM qc_run WHERE id = :i"), {"i": run}).scalar_one())
    # Two values judge nothing, so nothing may pass by them.
    assert states == ["trial"] * 2 + ["in_control"] * 2 + ["warning", "in_control", "rejected"]


def test_after_twenty_values_of_the_immediate_method_the_next_is_still_judged(shop: Shop) -> None:
    world = shop.world
    with world.lab.uow() as uow:
        plan = plans.save_plan(uow, NewPlan(world.analyzer, world.items["EXTRA"], (1,), method=Method.IMMEDIATE))
        for n in range(22):
            said = "9.0" if n == 21 else ("5.0", "5.1", "4.9")[n % 3]
            run = record.record(uow, [record.Measured(plan.id, shop.materials[1], 1, NOON + n * 2 * HOUR, said, D(said), "manual")])[0]
        assert uow.s.execute(text("SELECT state FROM qc_run WHERE id = :i"), {"i": run}).scalar_one() == "rejected"


def test_a_provisional_target_needs_its_values(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        new = NewTarget(shop.plans["K"], 1, shop.materials[1], D("4.00"), D("0.10"), targets.Basis.PROVISIONAL, 20)
        with pytest.raises(UserError, match="至少需要 20 个"):
            plans.propose_target(uow, new)


def test_look_back_restarts_at_a_new_target(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        shop.run(uow, "K", NOON, {1: "4.21", 2: "6.50"})
        made = plans.propose_target(uow, NewTarget(shop.plans["K"], 1, shop.materials[1], D("4.00"), D("0.10"), targets.Basis.CUMULATIVE))
        plans.approve_target(uow, made.id, made.version)
        run = shop.run(uow, "K", NOON + 2 * HOUR, {1: "4.22", 2: "6.50"})
        assert uow.s.execute(text("SELECT state, rules FROM qc_run WHERE id = :i"), {"i": run}).one() == ("warning", "1-2s(L1)")


def test_a_target_counts_once_another_person_has_approved_it(shop: Shop) -> None:
    lab = shop.world.lab
    leader, quality = lab.client("leader"), lab.client("quality")
    form = {"plan": shop.plans["K"], "level": 1, "material": shop.materials[1], "mean": "4.10", "cv": "2.5", "basis": "maker"}
    assert leader.post("/qc/targets", form).status_code == 303
    with lab.uow() as uow:
        new = queries.targets(uow, [shop.plans["K"]])[0]
        assert (new.sd, new.basis, new.effective_at) == (D("0.1025"), "transfer", None)
        assert len(queries.targets(uow, [shop.plans["K"]], current=True)) == 2
    url = f"/qc/targets/{new.id}/approve"
    assert leader.post(url, {"version": new.version}).status_code == 403
    with lab.uow() as uow, pytest.raises(UserError, match="本人"):
        shop.person(uow, "leader")
        plans.approve_target(uow, new.id, new.version)
    assert quality.post(url, {"version": 99}, htmx=True).status_code == 409
    assert quality.post(url, {"version": new.version}).status_code == 303
    assert quality.post(url, {"version": new.version + 1}, htmx=True).status_code == 409
    with lab.uow() as uow:
        current = queries.targets(uow, [shop.plans["K"]], current=True)
        assert {t.mean for t in current} == {D("4.10"), D("6.50")}
    assert "4.10" in lab.client("tester").get(f"/qc/targets?plan={shop.plans['K']}").text


def test_a_plan_changed_by_somebody_else_meanwhile_is_not_overwritten(shop: Shop) -> None:
    leader = shop.world.lab.client("leader")
    with shop.world.lab.uow() as uow:
        plan = shop.plan(uow, "K")
    form = {
        "analyzer_id": plan.analyzer_id,
        "item_id": plan.item_id,
        "levels": ["1", "2"],
        "window_hours": 12,
        "method": "lj",
        "freeze": "skipped",
        "rules": ["1-3s", "R-4s"],
        "version": plan.version,
        "active": "1",
        "tea_percent": "6",
    }
    assert leader.post("/qc/plans", form).status_code == 303
    stale = leader.post("/qc/plans", form | {"window_hours": 8}, htmx=True)
    assert stale.status_code == 409
    only_warn = leader.post("/qc/plans", form | {"version": plan.version + 1, "rules": ["1-2s"], "warnings": ["1-2s"]}, htmx=True)
    assert only_warn.status_code == 422 and "失控" in only_warn.text
    with shop.world.lab.uow() as uow:
        now = shop.plan(uow, "K")
        assert (now.window_hours, now.freeze, now.rules) == (12, "skipped", ["1-3s", "R-4s"])


def test_defaults_of_a_new_plan() -> None:
    new = NewPlan(1, 2, (1, 2))
    assert new.rules == DEFAULT_RULES and new.warnings == {Rule.R1_2S} and new.window_hours == 24
    assert Decimal(1) not in (new.tea_percent, new.bias_percent)


def test_a_lot_outlives_its_first_vial(shop: Shop) -> None:
    """A vial too old refuses values; opening the next one lets the lot go on, and what was measured meanwhile stays counted."""
    lab = shop.world.lab
    leader, url = lab.client("leader"), f"/qc/materials/{shop.materials[1]}"

    def lot() -> QcMaterial:
        with lab.uow() as uow:
            return uow.s.get_one(QcMaterial, (uow.tenant_id, shop.materials[1]))

    first = {"version": lot().version, "opened": "2026-04-01", "open_days": "30", "added": "10"}
    assert lab.client("tester").post(url, first).status_code == 403
    assert leader.post(url, first).status_code == 303
    assert leader.post(url, first, htmx=True).status_code == 409, "a stale form"
    assert "已超开瓶稳定期" in leader.get("/qc/plans").text
    old = lot()
    with lab.uow() as uow, pytest.raises(UserError, match="开瓶已超过稳定期"):
        shop.good(uow, "K", NOON)
    for change, words in (
        ({"opened": "2026-05-06"}, "开瓶日期晚于今天"),
        ({"open_days": "0"}, "至少为 1"),
        ({"added": "-11"}, "只有 10 次"),
    ):
        refused = leader.post(url, first | {"version": old.version} | change, htmx=True)
        assert refused.status_code == 422 and words in refused.text
    with lab.uow() as uow:
        shop.run(uow, "K", T0 - 5 * DAY, {1: "4.00", 2: "6.50"})
    assert lot().stock == 9, "measuring is nobody's edit of the lot"
    assert leader.post(url, {"version": old.version, "opened": "2026-05-04", "open_days": "30", "added": "5"}).status_code == 303
    assert (lot().stock, lot().opened_at) == (14, NOON.replace(day=3, hour=16))
    with lab.uow() as uow:
        shop.good(uow, "K", NOON)
    version = lot().version
    assert leader.post(url, {"version": version, "opened": "2026-05-04", "open_days": "30"}).status_code == 303
    assert (lot().version, lot().stock) == (version, 13), "nothing changed, nothing is written"
