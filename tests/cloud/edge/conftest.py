"""The edge's world as a fixture. It is filled once and cloned for each test: a clone is a file copy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.edge.world import Edge, Seed, opened, seed
from tests.support import database


@pytest.fixture(scope="session")
def edge_seed(pg: database.TestServer, schema_template: database.TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seed]:
    """A database with two hospitals, an enrolled agent and one analyzer. Nobody may stay connected to it."""
    made = pg.create(schema_template.name)
    yield seed(made, tmp_path_factory.mktemp("edge-seed"))
    pg.drop(made.name)


@pytest.fixture
def edge_db(pg: database.TestServer, edge_seed: Seed) -> Iterator[database.TestDatabase]:
    """This test's own database."""
    made = pg.create(edge_seed.database.name)
    yield made
    pg.drop(made.name)


@pytest.fixture
def edge(edge_seed: Seed, edge_db: database.TestDatabase, tmp_path: Path) -> Iterator[Edge]:
    """Hospital ``a`` with an enrolled agent, one analyzer and an intake."""
    with opened(edge_seed, edge_db, tmp_path) as made:
        yield made
