"""Plain SQL without the detour: ``text()`` statements go to psycopg directly and come back as SQLAlchemy results.

A page asks ten small questions; SQLAlchemy's own way of asking one costs more processor time than PostgreSQL takes to answer it. What is
not a plain statement with a mapping of values (ORM queries, executemany, typed columns) takes SQLAlchemy's way as before.
"""

from __future__ import annotations

from typing import Any

import psycopg
from sqlalchemy import TextClause
from sqlalchemy.engine import Connection, IteratorResult, Result
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.orm import Session

_sql: dict[str, str] = {}
_columns: dict[str, SimpleResultMetaData] = {}
_NOTHING = SimpleResultMetaData([])


class PlainSession(Session):
    """A session whose plain statements are quick."""

    def execute(self, statement: Any, params: Any = None, **kw: Any) -> Any:
        """As Session.execute."""
        if type(statement) is TextClause and not kw and isinstance(params, dict | None):
            connection = self.connection()
            # Somebody who listens to statements (a test that counts them) must hear of all.
            if not connection.engine._has_events:
                # What was changed in memory is written first, as SQLAlchemy does before any statement.
                self._autoflush()
                return _ask(connection, statement, params)
        return super().execute(statement, params, **kw)

    def scalar(self, statement: Any, params: Any = None, **kw: Any) -> Any:
        """As Session.scalar."""
        return self.execute(statement, params).scalar() if type(statement) is TextClause else super().scalar(statement, params, **kw)

    def scalars(self, statement: Any, params: Any = None, **kw: Any) -> Any:
        """As Session.scalars."""
        return self.execute(statement, params).scalars() if type(statement) is TextClause else super().scalars(statement, params, **kw)


def _ask(connection: Connection, statement: TextClause, params: dict[str, Any] | None) -> Result[Any]:
    text = statement.text
    sql = _sql.get(text)
    if sql is None:
        # The dialect's own spelling: %(name)s, and a doubled percent sign. Statements are literals of the code: the cache cannot grow.
        sql = _sql[text] = statement.compile(dialect=connection.dialect).string
    driver: Any = connection.connection.driver_connection
    try:
        cursor = driver.execute(sql.encode(), params or {})
    except psycopg.Error as error:
        connection._handle_dbapi_exception(error, sql, params, None, None)
        raise
    if cursor.description is None:
        return IteratorResult(_NOTHING, iter(()))
    known = _columns.get(text)
    if known is None:
        known = _columns[text] = SimpleResultMetaData([column.name for column in cursor.description])
    return IteratorResult(known, iter(cursor.fetchall()))
