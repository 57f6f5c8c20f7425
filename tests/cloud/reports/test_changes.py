"""Amendment, recall, cancellation (M09): what readers see, who is told, what is counted; every state and verb."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import openpyxl
import pytest
from sqlalchemy import text

from cloud import relay
from cloud.db.session import UnitOfWork
from cloud.jobs import all_jobs, run_job
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.catalog.models import TestItem
from cloud.modules.catalog.rule_models import CalcFormula
from cloud.modules.critical import queries as critical
from cloud.modules.quality import queries as quality
from cloud.modules.reports import figures, infectious, queries, rules, service, watch
from cloud.worker import all_handlers
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, build
from tests.cloud.reports.test_release import DESK, Room
from tests.support import lab as labs
from tests.support.database import TestDatabase


@pytest.fixture
def room(fresh_db: TestDatabase) -> Iterator[Room]:
    lab = labs.make(fresh_db)
    lab.clock.set(datetime(2026, 5, 4, 2, 0, tzinfo=UTC))
    yield Room(build(lab))
    lab.db.dispose()


def lab_name(uow: UnitOfWork, employee_no: str) -> str:
    return str(
        uow.s.execute(
            text("SELECT name FROM app_user WHERE employee_no = :e AND tenant_id = :t"), {"e": employee_no, "t": uow.tenant_id}
        ).scalar_one()
    )


def amend(room: Room, no: str, value: str, reason: str = "result", item: str = "GLU") -> int:
    with room.world.lab.uow() as uow:
        told = queries.released(uow, no, inside=True)
        assert told is not None
        asked = service.AmendRequest(told.report_id, told.version_no, {room.world.items[item]: value}, reason, "录入错误")
        return service.amend(uow, asked, room.person(uow, "senior"), DESK)


def test_ac_r_1_glu_3_2_to_13_2_old_stays_new_says_why_his_and_two_viewers_hear(room: Room) -> None:
    lab = room.world.lab
    with lab.uow() as uow:
        no = room.told(uow, NORMAL | {"GLU": "3.2"})
    with lab.uow() as uow:
        told = queries.released(uow, no)
        assert told is not None
        for role in ("clinician", "nurse"):
            uow.actor = replace(uow.actor, user_id=lab.users[(lab.a, role)], name=role)
            service.seen(uow, told.report_id, 1)
        # The requester has an account here, and has not looked yet.
        uow.s.execute(text("UPDATE app_user SET name = '李医生' WHERE employee_no = 'director1'"))
    assert amend(room, no, "13.2") == 3
    with lab.uow() as uow:
        [row] = queries.search(uow, no, [room.world.section])
        assert (row.current_no, row.verifier) == (2, lab_name(uow, "senior1")), "who signed what stands, not who verified the first"
        new, old = queries.versions(uow, no)
        assert (old.version_state.value, old.lines[2]["value"], new.lines[2]["value"]) == ("superseded", "3.20", "13.20")
        change = new.sheet["amendment"]
        assert "结果错误：录入错误" in change["reason"] and change["changes"] == [
            {"item": "项目GLU", "before": "3.20 mmol/L", "after": "13.20 mmol/L"}
        ]
        assert {n.name: n.read_at for n in queries.notices(uow, new.report_id)} == {
            "临床医生一号": None,
            "护士/采血员一号": None,
            "李医生": None,
        }
        events = uow.s.execute(text("SELECT topic FROM outbox_event WHERE topic LIKE 'report.%' ORDER BY id")).scalars().all()
        assert events == ["report.released", "report.amended"]
    lab.clock.advance(minutes=31)
    assert run_job(lab.db, all_jobs()["reports.watch"], [lab.a]) == 0
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM alert WHERE kind = 'reports.unread' AND cleared_at IS NULL")).scalar_one() == 1
    with pytest.MonkeyPatch.context() as patch:  # beyond so many each is one of a number, none is dropped
        patch.setattr(watch, "SINGLE", 0)
        assert run_job(lab.db, all_jobs()["reports.watch"], [lab.a]) == 0
    with lab.uow() as uow:
        open_ = uow.s.execute(text("SELECT subject, fields FROM alert WHERE kind = 'reports.unread' AND cleared_at IS NULL")).all()
        assert [(o.subject, o.fields["n"]) for o in open_] == [("section:CHEM", 1)]
    with lab.uow() as uow:
        for role in ("clinician", "nurse", "director"):
            uow.actor = replace(uow.actor, user_id=lab.users[(lab.a, role)], name=role)
            service.seen(uow, new.report_id, 2)
    assert run_job(lab.db, all_jobs()["reports.watch"], [lab.a]) == 0
    with lab.uow() as uow:
        assert all(n.read_at for n in queries.notices(uow, new.report_id))
        assert uow.s.execute(text("SELECT count(*) FROM alert WHERE kind = 'reports.unread' AND cleared_at IS NULL")).scalar_one() == 0


def test_the_same_values_are_no_change(room: Room) -> None:
    with room.world.lab.uow() as uow:
        no = room.told(uow)
    for value in ("5.00", "5", " 5.000 ", ""):
        with pytest.raises(UserError, match="没有变化"):
            amend(room, no, value)


@pytest.mark.parametrize(("units", "told_as"), [({"K": "mmol/L", "GLU": "mmol/L"}, "9 U/L"), ({}, None)])
def test_what_was_told_without_a_value_and_gets_one_by_calculation_is_listed(
    room: Room, units: dict[str, str], told_as: str | None
) -> None:
    """One that still cannot be calculated stays as it was told."""
    world = room.world
    with world.lab.uow() as uow:
        uow.s.add(CalcFormula(item_id=world.items["EXTRA"], name="和", expression='"K" + "GLU"', units=units))
        uow.s.execute(text("UPDATE catalog_version SET number = number + 1"))
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"K": "4.10", "NA": "140", "CREA": "80"})
        for code in ("GLU", "EXTRA"):
            [line] = [t for t in bench_queries.tests_of(uow, [tube])[tube] if t.item.code == code]
            bench.set_no_result(uow, line.id, line.version, "标本量不足")
        report = service.review(uow, tube, None, room.person(uow, "tester"))
        [no] = service.release(uow, [report], room.person(uow, "verifier"), DESK)
    amend(room, no, "5.00", "supplement")
    with world.lab.uow() as uow:
        told = queries.released(uow, no)
        assert told is not None
        changed = {c["item"]: (c["before"], c["after"]) for c in told.sheet["amendment"]["changes"]}
        expected = {"项目GLU": ("无结果", "5.00 mmol/L")} | ({"项目EXTRA": ("无结果", told_as)} if told_as else {})
        assert changed == expected
        assert any(line["name"] == "项目EXTRA" and "无法计算" in str(line) for line in told.lines) is False


def test_an_amendment_beyond_a_critical_limit_opens_a_critical_value_again_when_it_turns(room: Room) -> None:
    lab = room.world.lab
    with lab.uow() as uow:
        no = room.told(uow)
    amend(room, no, "6.8", item="K")
    amend(room, no, "2.1", item="K")
    with lab.uow() as uow:
        told = queries.released(uow, no)
        assert told is not None
        found = [(x.event.value_text, x.event.direction, x.event.state) for x in critical.of_specimen(uow, told.specimen_id)]
        # Nobody had been told of the first: the one event carries what counts now, with what was before.
        assert found == [("2.1", "low", "detected")]


def test_recall_hides_every_version_then_amended_or_cancelled(room: Room) -> None:
    lab = room.world.lab
    with lab.uow() as uow:
        no, other = room.told(uow), room.told(uow)
    leader, senior, doctor = lab.client("leader"), lab.client("senior"), lab.client("clinician")
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET wards = ARRAY['内科一病区'] WHERE employee_no = 'clinician1'"))
    for which in (no, other):
        assert leader.post(f"/reports/{which}/cancel", {"reason": "x"}).status_code == 409
        assert leader.post(f"/reports/{which}/recall", {"reason": ""}).status_code == 422
        assert leader.post(f"/reports/{which}/recall", {"reason": "标本混淆"}).status_code == 303
        assert leader.post(f"/reports/{which}/recall", {"reason": "标本混淆"}).status_code == 409
        for client, url in ((doctor, f"/clinic/report/{which}"), (senior, f"/reports/{which}"), (senior, f"/reports/{which}/versions")):
            shown = client.get(url).text
            assert "报告已召回，请勿使用" in shown and "5.00" not in shown, url
        assert senior.get(f"/reports/{which}/pdf").status_code == 409 and doctor.get(f"/clinic/report/{which}/pdf").status_code == 409
    assert "5.00" in senior.get(f"/reports/{no}/amend").text  # who amends must see what was told
    amend(room, no, "5.50")
    shown = senior.get(f"/reports/{no}").text
    assert "5.50" in shown and "5.00" not in senior.get(f"/reports/{no}?v=1").text  # the recalled version comes back to nobody
    assert leader.post(f"/reports/{other}/cancel", {"reason": "重采"}).status_code == 303
    assert leader.post(f"/reports/{other}/cancel", {"reason": "重采"}).status_code == 409
    with pytest.raises(UserError, match="已取消"):
        amend(room, other, "5.50")
    assert "报告已召回，请勿使用" in doctor.get(f"/clinic/report/{other}").text


def test_each_figure_is_the_length_of_its_list(room: Room) -> None:
    lab = room.world.lab
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE order_set SET tat_minutes = 30"))
        numbers = [room.told(uow) for _ in range(3)]
        late = uow.s.execute(text("SELECT specimen_id FROM report WHERE no = :n"), {"n": numbers[0]}).scalar_one()
        uow.s.execute(text("UPDATE specimen SET received_at = :at WHERE id <> :s"), {"at": uow.now - timedelta(minutes=30), "s": late})
        uow.s.execute(text("UPDATE specimen SET received_at = :at WHERE id = :s"), {"at": uow.now - timedelta(minutes=31), "s": late})
    amend(room, numbers[0], "5.50")
    amend(room, numbers[1], "5.50", "supplement")
    lab.client("leader").post(f"/reports/{numbers[2]}/recall", {"reason": "标本混淆"})
    with lab.uow() as uow:
        day = uow.now.date()
        wanted = figures.Wanted(day, day, [room.world.section])
        counted = figures.counts(uow, wanted)
        assert counted == {
            figures.Figure.RELEASED: 3,
            figures.Figure.OVERDUE: 1,
            figures.Figure.PRELIMINARY: 0,
            figures.Figure.AMENDED: 2,
            figures.Figure.RECALLED: 1,
            figures.Figure.COCHECK: 0,
            figures.Figure.PENDING: 0,
        }
        for figure, n in counted.items():
            assert len(figures.rows(uow, replace(wanted, figure=figure))) == n, figure
        # What was recalled stays in the recalls of its day, also when it is corrected later, or on another day.
        [gone] = figures.rows(uow, replace(wanted, figure=figures.Figure.RECALLED))
        assert (gone.no, gone.recall_reason, gone.recalled_by, gone.version_no) == (numbers[2], "标本混淆", "专业组长一号", 1)
        reasons = figures.by_reason(uow, wanted)
        assert (reasons[rules.Reason.RESULT], reasons[rules.Reason.SUPPLEMENT], sum(reasons.values())) == (1, 1, 2)
    client = lab.client("leader")
    amend(room, numbers[2], "5.50")
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE report_version SET released_at = released_at - interval '40 days' WHERE state = 'recalled'"))
        assert figures.counts(uow, wanted)[figures.Figure.RECALLED] == 1
    # The day log of the section counts the same, and each of its numbers opens as many lines.
    log = client.get("/bench/daylog/CHEM").text
    opened = re.findall(r'<a href="([^"]+)" class="thing none"><b class="n">(\d+)</b>', log)
    assert [n for url, n in opened if "figure=" in url] == ["2", "3"], opened  # one was first told 40 days ago
    for url, n in opened:
        rows = client.get(html.unescape(url)).text.split("<tbody")[-1]
        assert (0 if "empty" in rows else rows.count("<tr")) == int(n), url
    assert client.get("/reports/figures?figure=released&section=NOWHERE").status_code == 404
    assert "标本混淆" in client.get("/reports/figures?figure=recalled").text
    assert "报告统计" in client.get("/reports/figures?figure=amended&reason=result").text
    job = client.post("/reports/figures/export?figure=amended", {"kind": "xlsx"}).headers["Location"]
    relay.drain(lab.db, lab.a, all_handlers())
    sheet = openpyxl.load_workbook(io.BytesIO(client.get(f"{job}/file").data)).active
    assert sheet.max_row == 6 and "结果错误" in str(sheet.cell(6, 10).value)


def test_a_recall_and_an_error_open_a_nonconformity_a_supplement_does_not(room: Room) -> None:
    with room.world.lab.uow() as uow:
        told = [room.told(uow) for _ in range(2)]
    amend(room, told[0], "5.5", reason="supplement")
    with room.world.lab.uow() as uow:
        assert quality.listed(uow) == []
    amend(room, told[0], "5.6")
    with room.world.lab.uow() as uow:
        found = queries.released(uow, told[1])
        assert found is not None
        service.recall(uow, found.report_id, "标本混淆", room.person(uow, "leader"))
    with room.world.lab.uow() as uow:
        recalled, amended = quality.listed(uow)
        assert (amended.source, recalled.source) == ("amendment", "recall")
        assert "5.50 mmol/L → 5.60 mmol/L" in amended.description and (recalled.severity, recalled.description) == ("serious", "标本混淆")
    assert f"/qms/nc/{recalled.id}" in room.world.lab.client("leader").get(f"/reports/{told[1]}").text


def test_a_notifiable_positive_is_listed_until_its_card_is_sent_and_leaves_with_the_recall(room: Room) -> None:
    lab = room.world.lab
    with lab.uow() as uow:
        item = uow.s.get(TestItem, (uow.tenant_id, room.world.items["GLU"]))
        assert item is not None
        item.notifiable = "A"
    with lab.uow() as uow:
        high, _normal, later = (room.told(uow, NORMAL | {"GLU": value}) for value in ("9.0", "5.0", "8.0"))
    leader = lab.client("leader")
    assert "2 小时内填报" in leader.get(f"/reports/{high}").text
    assert run_job(lab.db, all_jobs()["reports.watch"], [lab.a]) == 0
    with lab.uow() as uow:
        found = infectious.listed(uow, done=False)
        assert [(f.no, f.value_text, f.due_at - f.told_at) for f in found] == [
            (n, v, timedelta(hours=2)) for n, v in ((high, "9.00"), (later, "8.00"))
        ]
        assert uow.s.execute(text("SELECT count(*) FROM alert WHERE kind = 'reports.infectious'")).scalar_one() == 0
    lab.clock.advance(minutes=121)
    assert run_job(lab.db, all_jobs()["reports.watch"], [lab.a]) == 0
    leader = lab.client("leader")
    assert "传染病阳性未报卡" in leader.get("/alerts").text
    with pytest.MonkeyPatch.context() as patch:  # a page of one, one told by itself: the other is reached, and told by its number
        patch.setattr(infectious, "SINGLE", 1)
        patch.setattr(infectious, "PAGE", 1)
        assert run_job(lab.db, all_jobs()["reports.watch"], [lab.a]) == 0
        assert "另有 1 例传染病阳性未报卡" in leader.get("/alerts").text
        pages = [leader.get(f"/reports/infectious?from={n}").text for n in (0, 1)]
        assert [(high in p, later in p) for p in pages] == [(True, False), (False, True)] and "?from=1" in pages[0]
    url = f"/reports/infectious/{found[0].id}"
    assert lab.client("tester").post(url, {"card_no": "1"}).status_code == 403
    assert leader.post(url, {"card_no": " "}).status_code == 422
    assert leader.post(url, {"card_no": "K-2026-1"}).status_code == 303
    assert leader.post(url, {"card_no": "K-2026-2"}).status_code == 409
    amend(room, later, "5.0")
    with lab.uow() as uow:
        assert infectious.listed(uow, done=False) == []
        done = {f.no: f for f in infectious.listed(uow, done=True)}
        assert done[high].card_no == "K-2026-1" and done[high].withdrawn_at is None and done[later].withdrawn_at is not None
    amend(room, later, "7.7")
    with lab.uow() as uow:
        [again] = infectious.listed(uow, done=False)
        assert again.value_text == "7.70"
        released = queries.released(uow, later)
        assert released is not None
        service.recall(uow, released.report_id, "标本混淆", room.person(uow, "leader"))
    with lab.uow() as uow:
        assert infectious.listed(uow, done=False) == []
    assert "K-2026-1" in leader.get("/reports/infectious?done=1").text
    job = leader.post("/reports/infectious/export?done=1", {"kind": "xlsx"}).headers["Location"]
    assert leader.post("/reports/infectious/export", {"kind": "x"}).status_code == 422
    assert lab.client("tester").post("/reports/infectious/export", {"kind": "xlsx"}).status_code == 403
    relay.drain(lab.db, lab.a, all_handlers())
    sheet = openpyxl.load_workbook(io.BytesIO(leader.get(f"{job}/file").data)).active
    told = "\n".join(str(c.value) for line in sheet.iter_rows() for c in line)
    assert "K-2026-1" in told and high in told and "报告已更正或召回" in told and "9.00" in told
    with lab.uow() as uow:
        rows = infectious.listed(uow, done=True, most=infectious.EXPORT_MOST)
        made = infectious.document(rows, {rows[0].id}, True, "甲", "乙", uow.now)
    # What this person may not see on the page is not in the workbook either.
    assert [line[5:7] for line in made.rows][0] == ("敏感项目", "") and made.rows[1][5] != "敏感项目"
