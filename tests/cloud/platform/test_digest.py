"""The morning digest (automation calendar, 08:00): what each person is told, once a day, in the house and in WeChat-Work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from sqlalchemy import text

from cloud.modules.platform import alerts, digest, wework
from cloud.modules.platform.alerts import Alert
from cloud.modules.platform.digest_rules import Line, Matter, Reader, again, counted, due, lines
from cloud.modules.platform.rules import Level
from common.errors import LocalError
from tests.support import lab as labs
from tests.support.database import TestDatabase
from tests.support.fake_wework import FakeWework
from tests.support.lab import Lab

# 08:01 in the hospital, a day in May.
MORNING = datetime(2026, 5, 5, 0, 1, tzinfo=UTC)
OFFLINE = Alert("edge.offline", "agent:1", Level.WARNING, "%(name)s 离线", "/edge/agents/1", "edge:read", {"name": "采集端 1"})
GAP = Alert("catalog.ri_gap", "SH", Level.WARNING, "%(section)s有 %(n)s 个项目的参考区间有空缺：%(items)s", "/md/ri", "changes:propose",
            {"section": "生化", "n": 2, "items": "钾、钠"})  # fmt: skip


def matter(kind: str, level: Level = Level.WARNING, permission: str = "a", place: str = "", url: str = "/x") -> Matter:
    return Matter(kind, level, url, permission, kind, {}, place)


def test_the_hour() -> None:
    at = {"07:59": False, "08:00": False, "08:01": True, "11:59": True, "12:00": False, "23:00": False, "00:30": False}
    for hour, wanted in at.items():
        moment = datetime.fromisoformat(f"2026-05-05T{hour}:00+08:00")
        assert due(moment, made=False) is wanted and due(moment, made=True) is False, hour


def test_a_message_that_did_not_go_out_is_tried_later_and_later_until_noon() -> None:
    waits = [again(n, MORNING) for n in range(1, 9)]
    assert [(w - MORNING) / timedelta(minutes=1) for w in waits if w] == [1, 2, 4, 8, 16, 30, 30, 30]
    noon = datetime.fromisoformat("2026-05-05T11:59:00+08:00")
    assert again(1, noon) is None and again(1, noon - timedelta(seconds=1)) == noon + timedelta(seconds=59)


def test_each_person_is_told_of_the_own_things_a_line_a_kind() -> None:
    open_ = [matter("edge.b"), matter("edge.a", url="/1"), matter("edge.a", Level.URGENT, url="/2"), matter("qc.c", permission="other")]
    told = lines(open_, Reader(frozenset({"a"}), frozenset()))
    assert [(each.kind, each.level, each.n, each.url) for each in told] == [
        ("edge.a", Level.URGENT, 2, "/alerts?kind=edge.a"),
        ("edge.b", Level.WARNING, 1, "/x"),
    ]
    assert lines(open_, Reader(frozenset(), frozenset())) == []


def test_of_equally_grave_lines_what_the_roles_act_on_is_first() -> None:
    open_ = [matter("catalog.x"), matter("edge.x"), matter("edge.y", Level.NOTICE), matter("orders.x", Level.URGENT)]
    for role, wanted in (
        ("engineer", ["orders.x", "edge.x", "catalog.x", "edge.y"]),
        ("infogroup", ["orders.x", "catalog.x", "edge.x", "edge.y"]),
    ):
        assert [each.kind for each in lines(open_, Reader(frozenset({"a"}), frozenset({role})))] == wanted


def test_a_matter_of_other_places_is_not_told_where_the_right_does_not_count() -> None:
    open_ = [
        replace(matter(f"k.{name}"), at=frozenset(at.split())) for name, at in (("a", "HEM"), ("b", "CHEM"), ("c", "CHEM w1"), ("d", ""))
    ]
    for sections, wards, wanted in (("HEM", "", "ad"), ("HEM", "w1", "acd"), ("CHEM", "w2", "bcd"), ("", "w2", "abcd"), ("—", "w1", "cd")):
        bounds = {"a": (frozenset(sections.split()), frozenset(wards.split()))}
        told = lines(open_, Reader(frozenset({"a"}), frozenset(), frozenset(), bounds))
        assert "".join(sorted(each.kind[2:] for each in told)) == wanted, (sections, wards)
    assert len(lines(open_, Reader(frozenset({"a"}), frozenset(), frozenset(), {"b": (frozenset({"HEM"}), frozenset())}))) == 4


def test_a_wards_own_matter_is_told_to_its_people_alone() -> None:
    open_ = [matter("specimen.a", place="内一"), matter("specimen.b")]
    for wards, wanted in (({"内一"}, 2), ({"外一"}, 1), (set(), 2)):
        assert len(lines(open_, Reader(frozenset({"a"}), frozenset(), frozenset(wards)))) == wanted


def test_what_leaves_the_house_are_numbers() -> None:
    told = [Line("a", Level.URGENT, 2, "", "", {}), Line("b", Level.WARNING, 3, "", "", {}), Line("c", Level.NOTICE, 1, "", "", {})]
    assert counted(told) == (3, 1) and counted([]) == (0, 0)


# --- by the jobs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def made(fresh_db: TestDatabase) -> Iterator[Lab]:
    lab = labs.make(fresh_db, labs.Clock(MORNING))
    wework.configure(lab.settings)
    yield lab
    lab.db.dispose()


@pytest.fixture
def company() -> Iterator[FakeWework]:
    server = FakeWework()
    yield server
    server.close()


def raised(lab: Lab, *more: Alert) -> None:
    with lab.uow() as uow:
        for alert in (OFFLINE, GAP, *more):
            alerts.raise_alert(uow, alert)


def run(lab: Lab) -> int:
    with lab.uow() as uow:
        return digest.make(uow)


def test_one_a_day_however_often_the_worker_starts(made: Lab) -> None:
    raised(made)
    made.clock.set(MORNING - timedelta(minutes=2))
    assert run(made) == 0
    made.clock.set(MORNING)
    people = run(made)
    assert people > 3 and run(made) == 0
    # Later the same morning somebody else's matter came up: it is not of this digest.
    raised(made, replace(OFFLINE, kind="qc.rejected", subject="x", permission="qc:read"))
    assert run(made) == 0
    made.clock.advance(days=1)
    assert run(made) >= people
    with made.uow() as uow:
        n, days = uow.s.execute(text("SELECT count(*), count(DISTINCT day) FROM digest WHERE user_id IS NOT NULL")).one()
        assert days == 2 and n >= 2 * people
        assert uow.s.execute(text("SELECT count(*) FROM audit_log WHERE entity = 'digest' AND action = 'make'")).scalar() == 2
    with made.uow(made.b) as uow:
        assert uow.s.execute(text("SELECT count(*) FROM digest")).scalar() == 0
    # After a month it is taken away.
    made.clock.advance(days=40)
    run(made)
    with made.uow() as uow:
        assert uow.s.execute(text("SELECT count(DISTINCT day) FROM digest")).scalar() == 1


def test_a_morning_without_anything_open_is_over_too(made: Lab) -> None:
    assert run(made) == 0
    made.clock.advance(minutes=30)
    raised(made)
    assert run(made) == 0, "what came up at half past eight is no matter of eight o'clock"


def test_what_somebody_took_on_is_no_news(made: Lab) -> None:
    raised(made)
    with made.uow() as uow:
        for row in alerts.visible(uow, frozenset({"edge:read", "changes:propose"})):
            alerts.acknowledge(uow, row.id, frozenset({"edge:read", "changes:propose"}), "在处理")
    assert run(made) == 0


def test_its_reader_finds_it_on_the_start_page_and_each_line_leads_to_its_list(made: Lab) -> None:
    raised(made, replace(OFFLINE, subject="agent:2", fields={"name": "采集端 2"}))
    leader = made.client("leader")
    assert "/me/digest" not in leader.get("/").text
    assert "那天 08:00 没有等您处理的事" in leader.get("/me/digest").text
    run(made)
    assert re.search(r'href="/me/digest"><b class="n">\D*2<', leader.get("/").text)
    shown = leader.get("/me/digest").text
    body = shown.split("<tbody")[1].split("</tbody>")[0]
    links = [unescape(found) for found in re.findall(r'<a href="([^"]+)"', body)]
    assert set(links) == {"/alerts?kind=edge.offline", "/md/ri"} and "采集端 1 离线 （同类另有 1 条）" in body
    listed = leader.get("/alerts?kind=edge.offline").text.split("<tbody")[1]
    assert "采集端 1 离线" in listed and "采集端 2 离线" in listed and "参考区间有空缺" not in listed
    # Read: it waits no more; the next day has its own, and this one stays to be looked up.
    assert "/me/digest" not in leader.get("/").text
    made.clock.advance(days=1)
    run(made)
    later = made.client("leader")
    assert 'href="/me/digest?day=2026-05-05"' in later.get("/me/digest").text
    assert "2026-05-05" in later.get("/me/digest?day=2026-05-05").text
    assert later.get("/me/digest?day=never").status_code == 200
    # Another person has the own one.
    assert "采集端 1 离线" not in made.client("nurse").get("/me/digest").text


def bound(lab: Lab, company: FakeWework, **people: str) -> None:
    with lab.uow() as uow:
        given = wework.Given("ww-corp", "1000002", "ww-secret", company.base, company.base, True)
        wework.save(uow, given, lab.settings.secret)
        for number, member in people.items():
            uow.s.execute(text("UPDATE app_user SET wework_id = :m WHERE employee_no = :n"), {"m": member, "n": number})


def sent(lab: Lab) -> int:
    with lab.uow() as uow:
        return digest.send(uow)


def test_it_is_told_in_wework_once_by_numbers_alone(made: Lab, company: FakeWework) -> None:
    bound(made, company, leader1="WangWu")
    raised(made, replace(OFFLINE, subject="p", fields={"name": "患者张三的危急值"}, level=Level.URGENT))
    run(made)
    assert (sent(made), sent(made)) == (1, 0)
    [told] = company.told
    words = told["text"]["content"]
    assert told["touser"] == "WangWu" and told["agentid"] == 1000002
    assert "5月5日有 2 类事等您处理，其中紧急 1 类" in words and "/me/digest?day=2026-05-05" in words
    assert "张三" not in words
    assert "已发到企业微信" in made.client("leader").get("/me/digest").text


def test_a_worker_that_died_after_sending_tells_nothing_twice(made: Lab, company: FakeWework) -> None:
    bound(made, company, leader1="WangWu")
    raised(made)
    run(made)
    with pytest.raises(ZeroDivisionError), made.uow() as uow:
        assert digest.send(uow) == 1
        raise ZeroDivisionError  # the process ends before its transaction does
    assert sent(made) == 1
    assert len(company.told) == 1, "the same words again, which WeChat-Work leaves out"


def test_a_company_that_is_away_is_asked_again_and_a_stranger_is_not(made: Lab, company: FakeWework) -> None:
    bound(made, company, leader1="WangWu", infogroup1="Nobody")
    raised(made)
    run(made)
    company.broken = True
    assert (sent(made), sent(made)) == (0, 0)
    company.broken = False
    assert sent(made) == 0 or company.told == []  # the one that was tried waits its minute
    made.clock.advance(minutes=2)
    sent(made)
    assert [each["touser"] for each in company.told] == ["WangWu"]
    asked = len(company.asked)
    made.clock.advance(minutes=40)
    assert sent(made) == 0 and len(company.asked) == asked, "refused: nobody of that name"
    assert "没有发到企业微信" in made.client("infogroup").get("/me/digest").text


def test_without_an_application_nothing_waits_and_one_that_is_gone_ends_it(made: Lab, company: FakeWework) -> None:
    raised(made)
    bound(made, company, leader1="WangWu")
    run(made)
    with made.uow() as uow:
        uow.s.execute(text("UPDATE wework_app SET active = false"))
    assert (sent(made), company.told) == (0, [])
    assert "企业微信未配置" in made.client("leader").get("/me/digest").text
    made.clock.advance(days=1)
    run(made)
    with made.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM digest WHERE next_at IS NOT NULL")).scalar() == 0


def test_a_process_that_was_not_told_its_settings_says_so(made: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wework, "_settings", [])
    with pytest.raises(LocalError), made.uow() as uow:
        wework.current(uow)
