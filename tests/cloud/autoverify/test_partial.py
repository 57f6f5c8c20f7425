"""M08 R1 partial release: what a rule set clears leaves as a preliminary report, the held rest follows; never where it is not allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import text

from cloud.modules.autoverify import service
from cloud.modules.autoverify.case import Case, Expression, Failure, Item, Policy
from cloud.modules.autoverify.decision import part, prepare
from cloud.modules.bench import service as bench
from cloud.modules.reports import document, queries
from cloud.modules.reports import service as reports
from cloud.modules.reports.rules import State, VersionState
from tests.cloud.autoverify.floor import DESK, MORNING, Floor, open_floor
from tests.cloud.reports.test_release import Room
from tests.support import lab as labs
from tests.support.database import TestDatabase

D = Decimal
CODES = {"K": True, "NA": True, "TP": True, "ALB": True, "GLB": True}
GLB = Item("GLB", "球蛋白", source="calc", inputs=("ALB", "TP"))
CASE = Case(
    1, MORNING, (Item("K", "钾"), Item("NA", "钠"), Item("TP", "总蛋白"), Item("ALB", "白蛋白"), GLB, Item("CL", "氯", present=False))
)
ALLOWED = Policy(
    partial=True,
    logic=(Expression("K_NA", '"K" > "NA"'),),
    context=(Expression("DRUG", "said('华法林')"),),
)


RANGE = Failure(7, "AV_RANGE", "K", "6.3>6.2")
WHOLE_TUBE = (
    Failure(0, "STOPPED", "", "换水"),
    Failure(0, "ENGINE", "", "KeyError"),
    Failure(1, "DEMOG", "", "age"),
    Failure(2, "CAVEAT"),
    Failure(3, "FAULT", "", "漏液"),
    Failure(8, "CRITICAL", "K", "6.8"),
    Failure(11, "CONTEXT", "DRUG"),
    Failure(13, "ID_SUSPECT", "", "2≥2"),
    Failure(13, "CONTAM_EDTA", "", "K+CA"),
    Failure(14, "AUTH_NONE"),
)
# Policy, what failed, what may leave before the rest.
PARTS: tuple[tuple[Policy, tuple[Failure, ...], tuple[str, ...]], ...] = (
    # What passes may leave; a calculated value stays with what it is made of.
    (ALLOWED, (RANGE,), ("NA", "TP", "ALB", "GLB")),
    (ALLOWED, (Failure(5, "QC", "ALB", "rejected"),), ("K", "NA", "TP")),
    (ALLOWED, (Failure(1, "MISSING", "CL"), Failure(9, "DELTA_ABS", "TP")), ("K", "NA", "ALB")),
    (ALLOWED, (Failure(10, "LOGIC", "K_NA"),), ("TP", "ALB", "GLB")),
    # Without permission or reason nothing leaves before the rest: where all passes the whole does, and nothing is a part.
    (replace(ALLOWED, partial=False), (RANGE,), ()),
    (ALLOWED, (), ()),
    # What speaks against the tube holds all of it.
    *((ALLOWED, (failure, RANGE), ()) for failure in WHOLE_TUBE),
)


@pytest.mark.parametrize(("policy", "failures", "leaves"), PARTS)
def test_what_may_leave_before_the_rest(policy: Policy, failures: tuple[Failure, ...], leaves: tuple[str, ...]) -> None:
    assert part(CASE, prepare(policy, CODES), failures) == leaves


# --- on a real database ---------------------------------------------------------------------------------------------


@pytest.fixture
def floor(fresh_db: TestDatabase) -> Iterator[Floor]:
    lab = labs.make(fresh_db)
    yield open_floor(lab, partial=True)
    lab.db.dispose()


def test_the_part_the_rules_clear_goes_and_the_held_rest_follows_as_the_final_report(floor: Floor) -> None:
    tube = floor.tube({"K": "4.13", "NA": "157"})
    floor.decide()
    with floor.world.lab.uow() as uow:
        row = uow.s.execute(text("SELECT id, no, state, auto, n_abnormal FROM report WHERE specimen_id = :i"), {"i": tube}).one()
        assert (row.state, row.auto, row.n_abnormal) == ("preliminary", True, 0), "the held value is counted in nobody's list"
        told = queries.released(uow, row.no)
        assert told is not None and told.preliminary and [line["code"] for line in told.lines] == ["K"]
        assert document.sheet(told.document).comments[0] == "预报告，以终报告为准。待出：项目NA。"
        decision = uow.s.execute(text("SELECT id, outcome, report_id FROM av_decision WHERE specimen_id = :i"), {"i": tube}).one()
        assert (decision.outcome, decision.report_id) == ("partial", row.id)
        stored, again = service.reproduce(uow, decision.id)
        assert again.cleared == ("K",) and [r[1:3] for r in stored] == [["AV_RANGE", "NA"]]
        tests: dict[int, str] = dict(uow.s.execute(text("SELECT item_id, state FROM test WHERE specimen_id = :i"), {"i": tube}).all())
        assert (tests[floor.world.items["K"]], tests[floor.world.items["NA"]]) == ("released", "received")
        topics = (
            uow.s.execute(text("SELECT topic FROM outbox_event WHERE topic LIKE 'report.%' AND key = :n"), {"n": row.no}).scalars().all()
        )
        assert topics == ["report.preliminary"]
    room = Room(floor.world)
    with floor.world.lab.uow() as uow:
        reports.review(uow, tube, None, room.person(uow, "tester"))
        [no] = reports.release(uow, [row.id], room.person(uow, "verifier"), DESK)
    with floor.world.lab.uow() as uow:
        final = queries.released(uow, no)
        assert final is not None and (final.no, final.state, final.version_no, final.preliminary) == (row.no, State.RELEASED, 2, False)
        assert [line["code"] for line in final.lines] == ["K", "NA"]
        assert [v.version_state for v in queries.versions(uow, no)] == [VersionState.CURRENT, VersionState.SUPERSEDED]
    # What held the rest is settled by a person, and the rules release the whole.
    floor.world.lab.clock.advance(minutes=5)
    tube = floor.tube({"K": "4.13", "NA": "140"})
    with floor.world.lab.uow() as uow:
        uow.s.execute(text("DELETE FROM av_due WHERE specimen_id = :i"), {"i": tube})
        floor.world.send(uow, tube, {"NA": "141"}, uow.now)  # a second value: held until somebody chooses
        service.on_results(uow, {"specimen_id": tube})
    floor.decide()
    with floor.world.lab.uow() as uow:
        assert uow.s.execute(text("SELECT state FROM report WHERE specimen_id = :i"), {"i": tube}).scalar_one() == "preliminary"
        test = uow.s.execute(
            text("SELECT id, version, current_id FROM test WHERE specimen_id = :i AND item_id = :n"),
            {"i": tube, "n": floor.world.items["NA"]},
        ).one()
        bench.choose_version(uow, test.id, test.version, test.current_id, "两次相近")
        service.on_results(uow, {"specimen_id": tube})
    floor.decide()
    with floor.world.lab.uow() as uow:
        row = uow.s.execute(text("SELECT no, state, current_no FROM report WHERE specimen_id = :i"), {"i": tube}).one()
        assert (row.state, row.current_no) == ("released", 2), floor.reasons(tube)
