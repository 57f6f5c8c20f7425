"""A refusal takes back all it wrote and nothing that the database's session has learned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from cloud.db.session import Database, UnitOfWork
from tests.support.database import TestDatabase

_ASK = text("SELECT CAST(:n AS int) + 1")
_LEARNED = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT CAST(%'")


class _RefusedError(Exception):
    pass


@pytest.fixture
def db(fresh_db: TestDatabase) -> Iterator[Database]:
    """One session, whose transactions count their tenants in a table."""
    made = Database(fresh_db.owner_url, pool_size=1)
    with made.engine.begin() as connection:
        connection.execute(text("CREATE TABLE probe (n int)"))
    yield made
    made.dispose()


def learn(uow: UnitOfWork) -> None:
    for n in range(5):
        assert uow.s.scalar(_ASK, {"n": n}) == n + 1


def rows_and_learned(db: Database) -> tuple[int, int]:
    with db.tenant(1) as uow:
        return uow.s.scalar(text("SELECT count(*) FROM probe")), uow.s.scalar(_LEARNED)


def test_what_was_refused_is_gone_and_what_was_learned_stays(db: Database) -> None:
    with pytest.raises(_RefusedError), db.tenant(1) as uow:
        learn(uow)
        uow.s.execute(text("INSERT INTO probe VALUES (1)"))
        raise _RefusedError
    assert rows_and_learned(db) == (0, 1)


def test_a_refusal_within_a_savepoint_takes_back_the_whole(db: Database) -> None:
    with pytest.raises(_RefusedError), db.tenant(1) as uow:
        learn(uow)
        uow.s.execute(text("INSERT INTO probe VALUES (1)"))
        with uow.s.begin_nested():
            uow.s.execute(text("INSERT INTO probe VALUES (2)"))
            raise _RefusedError
    assert rows_and_learned(db)[0] == 0


def test_after_an_error_of_the_database_all_is_learned_anew(db: Database) -> None:
    with pytest.raises(SQLAlchemyError), db.tenant(1) as uow:
        learn(uow)
        uow.s.execute(text("INSERT INTO probe VALUES (1)"))
        uow.s.execute(text("SELECT 1 / 0"))
    assert rows_and_learned(db) == (0, 0)


def test_a_refusal_after_an_error_of_the_database_is_such_an_error(db: Database) -> None:
    """Who catches the database's error and refuses in words leaves the session to psycopg all the same."""
    with pytest.raises(_RefusedError), db.tenant(1) as uow:
        learn(uow)
        uow.s.execute(text("INSERT INTO probe VALUES (1)"))
        try:
            uow.s.execute(text("SELECT 1 / 0"))
        except SQLAlchemyError as error:
            raise _RefusedError from error
    assert rows_and_learned(db) == (0, 0)


def test_a_connection_that_is_gone_is_replaced(db: Database, fresh_db: TestDatabase) -> None:
    """As before: the loss is told, nothing was written, and the next transaction has a new session."""
    other = Database(fresh_db.owner_url, pool_size=1)
    with pytest.raises(OperationalError), db.tenant(1) as uow:
        uow.s.execute(text("INSERT INTO probe VALUES (1)"))
        pid = uow.s.scalar(text("SELECT pg_backend_pid()"))
        with other.engine.begin() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
        raise _RefusedError
    other.dispose()
    assert rows_and_learned(db)[0] == 0
