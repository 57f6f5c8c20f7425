"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cloud.bench.world import build
from tests.cloud.qc.shop import NOON, T0, Shop, open_shop
from tests.support import lab as labs
from tests.support.database import TestDatabase


@pytest.fixture
def shop(fresh_db: TestDatabase) -> Iterator[Shop]:
    """A shop whose plans hold since yesterday, at noon."""
    lab = labs.make(fresh_db, labs.Clock(T0))
    made = open_shop(build(lab))
    lab.clock.set(NOON)
    yield made
    lab.db.dispose()
