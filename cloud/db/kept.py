"""Rows of one table locked in one plain statement, and what changed of them written in another: objects of the session, without its detour.

SQLAlchemy's own way costs a hot path more than PostgreSQL takes for both (see ``insert``). Whoever forgets to ``save`` loses nothing: the
session writes what is still changed at its next flush, as with any object.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any, TypeVar, cast

from sqlalchemy import Table, TextClause, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import InstanceState, Mapper, Session, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key

from cloud.db.base import TenantTable, Versioned
from cloud.db.insert import plain

_Kind = TypeVar("_Kind", bound=TenantTable)


def locked(session: Session, kind: type[_Kind], ids: Collection[int]) -> list[_Kind]:
    """The rows of these ids, locked for update, in the order of their ids; one that the session holds already is read anew."""
    names, statement = _select(kind)
    tenant_id = session.info["tenant_id"]
    return [_held(session, kind, names, row) for row in session.execute(statement, {"t": tenant_id, "ids": list(ids)})]


def _held(session: Session, kind: type[_Kind], names: tuple[str, ...], row: Any) -> _Kind:
    values = dict(zip(names, row, strict=True))
    known = session.identity_map.get(identity_key(kind, (values["tenant_id"], values["id"])))
    if known is not None:
        for name, value in values.items():
            set_committed_value(known, name, value)
        return known
    made = kind(**values)
    make_transient_to_detached(made)
    session.add(made)
    return made


def save(session: Session, rows: Iterable[TenantTable]) -> None:
    """Write the changed columns of locked rows of one class, a statement for all that changed alike; a version rises."""
    alike: dict[tuple[str, ...], list[TenantTable]] = {}
    for row in rows:
        before = _state(row).committed_state
        changed = tuple(sorted(name for name, old in before.items() if getattr(row, name) != old))
        if changed:
            alike.setdefault(changed, []).append(row)
    for names, found in alike.items():
        table = [{"id": row.id} | {name: getattr(row, name) for name in names} for row in found]
        given = {
            "t": session.info["tenant_id"],
            "ids": [row.id for row in found],
            "rows": json.dumps(table, ensure_ascii=False, default=plain),
        }
        with session.no_autoflush:  # or the session would write them first
            session.execute(_update(type(found[0]), names), given)
        for row in found:
            if isinstance(row, Versioned):
                set_committed_value(row, "version", row.version + 1)
            # Nothing is left for the session to write.
            _state(row)._commit_all(row.__dict__, session.identity_map)


def _state(row: TenantTable) -> InstanceState[Any]:
    state: InstanceState[Any] = inspect(row)
    return state


_selects: dict[type[TenantTable], tuple[tuple[str, ...], TextClause]] = {}
_updates: dict[tuple[type[TenantTable], tuple[str, ...]], TextClause] = {}


def _select(kind: type[TenantTable]) -> tuple[tuple[str, ...], TextClause]:
    known = _selects.get(kind)
    if known is None:
        table, columns = _columns(kind)
        sql = f"SELECT {', '.join(column for column, _ in columns.values())} FROM {table} "
        known = _selects[kind] = tuple(columns), text(sql + "WHERE tenant_id = :t AND id = ANY(:ids) ORDER BY id FOR UPDATE")
    return known


def _update(kind: type[TenantTable], names: tuple[str, ...]) -> TextClause:
    known = _updates.get((kind, names))
    return known if known is not None else _updates.setdefault((kind, names), _updating(kind, names))


# PostgreSQL takes a recordset for a hundred rows, for which it would read a small table whole: the ids say how few they are.
def _updating(kind: type[TenantTable], names: tuple[str, ...]) -> TextClause:
    table, columns = _columns(kind)
    new = [f"{columns[name][0]} = r.{columns[name][0]}" for name in names]
    new += ["version = x.version + 1"] if issubclass(kind, Versioned) else []
    types = ", ".join(f"{columns[name][0]} {columns[name][1]}" for name in names)
    return text(f"""
UPDATE {table} x SET {", ".join(new)}
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, {types})
WHERE x.tenant_id = :t AND x.id = ANY(:ids) AND x.id = r.id""")


def _columns(kind: type[TenantTable]) -> tuple[str, dict[str, tuple[str, str]]]:
    """The table; attribute → its column and the column's type."""
    mapper: Mapper[Any] = inspect(kind)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    table = cast(Table, mapper.local_table)
    return table.name, {mapper.get_property_by_column(c).key: (c.name, c.type.compile(dialect)) for c in table.columns}
