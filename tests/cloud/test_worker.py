"""When the worker does a task: at once after a rest, and not again before its time, with all that came meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from cloud import worker
from cloud.worker import Loop, Task


class Line:
    """A listening connection and the clock beside it: each notice comes at its second, and whoever waits moves the clock."""

    def __init__(self, notices: list[tuple[float, int]]) -> None:
        self.now, self.notices = 0.0, notices

    def monotonic(self) -> float:
        return self.now

    def notifies(self, *, timeout: float, stop_after: int | None = None) -> Iterator[Any]:
        end, got = self.now + timeout, 0
        while self.notices and self.notices[0][0] <= end and got != stop_after:
            at, tenant_id = self.notices.pop(0)
            self.now, got = max(self.now, at), got + 1
            yield SimpleNamespace(payload=f'{{"t": {tenant_id}}}')
        if got != stop_after:
            self.now = end


def steps(monkeypatch: pytest.MonkeyPatch, notices: list[tuple[float, int]], takes: float = 0.0) -> list[tuple[float, int]]:
    """When the task was done for whom, in the first seconds; the look at all hospitals finds none."""
    line, stop, done = Line(notices), threading.Event(), list[tuple[float, int]]()

    def step(tenant_id: int) -> None:
        done.append((round(line.now, 3), tenant_id))
        line.now += takes

    def tenants() -> list[int]:
        if not line.notices:
            stop.set()
        return []

    monkeypatch.setattr(worker, "time", line)
    Loop(Task("t", "t", step, gather=0.2), "", tenants, stop)._work(line)  # type: ignore[arg-type]  # stands for a connection
    return done


def test_a_notice_after_a_rest_is_followed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert steps(monkeypatch, [(0.4, 1), (0.7, 2)]) == [(0.4, 1), (0.7, 2)]


def test_what_comes_soon_after_a_round_is_done_together_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    notices = [(0.4, 1), (0.45, 1), (0.5, 2), (0.55, 1), (0.9, 1)]
    assert steps(monkeypatch, notices) == [(0.4, 1), (0.6, 1), (0.6, 2), (0.9, 1)]


def test_what_came_during_a_long_round_waits_no_longer_than_one_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert steps(monkeypatch, [(0.3, 1), (0.35, 1), (0.4, 2)], takes=0.3) == [(0.3, 1), (0.8, 1), (1.1, 2)]
