"""初审 of many tubes at once (M07 R9): its count and exceptions are seen first; what a rule held, or changed, never goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from cloud.modules.autoverify import batch
from cloud.modules.autoverify.rules import BatchLook, batch_exceptions
from cloud.modules.bench import queries as bench
from cloud.modules.platform.identity import SessionIdentity
from cloud.modules.qc.rules import Gate, GateState
from cloud.web.principal import Principal
from common.errors import UserError
from tests.cloud.autoverify.floor import CLEAN, Floor, open_floor
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer


@pytest.fixture(scope="module")
def floor(pg: TestServer, schema_template: TestDatabase) -> Iterator[Floor]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    yield open_floor(lab)
    lab.db.dispose()
    pg.drop(made.name)


@pytest.mark.parametrize(
    ("look", "word"),
    [
        (BatchLook(held=True), "待处理"),
        (BatchLook(critical=1), "危急值 1"),
        (BatchLook(abnormal=2), "异常 2"),
        (BatchLook(alarms=1), "报警 1"),
        (BatchLook(qc=("钾",)), "质控未放行：钾"),
        (BatchLook(bypassed=("钾",)), "质控临时放行：钾"),
        (BatchLook(fed=True), "未空腹"),
        (BatchLook(contradictions=("总蛋白小于白蛋白",)), "矛盾"),
        (BatchLook(caveat="溶血"), "让步接收：溶血"),
        (BatchLook(issues=1), "性状异常 1"),
        (BatchLook(rules=3), "拦截 3"),
        (BatchLook(deciding=True), "还没有判断"),
        (BatchLook(hidden=True), "敏感"),
    ],
)
def test_each_reason_keeps_a_tube_out_and_is_named(look: BatchLook, word: str) -> None:
    [why] = batch_exceptions(look)
    assert word in why


def test_nothing_found_goes_with_the_batch() -> None:
    assert batch_exceptions(BatchLook()) == ()


def person(floor: Floor) -> Principal:
    """The tester as the web layer sees them."""
    lab = floor.world.lab
    found = lab.client("tester")
    with lab.uow() as uow:
        who = SessionIdentity().authenticate(uow, found.token, "127.0.0.1")
    assert isinstance(who, Principal)
    return who


def test_a_batch_shows_what_goes_and_why_the_rest_does_not(floor: Floor) -> None:
    lab, world = floor.world.lab, floor.world
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE duty SET cancelled_at = now()"))  # fit for release by rules, but nobody answers for it
    clean, second = floor.tube(), floor.tube()
    odd = floor.tube({"K": "6.0", "NA": "140"})
    rival = floor.tube()
    with lab.uow() as uow:
        world.send(uow, rival, {"K": "4.9"}, uow.now + timedelta(minutes=1))
    floor.decide()
    waiting = floor.tube()
    tester = person(floor)
    with lab.uow() as uow:
        found = batch.preview(uow, tester, world.section)
    ready = {c.detail.tube.specimen_id: c for c in found.ready}
    why = {c.detail.tube.specimen_id: " ".join(c.why) for c in found.exceptions}
    assert {clean, second} <= ready.keys() and not {odd, rival, waiting} & ready.keys()
    assert "异常 1 项" in why[odd] and "待处理" in why[rival] and "还没有判断" in why[waiting]
    floor.decide()
    page = lab.client("tester").get("/bench/CHEM/batch").text
    assert page.count('name="tube"') == len(ready) + 1 and "须逐管查看" in page
    with pytest.raises(UserError, match="没有初审任何标本"):
        with lab.db.tenant(lab.a, floor.actor("tester")) as uow:
            batch.review(uow, tester, world.section, [(clean, ready[clean].revision), (odd, 1)])
    with pytest.raises(UserError, match="没有初审任何标本"):
        with lab.db.tenant(lab.a, floor.actor("tester")) as uow:
            batch.review(uow, tester, world.section, [(clean, ready[clean].revision), (second, ready[second].revision - 1)])
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM report WHERE specimen_id = ANY(:i)"), {"i": [clean, second]}).scalar_one() == 0
    form = {"tube": [f"{i}-{ready[i].revision}" for i in (clean, second)]}
    answer = lab.client("tester").post("/bench/CHEM/batch", form, htmx=True)
    assert answer.headers["HX-Redirect"] == "/bench/CHEM/batch?done=2"
    with lab.uow() as uow:
        query = text("SELECT state, tester_id FROM report WHERE specimen_id = ANY(:i)")
        states = {tuple(r) for r in uow.s.execute(query, {"i": [clean, second]})}
    assert states == {("tested", lab.users[(lab.a, "tester")])}
    nothing = lab.client("tester").post("/bench/CHEM/batch", {"tube": "x-1"}, htmx=True)
    assert nothing.status_code == 422 and "请先勾选" in nothing.text


def test_what_a_rule_held_is_an_exception_with_the_rules_words(floor: Floor) -> None:
    lab, world = floor.world.lab, floor.world
    with lab.uow() as uow:
        patient = world.patient(uow)
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE duty SET cancelled_at = NULL"))
    first = floor.tube(CLEAN, patient)
    floor.decide()
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE test /* by hand */ SET state = 'released' WHERE specimen_id = :i"), {"i": first})
        uow.s.execute(text("UPDATE result_version SET released_at = at WHERE patient_id = :p"), {"p": patient})
    lab.clock.advance(hours=1)
    jumped = floor.tube({"K": "5.2", "NA": "140"}, patient)
    floor.decide()
    with lab.uow() as uow:
        found = batch.preview(uow, person(floor), world.section)
    [told] = [c for c in found.exceptions if c.detail.tube.specimen_id == jumped]
    assert any("规则拦截" in w for w in told.why) and any("差值" in s.zh for s in told.told)


def test_a_bypass_is_looked_at_tube_by_tube_and_a_missing_plan_is_said(floor: Floor) -> None:
    """A bypass lets a person release, not a batch; where nothing controls an item the batch may go, and says so."""
    lab, world = floor.world.lab, floor.world
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE duty SET cancelled_at = now()"))  # the rules themselves let nothing go
    tube = floor.tube()
    floor.decide()

    def seen(state: GateState) -> tuple[list[str], int]:
        with lab.uow() as uow:
            tests = bench.details_of(uow, [tube])[tube].tests
        with pytest.MonkeyPatch.context() as patch, lab.uow() as uow:
            patch.setattr(bench, "_gates", lambda _uow, _tests: {t.id: Gate(state) for t in tests})
            found = batch.preview(uow, person(floor), world.section)
            [mine] = [c for c in (*found.ready, *found.exceptions) if c.detail.tube.specimen_id == tube]
            return [str(w) for w in mine.why], mine.unplanned

    assert seen(GateState.OPEN) == ([], 0)
    why, _ = seen(GateState.BYPASSED)
    assert len(why) == 1 and why[0].startswith("质控临时放行：")
    assert seen(GateState.NO_PLAN) == ([], 2)
