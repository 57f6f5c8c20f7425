"""Nonconformities (M22): every step, what each must say, what opens one by itself, who may do what."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import text

from cloud.jobs import all_jobs, run_job
from cloud.modules.quality import handlers, queries, rules, service
from cloud.modules.quality.rules import Source, State
from tests.support.lab import Client, Lab

ALLOWED = {
    ("open", "contained"),
    ("contained", "analysed"),
    ("analysed", "acting"),
    ("acting", "verifying"),
    ("verifying", "closed"),
    ("verifying", "reopened"),
    ("reopened", "analysed"),
    ("closed", "reopened"),
}
TODAY = date(2026, 5, 4)


@pytest.mark.parametrize(("state", "to"), list(product(State, State)))
def test_every_pair_of_states_is_decided(state: State, to: State) -> None:
    long_ago, later = TODAY - timedelta(days=30), TODAY
    assert (rules.move_problem(state, to, "已做", later, long_ago, TODAY) is None) is ((state.value, to.value) in ALLOWED)
    assert rules.move_problem(state, to, "  ", later, long_ago, TODAY) is not None


@pytest.mark.parametrize(("due", "ok"), [(None, False), (TODAY - timedelta(days=1), False), (TODAY, True)])
def test_measures_have_a_day(due: date | None, ok: bool) -> None:
    assert (rules.move_problem(State.ANALYSED, State.ACTING, "培训", due, None, TODAY) is None) is ok


@pytest.mark.parametrize(("days", "ok"), [(None, False), (29, False), (30, True)])
def test_closing_needs_data_thirty_days_after_the_measures(days: int | None, ok: bool) -> None:
    since = None if days is None else TODAY - timedelta(days=days)
    assert (rules.move_problem(State.VERIFYING, State.CLOSED, "数据", None, since, TODAY) is None) is ok


def test_one_matter_opens_one_and_events_open_theirs(lab: Lab) -> None:
    with lab.uow() as uow:
        what = service.Mishap(Source.RECALL, "report:1/1", "召回", "原因")
        assert service.open_once(uow, what) is not None and service.open_once(uow, what) is None
        for _ in range(2):
            handlers.specimen_lost(uow, {"specimen_id": 7, "barcode": "120000000007", "reason": "冰箱、离心机"})
            handlers.critical_escalated(uow, {"critical_id": 3, "level": 2})
            handlers.critical_escalated(uow, {"critical_id": 3, "level": 3})
        assert sorted(n.source for n in queries.listed(uow)) == ["critical", "lost", "recall"]
    with lab.uow(lab.b) as uow:
        assert queries.listed(uow) == []


def test_from_report_to_proven_end_through_the_pages(lab: Lab) -> None:
    lab.clock.set(datetime(2026, 5, 4, 2, 0, tzinfo=UTC))
    tester, leader, quality = lab.client("tester"), lab.client("leader"), lab.client("quality")
    form = {"source": "qc", "severity": "major", "title": "血糖质控连续失控", "description": "两水平同向偏移"}
    assert tester.post("/qms/nc", form | {"title": ""}).status_code == 422
    assert tester.post("/qms/nc", form | {"source": "recall"}).status_code == 422  # those come from the report itself
    made = tester.post("/qms/nc", form)
    assert made.status_code == 303
    url, version = made.headers["Location"], 1

    def step(who: Client, to: str, words: str = "已做", **more: str) -> int:
        return who.post(url, {"to": to, "version": version, "words": words, **more}).status_code

    assert step(tester, "contained") == 403
    assert step(leader, "acting") == 409
    for to, more in (("contained", {}), ("analysed", {}), ("acting", {"due": "2026-05-10"}), ("verifying", {})):
        assert step(leader, to, "") == 422
        if to == "verifying":
            lab.clock.set(datetime(2026, 5, 11, 2, 0, tzinfo=UTC))
            leader, quality = lab.client("leader"), lab.client("quality")
            assert run_job(lab.db, all_jobs()["quality.watch"], [lab.a]) == 0
            with lab.uow() as uow:
                assert uow.s.execute(text("SELECT kind FROM alert WHERE cleared_at IS NULL")).scalars().all() == ["quality.action_overdue"]
        assert step(leader, to, **more) == 303
        assert step(leader, to, **more) == 409  # a stale page: the step was done
        version += 1
    assert step(leader, "closed", "偏倚 0.4%") == 403
    assert step(quality, "closed", "偏倚 0.4%") == 422  # too early
    lab.clock.set(datetime(2026, 6, 11, 2, 0, tzinfo=UTC))
    quality = lab.client("quality")
    assert run_job(lab.db, all_jobs()["quality.watch"], [lab.a]) == 0
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT kind FROM alert WHERE cleared_at IS NULL")).scalars().all() == ["quality.effect_due"]
    assert "偏倚" not in quality.get(url).text
    assert step(quality, "closed", "偏倚 0.4%") == 303
    assert "偏倚 0.4%" in quality.get(url).text and "血糖质控连续失控" in quality.get("/qms/nc?state=closed").text
    assert "血糖质控连续失控" not in quality.get("/qms/nc").text
