"""Fixtures for the whole suite. `pg`: a server; `fresh_db`: an own database with the schema; `empty_db`: one without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support import database

if TYPE_CHECKING:
    from tests.support.lab import Lab

os.environ["LC_ALL"] = "C.UTF-8"  # commands speak Chinese unless the machine's locale says otherwise
pytest_plugins = ["tests.support.groups"]
# A busy machine makes inputs slowly; no test judges speed.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")


@pytest.fixture(scope="session")
def pg() -> Iterator[database.TestServer]:
    """A PostgreSQL server for this session."""
    with database.server() as server:
        yield server


@pytest.fixture(scope="session")
def schema_template(pg: database.TestServer) -> Iterator[database.TestDatabase]:
    """A database with the schema, to clone from. Nobody may stay connected to it, or the cloning fails."""
    template = pg.create()
    database.build_schema(template)
    yield template
    pg.drop(template.name)


@pytest.fixture
def fresh_db(pg: database.TestServer, schema_template: database.TestDatabase) -> Iterator[database.TestDatabase]:
    """A database of this test's own, with the schema and no rows."""
    made = pg.create(schema_template.name)
    yield made
    pg.drop(made.name)


@pytest.fixture
def empty_db(pg: database.TestServer) -> Iterator[database.TestDatabase]:
    """A database of this test's own without any table."""
    made = pg.create()
    yield made
    pg.drop(made.name)


@pytest.fixture
def lab(fresh_db: database.TestDatabase) -> Iterator[Lab]:
    """Two seeded hospitals with people of every role (see tests/support/lab.py)."""
    from tests.support.lab import make

    made = make(fresh_db)
    yield made
    made.db.dispose()
