"""Critical values: found once, told with an equal read-back, every attempt kept."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import openpyxl
import pytest
from pypdf import PdfReader
from sqlalchemy import text

from cloud import relay
from cloud.jobs import all_jobs, run_job
from cloud.modules.bench import service as bench
from cloud.modules.critical import queries, service
from cloud.modules.critical.rules import State
from cloud.modules.platform import lists, signing
from cloud.modules.reports import service as reports
from cloud.modules.specimens import referral
from cloud.reports.documents import Column, ListDocument
from cloud.worker import all_handlers
from common import ids
from common.errors import UserError
from tests.cloud.bench.world import World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase

RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
FOUND = datetime.fromisoformat("2026-05-04T10:02:00+08:00")


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = labs.make(fresh_db)
    yield build(lab)
    lab.db.dispose()


def call(readback: str = "6.8", **more: Any) -> dict[str, Any]:
    return {"receiver": "王护士", "dept": "内科一病区", "readback": readback, "identity": "1"} | more


@pytest.fixture
def day(world: World) -> World:
    world.lab.clock.set(FOUND)
    return world


def found(world: World, value: str = "6.8", code: str = "K", **more: Any) -> tuple[int, int]:
    """(event, tube) of a critical value that has just arrived."""
    with world.lab.uow() as uow:
        tube = world.tube(uow, **more)
        world.send(uow, tube, {code: value}, RUN)
        [line] = queries.of_specimen(uow, tube)
        return line.event.id, tube


def version(world: World, event: int) -> int:
    with world.lab.uow() as uow:
        line = queries.one(uow, event)
        assert line is not None
        return line.event.version


def state(world: World, event: int) -> str:
    with world.lab.uow() as uow:
        line = queries.one(uow, event)
        assert line is not None
        return line.event.state


def confirmed(world: World, **more: Any) -> int:
    event, _ = found(world, **more)
    for role in ("tester", "verifier"):
        answer = world.lab.client(role).post(f"/critical/{event}/confirm", {"version": version(world, event)}, htmx=True)
        assert answer.status_code == 200, answer.text
    return event


def test_two_persons_check_before_anybody_is_told(day: World) -> None:
    event, _ = found(day)
    tester = day.lab.client("tester")
    assert tester.post(f"/critical/phone/{event}", call() | {"version": 1}, htmx=True).status_code == 409
    assert tester.post(f"/critical/{event}/confirm", {"version": 1}, htmx=True).status_code == 200
    answer = tester.post(f"/critical/{event}/confirm", {"version": 2}, htmx=True)
    assert answer.status_code == 409 and "两人" in answer.text and state(day, event) == "detected"
    stale = day.lab.client("verifier").post(f"/critical/{event}/confirm", {"version": 1}, htmx=True)
    assert stale.status_code == 409 and "已由他人处理" in stale.text
    assert day.lab.client("verifier").post(f"/critical/{event}/confirm", {"version": 2}, htmx=True).status_code == 200
    with day.lab.uow() as uow:
        line = queries.one(uow, event)
        assert line is not None and line.event.state == "confirmed" and [c.by_name for c in line.checks] == ["检验者一号", "审核者一号"]
        # Channels nobody has set up say so; nothing is claimed to be sent.
        assert {(a.channel, a.outcome) for a in line.attempts} == {("sms", "unset"), ("wechat", "unset")}
        assert uow.s.execute(text("SELECT count(*) FROM outbox_event WHERE topic = 'critical.confirmed'")).scalar_one() == 1


def test_a_check_leaves_the_board_as_it_was_asked_for(day: World) -> None:
    done, open_one = told(day), found(day)[0]
    tester = day.lab.client("tester")
    url = "/critical/board?section=CHEM&show=untold"
    page = tester.get(url).text
    assert f"/critical/{open_one}/confirm?section=CHEM&amp;show=untold" in page and f"/critical/phone/{done}" not in page
    after = tester.post(f"/critical/{open_one}/confirm?section=CHEM&show=untold", {"version": version(day, open_one)}, htmx=True).text
    assert f"/critical/phone/{open_one}" in after and f"/critical/phone/{done}" not in after


def test_ac_cv_4_readback_5_8_for_6_8_is_refused_and_logged(day: World) -> None:
    event = confirmed(day)
    tester = day.lab.client("tester")
    answer = tester.post(f"/critical/phone/{event}", call("5.8") | {"version": version(day, event)}, htmx=True)
    assert answer.status_code == 200 and "不一致" in answer.text and answer.headers["HX-Trigger"] == '{"sound":"bad"}'
    assert 'value="王护士"' in answer.text  # nothing typed is lost
    with day.lab.uow() as uow:
        line = queries.one(uow, event)
        assert line is not None and line.event.state == "notifying"
        assert [(a.readback, a.ok, a.by_name) for a in line.told_by("phone")] == [("5.8", False, "检验者一号")]
        actions = uow.s.execute(text("SELECT action FROM audit_log WHERE entity = 'critical' ORDER BY seq")).scalars().all()
        assert actions == ["detect", "confirm", "confirm", "readback_refused"]
    english = tester.post("/lang/en")
    assert english.status_code in (200, 302, 303)
    told = tester.post(f"/critical/phone/{event}", call("5.8") | {"version": version(day, event)}, htmx=True)
    assert "was read back, the value is 6.8" in told.text  # refusals with values speak the reader's language
    shown = tester.get(f"/critical/phone/{event}").text
    assert " or &gt;" in shown and " 或 " not in shown  # and so do the limits
    good = tester.post(f"/critical/phone/{event}", call() | {"version": version(day, event)}, htmx=True)
    assert good.status_code == 200 and state(day, event) == "received"
    with day.lab.uow() as uow:
        line = queries.one(uow, event)
        assert line is not None and (line.event.received_by, line.event.received_dept) == ("内科一病区 王护士", "内科一病区")


def test_ac_cv_3_a_rerun_of_the_same_tube_counts_once_each_item_by_itself(day: World) -> None:
    with day.lab.uow() as uow:
        tube = day.tube(uow)
        day.send(uow, tube, {"K": "6.8", "CREA": "920"}, RUN)
        day.send(uow, tube, {"K": "6.9"}, RUN + timedelta(minutes=9))
        lines = queries.of_specimen(uow, tube)
        assert [(x.event.item_name, x.event.value_text, [v for v, _ in x.event.reruns]) for x in lines] == [
            ("项目K", "6.9", ["6.8"]),
            ("项目CREA", "920", []),
        ]
        assert lines[0].event.found_at == uow.now  # the first value started the clock
        counted = queries.stats(uow, uow.now.date(), uow.now.date())
        assert (counted.whole.needing, counted.whole.told) == (2, 0)


def test_a_false_alarm_does_not_silence_the_next_critical_value_of_the_tube(day: World) -> None:
    event, tube = found(day)
    day.lab.client("tester").post(f"/critical/{event}/dismiss", {"version": 1, "reason": "溶血"}, htmx=True)
    with day.lab.uow() as uow:
        day.send(uow, tube, {"K": "6.9"}, RUN + timedelta(minutes=9))
        assert [(x.event.round, x.event.state) for x in queries.of_specimen(uow, tube)] == [(1, "false_alarm"), (2, "detected")]
        counted = queries.stats(uow, uow.now.date(), uow.now.date())
        assert (counted.whole.needing, counted.false_alarms) == (1, 1)


def told(world: World, **more: Any) -> int:
    event = confirmed(world, **more)
    answer = world.lab.client("tester").post(
        f"/critical/phone/{event}", call(more.get("value", "6.8")) | {"version": version(world, event)}, htmx=True
    )
    assert answer.status_code == 200 and state(world, event) == "received", answer.text
    return event


def test_a_repeat_within_a_day_rests_on_the_first_call_unless_worse(day: World) -> None:
    with day.lab.uow() as uow:
        patient, second = day.patient(uow), day.patient(uow)
        # A second record of the same person, read together with the first (M03 R7).
        uow.s.execute(text("UPDATE patient SET merged_into = :p WHERE id = :s"), {"p": patient, "s": second})
    first = told(day, patient=patient)
    day.lab.clock.advance(hours=2)
    again, _ = found(day, "6.9", patient=patient)
    beside, _ = found(day, "6.9", patient=second)
    worse, _ = found(day, "9.0", patient=patient)
    other, _ = found(day, "6.9")
    with day.lab.uow() as uow:
        got = {i: queries.one(uow, i) for i in (again, beside, worse, other)}
        assert {i: (x.event.state, x.event.handling, x.event.repeat_of) for i, x in got.items() if x} == {
            again: ("merged", "merged", first),
            beside: ("merged", "merged", first),
            worse: ("detected", "full", None),
            other: ("detected", "full", None),
        }
    for verb in ("confirm", "dismiss", "escalate", "close", "handle"):
        data = {"version": 1, "reason": "x", "action": "x", "level": 1}
        assert day.lab.client("tester").post(f"/critical/{again}/{verb}", data, htmx=True).status_code == 409, verb


@pytest.mark.parametrize("start", list(State))
def test_every_verb_that_the_table_does_not_allow_is_refused_with_409(day: World, start: State) -> None:
    event, _ = found(day)
    verbs: dict[str, tuple[str, dict[str, Any], set[State]]] = {
        "confirm": (f"/critical/{event}/confirm", {}, {State.DETECTED}),
        "dismiss": (f"/critical/{event}/dismiss", {"reason": "溶血"}, {State.DETECTED, State.CONFIRMED}),
        "tell": (f"/critical/phone/{event}", call(), {State.CONFIRMED, State.NOTIFYING, State.ESCALATED, State.UNREACHABLE}),
        "none": (f"/critical/phone/{event}/none", {"called": "8001"}, {State.CONFIRMED, State.NOTIFYING, State.ESCALATED}),
        "escalate": (f"/critical/{event}/escalate", {"level": 1}, {State.CONFIRMED, State.NOTIFYING, State.ESCALATED, State.UNREACHABLE}),
        "handle": (f"/critical/{event}/handle", {"action": "透析"}, {State.RECEIVED, State.ACKNOWLEDGED}),
        "close": (f"/critical/{event}/close", {}, {State.HANDLED}),
    }
    client = day.lab.client("tester")
    for name, (url, data, allowed) in verbs.items():
        with day.lab.uow() as uow:
            uow.s.execute(
                text("UPDATE critical_event /* by hand */ SET state = :s, n_checks = 0, escalation_level = 0"), {"s": start.value}
            )
            uow.s.execute(text("DELETE FROM critical_check"))
        answer = client.post(url, data | {"version": version(day, event)}, htmx=True)
        assert answer.status_code == (200 if start in allowed else 409), (name, start, answer.status_code)


def test_the_clock_reminds_and_escalates_by_roster_and_contacts(day: World) -> None:
    event = confirmed(day)  # ward: 15 minutes
    leader = day.lab.client("leader")
    assert (
        leader.post("/critical/limits/contact", {"level": 1, "place": "内科一病区", "contact": "护士站", "phone": "8101"}).status_code
        == 303
    )
    assert leader.post("/critical/limits/contact", {"level": 3, "place": "", "contact": "总值班", "phone": "8000"}).status_code == 303
    steps = []
    for minutes in (7.4, 7.5, 15, 22.5, 30, 60):
        day.lab.clock.set(FOUND + timedelta(minutes=minutes))
        run_job(day.lab.db, all_jobs()["critical.watch"], [day.tenant])
        with day.lab.uow() as uow:
            line = queries.one(uow, event)
            assert line is not None
            steps.append((line.event.state, line.event.escalation_level, line.event.reminded_at is not None))
    assert steps == [
        ("confirmed", 0, False),
        ("confirmed", 0, True),
        ("escalated", 1, True),
        ("escalated", 2, True),
        ("escalated", 3, True),
        ("escalated", 3, True),
    ]
    with day.lab.uow() as uow:
        line = queries.one(uow, event)
        assert line is not None
        assert [(a.level, a.receiver, a.outcome) for a in line.told_by("level")] == [
            (1, "护士站 8101", "due"),
            (2, "", "unset"),
            (3, "总值班 8000", "due"),
        ]
        [alarm] = uow.s.execute(text("SELECT level, message, cleared_at FROM alert WHERE kind = 'critical.clock'")).all()
        assert "已升级" in alarm.message and alarm.cleared_at is None
        topics = uow.s.execute(text("SELECT topic FROM outbox_event WHERE topic LIKE 'critical.%' ORDER BY id")).scalars().all()
        assert topics == ["critical.confirmed", "critical.remind", "critical.escalate", "critical.escalate", "critical.escalate"]


def test_three_calls_nobody_answers_go_up_and_a_late_answer_still_counts(day: World) -> None:
    event = confirmed(day)
    client = day.lab.client("tester")
    for n in range(3):
        answer = client.post(f"/critical/phone/{event}/none", {"version": version(day, event), "called": "8101"}, htmx=True)
        assert answer.status_code == 200 and state(day, event) == ("unreachable" if n == 2 else "notifying")
    assert client.post(f"/critical/phone/{event}/none", {"version": version(day, event), "called": "8101"}, htmx=True).status_code == 409
    run_job(day.lab.db, all_jobs()["critical.watch"], [day.tenant])
    assert state(day, event) == "escalated"
    assert client.post(f"/critical/phone/{event}", call() | {"version": version(day, event)}, htmx=True).status_code == 200
    assert state(day, event) == "received"
    with day.lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM alert WHERE cleared_at IS NULL AND kind = 'critical.clock'")).scalar_one() == 0


def test_the_ward_answers_its_pop_up_and_nobody_elses(day: World) -> None:
    event = confirmed(day)
    doctor, nurse = day.lab.client("clinician"), day.lab.client("nurse")
    assert doctor.fragment("/critical/clinic/waiting").text == ""  # no ward of one's own
    with day.lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET wards = ARRAY['内科一病区'] WHERE employee_no IN ('clinician1', 'nurse1')"))
    shown = nurse.fragment("/critical/clinic/waiting").text
    assert "<dialog" in shown and "data-must" in shown and "张三丰" in shown and state(day, event) == "notifying"
    nurse.fragment("/critical/clinic/waiting")
    with day.lab.uow() as uow:
        line = queries.one(uow, event)
        assert line is not None and [(a.receiver, a.outcome) for a in line.told_by("popup")] == [("护士/采血员一号", "shown")]
    wrong = nurse.post(f"/critical/clinic/{event}", {"version": version(day, event), "readback": "5.8", "action": "复查"}, htmx=True)
    assert "不一致" in wrong.text and 'value="复查"' in wrong.text and state(day, event) == "notifying"
    answer = nurse.post(f"/critical/clinic/{event}", {"version": version(day, event), "readback": "6.8"}, htmx=True)
    assert answer.status_code == 200 and state(day, event) == "received"
    assert nurse.post(f"/critical/clinic/{event}/ack", {"version": version(day, event)}, htmx=True).status_code == 422
    assert doctor.post(f"/critical/clinic/{event}/ack", {"version": version(day, event)}, htmx=True).status_code == 401  # C9: PIN first
    day.lab.sign(doctor)
    assert doctor.post(f"/critical/clinic/{event}/ack", {"version": version(day, event)}, htmx=True).status_code == 200
    assert doctor.post(f"/critical/clinic/{event}/handle", {"version": version(day, event), "action": "降钾"}, htmx=True).status_code == 200
    closed = day.lab.client("tester").post(f"/critical/{event}/close", {"version": version(day, event)}, htmx=True)
    assert closed.status_code == 200 and state(day, event) == "closed"
    with day.lab.uow() as uow:
        line = queries.one(uow, event)
        assert line is not None
        content = signing.content_hash(service.signed_content(line.event))
        assert signing.signed(uow, "critical", event, content)
        uow.s.execute(text("UPDATE app_user SET wards = ARRAY['外科'] WHERE employee_no = 'nurse1'"))
    other = confirmed(day)
    assert nurse.post(f"/critical/clinic/{other}", {"version": version(day, other), "readback": "6.8"}, htmx=True).status_code == 404


def test_the_register_prints_and_exports_what_it_shows(day: World) -> None:
    event = told(day)
    tester = day.lab.client("tester")
    assert "6.8" in tester.get("/critical/register").text and "危急值统计" in tester.get("/critical/stats").text
    tester.get("/critical/limits")
    for kind in ("pdf", "xlsx"):
        waiting = tester.post("/critical/register/print", {"kind": kind})
        assert waiting.status_code == 303
        job = waiting.headers["Location"]
        assert tester.get(f"{job}/file").status_code == 404 and "正在生成" in tester.get(job).text
        relay.drain(day.lab.db, day.tenant, all_handlers())
        made = tester.get(f"{job}/file")
        assert made.status_code == 200, kind
        assert day.lab.client("verifier").get(f"{job}/file").status_code == 404  # one's own files only
        if kind == "xlsx":
            rows = list(openpyxl.load_workbook(io.BytesIO(made.data)).active.values)
            assert "仅限导出人使用" in rows[1][0] and rows[2][0] == "发现时间"
            assert "6.8" in rows[3][3] and rows[3][6] == "10:02" and rows[2][6] == "接收"
        else:
            words = PdfReader(io.BytesIO(made.data)).pages[0].extract_text()
            assert "危急值登记本" in words and "6.8" in words and "组长审核" in words
    assert event


def test_every_number_of_the_indicators_opens_a_list_as_long(day: World) -> None:
    """What is a false alarm or rests on an earlier call is counted nowhere, and stands in none of these lists."""
    quick, _ = told(day), confirmed(day)
    for since in ("confirmed_at", "found_at"):  # one second late by one edition alone, one exactly in time
        exact, late = told(day), told(day)
        for event, seconds in ((exact, 0), (late, 1)):
            query = f"UPDATE critical_event SET {since} = received_at - make_interval(secs => minutes * 60 + :s) WHERE id = :i"
            with day.lab.uow() as uow:
                uow.s.execute(text(query), {"s": seconds, "i": event})
    false, _ = found(day)
    misheard = confirmed(day)
    for _n in range(2):
        url, said = f"/critical/phone/{misheard}", call("5.8") | {"version": version(day, misheard)}
        assert "不一致" in day.lab.client("tester").post(url, said, htmx=True).text
    no = {"version": version(day, false), "why": "标本稀释", "reason": "标本稀释"}
    assert day.lab.client("tester").post(f"/critical/{false}/dismiss", no, htmx=True).status_code == 200
    with day.lab.uow() as uow:
        uow.s.execute(text("UPDATE critical_event SET ward = '', dept = '' WHERE id = :i"), {"i": confirmed(day)})
    tester = day.lab.client("tester")
    page = tester.get("/critical/stats").text
    assert "（共 2 次）" in page
    links = re.findall(r'href="(/critical/register\?[^"]*)"[^>]*>(?:[^<\d]*)(\d+)(?: 项)?</a>', page)
    assert {"counted", "dept"} <= {name for href, _ in links for name in re.findall(r"(\w+)=", href)} and ("8" in {n for _, n in links})
    for href, n in links:
        assert tester.get(href.replace("&amp;", "&")).text.count('<tr><td class="nowrap"><a href="/critical/phone/') == int(n), href
    whole = {filter_: int(n) for filter_, n in re.findall(r'counted=1(?:&amp;|&)told=(\w+)"[^>]*>(\d+)</a>', page)}
    assert whole == {"any": 5, "2015": 4, "2025": 4}
    assert f"/critical/phone/{quick}" in tester.get("/critical/register?counted=1&told=2025").text
    for kind, status in (("pdf", 303), ("xlsx", 303), ("x", 422)):
        assert tester.post("/critical/stats/print", {"kind": kind}).status_code == status


def test_a_referred_tubes_critical_value_follows_the_same_record(day: World) -> None:
    """R8: typed from the other laboratory's report, it is found, checked, told and registered like any other."""
    with day.lab.uow() as uow:
        tube = day.tube(uow)
        stem = str(uow.s.execute(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": tube}).scalar_one())[:-1]
        barcode = next(f"{stem}{n}" for n in range(10) if ids.recognise(f"{stem}{n}").ok)
        uow.s.execute(text("UPDATE specimen SET barcode = :b WHERE id = :i"), {"i": tube, "b": barcode})
        referral.send_out(uow, barcode, referral.Sending("省临检中心", due=uow.now.date()))
    with day.lab.uow() as uow:
        referral.came_back(uow, barcode, "SL-1")
        test = uow.s.execute(text("SELECT id, version FROM test WHERE specimen_id = :s AND item_id = :i"), {"s": tube, "i": day.items["K"]})
        row = test.one()
        bench.enter_result(uow, bench.Entry(row.id, row.version, "6.8", again="6.8"))
        [line] = queries.of_specimen(uow, tube)
        event = line.event.id
        assert line.event.state == State.DETECTED and queries.unchecked(uow, [tube]) == {tube: ["项目K"]}
    tester = day.lab.client("tester")
    assert "省临检中心" in tester.get(f"/critical/phone/{event}").text
    for role in ("tester", "verifier"):
        done = day.lab.client(role).post(f"/critical/{event}/confirm", {"version": version(day, event), "from": "phone"}, htmx=True)
        assert done.status_code == 200, done.text
    assert tester.post(f"/critical/phone/{event}", call() | {"version": version(day, event)}, htmx=True).status_code == 200
    with day.lab.uow() as uow:
        [line] = queries.register(uow, queries.Wanted(uow.now.date(), uow.now.date()))
        assert (line.event.id, line.event.state, line.event.readback) == (event, State.RECEIVED, "6.8")
        counted = queries.stats(uow, uow.now.date(), uow.now.date())
        assert (counted.whole.needing, counted.whole.told) == (1, 1)


def test_a_workbook_holds_texts_never_formulas() -> None:
    document = ListDocument("院", "单", (Column("甲"),), (("=1+1",), ("@SUM(A1)",), ("\x01坏",)), RUN)
    sheet = openpyxl.load_workbook(io.BytesIO(lists.workbook(document))).active
    assert [(row[0].value, row[0].data_type) for row in sheet.iter_rows(min_row=3)] == [("=1+1", "s"), ("@SUM(A1)", "s"), ("\ufffd坏", "s")]


def test_an_unchecked_critical_value_keeps_the_report_in(day: World) -> None:
    from tests.cloud.reports.test_release import DESK, Room

    room = Room(day)
    with day.lab.uow() as uow:
        report = room.tested(uow, {"K": "6.8", "NA": "140", "GLU": "5", "CREA": "80"})
        with pytest.raises(UserError, match="危急值尚未复核：项目K"):
            reports.release(uow, [report], room.person(uow, "verifier"), DESK)
        [line] = queries.board(uow)
        service.confirm(uow, line.event.id, line.event.version)
        with pytest.raises(UserError, match="危急值尚未复核"):
            reports.release(uow, [report], room.person(uow, "verifier"), DESK)
        room.person(uow, "tester")
        service.confirm(uow, line.event.id, line.event.version)
        uow.s.flush()
        assert len(reports.release(uow, [report], room.person(uow, "verifier"), DESK)) == 1


def test_review_finds_what_was_missed_when_the_value_arrived(day: World) -> None:
    from tests.cloud.reports.test_release import Room

    room = Room(day)
    with day.lab.uow() as uow:
        tube = day.tube(uow)
        day.send(uow, tube, {"K": "6.8", "NA": "140", "GLU": "5", "CREA": "80"}, RUN)
        uow.s.execute(text("DELETE FROM critical_event"))
        reports.review(uow, tube, None, room.person(uow, "tester"))
        assert [(x.event.item_name, x.event.value_text, x.event.direction) for x in queries.of_specimen(uow, tube)] == [
            ("项目K", "6.8", "high")
        ]


def test_no_way_of_releasing_passes_an_unchecked_critical_value(day: World) -> None:
    _, tube = found(day)
    with day.lab.uow() as uow:
        with pytest.raises(UserError, match="危急值尚未复核"):
            bench.release(bench.lock_reported(uow, [tube]), [tube])


def test_a_call_is_registered_although_the_clock_and_other_doors_went_on_meanwhile(day: World) -> None:
    """Between the second check and the read-back the pop-up is seen, the HIS has it and half of the time is over: none of it is a reason
    to send away whoever has the ward on the telephone, or the nurse who types into the pop-up."""
    event = confirmed(day)
    seen = version(day, event)
    with day.lab.uow() as uow:
        service.passed_on(uow, event, service.Channel.HIS, "HIS", service.Result.QUEUED)
    with day.lab.uow() as uow:
        assert service.shown(uow, [event])
    for minutes in (8, 16):
        day.lab.clock.set(FOUND + timedelta(minutes=minutes))
        with day.lab.uow() as uow:
            service.watch(uow)
    with day.lab.uow() as uow:
        line = queries.one(uow, event)
        assert line is not None and (line.event.state, line.event.escalation_level, line.event.reminded_at is not None) == (
            "escalated",
            1,
            True,
        )
    tester = day.lab.client("tester")
    again = tester.post(f"/critical/{event}/escalate", {"version": seen, "level": 1}, htmx=True)
    assert again.status_code == 409 and "已升级到“病区电话”" in again.text, "the clock was there first"
    assert tester.post(f"/critical/{event}/escalate", {"version": seen}, htmx=True).status_code == 422
    answer = tester.post(f"/critical/phone/{event}", call() | {"version": seen}, htmx=True)
    assert answer.status_code == 200 and state(day, event) == "received", answer.text
    late = tester.post(f"/critical/phone/{event}", call() | {"version": seen}, htmx=True)
    assert late.status_code == 409 and "已由他人处理" in late.text, "what a person did is seen first"


def test_the_number_to_call_stands_beside_the_call(day: World) -> None:
    event, leader = confirmed(day), day.lab.client("leader")
    assert "☎" not in leader.get(f"/critical/phone/{event}").text
    for level, place, name, phone in ((1, "内科一病区", "护士站", "8101"), (1, "外科", "外科站", "8202"), (3, "", "总值班", "9000")):
        sent = {"level": level, "place": place, "contact": name, "phone": phone}
        assert leader.post("/critical/limits/contact", sent).status_code == 303
    page = leader.get(f"/critical/phone/{event}").text
    assert "<b>护士站 8101</b>" in page and 'value="护士站 8101"' in page and "8202" not in page and "9000" not in page
    with day.lab.uow() as uow:
        uow.s.execute(text("UPDATE critical_event SET escalation_level = 3"))
    page = leader.get(f"/critical/phone/{event}").text
    assert "<b>护士站 8101</b>" in page and "<b>总值班 9000</b>" in page and 'value="总值班 9000"' in page
