"""A simulation plays results that came one after the other: what a set would have told before the last one, and whether that was right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from cloud.modules.autoverify import queries, service, simulation
from cloud.modules.autoverify.case import Case
from cloud.modules.autoverify.decision import Ready, decide, prepare
from cloud.modules.autoverify.early import Early, moments, replay
from cloud.modules.autoverify.models import Simulation
from cloud.modules.autoverify.rules import Confusion
from cloud.modules.autoverify.sets import starting_policy
from cloud.modules.bench import service as bench
from cloud.modules.reports import service as reports
from tests.cloud.autoverify.floor import DESK, Floor, open_floor
from tests.cloud.autoverify.reading import NOW, build, codes, policy
from tests.cloud.reports.test_release import Room
from tests.support import lab as labs
from tests.support.database import TestDatabase

WAIT = timedelta(minutes=10)


def at(*minutes: int) -> list[datetime]:
    return [NOW + timedelta(minutes=m) for m in minutes]


@pytest.mark.parametrize(
    ("came", "quiet"),
    [
        ((), ()),
        ((0,), ()),
        ((0, 0, 9), ()),
        ((0, 10), (10,)),
        ((30, 0, 9), (19,)),
        ((0, 11, 40), (10, 21)),
    ],
)
def test_a_tube_is_looked_at_when_it_is_quiet_before_its_last_result(came: tuple[int, ...], quiet: tuple[int, ...]) -> None:
    assert moments(at(*came), WAIT) == at(*quiet)


def set_of(partial: bool = True) -> Ready:
    return prepare(replace(policy(), partial=partial), codes())


def played(case: Case, late: dict[str, int], partial: bool = True, indices: dict[str, int] | None = None) -> Early:
    """All items at once, those named so many minutes later."""
    ready = set_of(partial)
    came = {i.code: at(late.get(i.code, 0))[0] for i in case.items}
    seen = {k: at((indices or {}).get(k, 0))[0] for k in case.indices}
    return replay(case, ready, came, seen, decide(case, ready))


def test_what_had_come_leaves_and_what_the_rest_would_have_held_is_named() -> None:
    clean = build("chem")
    early = played(clean, {"CK": 25})
    assert early.items == {i.code for i in clean.items} - {"CK"} and (early.minutes, early.kept) == (15, frozenset())
    assert played(clean, {"CK": 9}) == Early() == played(clean, {"CK": 25}, partial=False) == played(clean, {})
    # A logic rule waits for the item it compares.
    assert "HDL" not in played(clean, {"TC": 25}).items and "CK" in played(clean, {"TC": 25}).items
    # Nothing that haemolysis could spoil leaves before its index is known.
    assert "K" not in played(clean, {"CK": 25}, indices={"H": 25}).items
    # Twice quiet: what was held at first may leave at the second look; the minutes count from the first.
    assert played(clean, {"TC": 20, "CK": 45}).minutes == 35 and "HDL" in played(clean, {"TC": 20, "CK": 45}).items
    # The last result is critical: the whole is held then, and what had left stands named.
    worse = replace(clean, items=tuple(replace(i, critical="high") if i.code == "CK" else i for i in clean.items))
    assert played(worse, {"CK": 25}).kept == early.items
    assert played(worse, {"CREA": 25}) == Early()


@pytest.fixture
def floor(fresh_db: TestDatabase) -> Iterator[Floor]:
    lab = labs.make(fresh_db)
    yield open_floor(lab)
    lab.db.dispose()


def test_a_simulation_counts_what_would_have_left_early(floor: Floor) -> None:
    lab, room = floor.world.lab, Room(floor.world)
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        uow.s.execute(text("UPDATE av_rule_set /* by hand */ SET state = 'retired'"))
        rule_set = service.create_set(uow, floor.world.section, "先发", replace(starting_policy(), partial=True)).id
    # Sodium 15 and 5 minutes after potassium; 15 minutes again, but people changed the potassium that would have left.
    for gap, sodium, changed in ((15, "140", ""), (5, "140", ""), (15, "160", "4.9")):
        tube = floor.tube({"K": "4.13"})
        lab.clock.advance(minutes=gap)
        with lab.uow() as uow:
            floor.world.send(uow, tube, {"NA": sodium}, uow.now)
        if changed:
            with lab.uow() as uow:
                test = uow.s.execute(
                    text("SELECT id, version FROM test WHERE specimen_id = :s AND item_id = :i"), {"s": tube, "i": floor.world.items["K"]}
                ).one()
                bench.enter_result(uow, bench.Entry(test.id, test.version, changed, reason="复查"))
        with lab.uow() as uow:
            report = reports.review(uow, tube, None, room.person(uow, "tester"))
        with lab.uow() as uow:
            reports.release(uow, [report], room.person(uow, "verifier"), DESK)
    with lab.uow() as uow:
        run = service.start(uow, rule_set, 100).id
    with lab.uow() as uow:
        while simulation.step(uow):
            pass
        row = uow.s.get_one(Simulation, (uow.tenant_id, run))
        assert Confusion(**row.confusion) == Confusion(both_release=2, false_release=1, early=1, early_min=5)
        [example] = queries.examples(uow, [row])[run]
        assert example.kept == () and example.no
    page = lab.client("leader").get("/av/simulate").text
    assert "平均早 5 分钟" in page and f"/reports/{example.no}" in page
