"""M11 alerts: a rejection is told in a group of WeChat-Work, tried against a server that answers as the group robot's documents say."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, text

from cloud.modules.catalog.models import Section
from cloud.modules.platform import groups
from cloud.modules.qc import robot
from cloud.modules.qc.models import QcNotice, QcRobot
from cloud.ports import robot as ports
from common.errors import PeerError
from tests.cloud.qc.shop import HOUR, NOON, Shop
from tests.support.fake_group import Group, group

__all__ = ["group"]


def register(shop: Shop, url: str, section: str | None = None) -> int:
    with shop.world.lab.uow() as uow:
        section_id = None if section is None else uow.s.execute(text("SELECT id FROM section WHERE code = :c"), {"c": section}).scalar_one()
        return robot.add(uow, "质控群", section_id, url).id


def sent(shop: Shop) -> int:
    with shop.world.lab.uow() as uow:
        return robot.send(uow)


def alarms(shop: Shop) -> list[str]:
    with shop.world.lab.uow() as uow:
        return list(uow.s.execute(text("SELECT fields->>'why' FROM alert WHERE kind = 'qc.robot' AND cleared_at IS NULL")).scalars())


def test_a_rejection_reaches_the_group_once_and_names_what_to_do(shop: Shop, group: Group) -> None:
    lab = shop.world.lab
    leader = lab.client("leader")
    assert leader.post("/qc/robots", {"name": "质控群", "section": "", "url": group.url}, htmx=True).status_code == 204
    with lab.uow() as uow:
        shop.run(uow, "K", NOON - 4 * HOUR, {1: "4.22", 2: "6.50"})  # a warning is told on the screens only
    assert sent(shop) == 0
    with lab.uow() as uow:
        shop.bad(uow, "K", NOON - 2 * HOUR)  # its second level joins the rejected run: one message
    assert sent(shop) == 1 and sent(shop) == 0
    (words,) = group.said
    assert words.startswith("【室内质控失控】") and "1-3s(L1)" in words and "2026-05-04 10:00" in words and "失控处理" in words
    page = leader.get("/qc/robots").text
    assert "已发出" in page and "1-3s(L1)" in page and "SECRET" not in page
    with lab.uow() as uow:
        assert b"SECRET" not in uow.s.scalars(select(QcRobot)).one().url_sealed
        assert uow.s.execute(text("SELECT count(*) FROM audit_log WHERE entity = 'qc_robot' AND action = 'sent'")).scalar_one() == 1
        assert "SECRET" not in json.dumps([list(map(str, r)) for r in uow.s.execute(text("SELECT * FROM audit_log"))])


def test_a_group_hears_of_its_own_section_only(shop: Shop, group: Group) -> None:
    lab, other = shop.world.lab, Group()
    with lab.uow() as uow:
        own = uow.s.execute(text("SELECT s.code FROM section s JOIN test_item i ON i.section_id = s.id WHERE i.code = 'K'")).scalar_one()
        uow.s.add(Section(code="OTHER", name="另一组"))
    register(shop, group.url, own)
    register(shop, other.url, "OTHER")
    with lab.uow() as uow:
        shop.bad(uow, "K", NOON)
    assert sent(shop) == 1 and (len(group.said), len(other.said)) == (1, 0)
    other.shutdown()
    other.server_close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b'{"errcode":93000,"errmsg":"invalid webhook url"}', "93000"), (b"<html>", "无法识别"), (b"[]", "无法识别"),
        (b'{"errcode":"0"}', "无法识别"), (b"{}", "无法识别"),
    ],
)  # fmt: skip
def test_what_did_not_go_is_tried_again_and_told_until_it_goes(shop: Shop, group: Group, answer: bytes, why: str) -> None:
    lab = shop.world.lab
    register(shop, group.url)
    group.answer = answer
    with lab.uow() as uow:
        shop.bad(uow, "K", NOON)
    assert sent(shop) == 0 and len(alarms(shop)) == 1 and why in alarms(shop)[0]
    assert sent(shop) == 0  # not before its time
    with lab.uow() as uow:
        assert uow.s.scalars(select(QcNotice)).one().attempts == 1
    group.answer = b'{"errcode":0,"errmsg":"ok"}'
    lab.clock.advance(seconds=30)
    assert sent(shop) == 1 and alarms(shop) == [] and len(group.said) == 1


def test_after_two_hours_it_is_given_up_and_said_so(shop: Shop, group: Group) -> None:
    lab = shop.world.lab
    register(shop, group.url)
    group.shutdown()
    group.server_close()
    with lab.uow() as uow:
        shop.bad(uow, "K", NOON)
    for _ in range(20):
        assert sent(shop) == 0
        lab.clock.advance(minutes=10)
    with lab.uow() as uow:
        row = uow.s.scalars(select(QcNotice)).one()
        assert row.ended_at is not None and row.sent_at is None and row.ended_at - row.made_at <= timedelta(hours=2)
    assert "连不上" in alarms(shop)[0] and "SECRET" not in alarms(shop)[0]
    assert "没有发出" in lab.client("leader").get("/qc/robots").text


def test_when_a_message_is_tried_again() -> None:
    made = datetime.fromisoformat("2026-05-04T12:00:00+00:00")
    minutes = [groups.again(made, n, made) for n in (1, 2, 3, 4, 99)]
    assert minutes == [timedelta(seconds=30), timedelta(minutes=2), *[timedelta(minutes=10)] * 3]
    edge = made + timedelta(hours=1, minutes=50)
    assert groups.again(made, 9, edge) == timedelta(minutes=10)
    assert groups.again(made, 9, edge + timedelta(seconds=1)) is None


def test_a_group_that_is_switched_off_hears_nothing_and_one_may_be_tried(shop: Shop, group: Group) -> None:
    lab = shop.world.lab
    number = register(shop, group.url)
    leader = lab.client("leader")
    url = f"/qc/robots/{number}"
    assert "测试消息已发出" in leader.post(url, {"do": "test"}, htmx=True).text and "测试消息" in group.said.pop()
    group.answer = b'{"errcode":45009}'
    refused = leader.post(url, {"do": "test"}, htmx=True)
    assert refused.status_code == 409 and "45009" in refused.text
    with lab.uow() as uow:
        shop.bad(uow, "K", NOON)
    assert sent(shop) == 0 and alarms(shop)
    assert leader.post(url, {"do": "off", "version": 9}, htmx=True).status_code == 409
    assert leader.post(url, {"do": "off", "version": 1}, htmx=True).status_code == 204
    assert alarms(shop) == []
    group.answer = b'{"errcode":0}'
    lab.clock.advance(hours=1)
    with lab.uow() as uow:
        shop.bad(uow, "NA", NOON)
    assert sent(shop) == 0 and group.said == []
    leader = lab.client("leader")
    assert leader.post(url, {"do": "on", "version": 2}, htmx=True).status_code == 204
    assert sent(shop) == 0, "what was made while it was off stays unsaid"
    assert leader.post("/qc/robots/99", {"do": "on", "version": 1}, htmx=True).status_code == 404


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": " "}, "群的名称"), ({"section": "999"}, "专业组"), ({"url": "http://qyapi.weixin.qq.com/x"}, "https"),
        ({"url": "https://qyapi.weixin.qq.com"}, "https"), ({"url": "file:///etc/passwd"}, "https"), ({"url": ""}, "https"),
    ],
)  # fmt: skip
def test_bad_input_is_answered_in_words(shop: Shop, change: dict[str, str], word: str) -> None:
    form = {"name": "群", "section": "", "url": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1"}
    refused = shop.world.lab.client("leader").post("/qc/robots", form | change, htmx=True)
    assert refused.status_code == 422 and word in refused.text
    assert shop.world.lab.client("tester").post("/qc/robots", form, htmx=True).status_code == 403


def test_a_long_message_is_cut_at_a_character(group: Group) -> None:
    ports.send(group.url, "质" * 1000)
    assert group.said == ["质" * (ports.MOST_BYTES // 3)]
    with pytest.raises(PeerError):
        ports.send("http://127.0.0.1:9/x?key=SECRET", "x")
