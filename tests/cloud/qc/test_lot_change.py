"""A control lot changed as a laboratory does it: measured beside the old one, proposed, approved by another, the old one retired."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from cloud.modules.catalog import queries as md
from cloud.modules.catalog.models import Analyzer
from cloud.modules.qc import entry, lots, plans, queries, record, targets
from cloud.modules.qc.models import QcMaterial, QcTarget
from cloud.modules.qc.plans import NewMaterial, NewPlan
from cloud.modules.qc.record import Measured
from cloud.modules.qc.rules import Method, last_day
from cloud.modules.qc.targets import Basis, Proposal, Stats
from common.errors import UserError
from tests.cloud.qc.shop import DAY, HOUR, NOON, T0, D, Shop


def young(shop: Shop, level: int = 1) -> int:
    """A new lot of a level, registered."""
    with shop.world.lab.uow() as uow:
        return plans.add_material(uow, NewMaterial(f"QC-L{level}", f"化学质控（虚构）水平{level}", level, f"LOT{level}B", stock=200)).id


def collect(shop: Shop, lot: int, item: str, n: int, mean: str = "6.00") -> None:
    """``n`` values of a new lot, one a day."""
    with shop.world.lab.uow() as uow:
        for k in range(n):
            value = D(mean) + (D("0.1") if k % 2 else D("-0.1"))
            record.record(uow, [Measured(shop.plans[item], lot, 1, T0 + k * DAY + HOUR, str(value), value, "manual")])


@pytest.mark.parametrize(
    ("found", "problem", "history", "renewed", "made"),
    [
        (None, None, D(2), False, None),
        (Stats(20, D(5), D("0.12345")), None, D(2), False, Proposal(D("5.0000"), D("0.1235"), Basis.PROVISIONAL, 20)),
        (Stats(50, D(5), D("0.1")), None, None, True, Proposal(D("5.0000"), D("0.1000"), Basis.CUMULATIVE, 50)),
        (Stats(3, D(5), D("0.5")), "few", D(2), False, Proposal(D("5.0000"), D("0.1000"), Basis.TRANSFER, 3)),
        (Stats(2, D(5), D("0.5")), "few", D(2), False, None),
        (Stats(19, D(5), D("0.5")), "few", None, False, None),
        (Stats(19, D(5), D("0.5")), "few", D(2), True, None),  # its own SD is not given up for an inherited one
        (Stats(20, D(5), D(0)), None, D(2), False, Proposal(D("5.0000"), D("0.1000"), Basis.TRANSFER, 20)),
        (Stats(20, D(5), D(0)), None, None, False, None),
        (Stats(5, D(0), D(1)), "few", D(2), False, None),  # a CV of nothing is no SD
    ],
)
def test_what_a_lots_values_make(
    found: Stats | None, problem: str | None, history: Decimal | None, renewed: bool, made: Proposal | None
) -> None:
    assert targets.propose(found, problem, history, renewed=renewed) == made


@pytest.mark.parametrize(
    ("old", "mean", "sd", "cv"),
    [
        (Stats(20, D(5), D("0.1")), D(5), D("0.2"), D(2)),
        (Stats(19, D(5), D("0.1")), D(5), D("0.2"), D(4)),
        (Stats(20, D(5), None), D(-5), D("0.2"), D(4)),
        (None, D(0), D("0.2"), None),
        (None, None, None, None),
        (Stats(20, D(5), D(0)), None, D(1), None),
    ],
)
def test_the_cv_a_new_lot_inherits(old: Stats | None, mean: Decimal | None, sd: Decimal | None, cv: object) -> None:
    assert targets.historical_cv(old, mean, sd) == cv


def test_a_lot_is_changed_by_two_people_and_the_old_one_retired(shop: Shop) -> None:
    lab = shop.world.lab
    lot = young(shop)
    collect(shop, lot, "K", 20)
    collect(shop, lot, "NA", 5, "120")
    lab.clock.set(T0 + 30 * DAY)
    leader, quality = lab.client("leader"), lab.client("quality")
    shown = leader.get(f"/qc/lots/{lot}").text
    assert "6.0000 ± 0.1026" in shown and "暂定" in shown  # K by its own values
    assert "119.98 ± 1.440" in shown and "沿用历史 CV" in shown  # NA by the CV of the old lot's target, 1.2 %
    assert "停用旧批号 LOT1" in shown and "不再有质控" in shown
    both = {"plan": [str(shop.plans["K"]), str(shop.plans["NA"])], "reason": "换批"}
    assert leader.post(f"/qc/lots/{lot}", both).status_code == 303
    assert leader.post(f"/qc/lots/{lot}", both, htmx=True).status_code == 409  # they wait already
    with lab.uow() as uow:
        wait = uow.s.query(QcTarget).filter(QcTarget.effective_at.is_(None)).order_by(QcTarget.id).all()
        assert [(t.material_id, t.basis) for t in wait] == [(lot, "provisional"), (lot, "transfer")]
        pairs = [f"{t.id}:{t.version}" for t in wait]
    assert "质控靶值待批准" in quality.get("/").text and "LOT1B" in quality.get("/qc/lots").text
    assert leader.post("/qc/lots/approve", {"target": pairs}).status_code == 403
    assert quality.post("/qc/lots/approve", {"target": []}, htmx=True).status_code == 422
    stale = [pairs[0], pairs[1].split(":")[0] + ":99"]
    assert quality.post("/qc/lots/approve", {"target": stale}, htmx=True).status_code == 409
    with lab.uow() as uow:
        assert len(lots.waiting(uow, queries.plans(uow))) == 2  # all or none
    assert quality.post("/qc/lots/approve", {"target": pairs, "lot": str(lot)}).status_code == 303
    assert "没有待批准的靶值" in quality.get("/qc/lots").text
    assert "不再有质控" not in leader.get(f"/qc/lots/{lot}").text
    with lab.uow() as uow:
        old = uow.s.get_one(QcMaterial, (uow.tenant_id, shop.materials[1]))
        version = old.version
    assert leader.post(f"/qc/materials/{shop.materials[1]}/retire", {"version": version}).status_code == 303
    with lab.uow() as uow:
        fields = entry.sheet(uow, shop.world.analyzer)
        assert {f.material.lot for f in fields if f.level == 1} == {"LOT1B"} and all(f.target for f in fields)
    # Retired too early: it comes back with its targets.
    assert "已停用的批号" in leader.get("/qc/plans").text
    assert leader.post(f"/qc/materials/{shop.materials[1]}/restore", {"version": version}, htmx=True).status_code == 409
    assert leader.post(f"/qc/materials/{shop.materials[1]}/restore", {"version": version + 1}).status_code == 303
    with lab.uow() as uow:
        assert {f.material.lot for f in entry.sheet(uow, shop.world.analyzer) if f.level == 1} == {"LOT1", "LOT1B"}


def test_who_proposed_a_lots_targets_does_not_approve_them(shop: Shop) -> None:
    lot = young(shop)
    collect(shop, lot, "K", 20)
    shop.world.lab.clock.set(T0 + 30 * DAY)
    with shop.world.lab.uow() as uow:
        shop.person(uow, "leader")
        found = lots.change(uow, uow.s.get_one(QcMaterial, (uow.tenant_id, lot)), queries.plans(uow))
        lots.propose(uow, found, {shop.plans["K"]}, "")
        [waiting] = lots.waiting(uow, queries.plans(uow), lot)
        with pytest.raises(UserError, match="不能是提出靶值的本人"):
            lots.approve(uow, [(waiting.id, waiting.version)])
        with pytest.raises(UserError, match="请先勾选项目"):
            lots.propose(uow, found, set(), "")


def test_an_expired_lot_is_not_used_again_and_its_label_says_its_last_day(shop: Shop) -> None:
    lab = shop.world.lab
    lab.clock.set(NOON)
    leader = lab.client("leader")
    form = {"code": "QC-X", "name": "另一种质控品（虚构）", "level": "1", "lot": "X1", "expires": "2026-05-31"}
    assert leader.post("/qc/materials", form).status_code == 303
    assert "2026-05-31" in leader.get("/qc/plans").text and "2026-06-01" not in leader.get("/qc/plans").text
    with lab.uow() as uow:
        made = uow.s.query(QcMaterial).filter(QcMaterial.code == "QC-X").one()
        assert made.expires_at is not None and made.expires_at.astimezone(md.HOSPITAL_ZONE).isoformat() == "2026-06-01T00:00:00+08:00"
        last = last_day(made.expires_at)
        assert last is not None and last.astimezone(md.HOSPITAL_ZONE).date().isoformat() == "2026-05-31" and last_day(None) is None
        plans.retire_material(uow, made.id, made.version)
        expires, lot, version = made.expires_at, made.id, made.version + 1
    lab.clock.set(expires - timedelta(seconds=1))
    with lab.uow() as uow:
        plans.use_again(uow, lot, version)
        plans.retire_material(uow, lot, version + 1)
    lab.clock.set(expires)
    with lab.uow() as uow, pytest.raises(UserError, match="已过有效期"):
        plans.use_again(uow, lot, version + 2)


def test_the_entry_page_lists_no_lot_that_only_other_analyzers_use(shop: Shop) -> None:
    """A first lot may be any that nobody uses; once one was measured, only lots of its material."""
    lab, world = shop.world.lab, shop.world
    with lab.uow() as uow:
        old = md.catalog(uow).analyzers[world.analyzer]
        row = Analyzer(code="OTHER", name="另一台", model="OTHER", section_id=old.section_id)
        uow.s.add(row)
        uow.s.flush()
        other = row.id
    with lab.uow() as uow:
        plan = plans.save_plan(uow, NewPlan(other, world.items["K"], (1,), method=Method.IMMEDIATE))
        first = plans.add_material(uow, NewMaterial("RARE", "少见质控品（虚构）", 1, "R1")).id
        plans.add_material(uow, NewMaterial("SPARE", "备用质控品（虚构）", 1, "S1"))
    with lab.uow() as uow:
        assert {f.material.lot for f in entry.sheet(uow, other)} == {"R1", "S1"}  # not LOT1, the first analyzer's
        record.record(uow, [Measured(plan.id, first, 1, uow.now, "5", D(5), "manual")])
    with lab.uow() as uow:
        plans.add_material(uow, NewMaterial("RARE", "少见质控品（虚构）", 1, "R2"))
        assert {f.material.lot for f in entry.sheet(uow, other)} == {"R1", "R2"}


def test_what_is_only_collected_says_its_lot(shop: Shop) -> None:
    lab = shop.world.lab
    lot = young(shop)
    lab.clock.set(NOON)
    form = {"analyzer": str(shop.world.analyzer), f"v-{shop.plans['K']}-1-{shop.materials[1]}": "4.0"}
    form |= {f"v-{shop.plans['K']}-2-{shop.materials[2]}": "6.5", f"v-{shop.plans['K']}-1-{lot}": "6.1"}
    said = lab.client("tester").post("/qc/entry", form, htmx=True).text
    assert "只积累，不判断" in said and "L1 LOT1B" in said and said.count("在控") == 1


def test_a_running_month_is_not_signed(shop: Shop) -> None:
    """Signed before it ended, its last days would stand in no summary."""
    lab = shop.world.lab
    with lab.uow() as uow:
        shop.good(uow, "K", NOON)
    end = T0.replace(month=5, day=31, hour=16)  # midnight of 1 June in the hospital
    for now, status in ((end - timedelta(seconds=1), 409), (end, 200)):
        lab.clock.set(now)
        leader = lab.client("leader")
        lab.sign(leader)
        leader.post("/qc/month/draft", {"month": "2026-05"})
        with lab.uow() as uow:
            ids = [str(r.id) for r in queries.summaries(uow, NOON.date())]
        shown = leader.get("/qc/month?month=2026-05").text
        assert ("结束后才能签名" in shown) is (status == 409)
        assert leader.post("/qc/month/sign", {"month": "2026-05", "id": ids}, htmx=True).status_code == status
