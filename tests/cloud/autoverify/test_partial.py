"""M08 R1 partial release: what a rule set clears leaves as a preliminary report, the held rest follows; never where it is not allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from cloud.modules.autoverify import queries as queries_of_rules
from cloud.modules.autoverify import service
from cloud.modules.autoverify.case import Case, Delta, Element, Expression, Failure, Identity, Item, Pattern, Policy, Prior, from_json
from cloud.modules.autoverify.decision import part, prepare
from cloud.modules.autoverify.models import RuleSet
from cloud.modules.bench import service as bench
from cloud.modules.reports import document, queries
from cloud.modules.reports import service as reports
from cloud.modules.reports.rules import State, VersionState
from common.errors import UserError
from tests.cloud.autoverify.floor import DESK, MORNING, Floor, open_floor
from tests.cloud.reports.test_release import Room
from tests.support import lab as labs
from tests.support.database import TestDatabase

D = Decimal
CODES = {"K": True, "NA": True, "TP": True, "ALB": True, "GLB": True, "CL": True}
GLB = Item("GLB", "球蛋白", source="calc", inputs=("ALB", "TP"))
CASE = Case(
    1, MORNING, (Item("K", "钾"), Item("NA", "钠"), Item("TP", "总蛋白"), Item("ALB", "白蛋白"), GLB, Item("CL", "氯", present=False))
)
ALLOWED = Policy(
    partial=True,
    logic=(Expression("K_NA", '"K" > "NA"'),),
    context=(Expression("DRUG", "said('华法林')"),),
)


RANGE = Failure(7, "AV_RANGE", "K", "6.3>6.2")
WHOLE_TUBE = (
    Failure(0, "STOPPED", "", "换水"),
    Failure(0, "ENGINE", "", "KeyError"),
    Failure(1, "DEMOG", "", "age"),
    Failure(2, "CAVEAT"),
    Failure(2, "FED"),
    Failure(3, "FAULT", "", "漏液"),
    Failure(8, "CRITICAL", "K", "6.8"),
    Failure(11, "CONTEXT", "DRUG"),
    Failure(13, "ID_SUSPECT", "", "2≥2"),
    Failure(13, "CONTAM_EDTA", "", "K+CA"),
    Failure(14, "AUTH_NONE"),
)
D1, D2 = D(1), D(2)
BUT_NA = ("K", "TP", "ALB", "GLB", "CL")
YESTERDAY = (Prior(MORNING - timedelta(days=1), "4.0", D("4.0")),)


def late(code: str, *priors: Prior, **values: str) -> Case:
    """The case with one item still to come, CL there, and these values."""
    items = [replace(i, present=i.code != code, priors=priors if i.code == code else ()) for i in CASE.items]
    return replace(CASE, items=tuple(replace(i, value=D(values[i.code])) if i.code in values else i for i in items))


NA_LATE = (Failure(1, "MISSING", "NA"),)
K_NA = Pattern("CONTAM_X", (Element("K", True, D("5.5")), Element("NA", False, D(130)), Element("CL", False, D(90))), ("K",), 2)
DELTA_K = {"K": (Delta("absolute", D1, D1),)}
WEIGHTS = replace(ALLOWED, logic=(), deltas=DELTA_K, identity=Identity({"K": D1, "NA": D1}, {"TP": D2}, {"ALB": "F"}))
K_TWO_OFF = tuple(replace(i, value=D(6), priors=YESTERDAY) if i.code == "K" else i for i in late("NA", *YESTERDAY).items)
K_HALF = tuple(replace(i, value=D("4.9"), priors=YESTERDAY) if i.code == "K" else i for i in late("NA", *YESTERDAY).items)
TWO_LATE = replace(CASE, items=tuple(replace(i, present=i.code not in ("NA", "CL")) for i in CASE.items))
# Case, policy, what failed, what may leave before the rest.
PARTS: tuple[tuple[Case, Policy, tuple[Failure, ...], tuple[str, ...]], ...] = (
    # What passes may leave; a calculated value stays with what it is made of.
    (CASE, ALLOWED, (RANGE,), ("NA", "TP", "ALB", "GLB")),
    (CASE, ALLOWED, (Failure(5, "QC", "ALB", "rejected"),), ("K", "NA", "TP")),
    (CASE, ALLOWED, (Failure(1, "MISSING", "CL"), Failure(9, "DELTA_ABS", "TP")), ("K", "NA", "ALB")),
    (CASE, ALLOWED, (Failure(10, "LOGIC", "K_NA"),), ("TP", "ALB", "GLB")),
    # A rule of the report's level holds all of it, whatever it names.
    (CASE, replace(ALLOWED, logic=(Expression("K_NA", '"K" > "NA"', whole=True),)), (Failure(10, "LOGIC", "K_NA"),), ()),
    # Without permission or reason nothing leaves before the rest: where all passes the whole does, and nothing is a part.
    (CASE, replace(ALLOWED, partial=False), (RANGE,), ()),
    (CASE, ALLOWED, (), ()),
    # What speaks against the tube holds all of it.
    *((CASE, ALLOWED, (failure, RANGE), ()) for failure in WHOLE_TUBE),
    # What a rule compares with an item that is not there yet waits for it: in logic, in context, and for the words of a comment.
    (late("NA"), ALLOWED, NA_LATE, ("TP", "ALB", "GLB", "CL")),
    (late("NA"), replace(ALLOWED, logic=()), NA_LATE, BUT_NA),
    (late("NA"), replace(ALLOWED, logic=(), context=(Expression("C", '"TP" > "NA"'),)), NA_LATE, ("K", "ALB", "CL")),
    (late("NA"), replace(ALLOWED, logic=(Expression("S", '"K" > "NA"', "说明", "comment"),)), NA_LATE, ("TP", "ALB", "GLB", "CL")),
    (late("TP"), ALLOWED, (Failure(1, "MISSING", "TP"),), ("K", "NA", "ALB", "CL")),
    # A contamination that an item to come could show holds the tube; one that it could not does not.
    (late("NA", K="6.0"), replace(ALLOWED, logic=(), patterns=(K_NA,)), NA_LATE, ()),
    (late("NA", K="5.5"), replace(ALLOWED, logic=(), patterns=(K_NA,)), NA_LATE, BUT_NA),
    (late("NA", K="6.0"), replace(ALLOWED, logic=(), patterns=(replace(K_NA, least=3),)), NA_LATE, BUT_NA),
    (late("TP", K="6.0"), replace(ALLOWED, patterns=(K_NA,)), (Failure(1, "MISSING", "TP"),), ("K", "NA", "ALB", "CL")),
    (late("K", NA="120"), replace(ALLOWED, logic=(), patterns=(K_NA,)), (Failure(1, "MISSING", "K"),), ()),
    (
        late("NA", K="6.0"),
        replace(ALLOWED, logic=(), patterns=(replace(K_NA, required=("K", "XX")),)),
        NA_LATE,
        BUT_NA,
    ),
    # A mix-up that an item to come could still make: by its change where there is an earlier value, by blood group, by sex.
    (replace(CASE, sex="F", items=K_TWO_OFF), WEIGHTS, NA_LATE, ()),
    (replace(CASE, sex="F", items=K_HALF), WEIGHTS, NA_LATE, BUT_NA),
    (late("NA", *YESTERDAY), replace(WEIGHTS, identity=Identity({"NA": D2})), NA_LATE, ()),
    (late("NA", *YESTERDAY), replace(WEIGHTS, identity=Identity({"NA": D1}, {"NA": D2})), NA_LATE, ()),
    (late("NA"), replace(WEIGHTS, identity=Identity({"NA": D2})), NA_LATE, BUT_NA),
    (late("NA", *YESTERDAY), replace(WEIGHTS, identity=Identity({"CL": D2})), NA_LATE, BUT_NA),
    (replace(late("NA"), sex="M"), replace(WEIGHTS, identity=Identity(only={"NA": "F"})), NA_LATE, ()),
    (replace(late("NA"), sex="F"), replace(WEIGHTS, identity=Identity(only={"NA": "F"})), NA_LATE, BUT_NA),
    (late("NA"), replace(WEIGHTS, identity=Identity(threshold=D(0))), NA_LATE, BUT_NA),
    # Two to come add up, each for itself does not.
    (TWO_LATE, replace(ALLOWED, logic=(), patterns=(replace(K_NA, required=("NA", "CL")),)), (*NA_LATE, Failure(1, "MISSING", "CL")), ()),
)


@pytest.mark.parametrize(("case", "policy", "failures", "leaves"), PARTS)
def test_what_may_leave_before_the_rest(case: Case, policy: Policy, failures: tuple[Failure, ...], leaves: tuple[str, ...]) -> None:
    assert part(case, prepare(policy, CODES), failures) == leaves


# --- on a real database ---------------------------------------------------------------------------------------------


@pytest.fixture
def floor(fresh_db: TestDatabase) -> Iterator[Floor]:
    lab = labs.make(fresh_db)
    yield open_floor(lab, partial=True)
    lab.db.dispose()


def test_the_part_the_rules_clear_goes_and_the_held_rest_follows_as_the_final_report(floor: Floor) -> None:
    tube = floor.tube({"K": "4.13", "NA": "157"})
    floor.decide()
    with floor.world.lab.uow() as uow:
        row = uow.s.execute(text("SELECT id, no, state, auto, n_abnormal FROM report WHERE specimen_id = :i"), {"i": tube}).one()
        assert (row.state, row.auto, row.n_abnormal) == ("preliminary", True, 0), "the held value is counted in nobody's list"
        told = queries.released(uow, row.no)
        assert told is not None and told.preliminary and [line["code"] for line in told.lines] == ["K"]
        assert document.sheet(told.document).comments[0] == "预报告，以终报告为准。待出：项目NA。"
        decision = uow.s.execute(text("SELECT id, outcome, report_id FROM av_decision WHERE specimen_id = :i"), {"i": tube}).one()
        assert (decision.outcome, decision.report_id) == ("partial", row.id)
        stored, again = service.reproduce(uow, decision.id)
        assert again.cleared == ("K",) and [r[1:3] for r in stored] == [["AV_RANGE", "NA"]]
        tests: dict[int, str] = dict(uow.s.execute(text("SELECT item_id, state FROM test WHERE specimen_id = :i"), {"i": tube}).all())
        assert (tests[floor.world.items["K"]], tests[floor.world.items["NA"]]) == ("released", "received")
        topics = (
            uow.s.execute(text("SELECT topic FROM outbox_event WHERE topic LIKE 'report.%' AND key = :n"), {"n": row.no}).scalars().all()
        )
        assert topics == ["report.preliminary"]
    room = Room(floor.world)
    with floor.world.lab.uow() as uow:
        reports.review(uow, tube, None, room.person(uow, "tester"))
        [no] = reports.release(uow, [row.id], room.person(uow, "verifier"), DESK)
    with floor.world.lab.uow() as uow:
        final = queries.released(uow, no)
        assert final is not None and (final.no, final.state, final.version_no, final.preliminary) == (row.no, State.RELEASED, 2, False)
        assert [line["code"] for line in final.lines] == ["K", "NA"]
        assert [v.version_state for v in queries.versions(uow, no)] == [VersionState.CURRENT, VersionState.SUPERSEDED]
    # What held the rest is settled by a person, and the rules release the whole.
    floor.world.lab.clock.advance(minutes=5)
    tube = floor.tube({"K": "4.13", "NA": "140"})
    with floor.world.lab.uow() as uow:
        uow.s.execute(text("DELETE FROM av_due WHERE specimen_id = :i"), {"i": tube})
        floor.world.send(uow, tube, {"NA": "141"}, uow.now)  # a second value: held until somebody chooses
        service.on_results(uow, {"specimen_id": tube})
    floor.decide()
    with floor.world.lab.uow() as uow:
        assert uow.s.execute(text("SELECT state FROM report WHERE specimen_id = :i"), {"i": tube}).scalar_one() == "preliminary"
        test = uow.s.execute(
            text("SELECT id, version, current_id FROM test WHERE specimen_id = :i AND item_id = :n"),
            {"i": tube, "n": floor.world.items["NA"]},
        ).one()
        bench.choose_version(uow, test.id, test.version, test.current_id, "两次相近")
        service.on_results(uow, {"specimen_id": tube})
    floor.decide()
    with floor.world.lab.uow() as uow:
        row = uow.s.execute(text("SELECT no, state, current_no FROM report WHERE specimen_id = :i"), {"i": tube}).one()
        assert (row.state, row.current_no) == ("released", 2), floor.reasons(tube)


def test_results_that_are_in_leave_before_those_to_come_once_the_tube_is_quiet(floor: Floor) -> None:
    lab = floor.world.lab
    tube = floor.tube({"K": "4.13"})
    assert floor.decide() == 0, "ten quiet minutes first: not a version for every result"
    lab.clock.advance(minutes=9)
    assert floor.decide() == 0 and floor.reasons(tube) == ["nothing"]
    lab.clock.advance(minutes=1)
    assert floor.decide() == 1 and floor.reasons(tube) == ["MISSING NA"]
    with lab.uow() as uow:
        row = uow.s.execute(text("SELECT id, no, state, auto FROM report WHERE specimen_id = :i"), {"i": tube}).one()
        assert (row.state, row.auto) == ("preliminary", True)
        decision = uow.s.execute(text("SELECT id, outcome, part, report_id FROM av_decision WHERE specimen_id = :i"), {"i": tube}).one()
        test = uow.s.execute(text("SELECT id, current_id FROM test WHERE specimen_id = :i AND state = 'released'"), {"i": tube}).one()
        assert (decision.outcome, decision.part, decision.report_id) == ("partial", [[test.id, test.current_id]], row.id)
        assert service.reproduce(uow, decision.id)[1].cleared == ("K",)
    with lab.uow() as uow:
        floor.world.send(uow, tube, {"NA": "140"}, uow.now)
        service.on_results(uow, {"specimen_id": tube})
    assert floor.decide() == 1, "whole now: at once"
    with lab.uow() as uow:
        row = uow.s.execute(text("SELECT no, state, current_no FROM report WHERE specimen_id = :i"), {"i": tube}).one()
        assert (row.state, row.current_no) == ("released", 2)


def test_what_must_not_leave_before_the_rest_is_no_decision_yet(floor: Floor) -> None:
    lab = floor.world.lab
    tube = floor.tube({"K": "6.1"})  # the range lets it pass; sodium could still show what it means
    with lab.uow() as uow:
        uow.s.execute(
            text("UPDATE av_rule_set SET policy = jsonb_set(policy, '{context}', CAST(:c AS jsonb)), version = version + 1"),
            {"c": '[{"code": "X", "source": "\\"K\\" > \\"NA\\"", "message": "钾钠颠倒"}]'},
        )
    lab.clock.advance(minutes=10)
    floor.decide()
    assert floor.reasons(tube) == ["nothing"]
    # Another value of one item is held at once, and says why; what passes leaves when it is quiet.
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE av_rule_set SET policy = policy - 'context', version = version + 1"))
        floor.world.send(uow, tube, {"K": "4.0"}, uow.now)
        service.on_results(uow, {"specimen_id": tube})
    floor.decide()
    assert "HELD K DIFFERENT" in floor.reasons(tube)
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM report WHERE specimen_id = :i"), {"i": tube}).scalar() == 0


def test_a_shadow_says_what_part_it_would_have_told_and_is_held_against_what_people_told(floor: Floor) -> None:
    lab = floor.world.lab
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        active = uow.s.get_one(RuleSet, (uow.tenant_id, floor.rule_set))
        row = service.create_set(uow, floor.world.section, "影子", from_json(Policy, active.policy))
        service.set_shadow(uow, row.id, True)
        shadow = row.id
        uow.s.execute(text("UPDATE av_rule_set SET policy = policy - 'partial', version = version + 1 WHERE id = :i"), {"i": active.id})
    right, wrong = (floor.tube({"K": "4.13", "NA": "157"}) for _ in range(2))
    floor.decide()
    with lab.uow() as uow:
        told = [(t.shadow, t.outcome) for t in queries_of_rules.reasons(uow, right)]
        assert told == [(False, "held"), (True, "partial")]
        [seen] = queries_of_rules.board(uow, [floor.world.section], uow.now - timedelta(days=1)).shadow
        assert (seen.rule_set_id, seen.n, seen.agree_part, seen.only_released, seen.waiting) == (shadow, 2, 0, 0, 2)
    room = Room(floor.world)
    with lab.uow() as uow:
        test = uow.s.execute(
            text("SELECT id, version FROM test WHERE specimen_id = :i AND item_id = :n"), {"i": wrong, "n": floor.world.items["K"]}
        ).one()
        bench.enter_result(uow, bench.Entry(test.id, test.version, "4.9", reason="复查"))
    for tube in (right, wrong):
        with lab.uow() as uow:
            reports.review(uow, tube, None, room.person(uow, "tester"))
            report = uow.s.execute(text("SELECT id FROM report WHERE specimen_id = :i"), {"i": tube}).scalar_one()
            reports.release(uow, [report], room.person(uow, "verifier"), DESK)
    with lab.uow() as uow:
        [seen] = queries_of_rules.board(uow, [floor.world.section], uow.now - timedelta(days=1)).shadow
        assert (seen.agree_part, seen.only_released, seen.waiting) == (1, 1, 0)


def test_a_set_that_lets_parts_leave_is_validated_on_cases_that_say_which(floor: Floor) -> None:
    lab = floor.world.lab
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        row = uow.s.get_one(RuleSet, (uow.tenant_id, floor.rule_set))
        assert service.run_cases(uow, row).wrong == [] and service.run_cases(uow, row).parts
        uow.s.execute(text("UPDATE av_case SET expected = jsonb_build_array(expected->0) WHERE expected <> '[]'"))
        uow.s.expire_all()
        with pytest.raises(UserError, match="没有用例写明哪些项目先发"):
            service.validate(uow, row.id, least=0)
        case = from_json(Case, uow.s.execute(text("SELECT snapshot FROM av_case WHERE name = '5 质控失控'")).scalar_one())
        for name, reason, leaves, why in (
            (" ", "QC", "", "名称"),
            ("我的", "QC", "XX", "没有项目 XX"),
            ("我的", "", "K", "整份放行"),
            ("5 质控失控", "QC", "", "已有"),
        ):
            with pytest.raises(UserError, match=why):
                service.keep_case(uow, row.id, name, case, reason, leaves)
        service.keep_case(uow, row.id, "我的", case, "QC K", "NA")
        broken = uow.s.execute(text("SELECT snapshot FROM av_case WHERE name = '8 危急值'")).scalar_one()
        service.keep_case(uow, row.id, "危急值不先发", from_json(Case, broken), "CRITICAL", "")
        assert service.validate(uow, row.id, least=0).cases == 21
        service.keep_case(uow, row.id, "写错了", case, "QC K", "K NA")
        with pytest.raises(UserError, match="不符：写错了"):
            service.validate(uow, row.id, least=0)
