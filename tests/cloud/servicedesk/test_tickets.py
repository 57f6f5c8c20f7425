"""Tickets (M26): every step, the solution clock at its edges, who may say that it is solved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import text

from cloud.jobs import all_jobs, run_job
from cloud.modules.servicedesk import rules
from cloud.modules.servicedesk.rules import Severity, State
from tests.support.lab import Client, Lab

AT = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
ALLOWED = {
    ("new", "accepted"),
    ("accepted", "diagnosing"),
    ("diagnosing", "solution_given"),
    ("solution_given", "onsite_scheduled"),
    ("solution_given", "resolved"),
    ("onsite_scheduled", "onsite"),
    ("onsite", "resolved"),
    ("resolved", "confirmed"),
    ("resolved", "reopened"),
    ("confirmed", "closed"),
    ("confirmed", "reopened"),
    ("closed", "reopened"),
    ("reopened", "diagnosing"),
}


@pytest.mark.parametrize(("state", "to"), list(product(State, State)))
def test_every_pair_of_states_is_decided(state: State, to: State) -> None:
    problem = rules.move_problem(state, to, "已做", "甲", "乙", Severity.P1, "原因", AT, AT)
    assert (problem is None) is ((state.value, to.value) in ALLOWED)
    assert rules.move_problem(state, to, "  ", "甲", "乙", Severity.P1, "原因", AT, AT) is not None


@pytest.mark.parametrize(("owner", "backup", "ok"), [("甲", "乙", True), ("甲", "甲", False), ("甲", " ", False), ("", "乙", False)])
def test_no_ticket_depends_on_one_person(owner: str, backup: str, ok: bool) -> None:
    assert (rules.move_problem(State.NEW, State.ACCEPTED, "受理", owner, backup, Severity.P2, "", None, AT) is None) is ok


@pytest.mark.parametrize(("severity", "cause", "ok"), [("P1", "", False), ("P1", "网卡", True), ("P2", "", True)])
def test_p1_is_not_closed_without_its_cause(severity: str, cause: str, ok: bool) -> None:
    assert (rules.move_problem(State.CONFIRMED, State.CLOSED, "好", "", "", Severity(severity), cause, None, AT) is None) is ok


@pytest.mark.parametrize(("days", "ok"), [(7, True), (7.001, False)])
def test_reopening_ends_after_a_week(days: float, ok: bool) -> None:
    closed = AT - timedelta(days=days)
    assert (rules.move_problem(State.CLOSED, State.REOPENED, "又坏", "", "", Severity.P2, "", closed, AT) is None) is ok


DAY = timedelta(hours=24)


@pytest.mark.parametrize(
    ("back", "why", "ok"), [(DAY, "", True), (-timedelta(seconds=1), "", False), (DAY * 2, "", False), (DAY * 2, "停电", True)]
)
def test_when_the_laboratory_was_in_touch(back: timedelta, why: str, ok: bool) -> None:
    assert (rules.notified_problem(AT - back, AT, why) is None) is ok


def test_ac_sla_5_the_clock_runs_from_the_contact_and_not_from_the_typing() -> None:
    assert rules.solution_due(AT) == AT + timedelta(hours=1)


def test_ac_sla_6_the_last_moment_is_in_time() -> None:
    due = rules.solution_due(AT)
    assert not rules.breached(due, due) and rules.breached(due, due + timedelta(seconds=1))


def test_from_one_line_to_the_laboratorys_word(lab: Lab) -> None:
    lab.clock.set(AT)
    tester, engineer = lab.client("tester"), lab.client("engineer")
    form = {"title": "三号机不传结果", "severity": "P1", "category": "fault"}
    assert tester.post("/desk", form | {"title": " "}).status_code == 422
    assert tester.post("/desk", form | {"severity": "P9"}).status_code == 422
    assert tester.post("/desk", form | {"notified_at": "gestern"}).status_code == 422
    assert tester.post("/desk", form | {"notified_at": "2026-05-04T10:01"}).status_code == 422
    assert tester.post("/desk", form | {"analyzer": "999"}).status_code == 404
    assert engineer.post("/desk", form).status_code == 403
    url = tester.post("/desk", form | {"notified_at": "2026-05-04T09:20"}).headers["Location"]
    version = 1

    def step(who: Client, to: str, **more: str) -> int:
        return who.post(url, {"to": to, "version": version, "words": "已做", **more}).status_code

    def alerts() -> list[str]:
        run_job(lab.db, all_jobs()["servicedesk.watch"], [lab.a])
        with lab.uow() as uow:
            return list(uow.s.execute(text("SELECT message FROM alert WHERE cleared_at IS NULL ORDER BY kind")).scalars())

    assert [m[-20:] for m in alerts()] == ["工单 %(no)s 的方案时限已用去一半：%(title)s"[-20:]]
    lab.clock.advance(minutes=8)
    assert len(alerts()) == 2 and "80%%" in alerts()[0]
    lab.clock.advance(minutes=13)
    assert "已超过 1 小时" in alerts()[0]
    tester, engineer = lab.client("tester"), lab.client("engineer")
    assert step(engineer, "accepted") == 422 and step(engineer, "onsite") == 409 and step(tester, "accepted") == 403
    for to, more in (("accepted", {"owner": "甲", "backup": "乙"}), ("diagnosing", {}), ("solution_given", {}), ("resolved", {})):
        assert step(engineer, to, **more) == 303
        assert step(engineer, to, **more) == 409
        version += 1
    assert alerts() == []
    assert step(engineer, "confirmed") == 403
    assert step(tester, "confirmed") == 303
    version += 1
    assert step(tester, "closed") == 422
    assert step(tester, "closed", root_cause="交换机端口松动") == 303
    assert "交换机端口松动" in tester.get(url).text
    assert "三号机不传结果" not in tester.get("/desk").text and "三号机不传结果" in tester.get("/desk?show=closed").text
    assert lab.client("tester", lab.b).get(url).status_code == 404


def test_clinician_and_record_room_ask_and_see_their_own_alone(lab: Lab) -> None:
    doctor, room, tester = lab.client("clinician"), lab.client("recordroom"), lab.client("tester")
    form = {"title": "报告打不开", "severity": "P2", "category": "fault", "phone": "8123"}
    for wrong in ({"title": " "}, {"category": "device"}, {"category": ""}, {"severity": "P9"}):
        assert doctor.post("/desk/mine", form | wrong).status_code == 422
    answer = doctor.post("/desk/mine", form)
    url = answer.headers["Location"]
    assert answer.status_code == 303 and "报告打不开" in doctor.get(url).text and "报告打不开" in doctor.get("/desk/mine").text
    assert "报告打不开" not in room.get("/desk/mine").text and room.get(url).status_code == 404
    desk = url.replace("/mine", "")
    assert doctor.get("/desk").status_code == 403 == doctor.get(desk).status_code == tester.get("/desk/mine").status_code
    page = tester.get(desk).text
    assert "8123" in page and "网页" in page
    assert doctor.post(desk, {"to": "confirmed", "words": "好", "version": "1"}).status_code == 403, "the laboratory says that it is solved"
    assert "记录为" not in doctor.get(url).text
    assert room.post("/desk/mine", form | {"title": "打印机缺纸"}).status_code == 303
    assert "打印机缺纸" in room.get("/desk/mine").text and "报告打不开" not in room.get("/desk/mine").text
    assert lab.client("clinician", lab.b).get(url).status_code == 404
