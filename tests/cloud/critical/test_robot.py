"""M10 R3: a critical value calls the ward's group of WeChat-Work. It names nobody and no value, and is no receipt."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from cloud.modules.critical import queries, robot, service
from cloud.modules.critical.models import CriticalNotice, CriticalRobot
from tests.cloud.bench.world import World
from tests.cloud.critical.test_critical import FOUND, call, confirmed, day, found, state, version, world
from tests.support.fake_group import Group, group

__all__ = ["day", "group", "world"]


def register(world: World, url: str, place: str = "") -> int:
    with world.lab.uow() as uow:
        return robot.add(uow, "病区群", place, url).id


def send(world: World) -> None:
    with world.lab.uow() as uow:
        service.send(uow)


def attempts(world: World, event: int) -> list[tuple[str, str, int]]:
    with world.lab.uow() as uow:
        line = queries.one(uow, event)
        assert line is not None
        return [(a.receiver, a.outcome, a.level) for a in line.attempts if a.channel == "wechat"]


def test_the_group_is_called_once_without_name_item_or_value_and_that_is_no_receipt(day: World, group: Group) -> None:
    leader = day.lab.client("leader")
    assert leader.post("/critical/robots", {"name": "病区群", "place": "", "url": group.url}, htmx=True).status_code == 204
    event = confirmed(day)
    assert attempts(day, event) == [("病区群", "queued", 0)] and state(day, event) == "confirmed"
    send(day)
    send(day)
    assert attempts(day, event) == [("病区群", "queued", 0), ("病区群", "sent", 0)] and state(day, event) == "notifying"
    (words,) = group.said
    with day.lab.uow() as uow:
        line = queries.one(uow, event)
        assert line is not None and line.event.received_at is None
        e = line.event
        until = FOUND + timedelta(minutes=e.minutes)
    assert words.startswith(f"【危急值】{e.place}\n") and e.barcode in words and f"{until:%H:%M} 前接收" in words
    assert not any(secret in words for secret in (e.patient_name, e.patient_no, e.item_name, e.value_text))
    page = leader.get("/critical/robots").text
    assert "已发出" in page and "SECRET" not in page
    assert "已发到群" in leader.get(f"/critical/phone/{event}").text
    with day.lab.uow() as uow:
        assert b"SECRET" not in uow.s.scalars(select(CriticalRobot)).one().url_sealed
        assert uow.s.execute(text("SELECT count(*) FROM audit_log WHERE entity = 'critical_robot' AND action = 'sent'")).scalar_one() == 1


def test_each_level_calls_again_and_what_nobody_checked_calls_nobody(day: World, group: Group) -> None:
    register(day, group.url)
    event = confirmed(day)
    send(day)
    unchecked, _ = found(day)
    for at in (15, 23, 30):
        day.lab.clock.set(FOUND + timedelta(minutes=at))
        with day.lab.uow() as uow:
            service.watch(uow)
        send(day)
    assert [outcome for outcome in attempts(day, event) if outcome[1] == "sent"] == [("病区群", "sent", level) for level in (0, 1, 2, 3)]
    assert ["病区电话" in w for w in group.said] == [False, True, False, False] and "总值班" in group.said[3]
    with day.lab.uow() as uow:
        assert uow.s.scalars(select(CriticalNotice.event_id).distinct()).all() == [event]
        line = queries.one(uow, unchecked)
        assert line is not None and line.event.escalation_level == 3


def test_a_late_message_does_not_call_for_what_was_told_meanwhile(day: World, group: Group) -> None:
    register(day, group.url)
    event = confirmed(day)
    answer = day.lab.client("tester").post(f"/critical/phone/{event}", call() | {"version": version(day, event)}, htmx=True)
    assert answer.status_code == 200 and state(day, event) == "received"
    send(day)
    assert group.said == [] and attempts(day, event) == [("病区群", "queued", 0)]
    with day.lab.uow() as uow:
        row = uow.s.scalars(select(CriticalNotice)).one()
        assert row.ended_at is not None and row.sent_at is None


@pytest.mark.parametrize(("place", "heard"), [("", 1), ("ward", 1), ("dept", 1), ("另一病区", 0)])
def test_a_group_hears_of_its_own_place_only(day: World, group: Group, place: str, heard: int) -> None:
    first = confirmed(day)
    with day.lab.uow() as uow:
        line = queries.one(uow, first)
        assert line is not None and line.event.ward and line.event.dept
        place = {"ward": line.event.ward, "dept": line.event.dept}.get(place, place)
    register(day, group.url, place)
    event = confirmed(day)
    send(day)
    assert len(group.said) == heard
    assert [outcome for _, outcome, _ in attempts(day, event)] == (["queued", "sent"] if heard else ["unset"])
    assert [outcome for _, outcome, _ in attempts(day, first)] == ["unset"]


def test_who_may_register_a_group_try_it_and_switch_it_off(day: World, group: Group) -> None:
    lab, form = day.lab, {"name": "病区群", "place": "", "url": group.url}
    assert lab.client("tester").post("/critical/robots", form, htmx=True).status_code == 403
    leader = lab.client("leader")
    for change, word in (({"name": " "}, "群的名称"), ({"url": "http://qyapi.weixin.qq.com/x"}, "https")):
        refused = leader.post("/critical/robots", form | change, htmx=True)
        assert refused.status_code == 422 and word in refused.text
    number = register(day, group.url)
    assert "测试消息已发出" in leader.post(f"/critical/robots/{number}", {"do": "test"}, htmx=True).text and "测试消息" in group.said.pop()
    assert leader.post(f"/critical/robots/{number}", {"do": "off", "version": 9}, htmx=True).status_code == 409
    assert leader.post(f"/critical/robots/{number}", {"do": "off", "version": 1}, htmx=True).status_code == 204
    event = confirmed(day)
    send(day)
    assert group.said == [] and attempts(day, event) == [("", "unset", 0)]
