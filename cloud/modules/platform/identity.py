"""Who a session token stands for: the person, what the roles allow and where it counts, what the hospital's edition has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import Row, TextClause, text, update

from cloud.db.session import ALONG, UnitOfWork
from cloud.modules.platform import networks, rules, secrets
from cloud.modules.platform.models import UserSession
from cloud.web.principal import Ended, Principal

SEEN_EVERY = timedelta(seconds=30)


_AUTH = """
SELECT s.id AS session_id, s.user_id, s.created_at, s.seen_at, s.mfa_at, s.locked_at, s.workstation, s.ip, s.signing_until, s.signing_id,
       s.must_change, u.valid_until, u.read_only,
       u.name, u.employee_no, u.sections, u.wards, u.locale, t.code AS tenant_code, t.name AS tenant_name, t.status, t.edition,
       held.roles, held.bounded,
       ARRAY(SELECT p.permission FROM role_permission p WHERE p.tenant_id = :t AND p.role_id = ANY(held.ids)) AS permissions,
       EXISTS (SELECT 1 FROM delegation d WHERE d.tenant_id = :t AND d.to_id = s.user_id AND d.ended_at IS NULL AND d.first <= :now
               AND d.until > :now) AS delegated
       {along}
FROM user_session s
JOIN app_user u ON u.tenant_id = s.tenant_id AND u.id = s.user_id AND u.status IN ('pending', 'active')
JOIN tenant t ON t.id = s.tenant_id AND t.status <> 'closed'
CROSS JOIN LATERAL (
  SELECT array_agg(r.code) AS roles, array_agg(r.id) AS ids, bool_or(ur.scope <> 'tenant') AS bounded FROM user_role ur
  JOIN role r ON r.tenant_id = ur.tenant_id AND r.id = ur.role_id WHERE ur.tenant_id = s.tenant_id AND ur.user_id = s.user_id
) held
WHERE s.tenant_id = :t AND s.token_hash = :h AND s.revoked_at IS NULL
"""


@cache
def _auth(along: tuple[tuple[str, str], ...]) -> TextClause:
    return text(_AUTH.format(along="".join(f", ({question}) AS {name}" for name, question in along)))


# Few people stand in for somebody: its three tables more are asked for those alone.
_DELEGATED = text("""
SELECT p.permission, ur.scope, c.sections, c.wards FROM delegation d
JOIN app_user f ON f.tenant_id = d.tenant_id AND f.id = d.from_id AND f.status = 'active'
JOIN user_role ur ON ur.tenant_id = d.tenant_id AND ur.user_id = d.from_id
JOIN role_permission p ON p.tenant_id = d.tenant_id AND p.role_id = ur.role_id AND p.permission = ANY(d.permissions)
LEFT JOIN campus c ON c.tenant_id = ur.tenant_id AND c.id = ur.campus_id AND c.active
WHERE d.tenant_id = :t AND d.to_id = :user AND d.ended_at IS NULL AND d.first <= :now AND d.until > :now
""")


# Most people's roles count everywhere: where the others' do is asked for those alone.
_GRANTED = text("""
SELECT p.permission, ur.scope, c.sections, c.wards FROM user_role ur
JOIN role_permission p ON p.tenant_id = ur.tenant_id AND p.role_id = ur.role_id
LEFT JOIN campus c ON c.tenant_id = ur.tenant_id AND c.id = ur.campus_id AND c.active
WHERE ur.tenant_id = :t AND ur.user_id = :user
""")


Bounds = dict[str, tuple[frozenset[str], frozenset[str]]]


class SessionIdentity:
    """How the web layer recognises a session (cloud.web.principal.Identity). ``owners``: permission → its module."""

    def __init__(self, owners: Mapping[str, str] = MappingProxyType({})) -> None:
        self.owners = owners

    def authenticate(self, uow: UnitOfWork, token: str, ip: str, idle: int = 0) -> Principal | Ended | None:
        """The person behind a token; touches last-seen at most every 30 s and locks an idle session.

        What was begun by password alone inside the hospital's networks ends where it goes on outside of them (R2): the address of the
        login was judged there, so only another one is looked up.

        A page that refreshes by itself says how many seconds ago a person last touched it; such a request keeps nobody in (R3).
        """
        asked = {"t": uow.tenant_id, "h": secrets.token_hash(token), "now": uow.now}
        row = uow.s.execute(_auth(tuple(ALONG.items())), asked).one_or_none()
        if row is None or rules.session_over(row.created_at, uow.now) or (row.valid_until is not None and uow.now >= row.valid_until):
            return None
        if row.mfa_at is None and ip != row.ip and networks.remote(uow, ip):
            set_session(uow, row.session_id, revoked_at=uow.now, signing_until=None)
            uow.audit("session", row.session_id, "gone_outside", before={"ip": row.ip}, after={"user": row.employee_no, "ip": ip})
            return Ended.REMOTE
        uow.s.info.update((name, getattr(row, name)) for name in ALONG)
        locked = row.locked_at is not None or uow.now - row.seen_at >= rules.idle_limit(bool(row.workstation))
        if locked or idle < rules.BACKGROUND:
            self._touch(uow, row.session_id, row.seen_at, locked, row.locked_at)
        permissions, at, bounds = frozenset(row.permissions or ()), rules.Places(frozenset(row.sections), frozenset(row.wards)), Bounds()
        if row.delegated or row.bounded:
            bounds = _bounds(uow, row, at)
            permissions = frozenset(bounds)
            at = rules.together(rules.Places(*each) for each in bounds.values()) if bounds else at
        without = rules.EDITIONS[row.edition]
        if without:
            permissions = frozenset(p for p in permissions if self.owners.get(p, "") not in without)
        open_window = not locked and rules.signing_open(row.signing_until, uow.now)
        return Principal(
            user_id=row.user_id,
            name=row.name,
            employee_no=row.employee_no,
            tenant_id=uow.tenant_id,
            tenant_code=row.tenant_code,
            tenant_name=row.tenant_name,
            session_id=row.session_id,
            permissions=permissions,
            roles=frozenset(row.roles or ()),
            sections=at.sections,
            wards=at.wards,
            workstation=row.workstation,
            locale=row.locale,
            mfa=rules.mfa_fresh(row.mfa_at, uow.now),
            locked=locked,
            signing_until=row.signing_until if open_window else None,
            signing_id=row.signing_id if open_window else None,
            must_change=row.must_change,
            read_only=row.read_only,
            hospital_read_only=row.status == rules.TenantState.READ_ONLY,
            recorded=row.valid_until is not None,
            bounds=bounds,
            without=without,
        )

    def _touch(self, uow: UnitOfWork, session_id: int, seen: datetime, locked: bool, locked_at: datetime | None) -> None:
        if locked and locked_at is None:
            set_session(uow, session_id, locked_at=uow.now, signing_until=None, signing_id=None)
        elif not locked and uow.now - seen >= SEEN_EVERY:
            set_session(uow, session_id, seen_at=uow.now)

    def failed_lookup(self, uow: UnitOfWork, principal: Principal | None, path: str) -> None:
        """The same entry for a foreign and an absent id (AC-PL-1)."""
        user_id, name = (principal.user_id, principal.name) if principal else (uow.actor.user_id, uow.actor.name)
        uow.look(user_id, name, None, "lookup_failed", path)

    def visited(self, uow: UnitOfWork, principal: Principal, path: str) -> None:
        """An outside engineer's steps are recorded one by one (R7)."""
        uow.look(principal.user_id, principal.name, None, "support", path)


def bounds_of(uow: UnitOfWork, person: Row[Any]) -> Bounds:
    """Where each right of a person counts (``user_id``, ``sections``, ``wards``), for a job that tells people something: own roles only."""
    return _bounds(uow, person, rules.Places(frozenset(person.sections), frozenset(person.wards)))


def _bounds(uow: UnitOfWork, row: Row[Any], own: rules.Places) -> Bounds:
    """Every permission of the own and the lent roles with the places where one of them counts."""
    asked = {"t": uow.tenant_id, "user": row.user_id, "now": uow.now}
    found: dict[str, list[rules.Places]] = {}
    for statement in (_GRANTED, *((_DELEGATED,) if getattr(row, "delegated", False) else ())):
        for p, scope, sections, wards in uow.s.execute(statement, asked):
            campus = None if sections is None else rules.Places(frozenset(sections), frozenset(wards))
            if (there := rules.places(rules.Scope(scope), own, campus)) is not None:
                found.setdefault(p, []).append(there)
    return {p: ((at := rules.together(each)).sections, at.wards) for p, each in found.items()}


def set_session(uow: UnitOfWork, session_id: int, **values: object) -> None:
    uow.s.execute(update(UserSession).where(UserSession.tenant_id == uow.tenant_id, UserSession.id == session_id).values(**values))
