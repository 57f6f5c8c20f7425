"""Autoverification on a real database: release under a name on duty, stops, QC, shadow, validation, snapshots, audit, simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import queries, service, simulation
from cloud.modules.autoverify.case import Policy, Range, from_json
from cloud.modules.autoverify.models import Decision, RuleSet, Simulation
from cloud.modules.autoverify.rules import (
    TRANSITIONS,
    Confusion,
    Scope,
    State,
    Stop,
    Uncovered,
    ends_soon,
    fell,
    least_by,
    may_move,
    must_revalidate,
    sample_size,
    stops_for,
    validation_problem,
)
from cloud.modules.catalog import models as md
from cloud.modules.equipment import service as equipment
from cloud.modules.qc import ooc
from cloud.modules.reports import document
from cloud.modules.reports import queries as reports
from cloud.modules.reports import service as reporting
from common.errors import UserError
from tests.cloud.autoverify.floor import CLEAN, DESK, MORNING, Floor, open_floor
from tests.support import lab as labs
from tests.support.database import TestDatabase

D = Decimal


@pytest.fixture
def floor(fresh_db: TestDatabase) -> Iterator[Floor]:
    lab = labs.make(fresh_db)
    yield open_floor(lab)
    lab.db.dispose()


# --- pure -----------------------------------------------------------------------------------------------------------


def test_states_exhaustively() -> None:
    allowed = {(a, b) for a, to in TRANSITIONS.items() for b in to}
    assert all(may_move(a, b) is ((a, b) in allowed) for a in State for b in State)
    assert (State.DRAFT, State.ACTIVE) not in allowed and (State.VALIDATED, State.ACTIVE) not in allowed
    assert not TRANSITIONS[State.RETIRED]


def test_a_stop_touches_its_scope_only() -> None:
    stops = [Stop(Scope.TENANT, None, "全院"), Stop(Scope.SECTION, 1, "组"), Stop(Scope.ANALYZER, 2, "机"), Stop(Scope.ITEM, 3, "项")]
    assert stops_for(stops, 1, {2}, {3}) == ("全院", "组", "机", "项")
    assert stops_for(stops[1:], 9, {9}, {9}) == ()
    assert stops_for(stops[1:], 1, set(), {4}) == ("组",)


def test_confusion_counts_both_ways() -> None:
    found = Confusion().plus(True, True).plus(True, False).plus(False, True).plus(False, False).plus(True, True)
    assert found == Confusion(2, 1, 1, 1) and found.total == 5
    assert found.plus(False, True, partly=True) == Confusion(2, 2, 1, 1, 1)
    assert found.pass_rate == D("60.0") and found.false_hold_rate == D("33.3")
    assert Confusion().pass_rate == 0


def test_validation_needs_cases_categories_history_and_no_false_release() -> None:
    good = Confusion(both_release=500)
    assert validation_problem(20, [], Uncovered(), good, 500) is None
    assert "不符：5 质控" in (validation_problem(20, ["5 质控"], Uncovered(), good, 500) or "")
    assert "还没有" in (validation_problem(0, [], Uncovered(), good, 500) or "")
    assert "类别" in (validation_problem(20, [], Uncovered(frozenset({9})), good, 500) or "")
    for lacks, word in ((Uncovered(holds=("TP_ALB",)), "拦截用例：TP_ALB"), (Uncovered(passes=("X", "Y")), "放行用例：X、Y")):
        assert word in str(validation_problem(20, [], lacks, good, 500))
    assert "至少" in (validation_problem(20, [], Uncovered(), good, 501) or "")
    assert "假发布" in (validation_problem(20, [], Uncovered(), Confusion(500, 0, 1), 500) or "")
    assert "部分发布" in (validation_problem(20, [], Uncovered(), good, 500, parts=False) or "")


def test_revalidation_yearly_and_after_any_change() -> None:
    assert must_revalidate("a", "a", MORNING, MORNING - timedelta(seconds=1)) is None
    assert must_revalidate("a", "a", MORNING, MORNING) and must_revalidate("a", "b", MORNING + timedelta(days=1), MORNING)
    assert must_revalidate("a", "a", None, MORNING)
    day = timedelta(days=1)
    found = [ends_soon(MORNING, at) for at in (MORNING - 30 * day - timedelta(seconds=1), MORNING - 30 * day, MORNING - day, MORNING)]
    assert found == [False, True, True, False] and not ends_soon(None, MORNING)


def test_sample_is_one_percent_and_at_least_five() -> None:
    assert [sample_size(n, D(1), 5) for n in (0, 3, 5, 400, 600, 601, 1000)] == [0, 3, 5, 5, 6, 7, 10]


def test_the_least_sample_is_spread_over_the_day() -> None:
    hour = timedelta(hours=1)
    assert [least_by(5, n * hour) for n in (0, 1, 4.8, 5, 9.6, 12, 19.2, 19.3, 24, 30)] == [0, 1, 1, 2, 2, 3, 4, 5, 5, 5]


def test_a_fall_of_more_than_ten_points_is_told() -> None:
    assert fell((80, 100), (69, 100)) and not fell((80, 100), (70, 100))
    assert not fell((10, 10), (0, 10))
    # From twenty of each hour on; a rise is none.
    assert fell((20, 20), (17, 20)) and not fell((19, 19), (0, 20)) and not fell((20, 20), (0, 19)) and not fell((17, 20), (20, 20))


def test_early_parts_are_counted_by_their_minutes() -> None:
    found = Confusion().plus(False, True, early=10).plus(False, True, early=21).plus(False, True).plus(False, True, early=0, kept=True)
    assert (found.early, found.early_min, found.early_mean, found.early_kept) == (3, 31, 10, 1) and Confusion().early_mean == 0


def test_no_more_than_five_wrong_cases_are_named() -> None:
    said = str(validation_problem(9, [f"例{n}" for n in range(7)], Uncovered(), Confusion(), 0))
    assert "9 个中有 7 个" in said and "例4" in said and "例5" not in said


# --- deciding -------------------------------------------------------------------------------------------------------


def test_a_clean_tube_is_released_under_the_name_on_duty_and_marked(floor: Floor) -> None:
    tube = floor.tube()
    assert floor.decide() >= 1
    with floor.world.lab.uow() as uow:
        query = text("SELECT id, no, auto, tester_id, verifier_id, state FROM report WHERE specimen_id = :i")
        row = uow.s.execute(query, {"i": tube}).one()
        users = floor.world.lab.users
        assert row.auto and row.state == "released"
        assert (row.tester_id, row.verifier_id) == (users[(uow.tenant_id, "tester")], users[(uow.tenant_id, "verifier")])
        told = reports.released(uow, row.no)
        assert told is not None and told.document["signed"]["auto"]["rule_set"] == 1
        sheet = document.sheet(told.document)
        assert sheet.verifier == "审核者一号（自动审核）" and [r.result for r in sheet.rows] == ["4.1", "140"]
        assert reports.signature_holds(uow, told.report_id, 1)
        topics = uow.s.execute(text("SELECT payload->>'report_id' FROM outbox_event WHERE topic = 'report.released'")).scalars().all()
        assert str(row.id) in topics
    assert floor.reasons(tube) == []


def test_every_hold_is_stored_with_a_sentence_and_nothing_is_released(floor: Floor) -> None:
    tube = floor.tube({"K": "6.8", "NA": "140"})
    floor.decide()
    assert floor.reasons(tube) == ["AV_RANGE K 6.8>6.2", "CRITICAL K 6.8"]
    with floor.world.lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM report WHERE specimen_id = :i"), {"i": tube}).scalar() == 0
        [told] = queries.reasons(uow, tube)
        assert "危急值" in told.said[1].zh and "critical" in told.said[1].en


def test_delta_uses_the_unrounded_released_value_of_the_same_patient(floor: Floor) -> None:
    with floor.world.lab.uow() as uow:
        patient = floor.world.patient(uow)
    floor.tube({"K": "4.24", "NA": "140"}, patient)
    floor.decide()
    floor.world.lab.clock.advance(minutes=10)
    tube = floor.tube({"K": "5.26", "NA": "140"}, patient)
    floor.decide()
    assert floor.reasons(tube) == ["DELTA_ABS K 1.02>1.0 & DELTA_PCT K 24.1>20"]


def test_ac_av_5_qc_rejected_holds_and_only_results_after_the_good_run_pass(floor: Floor) -> None:
    lab, shop, minute = floor.world.lab, floor.shop, timedelta(minutes=1)
    at = MORNING.replace(hour=0, minute=10)  # 08:10 in Shanghai
    lab.clock.set(at + 5 * minute)
    with lab.uow() as uow:
        shop.bad(uow, "NA", at)
    lab.clock.set(at + 21 * minute)
    held = floor.tube(run=at + 20 * minute)  # 08:30
    floor.decide()
    assert [r.split()[:2] for r in floor.reasons(held)] == [["QC", "NA"]]
    lab.clock.set(at + 40 * minute)
    with lab.uow() as uow:
        shop.mend(uow, "NA")
    lab.clock.set(at + 55 * minute)
    with lab.uow() as uow:
        shop.good(uow, "NA", at + 50 * minute)  # 09:00
        leader = shop.person(uow, "leader")
        work = shop.work(uow, "NA")
        ooc.verify(uow, work.id, work.version, leader)
    late = floor.tube(run=at + 50 * minute)
    between = floor.tube(run=at + 49 * minute)
    floor.decide()
    assert floor.reasons(late) == []
    assert [r.split()[:2] for r in floor.reasons(between)] == [["QC", "NA"]]
    assert [r.split()[:2] for r in floor.reasons(held)] == [["QC", "NA"]]


def test_ac_av_8_a_stop_holds_what_is_decided_after_it(floor: Floor) -> None:
    lab = floor.world.lab
    before = floor.tube()
    floor.decide()
    lab.clock.advance(minutes=30)
    with lab.db.tenant(lab.a, floor.actor("tester")) as uow:
        with pytest.raises(UserError, match="原因"):
            service.stop(uow, Scope.SECTION, floor.world.section, " ")
        row = service.stop(uow, Scope.SECTION, floor.world.section, "换水")
    lab.clock.advance(seconds=6)
    after = floor.tube()
    floor.decide()
    assert floor.reasons(before) == [] and floor.reasons(after) == ["STOPPED 生化组 换水"]
    with lab.db.tenant(lab.a, floor.actor("verifier")) as uow:
        service.end_stop(uow, row.id, "水质合格")
        with pytest.raises(UserError, match="已解除"):
            service.end_stop(uow, row.id, "再次")
    later = floor.tube()
    floor.decide()
    assert floor.reasons(later) == [] and floor.reasons(after) == ["STOPPED 生化组 换水"]


def test_ac_av_8_nothing_is_said_to_be_stopped_while_a_batch_is_under_way(floor: Floor) -> None:
    """A batch that read no stop would still release after the COMMIT that says so: the stop waits for it."""
    lab = floor.world.lab
    ways: tuple[Callable[[UnitOfWork], object], ...] = (
        lambda uow: service.stop(uow, Scope.SECTION, floor.world.section, "换水"),
        lambda uow: service.suspend(uow, floor.rule_set, "换水"),
        lambda uow: service.retire(uow, floor.rule_set, "换水"),
        lambda uow: service.activate(uow, floor.rule_set),
    )
    tube = floor.tube()
    with lab.uow() as batch:
        assert service.decide_due(batch, DESK) == 1
        for way in ways:
            with pytest.raises(OperationalError, match="lock timeout"):
                with lab.db.tenant(lab.a, floor.actor("leader"), lock_ms=50) as uow:
                    way(uow)
    assert floor.reasons(tube) == []
    with lab.db.tenant(lab.a, floor.actor("leader"), lock_ms=50) as uow:
        ways[0](uow)
        with pytest.raises(OperationalError, match="lock timeout"):  # nor does a batch begin before the stop is there
            floor.tube()
            with lab.db.tenant(lab.a, lock_ms=50) as other:
                service.decide_due(other, DESK)


@pytest.mark.parametrize("scope", [Scope.TENANT, Scope.ANALYZER, Scope.ITEM])
def test_every_scope_stops(floor: Floor, scope: Scope) -> None:
    target = {Scope.TENANT: None, Scope.ANALYZER: floor.world.analyzer, Scope.ITEM: floor.world.items["K"]}[scope]
    with floor.world.lab.uow() as uow:
        service.stop(uow, scope, target, "测试")
    tube = floor.tube()
    floor.decide()
    assert [r.split()[0] for r in floor.reasons(tube)] == ["STOPPED"]


def test_absent_data_holds(floor: Floor) -> None:
    lab = floor.world.lab
    with lab.uow() as uow:
        equipment.report_fault(uow, floor.world.analyzer, "漏液")
        uow.s.execute(text("UPDATE duty SET cancelled_at = now()"))
        uow.s.execute(text("UPDATE open_pack SET removed_at = opened_at"))
        uow.s.execute(text("DELETE FROM calibration"))
        uow.s.execute(text("DELETE FROM ref_interval"))
    with lab.uow() as uow:
        md.raise_version(uow.s)
    tube = floor.tube()
    floor.decide()
    codes = {r.split()[0] for r in floor.reasons(tube)}
    assert codes == {"REVALIDATE", "NO_RI", "FAULT", "CAL_NONE", "REAGENT_NONE", "AUTH_NONE", "OPERATOR_NONE"}


def test_any_change_of_what_is_judged_by_stops_the_set_until_it_is_validated_again(floor: Floor) -> None:
    lab = floor.world.lab
    with lab.uow() as uow:
        uow.s.get_one(md.TestItem, (uow.tenant_id, floor.world.items["K"])).method = "新方法"
    tube = floor.tube()
    floor.decide()
    assert floor.reasons(tube)[0].startswith("REVALIDATE")
    with lab.uow() as uow:
        service.watch(uow)
        assert uow.s.execute(text("SELECT count(*) FROM alert WHERE kind = 'autoverify.stale' AND cleared_at IS NULL")).scalar() == 1
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        service.validate(uow, floor.rule_set, least=0)
    again = floor.tube()
    floor.decide()
    assert floor.reasons(again) == []
    due = text("SELECT fields FROM alert WHERE kind = 'autoverify.due' AND cleared_at IS NULL")
    lab.clock.advance(days=340)
    with lab.uow() as uow:
        service.watch(uow)
        assert [f["number"] for f in uow.s.execute(due).scalars()] == [1]
    lab.clock.advance(days=26)
    with lab.uow() as uow:
        service.watch(uow)
        assert uow.s.execute(due).first() is None  # from then on it is stale, and told as that
        assert uow.s.execute(text("SELECT count(*) FROM alert WHERE kind = 'autoverify.stale' AND cleared_at IS NULL")).scalar() == 1


def test_every_stored_decision_decides_the_same_again_from_its_snapshot(floor: Floor) -> None:
    for values in (CLEAN, {"K": "6.8", "NA": "140"}, {"K": "2.0", "NA": "160"}, {"K": "<1", "NA": "abc"}):
        floor.tube(values)
    floor.decide()
    with floor.world.lab.uow() as uow:
        ids = uow.s.execute(text("SELECT id FROM av_decision")).scalars().all()
        assert len(ids) == 4
        for decision in ids:
            stored, verdict = service.reproduce(uow, decision)
            assert [[f.category, f.code, f.item, f.figures] for f in verdict.failures] == stored


def test_the_same_results_are_decided_once_and_people_keep_what_they_reviewed(floor: Floor) -> None:
    tube = floor.tube({"K": "6.0", "NA": "156"})
    floor.decide()
    with floor.world.lab.uow() as uow:
        service.on_results(uow, {"specimen_id": tube})
    floor.decide()
    with floor.world.lab.uow() as uow:
        assert uow.s.query(Decision).filter(Decision.specimen_id == tube).count() == 1
        assert service.decide_tubes(uow, [tube], DESK) == {}


def test_an_incomplete_tube_waits_for_its_last_result(floor: Floor) -> None:
    tube = floor.tube({"K": "4.1"})
    floor.decide()
    assert floor.reasons(tube) == ["nothing"]


def test_shadow_runs_beside_and_releases_nothing(floor: Floor) -> None:
    lab = floor.world.lab
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        old = uow.s.get_one(RuleSet, (uow.tenant_id, floor.rule_set))
        policy = from_json(Policy, old.policy)
        row = service.create_set(uow, floor.world.section, "更宽", policy)
        service.edit_policy(uow, row.id, row.version, Policy(ranges={"K": Range(D("2.8"), D("5.0"))}))
        service.set_shadow(uow, row.id, True)
        shadow = row.id
    tube = floor.tube({"K": "5.1", "NA": "140"})
    floor.decide()
    with lab.uow() as uow:
        told = queries.reasons(uow, tube)
        assert [(t.shadow, t.outcome) for t in told] == [(False, "released"), (True, "held")]
        board = queries.board(uow, [floor.world.section], uow.now - timedelta(days=1))
        assert [(s.rule_set_id, s.n, s.only_held, s.rules_held) for s in board.shadow] == [(shadow, 1, 0, 1)]
        with pytest.raises(UserError, match="复制为新版本"):
            service.edit_policy(uow, shadow, uow.s.get_one(RuleSet, (uow.tenant_id, shadow)).version, policy)


def test_a_set_is_not_in_use_before_it_was_shown_and_its_maker_approves_nothing(floor: Floor) -> None:
    lab = floor.world.lab
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        row = service.create_set(uow, floor.world.section, "试")
        with pytest.raises(UserError, match="不能启用|不能改为"):
            service.activate(uow, row.id)
        with pytest.raises(UserError, match="至少需要|不符|没有验证用例|还没有"):
            service.validate(uow, row.id)
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow, pytest.raises(UserError, match="编制、修改或验证过"):
        service.approve(uow, row.id)


def test_audit_sample_is_drawn_answered_and_a_disagreement_is_alerted(floor: Floor) -> None:
    lab = floor.world.lab
    for _ in range(7):
        floor.tube()
    floor.decide()
    with lab.uow() as uow:
        service.watch(uow)
        chosen = uow.s.execute(text("SELECT id FROM av_decision WHERE audit ORDER BY id")).scalars().all()
        assert len(chosen) == 2  # 09:30: not the first five of the day, whatever comes later
        assert service.draw_sample(uow) == 0
    lab.clock.advance(hours=5)
    for _ in range(2):
        floor.tube()
    floor.decide()
    with lab.uow() as uow:
        assert service.draw_sample(uow) == 2
    lab.clock.advance(hours=11)  # the next day: what is missing of the whole
    with lab.uow() as uow:
        assert service.draw_sample(uow) == 1 and service.draw_sample(uow) == 0
        chosen = uow.s.execute(text("SELECT id FROM av_decision WHERE audit ORDER BY id")).scalars().all()
        assert len(chosen) == 5
    with lab.db.tenant(lab.a, floor.actor("senior")) as uow:
        service.answer_audit(uow, chosen[0], True, "")
        with pytest.raises(UserError, match="原因"):
            service.answer_audit(uow, chosen[1], False, "")
        service.answer_audit(uow, chosen[1], False, "钾偏高应复查")
        with pytest.raises(UserError, match="已有人复核"):
            service.answer_audit(uow, chosen[1], True, "")
        assert uow.s.execute(text("SELECT count(*) FROM alert WHERE kind = 'autoverify.audit'")).scalar() == 1


def test_simulation_counts_against_people_goes_on_after_a_restart_and_can_be_cancelled(floor: Floor) -> None:
    lab = floor.world.lab
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        service.suspend(uow, floor.rule_set, "模拟")
        uow.s.execute(text("UPDATE av_rule_set /* by hand */ SET state = 'retired'"))
        rule_set = service.create_set(uow, floor.world.section, "模拟用").id
    released = []
    for k in ("4.1", "4.2", "6.1", "4.4"):
        tube = floor.tube({"K": k, "NA": "140"})
        with lab.uow() as uow:
            who = floor.shop.person(uow, "tester")
            report = reporting.review(uow, tube, None, who)
        with lab.uow() as uow:
            reporting.release(uow, [report], floor.shop.person(uow, "verifier"), DESK)
        released.append(report)
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE report /* by hand */ SET state = 'amended' WHERE id = :i"), {"i": released[0]})
        uow.s.execute(text("UPDATE report_version SET reason_class = 'result' WHERE report_id = :i"), {"i": released[0]})
        uow.s.execute(text("UPDATE av_range SET high = 6.0 WHERE item_id = :i"), {"i": floor.world.items["K"]})
        md.raise_version(uow.s)
    with lab.uow() as uow:
        run = service.start(uow, rule_set, 500).id
        with pytest.raises(UserError, match="已有一次模拟"):
            service.start(uow, rule_set, 500)
    for _ in range(2):
        with lab.uow() as uow:
            assert simulation.step(uow, size=2)
    with lab.uow() as uow:
        assert not simulation.step(uow, size=2)
        row = uow.s.get_one(Simulation, (uow.tenant_id, run))
        assert (row.state, row.done, row.total) == ("done", 4, 4)
        assert Confusion(**row.confusion) == Confusion(both_release=2, false_hold=1, false_release=1, both_hold=0)
        assert row.reasons == {"AV_RANGE": 1} and row.examples[0]["report"] == released[0]
        second = service.start(uow, rule_set, 500).id
    with lab.uow() as uow:
        service.cancel(uow, second)
    with lab.uow() as uow:
        assert not simulation.step(uow)
        with pytest.raises(UserError, match="已经结束"):
            service.cancel(uow, second)


def test_other_hospitals_stops_and_sets_are_absent(floor: Floor) -> None:
    lab = floor.world.lab
    with lab.uow(lab.b) as uow:
        assert queries.open_stops(uow) == [] and queries.one_set(uow, floor.rule_set) is None
        with pytest.raises(UserError, match="不存在"):
            service.suspend(uow, floor.rule_set, "x")
