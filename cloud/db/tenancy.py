"""Row-level security: the DDL that makes another hospital's rows absent.

Without a tenant in the transaction ``current_setting`` raises (or casts '' and raises), so forgetting the
context is an error and never a row (SR5).
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import MetaData, Table

POLICY = "tenant_isolation"
CONTEXT = "current_setting('app.tenant')::int"

# Tables without tenant_id, each with the reason why it may be read by all tenants.
GLOBAL_TABLES = {
    "tenant": "the registry itself: code, name, host; no clinical data; read before a tenant is known",
    "alembic_version": "schema version",
}


def tenant_tables(metadata: MetaData) -> list[Table]:
    """Tables of the metadata that carry tenant_id, in dependency order."""
    return [t for t in metadata.sorted_tables if "tenant_id" in t.c]


def protect(table: str) -> list[str]:
    """DDL that enables and forces row security on one table."""
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS {POLICY} ON {table}",
        f"CREATE POLICY {POLICY} ON {table} USING (tenant_id = {CONTEXT}) WITH CHECK (tenant_id = {CONTEXT})",
    ]


def grants(tables: Iterable[str], role: str, append_only: frozenset[str], read_only: frozenset[str]) -> list[str]:
    """What the app role may do: everything but DELETE of clinical rows is decided by services; DDL never."""
    out = [f"GRANT USAGE ON SCHEMA public TO {role}"]
    for name in tables:
        if name in read_only:
            verbs = "SELECT"
        elif name in append_only:
            verbs = "SELECT, INSERT"
        else:
            verbs = "SELECT, INSERT, UPDATE, DELETE"
        out.append(f"REVOKE ALL ON {name} FROM {role}")
        out.append(f"GRANT {verbs} ON {name} TO {role}")
    out.append(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    return out
