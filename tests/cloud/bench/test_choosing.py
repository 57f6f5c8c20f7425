"""Many rivals of one tube chosen at once: each by itself, all or none, and only undisputed pairs by column."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import measure, queries, service
from cloud.modules.bench.measure import RerunRule, Side
from cloud.modules.bench.queries import Rival
from cloud.modules.bench.service import Choice
from common.errors import UserError
from common.values import parse
from tests.cloud.bench.world import NORMAL, World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer

RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
AGAIN = {"K": "4.20", "NA": "141.0", "GLU": "7.90", "CREA": "81"}
"""Within 5 % of NORMAL but for the glucose, which is high besides."""


class Undo(Exception):
    """Ends a test's transaction without a trace."""


@pytest.fixture(scope="module")
def world(pg: TestServer, schema_template: TestDatabase) -> Iterator[World]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    yield build(lab)
    lab.db.dispose()
    pg.drop(made.name)


@pytest.fixture
def uow(world: World) -> Iterator[UnitOfWork]:
    with suppress(Undo), world.lab.uow() as uow:
        yield uow
        raise Undo


def twice(world: World, uow: UnitOfWork) -> int:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    world.send(uow, tube, AGAIN, RUN + timedelta(minutes=5))
    return tube


def pairs(uow: UnitOfWork, tube: int) -> dict[str, Rival]:
    detail = queries.tube(uow, tube)
    assert detail is not None
    return {p.test.item.code: p for p in queries.rivals(uow, detail)}


def side(text: str, flag: str = "", critical: bool = False, *alarms: str) -> Side:
    return Side(parse(text), flag, critical, alarms)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (side("100"), side("105"), True),
        (side("100"), side("105.1"), False),
        (side("100", "H"), side("104", "H"), True),
        (side("100"), side("104", "H"), False),
        (side("100", "H", True), side("100", "H", True), False),
        (side("100"), side("100", "", True), False),
        (side("100", "", False, "CLOT"), side("100"), False),
        (side(">100"), side(">100"), False),
        (side("阳性"), side("阳性"), False),
        (side("0"), side("0"), True),
    ],
)
def test_only_pairs_that_say_the_same_to_a_clinician_are_undisputed(first: Side, second: Side, same: bool) -> None:
    assert measure.undisputed(first, second, RerunRule(percent=D("5"))) is same


def test_the_difference_is_shown_absolute_and_per_cent() -> None:
    assert measure.difference(parse("4.0"), parse("4.5")) == (D("0.5"), D("12.5"))
    assert measure.difference(parse("-2"), parse("-3")) == (D("-1"), D("-50.0"))
    assert measure.difference(parse("0"), parse("3")) == (D("3"), None)
    assert measure.difference(parse("<1"), parse("3")) is None


def test_each_pair_is_shown_the_earlier_first_with_its_difference(world: World, uow: UnitOfWork) -> None:
    found = pairs(uow, twice(world, uow))
    assert list(found) == ["K", "NA", "GLU", "CREA"]
    assert (found["K"].first.reported_text, found["K"].second.reported_text) == ("4.1", "4.2")
    assert found["K"].apart == (D("0.1"), D("2.4"))
    assert {code for code, p in found.items() if p.undisputed} == {"K", "NA", "CREA"}


def test_what_was_chosen_counts_and_what_was_left_open_stays_open(world: World, uow: UnitOfWork) -> None:
    tube = twice(world, uow)
    found = pairs(uow, tube)
    chosen = [Choice(p.test.id, p.test.version, (p.second if code == "K" else p.first).id) for code, p in found.items() if code != "GLU"]
    assert service.choose_versions(uow, tube, chosen, "首次标本未混匀") == 3
    lines = {t.item.code: t for t in queries.tests_of(uow, [tube])[tube]}
    told = {c: v.reported_text for c in ("K", "NA", "CREA") if (v := lines[c].current) is not None}
    assert told == {"K": "4.2", "NA": "140", "CREA": "80"}
    assert lines["GLU"].pending is not None and lines["GLU"].state == "held" and lines["K"].state == "received"
    uow.s.flush()
    kept = uow.s.execute(text("SELECT count(*) FROM result_version WHERE test_id = :i"), {"i": lines["K"].id}).scalar_one()
    assert kept == 2


def test_one_that_changed_meanwhile_refuses_all_and_nothing_is_chosen(world: World, uow: UnitOfWork) -> None:
    tube = twice(world, uow)
    found = pairs(uow, tube)
    stale = [Choice(p.test.id, p.test.version - (code == "NA"), p.first.id) for code, p in found.items()]
    with pytest.raises(UserError, match="项目NA") as refused:
        service.choose_versions(uow, tube, stale, "")
    assert refused.value.code == "stale"
    assert all(p.test.pending is not None for p in pairs(uow, tube).values())
    with pytest.raises(UserError, match="还没有选用"):
        service.choose_versions(uow, tube, [], "")
    other = world.tube(uow)
    with pytest.raises(UserError, match="不属于这管"):
        service.choose_versions(uow, other, stale[:1], "")
    with pytest.raises(UserError, match="没有这个待选"):
        service.choose_versions(uow, tube, [Choice(found["K"].test.id, found["K"].test.version, 1)], "")


def test_a_rerun_among_them_needs_who_may_decide_and_a_reason(world: World, uow: UnitOfWork) -> None:
    tube = world.tube(uow)
    world.send(uow, tube, NORMAL, RUN)
    service.request_rerun(uow, tube, None, [], "与前次相差大")
    world.send(uow, tube, {"GLU": "7.9"}, RUN + timedelta(minutes=5))
    glu = pairs(uow, tube)["GLU"]
    choice = [Choice(glu.test.id, glu.test.version, glu.second.id)]
    with pytest.raises(UserError, match="高年资"):
        service.choose_versions(uow, tube, choice, "复查一致", may_decide=False)
    with pytest.raises(UserError, match="理由"):
        service.choose_versions(uow, tube, choice, " ")
    assert service.choose_versions(uow, tube, choice, "首次吸样不足") == 1


def test_the_page_chooses_nothing_by_itself_and_saves_with_one_key(world: World) -> None:
    with world.lab.uow() as uow:
        tube = twice(world, uow)
        found = pairs(uow, tube)
    tester = world.lab.client("tester")
    assert 'data-key="Alt+X"' in tester.get(f"/bench/CHEM?tube={tube}").text
    shown = tester.get(f"/bench/CHEM/tube/{tube}/rivals", headers={"HX-Request": "true"}).text
    assert shown.count('type="radio"') == 8 and "checked" not in shown and shown.count("data-undisputed") == 3
    form = {f"n-{p.test.id}": p.test.version for p in found.values()} | {f"c-{found['GLU'].test.id}": found["GLU"].second.id}
    answer = tester.post(f"/bench/CHEM/tube/{tube}/choose", form, htmx=True)
    assert answer.status_code == 200 and "Alt+X" in answer.text
    nothing = tester.post(f"/bench/CHEM/tube/{tube}/choose", {}, htmx=True)
    assert nothing.status_code == 422 and "还没有选用" in nothing.text
    odd = tester.post(f"/bench/CHEM/tube/{tube}/choose", {f"c-{found['K'].test.id}": "9" * 30}, htmx=True)
    assert odd.status_code == 409
