"""Sex or birthday corrected between measurement and report: what is not told yet is judged for the patient as known now (M02)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from cloud import relay
from cloud.db.session import UnitOfWork
from cloud.modules.bench import corrected
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.catalog import models as md
from cloud.modules.orders import messages as m
from cloud.modules.orders import service as orders
from cloud.modules.reports import service
from cloud.worker import all_handlers
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, build
from tests.cloud.reports.test_release import DESK, RUN, Room
from tests.support import lab as labs
from tests.support.database import TestDatabase


@pytest.fixture
def room(fresh_db: TestDatabase) -> Iterator[Room]:
    lab = labs.make(fresh_db)
    room = Room(build(lab))
    with lab.uow() as uow:
        uow.s.execute(text("DELETE FROM ref_interval WHERE item_id = :i"), {"i": room.world.items["CREA"]})
        for sex, low, high in (("M", "57", "97"), ("F", "41", "73")):
            uow.s.add(md.RefInterval(item_id=room.world.items["CREA"], low=Decimal(low), high=Decimal(high), sex=sex))
        uow.s.execute(text("DELETE FROM critical_limit WHERE item_id = :i"), {"i": room.world.items["NA"]})
        uow.s.add(md.CriticalLimit(item_id=room.world.items["NA"], high=Decimal("139"), age_low=0, age_high=10, age_unit="year"))
    yield room
    lab.db.dispose()


def told_by_his(uow: UnitOfWork, sex: str, birth: date = date(1968, 3, 1)) -> int:
    who = m.PatientData((m.PatientId("patient_no", "P1"),), "张小伟", m.Sex(sex), birth)
    number = f"n{sex}{birth}"
    item = m.ItemData(number, m.Action.NEW, "XXX", "未对照", m.Charge.PAID)
    order = m.OrderData(number, m.Priority("routine"), (item,), doctor="李医生", ordered_at=uow.now)
    visit = m.VisitData(m.VisitType("outpatient"), "HV1", dept="内科")
    return orders.place_order(uow, m.OrderMessage(number, who, visit, (order,)), "HIS").patient_id


def work(room: Room) -> None:
    while relay.drain(room.world.lab.db, room.world.tenant, all_handlers()):
        pass


def line(uow: UnitOfWork, room: Room, tube: int, code: str) -> Any:
    found = bench_queries.tube(uow, tube)
    assert found is not None
    return next(t for t in found.tests if t.item.code == code)


def test_a_corrected_sex_judges_what_is_measured_and_reviewed_and_the_review_is_done_again(room: Room) -> None:
    with room.world.lab.uow() as uow:
        patient = told_by_his(uow, "M")
        tube = room.world.tube(uow, patient)
        room.world.send(uow, tube, NORMAL, RUN, flags=("instrument",), stream="a/1", seq=7)
        assert line(uow, room, tube, "CREA").current.flag == ""
        report = service.review(uow, tube, None, room.person(uow, "tester"))
    work(room)
    with room.world.lab.uow() as uow:
        before = {t.item.code: t.current.id for t in bench_queries.tests_of(uow, [tube])[tube] if t.current is not None}
        told_by_his(uow, "F")
    work(room)
    with room.world.lab.uow() as uow:
        crea = line(uow, room, tube, "CREA").current
        assert (crea.reported_text, crea.flag, crea.ref_text, crea.version_no) == ("80", "H", "41–73", 2)
        after = {t.item.code: t.current.id for t in bench_queries.tests_of(uow, [tube])[tube] if t.current is not None}
        assert {c for c in after if after[c] != before[c]} == {"CREA"}, "the same judgement is no new version"
        rows = uow.s.execute(
            text(
                "SELECT source, analyzer_id, instrument_flags, run_at, raw_text, snapshot->>'seq' AS seq, holds FROM result_version "
                "WHERE id = ANY(:ids) ORDER BY id"
            ),
            {"ids": [before["CREA"], after["CREA"]]},
        ).all()
        assert rows[0] == rows[1], "all that came with the measurement stays with it"
        with pytest.raises(UserError, match="初审之后"):
            service.release(uow, [report], room.person(uow, "verifier"), DESK)
    with room.world.lab.uow() as uow:
        service.review(uow, tube, None, room.person(uow, "tester"))
        (no,) = service.release(uow, [report], room.person(uow, "verifier"), DESK)
    with room.world.lab.uow() as uow:
        document = uow.s.execute(text("SELECT document FROM report_version")).scalar_one()
        (said,) = [row for row in document["print"]["rows"] if row["name"] == "项目CREA"]
        assert "41–73" in said.values(), "the report says the interval of the patient as known now"
        # Told: from here on it is the business of an amendment.
        told_by_his(uow, "M")
    work(room)
    with room.world.lab.uow() as uow:
        assert line(uow, room, tube, "CREA").current.version_no == 2


def test_a_corrected_birthday_finds_the_critical_value_and_keeps_what_held(room: Room) -> None:
    with room.world.lab.uow() as uow:
        patient = told_by_his(uow, "M")
        tube = room.world.tube(uow, patient)
        room.world.send(uow, tube, {"NA": "140.2", "K": "<9"}, RUN)
        held = line(uow, room, tube, "K")
        told_by_his(uow, "M", date(2024, 1, 5))
    work(room)
    with room.world.lab.uow() as uow:
        assert line(uow, room, tube, "NA").current.critical
        assert uow.s.execute(text("SELECT state FROM critical_event WHERE specimen_id = :s"), {"s": tube}).scalars().all() == ["detected"]
        assert line(uow, room, tube, "K").state == held.state
        assert corrected.judge_again(uow, tube) == [], "once is enough"


def test_two_values_to_choose_from_are_both_judged(room: Room) -> None:
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow, told_by_his(uow, "M"))
        room.world.send(uow, tube, {"CREA": "80"}, RUN)
        room.world.send(uow, tube, {"CREA": "90"}, datetime(2026, 5, 4, 3, 0, tzinfo=UTC))
        assert line(uow, room, tube, "CREA").pending is not None
        told_by_his(uow, "F")
    work(room)
    with room.world.lab.uow() as uow:
        crea = line(uow, room, tube, "CREA")
        assert (crea.state, crea.current.flag, crea.pending.flag) == ("held", "H", "H")
        assert {crea.current.reported_text, crea.pending.reported_text} == {"80", "90"}
        room.person(uow, "senior")
        bench.choose_version(uow, crea.id, crea.version, crea.pending.id, "后一个")
        assert line(uow, room, tube, "CREA").current.flag == "H"


def alerts_of(room: Room) -> list[tuple[str, list[str], bool]]:
    with room.world.lab.uow() as uow:
        rows = uow.s.execute(
            text("SELECT url, fields->'items'->'list' AS items, cleared_at IS NULL AS open FROM alert WHERE kind = 'reports.corrected'")
        )
        return [(r.url, r.items, r.open) for r in rows]


def test_a_told_report_judged_for_somebody_else_is_named_until_it_is_amended(room: Room) -> None:
    with room.world.lab.uow() as uow:
        patient = told_by_his(uow, "M")
        tube = room.world.tube(uow, patient)
        room.world.send(uow, tube, NORMAL, RUN)
        report = service.review(uow, tube, None, room.person(uow, "tester"))
        service.release(uow, [report], room.person(uow, "verifier"), DESK)
    work(room)
    with room.world.lab.uow() as uow:
        told_by_his(uow, "M", date(1968, 3, 2))
    work(room)
    assert alerts_of(room) == [], "one day makes no other interval"
    with room.world.lab.uow() as uow:
        told_by_his(uow, "F", date(1968, 3, 2))
    work(room)
    assert alerts_of(room) == [(f"/reports/{report}", ["项目CREA"], True)]
    with room.world.lab.uow() as uow:
        assert line(uow, room, tube, "CREA").current.version_no == 1, "told is told until a person amends it"
        senior = room.person(uow, "senior")
        asked = service.AmendRequest(report, 1, {room.world.items["NA"]: "141"}, "result", "录入错误")
        service.amend(uow, asked, senior, DESK)
    work(room)
    assert not alerts_of(room)[0][2], "whatever the reason, an amendment judges by who the patient is now"
    with room.world.lab.uow() as uow:
        assert line(uow, room, tube, "CREA").current.flag == "H"
        told_by_his(uow, "M", date(1968, 3, 2))
    work(room)
    assert [each[2] for each in alerts_of(room)] == [False, True]
    with room.world.lab.uow() as uow:
        service.recall(uow, report, "等待核对身份", room.person(uow, "leader"))
    work(room)
    assert [each[2] for each in alerts_of(room)] == [False, False], "nobody reads what was recalled"


def test_nothing_leaves_between_the_correction_and_the_new_judgement(room: Room) -> None:
    with room.world.lab.uow() as uow:
        patient = told_by_his(uow, "M")
        tube, other = room.world.tube(uow, patient), room.world.tube(uow)
        for each in (tube, other):
            room.world.send(uow, each, NORMAL, RUN)
        reports = [service.review(uow, each, None, room.person(uow, "tester")) for each in (tube, other)]
    work(room)
    with room.world.lab.uow() as uow:
        told_by_his(uow, "F")
    with room.world.lab.uow() as uow, pytest.raises(UserError, match="刚刚更正") as refused:
        service.release(uow, reports, room.person(uow, "verifier"), DESK)
    assert "张小伟" in str(refused.value)
    with room.world.lab.uow() as uow:
        service.release(uow, reports[1:], room.person(uow, "verifier"), DESK)
    work(room)
    with room.world.lab.uow() as uow:
        service.review(uow, tube, None, room.person(uow, "tester"))
        service.release(uow, reports[:1], room.person(uow, "verifier"), DESK)
