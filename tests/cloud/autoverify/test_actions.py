"""What rules do besides holding: a comment on the report, a rerun of their items; and what is decided again once a person decided."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from cloud.modules.autoverify import queries, service
from cloud.modules.autoverify.actions import acted
from cloud.modules.autoverify.case import Action, Case, Expression, Item, Policy
from cloud.modules.autoverify.decision import decide, prepare
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.reports import queries as reports
from tests.cloud.autoverify.floor import MORNING, Floor, open_floor
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer


@pytest.fixture(scope="module")
def floor(pg: TestServer, schema_template: TestDatabase) -> Iterator[Floor]:
    """One laboratory for all of them: each test puts its own rule in and looks at its own tubes."""
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    yield open_floor(lab)
    lab.db.dispose()
    pg.drop(made.name)


def add(floor: Floor, action: str, source: str = "", message: str = "", code: str = "X") -> None:
    """The one clinical rule of the set in use; without an action there is none."""
    put = "jsonb_set(policy, '{context}', CAST(:c AS jsonb))"
    rules = [{"code": code, "source": source, "message": message, "action": action}] if action else []
    with floor.world.lab.uow() as uow:
        query = text(f"UPDATE av_rule_set SET policy = {put}, version = version + 1 WHERE id = :i")
        uow.s.execute(query, {"c": json.dumps(rules), "i": floor.rule_set})


def settle(floor: Floor, tube: int) -> None:
    """The event of a person's decision reaches the autoverification."""
    with floor.world.lab.uow() as uow:
        service.on_results(uow, {"specimen_id": tube})
    floor.decide()


# --- pure ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "holds"), [("hold", True), ("rerun", True), ("comment", False)])
def test_each_action_holds_or_does_not_and_acts_only_when_it_is_true(action: str, holds: bool) -> None:
    ready = prepare(Policy(context=(Expression("X", '"K" > 5', "溶血可能", action),)), {"K": True, "NA": True})
    for k, true in (("5.1", True), ("5.0", False)):
        case = Case(1, MORNING, (Item("NA", "钠", text="140"), Item("K", "钾", text=k, value=Decimal(k))))
        assert any(f.code == "CONTEXT" for f in decide(case, ready).failures) is (holds and true)
        told = [(t.code, t.action, t.text, t.items) for t in acted(case, ready)]
        assert told == ([("X", Action(action), "溶血可能", ("K",))] if true and action != "hold" else [])
    assert acted(Case(1, MORNING, (Item("NA", "钠", text="140"),)), ready) == []


@pytest.mark.parametrize(("k", "held"), [("4.0", False), ("5.1", True)])
def test_what_must_be_so_to_pass_holds_where_it_is_not(k: str, held: bool) -> None:
    """Rule.action pass: a report leaves only where the expression is true."""
    ready = prepare(Policy(context=(Expression("P", '"K" < 5', "钾须低于 5", "pass"),)), {"K": True})
    case = Case(1, MORNING, (Item("K", "钾", text=k, value=Decimal(k)),))
    assert any(f.code == "CONTEXT" and f.item == "P" for f in decide(case, ready).failures) is held
    assert acted(case, ready) == []


def test_a_reflex_holds_until_the_item_it_adds_has_its_result() -> None:
    ready = prepare(Policy(context=(Expression("R", '"K" > 5', "加做钠", "reflex", "NA"),)), {"K": True, "NA": True})
    k = Item("K", "钾", text="5.1", value=Decimal("5.1"))
    alone, both = Case(1, MORNING, (k,)), Case(1, MORNING, (k, Item("NA", "钠", text="140", value=Decimal(140))))
    assert any(f.code == "CONTEXT" for f in decide(alone, ready).failures)
    assert not any(f.code == "CONTEXT" for f in decide(both, ready).failures)
    assert [(t.action, t.add, t.items) for t in acted(alone, ready)] == [(Action.REFLEX, "NA", ("K",))]


def test_drugs_are_judged_where_the_request_said_something_and_hold_where_nobody_did() -> None:
    ready = prepare(Policy(context=(Expression("W", "said('华法林')", "用华法林", "hold"),)), {"K": True})
    item = Item("K", "钾", text="4", value=Decimal(4))

    def found(drugs: str | None) -> list[str]:
        return [f.code for f in decide(Case(1, MORNING, (item,), drugs=drugs), ready).failures if f.category == 11]

    assert (found("华法林 3 mg"), found(""), found(None)) == (["CONTEXT"], [], ["CONTEXT_NE"])


# --- on a database ---------------------------------------------------------------------------------------------------


def test_a_comment_leaves_with_the_report_and_goes_when_it_is_no_longer_true(floor: Floor) -> None:
    add(floor, "comment", '"K" > 4', "血钾在参考区间上半部（虚构的备注）")
    tube = floor.tube()
    floor.decide()
    with floor.world.lab.uow() as uow:
        no = uow.s.execute(text("SELECT no FROM report WHERE specimen_id = :i AND auto"), {"i": tube}).scalar_one()
        found = reports.released(uow, no)
        assert found is not None and "血钾在参考区间上半部" in json.dumps(found.document, ensure_ascii=False)
    add(floor, "comment", '"K" > 4', "血钾偏高")
    held = floor.tube({"K": "6.8", "NA": "140"})
    floor.decide()
    with floor.world.lab.uow() as uow:
        detail = bench_queries.tube(uow, held)
        assert detail is not None
        k = next(t for t in detail.tests if t.item.code == "K")
        assert k.told == ["血钾偏高"] and k.state == "received"
        bench.enter_result(uow, bench.Entry(k.id, k.version, "3.9", reason="重新测定"))
    settle(floor, held)
    with floor.world.lab.uow() as uow:
        detail = bench_queries.tube(uow, held)
        assert detail is not None and next(t for t in detail.tests if t.item.code == "K").told == []


def test_a_rule_asks_for_one_rerun_and_the_tube_waits_for_it(floor: Floor) -> None:
    add(floor, "rerun", '"K" > 4', "血钾高于 4，自动复查（虚构）")
    tube = floor.tube()
    floor.decide()
    assert floor.reasons(tube) == ["CONTEXT X"]
    with floor.world.lab.uow() as uow:
        rows = uow.s.execute(text("SELECT id, kind, rule, reason, state FROM follow_up WHERE specimen_id = :i"), {"i": tube}).all()
        assert [(r.kind, r.rule, r.state) for r in rows] == [("rerun", "av:X", "asked")] and "自动复查" in rows[0].reason
        asked = uow.s.execute(text("SELECT count(*) FROM outbox_event WHERE topic = 'result.rerun'")).scalar_one()
        assert asked == 1
    with floor.world.lab.uow() as uow:
        floor.world.send(uow, tube, {"K": "4.15"}, uow.now + timedelta(minutes=1))
    settle(floor, tube)
    with floor.world.lab.uow() as uow:
        assert uow.s.execute(text("SELECT state FROM follow_up WHERE specimen_id = :i"), {"i": tube}).scalars().all() == ["done"]
    assert "CONTEXT X" in floor.reasons(tube)


def test_what_a_person_settles_is_decided_again(floor: Floor) -> None:
    add(floor, "")
    lab, tube = floor.world.lab, floor.tube()
    with lab.uow() as uow:
        floor.world.send(uow, tube, {"K": "4.6"}, uow.now + timedelta(minutes=1))
    settle(floor, tube)
    assert floor.reasons(tube) == ["HELD K DIFFERENT"]
    settle(floor, tube)
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM av_decision WHERE specimen_id = :i"), {"i": tube}).scalar_one() == 1
        k = next(t for t in bench_queries.tests_of(uow, [tube])[tube] if t.item.code == "K")
        assert k.current is not None
        bench.choose_version(uow, k.id, k.version, k.current.id, "")
        assert [e["topic"] for e in uow._closing.events if e["topic"] == "result.settled"] == ["result.settled"]
    settle(floor, tube)
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT auto FROM report WHERE specimen_id = :i"), {"i": tube}).scalar_one()


def test_a_set_that_names_a_retired_item_holds_everything_and_says_so(floor: Floor) -> None:
    add(floor, "hold", '"GONE" > 4', "引用已停用的项目")
    tube = floor.tube()
    floor.decide()
    assert floor.reasons(tube)[0].startswith("REVALIDATE")
    with floor.world.lab.uow() as uow:
        told = queries.reasons(uow, tube)[0]
        assert "规则引用了已停用或不存在的项目" in told.said[0].zh
        service.watch(uow)
        assert "GONE" in json.dumps(uow.s.execute(text("SELECT fields FROM alert WHERE kind = 'autoverify.stale'")).scalar_one())


def test_a_disagreement_of_the_audit_opens_a_nonconformity(floor: Floor) -> None:
    add(floor, "")
    lab = floor.world.lab
    floor.tube()
    floor.decide()
    with lab.uow() as uow:
        service.draw_sample(uow)
        chosen = uow.s.execute(text("SELECT id FROM av_decision WHERE audit")).scalars().first()
    with lab.db.tenant(lab.a, floor.actor("senior")) as uow:
        assert chosen is not None
        service.answer_audit(uow, chosen, False, "钾应复查")
        assert uow.s.execute(text("SELECT source, subject, section_id FROM nonconformity")).one() == (
            "audit",
            f"av_decision:{chosen}",
            floor.world.section,
        )
