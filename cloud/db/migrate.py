"""The schema, brought up to date by the owner role: Alembic for tables, then row security, grants and functions.

``security`` is idempotent and runs after every upgrade, so a new table can never be left open.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from procrastinate.schema import SchemaManager
from sqlalchemy import Column, Connection, MetaData, create_engine, text

from cloud.db import audit, tenancy
from cloud.db.base import JOBS_SCHEMA

APPEND_ONLY = frozenset({"access_log", "login_event"})
READ_ONLY = frozenset({"audit_log", "audit_head", "tenant", "alembic_version"})


def _scripts() -> Config:
    cfg = Config()
    cfg.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return cfg


def config(metadata: MetaData, connection: Connection) -> Config:
    """Alembic's configuration without an ini file: the connection and the metadata are handed in."""
    cfg = _scripts()
    cfg.attributes["connection"] = connection
    cfg.attributes["metadata"] = metadata
    return cfg


def newest() -> str | None:
    """The revision that this release's code needs."""
    return ScriptDirectory.from_config(_scripts()).get_current_head()


def upgrade(owner_url: str, metadata: MetaData, app_role: str) -> None:
    """Bring the database to the newest schema and secure it. Safe to run again."""
    engine = create_engine(owner_url)
    with engine.begin() as conn:
        conn.execute(text("SET lock_timeout = '3s'"))
        command.upgrade(config(metadata, conn), "head")
        conn.execute(text(f"GRANT SELECT ON alembic_version TO {app_role}"))  # doctor asks as the app does
        secure(conn, metadata, app_role)
    engine.dispose()


def differences(owner_url: str, metadata: MetaData) -> list[object]:
    """What the models say that the migrated database does not; empty when they agree."""
    engine = create_engine(owner_url)
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": False})
        found = list(compare_metadata(context, metadata))
    engine.dispose()
    return [each for each in found if not _same_expression(each, found)]


def _same_expression(difference: Any, others: list[Any]) -> bool:
    """An index over an expression (COLLATE "C") is reflected in other words than it was written: removed and added under one name."""
    if difference[0] not in ("add_index", "remove_index"):
        return False
    twins = {each[0] for each in others if each[0] in ("add_index", "remove_index") and each[1].name == difference[1].name}
    written = any(not isinstance(e, Column) for e in difference[1].expressions) or difference[0] == "remove_index"
    return len(twins) == 2 and written


def create_all(owner_url: str, metadata: MetaData, app_role: str) -> None:
    """The newest schema straight from the models (used to write the first migration and in experiments)."""
    engine = create_engine(owner_url)
    with engine.begin() as conn:
        metadata.create_all(conn)
        secure(conn, metadata, app_role)
    engine.dispose()


def secure(conn: Connection, metadata: MetaData, app_role: str) -> None:
    """Row security on every tenant table, grants, the audit function, the job queue's own schema."""
    for table in tenancy.tenant_tables(metadata):
        for statement in tenancy.protect(table.name):
            conn.execute(text(statement))
    names = [t.name for t in metadata.sorted_tables]
    for statement in tenancy.grants(names, app_role, APPEND_ONLY, READ_ONLY):
        conn.execute(text(statement))
    conn.execute(text(audit.AUDIT_APPEND))
    conn.execute(text("REVOKE ALL ON FUNCTION audit_append(jsonb) FROM PUBLIC"))
    conn.execute(text(f"GRANT EXECUTE ON FUNCTION audit_append(jsonb) TO {app_role}"))
    _jobs(conn, app_role)


def _jobs(conn: Connection, app_role: str) -> None:
    exists = conn.execute(text("SELECT to_regclass('jobs.procrastinate_jobs') IS NOT NULL")).scalar()
    if not exists:
        conn.execute(text(f"CREATE SCHEMA IF NOT EXISTS {JOBS_SCHEMA}"))
        conn.execute(text(f"SET LOCAL search_path = {JOBS_SCHEMA}"))
        # The raw cursor: without parameters psycopg leaves the percent signs of its PL/pgSQL alone.
        conn.connection.cursor().execute(SchemaManager.get_schema())
        conn.execute(text("SET LOCAL search_path = public"))
    for what in ("USAGE ON SCHEMA {s}", "ALL ON ALL TABLES IN SCHEMA {s}", "ALL ON ALL SEQUENCES IN SCHEMA {s}"):
        conn.execute(text(f"GRANT {what.format(s=JOBS_SCHEMA)} TO {app_role}"))
