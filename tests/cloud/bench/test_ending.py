"""A request that ends takes its tests along, wherever they stand; what was told stays, and what was told never ends (M03 R3)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from cloud import relay
from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import deciding
from cloud.modules.bench import ending, rules
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.bench.rules import TestState
from cloud.modules.catalog import models as md
from cloud.modules.catalog import queries as catalog
from cloud.modules.orders import models as orders
from cloud.modules.orders import queries as order_queries
from cloud.modules.orders import service as requests
from cloud.modules.reports import service
from cloud.modules.specimens import add_on
from cloud.web.faults import Conflict
from cloud.worker import all_handlers
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, build
from tests.cloud.reports.test_release import DESK, Room
from tests.support import lab as labs
from tests.support.database import TestDatabase

NOW = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)


@pytest.fixture
def room(fresh_db: TestDatabase) -> Iterator[Room]:
    lab = labs.make(fresh_db)
    yield Room(build(lab))
    lab.db.dispose()


def work(room: Room) -> None:
    while relay.drain(room.world.lab.db, room.world.tenant, all_handlers()):
        pass


def tube(room: Room, uow: UnitOfWork, *sets: tuple[str, ...]) -> tuple[int, list[int]]:
    """A tube with a request for each of these sets of items, instead of the one for all; the requests."""
    given = room.world.tube(uow)
    first = uow.s.scalars(select(orders.OrderItem).where(orders.OrderItem.specimen_id == given)).one()
    made = []
    for number, codes in enumerate(sets):
        base = uow.s.get_one(md.OrderSet, (uow.tenant_id, room.world.order_set))
        one = md.OrderSet(code=f"SET{number}", name=f"组合{number}", abbr=f"组合{number}", section_id=base.section_id,
                          specimen_type_id=base.specimen_type_id, container_id=base.container_id, volume_ml=base.volume_ml)  # fmt: skip
        uow.s.add(one)
        uow.s.flush()
        uow.s.add_all(md.OrderSetItem(order_set_id=one.id, item_id=room.world.items[code]) for code in codes)
        item = orders.OrderItem(order_id=first.order_id, source="his", order_item_no=f"{first.order_item_no}-{number}", his_code=one.code,
                                his_name=one.name, order_set_id=one.id, specimen_id=given, status="received")  # fmt: skip
        uow.s.add(item)
        uow.s.flush()
        made.append(item.id)
    uow.s.execute(text("DELETE FROM test WHERE specimen_id = :s"), {"s": given})
    uow.s.delete(first)
    uow.s.flush()
    bench.expect_tests(uow, [given])
    return given, made


def refund(uow: UnitOfWork, order_item_id: int) -> None:
    """Asked by the HIS, granted by the laboratory."""
    asked = orders.RefundRequest(order_item_id=order_item_id, reason="患者要求", requested_at=uow.now)
    uow.s.add(asked)
    uow.s.flush()
    requests.decide_refund(uow, asked.id, asked.version, True, "同意")


def states(room: Room, uow: UnitOfWork, tube_id: int) -> dict[str, str]:
    names = {number: code for code, number in room.world.items.items()}
    query = text("SELECT item_id, state FROM test WHERE specimen_id = :s")
    return {names[r.item_id]: r.state for r in uow.s.execute(query, {"s": tube_id})}


def one(uow: UnitOfWork, sql: str, **given: Any) -> Any:
    return uow.s.execute(text(sql), given).scalar_one()


@pytest.mark.parametrize("state", list(TestState))
def test_what_is_open_may_end_and_what_was_told_may_not(state: TestState) -> None:
    assert rules.may_end(state) is (state not in rules.TOLD_STATES and state is not TestState.CANCELLED)


def test_a_refund_granted_after_all_was_measured_and_reviewed_ends_it_all(room: Room) -> None:
    with room.world.lab.uow() as uow:
        given, (asked,) = tube(room, uow, ("K", "NA"))
        room.world.send(uow, given, {"K": "4.1", "NA": "140"}, NOW)
        report = service.review(uow, given, None, room.person(uow, "tester"))
    work(room)
    with room.world.lab.uow() as uow:
        uow.s.add(orders.RefundRequest(order_item_id=asked, reason="患者要求", requested_at=uow.now))
        uow.s.flush()
        (waiting,) = order_queries.refunds(uow)
        assert waiting.measured == 2
        requests.decide_refund(uow, waiting.id, waiting.version, True, "同意")
    # Before the worker comes by, nothing leaves either.
    with room.world.lab.uow() as uow, pytest.raises(UserError, match="申请已取消或退费：项目K、项目NA"):
        service.release(uow, [report], room.person(uow, "verifier"), DESK)
    work(room)
    with room.world.lab.uow() as uow:
        assert states(room, uow, given) == {"K": "cancelled", "NA": "cancelled"}
        assert one(uow, "SELECT state FROM report WHERE id = :r", r=report) == "draft"
        assert one(uow, "SELECT state FROM bench_tube WHERE specimen_id = :s", s=given) == "closed"
        with pytest.raises(UserError, match="没有可初审的结果"):
            bench.review(uow, given)
        with pytest.raises(UserError):
            service.release(uow, [report], room.person(uow, "verifier"), DESK)


def test_what_is_left_of_a_reviewed_tube_is_reviewed_and_told_without_it(room: Room) -> None:
    with room.world.lab.uow() as uow:
        given, (gone, stays) = tube(room, uow, ("K", "NA"), ("GLU",))
        room.world.send(uow, given, {"K": "4.1", "NA": "140", "GLU": "5.0"}, NOW)
        report = service.review(uow, given, None, room.person(uow, "tester"))
    work(room)
    with room.world.lab.uow() as uow:
        refund(uow, gone)
    work(room)
    with room.world.lab.uow() as uow:
        assert states(room, uow, given) == {"K": "cancelled", "NA": "cancelled", "GLU": "received"}
        with pytest.raises(UserError, match="待初审"):
            service.release(uow, [report], room.person(uow, "verifier"), DESK)
    with room.world.lab.uow() as uow:
        service.review(uow, given, None, room.person(uow, "tester"))
        service.release(uow, [report], room.person(uow, "verifier"), DESK)
    work(room)
    with room.world.lab.uow() as uow:
        told = one(uow, "SELECT document FROM report_version WHERE report_id = :r", r=report)
        assert [line["name"] for line in told["lines"]] == ["项目GLU"] and [r["order_item_id"] for r in told["requests"]] == [stays]
        found = dict(uow.s.execute(text("SELECT id, status FROM order_item WHERE specimen_id = :s"), {"s": given}).all())
        assert found == {gone: "refunded", stays: "reported"}


def test_a_tube_is_measured_once_nothing_else_is_asked_of_it(room: Room) -> None:
    with room.world.lab.uow() as uow:
        given, (there, missing) = tube(room, uow, ("K",), ("NA", "GLU"))
        room.world.send(uow, given, {"K": "4.1"}, NOW)
    work(room)
    with room.world.lab.uow() as uow:
        assert one(uow, "SELECT state FROM specimen WHERE id = :s", s=given) == "on_analyzer"
        refund(uow, missing)
    work(room)
    with room.world.lab.uow() as uow:
        assert states(room, uow, given) == {"K": "received", "NA": "cancelled", "GLU": "cancelled"}
        assert one(uow, "SELECT state FROM specimen WHERE id = :s", s=given) == "tested"
        assert one(uow, "SELECT state FROM bench_tube WHERE specimen_id = :s", s=given) == "ready"
        assert one(uow, "SELECT status FROM order_item WHERE id = :i", i=there) == "in_test"


def test_an_item_that_another_request_asks_for_too_goes_on_under_that_one(room: Room) -> None:
    with room.world.lab.uow() as uow:
        given, (gone, stays) = tube(room, uow, ("K", "NA"), ("K", "GLU"))
        room.world.send(uow, given, {"K": "4.1", "NA": "140", "GLU": "5.0"}, NOW)
        refund(uow, gone)
    work(room)
    with room.world.lab.uow() as uow:
        assert states(room, uow, given) == {"K": "received", "NA": "cancelled", "GLU": "received"}
        query = text("SELECT DISTINCT order_item_id FROM test WHERE specimen_id = :s AND state <> 'cancelled'")
        assert uow.s.scalars(query, {"s": given}).all() == [stays]
        found = bench_queries.tube(uow, given)
        assert found is not None and found.unasked == []


def test_nothing_is_given_back_for_what_left_a_moment_ago(room: Room) -> None:
    with room.world.lab.uow() as uow:
        given, (asked, other) = tube(room, uow, ("K",), ("GLU",))
        room.world.send(uow, given, {"K": "4.1", "GLU": "5.0"}, NOW)
    work(room)
    with room.world.lab.uow() as uow:
        report = service.review(uow, given, None, room.person(uow, "tester"))
        service.release(uow, [report], room.person(uow, "verifier"), DESK)
    with room.world.lab.uow() as uow:
        assert one(uow, "SELECT status FROM order_item WHERE id = :i", i=asked) == "in_test"  # the worker has not been there yet
        with pytest.raises(Conflict, match="已出报告"):
            refund(uow, asked)


def test_rules_wait_until_the_ended_request_took_its_tests_along(room: Room) -> None:
    with room.world.lab.uow() as uow:
        given, (gone, _) = tube(room, uow, ("K", "NA"), ("GLU",))
        room.world.send(uow, given, {"K": "4.1", "NA": "140", "GLU": "5.0"}, NOW)
        refund(uow, gone)
        found = bench_queries.tube(uow, given)
        assert found is not None and {t.item.code for t in found.unasked} == {"K", "NA"}
        assert deciding.decide_tubes(uow, [given], DESK) == {}


def test_its_open_rerun_ends_with_it(room: Room) -> None:
    with room.world.lab.uow() as uow:
        given, (gone, _) = tube(room, uow, ("K", "NA"), ("GLU",))
        room.world.send(uow, given, {"K": "4.1", "NA": "140", "GLU": "5.0"}, NOW)
        room.person(uow, "tester")
        test = one(uow, "SELECT id FROM test WHERE specimen_id = :s AND item_id = :i", s=given, i=room.world.items["K"])
        bench.request_rerun(uow, given, None, [test], "可疑")
        refund(uow, gone)
    work(room)
    with room.world.lab.uow() as uow:
        assert uow.s.execute(text("SELECT state, outcome FROM follow_up WHERE specimen_id = :s"), {"s": given}).all() == [
            ("cancelled", "同意")
        ]
        assert one(uow, "SELECT state FROM bench_tube WHERE specimen_id = :s", s=given) == "ready"


def test_a_cancelled_test_does_not_come_back_by_an_add_on(room: Room) -> None:
    with room.world.lab.uow() as uow:
        given, (gone, _) = tube(room, uow, ("K", "NA"), ("GLU",))
        refund(uow, gone)
    work(room)
    with room.world.lab.uow() as uow:
        wanted = uow.s.get_one(orders.OrderItem, (uow.tenant_id, gone)).order_set_id
        assert wanted is not None
        said = add_on._ended(uow, catalog.catalog(uow), given, wanted)
        assert said is not None and "重新采集" in said and "项目K" in said


def test_a_label_that_is_void_and_an_event_told_twice_change_nothing(room: Room) -> None:
    with room.world.lab.uow() as uow:
        given, (gone, _) = tube(room, uow, ("K",), ("GLU",))
        room.world.send(uow, given, NORMAL, NOW + timedelta(minutes=1))
        refund(uow, gone)
    work(room)
    with room.world.lab.uow() as uow:
        before = one(uow, "SELECT revision FROM bench_tube WHERE specimen_id = :s", s=given)
        ending.on_item_status(uow, {"status": "refunded", "specimen_id": given})
        ending.on_item_status(uow, {"status": "received", "specimen_id": given})
        ending.on_item_status(uow, {"status": "refunded", "specimen_id": 10**9})
        assert one(uow, "SELECT revision FROM bench_tube WHERE specimen_id = :s", s=given) == before


@pytest.mark.parametrize("first", ["refund", "release"])
def test_release_and_refund_at_once_see_each_other(room: Room, first: str) -> None:
    with room.world.lab.uow() as uow:
        given, (asked,) = tube(room, uow, ("K", "NA"))
        room.world.send(uow, given, {"K": "4.1", "NA": "140"}, NOW)
    work(room)
    with room.world.lab.uow() as uow:
        report = service.review(uow, given, None, room.person(uow, "tester"))
    refused: list[str] = []

    def act(name: str, uow: UnitOfWork) -> None:
        if name == "refund":
            refund(uow, asked)
        else:
            service.release(uow, [report], room.person(uow, "verifier"), DESK)

    def second() -> None:
        try:
            with room.world.lab.uow() as uow:
                act("release" if first == "refund" else "refund", uow)
        except (UserError, Conflict) as error:
            refused.append(str(error))

    other = threading.Thread(target=second)
    with room.world.lab.uow() as uow:
        act(first, uow)
        uow.s.flush()
        other.start()
        other.join(0.5)  # it waits at the tube's lock; without one it would be done by now
    other.join(30)
    assert len(refused) == 1 and ("已取消或退费" if first == "refund" else "已出报告") in refused[0]
    work(room)
    with room.world.lab.uow() as uow:
        told = one(uow, "SELECT count(*) FROM report_version")
        assert (told, one(uow, "SELECT status FROM order_item WHERE id = :i", i=asked)) == (
            (0, "refunded") if first == "refund" else (1, "reported")
        )
