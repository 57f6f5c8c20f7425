"""待复检 (M07 R5): a reactive screen is never told as positive before a confirmatory laboratory has answered, whatever is tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import confirming, queries, service
from cloud.modules.bench.models import Confirmation
from cloud.modules.bench.queries import TestLine
from cloud.modules.bench.rules import CONFIRMING_MOVES, Confirming
from cloud.modules.bench.service import Entry
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import rule_models as rules
from cloud.web.faults import Conflict, Invalid, Stale
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer

C = Confirming
RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
NOW = RUN + timedelta(hours=1)
LATER = NOW + timedelta(minutes=4)
"""After every question these tests ask."""


class Undo(Exception):
    """Ends a test's transaction without a trace, so that all of them share one laboratory."""


@pytest.fixture(scope="module")
def world(pg: TestServer, schema_template: TestDatabase) -> Iterator[World]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    lab.clock.set(NOW)
    yield build(lab)
    lab.db.dispose()
    pg.drop(made.name)


@pytest.fixture
def uow(world: World) -> Iterator[UnitOfWork]:
    with suppress(Undo), world.lab.uow() as uow:
        yield uow
        raise Undo


def line(uow: UnitOfWork, tube: int, code: str) -> TestLine:
    found = queries.tube(uow, tube)
    assert found is not None
    return next(t for t in found.tests if t.item.code == code)


REACTIVE = '"K" > 5'


def reactive_tube(uow: UnitOfWork, world: World, second: str | None = "5.20") -> int:
    rule = rules.ReflexRule(code="HIV", name="有反应", expression=REACTIVE, item_id=world.items["K"], action="confirm", message="")
    uow.s.add(rule)
    uow.s.flush()
    tube = world.tube(uow)
    world.send(uow, tube, {**NORMAL, "K": "5.20"}, RUN)
    if second is not None:
        world.send(uow, tube, {"K": second}, LATER)
    return tube


def test_a_reactive_screen_is_never_told_as_such_whatever_is_tried(uow: UnitOfWork, world: World) -> None:
    """R5: HIV reactive → duplicate, release blocked, 待复检, no positive word on the first report."""
    tube = reactive_tube(uow, world)  # the duplicate agrees, and is still nobody's release
    found = line(uow, tube, "K")
    assert found.state == "held" and found.rerun is not None and not found.by_key and found.pending is not None
    assert found.current is not None
    with pytest.raises(UserError, match="高年资"):
        service.choose_version(uow, found.id, found.version, found.pending.id, "一致", False)
    for value in (found.current.id, found.pending.id):
        with pytest.raises(UserError, match="首次报告不得报阳性"):
            service.choose_version(uow, found.id, found.version, value, "一致", True)
    with pytest.raises(UserError, match="请选用其中一个"):
        service.withdraw(uow, found.rerun.id, "不做", True)
    with pytest.raises(UserError, match="复检确证"):
        service.review(uow, tube)
    with pytest.raises(UserError, match="高年资或组长"):
        confirming.send_to_confirm(uow, found.id, found.version, "均有反应", False)
    with pytest.raises(UserError, match="理由"):
        confirming.send_to_confirm(uow, found.id, found.version, " ", True)
    confirming.send_to_confirm(uow, found.id, found.version, "双份均有反应", True)
    told = line(uow, tube, "K")
    assert told.state == "received" and told.notes == [] and told.waits == [] and told.pending is None and told.current is not None
    assert (told.current.reported_text, told.current.flag, told.current.critical) == ("待复检", "", False)
    with pytest.raises(UserError, match="没有等待的复检确证"):
        confirming.send_to_confirm(uow, told.id, told.version, "再次", True)
    # Somebody types the value over it: it is to be confirmed again, not told.
    service.enter_result(uow, Entry(told.id, told.version, "5.20", again="5.20", reason="改回", sure=True))
    assert line(uow, tube, "K").state == "held"
    again = line(uow, tube, "K")
    assert again.rerun is not None
    with pytest.raises(UserError, match="有反应，不能撤销确证"):
        service.withdraw(uow, again.rerun.id, "标本不足", True)
    confirming.send_to_confirm(uow, again.id, again.version, "标本量不足以复检", True)
    service.review(uow, tube)
    # The tube is the same one and leaves once: one row, with all that was measured.
    (row,) = [c.row for c in confirming.listed(uow, world.section, True) if c.row.specimen_id == tube]
    assert (row.screened, row.reason) == ("5.2、5.2、5.2", "标本量不足以复检")


def test_a_duplicate_without_a_reaction_is_a_seniors_choice(uow: UnitOfWork, world: World) -> None:
    tube = reactive_tube(uow, world, "4.10")
    found = line(uow, tube, "K")
    assert found.pending is not None and found.rerun is not None
    with pytest.raises(UserError, match="没有反应：请选用"):
        confirming.send_to_confirm(uow, found.id, found.version, "不一致", True)
    service.choose_version(uow, found.id, found.version, found.pending.id, "首次污染，复检两次阴性", True)
    assert line(uow, tube, "K").state == "received" and line(uow, tube, "K").waits == []


def test_a_confirmation_is_sent_answered_and_only_then_amended(uow: UnitOfWork, world: World) -> None:
    tube = reactive_tube(uow, world)
    found = line(uow, tube, "K")
    confirming.send_to_confirm(uow, found.id, found.version, "双份均有反应", True)
    service.review(uow, tube)
    work, tests = service.lock_to_tell(uow, [tube])
    assert {t.item.code for t in tests[tube]} >= {"K"}
    service.release(work, [tube])
    uow.s.expire_all()

    def row() -> Any:
        (each,) = [c for c in confirming.listed(uow, world.section, True) if c.row.specimen_id == tube]
        return each.row

    def amended(value: str) -> None:
        locked = service.lock_reported(uow, [tube])
        service.amend(locked, {found.id: (value, "确证")})

    assert row().state == "waiting" and row().screened == "5.2、5.2"
    with pytest.raises(UserError, match="没有确证结果"):
        amended("5.20")
    with pytest.raises(Conflict):
        confirming.back(uow, row().id, row().version, "Q1", "阳性")
    with pytest.raises(Invalid):
        confirming.sent(uow, row().id, row().version, " ", "")
    with pytest.raises(Stale):
        confirming.sent(uow, row().id, 99, "市疾控", "")
    confirming.sent(uow, row().id, row().version, "市疾控", "小王")
    with pytest.raises(Conflict):
        confirming.sent(uow, row().id, row().version, "市疾控", "")
    with pytest.raises(UserError, match="没有确证结果"):
        amended("5.20")
    for number, conclusion in (("", "阳性"), ("Q1", " ")):
        with pytest.raises(Invalid):
            confirming.back(uow, row().id, row().version, number, conclusion)
    confirming.back(uow, row().id, row().version, "Q1", "HIV-1 抗体阳性")
    assert [c.row.conclusion for c in confirming.listed(uow, world.section, False) if c.row.specimen_id == tube] == ["HIV-1 抗体阳性"]
    amended("5.20")
    now = line(uow, tube, "K").current
    assert now is not None and now.reported_text.startswith("5.2")


STEPS = {(C.WAITING, C.SENT), (C.WAITING, C.ENDED), (C.SENT, C.BACK), (C.SENT, C.ENDED)}


@pytest.mark.parametrize(("state", "to"), list(product(C, C)))
def test_every_step_of_a_confirmation_is_in_the_table_or_refused(uow: UnitOfWork, world: World, state: Confirming, to: Confirming) -> None:
    assert ((state, to) in STEPS) is (to in CONFIRMING_MOVES[state])
    tube = reactive_tube(uow, world)
    found = line(uow, tube, "K")
    confirming.send_to_confirm(uow, found.id, found.version, "双份均有反应", True)
    uow.s.execute(text("UPDATE confirmation /* by hand */ SET state = :s"), {"s": state.value})
    uow.s.expire_all()
    row = uow.s.scalars(select(Confirmation)).one()
    verbs = {
        C.SENT: lambda: confirming.sent(uow, row.id, row.version, "市疾控", ""),
        C.BACK: lambda: confirming.back(uow, row.id, row.version, "Q1", "阴性"),
        C.ENDED: lambda: confirming.end(uow, row.id, row.version, "标本不足", True),
    }
    if to not in verbs:  # nothing leads back to the beginning
        assert all((state, C.WAITING) not in STEPS for state in C)
        return
    if (state, to) in STEPS:
        verbs[to]()
        uow.s.flush()
        uow.s.refresh(row)
        assert row.state == to
        return
    with pytest.raises(Conflict, match="请刷新"):
        verbs[to]()
    uow.s.flush()
    uow.s.refresh(row)
    assert row.state == state


def test_a_tube_nobody_can_confirm_ends_and_its_report_still_says_no_more(uow: UnitOfWork, world: World) -> None:
    tube = reactive_tube(uow, world)
    found = line(uow, tube, "K")
    confirming.send_to_confirm(uow, found.id, found.version, "双份均有反应", True)
    service.review(uow, tube)
    work, _ = service.lock_to_tell(uow, [tube])
    service.release(work, [tube])
    row = uow.s.scalars(select(Confirmation).where(Confirmation.specimen_id == tube)).one()
    confirming.sent(uow, row.id, row.version, "市疾控", "")
    uow.s.flush()
    with pytest.raises(Conflict, match="高年资或组长"):
        confirming.end(uow, row.id, row.version, "标本不足", False)
    with pytest.raises(Invalid, match="原因"):
        confirming.end(uow, row.id, row.version, " ", True)
    with pytest.raises(Stale):
        confirming.end(uow, row.id, row.version + 1, "标本不足", True)
    confirming.end(uow, row.id, row.version, "标本不足，市疾控退回", True)
    uow.s.flush()
    uow.s.execute(text("UPDATE confirmation SET sent_at = sent_at - interval '90 days', asked_at = asked_at - interval '90 days'"))
    confirming.look(uow)
    assert uow.s.execute(text("SELECT count(*) FROM alert WHERE kind = 'bench.confirm' AND cleared_at IS NULL")).scalar_one() == 0
    assert [c.row.conclusion for c in confirming.listed(uow, world.section, False)] == ["标本不足，市疾控退回"]
    assert confirming.unanswered(uow, [found.id]) == {found.id}
    with pytest.raises(UserError, match="没有确证结果"):
        service.amend(service.lock_reported(uow, [tube]), {found.id: ("5.20", "确证")})


def test_after_its_confirmation_the_value_may_be_told_at_once(uow: UnitOfWork, world: World) -> None:
    tube = reactive_tube(uow, world)
    found = line(uow, tube, "K")
    confirming.send_to_confirm(uow, found.id, found.version, "双份均有反应", True)
    (row,) = [c.row for c in confirming.listed(uow, world.section, True) if c.row.specimen_id == tube]
    confirming.sent(uow, row.id, row.version, "市疾控", "")
    confirming.back(uow, row.id, row.version + 1, "Q1", "阳性")
    told = line(uow, tube, "K")
    service.enter_result(uow, Entry(told.id, told.version, "5.20", again="5.20", reason="确证阳性 Q1", sure=True))
    assert line(uow, tube, "K").state == "received"
    service.review(uow, tube)


def test_what_is_not_sent_in_a_day_or_not_answered_in_two_weeks_is_told(uow: UnitOfWork, world: World) -> None:
    def late() -> list[str]:
        confirming.look(uow)
        return list(uow.s.execute(text("SELECT message FROM alert WHERE kind = 'bench.confirm' AND cleared_at IS NULL")).scalars())

    tube = reactive_tube(uow, world)
    found = line(uow, tube, "K")
    confirming.send_to_confirm(uow, found.id, found.version, "双份均有反应", True)

    def shift(name: str, by: timedelta) -> None:
        uow.s.execute(text(f"UPDATE confirmation SET {name} = :at"), {"at": uow.now - by})

    shift("asked_at", confirming.UNSENT)
    assert late() == []
    shift("asked_at", confirming.UNSENT + timedelta(seconds=1))
    assert ["24 小时" in m for m in late()] == [True]
    (row,) = [c.row for c in confirming.listed(uow, world.section, True) if c.row.specimen_id == tube]
    confirming.sent(uow, row.id, row.version, "市疾控", "")
    assert late() == []
    uow.s.flush()
    shift("sent_at", confirming.UNANSWERED)
    assert late() == []
    shift("sent_at", confirming.UNANSWERED + timedelta(seconds=1))
    assert ["14 天" in m for m in late()] == [True]


def test_the_bench_and_the_register_follow_a_reactive_screen(world: World) -> None:
    with world.lab.uow() as uow:
        tube = reactive_tube(uow, world)
        found = line(uow, tube, "K")
        section = uow.s.execute(text("SELECT code FROM section WHERE id = :i"), {"i": world.section}).scalar_one()
    tester, senior = world.lab.client("tester"), world.lab.client("senior")
    form = {"version": found.version, "do": "confirm", "reason": "双份均有反应"}
    assert "报待复检并送确证" in tester.get(f"/bench/{section}?tube={tube}&show=held").text
    assert tester.post(f"/bench/test/{found.id}/choose", form, htmx=True).status_code == 409
    assert "待复检" in senior.post(f"/bench/test/{found.id}/choose", form, htmx=True).text
    register = tester.get(f"/bench/confirm?section={section}").text
    assert "待送确证" in register and "5.2、5.2" in register and 'value="end"' not in register
    assert 'value="end"' in senior.get(f"/bench/confirm?section={section}").text
    with world.lab.uow() as uow:
        (row,) = [c.row for c in confirming.listed(uow, world.section, True)]
    url = f"/bench/confirm/{row.id}"
    asked = tester.post(url, {"version": row.version, "do": "sent", "lab": "", "section": section}, htmx=True)
    assert asked.status_code == 422 and "确证实验室" in asked.text
    sent = {"version": row.version, "do": "sent", "lab": "市疾控", "carrier": "小王", "section": section}
    assert tester.post(url, sent, htmx=True).status_code == 204
    assert tester.post(url, sent, htmx=True).status_code == 409
    assert "已送确证" in tester.get(f"/bench/confirm?section={section}").text
    back = {"version": row.version + 1, "do": "back", "report_no": "Q1", "conclusion": "阳性", "section": section}
    assert tester.post(url, back, htmx=True).status_code == 204
    assert "没有待送或待回报" in tester.get(f"/bench/confirm?section={section}").text
    done = tester.get(f"/bench/confirm?section={section}&done=1").text
    assert "Q1" in done and "市疾控" in done
    ending = {"version": row.version, "do": "end", "reason": "标本不足", "section": section}
    assert senior.post(url, ending, htmx=True).status_code == 409  # it is back
    assert world.lab.client("nurse").get(f"/bench/confirm?section={section}").status_code == 403
    assert tester.post("/bench/confirm/999", back, htmx=True).status_code == 404
    with world.lab.uow() as uow:
        (row,) = confirming.listed(uow, world.section, False)
        made = confirming.document([row], md.catalog(uow).sections[world.section], "医院", "甲", uow.now)
        assert made.rows[0][3:6] == (row.item, "5.2、5.2", f"{row.row.asked_by} 双份均有反应") and "阳性" in made.rows[0]
