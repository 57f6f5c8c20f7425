"""Authorisations: trimmed to competency and licence, enforced at the button and in the service, by day and by item group."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text

from cloud.db.session import Actor
from cloud.modules.personnel import service
from cloud.modules.personnel.rules import TRANSITIONS, Function, Grant, State, counts, may_move, trimmed, uncovered
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase

DAY = date(2026, 11, 25)


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    made = labs.make(fresh_db)
    yield build(made)
    made.db.dispose()


def grant(**more: object) -> Grant:
    base: dict[str, object] = {
        "user_id": 1,
        "function": Function.VERIFY,
        "section_id": 5,
        "items": None,
        "first": date(2026, 1, 1),
        "until": DAY,
        "state": State.ACTIVE,
    }
    return Grant(**(base | more))  # type: ignore[arg-type]


def test_covers_by_person_function_section_items_and_day() -> None:
    def left(*grants: Grant, day: date = DAY) -> set[int]:
        return uncovered(grants, 1, Function.VERIFY, 5, {7, 8}, day)

    assert left() == {7, 8}
    assert left(grant()) == set()
    assert left(grant(section_id=None)) == set()
    assert left(grant(section_id=6)) == {7, 8}
    assert left(grant(user_id=2)) == {7, 8}
    assert left(grant(function=Function.TEST)) == {7, 8}
    assert left(grant(items=frozenset({7}))) == {8}
    assert left(grant(items=frozenset({7})), grant(items=frozenset({8}))) == set()
    assert left(grant(), day=date(2026, 11, 26)) == {7, 8}
    assert left(grant(first=date(2026, 11, 26))) == {7, 8}
    assert left(grant(state=State.SUSPENDED)) == {7, 8}


def test_states_exhaustively() -> None:
    allowed = {(a, b) for a, to in TRANSITIONS.items() for b in to}
    expected = {("active", "suspended"), ("active", "revoked"), ("suspended", "active"), ("suspended", "revoked")}
    assert {(a.value, b.value) for a, b in allowed} == expected
    assert all(may_move(a, b) is ((a, b) in allowed) for a in State for b in State)


def test_ac_hr_1_authorisation_ends_with_the_licence(world: World) -> None:
    assert trimmed(date(2027, 1, 1), date(2026, 12, 1), date(2026, 11, 25)) == date(2026, 11, 25)
    assert counts(grant(), DAY) and not counts(grant(), date(2026, 11, 26))
    lab, clock = world.lab, world.lab.clock
    clock.set(datetime(2026, 11, 25, 2, 0, tzinfo=UTC))
    verifier = lab.users[(lab.a, "verifier")]
    with lab.uow() as uow:
        uow.s.execute(text("DELETE FROM authorization_grant WHERE user_id = :u"), {"u": verifier})
    with lab.db.tenant(lab.a, Actor("主任", user_id=lab.users[(lab.a, "director")])) as uow:
        days = (date(2026, 1, 1), date(2027, 6, 30), date(2026, 12, 1), date(2026, 11, 25))
        new = service.NewGrant(verifier, Function.VERIFY, world.section, world.order_set, *days)
        assert service.grant(uow, new).until == date(2026, 11, 25)
    with lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, uow.now)
    tester = lab.client("tester")
    assert tester.post(f"/bench/CHEM/tube/{tube}/review", {}, htmx=True).status_code == 204
    client = lab.client("verifier")
    assert "只发布这一份" in client.get("/review/CHEM").text
    clock.set(datetime(2026, 11, 26, 2, 0, tzinfo=UTC))
    client = lab.client("verifier")
    shown = client.get("/review/CHEM").text
    assert "只发布这一份" not in shown and 'data-key="F4"' not in shown and "没有本组的有效审核授权" in shown
    lab.sign(client)
    with lab.uow() as uow:
        report = uow.s.execute(text("SELECT id FROM report WHERE tenant_id = :t"), {"t": uow.tenant_id}).scalar_one()
    answer = client.post("/review/CHEM/release", {"id": report}, htmx=True)
    assert answer.status_code == 403 and "授权" in answer.text


def test_pages_grant_trim_and_refuse(world: World) -> None:
    lab = world.lab
    director, verifier = lab.client("director"), lab.users[(lab.a, "verifier")]
    form = {"user": verifier, "function": "verify", "section": world.section, "group": "", "first": "2026-01-01", "until": "2027-01-01"}
    form |= {"competency": "2026-12-01", "licence": "2026-11-25"}
    answer = director.post("/hr/matrix", form)
    assert answer.status_code == 303 and answer.headers["Location"].endswith("trimmed=2026-11-25")
    assert "2026-11-25" in director.get("/hr/matrix").text
    assert director.post("/hr/matrix", form | {"licence": ""}).status_code == 422
    assert director.post("/hr/matrix", form | {"licence": "2025-01-01"}).status_code == 422
    assert director.post("/hr/matrix", form | {"user": lab.users[(lab.a, "director")]}).status_code == 409
    assert lab.client("leader").post("/hr/matrix", form).status_code == 403
    assert director.post("/hr/matrix/999999", {"to": "revoked", "reason": "x"}).status_code == 404


def test_foreign_hospitals_grants_are_absent(world: World) -> None:
    lab = world.lab
    with lab.uow(lab.b) as uow:
        row = uow.s.execute(text("SELECT id FROM authorization_grant LIMIT 1")).scalar_one()
    assert lab.client("director").post(f"/hr/matrix/{row}", {"to": "revoked", "reason": "x"}).status_code == 404
    with lab.uow() as uow, pytest.raises(UserError):
        service.move(uow, row, State.REVOKED, "x")
