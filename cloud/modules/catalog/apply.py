"""Writing a row of master data as an approved change says; the only way besides mapping codes. One audit entry a row."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import kinds, models
from cloud.modules.catalog.kinds import Kind, Values
from cloud.modules.catalog.queries import catalog
from cloud.pinyin import first_letters
from common.errors import UserError
from common.say import say, word

# Columns that name a row: a retired row of the same name is taken up again instead of a second one.
_NAMED = {
    "item": ("code",),
    "order_set": ("code",),
    "logic": ("code",),
    "reflex": ("code",),
    "comment": ("code",),
    "reject": ("code",),
    "layout": ("section_id",),
    "judge": ("item_id",),
    "calc": ("item_id",),
    "hil": ("item_id", "index_kind"),
    "specimen": ("code",),
    "container": ("code",),
    "breakpoint_set": ("standard", "edition"),
    "channel": ("analyzer_id", "channel_code"),
}


def present(uow: UnitOfWork, kind: Kind, target: int | None) -> dict[str, Any] | None:
    """The row as plain values now; None when there is none."""
    row = None if target is None else uow.s.get(kind.table, (uow.tenant_id, target))
    return None if row is None else kinds.plain(kind, row, catalog(uow))


def rows(uow: UnitOfWork, kind: Kind) -> list[tuple[int, dict[str, Any]]]:
    """Every row of a kind with its id, as plain values; without the retired ones where a sheet could not say that they are."""
    query = select(kind.table).order_by(kind.table.id)
    found = uow.s.scalars(query if kind.field("active") is not None else query.where(kind.table.active))
    return [(row.id, kinds.plain(kind, row, catalog(uow))) for row in found]


def write(uow: UnitOfWork, kind: Kind, target: int | None, before: Values | None, after: Values | None, audit: bool = True) -> int:
    """Write one row and return its id. ``audit`` False is for a trial that is rolled back.

    A row written by a change is the laboratory's own: it is no placeholder any more.
    """
    row = None if target is None else uow.s.get(kind.table, (uow.tenant_id, target))
    if target is not None and row is None:
        raise UserError("not_found", say("{kind}第 {target} 行不存在。", kind=word(kind.title), target=target))
    if after is None:
        assert row is not None
        row.active = False
    else:
        values = kinds.columns(kind, after, catalog(uow))
        if kind.code in ("item", "order_set") and not values.get("pinyin"):
            values["pinyin"] = _initials(str(values["name"]))
        row = row or _retired(uow, kind, values) or _new(uow, kind)
        for column, value in values.items():
            setattr(row, column, value)
        if "active" not in values:
            row.active = True
        if hasattr(row, "placeholder"):
            row.placeholder = False
        uow.s.add(row)
    uow.s.flush()
    if kind.code == "order_set" and after is not None:
        _members(uow, row.id, after["members"])
    models.raise_version(uow.s)
    if audit:
        uow.audit(kind.table.__tablename__, row.id, "change" if after is not None else "retire", before, after)
    return int(row.id)


def _new(uow: UnitOfWork, kind: Kind) -> Any:
    return kind.table()


def _retired(uow: UnitOfWork, kind: Kind, values: dict[str, Any]) -> Any:
    named = _NAMED.get(kind.code)
    if named is None:
        return None
    table = kind.table
    same = [getattr(table, column) == values[column] for column in named]
    return uow.s.scalars(select(table).where(*same, table.active.is_(False))).one_or_none()


def _members(uow: UnitOfWork, order_set_id: int, codes: list[str]) -> None:
    table = models.OrderSetItem
    uow.s.execute(delete(table).where(table.order_set_id == order_set_id))
    known = catalog(uow).items_by_code
    uow.s.add_all(table(order_set_id=order_set_id, item_id=known[code].id) for code in dict.fromkeys(codes))
    uow.s.flush()


def _initials(name: str) -> str:
    return "".join(first_letters(name)).replace(" ", "").casefold()
