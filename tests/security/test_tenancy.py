"""Row security from pg_catalog, tenant context, and planted faults that must all be caught (SR4, SR5)."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from cloud.db.session import Database
from cloud.embedded.postgres import APP
from cloud.modules.platform.models import Workstation
from tests.security import pgcatalog
from tests.support.database import TestDatabase
from tests.support.lab import Lab

# One fault each, as DDL of a superuser; the catalog test must name every one of them.
PLANTED = {
    "row security off on one table": "ALTER TABLE patient DISABLE ROW LEVEL SECURITY",
    "row security not forced": "ALTER TABLE specimen NO FORCE ROW LEVEL SECURITY",
    "policy gone": "DROP POLICY tenant_isolation ON report",
    "policy lets everything be read": "DROP POLICY tenant_isolation ON report; CREATE POLICY tenant_isolation ON report USING (true)",
    "policy checks reads only": (
        "DROP POLICY tenant_isolation ON report; "
        "CREATE POLICY tenant_isolation ON report USING (tenant_id = current_setting('app.tenant')::int) WITH CHECK (true)"
    ),
    "second permissive policy": "CREATE POLICY extra ON test FOR SELECT USING (true)",
    "foreign key without tenant": "ALTER TABLE visit ADD UNIQUE (tenant_id, id, patient_id); CREATE UNIQUE INDEX p_id ON patient (id); "
    "ALTER TABLE specimen_event ADD FOREIGN KEY (specimen_id) REFERENCES patient (id)",
    "unique without tenant": "ALTER TABLE specimen ADD CONSTRAINT bad UNIQUE (barcode)",
    "unique index without tenant": "CREATE UNIQUE INDEX bad ON app_user (badge)",
    "table without tenant_id": "CREATE TABLE side_notes (id int PRIMARY KEY, note text)",
    "materialised view": "CREATE MATERIALIZED VIEW all_patients AS SELECT 1 AS one",
    "view with owner's rights": "CREATE VIEW all_patients AS SELECT * FROM patient",
    "definer function": "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM patient'",
    "app role owns a table": f"ALTER TABLE report OWNER TO {APP}",
    "audit may be changed": f"GRANT UPDATE ON audit_log TO {APP}",
}


def found(database: TestDatabase) -> list[str]:
    engine = create_engine(database.admin_url)
    with engine.connect() as conn:
        out = pgcatalog.exceptions(conn, APP)
    engine.dispose()
    return out


def test_catalog_shows_no_exception(fresh_db: TestDatabase) -> None:
    assert found(fresh_db) == []


@pytest.mark.parametrize("fault", PLANTED)
def test_planted_fault_is_caught(fresh_db: TestDatabase, fault: str) -> None:
    engine = create_engine(fresh_db.admin_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        for statement in PLANTED[fault].split("; "):
            conn.execute(text(statement))
    engine.dispose()
    assert found(fresh_db) != []


def test_without_tenant_context_every_table_refuses(fresh_db: TestDatabase) -> None:
    engine = create_engine(fresh_db.app_url)
    names = [t.name for t in _tenant_tables(fresh_db)]
    assert len(names) > 40
    for name in names:
        with engine.connect() as conn, pytest.raises(DBAPIError):
            conn.execute(text(f"SELECT * FROM {name}"))
    engine.dispose()


def _tenant_tables(database: TestDatabase) -> list[Any]:
    engine = create_engine(database.admin_url)
    with engine.connect() as conn:
        rows = [t for t in conn.execute(text(pgcatalog._TABLES)) if t.name not in pgcatalog.GLOBAL_TABLES]
    engine.dispose()
    return rows


def test_context_never_survives_into_the_next_user_of_a_connection(lab: Lab) -> None:
    small = Database(lab.settings.database_url, secret=lab.settings.secret, pool_size=1)
    for tenant_id in (lab.a, lab.b):
        with small.tenant(tenant_id) as uow:
            uow.s.add(Workstation(code=f"only-{tenant_id}", name="x"))
    with small.tenant(lab.a):
        pass
    with small.registry() as s, pytest.raises(DBAPIError):
        s.execute(text("SELECT count(*) FROM workstation"))
    with pytest.raises(ZeroDivisionError), small.tenant(lab.a):
        raise ZeroDivisionError
    with small.registry() as s, pytest.raises(DBAPIError):
        s.execute(text("SELECT count(*) FROM workstation"))
    small.dispose()


def test_mixed_threads_never_see_another_hospital(lab: Lab) -> None:
    pool = Database(lab.settings.database_url, secret=lab.settings.secret, pool_size=2)
    for tenant_id in (lab.a, lab.b):
        with pool.tenant(tenant_id) as uow:
            uow.s.add(Workstation(code=f"only-{tenant_id}", name="x"))
    wrong: list[object] = []

    def work(tenant_id: int) -> None:
        for n in range(60):
            try:
                with pool.tenant(tenant_id) as uow:
                    codes = {c for (c,) in uow.s.query(Workstation.code)}
                    if codes != {f"only-{tenant_id}"}:
                        wrong.append(codes)
                    if n % 7 == 0:
                        raise KeyError
            except KeyError:
                pass

    threads = [threading.Thread(target=work, args=(t,)) for t in (lab.a, lab.b) * 4]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    pool.dispose()
    assert wrong == []


def test_writing_another_hospitals_row_is_refused(lab: Lab) -> None:
    with pytest.raises(DBAPIError), lab.uow(lab.a) as uow:
        uow.s.add(Workstation(tenant_id=lab.b, code="x", name="x"))
        uow.s.flush()
