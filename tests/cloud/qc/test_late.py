"""A control run that arrives late: those measured after it are judged anew, what changed is told, kept and closes the gate."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog.queries import HOSPITAL_ZONE
from cloud.modules.qc import ooc, queries, rules
from cloud.modules.qc.models import QcRun, QcViolation
from cloud.modules.qc.queries import Ask, gate_state
from cloud.modules.qc.rules import GateState, RunState
from tests.cloud.qc.shop import HOUR, T0, D, Shop, fields

# z of level 1 of potassium: 4.00 ± 0.10; level 2 stands at its mean or a little below, so that it counts for nothing.
HIGH, QUIET = "4.25", {2: "6.49"}


def state(uow: UnitOfWork, run: int) -> tuple[str, str]:
    found = uow.s.get_one(QcRun, (uow.tenant_id, run), populate_existing=True)
    return found.state, found.rules


def gate(uow: UnitOfWork, shop: Shop, at: Any = None) -> GateState:
    ask = Ask(shop.world.items["K"], shop.world.analyzer, at)
    return gate_state(uow, [ask])[ask].state


def alerts(uow: UnitOfWork, kind: str) -> int:
    query = text("SELECT count(*) FROM alert WHERE kind = :k AND cleared_at IS NULL")
    return int(uow.s.execute(query, {"k": kind}).scalar_one())


def judged_again(uow: UnitOfWork) -> list[tuple[str, str, str]]:
    """(run, state before, state now) of every audit entry."""
    rows = uow.s.execute(text("SELECT entity_id, body FROM audit_log WHERE entity = 'qc_run' AND action = 'judged_again' ORDER BY seq"))
    out = []
    for run, body in rows:
        told = json.loads(body)
        out.append((run, told["before"]["state"], told["after"]["state"]))
    return out


@pytest.mark.parametrize(("before", "rejects", "broken"), list(product(RunState, (False, True), (False, True))))
def test_what_a_late_run_may_make_of_a_verdict(before: RunState, rejects: bool, broken: bool) -> None:
    found = rules.judged_again(before, rejects, broken)
    if before in (RunState.REJECTED, RunState.TRIAL):
        assert found is before
    elif rejects:
        assert found is RunState.REJECTED
    elif before is RunState.INCOMPLETE:
        assert found is RunState.INCOMPLETE
    else:
        assert found is (RunState.WARNING if broken else RunState.IN_CONTROL)


def test_a_late_run_makes_the_one_after_it_a_rejection(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        first = shop.good(uow, "K", T0)
        second = shop.run(uow, "K", T0 + 2 * HOUR, {1: HIGH, **QUIET})
        assert state(uow, second) == ("warning", "1-2s(L1)") and gate(uow, shop) is GateState.OPEN and alerts(uow, "qc.warning") == 1
    with shop.world.lab.uow() as uow:
        late = shop.run(uow, "K", T0 + HOUR + HOUR / 30, {1: HIGH, **QUIET})  # measured between them, told after both
        assert state(uow, first)[0] == "in_control" and state(uow, late)[0] == "warning"
        assert state(uow, second) == ("rejected", "1-2s(L1)、2-2s(L1)")
        run = uow.s.get_one(QcRun, (uow.tenant_id, second))
        assert [(h["state"], h["rules"], h["late"]) for h in run.history] == [("warning", "1-2s(L1)", [late])]
        # Gate, alert and the work to be done follow; the doubtful time begins after the last run that still is good.
        work = shop.work(uow, "K")
        assert (work.run_id, work.rejected_at, work.suspect_from) == (second, run.at, T0 + HOUR + HOUR / 30)
        assert gate(uow, shop) is GateState.REJECTED and alerts(uow, "qc.rejected") == 1 and alerts(uow, "qc.warning") == 0
    with shop.world.lab.uow() as uow:
        assert judged_again(uow) == [(str(second), "warning", "rejected")]
        topics = uow.s.execute(text("SELECT topic FROM outbox_event WHERE topic LIKE 'qc.%' ORDER BY id")).scalars().all()
        assert topics[-1] == "qc.rejected"
    page = shop.world.lab.client("tester").get(f"/qc/lj?plan={shop.plans['K']}&month=2026-05").text
    assert "迟到质控引起的改判" in page and "警告 1-2s(L1)" in page


def test_who_types_a_late_run_is_told_what_it_changed(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        shop.run(uow, "K", T0 + 2 * HOUR, {1: HIGH, **QUIET})
    tester = shop.world.lab.client("tester")
    at = (T0 + HOUR / 2).astimezone(HOSPITAL_ZONE).strftime("%Y-%m-%dT%H:%M")
    answer = tester.post("/qc/entry", fields(shop, K1=HIGH, K2="6.49") | {"at": at})
    page = answer.text if answer.status_code == 200 else tester.get(answer.headers["Location"]).text
    assert "已改判" in page and page.count('class="answer') == 2 and "✕ 失控" in page


def test_a_late_run_between_two_takes_back_a_warning_they_made_together(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        plan = shop.plan(uow, "K")
        plan.warnings = [*plan.warnings, "2-2s"]
        shop.run(uow, "K", T0, {1: HIGH, **QUIET})
        second = shop.run(uow, "K", T0 + 4 * HOUR, {1: HIGH, **QUIET})
        assert state(uow, second) == ("warning", "1-2s(L1)、2-2s(L1)")
    with shop.world.lab.uow() as uow:
        shop.run(uow, "K", T0 + 2 * HOUR, {1: "3.99", **QUIET})
        assert state(uow, second) == ("warning", "1-2s(L1)")
        ended = uow.s.query(QcViolation).filter(QcViolation.ended_at.is_not(None)).all()
        assert [(v.run_id, v.rule) for v in ended] == [(second, "2-2s")]
        assert alerts(uow, "qc.warning") == 1  # the newest run still warns, and a good run before it takes nothing away


def test_a_rejection_stands_whatever_arrives_late(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        shop.run(uow, "K", T0, {1: HIGH, **QUIET})
        second = shop.run(uow, "K", T0 + 4 * HOUR, {1: HIGH, **QUIET})
        assert state(uow, second)[0] == "rejected"
        shop.run(uow, "K", T0 + 2 * HOUR, {1: "3.99", **QUIET})
        assert state(uow, second) == ("rejected", "1-2s(L1)、2-2s(L1)")
        assert gate(uow, shop) is GateState.REJECTED and alerts(uow, "qc.rejected") == 1
    with shop.world.lab.uow() as uow:
        assert judged_again(uow) == []


def test_rules_chosen_since_repaint_nothing(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        shop.good(uow, "K", T0)
        second = shop.run(uow, "K", T0 + 4 * HOUR, {1: "4.15", **QUIET})
        assert state(uow, second)[0] == "in_control"
        plan = shop.plan(uow, "K")
        plan.rules = [*plan.rules, "R-range4"]
        plan.rules = [r for r in plan.rules if r != "1-2s"]
        shop.run(uow, "K", T0 + 2 * HOUR, {1: "3.99", **QUIET})
        assert state(uow, second)[0] == "in_control" and uow.s.get_one(QcRun, (uow.tenant_id, second)).history == []


def test_a_rejected_late_run_widens_the_work_that_is_open(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        shop.good(uow, "K", T0)
        shop.good(uow, "K", T0 + 2 * HOUR)
        shop.bad(uow, "K", T0 + 6 * HOUR)
        work = shop.work(uow, "K")
        assert (work.rejected_at, work.suspect_from) == (T0 + 6 * HOUR, T0 + 2 * HOUR)
        assert gate(uow, shop, T0 + HOUR) is GateState.REJECTED
        shop.bad(uow, "K", T0 + HOUR)
        uow.s.refresh(work)
        assert (work.rejected_at, work.suspect_from) == (T0 + HOUR, T0)
        assert uow.s.execute(text("SELECT count(*) FROM qc_ooc")).scalar_one() == 1
    with shop.world.lab.uow() as uow:
        told = "SELECT count(*) FROM audit_log WHERE entity = 'qc_ooc' AND action = 'extended'"
        assert uow.s.execute(text(told)).scalar_one() == 1


def test_a_late_run_after_a_closed_work_up_opens_another(shop: Shop) -> None:
    """The retest that opened the gate is judged anew too: signed or not, what it rests on has changed."""
    with shop.world.lab.uow() as uow:
        shop.good(uow, "K", T0)
        shop.bad(uow, "K", T0 + HOUR + HOUR / 30)
    shop.world.lab.clock.set(T0 + 3 * HOUR)
    with shop.world.lab.uow() as uow:
        shop.mend(uow, "K")
    with shop.world.lab.uow() as uow:
        tester = shop.person(uow, "tester")
        retest = shop.run(uow, "K", T0 + 5 * HOUR, {1: "4.05", **QUIET})
        work = shop.work(uow, "K")
        ooc.verify(uow, work.id, work.version, tester)
        assert gate(uow, shop, T0 + 6 * HOUR) is GateState.OPEN
    with shop.world.lab.uow() as uow:
        late = shop.bad(uow, "K", T0 + 4 * HOUR)  # measured after the correction, before the retest
        assert state(uow, late)[0] == "rejected" and state(uow, retest)[0] == "in_control"
        assert gate(uow, shop, T0 + 6 * HOUR) is GateState.REJECTED
        assert uow.s.execute(text("SELECT count(*) FROM qc_ooc WHERE verified_at IS NULL")).scalar_one() == 1


def test_the_immediate_method_looks_at_what_was_measured_before(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        plan = shop.plan(uow, "K")
        plan.method = "immediate"
        for hour, value in ((0, "5.0"), (2, "5.1"), (4, "4.9"), (6, "5.0")):
            shop.run(uow, "K", T0 + hour * HOUR, {1: value, 2: value})
        last = shop.run(uow, "K", T0 + 12 * HOUR, {1: "5.1", 2: "5.1"})
        assert state(uow, last)[0] == "in_control"
        # Told late and far out at its own time; the later one is not the farthest, whatever came between.
        late = shop.run(uow, "K", T0 + 8 * HOUR, {1: "5.6", 2: "5.0"})
        assert state(uow, late)[0] == "warning" and state(uow, last)[0] == "in_control"


def test_months_count_only_what_was_broken(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        plan = shop.plan(uow, "K")
        plan.warnings = [*plan.warnings, "2-2s"]
        shop.run(uow, "K", T0, {1: HIGH, **QUIET})
        shop.run(uow, "K", T0 + 4 * HOUR, {1: HIGH, **QUIET})
        shop.run(uow, "K", T0 + 2 * HOUR, {1: "3.99", **QUIET})
        points = queries.chart_points(uow, plan.id, T0 - HOUR, T0 + 5 * HOUR)
        assert [p.warned for p in points if p.level == 1 and p.z is not None and p.z > D(2)] == [True, True]
        again = queries.judged_again(uow, plan.id, T0 - HOUR, T0 + 5 * HOUR)
        assert [(str(a.word), a.rules, [(str(w), b) for _, w, b in a.before]) for a in again] == [
            ("警告", "1-2s(L1)", [("警告", "1-2s(L1)、2-2s(L1)")])
        ]
