"""Domain events: once each, in order per key, a failing one holds back only its own key."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from sqlalchemy import event, text

from cloud import jobs, relay
from tests.support.lab import Lab


def emit(lab: Lab, *pairs: tuple[str, int]) -> None:
    with lab.uow() as uow:
        for key, n in pairs:
            uow.emit("t", key, {"n": n})
            uow.s.flush()


def test_order_per_key_and_other_keys_pass_a_failing_one(lab: Lab) -> None:
    emit(lab, ("a", 1), ("b", 2), ("a", 3), ("b", 4))
    seen: list[int] = []
    broken = {1}

    def handler(_uow: Any, payload: dict[str, Any]) -> None:
        if payload["n"] in broken:
            raise ValueError("not yet")
        seen.append(payload["n"])

    relay.drain(lab.db, lab.a, {"t": [handler]})
    assert seen == [2, 4]
    broken.clear()
    relay.drain(lab.db, lab.a, {"t": [handler]})
    assert seen == [2, 4]  # still in its backoff
    lab.clock.set(lab.clock() + timedelta(seconds=2))
    relay.drain(lab.db, lab.a, {"t": [handler]})
    assert seen == [2, 4, 1, 3]


def test_a_round_that_was_all_is_not_followed_by_another_look_but_what_it_emits_is_handled(lab: Lab) -> None:
    emit(lab, ("a", 1), ("b", 2))
    looks: list[str] = []

    def note(_c: Any, _cur: Any, sql: str, *_: Any) -> None:
        if "SKIP LOCKED" in sql:
            looks.append(sql)

    event.listen(lab.db.engine, "before_cursor_execute", note)
    assert relay.drain(lab.db, lab.a, {}) == 2 and len(looks) == 1
    seen: list[str] = []

    def first(uow: Any, payload: dict[str, Any]) -> None:
        seen.append("first")
        uow.emit("then", "c", {})

    emit(lab, ("a", 3))
    looks.clear()
    assert relay.drain(lab.db, lab.a, {"t": [first], "then": [lambda _uow, _payload: seen.append("then")]}) == 2
    assert seen == ["first", "then"] and len(looks) == 2


def test_two_workers_never_handle_an_event_twice(lab: Lab) -> None:
    emit(lab, *[(f"k{n % 5}", n) for n in range(50)])

    def handler(uow: Any, payload: dict[str, Any]) -> None:
        uow.s.execute(
            text("INSERT INTO setting (tenant_id, key, value) VALUES (:t, :k, '{}')"), {"t": uow.tenant_id, "k": f"n{payload['n']}"}
        )

    threads = [threading.Thread(target=relay.drain, args=(lab.db, lab.a, {"t": [handler]})) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    relay.drain(lab.db, lab.a, {"t": [handler]})
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM setting")).scalar() == 50
        assert uow.s.execute(text("SELECT count(*) FROM outbox_event WHERE done_at IS NULL OR attempts > 0")).scalar() == 0


def test_a_round_with_a_failing_event_does_all_others_and_each_once_in_the_database(lab: Lab) -> None:
    emit(lab, *[(f"k{n}", n) for n in range(30)], ("k7", 30))

    def handler(uow: Any, payload: dict[str, Any]) -> None:
        if payload["n"] == 7:
            raise ValueError("never")
        uow.s.execute(
            text("INSERT INTO setting (tenant_id, key, value) VALUES (:t, :k, '{}')"), {"t": uow.tenant_id, "k": f"n{payload['n']}"}
        )

    assert relay.drain(lab.db, lab.a, {"t": [handler]}) == 29
    with lab.uow() as uow:
        open_ = uow.s.execute(text("SELECT key, attempts FROM outbox_event WHERE done_at IS NULL ORDER BY id")).all()
        assert [tuple(row) for row in open_] == [("k7", 1), ("k7", 0)]
        assert uow.s.execute(text("SELECT count(*) FROM setting")).scalar() == 29


def test_an_event_behind_one_that_another_worker_holds_waits(lab: Lab) -> None:
    emit(lab, ("a", 1), ("a", 2), ("b", 3))
    seen: list[int] = []
    with lab.uow() as other:
        other.s.execute(text("SELECT id FROM outbox_event WHERE payload->>'n' = '1' FOR UPDATE"))
        relay.drain(lab.db, lab.a, {"t": [lambda _uow, payload: seen.append(payload["n"])]})
        assert seen == [3]
    relay.drain(lab.db, lab.a, {"t": [lambda _uow, payload: seen.append(payload["n"])]})
    assert seen == [3, 1, 2]


def test_many_events_cost_few_transactions(lab: Lab) -> None:
    emit(lab, *[(f"k{n}", n) for n in range(50)])
    commits: list[int] = []
    event.listen(lab.db.engine, "commit", lambda _c: commits.append(1))
    assert relay.drain(lab.db, lab.a, {"t": []}) == 50
    assert len(commits) <= 2


def test_a_round_gives_way_to_a_person_who_holds_a_row(lab: Lab) -> None:
    emit(lab, ("a", 1))
    with lab.uow() as uow:
        uow.s.execute(text("INSERT INTO setting (tenant_id, key, value) VALUES (:t, 'row', '{}')"), {"t": uow.tenant_id})
    seen: list[str] = []

    def handler(uow: Any, _payload: dict[str, Any]) -> None:
        seen.append("asked")
        if len(seen) == 1:
            uow.s.execute(text("UPDATE setting SET value = '1' WHERE tenant_id = :t AND key = 'row'"), {"t": uow.tenant_id})

    with lab.uow() as person:
        person.s.execute(text("UPDATE setting SET value = '2' WHERE tenant_id = :t AND key = 'row'"), {"t": person.tenant_id})
        assert relay.drain(lab.db, lab.a, {"t": [handler]}) == 1
    assert len(seen) == 2


def test_failed_transaction_of_a_handler_leaves_nothing_behind(lab: Lab) -> None:
    emit(lab, ("a", 1))

    def half(uow: Any, _payload: dict[str, Any]) -> None:
        uow.s.execute(text("INSERT INTO setting (tenant_id, key, value) VALUES (:t, 'half', '{}')"), {"t": uow.tenant_id})
        raise RuntimeError

    relay.drain(lab.db, lab.a, {"t": [half]})
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM setting")).scalar() == 0
        assert uow.s.execute(text("SELECT attempts FROM outbox_event")).scalar() == 1


def test_job_runs_for_each_hospital_and_one_failure_stops_no_other(lab: Lab) -> None:
    ran: list[int] = []

    def run(uow: Any) -> None:
        ran.append(uow.tenant_id)
        if uow.tenant_id == lab.a:
            raise RuntimeError

    assert jobs.run_job(lab.db, jobs.Loaded("x", "1m", run)) == 1
    assert ran == [lab.a, lab.b]


def test_cron_of_calendar_times_is_utc() -> None:
    assert jobs.cron("00:30", "Asia/Shanghai") == "30 16 * * *"
    assert jobs.cron("10s", "Asia/Shanghai") == "* * * * * */10"
    assert jobs.cron("15m", "Asia/Shanghai") == "*/15 * * * *"


def test_what_nobody_waits_for_never_stands_before_the_rest(lab: Lab) -> None:
    """The later lane's handler is at work, with more behind it; an event written after all of them is handled meanwhile."""
    begun, end, seen = threading.Event(), threading.Event(), list[str]()

    def slow(_uow: Any, payload: dict[str, Any]) -> None:
        begun.set()
        assert end.wait(60)
        seen.append(f"print {payload['n']}")

    handlers = {"report.print": [slow], "critical.confirmed": [lambda _uow, _payload: seen.append("critical")]}
    with lab.uow() as uow:
        for n in range(3):
            uow.emit("report.print", f"print:{n}", {"n": n})
    printing = threading.Thread(target=relay.drain, args=(lab.db, lab.a, handlers, True))
    printing.start()
    assert begun.wait(60)
    with lab.uow() as uow:
        uow.emit("critical.confirmed", "c", {})
    assert relay.drain(lab.db, lab.a, handlers, False) == 1 and seen == ["critical"]
    end.set()
    printing.join()
    assert seen == ["critical", "print 0", "print 1", "print 2"]


def test_the_quick_lane_looks_again_for_what_it_emits_itself_not_for_what_the_later_one_does(lab: Lab) -> None:
    seen: list[str] = []
    looks: list[str] = []

    def first(uow: Any, _payload: dict[str, Any]) -> None:
        uow.emit("report.print", "p", {})

    def note(_c: Any, _cur: Any, sql: str, *_: Any) -> None:
        if "SKIP LOCKED" in sql:
            looks.append(sql)

    handlers = {"t": [first], "report.print": [lambda _uow, _payload: seen.append("print")]}
    emit(lab, ("a", 1))
    event.listen(lab.db.engine, "before_cursor_execute", note)
    assert relay.drain(lab.db, lab.a, handlers, False) == 1 and len(looks) == 1 and seen == []
    assert relay.drain(lab.db, lab.a, handlers, True) == 1 and seen == ["print"]
