"""Read-only: whose authorisation covers what, today."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.personnel.rules import Function, Grant, State, uncovered

_GRANTS = text("""
SELECT user_id, function, section_id, order_set_id, first, until, state FROM authorization_grant
WHERE tenant_id = :t AND user_id = ANY(:users) AND state = 'active' AND first <= :day AND until >= :day
""")


def local_day(at: datetime) -> date:
    """The hospital's day of a moment."""
    return at.astimezone(md.HOSPITAL_ZONE).date()


def grants(uow: UnitOfWork, user_ids: Collection[int], at: datetime) -> list[Grant]:
    """The authorisations of some people in force at a moment, one statement."""
    if not user_ids:
        return []
    catalog = md.catalog(uow)
    found = uow.s.execute(_GRANTS, {"t": uow.tenant_id, "users": sorted(set(user_ids)), "day": local_day(at)})
    return [
        Grant(
            r.user_id,
            Function(r.function),
            r.section_id,
            None if r.order_set_id is None else frozenset(catalog.set_items.get(r.order_set_id, ())),
            r.first,
            r.until,
            State(r.state),
        )
        for r in found
    ]


def missing(
    uow: UnitOfWork, user_id: int, function: Function, wanted: Sequence[tuple[int, Collection[int]]], at: datetime
) -> list[set[int]]:
    """For each (section, items): the items this person has no valid authorisation for. One statement for all of them."""
    held = grants(uow, [user_id], at)
    return [uncovered(held, user_id, function, section, items, local_day(at)) for section, items in wanted]


def may(uow: UnitOfWork, user_id: int, function: Function, section_id: int, items: Collection[int]) -> bool:
    """Whether this person is authorised, now, for all the items of a section."""
    return not missing(uow, user_id, function, [(section_id, items)], uow.now)[0]


def any_in(uow: UnitOfWork, user_id: int, function: Function, section_id: int) -> bool:
    """Whether this person is authorised, now, for anything of a section: without it no button."""
    held = grants(uow, [user_id], uow.now)
    return any(g.function is function and g.section_id in (None, section_id) for g in held)


_MATRIX = text("""
SELECT g.id, g.version, g.user_id, u.name, u.employee_no, g.function, s.name AS section, o.name AS item_group, g.first, g.until,
       g.competency_until, g.licence_until, g.state, g.reason
FROM authorization_grant g
JOIN app_user u ON u.tenant_id = g.tenant_id AND u.id = g.user_id
LEFT JOIN section s ON s.tenant_id = g.tenant_id AND s.id = g.section_id
LEFT JOIN order_set o ON o.tenant_id = g.tenant_id AND o.id = g.order_set_id
WHERE g.tenant_id = :t AND g.id > :after ORDER BY g.id LIMIT :n
""")
PAGE = 200


def matrix(uow: UnitOfWork, after: int = 0) -> Sequence[Any]:
    """A page of authorisations, by id."""
    return uow.s.execute(_MATRIX, {"t": uow.tenant_id, "after": after, "n": PAGE}).all()


__all__ = ["PAGE", "Function", "Grant", "any_in", "grants", "local_day", "matrix", "may", "missing", "uncovered"]
