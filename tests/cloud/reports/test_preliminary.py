"""M09 preliminary reports (预报告): part of a tube reviewed and released by people, told everywhere as such, replaced by the final."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from pypdf import PdfReader
from sqlalchemy import text

from cloud.modules.bench import ending
from cloud.modules.bench import rules as bench_rules
from cloud.modules.bench import service as bench
from cloud.modules.bench.rules import ReviewItem, TestState, TubeState
from cloud.modules.reports import acknowledge, document, figures, queries, service
from cloud.modules.reports.rules import TRANSITIONS, Notice, State, VersionState, differing, may_amend, may_move
from cloud.ports import s3
from cloud.reports.documents import ReportKind
from common.errors import UserError
from tests.cloud.bench.world import World, build
from tests.cloud.reports.test_pages import RUN, work
from tests.cloud.reports.test_release import DESK, Room
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer

T = TestState
EARLY, LATE = {"K": "4.10", "NA": "140.2"}, {"GLU": "5.00", "CREA": "80"}


# --- rules ----------------------------------------------------------------------------------------------------------


def test_a_told_part_leaves_its_tube_on_the_bench_until_the_rest_is_told() -> None:
    def state(*tests: tuple[TestState, bool, bool]) -> TubeState:
        return bench_rules.tube_state(tests)

    told, missing = (T.RELEASED, True, False), (T.EXPECTED, True, False)
    assert state(told, missing) is TubeState.PARTIAL
    assert state(told, (T.HELD, True, False)) is TubeState.HELD
    assert state(told, (T.RECEIVED, True, False)) is TubeState.READY
    assert state(told, (T.NO_RESULT, True, False)) is TubeState.READY, "somebody still says so on the final report"
    assert state(told, (T.REVIEWED, True, False)) is TubeState.REVIEWED
    assert state(told, (T.EXPECTED, False, False)) is TubeState.RELEASED
    assert state(told, (T.CANCELLED, True, False)) is TubeState.RELEASED


def test_a_part_is_neither_nothing_nor_all() -> None:
    def problem(*items: ReviewItem) -> str | None:
        return bench_rules.part_problem(items)

    there, missing = ReviewItem("钾", T.RECEIVED, True), ReviewItem("糖", T.EXPECTED, True)
    assert problem(there, missing) is None and problem(there, ReviewItem("糖", T.HELD, True)) is None
    assert "没有可先发的结果" in (problem(missing) or "")
    assert "没有可先发的结果" in (problem(ReviewItem("钾", T.RELEASED, True), missing) or "")
    assert "没有可先发的结果" in (problem(ReviewItem("钾", T.RECEIVED, True, "复查"), missing) or "")
    assert "结果已齐" in (problem(there, ReviewItem("糖", T.RECEIVED, True)) or "")


def test_where_a_preliminary_report_may_go() -> None:
    assert TRANSITIONS[State.PRELIMINARY] == {State.PRELIMINARY, State.TESTED, State.RECALLED}
    assert not may_move(State.DRAFT, State.PRELIMINARY) and not may_move(State.RELEASED, State.PRELIMINARY)
    assert not may_move(State.PRELIMINARY, State.RELEASED), "the final report is reviewed and verified like any other"
    assert may_amend(State.PRELIMINARY) and not may_amend(State.TESTED) and not may_amend(State.DRAFT)


def test_what_two_versions_tell_differently() -> None:
    def line(item: int, value: str, **more: object) -> dict[str, object]:
        return {
            "item_id": item,
            "name": f"项目{item}",
            "value": value,
            "unit": "mmol/L",
            "interval": "3–5",
            "flag": "",
            "critical": False,
        } | more

    was = [line(1, "4.1"), line(2, "140")]
    assert differing(was, [line(1, "4.1"), line(2, "140"), line(3, "9", flag="H")]) == [], "what is new is no difference"
    assert differing(was, [line(1, "4.4"), line(2, "140")]) == [(1, "项目1", "4.1 mmol/L", "4.4 mmol/L")]
    assert differing(was, [line(1, "4.1")]) == [(2, "项目2", "140 mmol/L", "—")]
    for more in ({"unit": "mg/L"}, {"interval": "3–6"}, {"flag": "H"}, {"critical": True}):
        assert [d[0] for d in differing(was, [line(1, "4.1", **more), line(2, "140")])] == [1], more
    assert differing([], was) == []


# --- the laboratory's verbs ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def room(pg: TestServer, schema_template: TestDatabase) -> Iterator[Room]:
    """One laboratory for all of them: each test looks at its own tubes."""
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    yield Room(build(lab))
    lab.db.dispose()
    pg.drop(made.name)


def part(room: Room, values: dict[str, str] = EARLY) -> tuple[int, str]:
    """(tube, number) of a preliminary report."""
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow)
        room.world.send(uow, tube, values, RUN)
        report = service.review_part(uow, tube, None, room.person(uow, "tester"))
        [no] = service.release(uow, [report], room.person(uow, "verifier"), DESK)
    return tube, no


def test_four_eyes_a_fresh_look_and_the_checks_of_critical_values_hold_for_a_part_too(room: Room) -> None:
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow)
        room.world.send(uow, tube, EARLY, RUN)
        report = service.review_part(uow, tube, None, room.person(uow, "verifier"))
        with pytest.raises(UserError, match="不能是同一人"):
            service.release(uow, [report], room.person(uow, "verifier"), DESK)
    with room.world.lab.uow() as uow:
        room.world.send(uow, tube, {"K": "4.6"}, RUN.replace(minute=9))  # another value of what was reviewed
        room.world.send(uow, tube, {"GLU": "5.1"}, RUN)  # another item: no concern of the part
        with pytest.raises(UserError, match="请重新初审"):
            service.release(uow, [report], room.person(uow, "senior"), DESK)
    # An item that came after the partial review waits for the final report.
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow)
        room.world.send(uow, tube, EARLY, RUN)
        report = service.review_part(uow, tube, None, room.person(uow, "tester"))
        room.world.send(uow, tube, {"GLU": "5.1"}, RUN)
        [no] = service.release(uow, [report], room.person(uow, "verifier"), DESK)
        told = queries.released(uow, no)
        assert told is not None and [line["code"] for line in told.lines] == ["K", "NA"] and told.state is State.PRELIMINARY
    # A critical value waits for its two checks, alone as in company.
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow)
        room.world.send(uow, tube, {"K": "6.8"}, RUN)
        report = service.review_part(uow, tube, None, room.person(uow, "tester"))
        with pytest.raises(UserError, match="危急值尚未复核"):
            service.release(uow, [report], room.person(uow, "verifier"), DESK)


def test_a_wrong_value_of_a_preliminary_report_is_corrected_and_stays_preliminary(room: Room) -> None:
    tube, no = part(room)
    items = room.world.items
    with room.world.lab.uow() as uow:
        told = queries.released(uow, no)
        assert told is not None
        reader = room.world.lab.users[(uow.tenant_id, "clinician")]
        service.seen(uow, told.report_id, 1)
        uow.s.execute(text("UPDATE report_view SET user_id = :u WHERE report_id = :r"), {"u": reader, "r": told.report_id})
        room.world.send(uow, tube, {"GLU": "5.1"}, RUN)
        senior = room.person(uow, "senior")

        def asked(item: str, value: str) -> service.AmendRequest:
            return service.AmendRequest(told.report_id, 1, {items[item]: value}, "result", "复查")

        with pytest.raises(UserError, match="项目GLU 还没有发布"):
            service.amend(uow, asked("GLU", "6.0"), senior, DESK)
        service.amend(uow, asked("K", "4.4"), senior, DESK)
        assert [(n.version_no, n.kind) for n in queries.notices(uow, told.report_id)] == [(2, "changed")]
        second = queries.released(uow, no)
        assert second is not None and (second.state, second.version_no, second.preliminary) == (State.PRELIMINARY, 2, True)
        sheet = document.sheet(second.document)
        assert sheet.kind is ReportKind.INTERIM and sheet.comments[0].startswith("中间报告，以终报告为准。待出：")
        assert [(r.code, r.result) for r in sheet.rows] == [("K", "4.4"), ("NA", "140")] and sheet.amendment is not None
    with room.world.lab.uow() as uow:
        room.world.send(uow, tube, {"CREA": "80"}, RUN)
        report = service.review(uow, tube, None, room.person(uow, "tester"))
        service.release(uow, [report], room.person(uow, "verifier"), DESK)
        final = queries.released(uow, no)
        assert final is not None and (final.version_no, final.preliminary, final.reason_class) == (3, False, None)
        assert [line["value"] for line in final.lines] == ["4.4", "140", "5.10", "80"]
        # Whoever saw only the first version, and not the correction, is told what the final report says otherwise.
        notice = next(n for n in queries.notices(uow, report) if n.version_no == 3)
        assert notice.kind == Notice.DIFFERS and notice.read_at is None
        assert [d[1:] for d in queries.differences(uow, report, 3, reader)] == [["项目K", "4.1 mmol/L", "4.4 mmol/L"]]
        assert [n.no for n in acknowledge.listed(uow, [room.world.section], False) if n.kind == "differs"] == [no]
        versions = "SELECT id FROM report_version WHERE report_id = :r ORDER BY version_no"
        made = list(uow.s.execute(text(versions), {"r": report}).scalars())
        day = uow.now.date()
        wanted = figures.Wanted(day - timedelta(days=1), day + timedelta(days=1), [room.world.section])

        def counted(figure: figures.Figure) -> list[int]:
            return sorted(made.index(r.id) for r in figures.rows(uow, replace(wanted, figure=figure)) if r.id in made)

        of = (figures.Figure.PRELIMINARY, figures.Figure.AMENDED, figures.Figure.RELEASED)
        assert [counted(figure) for figure in of] == [[0], [1], [2]]


def test_a_recalled_preliminary_report_is_hidden_at_once_also_while_the_rest_is_under_review(room: Room) -> None:
    tube, no = part(room)
    with room.world.lab.uow() as uow:
        room.world.send(uow, tube, LATE, RUN)
        report = service.review(uow, tube, None, room.person(uow, "tester"))
        service.recall(uow, report, "采错患者", room.person(uow, "leader"))
        told = queries.released(uow, no)
        assert told is not None and told.recalled and not told.lines
        with pytest.raises(UserError):
            service.release(uow, [report], room.person(uow, "verifier"), DESK)
        untold = room.world.tube(uow)
        room.world.send(uow, untold, EARLY, RUN)
        draft = service.review_part(uow, untold, None, room.person(uow, "tester"))
        with pytest.raises(UserError, match="还没有发布"):
            service.recall(uow, draft, "错", room.person(uow, "leader"))


def test_what_was_recalled_or_waits_for_no_verifier_is_not_sent_back(room: Room) -> None:
    """From a page opened before its recall: a recalled report would stand as a preliminary one."""
    tube, _ = part(room)
    with room.world.lab.uow() as uow:
        report = uow.s.execute(text("SELECT id FROM report WHERE specimen_id = :s"), {"s": tube}).scalar_one()
        with pytest.raises(UserError, match="没有待审核的内容，不能退回"):
            service.send_back(uow, report, "请核对")
    with room.world.lab.uow() as uow:
        service.recall(uow, report, "标本混淆", room.person(uow, "leader"))
    with room.world.lab.uow() as uow, pytest.raises(UserError, match="已召回.*不能退回"):
        service.send_back(uow, report, "请核对")


def test_a_rest_without_results_or_cancelled_still_becomes_a_final_report_and_sent_back_it_stays_told(room: Room) -> None:
    tube, no = part(room)
    with room.world.lab.uow() as uow:
        ids = uow.s.execute(text("SELECT id, version FROM test WHERE specimen_id = :t AND state = 'expected'"), {"t": tube}).all()
        for n, test in enumerate(ids):
            if n == 0:
                bench.set_no_result(uow, test.id, test.version, "标本量不足")
        ending.on_withdrawn(uow, {"specimen_id": tube})
        assert uow.s.execute(text("SELECT state FROM bench_tube WHERE specimen_id = :t"), {"t": tube}).scalar_one() == "released"
        report = service.review(uow, tube, None, room.person(uow, "tester"))
        assert report in [w.id for w in queries.queue(uow, room.world.section, 0)]
        service.release(uow, [report], room.person(uow, "verifier"), DESK)
        final = queries.released(uow, no)
        assert final is not None and final.state is State.RELEASED and not final.preliminary
    with room.world.lab.uow() as uow, pytest.raises(UserError, match="不能改为"):
        service.review(uow, tube, None, room.person(uow, "tester"))
    # Sent back to the bench, what was told stays told.
    tube, no = part(room)
    with room.world.lab.uow() as uow:
        room.world.send(uow, tube, LATE, RUN)
        report = service.review(uow, tube, None, room.person(uow, "tester"))
        room.person(uow, "verifier")
        service.send_back(uow, report, "糖请复查")
        told = queries.released(uow, no)
        assert told is not None and told.state is State.PRELIMINARY and told.lines


# --- through the pages ------------------------------------------------------------------------------------------------


@pytest.fixture
def world(fresh_db: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lab = labs.make(fresh_db, data_dir=str(tmp_path_factory.mktemp("files")))
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET wards = '{内科一病区}' WHERE employee_no = 'clinician1'"))
    yield build(lab)
    lab.db.dispose()


def test_m09_preliminary_is_marked_on_page_pdf_and_portal_and_the_final_replaces_it(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, EARLY, RUN)
    tester, verifier, clinician = (world.lab.client(r) for r in ("tester", "verifier", "clinician"))
    assert "Alt+P" in tester.fragment(f"/bench/CHEM/tube/{tube}").text
    answer = tester.post(f"/bench/CHEM/tube/{tube}/part", htmx=True)
    assert answer.status_code == 204 and "benchNext" in answer.headers["HX-Trigger"], answer.text
    queue = verifier.get("/review/CHEM").text
    assert "! 预报告" in queue and 'data-clean="0"' in queue and "部分初审" in queue
    with world.lab.uow() as uow:
        report = uow.s.execute(text("SELECT id FROM report WHERE specimen_id = :s"), {"s": tube}).scalar_one()
    world.lab.sign(verifier)
    assert verifier.post("/review/CHEM/release", {"id": report}, htmx=True).status_code == 200
    work(world)
    with world.lab.uow() as uow:
        told = queries.released(uow, report_id=report)
        assert told is not None and told.pdf_key is not None
        pdf = s3.files_of(s3.current_store(), uow.tenant_id).get(told.pdf_key, told.pdf_sha256)
    printed = "".join("".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(pdf)).pages)
    assert "【预报告】" in printed and "待出：项目GLU、项目CREA" in printed and "140" in printed
    assert "预报告" in clinician.get("/clinic").text and "无异常" not in clinician.get("/clinic").text
    page = clinician.get(f"/clinic/report/{told.no}").text
    assert "预报告" in page and "待出：项目GLU、项目CREA" in page and "修改报告" not in page
    assert "! 预报告" in verifier.get(f"/reports/{told.no}").text and "! 预报告" in verifier.get("/reports").text
    assert "以终报告为准" in clinician.get(f"/reports/verify/{told.no}").text
    with world.lab.uow() as uow:
        world.send(uow, tube, LATE, RUN)
        status = uow.s.execute(text("SELECT status FROM order_item WHERE specimen_id = :s"), {"s": tube}).scalar_one()
    assert tester.post(f"/bench/CHEM/tube/{tube}/review", htmx=True).status_code == 204
    assert verifier.post("/review/CHEM/release", {"id": report}, htmx=True).status_code == 200
    work(world)
    assert "终报告已出" in clinician.get("/clinic").text
    assert "5.00" not in verifier.get("/reports/notices").text and told.no not in verifier.get("/reports/notices").text
    page = clinician.get(f"/clinic/report/{told.no}").text
    assert "5.00" in page and "预报告" not in page and "修改报告" not in page, "a final report corrects nothing"
    assert "未读" in clinician.get("/clinic").text or "无异常" in clinician.get("/clinic").text
    assert "终报告已出" not in clinician.get("/clinic").text, "opened is known"
    versions = verifier.get(f"/reports/{told.no}/versions").text
    assert "已被替代" in versions and "预报告" in versions
    with world.lab.uow() as uow:
        assert [v.version_state for v in queries.versions(uow, told.no)] == [VersionState.CURRENT, VersionState.SUPERSEDED]
    assert status in ("in_test", "partly_reported")
