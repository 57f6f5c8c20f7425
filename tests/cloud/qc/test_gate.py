"""The release gate: every answer of the rule, the question to the database, and a report that stays until the retest is signed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import text

from cloud.modules.bench import queries as bench_queries
from cloud.modules.catalog.models import SavedSetting
from cloud.modules.platform import signing
from cloud.modules.qc import ooc, queries, rules
from cloud.modules.qc.queries import Ask, gate_state
from cloud.modules.qc.rules import Gate, GateFacts, GateState, Ooc, RunState
from cloud.modules.reports import service as reports
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, build
from tests.cloud.qc.shop import T0, Shop, open_shop
from tests.support import lab as labs
from tests.support.database import TestDatabase

HOUR = timedelta(hours=1)
DESK = signing.Desk(signing.open_signer("", "5e" * 32), "https://lab.example")


@pytest.fixture
def shop(fresh_db: TestDatabase) -> Iterator[Shop]:
    lab = labs.make(fresh_db, labs.Clock(T0))
    yield open_shop(build(lab))
    lab.db.dispose()


# --- the rule -------------------------------------------------------------------------------------------------------

FACTS = GateFacts(True, last_good=T0, window=24 * HOUR)


@pytest.mark.parametrize(
    ("facts", "run_at", "now", "state"),
    [
        (GateFacts(False), None, T0, GateState.NO_PLAN),
        (FACTS, None, T0 + 24 * HOUR, GateState.OPEN),
        (FACTS, None, T0 + 24 * HOUR + timedelta(seconds=1), GateState.OVERDUE),
        (FACTS, T0 + HOUR, T0 + 30 * HOUR, GateState.OPEN),
        (GateFacts(True), None, T0, GateState.OVERDUE),
        (GateFacts(True, rejected_since=T0, last_good=T0), None, T0, GateState.REJECTED),
        (GateFacts(True, last_good=T0, doubtful=True), T0, T0, GateState.DOUBTFUL),
        (GateFacts(True, last_good=T0, doubtful=True, repeat=True), T0, T0, GateState.DOUBTFUL),
        (GateFacts(True, rejected_since=T0, doubtful=True, last_good=T0, repeat=True), T0, T0, GateState.REJECTED),
        (GateFacts(True, rejected_since=T0, bypass_until=T0 + HOUR), None, T0, GateState.BYPASSED),
        (GateFacts(True, rejected_since=T0, bypass_until=T0), None, T0, GateState.REJECTED),
        (GateFacts(True, last_good=T0, bypass_until=T0 + HOUR), None, T0, GateState.OPEN),
    ],
)
def test_the_gate_says_open_or_why_not(facts: GateFacts, run_at: datetime | None, now: datetime, state: GateState) -> None:
    found = rules.gate(facts, run_at, now)
    assert found.state is state
    assert bool(found.reason) is (state not in (GateState.OPEN, GateState.BYPASSED))
    assert ("须复检" in found.reason) is (state is GateState.DOUBTFUL and facts.repeat)


@pytest.mark.parametrize(
    ("expires", "opened", "days", "word"),
    [
        (None, None, None, None),
        (0, None, None, "有效期"),  # the first moment at which it has expired
        (1, None, None, None),
        (None, -3 * 24 * 3600, 3, "稳定期"),
        (None, -3 * 24 * 3600 + 1, 3, None),
        (None, -9 * 24 * 3600, None, None),  # no stability known of the open vial
        (None, None, 3, None),  # not opened yet
    ],
)
def test_a_control_is_used_up_to_the_last_second(expires: int | None, opened: int | None, days: int | None, word: str | None) -> None:
    expiry, since = (None if s is None else T0 + timedelta(seconds=s) for s in (expires, opened))
    problem = rules.material_problem(expiry, since, days, T0)
    assert (problem is None) is (word is None) and (word is None or word in str(problem))


@pytest.mark.parametrize(
    ("state", "after", "word"),
    [
        (RunState.IN_CONTROL, 1, None),
        (RunState.IN_CONTROL, 0, "还没有复测"),  # the run that was corrected is no retest
        (RunState.IN_CONTROL, -60, "还没有复测"),
        (RunState.IN_CONTROL, None, "还没有复测"),
        (None, 1, "还没有复测"),
        *((state, 1, "须重做质控") for state in RunState if state is not RunState.IN_CONTROL),
    ],
)
def test_only_a_run_in_control_after_the_correction_is_a_retest(state: RunState | None, after: int | None, word: str | None) -> None:
    problem = rules.retest_problem(state, None if after is None else T0 + timedelta(seconds=after), T0)
    assert problem is None if word is None else problem is not None and word in problem
    assert "还没有复测" in str(rules.retest_problem(state, T0, None))


def test_a_level_joins_the_run_of_the_hour_once() -> None:
    minute = timedelta(minutes=1)
    for minutes, joins in ((0, True), (60, True), (-60, True), (60.1, False), (-60.1, False)):
        assert rules.joins_run(T0, T0 + minutes * minute, {1}, 2) is joins
        assert rules.joins_run(T0, T0 + minutes * minute, {1, 2}, 2) is False


def test_a_closed_gate_names_the_rules_that_closed_it() -> None:
    assert "失控 1-3s，" in Gate(GateState.REJECTED, rules="1-3s").reason and "失控，" in Gate(GateState.REJECTED).reason
    for state in GateState:
        found = Gate(state)
        assert (found.bypassed, found.unplanned) == (state is GateState.BYPASSED, state is GateState.NO_PLAN)


def test_who_may_pass_each_state() -> None:
    people = {s for s in GateState if Gate(s).open}
    assert people == {GateState.OPEN, GateState.BYPASSED, GateState.NO_PLAN}
    assert not Gate(GateState.NO_PLAN, holds_unplanned=True).open
    assert {s for s in GateState if Gate(s).open_for_auto} == {GateState.OPEN}


@pytest.mark.parametrize(("state", "to"), list(product(Ooc, Ooc)))
def test_every_step_of_out_of_control_work_is_decided(state: Ooc, to: Ooc) -> None:
    order = list(Ooc)
    allowed = order.index(to) == order.index(state) + 1
    problem = rules.ooc_problem(state, to)
    assert (problem is None) is allowed
    assert problem is None or rules.OOC_WORDS[state] in problem


RUN_ALLOWED = {
    *(("incomplete", to) for to in ("incomplete", "in_control", "warning", "rejected")),
    ("rejected", "rejected"),
    ("trial", "trial"),
}


@pytest.mark.parametrize(("state", "to"), list(product(RunState, RunState)))
def test_every_step_of_a_run_is_decided(state: RunState, to: RunState) -> None:
    assert rules.may_become(state, to) is ((state.value, to.value) in RUN_ALLOWED)


@pytest.mark.parametrize(
    ("reason", "hours", "ok"), [("抢救", 4, True), ("抢救", 4.01, False), ("", 1, False), ("  ", 1, False), ("抢救", 0, False)]
)
def test_a_bypass_has_a_reason_and_ends_within_four_hours(reason: str, hours: float, ok: bool) -> None:
    assert (rules.bypass_problem(reason, T0, T0 + timedelta(hours=hours)) is None) is ok


@pytest.mark.parametrize(
    ("found", "examined", "undecided", "recall", "ok"),
    [
        (9, 5, 0, [], True),
        (9, 4, 0, [], False),
        (3, 3, 0, [], True),
        (3, 2, 0, [], False),
        (0, 0, 0, [], True),
        (9, 5, 1, [], False),
        (9, 5, 0, ["1"], False),
    ],
)
def test_an_impact_review_has_five_samples_or_all(found: int, examined: int, undecided: int, recall: list[str], ok: bool) -> None:
    assert (rules.review_problem(found, examined, undecided, recall) is None) is ok


# --- the question ---------------------------------------------------------------------------------------------------


def state(shop: Shop, at: datetime, run_at: datetime | None = None, item: str = "K", result: int | None = None) -> Gate:
    shop.world.lab.clock.set(at)
    with shop.world.lab.uow() as uow:
        ask = Ask(shop.world.items[item], shop.world.analyzer, run_at, result)
        return gate_state(uow, [ask])[ask]


def test_ac_av_5_closed_from_the_rejection_open_from_the_signed_retest(shop: Shop) -> None:
    """QC rejected 08:10; a result of 08:30 waits for a decision even after the in-control QC of 09:00; results since 09:00 pass."""
    lab, clock = shop.world.lab, shop.world.lab.clock
    with lab.uow() as uow:
        shop.good(uow, "K", T0)
    assert state(shop, T0 + 8 * HOUR).state is GateState.OPEN
    rejected = T0 + 8 * HOUR + timedelta(minutes=10)
    clock.set(rejected)
    with lab.uow() as uow:
        shop.bad(uow, "K", rejected)
    half_past = T0 + 8.5 * HOUR
    closed = state(shop, half_past, half_past)
    assert closed.state is GateState.REJECTED and closed.since == rejected and closed.rules == "1-3s(L1)"
    assert state(shop, half_past, T0 + HOUR).state is GateState.REJECTED
    clock.set(T0 + 8.75 * HOUR)
    with lab.uow() as uow:
        shop.mend(uow, "K")
    clock.set(T0 + 9 * HOUR)
    with lab.uow() as uow:
        shop.good(uow, "K", T0 + 9 * HOUR)
    assert state(shop, T0 + 9 * HOUR, T0 + 9 * HOUR).state is GateState.REJECTED, "a good retest alone opens nothing: it must be signed"
    with lab.uow() as uow:
        work = shop.work(uow, "K")
        ooc.verify(uow, work.id, work.version, shop.person(uow, "tester"))
    now = T0 + 9.25 * HOUR
    assert state(shop, now, half_past).state is GateState.DOUBTFUL
    assert state(shop, now, rejected - HOUR).state is GateState.DOUBTFUL, "run since the last good QC: until the review is done"
    assert state(shop, now, T0 + 9 * HOUR).state is GateState.OPEN
    assert state(shop, now, T0).state is GateState.OPEN
    assert state(shop, now, half_past).open is False and state(shop, now, None).open_for_auto


def test_no_plan_holds_only_the_automatic_release_unless_the_hospital_says_so(shop: Shop) -> None:
    found = state(shop, T0, item="GLU")
    assert found.state is GateState.NO_PLAN and found.open and not found.open_for_auto
    with shop.world.lab.uow() as uow:
        uow.s.add(SavedSetting(key="qc", value={"no_plan_blocks": True}))
    assert not state(shop, T0, item="GLU").open
    with shop.world.lab.uow() as uow:
        by_hand = Ask(shop.world.items["K"], None)
        assert gate_state(uow, [by_hand])[by_hand].state is GateState.NO_PLAN


def test_the_window_of_a_plan_runs_out(shop: Shop) -> None:
    assert state(shop, T0).state is GateState.OVERDUE, "no QC yet"
    with shop.world.lab.uow() as uow:
        shop.good(uow, "K", T0)
        shop.run(uow, "NA", T0, {1: "125"})
    assert state(shop, T0 + 24 * HOUR).state is GateState.OPEN
    assert state(shop, T0 + 25 * HOUR).state is GateState.OVERDUE
    assert state(shop, T0, item="NA").state is GateState.OVERDUE, "a run without its second level is no QC"


def test_a_batch_of_asks_is_one_statement_and_another_hospital_sees_nothing(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        shop.good(uow, "K", T0)
    from sqlalchemy import event

    seen: list[str] = []
    engine = shop.world.lab.db.engine
    with shop.world.lab.uow() as uow:
        queries.gate_state(uow, [Ask(shop.world.items["K"], shop.world.analyzer, T0)])
        event.listen(engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
        asks = [Ask(shop.world.items["K"], shop.world.analyzer, T0 + timedelta(seconds=n), n) for n in range(300)]
        found = queries.gate_state(uow, asks)
        assert len(seen) == 1 and len(found) == 300 and all(g.open for g in found.values())
    with shop.world.lab.uow(shop.world.lab.b) as uow:
        ask = Ask(shop.world.items["K"], shop.world.analyzer)
        assert gate_state(uow, [ask])[ask].state is GateState.NO_PLAN


def test_a_report_waits_for_its_quality_control(shop: Shop) -> None:
    """Reject, release refused with the reason; the director's bypass lets a person release; it is listed."""
    lab, clock, world = shop.world.lab, shop.world.lab.clock, shop.world
    with lab.uow() as uow:
        shop.good(uow, "K", T0)
        shop.good(uow, "NA", T0)
    clock.set(T0 + HOUR)
    with lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, T0 + HOUR)
        report = reports.review(uow, tube, None, shop.person(uow, "tester"))
        shop.bad(uow, "K", T0 + HOUR + timedelta(minutes=30))
    with pytest.raises(UserError, match=r"项目K（质控失控 1-3s\(L1\)，纠正后复测在控并签名方可发布）"):
        with lab.uow() as uow:
            reports.release(uow, [report], shop.person(uow, "verifier"), DESK)
    with lab.uow() as uow:
        shop.person(uow, "director")
        ooc.bypass(uow, shop.plans["K"], "急诊抢救，备用机故障", uow.now + 2 * HOUR)
    with lab.uow() as uow:
        numbers = reports.release(uow, [report], shop.person(uow, "verifier"), DESK)
    assert len(numbers) == 1
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM qc_bypass")).scalar_one() == 1
        detail = bench_queries.tube(uow, tube)
        assert detail is not None and detail.state == "released"


def test_out_of_control_work_from_the_rejection_to_the_leaders_signature(shop: Shop) -> None:
    lab, clock, world = shop.world.lab, shop.world.lab.clock, shop.world
    with lab.uow() as uow:
        shop.good(uow, "K", T0)
    tubes = []
    for n in range(6):
        clock.set(T0 + (n + 1) * HOUR)
        with lab.uow() as uow:
            tubes.append(world.tube(uow))
            world.send(uow, tubes[-1], NORMAL, T0 + (n + 1) * HOUR)
    clock.set(T0 + 7 * HOUR)
    with lab.uow() as uow:
        shop.bad(uow, "K", T0 + 7 * HOUR)
        work = shop.work(uow, "K")
        with pytest.raises(UserError, match="待处理"):
            ooc.verify(uow, work.id, work.version, shop.person(uow, "tester"))
    with lab.uow() as uow:
        shop.mend(uow, "K")
        work = shop.work(uow, "K")
        with pytest.raises(UserError, match="还没有复测"):
            ooc.verify(uow, work.id, work.version, shop.person(uow, "tester"))
    clock.set(T0 + 8 * HOUR)
    with lab.uow() as uow:
        shop.bad(uow, "K", T0 + 8 * HOUR)
        assert uow.s.execute(text("SELECT count(*) FROM qc_ooc")).scalar_one() == 1, "a bad retest opens no second work"
        work = shop.work(uow, "K")
        with pytest.raises(UserError, match="失控"):
            ooc.verify(uow, work.id, work.version, shop.person(uow, "tester"))
    clock.set(T0 + 10 * HOUR)
    with lab.uow() as uow:
        shop.good(uow, "K", T0 + 10 * HOUR)
        work = shop.work(uow, "K")
        ooc.verify(uow, work.id, work.version, shop.person(uow, "tester"))
        found = ooc.patients(uow, work)
        assert {p.specimen_id for p in found} == set(tubes)
        with pytest.raises(UserError, match="须至少复检 5 个"):
            ooc.close(uow, work.id, work.version, "处理得当", shop.person(uow, "leader"))
    with lab.uow() as uow:
        work = shop.work(uow, "K")
        found = ooc.patients(uow, work)
        from decimal import Decimal

        shop.person(uow, "tester")
        again = [ooc.examine(uow, work.id, p.result_id, Decimal("4.2")) for p in found[:4]]
        assert again == [False] * 4
        assert ooc.examine(uow, work.id, found[4].result_id, Decimal("4.4")), "more than half of 6 %"
        with pytest.raises(UserError, match="还有 1 个未发布"):
            ooc.close(uow, work.id, work.version, "处理得当", shop.person(uow, "leader"))
        ooc.decide(uow, work.id, [found[5].result_id], "keep")
        with pytest.raises(UserError, match="本人"):
            ooc.close(uow, work.id, work.version, "处理得当", shop.person(uow, "tester"))
        ooc.close(uow, work.id, work.version, "处理得当", shop.person(uow, "leader"))
        assert work.state == "closed"
        with pytest.raises(UserError, match="已关闭"):
            ooc.investigate(uow, work.id, work.version)
        kept, doubtful = found[5], found[4]
    item = shop.world.items["K"]
    with lab.uow() as uow:
        asks = {r: Ask(item, shop.world.analyzer, T0 + 7.5 * HOUR, r) for r in (kept.result_id, doubtful.result_id)}
        gates = gate_state(uow, asks.values())
        assert gates[asks[kept.result_id]].open
        assert not gates[asks[doubtful.result_id]].open
        assert "须复检" in gates[asks[doubtful.result_id]].reason and "须复检" in gates[asks[doubtful.result_id]].word
        # Run before the rejection the work's end sets results free, but not one that the review wants measured again.
        start = shop.work(uow, "K").suspect_from
        assert start is not None
        early = {r: Ask(item, shop.world.analyzer, start + HOUR / 60, r) for r in (kept.result_id, doubtful.result_id)}
        gates = gate_state(uow, early.values())
        assert [gates[early[r]].open for r in (kept.result_id, doubtful.result_id)] == [True, False]
