"""A dry run in the background: in slices, cancellable, going on where it was; and what it says of the autoverification (M02, M08)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from cloud import relay
from cloud.modules.autoverify import sets
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.changes import models, service, trial
from cloud.modules.changes.rules import State
from cloud.worker import all_handlers
from common.errors import UserError
from tests.cloud.autoverify.floor import Floor, open_floor
from tests.support import lab as labs
from tests.support.database import TestDatabase


@pytest.fixture
def floor(fresh_db: TestDatabase) -> Iterator[Floor]:
    lab = labs.make(fresh_db, labs.Clock())
    yield open_floor(lab)
    lab.db.dispose()


def told(floor: Floor, *potassium: str) -> None:
    """Reports that are out, beside the one the floor's rule set was shown on."""
    for value in potassium:
        floor.tube({"K": value, "NA": "140.2"})
    with floor.world.lab.uow() as uow:
        uow.s.execute(text("UPDATE result_version SET released_at = at"))
        uow.s.execute(text("UPDATE test /* by hand */ SET state = 'released' WHERE current_id IS NOT NULL"))


def change(floor: Floor, kind: str, **new: Any) -> int:
    """A proposed change of potassium's row."""
    lab = floor.world.lab
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        known = md.catalog(uow)
        rows: Any = {"ri": known.intervals, "av_range": known.av_ranges}[kind]
        row = rows[known.items_by_code["K"].id][0]
        values = catalog.present(uow, catalog.KINDS[kind], row.id)
        assert values is not None
        return service.propose(uow, kind, [(row.id, values | new)], "复核")


def begin(floor: Floor, change_id: int) -> int:
    lab = floor.world.lab
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        return trial.start(uow, change_id)


def slice_(floor: Floor, trial_id: int) -> models.CatalogTrial:
    with floor.world.lab.uow() as uow:
        trial.step(uow, {"trial_id": trial_id})
    with floor.world.lab.uow() as uow:
        found = trial.one(uow, trial_id)
        assert found is not None
        return found


def state_of(floor: Floor, change_id: int) -> State:
    with floor.world.lab.uow() as uow:
        return State(uow.s.get_one(models.CatalogChange, (1, change_id)).state)


def test_slice_after_slice_adds_up_to_the_whole_and_tests_the_change(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    told(floor, "4.1", "5.1", "5.2", "4.0", "5.1")
    made = change(floor, "ri", high="5.0")
    monkeypatch.setattr(trial, "SLICE", 2)
    running = begin(floor, made)
    for done, state in ((2, "running"), (4, "running"), (6, "done")):
        found = slice_(floor, running)
        assert (found.done, found.total, found.state) == (done, 6, state)
        assert state_of(floor, made) is (State.TESTED if state == "done" else State.DRAFT)
    assert (found.report["sample"], found.report["flags"], len(found.report["differences"])) == (6, 3, 6)
    again = slice_(floor, running)
    assert (again.done, again.report["flags"]) == (6, 3), "a slice that comes twice counts once"


def test_a_cancelled_one_stops_and_the_change_stays_a_draft(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    told(floor, "4.1", "5.1", "5.2")
    made = change(floor, "ri", high="5.0")
    monkeypatch.setattr(trial, "SLICE", 1)
    running = begin(floor, made)
    slice_(floor, running)
    leader = floor.world.lab.client("leader")
    assert "1 / 4" in leader.get(f"/md/changes/{made}").text
    assert floor.world.lab.client("engineer").post(f"/md/trials/{running}/cancel").status_code == 403
    assert leader.post(f"/md/trials/{running}/cancel").status_code == 303
    assert leader.post(f"/md/trials/{running}/cancel", htmx=True).status_code == 409
    assert slice_(floor, running).done == 1 and state_of(floor, made) is State.DRAFT
    assert "上次测试没有完成" in leader.get(f"/md/changes/{made}").text
    assert begin(floor, made) != running, "it may be asked for again"


def test_autoverification_outcomes_stand_beside_the_flags(floor: Floor) -> None:
    told(floor, "4.1", "4.6", "6.1", "4.2")
    made = change(floor, "av_range", high="4.5")
    running = begin(floor, made)
    relay.drain(floor.world.lab.db, floor.world.lab.a, all_handlers())
    with floor.world.lab.uow() as uow:
        found = trial.one(uow, running)
        assert found is not None and found.state == "done"
        report = found.report
        assert (report["av_judged"], report["av_released"], report["changed"]) == (5, 0, 0)
        assert report["av_held"] == len(report["av"]) >= 1 and all(a["held"] and a["why"] for a in report["av"])
    shown = floor.world.lab.client("leader").get(f"/md/changes/{made}").text
    assert "份由放行变为拦截" in shown and "✕ 拦截" in shown


def test_what_was_tried_is_never_kept_for_real_decisions(floor: Floor) -> None:
    """The compiled rule sets are kept by the catalog's number, and a number that was rolled back is given again."""
    told(floor, "4.1")
    before = dict(sets._compiled)
    begin(floor, change(floor, "av_range", high="4.5"))
    relay.drain(floor.world.lab.db, floor.world.lab.a, all_handlers())
    with floor.world.lab.uow() as uow:
        number = md.catalog(uow).number
    assert all(key[-1] <= number for key in sets._compiled if key not in before)


def test_a_change_in_no_state_for_it_is_not_tested(floor: Floor) -> None:
    made = change(floor, "ri", high="5.0")
    with floor.world.lab.uow() as uow:
        service.withdraw(uow, made, "不需要")
    with pytest.raises(UserError, match="已撤回"):
        begin(floor, made)
    assert floor.world.lab.client("leader").get("/md/trials/999").status_code == 404
