"""A critical value that was told, or is about to be, and does not stand any more: nobody acts on it, and nothing rests on it."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from cloud.jobs import all_jobs, run_job
from cloud.modules.bench import service as bench
from cloud.modules.critical import queries, rules
from cloud.modules.critical.rules import State
from cloud.modules.reports import queries as reports
from cloud.modules.reports import service
from tests.cloud.bench.world import NORMAL, World
from tests.cloud.critical.test_critical import RUN, call, confirmed, day, found, state, told, version, world
from tests.cloud.reports.test_release import DESK, Room

__all__ = ["day", "world"]
OPEN = text("SELECT fields FROM alert WHERE kind = 'critical.corrected' AND cleared_at IS NULL")


def watch(world: World) -> None:
    assert run_job(world.lab.db, all_jobs()["critical.corrected"], [world.tenant]) == 0


def alarms(world: World) -> int:
    watch(world)
    with world.lab.uow() as uow:
        return len(uow.s.execute(OPEN).all())


def report_of(world: World, event: int) -> tuple[int, str]:
    """The released report of an event's tube."""
    room = Room(world)
    with world.lab.uow() as uow:
        tube = uow.s.execute(text("SELECT specimen_id FROM critical_event WHERE id = :i"), {"i": event}).scalar_one()
        world.send(uow, tube, {k: v for k, v in NORMAL.items() if k != "K"}, RUN)
        report = service.review(uow, tube, None, room.person(uow, "tester"))
        return report, service.release(uow, [report], room.person(uow, "verifier"), DESK)[0]


def amend(world: World, report: int, no: int, value: str) -> None:
    with world.lab.uow() as uow:
        asked = service.AmendRequest(report, no, {world.items["K"]: value}, "result", "标本溶血，复测")
        service.amend(uow, asked, Room(world).person(uow, "senior"), DESK)


def test_who_was_told_a_value_that_was_corrected_is_told_so(day: World) -> None:
    event = told(day)
    report, _ = report_of(day, event)
    assert alarms(day) == 0
    tester = day.lab.client("tester")
    assert tester.post(f"/critical/{event}/corrected", {"whom": "王护士"}, htmx=True).status_code == 409
    amend(day, report, 1, "4.1")
    assert alarms(day) == 1
    page = tester.get(f"/critical/phone/{event}").text
    assert "结果已更正为 4.1，不再是危急值" in page and "请立即告知接收者此值已更正" in page
    assert tester.post(f"/critical/{event}/corrected", {"whom": " "}, htmx=True).status_code == 422
    done = tester.post(f"/critical/{event}/corrected", {"whom": "内科一病区 王护士"}, htmx=True)
    assert done.status_code == 200 and "已告知更正" in done.text and alarms(day) == 0
    for url in ("/critical/board", "/critical/register"):
        assert "结果已更正为 4.1" in tester.get(url).text, url
    # Corrected once more, and recalled: each time anew.
    amend(day, report, 2, "4.5")
    assert alarms(day) == 1
    with day.lab.uow() as uow:
        service.recall(uow, report, "标本混淆", Room(day).person(uow, "leader"))
    assert "报告已召回，此值请勿使用" in tester.get(f"/critical/phone/{event}").text
    assert tester.post(f"/critical/{event}/corrected", {"whom": "王护士"}, htmx=True).status_code == 200 and alarms(day) == 0
    # The value stands again after all: they were told it does not, so this is a call of its own.
    amend(day, report, 3, "6.8")
    watch(day)
    with day.lab.uow() as uow:
        lines = queries.register(uow, queries.Wanted(uow.now.date(), uow.now.date()))
        assert [(x.event.round, x.event.value_text, x.event.state) for x in lines] == [(2, "6.8", "detected"), (1, "6.8", "received")]
    watch(day)
    with day.lab.uow() as uow:
        assert len(queries.register(uow, queries.Wanted(uow.now.date(), uow.now.date()))) == 2


def test_a_rerun_before_the_report_corrects_as_well(day: World) -> None:
    event = told(day)
    with day.lab.uow() as uow:
        row = uow.s.execute(text("SELECT test_id FROM critical_event")).scalar_one()
        stands = uow.s.execute(text("SELECT id, version FROM test WHERE id = :i"), {"i": row}).one()
        bench.enter_result(uow, bench.Entry(stands.id, stands.version, "4.1", reason="溶血，重采复测"))
    assert alarms(day) == 1
    assert "4.1" in day.lab.client("tester").get(f"/critical/phone/{event}").text


def test_a_call_under_way_ends_only_where_its_value_does_not_stand(day: World) -> None:
    event = confirmed(day)
    report, _ = report_of(day, event)
    tester = day.lab.client("tester")
    wrong = call("5.8") | {"version": version(day, event)}
    assert tester.post(f"/critical/phone/{event}", wrong, htmx=True).status_code == 200 and state(day, event) == "notifying"
    no = {"reason": "标本溶血"}
    assert tester.post(f"/critical/{event}/dismiss", no | {"version": version(day, event)}, htmx=True).status_code == 409
    assert "不是危急值" not in tester.get(f"/critical/phone/{event}").text
    amend(day, report, 1, "4.1")
    with day.lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET wards = ARRAY['内科一病区'] WHERE employee_no = 'nurse1'"))
    seen = day.lab.client("nurse").get("/critical/clinic").text
    assert "结果已更正为 4.1" in seen and "不要按此值处置" in seen
    assert tester.post(f"/critical/{event}/dismiss", no | {"version": version(day, event)}, htmx=True).status_code == 200
    assert state(day, event) == "false_alarm" and alarms(day) == 0


def test_whoever_saw_the_pop_up_is_told_of_the_amendment(day: World) -> None:
    event = confirmed(day)
    report, _ = report_of(day, event)
    with day.lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET wards = ARRAY['内科一病区'] WHERE employee_no = 'nurse1'"))
    assert "6.8" in day.lab.client("nurse").get("/critical/clinic/waiting").text
    amend(day, report, 1, "4.1")
    with day.lab.uow() as uow:
        assert [n.name for n in reports.notices(uow, report)] == ["护士/采血员一号"]


def test_the_ward_sees_no_value_of_a_recalled_report_and_need_not_answer_it(day: World) -> None:
    event = confirmed(day)
    report, _ = report_of(day, event)
    with day.lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET wards = ARRAY['内科一病区'] WHERE employee_no = 'nurse1'"))
    nurse = day.lab.client("nurse")
    assert "6.8" in nurse.get("/critical/clinic").text and "cv-popup" in nurse.get("/critical/clinic/waiting").text
    with day.lab.uow() as uow:
        service.recall(uow, report, "标本混淆", Room(day).person(uow, "leader"))
    page = nurse.get("/critical/clinic").text
    assert "报告已召回，此值请勿使用" in page and "6.8" not in page and 'name="readback"' not in page
    assert nurse.get("/critical/clinic/waiting").text == ""
    assert "6.8" in day.lab.client("tester").get(f"/critical/phone/{event}").text  # the laboratory ends the call, and must see which


def test_nothing_rests_on_a_call_that_was_taken_back(day: World) -> None:
    with day.lab.uow() as uow:
        patient = day.patient(uow)
    first = told(day, patient=patient)
    report, _ = report_of(day, first)
    day.lab.clock.advance(hours=2)
    covered, tube = found(day, "6.9", patient=patient)
    assert state(day, covered) == "merged"
    amend(day, report, 1, "4.1")
    watch(day)
    with day.lab.uow() as uow:  # the call it rested on told another value: it is a call of its own
        assert [(x.event.round, x.event.state, x.event.handling) for x in queries.of_specimen(uow, tube)] == [
            (1, "merged", "merged"),
            (2, "detected", "full"),
        ]
    later, _ = found(day, "6.9", patient=patient)
    assert state(day, later) == "detected"


@pytest.mark.parametrize(
    ("test", "value", "critical", "word"),
    [
        ("released", "6.8", True, ""),
        ("received", None, False, ""),
        ("held", "4.1", False, "4.1"),
        ("amended", "4.1", False, "4.1"),
        ("recalled", "6.8", True, "召回"),
        ("cancelled", None, False, "取消"),
    ],
)
def test_what_stands(test: str, value: str | None, critical: bool, word: str) -> None:
    told = rules.standing(test, value, critical)
    assert (told is None) is (word == "") and word in str(told or "")


@pytest.mark.parametrize("at", list(State))
def test_where_a_call_may_end_without_receipt(at: State) -> None:
    gone = rules.standing("recalled", None, False)
    anyhow = at in (State.DETECTED, State.CONFIRMED)
    assert (rules.dismiss_problem(at, None) is None) is anyhow
    assert (rules.dismiss_problem(at, gone) is None) is (anyhow or at in (State.NOTIFYING, State.UNREACHABLE, State.ESCALATED))
