"""A PostgreSQL server for the test session, and a fresh database for a test, cloned from one that has the schema."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy.engine import make_url

from cloud.db import migrate
from cloud.embedded import postgres
from cloud.modules.tables import METADATA
from tests.support import machines


@dataclass(frozen=True)
class TestDatabase:
    """One database. `owner_url` and `app_url` are for SQLAlchemy, the `conninfo`s for psycopg."""

    __test__ = False  # pytest: not a test class

    name: str
    owner_url: str
    app_url: str
    admin_url: str
    owner_conninfo: str
    app_conninfo: str
    admin_conninfo: str


@dataclass(frozen=True)
class TestServer:
    """A running server on which this session may make databases. `embedded` is None on a server given from outside."""

    __test__ = False

    admin_conninfo: str
    embedded: postgres.EmbeddedPostgres | None

    def create(self, template: str = "template0") -> TestDatabase:
        """Make a database with a name of its own."""
        name = f"jl_test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.admin_conninfo, autocommit=True) as admin:
            postgres.create_database(admin, name, template)
        return self.named(name)

    def drop(self, name: str) -> None:
        with psycopg.connect(self.admin_conninfo, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(postgres.ident(name)))

    def named(self, name: str) -> TestDatabase:
        admin = str(conninfo_to_dict(self.admin_conninfo).get("user", postgres.SUPERUSER))
        owner, app, root = (make_conninfo(self.admin_conninfo, user=user, dbname=name) for user in (postgres.OWNER, postgres.APP, admin))
        return TestDatabase(name, sqlalchemy_url(owner), sqlalchemy_url(app), sqlalchemy_url(root), owner, app, root)


def sqlalchemy_url(conninfo: str) -> str:
    """The same address as a SQLAlchemy URL."""
    parts = {key: str(value) for key, value in conninfo_to_dict(conninfo).items() if value is not None}
    url = make_url("postgresql+psycopg://").set(
        username=parts.pop("user", None), password=parts.pop("password", None), database=parts.pop("dbname", None)
    )
    return url.set(query=parts).render_as_string(hide_password=False)


def _memory() -> str | None:
    """Where a server that forgets everything anyway lives: in memory, if there is room, else in the ordinary temporary folder.

    Every test makes a database, some 700 files: on a busy disk that takes seconds, in memory a tenth of one.
    """
    shm = Path("/dev/shm")
    roomy = shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 4 << 30
    return str(shm) if roomy else None


@contextmanager
def server() -> Iterator[TestServer]:
    """The server that `JIANLIAN_TEST_PG` (a libpq connection string of a superuser) names, or one made for this session."""
    given = os.environ.get("JIANLIAN_TEST_PG")
    if given:
        postgres.prepare(given)
        yield TestServer(given, None)
        return
    with tempfile.TemporaryDirectory(prefix="jl-pg-", dir=_memory()) as folder:
        with postgres.EmbeddedPostgres(Path(folder), durable=False) as embedded:
            yield TestServer(embedded.conninfo(postgres.SUPERUSER, "postgres"), embedded)


def build_schema(database: TestDatabase) -> None:
    """Bring an empty database to the models' schema, as the owner role."""
    migrate.create_all(database.owner_url, METADATA, postgres.APP)
    machines.watch(database.owner_conninfo)
