"""Lives of an agent without a bug end well; with any of the planted bugs the judge finds it (RELIABILITY 2.3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.crash.bugs import BUGS
from tests.support.crash.life import live
from tests.support.crash.plans import PLANS

LIVES = 6  # so many lives at most until a bug shows: whether one shows it is chance


@pytest.mark.parametrize(("plan", "seed"), [("ordinary", 1), ("ordinary", 23), ("long sessions", 2), ("worn disk", 3)])
def test_a_life_without_a_bug_ends_well(tmp_path: Path, plan: str, seed: int) -> None:
    assert live(tmp_path / "life", seed, steps=300, plan=PLANS[plan]) == []


def test_there_are_thirty_bugs() -> None:
    assert len(BUGS) >= 30


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(tmp_path: Path, name: str) -> None:
    for seed in range(1, LIVES + 1):
        if live(tmp_path / str(seed), seed, BUGS[name], steps=300):
            return
    pytest.fail(f"{name}: not noticed in {LIVES} lives")
