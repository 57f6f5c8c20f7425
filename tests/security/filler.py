"""One row in every table of a hospital, made from the models alone, so that a new table can't be forgotten.

Every text carries a marker; a page of another hospital that shows it leaks.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import Boolean, Column, Date, DateTime, Integer, LargeBinary, Numeric, Table, Time
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from cloud.db.session import Database
from cloud.db.tenancy import tenant_tables
from cloud.modules.tables import METADATA

# Values that a check of the row's own reader needs; everything else is generated.
SKIP = {"audit_log", "audit_head"}
SPECIAL: dict[tuple[str, str], Any] = {}


def fill(db: Database, tenant_id: int, marker: str) -> dict[str, int]:
    """Insert one row per tenant table; returns table → id. A hospital's rows all have one id, no other hospital's:
    so a route is asked once to be asked for every kind of object."""
    made: dict[str, int] = {}
    one = 500_000_000 + tenant_id * 10_000_000
    with db.tenant(tenant_id) as uow:
        uow.audit("canary", marker, "create", after={"marker": marker})
        for table in tenant_tables(METADATA):
            if table.name in SKIP:
                continue
            values = {c.name: value for c in table.c if (value := _value(table, c, marker, made, tenant_id)) is not None}
            made[table.name] = one
            uow.s.execute(table.insert().values(id=made[table.name], **values))
    return made


def _value(table: Table, column: Column[Any], marker: str, made: dict[str, int], tenant_id: int) -> Any:
    if column.name == "id":
        return None
    if column.name == "tenant_id":
        return tenant_id
    if (table.name, column.name) in SPECIAL:
        return SPECIAL[(table.name, column.name)]
    target = _target(table, column)
    if target is not None:
        return made.get(target)
    if column.server_default is not None:
        return None
    if column.nullable and not column.name.endswith(("_no", "code", "name", "text", "value")):
        return None
    return _by_type(table, column, marker)


def _target(table: Table, column: Column[Any]) -> str | None:
    for key in table.foreign_key_constraints:
        columns = [c.name for c in key.columns]
        if column.name in columns and key.referred_table.name != "tenant":
            return key.referred_table.name
    return None


def _by_type(table: Table, column: Column[Any], marker: str) -> Any:
    kind = column.type
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, DateTime):
        return datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)
    if isinstance(kind, Time):
        return time(8)
    if isinstance(kind, Date):
        return date(2026, 11, 20)
    if isinstance(kind, Integer):
        return 7
    if isinstance(kind, Numeric):
        return Decimal("4.2")
    if isinstance(kind, LargeBinary):
        return marker.encode()
    if isinstance(kind, ARRAY):
        return [marker]
    if isinstance(kind, JSONB):
        return {"marker": marker}
    return f"{marker}{table.name}{column.name}".replace("_", "")
