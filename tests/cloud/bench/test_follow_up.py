"""Serum indices, reruns and reflex items on the tube: what they hold, what both values say, and what the analyzers are asked again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries, service
from cloud.modules.bench.arrival_rules import Outcome
from cloud.modules.bench.queries import Detail, TestLine
from cloud.modules.bench.service import Entry
from cloud.modules.catalog import models as md
from cloud.modules.catalog import rule_models as rules
from cloud.modules.edge import worklists
from cloud.modules.platform import lists
from cloud.modules.platform.models import ListJob
from cloud.modules.specimens import add_on
from cloud.modules.specimens.models import Specimen
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer

RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
BETWEEN = RUN + timedelta(minutes=30)
"""After the first run, before anybody asks for another."""
NOW = RUN + timedelta(hours=1)
LATER = NOW + timedelta(minutes=4)
"""After every question these tests ask."""
H = "HIL-H"


@pytest.fixture(scope="module")
def world(pg: TestServer, schema_template: TestDatabase) -> Iterator[World]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    lab.clock.set(NOW)
    world = build(lab)
    with lab.uow() as uow:
        uow.s.add_all(
            md.TestItem(code=f"HIL-{k}", name=f"指数{k}", abbr=k, section_id=world.section, decimals=0, mandatory=False) for k in "HIL"
        )
        uow.s.flush()
        world.items |= {r.code: r.id for r in uow.s.execute(text("SELECT code, id FROM test_item WHERE code LIKE 'HIL-%'"))}
        limit = rules.HilLimit(item_id=world.items["K"], index_kind="H", above=Decimal(50), reject_above=Decimal(150), direction="+")
        limit.message = "标本溶血，血钾仅供参考"
        uow.s.add_all([limit, rules.HilLimit(item_id=world.items["GLU"], index_kind="L", above=Decimal(100), action="comment")])
    yield world
    lab.db.dispose()
    pg.drop(made.name)


class Undo(Exception):
    """Ends a test's transaction without a trace, so that all of them share one laboratory."""


@pytest.fixture
def uow(world: World) -> Iterator[UnitOfWork]:
    items = dict(world.items)
    with suppress(Undo), world.lab.uow() as uow:
        yield uow
        raise Undo
    world.items = items


def events(uow: UnitOfWork, topic: str) -> list[dict[str, Any]]:
    """What this transaction would tell others."""
    return [e["payload"] for e in uow._closing.events if e["topic"] == topic]


def detail(uow: UnitOfWork, tube: int) -> Detail:
    found = queries.tube(uow, tube)
    assert found is not None
    return found


def line(uow: UnitOfWork, tube: int, code: str) -> TestLine:
    return next(t for t in detail(uow, tube).tests if t.item.code == code)


def revision(uow: UnitOfWork, tube: int) -> int:
    return detail(uow, tube).revision


# --- serum indices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("index", "k", "na"), [("49", "received", "received"), ("50", "held", "received"), ("60", "held", "received")])
def test_ac_b_5_haemolysis_holds_potassium_and_not_sodium(uow: UnitOfWork, world: World, index: str, k: str, na: str) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, {**NORMAL, H: index}, RUN)
    assert (line(uow, tube, "K").state, line(uow, tube, "NA").state) == (k, na)
    assert detail(uow, tube).state == ("held" if k == "held" else "ready")
    assert [t.item.code for t in detail(uow, tube).indices] == [H]
    if k == "held":
        with pytest.raises(UserError, match="项目K"):
            service.review(uow, tube)


def test_an_index_that_comes_after_the_values_holds_them_too(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    service.review(uow, tube)
    world.send(uow, tube, {H: "80"}, LATER)
    assert line(uow, tube, "K").state == "held" and line(uow, tube, "NA").state == "reviewed"


def test_what_is_accepted_stays_accepted_and_is_told_with_the_value(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, {**NORMAL, H: "60", "HIL-L": "120"}, RUN)
    assert service.accept_holds(uow, tube, revision(uow, tube)) == 1
    assert line(uow, tube, "K").state == "received"
    world.send(uow, tube, {"EXTRA": "20"}, LATER)
    found = line(uow, tube, "K")
    assert found.state == "received" and found.told == ["标本溶血，血钾仅供参考"]
    assert line(uow, tube, "GLU").state == "received" and "脂血指数 120" in line(uow, tube, "GLU").told[0]
    service.review(uow, tube)


def test_a_value_past_the_second_limit_is_never_told(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, {**NORMAL, H: "150"}, RUN)
    found = line(uow, tube, "K")
    assert found.state == "held" and found.suppressed and detail(uow, tube).acceptable == []
    assert service.accept_holds(uow, tube, revision(uow, tube)) == 0
    service.enter_result(uow, Entry(found.id, found.version, "4.2", reason="目测不重"))
    found = line(uow, tube, "K")
    assert found.state == "held"
    with pytest.raises(UserError):
        service.review(uow, tube)
    service.set_no_result(uow, found.id, found.version, found.suppressed)
    service.review(uow, tube)
    assert line(uow, tube, "K").no_result_reason == "标本溶血，血钾仅供参考"


# --- reruns ----------------------------------------------------------------------------------------------------------


def rerun(uow: UnitOfWork, tube: int, *codes: str, dilution: str = "1") -> int:
    ids = [line(uow, tube, c).id for c in codes]
    return service.request_rerun(uow, tube, revision(uow, tube), ids, "与前次相差大", Decimal(dilution))


def test_a_pending_rerun_holds_the_tube_and_asks_the_analyzer_again(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    before = worklists.tubes(uow, [tube])[0]
    assert not before.items[world.items["K"]]
    assert rerun(uow, tube, "K") == 1
    after = worklists.tubes(uow, [tube])[0]
    assert after.items[world.items["K"]] and not after.items[world.items["NA"]]
    assert after.row.test_versions > before.row.test_versions
    assert detail(uow, tube).state == "held" and detail(uow, tube).acceptable == []
    assert service.accept_holds(uow, tube, revision(uow, tube)) == 0
    with pytest.raises(UserError, match="项目K复查"):
        service.review(uow, tube)
    event = events(uow, "result.rerun")[0]
    assert event["specimen_id"] == tube and event["item_id"] == world.items["K"] and event["dilution"] == "1"


def test_a_rerun_that_agrees_lets_the_first_value_stand(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    rerun(uow, tube, "K")
    world.send(uow, tube, {"K": "4.10"}, RUN)  # the first run once more, late: no answer
    assert line(uow, tube, "K").rerun is not None
    world.send(uow, tube, {"K": "4.20"}, LATER)  # 2.4 % off, 5 % allowed
    found = line(uow, tube, "K")
    assert (found.state, found.current and found.current.reported_text, found.pending) == ("received", "4.1", None)
    done = found.follow[0]
    assert done.state == "done" and "一致" in done.outcome and done.second_id is not None
    service.review(uow, tube)


def test_an_equal_rerun_is_an_answer_and_no_repeat(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    rerun(uow, tube, "K")
    world.send(uow, tube, {"K": "4.10"}, LATER)
    assert line(uow, tube, "K").rerun is None and line(uow, tube, "K").follow[0].second_id is not None


def test_another_value_of_before_the_question_is_no_answer(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    rerun(uow, tube, "K")
    [found] = world.send(uow, tube, {"K": "4.90"}, BETWEEN)
    assert found.outcome is Outcome.HELD
    held = line(uow, tube, "K")
    assert held.state == "held" and held.pending is not None and held.rerun is not None and held.follow[0].second_id is None
    assert {h["code"] for v in (held.current, held.pending) if v for h in v.holds} == {"DIFFERENT"}
    # Without a run time the moment it was taken from the instrument tells; the true answer is still awaited, and known when it comes.
    [old] = world.send(uow, tube, {"K": "4.70"}, None, taken_at=BETWEEN)
    assert old.outcome is Outcome.HELD and line(uow, tube, "K").follow[0].second_id is None
    world.send(uow, tube, {"K": "3.20"}, LATER)
    assert line(uow, tube, "K").follow[0].second_id is not None


def test_two_runs_that_agree_confirm_each_other_in_whatever_order(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    rerun(uow, tube, "K")
    world.send(uow, tube, {"K": "4.10"}, BETWEEN)
    assert line(uow, tube, "K").rerun is None


def test_a_value_of_before_a_dilution_was_asked_for_is_not_multiplied(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    rerun(uow, tube, "GLU", dilution="5")
    world.send(uow, tube, {"GLU": "6.00"}, BETWEEN)
    found = line(uow, tube, "GLU")
    assert {v.reported_text for v in (found.current, found.pending) if v} == {"5.00", "6.00"} and found.rerun is not None


def test_a_rerun_that_differs_waits_for_a_senior_with_a_reason(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    rerun(uow, tube, "K")
    world.send(uow, tube, {"K": "4.90"}, LATER)
    found = line(uow, tube, "K")
    assert found.current is not None and found.pending is not None and found.state == "held"
    assert (found.current.reported_text, found.pending.reported_text) == ("4.1", "4.9")
    for may, why, word in ((False, "复查可信", "高年资"), (True, " ", "理由")):
        with pytest.raises(UserError, match=word):
            service.choose_version(uow, found.id, found.version, found.pending.id, why, may)
    service.choose_version(uow, found.id, found.version, found.pending.id, "首次吸样不足", True)
    chosen = line(uow, tube, "K")
    assert (chosen.state, chosen.current and chosen.current.reported_text) == ("received", "4.9")
    assert "首次吸样不足" in chosen.follow[0].outcome
    assert [a.second and a.second.reported_text for a in queries.reruns(uow, world.section, open_only=False)] == ["4.9"]
    assert queries.reruns(uow, world.section, open_only=True) == []


def test_a_diluted_rerun_is_multiplied_and_always_looked_at(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    rerun(uow, tube, "GLU", dilution="5")
    world.send(uow, tube, {"GLU": "1.00"}, LATER)
    found = line(uow, tube, "GLU")
    assert found.pending is not None and found.pending.reported_text == "5.00" and found.state == "held"
    assert found.pending.snapshot["dilution"] == "5"


def test_a_typed_rerun_stands_beside_the_first_value(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    rerun(uow, tube, "K")
    found = line(uow, tube, "K")
    assert service.enter_result(uow, Entry(found.id, found.version, "4.6"))
    found = line(uow, tube, "K")
    assert found.current is not None and found.pending is not None
    assert (found.current.reported_text, found.pending.reported_text, found.state) == ("4.1", "4.6", "held")


def test_all_of_a_tube_withdrawn_with_a_reason_and_asked_twice_refused(uow: UnitOfWork, world: World) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    assert rerun(uow, tube) == 4
    with pytest.raises(UserError, match="已在复查中"):
        rerun(uow, tube, "K")
    for row in [f for t in detail(uow, tube).tests for f in t.waits]:
        with pytest.raises(UserError) as asked:
            service.withdraw(uow, row.id, "", True)
        assert asked.value.fields["field"] == "reason"
        service.withdraw(uow, row.id, "标本量不足", True)
    assert detail(uow, tube).state == "ready"
    service.review(uow, tube)
    with pytest.raises(UserError, match="初审"):
        rerun(uow, tube, "K")


@pytest.mark.parametrize(("reason", "dilution", "field"), [("", "1", "reason"), ("x", "0", "dilution"), ("x", "200000", "dilution")])
def test_a_rerun_needs_a_reason_and_a_possible_dilution(uow: UnitOfWork, world: World, reason: str, dilution: str, field: str) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    with pytest.raises(UserError) as refused:
        service.request_rerun(uow, tube, revision(uow, tube), [], reason, Decimal(dilution))
    assert refused.value.fields["field"] == field


# --- reflex ----------------------------------------------------------------------------------------------------------


def reflex(
    uow: UnitOfWork,
    world: World,
    action: str,
    item: str = "FT4",
    expression: str = '"K" > 5',
    code: str = "R1",
    authority: str = "standing",
    charge: str = "charge",
) -> None:
    if item not in world.items:
        row = md.TestItem(code=item, name=f"项目{item}", abbr=item, section_id=world.section, stability_h=1000000)
        alone = md.OrderSet(code=f"S{item}", name=f"组合{item}", abbr=item, section_id=world.section, volume_ml=Decimal(1),
                            specimen_type_id=world.specimen_type, container_id=world.container)  # fmt: skip
        uow.s.add_all([row, alone])
        uow.s.flush()
        uow.s.add(md.OrderSetItem(order_set_id=alone.id, item_id=row.id))
        world.items[item] = row.id
    rests = {"authority": authority, "charge": charge}
    uow.s.add(
        rules.ReflexRule(code=code, name="规则", expression=expression, item_id=world.items[item], action=action, message="请做", **rests)
    )
    uow.s.flush()


def wanted(uow: UnitOfWork) -> list[dict[str, Any]]:
    return events(uow, "reflex.wanted")


def test_a_result_adds_its_item_to_the_same_tube_with_a_reason(uow: UnitOfWork, world: World) -> None:
    reflex(uow, world, "add")
    tube = world.tube(uow)
    uow.s.get_one(Specimen, (world.tenant, tube)).state = "tested"
    world.send(uow, tube, {**NORMAL, "K": "5.20"}, RUN)
    assert detail(uow, tube).state == "held"
    with pytest.raises(UserError, match="加做"):
        service.review(uow, tube)
    for _ in range(2):  # delivered twice, done once
        add_on.on_reflex(uow, wanted(uow)[0])
    found = line(uow, tube, "FT4")
    assert found.state == "expected" and detail(uow, tube).state == "partial"
    order = uow.s.execute(text("SELECT source, status, note, charge_state FROM order_item WHERE id = :i"), {"i": found.order_item_id}).one()
    assert (order.source, order.status, order.charge_state) == ("lab", "received", "unpaid") and "项目K 5.2" in order.note
    world.send(uow, tube, {"FT4": "12"}, LATER)
    assert len(wanted(uow)) == 1 and detail(uow, tube).state == "ready"
    service.review(uow, tube)


def test_a_rule_that_cannot_be_read_any_more_stops_no_result(uow: UnitOfWork, world: World) -> None:
    reflex(uow, world, "add", expression='"GONE" > 5', code="R0")
    reflex(uow, world, "add")
    tube = world.tube(uow)
    uow.s.get_one(Specimen, (world.tenant, tube)).state = "tested"
    world.send(uow, tube, {**NORMAL, "K": "5.20"}, RUN)
    assert len(wanted(uow)) == 1, "the rule beside it runs"


@pytest.mark.parametrize("value", ["4.10", "5.00"])
def test_below_the_condition_nothing_is_added(uow: UnitOfWork, world: World, value: str) -> None:
    reflex(uow, world, "add")
    tube = world.tube(uow)
    world.send(uow, tube, {**NORMAL, "K": value}, RUN)
    assert wanted(uow) == [] and detail(uow, tube).state == "ready"


def test_what_does_not_fit_the_tube_waits_for_a_person(uow: UnitOfWork, world: World) -> None:
    reflex(uow, world, "add")
    uow.s.execute(text("UPDATE order_set SET volume_ml = 4 WHERE code = 'SFT4'"))
    md.raise_version(uow.s)
    tube = world.tube(uow)
    world.send(uow, tube, {**NORMAL, "K": "5.20"}, RUN)
    add_on.on_reflex(uow, wanted(uow)[0])
    row = line(uow, tube, "K").waits[0]
    assert row.state == "refused" and "VOLUME" in row.outcome
    service.withdraw(uow, row.id, "重采另管", False)
    service.review(uow, tube)


def test_a_proposed_item_is_added_when_a_person_says_so(uow: UnitOfWork, world: World) -> None:
    reflex(uow, world, "suggest")
    tube = world.tube(uow)
    world.send(uow, tube, {**NORMAL, "K": "5.20"}, RUN)
    assert wanted(uow) == []
    service.add_reflex(uow, line(uow, tube, "K").waits[0].id)
    add_on.on_reflex(uow, wanted(uow)[0])
    assert line(uow, tube, "FT4").state == "expected"


@pytest.mark.parametrize("action", ["add", "suggest"])
def test_what_the_requesters_have_not_agreed_to_is_proposed_and_needs_a_doctors_word(uow: UnitOfWork, world: World, action: str) -> None:
    reflex(uow, world, action, authority="ask")
    tube = world.tube(uow)
    world.send(uow, tube, {**NORMAL, "K": "5.20"}, RUN)
    assert wanted(uow) == []
    asked = line(uow, tube, "K").waits[0].id
    for nobody in ("", "  "):
        with pytest.raises(UserError, match="开单医生同意"):
            service.add_reflex(uow, asked, nobody)
    service.add_reflex(uow, asked, "张医生 10:20 电话")
    add_on.on_reflex(uow, wanted(uow)[0])
    found = line(uow, tube, "FT4")
    note = uow.s.execute(text("SELECT note FROM order_item WHERE id = :i"), {"i": found.order_item_id}).scalar_one()
    assert found.state == "expected" and "张医生 10:20 电话" in note


@pytest.mark.parametrize(("authority", "kind"), [("standing", "add"), ("ask", "suggest")])
def test_a_rule_of_the_autoverification_adds_nothing_the_requesters_have_not_agreed_to(
    uow: UnitOfWork, world: World, authority: str, kind: str
) -> None:
    reflex(uow, world, "add", expression='"K" > 90', authority=authority)  # never true here: what it says of the item counts
    tube = world.tube(uow)
    world.send(uow, tube, {**NORMAL, "K": "5.20"}, RUN)
    work = service.lock_reported(uow, [tube])
    assert service.reflex_by_rule(work, tube, "av:R", ["K"], "FT4", "规则")
    assert [f.kind.value for f in line(uow, tube, "K").waits] == [kind]
    assert len(wanted(uow)) == (kind == "add")


@pytest.mark.parametrize(("charge", "posted"), [("charge", 1), ("free", 0)])
def test_what_is_added_is_charged_as_its_rule_says(uow: UnitOfWork, world: World, charge: str, posted: int) -> None:
    reflex(uow, world, "add", charge=charge)
    tube = world.tube(uow)
    uow.s.execute(text("UPDATE visit SET kind = 'inpatient'"))
    uow.s.get_one(Specimen, (world.tenant, tube)).state = "tested"
    world.send(uow, tube, {**NORMAL, "K": "5.20"}, RUN)
    before = len(events(uow, "order.charge"))
    add_on.on_reflex(uow, wanted(uow)[0])
    item = line(uow, tube, "FT4").order_item_id
    row = uow.s.execute(text("SELECT settled, settled_why, charged_at FROM order_item WHERE id = :i"), {"i": item}).one()
    assert (len(events(uow, "order.charge")) - before, row.charged_at is not None) == (posted, bool(posted))
    assert (row.settled, "约定不另收费" in row.settled_why) == (("", False) if posted else ("waived", True))


def test_chains_of_reflexes_end(uow: UnitOfWork, world: World) -> None:
    for n, (item, condition) in enumerate((("A1", '"K" > 5'), ("A2", '"A1" > 1'), ("A3", '"A2" > 1'))):
        reflex(uow, world, "add", item, condition, f"R{n}")
    tube = world.tube(uow)
    world.send(uow, tube, {**NORMAL, "K": "5.20"}, RUN)
    add_on.on_reflex(uow, wanted(uow)[0])
    world.send(uow, tube, {"A1": "2"}, RUN)
    uow.s.execute(text("UPDATE container SET nominal_ml = 50"))
    md.raise_version(uow.s)
    add_on.on_reflex(uow, wanted(uow)[1])
    world.send(uow, tube, {"A2": "2"}, RUN)
    assert len(wanted(uow)) == 2 and detail(uow, tube).state == "ready"


# --- the page (last: what it writes stays) -----------------------------------------------------------------------------


def test_what_is_held_stands_first_where_a_rerun_or_no_result_is_asked_for(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {**NORMAL, "CREA": "----"}, RUN)
        found, held = detail(uow, tube), line(uow, tube, "CREA")
    assert held.state == "held" and found.repeatable[0].id == held.id and found.may_have_none[0].id == held.id
    page = world.lab.client("tester").get(f"/bench/{world.section_code}?show=held&tube={tube}").text
    box = page[page.index('id="rerun-box"') :]
    assert box.count(" checked") == 1 and f'value="{held.id}" checked' in box
    none = box[box.index('id="none-box"') :]
    assert none.index(f"/bench/test/{held.id}/none") == none.index("/bench/test/")


def test_the_bench_asks_shows_and_ends_a_rerun(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {**NORMAL, H: "160"}, RUN)
        tests = {t.item.code: t.id for t in detail(uow, tube).tests}
        seen = revision(uow, tube)
    tester, leader = world.lab.client("tester"), world.lab.client("leader")
    url = f"/bench/CHEM/tube/{tube}/rerun"
    assert tester.post(url, {"revision": seen, "reason": ""}, htmx=True).status_code == 422
    wrong = tester.post(url, {"revision": seen, "reason": "复核", "dilution": "五"}, htmx=True)
    assert wrong.status_code == 422 and "稀释倍数" in wrong.text
    shown = tester.post(url, {"revision": seen, "reason": "复核", "test": [str(tests["NA"])]}, htmx=True)
    assert "复查中" in shown.text and "溶血 160" in shown.text and "此值不能报告" in shown.text
    assert "复核" in tester.get("/bench/rerun?section=CHEM").text
    with world.lab.uow() as uow:
        world.send(uow, tube, {"NA": "150"}, LATER)
        found = line(uow, tube, "NA")
    assert found.pending is not None
    answer = {"version": found.version, "chosen": found.pending.id, "reason": "复查可信"}
    refused = tester.post(f"/bench/test/{found.id}/choose", answer, htmx=True)
    assert refused.status_code == 409 and "高年资" in refused.text
    assert leader.post(f"/bench/test/{found.id}/choose", answer, htmx=True).status_code == 200
    assert "复查可信" in leader.get("/bench/rerun?show=all").text
    assert world.lab.client("leader", world.lab.b).get(f"/bench/CHEM/tube/{tube}").status_code in (302, 404)


def test_the_log_is_exported_as_it_is_filtered_and_shut_values_stay_shut(world: World) -> None:
    """M01 R8: a sensitive item's duplicate shows its value to nobody who may not see it, neither on the page nor in the workbook."""
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, RUN)
        rerun(uow, tube, "GLU", "NA")
    everything, waiting = "/bench/rerun/export?section=CHEM&show=all", "/bench/rerun/export?section=CHEM"

    def exported(url: str) -> list[tuple[str, ...]]:
        asked = world.lab.client("tester").post(url, {"kind": "xlsx"})
        assert asked.status_code == 303
        with world.lab.uow() as uow:
            job = uow.s.get_one(ListJob, (uow.tenant_id, int(asked.headers["Location"].rsplit("/", 1)[1])))
            made = lists.document_of(job.document)
            assert made.watermark and {len(row) for row in made.rows} == {len(made.columns)}
            assert job.back == url.replace("/export", "")
            return list(made.rows)

    rows = exported(waiting)
    assert {row[3] for row in rows} == {"项目GLU", "项目NA"} and {row[9] for row in rows} == {"等待"}
    assert len(exported(everything)) >= len(rows)
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE test_item SET sensitive = true WHERE code = 'GLU'"))
        uow.s.execute(text("DELETE FROM role_permission WHERE permission = 'platform:sensitive'"))
        md.raise_version(uow.s)
    assert [row[3] for row in exported(waiting)] == ["项目NA"]
    shown = world.lab.client("tester").get("/bench/rerun?section=CHEM").text
    assert "项目NA" in shown and "项目GLU" not in shown and "1 条敏感项目的记录未列出" in shown
    assert world.lab.client("tester").post("/bench/rerun/export?section=NONE", {"kind": "xlsx"}).status_code == 404
    assert world.lab.client("tester").post(waiting, {"kind": "doc"}, htmx=True).status_code == 422
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE test_item SET sensitive = false WHERE code = 'GLU'"))
        md.raise_version(uow.s)
