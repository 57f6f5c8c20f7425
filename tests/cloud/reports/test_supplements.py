"""Amendments of what is no value (M09 R4): patient and tube told wrongly, words that were missing, a report recalled by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time

import pytest
from sqlalchemy import text

from cloud.jobs import all_jobs, run_job
from cloud.modules.catalog import models as md
from cloud.modules.critical import queries as critical
from cloud.modules.reports import queries, service
from cloud.modules.reports.queries import Told
from cloud.modules.scheduling import service as roster
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, build
from tests.cloud.reports.test_preliminary import EARLY, part
from tests.cloud.reports.test_release import DESK, RUN, Room
from tests.support import lab as labs
from tests.support.database import TestDatabase


@pytest.fixture
def room(fresh_db: TestDatabase) -> Iterator[Room]:
    lab = labs.make(fresh_db)
    lab.clock.set(datetime(2026, 5, 4, 2, 0, tzinfo=UTC))
    yield Room(build(lab))
    lab.db.dispose()


def amend(room: Room, no: str, reason: str, remark: str | None = None, values: dict[str, str] | None = None) -> Told:
    with room.world.lab.uow() as uow:
        told = queries.released(uow, no, inside=True)
        assert told is not None
        changes = {room.world.items[code]: value for code, value in (values or {}).items()}
        asked = service.AmendRequest(told.report_id, told.version_no, changes, reason, "核对后更正", remark)
        service.amend(uow, asked, room.person(uow, "senior"), DESK)
        found = queries.released(uow, no)
        assert found is not None
        return found


def changes(told: Told) -> list[tuple[str, str, str]]:
    return [(c["item"], c["before"], c["after"]) for c in told.sheet["amendment"]["changes"]]


def test_a_patient_told_wrongly_is_corrected_without_a_new_value(room: Room) -> None:
    lab = room.world.lab
    with lab.uow() as uow:
        no = room.told(uow)
    with pytest.raises(UserError, match="没有变化"):
        amend(room, no, "patient")
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE patient SET name = '张三峰'"))
        uow.s.execute(text("UPDATE visit SET ward = '外科二病区'"))
    form = lab.client("senior").get(f"/reports/{no}/amend").text
    assert "患者姓名 张三丰 → 张三峰" in form and "病区 内科一病区 → 外科二病区" in form
    with pytest.raises(UserError, match="没有变化"):  # somebody says that it is the patient
        amend(room, no, "result")
    told = amend(room, no, "patient")
    assert changes(told) == [("患者姓名", "张三丰", "张三峰"), ("病区", "内科一病区", "外科二病区")]
    assert told.sheet["patient_name"] == "张三峰" and told.state == "amended" and told.lines[0]["value"] == "4.1"
    with lab.uow() as uow:
        old = queries.released(uow, no, 1)
        assert old is not None and old.sheet["patient_name"] == "张三丰" and old.version_state == "superseded"
    # A value corrected later names what else the new version says otherwise, but not where the patient was moved to.
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE specimen SET caveat = '轻度溶血'"))
        uow.s.execute(text("UPDATE visit SET ward = '内科一病区'"))
    assert changes(amend(room, no, "result", values={"GLU": "5.50"})) == [
        ("项目GLU", "5.00 mmol/L", "5.50 mmol/L"),
        ("标本说明", "无", "轻度溶血"),
    ]


def test_a_corrected_sex_is_judged_by_its_own_intervals(room: Room) -> None:
    lab = room.world.lab
    with lab.uow() as uow:
        for sex, low, high in (("M", "57", "97"), ("F", "41", "73")):
            uow.s.add(md.RefInterval(item_id=room.world.items["CREA"], low=low, high=high, sex=sex))
        uow.s.execute(text("DELETE FROM ref_interval WHERE item_id = :i AND sex IS NULL"), {"i": room.world.items["CREA"]})
    with lab.uow() as uow:
        no = room.told(uow)
        uow.s.execute(text("UPDATE patient SET sex = 'F'"))
    told = amend(room, no, "patient")
    line = next(x for x in told.lines if x["code"] == "CREA")
    assert (line["value"], line["flag"]) == ("80", "H") and "41" in line["interval"]
    assert ("性别", "男", "女") in changes(told)
    assert [c for c in changes(told) if "CREA" in c[0]] == [("项目CREA 参考区间", "57–97", "41–73")]
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT n_abnormal FROM report")).scalar_one() == 1


def test_a_remark_is_added_kept_and_taken_out(room: Room) -> None:
    lab = room.world.lab
    with lab.uow() as uow:
        no = room.told(uow)
        uow.s.execute(text("UPDATE app_user SET wards = ARRAY['内科一病区'] WHERE employee_no = 'clinician1'"))
    told = amend(room, no, "supplement", "  已电话与临床核对。 ")
    assert changes(told) == [("补充说明", "无", "见备注")]
    assert "补充说明：已电话与临床核对。" in told.sheet["comments"]
    for client, url in ((lab.client("clinician"), f"/clinic/report/{no}"), (lab.client("senior"), f"/reports/{no}")):
        assert "补充说明：已电话与临床核对。" in client.get(url).text, url
    assert 'value="已电话与临床核对。"' in lab.client("senior").get(f"/reports/{no}/amend").text
    with pytest.raises(UserError, match="没有变化"):
        amend(room, no, "supplement", "已电话与临床核对。")
    first = told.sheet["amendment"]["original_reported_at"]
    lab.clock.advance(hours=1)
    kept = amend(room, no, "result", values={"GLU": "5.50"})
    assert kept.sheet["amendment"]["original_reported_at"] == first  # the original is the first that was told
    assert "补充说明：已电话与临床核对。" in kept.sheet["comments"] and len(changes(kept)) == 1
    gone = amend(room, no, "supplement", "")
    assert changes(gone) == [("补充说明", "已电话与临床核对。", "无")] and not any("补充说明" in c for c in gone.sheet["comments"])
    with lab.uow() as uow:  # words that were missing are no error (indicator 13)
        subjects = uow.s.execute(text("SELECT count(*) FROM nonconformity")).scalar_one()
        assert subjects == 1


def test_what_a_part_said_in_words_the_whole_keeps(room: Room) -> None:
    tube, no = part(room, EARLY)
    amend(room, no, "supplement", "标本量少，先报电解质。")
    with room.world.lab.uow() as uow:
        room.world.send(uow, tube, {k: v for k, v in NORMAL.items() if k not in EARLY}, RUN)
        report = service.review(uow, tube, None, room.person(uow, "tester"))
        service.release(uow, [report], room.person(uow, "verifier"), DESK)
        told = queries.released(uow, no)
        assert told is not None and not told.preliminary and "补充说明：标本量少，先报电解质。" in told.sheet["comments"]


def test_a_report_recalled_by_mistake_comes_back_with_a_word(room: Room) -> None:
    lab = room.world.lab
    with lab.uow() as uow:
        no = room.told(uow, NORMAL | {"K": "6.8"})
        report = queries.released(uow, no)
        assert report is not None
        [line] = critical.of_specimen(uow, report.specimen_id)
    with lab.uow() as uow:
        service.recall(uow, report.report_id, "疑为标本混淆", room.person(uow, "leader"))
    done = lab.client("tester").post(f"/critical/{line.event.id}/dismiss", {"version": line.event.version, "reason": "标本混淆"}, htmx=True)
    assert done.status_code == 200, done.text
    told = amend(room, no, "supplement", "经复核标本无误，原结果有效。")
    assert told.lines[0]["value"] == "6.8" and told.state == "amended"
    with lab.uow() as uow:  # its call was ended as no critical value: there is one again
        assert [x.event.state for x in critical.of_specimen(uow, report.specimen_id)] == ["false_alarm", "detected"]


def by(room: Room, role: str, no: str) -> None:
    with room.world.lab.uow() as uow:
        told = queries.released(uow, no)
        assert told is not None
        asked = service.AmendRequest(told.report_id, told.version_no, {room.world.items["GLU"]: "5.50"}, "result", "录入错误")
        service.amend(uow, asked, room.person(uow, role), DESK)


def test_who_tested_it_does_not_sign_its_amendment_but_alone_at_night(room: Room) -> None:
    """R1 holds for every version: tester and verifier are two persons, or the rota says so and a second one looks."""
    lab = room.world.lab
    lab.clock.set(datetime(2026, 5, 4, 15, 0, tzinfo=UTC))  # 23:00 local
    with lab.uow() as uow:
        tube = room.world.tube(uow)
        room.world.send(uow, tube, NORMAL, RUN)
        report = service.review(uow, tube, None, room.person(uow, "senior"))
        [no] = service.release(uow, [report], room.person(uow, "verifier"), DESK)
    with pytest.raises(UserError, match="由他人签发"):
        by(room, "senior", no)
    with lab.uow() as uow:
        room.person(uow, "leader")
        night = roster.add_shift(uow, "N", "夜班", time(22), time(8))
        today = date(2026, 5, 4)
        roster.assign(uow, lab.users[(lab.a, "senior")], room.world.section, night.id, today, today, alone=True)
    by(room, "senior", no)
    with lab.uow() as uow:
        assert [c.no for c in queries.cochecks(uow, room.world.section)] == [no]
        who = room.person(uow, "verifier")
        authorised = text("UPDATE authorization_grant /* by hand */ SET state = 'suspended' WHERE user_id = :u")
        uow.s.execute(authorised, {"u": who.user_id})
        with pytest.raises(UserError, match="授权"):
            service.cocheck(uow, report, who)
        service.cocheck(uow, report, room.person(uow, "leader"))


def test_a_paper_of_an_earlier_version_says_so_at_its_code(room: Room) -> None:
    lab = room.world.lab
    with lab.uow() as uow:
        no = room.told(uow)
        told = queries.released(uow, no)
        assert told is not None and told.sheet["verify_url"].endswith(f"/reports/verify/{no}?v=1")
    client = lab.client("clinician")
    assert "签名有效" in client.get(f"/reports/verify/{no}?v=1").text
    by(room, "senior", no)
    old = client.get(f"/reports/verify/{no}?v=1").text
    assert "第 1 版，已被第 2 版替代" in old and "签名有效" not in old
    for url in (f"/reports/verify/{no}", f"/reports/verify/{no}?v=2", f"/reports/verify/{no}?v=x"):
        assert "签名有效" in client.get(url).text, url


def test_unread_recalls_are_told_as_recalls(room: Room) -> None:
    lab = room.world.lab
    with lab.uow() as uow:
        no = room.told(uow)
        told = queries.released(uow, no)
        assert told is not None
        uow.actor = replace(uow.actor, user_id=lab.users[(lab.a, "nurse")], name="nurse")
        service.seen(uow, told.report_id, 1)
        service.recall(uow, told.report_id, "标本混淆", room.person(uow, "leader"))
    lab.clock.advance(minutes=31)
    assert run_job(lab.db, all_jobs()["reports.watch"], [lab.a]) == 0
    with lab.uow() as uow:
        query = "SELECT message FROM alert WHERE kind = 'reports.unread' AND cleared_at IS NULL"
        assert uow.s.execute(text(query)).scalar_one().startswith("召回报告")


def test_a_queue_longer_than_its_page_says_how_much_longer(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "PAGE", 2)
    monkeypatch.setattr(queries.queue, "__defaults__", (2,))
    with room.world.lab.uow() as uow:
        for _ in range(5):
            room.tested(uow)
    assert "另有 3 份未列出" in room.world.lab.client("verifier").get("/review/CHEM").text
