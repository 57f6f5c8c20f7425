"""M09: who must take note of a changed report is followed to the last, marks of recognition and referral, and the *Bad input* lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import service as bench
from cloud.modules.reports import acknowledge, queries, service
from cloud.modules.specimens.models import Referral
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, build
from tests.cloud.reports.test_changes import amend
from tests.cloud.reports.test_release import DESK, Room
from tests.support import lab as labs
from tests.support.database import TestDatabase


@pytest.fixture
def room(fresh_db: TestDatabase) -> Iterator[Room]:
    lab = labs.make(fresh_db)
    lab.clock.set(datetime(2026, 5, 4, 2, 0, tzinfo=UTC))
    yield Room(build(lab))
    lab.db.dispose()


def test_a_reader_who_does_not_look_is_told_by_phone_and_that_is_written_down(room: Room) -> None:
    lab = room.world.lab
    with lab.uow() as uow:
        no = room.told(uow)
        told = queries.released(uow, no)
        assert told is not None
        for role in ("clinician", "nurse"):
            uow.actor = replace(uow.actor, user_id=lab.users[(lab.a, role)], name=role)
            service.seen(uow, told.report_id, 1)
    amend(room, no, "9.99")
    lab.clock.advance(minutes=31)
    leader = lab.client("leader")
    page = leader.get("/reports/notices").text
    assert "临床医生一号" in page and "护士/采血员一号" in page and "! 31 分钟" in page
    with lab.uow() as uow:
        first, second = acknowledge.listed(uow, [room.world.section], False)
        assert acknowledge.listed(uow, [], False) == []
    assert leader.post(f"/reports/notices/{first.id}", {"note": " "}, htmx=True).status_code == 422
    assert leader.post(f"/reports/notices/{first.id}", {"note": "电话 3301 李医生"}).status_code == 303
    again = leader.post(f"/reports/notices/{first.id}", {"note": "再次"}, htmx=True)
    assert again.status_code == 409 and "已经知晓" in again.text
    done = leader.get("/reports/notices?done=1").text
    assert "电话 3301 李医生" in done and second.reader not in done
    with lab.uow() as uow:
        [known] = acknowledge.document(acknowledge.listed(uow, [room.world.section], True), True, "甲", "乙", uow.now).rows
        [waiting] = acknowledge.document(acknowledge.listed(uow, [room.world.section], False), False, "甲", "乙", uow.now).rows
    assert known[1] == waiting[1] == no and known[2:4] == ("V2", "已修改") and "电话 3301 李医生" in known[-1] and waiting[-1] == "未知晓"
    assert [leader.post("/reports/notices/export?done=1", {"kind": kind}).status_code for kind in ("pdf", "xlsx", "x")] == [303, 303, 422]
    # A recall is another version of the news: the reader of the old one is told anew, the settled notice does not hide it.
    assert lab.client("leader").post(f"/reports/{no}/recall", {"reason": "标本错误"}).status_code == 303
    with lab.uow() as uow:
        assert {r.reader for r in acknowledge.listed(uow, [room.world.section], False)} == {first.reader, second.reader}
    assert lab.client("tester").get("/reports/notices").status_code == 403
    assert lab.client("tester").post("/reports/notices/export", {"kind": "pdf"}).status_code == 403


def test_recognised_items_and_a_tube_examined_elsewhere_say_so(room: Room) -> None:
    """R3 (7.4.1.6): HR mark per item with its scope, and the laboratory that did the examination."""
    with room.world.lab.uow() as uow:
        uow.s.execute(text("UPDATE test_item SET mutual_recognition = '省级', accredited = 'CNAS MT0000' WHERE code = 'K'"))
        uow.s.execute(
            text("INSERT INTO catalog_version (tenant_id, number) VALUES (1, 99) ON CONFLICT (tenant_id) DO UPDATE SET number = 99")
        )
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow)
        uow.s.add(Referral(specimen_id=tube, lab="省临检中心", due=date(2026, 5, 9), sent_at=uow.now, sent_by="前台"))
        room.world.send(uow, tube, NORMAL, datetime(2026, 5, 4, 2, 0, tzinfo=UTC))
    with room.world.lab.uow() as uow:
        report_id = service.review(uow, tube, None, room.person(uow, "tester"))
    with room.world.lab.uow() as uow:
        (no,) = service.release(uow, [report_id], room.person(uow, "verifier"), DESK)
        told = queries.released(uow, no)
        assert told is not None
        sheet = told.sheet
        assert (sheet["referral_lab"], sheet["mutual_recognition_scope"]) == ("省临检中心", "省级")
        assert {r["code"]: (r["mutual_recognition"], r["referral"]) for r in sheet["rows"]}["K"] == (True, True)
        assert [r["code"] for r in sheet["rows"] if r["mutual_recognition"]] == ["K"]
        assert not sheet["accreditation_no"] and not any(r["accredited"] for r in sheet["rows"]), (
            "another laboratory's work is not in our scope"
        )
        here = queries.released(uow, room.told(uow))
        assert here is not None and here.sheet["accreditation_no"] == "CNAS MT0000"
        assert [r["code"] for r in here.sheet["rows"] if r["accredited"]] == ["K"]


BAD = [
    ("result", "", "13.2", "请写明修改原因"),
    ("result", "  ", "13.2", "请写明修改原因"),
    ("", "录错", "13.2", "请选择修改原因类别"),
    ("mood", "录错", "13.2", "请选择修改原因类别"),
    ("result", "录错", "5.00", "没有变化"),
    ("result", "录错", "", "没有变化"),
]


def test_bad_input_of_reports_is_named_and_nothing_is_told(room: Room) -> None:
    """M09 *Bad input*: amendment without reason, the same values, an empty mandatory item; each in words, the report as before."""
    with room.world.lab.uow() as uow:
        no = room.told(uow)
        tube = room.world.tube(uow)
        room.world.send(uow, tube, {k: v for k, v in NORMAL.items() if k != "NA"}, datetime(2026, 5, 4, 2, 0, tzinfo=UTC))
    for reason, why, value, words in BAD:
        with room.world.lab.uow() as uow:
            asked = service.AmendRequest(_id(uow, no), 1, {room.world.items["GLU"]: value}, reason, why)
            with pytest.raises(UserError, match=words):
                service.amend(uow, asked, room.person(uow, "senior"), DESK)
    with room.world.lab.uow() as uow, pytest.raises(UserError, match="项目NA"):
        service.review(uow, tube, None, room.person(uow, "tester"))
    with room.world.lab.uow() as uow, pytest.raises(UserError, match="请写明召回原因"):
        service.recall(uow, _id(uow, no), " ", room.person(uow, "leader"))
    with room.world.lab.uow() as uow:
        told = queries.released(uow, no)
        assert told is not None and (told.version_no, told.recalled) == (1, False)
        assert bench.TestState.RELEASED.value in uow.s.execute(text("SELECT state FROM test")).scalars().all()


def _id(uow: UnitOfWork, no: str) -> int:
    told = queries.released(uow, no)
    assert told is not None
    return told.report_id
