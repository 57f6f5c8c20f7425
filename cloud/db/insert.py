"""New rows in one plain statement a table, however many; afterwards their objects stand in the session as if they had been read.

SQLAlchemy's unit of work sorts, compiles and keeps books for each flush: that costs a hot path several times what PostgreSQL takes to write
the row. What it is for (dependencies between objects, rows changed and deleted) new rows of one table do not need.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from sqlalchemy import Table, TextClause, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapper, Session, make_transient_to_detached

from cloud.db.base import TenantTable

_KEYS = ("tenant_id", "id")


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the rows of one table are written: the statement, the columns by their attributes, and what an absent one starts with."""

    sql: TextClause
    names: tuple[tuple[str, str], ...]
    starts: tuple[tuple[str, Callable[[], Any]], ...]


def insert(session: Session, rows: Sequence[TenantTable]) -> None:
    """Write new objects of one class, with their ids in the order given. What waits to be written goes before them."""
    if not rows:
        return
    kind = type(rows[0])
    shape = _shapes.get(kind) or _shapes.setdefault(kind, _shape(kind))
    for row in rows:
        for name, start in shape.starts:
            if name not in row.__dict__:
                setattr(row, name, start())
    table = [{column: row.__dict__.get(name) for name, column in shape.names} for row in rows]
    tenant_id = session.info["tenant_id"]
    given = {"t": tenant_id, "rows": json.dumps(table, ensure_ascii=False, default=plain)}
    for row, row_id in zip(rows, session.execute(shape.sql, given).scalars().all(), strict=True):
        row.tenant_id, row.id = tenant_id, row_id
        make_transient_to_detached(row)
        session.add(row)


_shapes: dict[type[TenantTable], _Shape] = {}


def _shape(kind: type[TenantTable]) -> _Shape:
    mapper: Mapper[Any] = inspect(kind)
    table, dialect = cast(Table, mapper.local_table), postgresql.dialect()  # type: ignore[no-untyped-call]
    columns = {mapper.get_property_by_column(c).key: c for c in table.columns if c.name not in _KEYS}
    names = ", ".join(c.name for c in columns.values())
    types = ", ".join(f"{c.name} {c.type.compile(dialect)}" for c in columns.values())
    sql = f"""
INSERT INTO {table.name} (tenant_id, {names})
SELECT :t, {names} FROM ROWS FROM (jsonb_to_recordset(CAST(:rows AS jsonb)) AS ({types})) WITH ORDINALITY AS r({names}, row_number_)
ORDER BY row_number_ RETURNING id"""
    starts = tuple((key, _start(c.default)) for key, c in columns.items())
    return _Shape(text(sql), tuple((key, c.name) for key, c in columns.items()), starts)


def _start(default: Any) -> Callable[[], Any]:
    """A column's own first value; ``default=list`` makes one for each row."""
    made = None if default is None else default.arg
    return (lambda: made(None)) if callable(made) else (lambda: made)


def plain(value: Any) -> str:
    """A value as PostgreSQL reads it from a text."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return value.isoformat() if isinstance(value, date) else str(value)
