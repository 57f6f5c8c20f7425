"""Single sign-on: a signed ticket, 60 seconds, once (M01 R5)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from werkzeug.test import TestResponse

from cloud.modules.platform import alerts, rules, sso
from cloud.modules.platform.models import LoginEvent
from cloud.modules.platform.sso import Ticket
from tests.support.database import TestDatabase
from tests.support.lab import SECRET, Clock, Lab, make

NINE = datetime(2026, 11, 23, 1, 0, 0, tzinfo=UTC)
"""09:00:00 in China."""


@pytest.fixture
def lab(fresh_db: TestDatabase) -> Iterator[Lab]:
    made = make(fresh_db, Clock(NINE))
    yield made
    made.db.dispose()


@pytest.fixture
def key(lab: Lab) -> bytes:
    with lab.uow() as uow:
        return sso.add_source(uow, "his", "医院信息系统", SECRET).encode()


def ticket(key: bytes, who: str = "clinician1", issued: datetime = NINE, nonce: str = "n" * 16, target: str = "/clinic") -> str:
    return sso.make_ticket(key, "a", Ticket("his", who, nonce, issued, target))


def present(lab: Lab, text: str, tenant: str = "a") -> TestResponse:
    return lab.app.test_client().post("/sso", base_url="https://localhost", data={"tenant": tenant, "ticket": text})


def outcomes(lab: Lab) -> list[str]:
    with lab.uow() as uow:
        return [e.outcome for e in uow.s.query(LoginEvent).order_by(LoginEvent.id)]


def test_ac_pl_3_sixty_seconds_and_once(lab: Lab, key: bytes) -> None:
    lab.clock.set(NINE + timedelta(seconds=61))
    assert present(lab, ticket(key)).status_code == 401
    lab.clock.set(NINE + timedelta(seconds=30))
    first = present(lab, ticket(key, nonce="second-ticket-0001"))
    assert first.status_code == 303 and first.headers["Location"] == "/clinic" and "__Host-jl" in first.headers["Set-Cookie"]
    assert present(lab, ticket(key, nonce="second-ticket-0001")).status_code == 401
    assert outcomes(lab) == ["sso_expired", "sso", "sso_replay"]
    with lab.uow() as uow:
        (told,) = alerts.visible(uow, frozenset({rules.Perm.SESSIONS}))
        assert told.kind == "platform.sso_replay" and told.level == rules.Level.URGENT


def test_at_exactly_sixty_seconds_it_still_counts(lab: Lab, key: bytes) -> None:
    lab.clock.set(NINE + timedelta(seconds=60))
    assert present(lab, ticket(key)).status_code == 303


@pytest.mark.parametrize("at", [timedelta(seconds=-5), timedelta(seconds=-6)])
def test_a_clock_that_is_ahead_by_five_seconds_is_borne(lab: Lab, key: bytes, at: timedelta) -> None:
    lab.clock.set(NINE + at)
    assert present(lab, ticket(key)).status_code == (303 if at == timedelta(seconds=-5) else 401)


def test_forged_cut_and_foreign_tickets_are_answered_alike(lab: Lab, key: bytes) -> None:
    good = ticket(key)
    bad = [
        "",
        "x",
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        "." + good,
        ticket(b"other"),
        ticket(key, who="nobody"),
        ticket(key, nonce="short"),
    ]
    answers = [present(lab, text) for text in bad] + [present(lab, good, tenant="b"), present(lab, good, tenant="zzz")]
    assert {a.status_code for a in answers} == {401}
    assert len({a.text for a in answers}) == 1


def test_a_role_that_needs_a_second_factor_does_not_come_in_by_ticket(lab: Lab, key: bytes) -> None:
    answer = present(lab, ticket(key, who="verifier1"))
    assert answer.status_code == 401 and "动态口令" in answer.text


@pytest.mark.parametrize("target", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
def test_a_ticket_never_leads_elsewhere(lab: Lab, key: bytes, target: str) -> None:
    assert present(lab, ticket(key, target=target)).headers["Location"] == "/"


def test_a_renewed_key_ends_the_old_one(lab: Lab, key: bytes) -> None:
    with lab.uow() as uow:
        sso.add_source(uow, "his", "医院信息系统", SECRET)
    assert present(lab, ticket(key)).status_code == 401


def test_the_link_writes_nothing_and_hands_on_by_post(lab: Lab, key: bytes) -> None:
    text = ticket(key)
    answer = lab.app.test_client().get(f"/sso?tenant=a&ticket={text}", base_url="https://localhost")
    assert answer.status_code == 200 and text in answer.text and outcomes(lab) == []
