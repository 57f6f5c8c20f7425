"""What pg_catalog says about tenancy: every exception is one sentence; none may exist (SR4)."""

from __future__ import annotations

from sqlalchemy import Connection, text

from cloud.db.tenancy import GLOBAL_TABLES

DEFINER_FUNCTIONS = {"audit_append"}

_TABLES = """
SELECT c.relname AS name, c.relrowsecurity AS rls, c.relforcerowsecurity AS forced, pg_get_userbyid(c.relowner) AS owner,
       (SELECT a.attnotnull FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) AS tenant
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
"""
_POLICIES = "SELECT tablename, permissive, qual, with_check, cmd, roles::text AS roles FROM pg_policies WHERE schemaname = 'public'"
_KEYS = """
SELECT con.conname AS name, con.contype AS kind, t.relname AS "table", f.relname AS target,
       (SELECT array_agg(a.attname::text ORDER BY k.ord) FROM unnest(con.conkey) WITH ORDINALITY k(num, ord)
        JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.num) AS columns
FROM pg_constraint con JOIN pg_class t ON t.oid = con.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_class f ON f.oid = con.confrelid WHERE n.nspname = 'public' AND con.contype IN ('p', 'u', 'f', 'x')
"""
_UNIQUE_INDEXES = """
SELECT i.relname AS name, t.relname AS "table", array_agg(a.attname::text) AS columns
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY(x.indkey)
WHERE n.nspname = 'public' AND x.indisunique GROUP BY 1, 2
"""
_CONDITION = "(tenant_id = (current_setting('app.tenant'::text))::integer)"


def exceptions(conn: Connection, app_role: str) -> list[str]:
    """Everything that breaks the rules of tenancy in this database."""
    return [*_tables(conn, app_role), *_policies(conn), *_keys(conn), *_role(conn, app_role), *_objects(conn)]


def _tables(conn: Connection, app_role: str) -> list[str]:
    out = []
    for t in conn.execute(text(_TABLES)):
        if t.owner == app_role:
            out.append(f"{t.name} is owned by the app role")
        if t.name in GLOBAL_TABLES:
            continue
        if not t.tenant:
            out.append(f"{t.name} has no tenant_id NOT NULL and is not on the list of global tables")
        if not t.rls or not t.forced:
            out.append(f"{t.name} has row security {'not forced' if t.rls else 'off'}")
    return out


def _policies(conn: Connection) -> list[str]:
    rows = conn.execute(text(_POLICIES)).all()
    tables = [t.name for t in conn.execute(text(_TABLES)) if t.name not in GLOBAL_TABLES]
    out = [f"{t} has no policy" for t in tables if t not in {r.tablename for r in rows}]
    for r in rows:
        if r.qual != _CONDITION or r.with_check != _CONDITION or r.cmd != "ALL":
            out.append(f"policy on {r.tablename} does not say tenant_id = current tenant for reads and writes")
    return out


def _keys(conn: Connection) -> list[str]:
    out = []
    for k in conn.execute(text(_KEYS)):
        if k.table in GLOBAL_TABLES or (k.kind == "f" and k.target in GLOBAL_TABLES):
            continue
        if "tenant_id" not in k.columns:
            out.append(f"{k.table}.{k.name} has no tenant_id")
        elif k.kind in ("p", "f") and k.columns[0] != "tenant_id":
            out.append(f"{k.table}.{k.name} does not start with tenant_id")
    for x in conn.execute(text(_UNIQUE_INDEXES)):
        if x.table not in GLOBAL_TABLES and "tenant_id" not in x.columns:
            out.append(f"unique index {x.name} has no tenant_id")
    return out


def _role(conn: Connection, app_role: str) -> list[str]:
    row = conn.execute(
        text("SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = :r"), {"r": app_role}
    ).one()
    out = [f"the app role has {name}" for name, value in row._mapping.items() if value]
    member = conn.execute(
        text("SELECT pg_get_userbyid(roleid) FROM pg_auth_members WHERE member = (SELECT oid FROM pg_roles WHERE rolname = :r)"),
        {"r": app_role},
    ).all()
    out += [f"the app role is a member of {m[0]}" for m in member]
    for table in ("audit_log", "audit_head", "access_log", "login_event"):
        for verb in ("UPDATE", "DELETE", "TRUNCATE"):
            if conn.execute(text("SELECT has_table_privilege(:r, :t, :v)"), {"r": app_role, "t": table, "v": verb}).scalar():
                out.append(f"the app role may {verb} {table}")
    return out


def _objects(conn: Connection) -> list[str]:
    out = []
    views = conn.execute(
        text(
            "SELECT c.relname, c.relkind::text AS kind, coalesce(c.reloptions::text, '') AS options FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('v', 'm')"
        )
    )
    for v in views:
        if v.kind == "m":
            out.append(f"materialised view {v.relname}")
        elif "security_invoker=true" not in v.options:
            out.append(f"view {v.relname} runs with its owner's rights")
    functions = conn.execute(
        text("SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname IN ('public','jobs') AND prosecdef")
    )
    out += [f"SECURITY DEFINER function {f.proname} is not on the list" for f in functions if f.proname not in DEFINER_FUNCTIONS]
    return out
