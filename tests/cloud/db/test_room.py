"""Places for transactions: who waits, who does not, and that nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from cloud.db import room
from cloud.db.room import Room, at_once
from cloud.db.session import Database
from tests.support.database import TestDatabase

PATIENCE_S = 30.0


class Guest(threading.Thread):
    """Goes in, says so, and stays until sent away."""

    def __init__(self, into: Room) -> None:
        super().__init__(daemon=True)
        self.into, self.inside, self.leave = into, threading.Event(), threading.Event()

    def run(self) -> None:
        with self.into.place():
            self.inside.set()
            self.leave.wait(PATIENCE_S)


@contextmanager
def guests(into: Room, count: int) -> Iterator[list[Guest]]:
    came = [Guest(into) for _ in range(count)]
    for guest in came:
        guest.start()
    try:
        yield came
    finally:
        for guest in came:
            guest.leave.set()
        for guest in came:
            guest.join(PATIENCE_S)


def test_one_more_waits_until_a_place_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SHORT_S", PATIENCE_S)
    full = Room(2)
    with guests(full, 2) as first:
        assert all(guest.inside.wait(PATIENCE_S) for guest in first)
        with guests(full, 1) as (late,):
            assert not late.inside.wait(0.2)
            first[0].leave.set()
            assert late.inside.wait(PATIENCE_S)


def test_who_takes_long_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SHORT_S", 0.05)
    full = Room(1)
    with guests(full, 4) as came:
        # Nobody leaves, and all get in.
        assert all(guest.inside.wait(PATIENCE_S) for guest in came)


def test_inside_one_another_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SHORT_S", PATIENCE_S)
    full = Room(1)
    with full.place(), full.place():
        pass
    with guests(full, 1) as (next_one,):
        assert next_one.inside.wait(PATIENCE_S)


def test_a_place_is_given_back_by_who_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SHORT_S", PATIENCE_S)
    full = Room(1)
    with pytest.raises(ZeroDivisionError), full.place():
        raise ZeroDivisionError
    with guests(full, 1) as (next_one,):
        assert next_one.inside.wait(PATIENCE_S)


def test_without_a_number_as_many_come_in_as_want() -> None:
    with guests(Room(0), 20) as came:
        assert all(guest.inside.wait(PATIENCE_S) for guest in came)


def test_each_machine_has_at_least_two_places_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, processes, expected in ((2, 2, 2), (2, 1, 4), (1, 8, 2), (16, 4, 8), (None, 2, 2), (4, 0, 8)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert at_once(processes) == expected


def test_transactions_beside_each_other_share_few_sessions(fresh_db: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen people at once leave no more sessions behind than there are places."""
    monkeypatch.setattr(room, "SHORT_S", PATIENCE_S)
    db = Database(fresh_db.app_url, at_once=2)

    def ask() -> None:
        for _ in range(5):
            with db.tenant(1) as uow:
                uow.s.execute(text("SELECT pg_sleep(0.002)"))

    try:
        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with db.engine.connect() as connection:
            open_now = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
            assert connection.execute(text(open_now)).scalar_one() <= 2
    finally:
        db.dispose()
