"""The standard roles and what they may do: given to a new hospital, and brought up to date with each release.

What was once offered to a role is remembered (``RoleOffer``), so that a release adds only what is new, and never gives back what a
hospital took away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select

from cloud.db.session import UnitOfWork
from cloud.modules.platform import accounts, rules
from cloud.modules.platform.models import Role, RoleOffer, RolePermission


@dataclass(frozen=True, slots=True)
class Brought:
    """What changed: role code → permissions added; role code → permissions held back, because the hospital changed the role."""

    added: Mapping[str, Sequence[str]]
    held_back: Mapping[str, Sequence[str]]


WITHDRAWN = {"secadmin": frozenset({"platform:workstations"})}
"""Given to a standard role by an earlier release and taken back: workstations are the system administrator's (permissions.md)."""


def bring_up(uow: UnitOfWork, permissions: Mapping[str, Sequence[str]]) -> Brought:
    """Make missing standard roles and grant what ``permissions`` (permission → role codes) offers anew; repeating it changes nothing.

    A role that no longer holds exactly what it was offered is the hospital's own: it gets nothing, and the audit administrator is told.
    """
    roles = _roles(uow)
    names = {role.id: code for code, role in roles.items()}
    wanted: dict[str, set[str]] = {code: set() for code in roles}
    for permission, holders in permissions.items():
        for code in holders:
            wanted.get(code, set()).add(str(permission))
    held, offered = _by_role(uow, RolePermission, names), _by_role(uow, RoleOffer, names)
    before, added, held_back = bool(held), dict[str, list[str]](), dict[str, list[str]]()
    taken = dict[str, list[str]]()
    for code, role in roles.items():
        have, old = held.get(code, set()), offered.get(code, set())
        back = sorted((WITHDRAWN.get(code, frozenset()) & have & old) - wanted[code])
        if back and not rules.role_changed(old, have, frozenset(permissions)):
            for table in (RolePermission, RoleOffer):
                uow.s.execute(delete(table).where(table.role_id == role.id, table.permission.in_(back)))
            have, old = have - set(back), old - set(back)
            taken[code] = back
        new = sorted(wanted[code] - old)
        uow.s.add_all(RoleOffer(role_id=role.id, permission=p) for p in new)
        # A hospital from before the offers were kept has none: its standard roles could not be changed then.
        if rules.role_changed(old, have, frozenset(permissions)):
            if new:
                held_back[code] = new
        elif missing := sorted(set(new) - have):
            uow.s.add_all(RolePermission(role_id=role.id, permission=p) for p in missing)
            added[code] = missing
    uow.s.flush()
    if added or held_back or taken:
        uow.audit("tenant", uow.tenant_id, "standard_roles", after={"added": added, "held_back": held_back, "taken_back": taken})
    for code, less in taken.items():
        accounts.tell_privilege(uow, f"role:{roles[code].id}", roles[code].name, (), less)
    if before:
        for code, more in added.items():
            accounts.tell_privilege(uow, f"role:{roles[code].id}", roles[code].name, more, ())
        for code, more in held_back.items():
            accounts.tell_held_back(uow, roles[code], more)
    return Brought(added, held_back)


def _roles(uow: UnitOfWork) -> dict[str, Role]:
    """The standard roles by code, made where they are missing."""
    have = {r.code: r for r in uow.s.execute(select(Role)).scalars()}
    for code, name, second in rules.STANDARD_ROLES:
        if code not in have:
            have[code] = Role(code=code, name=name, second_factor=second, admin_kind=code if code in rules.ADMIN_ROLES else None)
            uow.s.add(have[code])
    uow.s.flush()
    return {code: have[code] for code, _, _ in rules.STANDARD_ROLES}


def _by_role(uow: UnitOfWork, table: type[RolePermission] | type[RoleOffer], names: Mapping[int, str]) -> dict[str, set[str]]:
    out: dict[str, set[str]] = {}
    for role_id, permission in uow.s.execute(select(table.role_id, table.permission)):
        if role_id in names:
            out.setdefault(names[role_id], set()).add(permission)
    return out
