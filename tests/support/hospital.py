"""Two hospitals with the small test catalog and nobody in them, for tests of services: fresh tenants of one shared database.

A test sees its own tenants only (row security), so a new pair a test is as good as a new database and ten times quicker.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from cloud.db.session import SYSTEM, Actor, Database, UnitOfWork
from tests.cloud.catalog.seed import seed
from tests.support.database import TestDatabase, TestServer
from tests.support.lab import SECRET, Clock

MORNING = datetime(2026, 11, 22, 0, 30, tzinfo=UTC)  # 08:30 in Shanghai, day 326
_tenants = itertools.count(1)


@dataclass
class Hospital:
    """The hospitals ``a`` and ``b`` (tenant ids) and a clock that stands at MORNING."""

    db: Database
    clock: Clock
    database: TestDatabase
    a: int
    b: int

    @contextmanager
    def uow(self, tenant: int | None = None, actor: Actor = SYSTEM) -> Iterator[UnitOfWork]:
        with self.db.tenant(tenant or self.a, actor) as uow:
            yield uow

    def act(self, fn: Callable[[UnitOfWork], Any], actor: Actor = SYSTEM, tenant: int | None = None) -> Any:
        """Run ``fn`` in a transaction of its own."""
        with self.db.tenant(tenant or self.a, actor) as uow:
            return fn(uow)

    def rows(self, sql: str, tenant: int | None = None, **values: Any) -> list[Any]:
        """Rows of a plain statement."""
        return list(self.act(lambda u: u.s.execute(text(sql), values).all(), tenant=tenant))


@pytest.fixture(scope="module")
def shared_db(pg: TestServer, schema_template: TestDatabase) -> Iterator[TestDatabase]:
    """The database the module's hospitals live in."""
    made = pg.create(schema_template.name)
    yield made
    pg.drop(made.name)


@pytest.fixture
def hospital(shared_db: TestDatabase) -> Iterator[Hospital]:
    """Two hospitals of this test's own."""
    a, b = next(_tenants), next(_tenants)
    owner = create_engine(shared_db.owner_url)
    with owner.begin() as conn:
        for n, name in ((a, "甲医院（虚构）"), (b, "乙医院（虚构）")):
            conn.execute(text("INSERT INTO tenant (id, code, name, site) VALUES (:n, :c, :m, 1)"), {"n": n, "c": f"t{n}", "m": name})
    owner.dispose()
    clock = Clock(MORNING)
    db = Database(shared_db.app_url, secret=SECRET, clock=clock)
    for tenant in (a, b):
        with db.tenant(tenant) as uow:
            seed(uow)
    yield Hospital(db, clock, shared_db, a, b)
    db.dispose()
