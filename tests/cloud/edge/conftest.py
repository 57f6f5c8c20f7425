"""The edge's world as a fixture."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.edge.world import Edge, build
from tests.support.database import TestDatabase


@pytest.fixture
def edge(fresh_db: TestDatabase, tmp_path: Path) -> Iterator[Edge]:
    """Hospital ``a`` with an enrolled agent, one analyzer and an intake."""
    with build(fresh_db, tmp_path) as made:
        yield made
