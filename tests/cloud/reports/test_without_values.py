"""Tubes of which some or all has no result: looked at once, told with its reason, and off the bench."""

from __future__ import annotations

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.reports import document, queries, rules, service
from tests.cloud.reports.test_release import DESK, RUN, Room, room

__all__ = ["room"]


def test_a_tube_of_which_nothing_came_is_told_with_its_reason(room: Room) -> None:
    """It could not be reviewed and stood on the bench for ever; nobody was told."""
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow)
        lines = bench_queries.tests_of(uow, [tube])[tube]
        bench.set_no_results(uow, tube, {t.id: t.version for t in lines}, "标本凝固")
        assert bench_state(uow, tube) == "ready"
        report = service.review(uow, tube, None, room.person(uow, "tester"))
        assert bench_state(uow, tube) == "reviewed"
        (waiting,) = queries.queue(uow, room.world.section, 0)
        assert not waiting.clean and waiting.reasons == ((rules.Needs.EMPTY, len(lines)),)
        service.send_back(uow, report, "再看一次标本")
        assert bench_state(uow, tube) == "ready" and queries.queue(uow, room.world.section, 0) == []
        service.review(uow, tube, None, room.person(uow, "tester"))
        [no] = service.release(uow, [report], room.person(uow, "verifier"), DESK)
        told = queries.released(uow, no)
        assert told is not None and {row.result for row in document.sheet(told.document).rows} == {"无结果"}
        (comment,) = document.sheet(told.document).comments  # one line for all: 25 of them made three pages
        assert comment.endswith("未出结果：标本凝固") and comment.count("、") == len(lines) - 1
        assert bench_state(uow, tube) == "released"


def bench_state(uow: UnitOfWork, tube: int) -> str:
    """Where a tube stands on the bench."""
    return str(uow.s.execute(text("SELECT state FROM bench_tube WHERE specimen_id = :s"), {"s": tube}).scalar_one())


def test_what_a_preliminary_report_left_open_and_never_came_reaches_its_verifier(room: Room) -> None:
    """Reviewed, it stood on the bench as ready and in nobody's queue."""
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow)
        room.world.send(uow, tube, {"K": "4.1", "NA": "140", "GLU": "5"}, RUN)
        report = service.review_part(uow, tube, None, room.person(uow, "tester"))
        service.release(uow, [report], room.person(uow, "verifier"), DESK)
        line = next(t for t in bench_queries.tests_of(uow, [tube])[tube] if t.item.code == "CREA")
        bench.set_no_result(uow, line.id, line.version, "标本量不足")
        assert bench_state(uow, tube) == "ready"
        service.review(uow, tube, None, room.person(uow, "tester"))
        assert bench_state(uow, tube) == "reviewed" and [w.id for w in queries.queue(uow, room.world.section, 0)] == [report]
        [no] = service.release(uow, [report], room.person(uow, "verifier"), DESK)
        told = queries.released(uow, no)
        assert told is not None and document.sheet(told.document).rows[-1].result == "无结果"
        assert bench_state(uow, tube) == "released"
