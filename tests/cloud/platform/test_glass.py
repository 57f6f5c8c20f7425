"""Sensitive items and break-glass (M01 R8): who may not see them gets the rest, a reason opens them, somebody else hears and reviews."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import timedelta

import openpyxl
import pytest
from sqlalchemy import text

from cloud import relay, worker
from cloud.modules.catalog import service as catalog
from cloud.modules.platform import glass
from cloud.modules.platform.models import Alert
from cloud.modules.reports import queries
from tests.cloud.bench.world import World, build
from tests.cloud.reports.test_pages import released, reviewed
from tests.support import lab as labs
from tests.support.database import TestDatabase

SECRET = "9.87"
VALUES = {"K": "4.10", "NA": "140.2", "GLU": SECRET, "CREA": "80"}


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = labs.make(fresh_db, labs.Clock())
    made = build(lab)
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE test_item SET sensitive = true, name = '敏感甲' WHERE code = 'GLU'"))
        uow.s.execute(text("UPDATE app_user SET wards = '{内科一病区}' WHERE employee_no IN ('clinician1', 'nurse1')"))
        catalog.changed(uow)
    yield made
    lab.db.dispose()


def patient_of(world: World, no: str) -> int:
    with world.lab.uow() as uow:
        told = queries.released(uow, no)
        assert told is not None
        return told.patient_id


def test_the_portal_shows_the_rest_until_a_reason_is_given(world: World) -> None:
    no = released(world, VALUES)
    patient = patient_of(world, no)
    nurse, doctor = world.lab.client("nurse"), world.lab.client("clinician")
    pages = (f"/clinic/report/{no}", f"/clinic/patient/{patient}")
    for url in pages:
        shut, seen = nurse.get(url).text, doctor.get(url).text
        assert SECRET not in shut and "敏感甲" not in shut and "4.1" in shut and "有 1 个敏感项目未显示" in shut, url
        assert SECRET in seen and "敏感项目未显示" not in seen
    # Lists name neither the request nor how many of its values are remarkable.
    for url in ("/clinic", f"/clinic/patient/{patient}"):
        shut, seen = nurse.get(url).text, doctor.get(url).text
        assert "电解质" not in shut and "敏感项目" in shut and "↑↓ 1" not in shut and "✓ 无异常" not in shut, url
        assert "电解质" in seen and "↑↓ 1" in seen, url
    trend = f"/clinic/trend?patient={patient}&item={world.items['GLU']}"
    for url in (trend, f"/clinic/report/{no}/pdf"):
        asked = nurse.get(url).text
        assert "含敏感项目" in asked and SECRET not in asked
    reason = {"kind": "sensitive", "next": pages[0]}
    short = nurse.post(f"/clinic/patient/{patient}/reason", reason | {"reason": "看看"})
    assert short.status_code == 422 and "至少 4 个字" in short.text
    assert nurse.post(f"/clinic/patient/{patient}/reason", reason | {"reason": "职业暴露评估"}).headers["Location"] == pages[0]
    assert SECRET in nurse.get(pages[0]).text and SECRET in nurse.get(trend).text
    world.lab.clock.advance(hours=4, minutes=1)
    assert SECRET not in world.lab.client("nurse").get(pages[0]).text, "four hours"


def test_the_laboratory_and_its_reports(world: World) -> None:
    no = released(world, VALUES)
    keeper = world.lab.client("quality")
    with world.lab.uow() as uow:
        told = queries.released(uow, no)
        assert told is not None
    bench = f"/bench/CHEM?tube={told.specimen_id}"
    assert "敏感项目" in keeper.get("/reports").text and "↑↓1" not in keeper.get("/reports").text
    assert "↑↓1" in world.lab.client("verifier").get("/reports").text
    for url in (f"/reports/{no}", f"/reports/{no}/versions"):
        shut = keeper.get(url).text
        assert SECRET not in shut and "敏感甲" not in shut and "敏感项目未显示" in shut, url
        assert SECRET in world.lab.client("verifier").get(url).text
    assert SECRET not in keeper.get(bench).text and "有 1 个敏感项目未显示" in keeper.get(bench).text
    assert keeper.get(f"/reports/{no}/pdf").status_code == 303 and keeper.post(f"/reports/{no}/reprint").status_code == 303
    assert keeper.post(f"/reports/{no}/glass", {"reason": "投诉调查核对"}).status_code == 303
    assert SECRET in keeper.get(f"/reports/{no}").text and SECRET in keeper.get(bench).text


@pytest.mark.parametrize("since_told", [False, True])
def test_why_a_report_was_recalled_may_name_what_a_reader_may_not_see(world: World, since_told: bool) -> None:
    if since_told:
        mark(world, False)
    no = released(world, VALUES)
    mark(world, since_told)  # sensitive when it was told, or only now: shut either way
    assert world.lab.client("leader").post(f"/reports/{no}/recall", {"reason": "敏感甲误报"}, htmx=True).status_code == 204
    keeper = world.lab.client("quality")
    for url in (f"/reports/{no}", f"/reports/{no}/versions"):
        shut = keeper.get(url).text
        assert "敏感甲" not in shut and "原因不显示" in shut, url
        assert "敏感甲误报" in world.lab.client("verifier").get(url).text
    assert keeper.post(f"/reports/{no}/glass", {"reason": "投诉调查核对"}).status_code == 303
    assert "敏感甲误报" in keeper.get(f"/reports/{no}").text


def mark(world: World, sensitive: bool) -> None:
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE test_item SET sensitive = :s WHERE code = 'GLU'"), {"s": sensitive})
        catalog.changed(uow)


def test_nobody_releases_what_the_own_role_may_not_see(world: World) -> None:
    report = reviewed(world, VALUES)
    with world.lab.uow() as uow:
        uow.s.execute(text("DELETE FROM role_permission WHERE permission = 'platform:sensitive'"))
        tube = world.tube(uow)
        world.send(uow, tube, VALUES)
    verifier, tester = world.lab.client("verifier"), world.lab.client("tester")
    world.lab.sign(verifier)
    for answer in (
        verifier.post("/review/CHEM/release", {"id": report}, htmx=True),
        tester.post(f"/bench/CHEM/tube/{tube}/review", htmx=True),
    ):
        assert answer.status_code == 403 and "含敏感项目" in answer.text
    queue = verifier.get(f"/review/CHEM?report={report}").text
    assert SECRET not in queue and "电解质" not in queue and "异常 1 项" not in queue and 'data-clean="0"' in queue
    with world.lab.uow() as uow:
        assert queries.released(uow, report_id=report) is None


def test_the_reviewer_is_told_reviews_once_and_never_the_own_look(world: World) -> None:
    no = released(world, VALUES)
    lab, patient = world.lab, patient_of(world, no)
    nurse, director, keeper = lab.client("nurse"), lab.client("director"), lab.client("quality")
    nurse.post(f"/clinic/patient/{patient}/reason", {"kind": "sensitive", "reason": "职业暴露评估"})
    keeper.post(f"/reports/{no}/glass", {"reason": "投诉调查核对"})
    nurse.get(f"/clinic/report/{no}")
    assert "职业暴露评估" in director.get("/alerts").text
    listed = keeper.get("/admin/breaks").text
    assert "职业暴露评估" in listed and "须由他人复核" in listed and "nurse1" in listed
    assert nurse.get("/admin/breaks").status_code == 403
    by_nurse, by_keeper = sorted(int(i) for i in re.findall(r"/admin/breaks/([0-9]+)", director.get("/admin/breaks").text))
    own = keeper.post(f"/admin/breaks/{by_keeper}", {"verdict": "fit"}, htmx=True)
    assert own.status_code == 409 and "不能复核自己的查看" in own.text
    bare = director.post(f"/admin/breaks/{by_nurse}", {"verdict": "unfit"}, htmx=True)
    assert bare.status_code == 422 and "写明理由" in bare.text
    assert director.post(f"/admin/breaks/{by_nurse}", {"verdict": "x"}, htmx=True).status_code == 422
    done = director.post(f"/admin/breaks/{by_nurse}", {"verdict": "fit"}, headers={"HX-Target": "rows"}, htmx=True)
    assert done.status_code == 200
    assert director.post(f"/admin/breaks/{by_nurse}", {"verdict": "fit"}, htmx=True).status_code == 409
    with lab.uow() as uow:
        assert {a.subject: a.cleared_at is None for a in uow.s.query(Alert).filter_by(kind="platform.break_glass")} == {
            f"look:{by_nurse}": False,
            f"look:{by_keeper}": True,
        }
    lab.clock.advance(days=31)
    with lab.uow() as uow:
        glass.overdue(uow)
        assert uow.s.query(Alert).filter_by(kind="platform.breaks_due").one().fields == {"n": 1}
    director = lab.client("director")
    job = director.post("/admin/breaks/print", {"kind": "xlsx"}).headers["Location"]
    relay.drain(lab.db, lab.a, worker.all_handlers())
    rows = list(openpyxl.load_workbook(io.BytesIO(director.get(f"{job}/file").data)).worksheets[0].values)
    assert [r[6].split()[0] for r in rows[3:5]] == ["待复核", "合理"]
    assert lab.client("director", lab.b).post(f"/admin/breaks/{by_keeper}", {"verdict": "fit"}, htmx=True).status_code == 404


def test_a_second_reason_within_its_hours_is_not_asked_or_told_again(world: World) -> None:
    no = released(world, VALUES)
    nurse, patient = world.lab.client("nurse"), patient_of(world, no)
    for _ in range(2):
        nurse.post(f"/clinic/patient/{patient}/reason", {"kind": "sensitive", "reason": "职业暴露评估"})
    with world.lab.uow() as uow:
        assert len(glass.looks(uow)) == 1
        assert glass.looks(uow)[0].until - glass.looks(uow)[0].at == timedelta(hours=4)


def test_critical_values_and_bench_signs_stay_shut_too(world: World) -> None:
    """The board, the call, the register, its print, the ward's pop-up and alerts hide a sensitive value; a stated reason opens it."""
    lab = world.lab
    with lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, VALUES | {"GLU": "33.9"})
        event = uow.s.execute(text("SELECT id FROM critical_event WHERE item_name = '敏感甲'")).scalar_one()
        uow.s.execute(text("UPDATE critical_event /* by hand */ SET state = 'confirmed', ward = '内科一病区' WHERE id = :i"), {"i": event})
    keeper, nurse, tester = lab.client("quality"), lab.client("nurse"), lab.client("tester")
    for url in ("/critical/board", "/critical/register"):
        shut = keeper.get(url).text
        assert "33.9" not in shut and "敏感甲" not in shut and "＊＊＊" in shut, url
        assert "33.9" in tester.get(url).text
    assert "敏感项目" in keeper.get("/bench/CHEM?show=all").text and "敏感项目" not in tester.get("/bench/CHEM?show=all").text
    for url in ("/critical/clinic", "/critical/clinic/waiting"):
        shut = nurse.get(url).text
        assert "33.9" not in shut and "敏感甲" not in shut and "＊＊＊" in shut, url
    blind = nurse.post(f"/critical/clinic/{event}", {"version": "1", "readback": "33.9"}, htmx=True)
    assert blind.status_code == 403 and "先说明原因" in blind.text
    opened = nurse.post(f"/critical/clinic/{event}/glass", {"reason": "接收危急值"}, htmx=True)
    assert "33.9" in opened.text and "敏感甲" in opened.text
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM break_glass WHERE kind = 'sensitive'")).scalar_one() == 1
