"""What a set must be shown on before it releases (M08 R5): every rule both ways, and a simulation of exactly this set, not of another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal as D

import pytest
from sqlalchemy import text

from cloud.modules.autoverify import service, simulation
from cloud.modules.autoverify.case import Case, Element, Expression, Item, Pattern, Policy, Prior, Range
from cloud.modules.autoverify.certificate_views import absent, told
from cloud.modules.autoverify.coverage import Met, possible, uncovered
from cloud.modules.autoverify.decision import decide, prepare
from cloud.modules.autoverify.models import RuleSet, Simulation
from cloud.modules.autoverify.rules import Uncovered
from cloud.modules.autoverify.sets import starting_policy
from cloud.modules.autoverify.variants import COVERED, Expected, variants
from cloud.modules.catalog import models as md
from cloud.modules.reports import service as reporting
from common.errors import UserError
from tests.cloud.autoverify.floor import DESK, Floor, open_floor
from tests.cloud.autoverify.test_variants import CLEAN, CODES
from tests.support import lab as labs
from tests.support.database import TestDatabase


@pytest.fixture
def floor(fresh_db: TestDatabase) -> Iterator[Floor]:
    lab = labs.make(fresh_db)
    yield open_floor(lab)
    lab.db.dispose()


def met(case: Case, policy: Policy, reason: str) -> Met:
    return Met(case, decide(case, prepare(policy, CODES)), Expected(reason))


def changed(code: str, value: str) -> Case:
    return replace(CLEAN, items=tuple(replace(i, value=D(value), text=value) if i.code == code else i for i in CLEAN.items))


def test_every_expression_is_asked_for_both_ways() -> None:
    policy = Policy(logic=(Expression("TP_ALB", '"TP" < "ALB"'), Expression("HIGH", '"K" > 7')), context=(Expression("HIGH", '"INR" > 3'),))
    ready = prepare(policy, CODES)
    low = met(changed("TP", "40"), policy, "LOGIC TP_ALB")
    assert (uncovered(ready, [low], CODES).holds, uncovered(ready, [low], CODES).passes) == (("HIGH", "HIGH"), ("干净的报告", "TP_ALB"))
    # One of category 10 and one of category 11 may have one code: each is asked for by itself.
    high = met(changed("K", "8"), policy, "LOGIC HIGH")
    both = uncovered(ready, [low, high], CODES)
    assert (both.holds, both.passes) == (("HIGH",), ("干净的报告",))
    third = met(changed("INR", "4"), policy, "CONTEXT HIGH")
    assert uncovered(ready, [low, high, third], CODES).holds == ()
    # A case that holds for another reason shows nothing of a rule that was not what it is about.
    assert "TP_ALB" in uncovered(ready, [met(changed("TP", "40"), policy, "AUTH_NONE")], CODES).holds


def test_a_certificate_does_not_claim_kinds_of_rules_the_set_has_none_of() -> None:
    logic, context = ["x", ["LOGIC TP_ALB"], ["LOGIC TP_ALB"]], ["y", ["CONTEXT HIGH"], ["CONTEXT HIGH"]]
    others = [["干净", [], []], ["part", ["PART"], ["PART"]], ["z", ["PENDING LOGIC", "PART CONTEXT"], ["PENDING LOGIC"]]]
    assert absent(others) == {10, 11} and absent([*others, logic]) == {11}
    assert absent([*others, context]) == {10} and absent([logic, context]) == set()


def test_a_rule_whose_items_are_not_there_lets_nothing_pass() -> None:
    policy = Policy(logic=(Expression("TP_ALB", '"TP" < "ALB"'), Expression("PREV", '"K" - prev("K") > 1')))
    without = replace(CLEAN, items=tuple(i for i in CLEAN.items if i.code != "TP"))
    found = uncovered(prepare(policy, CODES), [met(without, policy, "")], CODES)
    assert found.passes == ("干净的报告", "TP_ALB", "PREV")


def test_a_pattern_is_asked_for_where_it_can_show() -> None:
    drip = Pattern("DRIP", (Element("GLU", True, D(15)), Element("K", False, D("3.3")), Element("NA", False, D(130))), ("GLU",), 2)
    assert possible(drip, {"GLU", "K"}) and not possible(drip, {"GLU"}) and not possible(drip, {"K", "NA"})
    policy = Policy(patterns=(drip,))
    codes = dict.fromkeys(("GLU", "K", "NA"), True)
    assert uncovered(prepare(policy, codes), [], codes) == Uncovered(COVERED, ("DRIP",), ("干净的报告",))
    assert uncovered(prepare(policy, codes), [], {"GLU": True}).holds == ()


@pytest.mark.parametrize(
    "sign",
    [
        Element("GLU", True, D(15), D(100)),
        Element("GLU", False, D("0.6")),
        Element("K", True, None, D(20)),
        Element("K", False, None, D(30)),
    ],
)
def test_cases_are_made_for_every_sign_of_a_pattern(sign: Element) -> None:
    policy = Policy(patterns=(Pattern("DIRT", (sign,), (sign.item,), 1),))
    ready = prepare(policy, CODES)
    [made] = [m for m in variants(CLEAN, ready) if m.name == "13 DIRT"]
    assert made.expected == Expected("DIRT", ()) and any(f.code == "DIRT" for f in decide(made.case, ready).failures)


def test_a_rule_without_a_case_cannot_be_validated_until_a_person_writes_one(floor: Floor) -> None:
    lab = floor.world.lab
    rule = Expression("CA", "dept = '肿瘤科' and \"K\" > prev(\"K\") + 1 and visit <> '门诊'", "肿瘤科钾升高")
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        row = service.create_set(uow, floor.world.section, "带规则", replace(starting_policy(), context=(rule,)))
        with pytest.raises(UserError, match="以下规则没有拦截用例：CA"):
            service.validate(uow, row.id, least=0)
        before = Prior(uow.now.replace(hour=0), "4.0", D("4.0"))
        item = Item("K", "钾", text="6.0", value=D("6.0"), reported=D("6.0"), run_at=uow.now, priors=(before,))
        case = Case(1, uow.now, (item,), dept="肿瘤科", visit="住院", sex="F", age_years=D(50))
        service.keep_case(uow, row.id, "肿瘤科", case, "CONTEXT CA", "")
        # The cases from other wards' tubes have potassium: the rule was judged in them and let them pass.
        shown = service.validate(uow, row.id, least=0)
        assert ["肿瘤科", ["CONTEXT CA", "PART"]] in [each[:2] for each in shown.results] and shown.cases == len(shown.results)


def released(floor: Floor, k: str) -> None:
    lab = floor.world.lab
    tube = floor.tube({"K": k, "NA": "140"})
    with lab.uow() as uow:
        report = reporting.review(uow, tube, None, floor.shop.person(uow, "tester"))
    with lab.uow() as uow:
        reporting.release(uow, [report], floor.shop.person(uow, "verifier"), DESK)


def ran(floor: Floor, rule_set: int) -> str:
    with floor.world.lab.uow() as uow:
        run = service.start(uow, rule_set, 10).id
    with floor.world.lab.uow() as uow:
        simulation.step(uow)
    with floor.world.lab.uow() as uow:
        return uow.s.get_one(Simulation, (uow.tenant_id, run)).state


def test_a_simulation_of_another_policy_shows_nothing_of_this_one(floor: Floor) -> None:
    lab = floor.world.lab
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        service.suspend(uow, floor.rule_set, "停")
    for k in ("4.1", "4.2"):
        released(floor, k)
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        made = service.create_set(uow, floor.world.section, "新", starting_policy()).id
    assert ran(floor, made) == "done"
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        row = uow.s.get_one(RuleSet, (uow.tenant_id, made))
        service.edit_policy(uow, made, row.version, replace(starting_policy(), ranges={"K": Range(D("2.8"), D("6.1"))}))
        with pytest.raises(UserError, match="至少需要 1 份"):
            service.validate(uow, made, least=1)
    assert ran(floor, made) == "done"
    with lab.uow() as uow:  # nor what was run before a limit of the catalog was changed
        uow.s.execute(text("UPDATE av_range SET high = 154 WHERE item_id = :i"), {"i": floor.world.items["NA"]})
        md.raise_version(uow.s)
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow, pytest.raises(UserError, match="至少需要 1 份"):
        service.validate(uow, made, least=1)
    assert ran(floor, made) == "done"
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        assert service.validate(uow, made, least=1).confusion["both_release"] == 2
    lab.clock.advance(hours=1)  # and the next validation wants its own
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow, pytest.raises(UserError, match="至少需要 1 份"):
        service.validate(uow, made, least=1)
    assert ran(floor, made) == "done"
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        service.validate(uow, made, least=1)


def test_a_change_on_the_way_ends_the_run_and_says_so(floor: Floor) -> None:
    lab = floor.world.lab
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        service.suspend(uow, floor.rule_set, "停")
    for k in ("4.1", "4.2"):
        released(floor, k)
    with lab.uow() as uow:
        made = service.create_set(uow, floor.world.section, "新", starting_policy()).id
        run = service.start(uow, made, 10).id
    with lab.uow() as uow:
        assert simulation.step(uow, size=1)
    with lab.uow() as uow:
        row = uow.s.get_one(RuleSet, (uow.tenant_id, made))
        service.edit_policy(uow, made, row.version, replace(starting_policy(), manual=True))
    with lab.uow() as uow:
        assert simulation.step(uow, size=1)
    with lab.uow() as uow:
        found = uow.s.get_one(Simulation, (uow.tenant_id, run))
        assert (found.state, found.done, "请重新模拟" in found.error) == ("failed", 1, True) and not simulation.step(uow)
    assert "请重新模拟" in lab.client("leader").get(f"/av/simulate?section={floor.world.section_code}&set={made}").text
    assert ran(floor, made) == "done"


def test_a_case_written_wrongly_is_taken_out_of_use_and_its_name_is_free_again(floor: Floor) -> None:
    lab, leader = floor.world.lab, floor.world.lab.client("leader")
    with lab.uow() as uow:
        case = uow.s.execute(text("SELECT id FROM av_case WHERE name = '5 质控失控'")).scalar_one()
        uow.s.execute(text("UPDATE av_case SET expected = '[\"CAVEAT\"]' WHERE id = :i"), {"i": case})
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow, pytest.raises(UserError, match="不符：5 质控失控"):
        service.validate(uow, floor.rule_set, least=0)
    assert leader.post(f"/av/validation/cases/{case}/retire", {"reason": " "}).status_code == 422
    assert lab.client("tester").post(f"/av/validation/cases/{case}/retire", {"reason": "写错"}).status_code == 403
    assert leader.post(f"/av/validation/cases/{case}/retire", {"reason": "写错"}).status_code == 303
    assert leader.post(f"/av/validation/cases/{case}/retire", {"reason": "写错"}).status_code == 404
    with lab.uow() as uow:
        with pytest.raises(UserError, match="不存在"):
            service.retire_case(uow, case - 1, [floor.world.section + 1], "别组")
        with pytest.raises(UserError, match="类别没有验证用例：5"):
            service.validate(uow, floor.rule_set, least=0)
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        tube = uow.s.execute(text("SELECT min(specimen_id) FROM bench_tube")).scalar_one()
        assert service.make_cases(uow, floor.rule_set, tube) == 1
        shown = service.validate(uow, floor.rule_set, least=0).id
    page = leader.get(f"/av/validation/{shown}").text
    assert "5 质控失控" in page and "QC K" in page and "用例结果" in page and "不得部分先发" in page and "；PART" not in page
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE av_rule_set SET approved_by = :u"), {"u": floor.actor("quality").user_id})
    assert leader.post(f"/av/validation/{shown}/export", {"kind": "pdf"}).status_code == 303
    with lab.uow() as uow:
        paper = uow.s.execute(text("SELECT document FROM list_job ORDER BY id DESC LIMIT 1")).scalar_one()
    assert [line.split()[0] for line in paper["signatures"]] == ["验证人", "批准人"] and len(paper["signatures"][1].split()) == 2
    assert ["1 没有年龄", "DEMOG；不得部分先发"] in [row[:2] for row in paper["rows"]]


def test_a_cases_part_is_said_in_words() -> None:
    assert [str(x) for x in told([])] == ["放行"]
    assert [str(x) for x in told(["QC K", "PART"])] == ["QC K", "不得部分先发"]
    assert [str(x) for x in told(["MISSING EGFR", "PART CREA K"])] == ["MISSING EGFR", "可先发 CREA、K"]
