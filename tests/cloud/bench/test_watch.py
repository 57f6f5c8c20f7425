"""What a section is reminded of (M07 Alerts): each at its minute, each with a list behind it, each gone with its cause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from cloud.jobs import all_jobs, run_job
from cloud.modules.bench import queries, service
from tests.cloud.bench.world import NORMAL, World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase

AT = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = labs.make(fresh_db)
    lab.clock.set(AT)
    yield build(lab)
    lab.db.dispose()


def told(world: World) -> dict[str, str]:
    """Open alerts of the bench: kind → address."""
    assert run_job(world.lab.db, all_jobs()["bench.watch"], [world.lab.a]) == 0
    with world.lab.uow() as uow:
        rows = uow.s.execute(text("SELECT kind, url FROM alert WHERE cleared_at IS NULL AND kind LIKE 'bench.%'"))
        return {r.kind: r.url for r in rows}


def shown(world: World, url: str) -> int:
    """Lines of the list an alert leads to."""
    return world.lab.client("tester").get(url).text.count('<tr id="t')


def test_alerts_of_the_bench_come_at_their_minute_and_go_with_their_cause(world: World) -> None:
    lab = world.lab
    with lab.uow() as uow:
        held, partial = world.tube(uow), world.tube(uow)
        again = world.tube(uow)
        world.send(uow, held, NORMAL, AT)
        world.send(uow, held, {"K": "5.1"}, AT + timedelta(minutes=1))  # another value of the same item
        world.send(uow, partial, {"K": "4.0"}, AT)
        world.send(uow, again, NORMAL, AT)
        k = next(t for t in queries.tests_of(uow, [again])[again] if t.item.code == "K")
        service.request_rerun(uow, again, None, [k.id], "与前次相差大")
    assert told(world) == {}
    lab.clock.advance(minutes=30)
    assert told(world) == {}
    lab.clock.advance(seconds=1)
    # A tube that waits for its rerun is held as well.
    assert told(world) == {"bench.held": "/bench/CHEM?show=held", "bench.missing": "/bench/CHEM?show=missing"}
    assert shown(world, "/bench/CHEM?show=held") == 2 and shown(world, "/bench/CHEM?show=missing") == 1
    lab.clock.advance(minutes=30)
    assert told(world)["bench.rerun"] == "/bench/rerun?section=CHEM"
    with lab.uow() as uow:
        rest = {"NA": "140", "GLU": "5.0", "CREA": "80"}
        world.send(uow, partial, rest, AT + timedelta(minutes=50))
        world.send(uow, again, {"K": "4.1"}, AT + timedelta(minutes=50))
        k = next(t for t in queries.tests_of(uow, [held])[held] if t.item.code == "K")
        assert k.pending is not None
        service.choose_version(uow, k.id, k.version, k.pending.id, "")
    assert told(world) == {}


def test_a_picture_that_was_asked_for_and_did_not_come(world: World) -> None:
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE order_set SET graphs = true"))
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, AT)
    world.lab.clock.advance(minutes=11)
    assert told(world) == {"bench.picture": "/bench/CHEM?show=picture"}
    assert shown(world, "/bench/CHEM?show=picture") == 1
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE order_set SET graphs = false"))
    assert told(world) == {} and shown(world, "/bench/CHEM?show=picture") == 0


def test_when_a_tube_is_due_follows_its_shortest_promise_even_from_an_older_release(world: World) -> None:
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE order_set SET tat_minutes = 45"))
        tube = world.tube(uow)
        due = text("SELECT due_at - received_at FROM bench_tube WHERE specimen_id = :i")
        assert uow.s.execute(due, {"i": tube}).scalar_one() == timedelta(minutes=45)
        uow.s.execute(text("UPDATE bench_tube SET due_at = NULL"))
    told(world)
    with world.lab.uow() as uow:
        assert uow.s.execute(due, {"i": tube}).scalar_one() == timedelta(minutes=45)


def test_two_values_are_chosen_by_key_and_never_by_enter_alone(world: World) -> None:
    """Enter in the reason would press a form's first button, which is a value: the default button is one that does nothing."""
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, AT)
        world.send(uow, tube, {"K": "5.1"}, AT + timedelta(minutes=1))
        k = next(t for t in queries.tests_of(uow, [tube])[tube] if t.item.code == "K")
    tester = world.lab.client("tester")
    page = tester.get(f"/bench/CHEM?tube={tube}").text
    form = page[page.index('<form class="choose"') :]
    form = form[: form.index("</form>")]
    assert form.index("disabled") < form.index('name="chosen"') and 'data-key="Alt+Q"' in form and 'data-key="Alt+W"' in form
    assert k.pending is not None
    answer = tester.post(f"/bench/test/{k.id}/choose", {"version": k.version, "chosen": k.pending.id}, htmx=True)
    # The tube's buttons come again with its new revision, so that the review that follows is not taken for a stale one.
    assert 'id="acts" hx-swap-oob="true"' in answer.text and 'data-revision="3"' in answer.text


def test_a_rerun_of_the_whole_tube_leaves_out_what_waits_for_a_choice(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, AT)
        world.send(uow, tube, {"K": "5.1"}, AT + timedelta(minutes=1))
        assert service.request_rerun(uow, tube, None, [], "与前次相差大") == 3


def test_refusals_are_told_in_the_readers_language(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"K": "4.0"}, AT)
        revision = queries.tube(uow, tube)
        assert revision is not None
    tester = world.lab.client("tester")
    tester.post("/lang/en")
    missing = tester.post(f"/bench/CHEM/tube/{tube}/review", {"revision": revision.revision}, htmx=True)
    assert missing.status_code == 409 and "Mandatory items are missing: 项目NA, 项目GLU, 项目CREA" in missing.text
    stale = tester.post(f"/bench/CHEM/tube/{tube}/review", {"revision": 99}, htmx=True)
    assert stale.status_code == 409 and "changed after you opened it" in stale.text
    k = next(t for t in revision.tests if t.item.code == "K")
    none = tester.post(f"/bench/test/{k.id}/none", {"version": k.version, "reason": " "}, htmx=True)
    assert none.status_code == 422 and "Say why there is no result of 项目K" in none.text
