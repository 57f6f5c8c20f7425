"""When the engine itself fails (M08 Alerts): everything of the set goes to people, and one tube or one simulation bars nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from cloud import relay
from cloud.modules.autoverify import deciding, facts, loop, service, simulation
from cloud.modules.autoverify.case import Case
from cloud.modules.autoverify.decision import Ready, Verdict, decide
from cloud.modules.autoverify.sets import starting_policy
from cloud.worker import all_handlers
from tests.cloud.autoverify.floor import DESK, MORNING, Floor, open_floor
from tests.cloud.autoverify.test_shown import released
from tests.support import lab as labs
from tests.support.database import TestDatabase


@pytest.fixture
def floor(fresh_db: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    lab = labs.make(fresh_db)
    monkeypatch.setattr(loop, "current_desk", lambda: DESK)
    yield open_floor(lab)
    lab.db.dispose()


def alerts(floor: Floor) -> list[str]:
    with floor.world.lab.uow() as uow:
        query = "SELECT subject FROM alert WHERE kind = 'autoverify.engine' AND cleared_at IS NULL ORDER BY subject"
        return list(uow.s.execute(text(query)).scalars())


def outcomes(floor: Floor) -> dict[int, str]:
    with floor.world.lab.uow() as uow:
        rows = uow.s.execute(text("SELECT specimen_id, outcome FROM av_decision WHERE NOT shadow ORDER BY id")).all()
        return {r.specimen_id: r.outcome for r in rows}


def test_an_error_of_the_rules_suspends_the_set_and_holds_the_whole_batch(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = floor.tube(), floor.tube()

    def fails(case: Case, ready: Ready) -> Verdict:
        if case.specimen_id == second:
            raise KeyError("K")
        return decide(case, ready)

    monkeypatch.setattr(deciding, "decide", fails)
    floor.decide()
    assert outcomes(floor)[first] == "held" == outcomes(floor)[second]
    assert floor.reasons(first) == ["ENGINE KeyError"] == floor.reasons(second)
    assert alerts(floor) == [f"rule_set:{floor.rule_set}"]
    monkeypatch.setattr(deciding, "decide", decide)
    third = floor.tube()
    floor.decide()
    assert floor.reasons(third)[0].startswith("REVALIDATE 规则集暂停：程序出错")
    lab = floor.world.lab
    assert lab.client("leader").post(f"/av/rules/{floor.rule_set}/state", {"to": "resume"}).status_code == 303
    fourth = floor.tube()
    floor.decide()
    assert floor.reasons(fourth) == []


def test_an_error_of_a_shadow_holds_nothing_back(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    with floor.world.lab.uow() as uow:
        made = service.create_set(uow, floor.world.section, "影子", starting_policy()).id
        service.set_shadow(uow, made, True)
    calls: list[int] = []

    def fails(case: Case, ready: Ready) -> Verdict:
        calls.append(case.specimen_id)
        if len(calls) == 2:  # the active set comes first, then its shadow
            raise KeyError("K")
        return decide(case, ready)

    monkeypatch.setattr(deciding, "decide", fails)
    tube = floor.tube()
    floor.decide()
    assert floor.reasons(tube) == [] and alerts(floor) == [f"rule_set:{made}"]


def test_one_tube_nobody_can_decide_bars_no_other(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    floor.decide()
    first, bad, last = floor.tube(), floor.tube(), floor.tube()
    before = facts.cases

    def cases(uow: Any, details: Any, past: bool = False) -> Any:
        if bad in details:
            raise ValueError("no such time")
        return before(uow, details, past)

    monkeypatch.setattr(facts, "cases", cases)
    lab = floor.world.lab
    assert loop.work(lab.db, lab.a) == 3
    found = outcomes(floor)
    assert (found[first], found.get(bad), found[last]) == ("released", None, "released")
    assert alerts(floor) == [f"specimen:{bad}"]
    with lab.uow() as uow:
        told = uow.s.execute(text("SELECT fields->>'barcode' FROM alert WHERE kind = 'autoverify.engine'")).scalar_one()
        assert told == uow.s.execute(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": bad}).scalar_one()
    assert loop.work(lab.db, lab.a) == 0  # and it is not tried for ever


def test_a_lost_database_is_no_fault_of_a_tube(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    floor.decide()
    floor.tube()
    lab = floor.world.lab

    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("SELECT 1", {}, Exception("server closed the connection"), connection_invalidated=True)

    monkeypatch.setattr(facts, "cases", away)
    with pytest.raises(OperationalError):
        loop.work(lab.db, lab.a)
    monkeypatch.undo()
    monkeypatch.setattr(loop, "current_desk", lambda: DESK)
    assert alerts(floor) == [] and loop.work(lab.db, lab.a) == 1


def test_a_simulation_that_fails_undoes_no_decision_and_ends(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = floor.world.lab
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        service.stop(uow, service.Scope.TENANT, None, "造历史")
    released(floor, "4.1")
    with lab.db.tenant(lab.a, floor.actor("verifier")) as uow:
        service.end_stop(uow, 1, "好了")
        run = service.start(uow, floor.rule_set, 10).id

    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(simulation, "_compare", fails)
    tube = floor.tube()
    loop.work(lab.db, lab.a)
    assert outcomes(floor)[tube] == "released"
    with lab.uow() as uow:
        row = uow.s.execute(text("SELECT state, done, error FROM av_simulation WHERE id = :i"), {"i": run}).one()
        assert (row.state, row.done, row.error) == ("failed", 0, simulation.BROKEN)


def test_a_tube_whose_patient_was_corrected_a_moment_ago_is_decided_once_it_is_judged_anew(floor: Floor) -> None:
    tube, other = floor.tube(), floor.tube()
    with floor.world.lab.uow() as uow:
        patient = uow.s.execute(text("SELECT patient_id FROM specimen WHERE id = :i"), {"i": tube}).scalar_one()
        uow.emit("patient.corrected", f"patient:{patient}", {"patient_id": patient})
    floor.decide()
    assert floor.reasons(tube) == ["nothing"]
    assert floor.reasons(other) == [], "its neighbour leaves"
    floor.world.lab.clock.set(MORNING + timedelta(seconds=5))
    floor.decide()
    assert floor.reasons(tube) == ["nothing"], "however long it takes"
    while relay.drain(floor.world.lab.db, floor.world.tenant, all_handlers()):
        pass
    floor.world.lab.clock.set(MORNING + timedelta(seconds=10))
    floor.decide()
    assert floor.reasons(tube) == []
    with floor.world.lab.uow() as uow:
        assert uow.s.scalar(text("SELECT state FROM report WHERE specimen_id = :i"), {"i": tube}) == "released"
