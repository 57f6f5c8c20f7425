"""The intake is killed under load, at random moments and at each step from receive to PUBACK; the broker forgets in between."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.edge.world import Edge
from tests.support import brokers
from tests.support.brokers import Broker
from tests.support.crash import intake_trial
from tests.support.database import TestDatabase

pytestmark = pytest.mark.skipif(brokers.MOSQUITTO is None, reason="mosquitto is not installed")


@pytest.fixture
def broker(edge: Edge, tmp_path: Path) -> Iterator[Broker]:
    with brokers.running("mosquitto", tmp_path) as made:
        yield made


KILLS = int(os.environ.get("JIANLIAN_INTAKE_KILLS", "100"))


@pytest.mark.timeout(1200)
def test_nothing_receipted_is_lost_and_nothing_shows_twice(edge: Edge, edge_db: TestDatabase, broker: Broker) -> None:
    """100 kills in the test run; `./dev crash` runs it at any size."""
    verdict = intake_trial.run(edge, broker, edge_db, kills=KILLS, seed=11)
    print(verdict.bound, verdict)
    assert verdict.problems == []
    assert verdict.sent == verdict.receipted > 20


@pytest.mark.parametrize(("mutant", "point"), [("receipt-before-commit", "before_commit"), ("two-transactions", "placed")])
def test_the_checker_catches_a_planted_bug(edge: Edge, edge_db: TestDatabase, broker: Broker, mutant: str, point: str) -> None:
    """Killed where the bug shows: between the early step and the commit it should have waited for."""
    verdict = intake_trial.run(edge, broker, edge_db, kills=8, seed=3, mutant=mutant, points=(point,))
    assert verdict.problems
