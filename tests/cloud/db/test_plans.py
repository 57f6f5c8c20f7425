"""A session's plans follow the tables: what it learned while a table was one page long is not kept when a morning has filled it."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from cloud.db import session
from cloud.db.session import Database
from tests.support.database import TestDatabase


def test_a_kept_plan_is_made_anew_when_a_table_has_grown(fresh_db: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(session, "monotonic", lambda: clock[0])
    db = Database(fresh_db.owner_url, pool_size=1)
    ask = text("SELECT b FROM probe WHERE a = :a")

    def plan() -> str:
        with db.registry() as s:
            for _ in range(12):
                s.execute(ask, {"a": 1})
            [name] = s.execute(text("SELECT name FROM pg_prepared_statements WHERE statement LIKE 'SELECT b FROM probe%'")).scalars()
            found = " ".join(s.execute(text(f"EXPLAIN EXECUTE {name} (1)")).scalars())
            s.commit()  # after a rollback psycopg prepares anew by itself
            return found

    with db.engine.begin() as c:
        c.execute(text("CREATE TABLE probe (a bigint PRIMARY KEY, b text) WITH (autovacuum_enabled = false)"))
        c.execute(text("INSERT INTO probe VALUES (1, 'one')"))
        c.execute(text("ANALYZE probe"))
    with db.engine.connect() as c:
        c.execute(text("SELECT 1"))
    assert "Seq Scan" in plan()
    with db.engine.begin() as c:
        c.execute(text("INSERT INTO probe SELECT n, 'more' FROM generate_series(2, 20000) n"))
    assert "Seq Scan" in plan(), "the test shows nothing: the plan was not kept"
    clock[0] += session.PLANS_LIVE_S + 1
    assert "Seq Scan" in plan(), "a session that has hardly worked keeps its plans"
    monkeypatch.setattr(session, "PLANS_LIVE_USES", 1)
    assert "Index Scan" in plan()
    db.dispose()
