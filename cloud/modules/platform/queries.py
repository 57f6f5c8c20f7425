"""Read-only selects of identity for pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func, literal, or_, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by

from cloud.db import audit as chain
from cloud.db.audit import AuditLog
from cloud.db.session import Database, UnitOfWork
from cloud.modules.platform.models import (
    Campus,
    LoginEvent,
    Role,
    RolePermission,
    SsoSource,
    Tenant,
    User,
    UserRole,
    UserSession,
    Workstation,
)
from cloud.modules.platform.rules import DORMANT, SCOPE_WORDS, SESSION_LIFE, Scope

PAGE = 100
_SCOPED = case(*((UserRole.scope == s.value, f"（{SCOPE_WORDS[s]}）") for s in (Scope.SECTION, Scope.OWN)), else_="")


def users(uow: UnitOfWork, after: int = 0, q: str = "") -> Sequence[Any]:
    """A page of accounts with their role names, by id; ``q`` is the start of an employee number or of a name."""
    roles = (
        select(func.string_agg(Role.name, "、"))
        .join(UserRole, (UserRole.tenant_id == Role.tenant_id) & (UserRole.role_id == Role.id))
        .where(UserRole.user_id == User.id)
        .correlate(User)
        .scalar_subquery()
    )
    query = select(User.id, User.employee_no, User.name, User.dept, User.status, User.locked_until, roles.label("roles"))
    if q:
        query = query.where(User.employee_no.startswith(q, autoescape=True) | User.name.startswith(q, autoescape=True))
    return uow.s.execute(query.where(User.id > after).order_by(User.id).limit(PAGE)).all()


def edition(uow: UnitOfWork) -> str:
    """Which edition the hospital has."""
    return str(uow.s.execute(select(Tenant.edition).where(Tenant.id == uow.tenant_id)).scalar_one())


def at_work(uow: UnitOfWork) -> Sequence[Any]:
    """Everybody whose account is in use, for a choice: id, number, name, department, by number."""
    query = select(User.id, User.employee_no, User.name, User.dept).where(User.status.in_(("pending", "active", "locked")))
    return uow.s.execute(query.order_by(User.employee_no)).all()


def holders(uow: UnitOfWork, permission: str) -> frozenset[int]:
    """Who holds a permission by some role, wherever it counts."""
    query = select(UserRole.user_id).join(
        RolePermission, (RolePermission.tenant_id == UserRole.tenant_id) & (RolePermission.role_id == UserRole.role_id)
    )
    return frozenset(uow.s.execute(query.where(RolePermission.permission == str(permission)).distinct()).scalars())


def exists(uow: UnitOfWork, user_id: int) -> bool:
    """Whether this hospital has such a person."""
    return uow.s.execute(select(User.id).where(User.id == user_id)).first() is not None


def roles(uow: UnitOfWork) -> Sequence[Role]:
    """All roles of this hospital."""
    return uow.s.execute(select(Role).order_by(Role.id)).scalars().all()


def matrix(uow: UnitOfWork) -> dict[str, set[str]]:
    """Permission → codes of roles that hold it."""
    query = select(RolePermission.permission, Role.code).join(
        Role, (Role.tenant_id == RolePermission.tenant_id) & (Role.id == RolePermission.role_id)
    )
    out: dict[str, set[str]] = {}
    for permission, code in uow.s.execute(query):
        out.setdefault(permission, set()).add(code)
    return out


def people_and_roles(uow: UnitOfWork) -> Sequence[Any]:
    """Everybody who has not left, with role names and where each counts, sections and places: the other half of the matrix on file."""
    at = case((Campus.id.is_not(None), func.concat("（", Campus.name, "）")), else_=_SCOPED)
    names = func.coalesce(func.string_agg(Role.name + at, aggregate_order_by(literal("、"), Role.id)), "").label("roles")
    who = (User.employee_no, User.name, User.dept, User.title, User.status, User.sections, User.wards)
    query = (
        select(*who, names)
        .outerjoin(UserRole, (UserRole.tenant_id == User.tenant_id) & (UserRole.user_id == User.id))
        .outerjoin(Role, (Role.tenant_id == UserRole.tenant_id) & (Role.id == UserRole.role_id))
        .outerjoin(Campus, (Campus.tenant_id == UserRole.tenant_id) & (Campus.id == UserRole.campus_id))
        .where(User.status != "left")
        .group_by(User.id, *who)
    )
    return uow.s.execute(query.order_by(User.employee_no)).all()


def sessions(uow: UnitOfWork, q: str = "") -> Sequence[Any]:
    """Living sessions, newest first; ``q`` is the start of an employee number, of a name or of an address, or a workstation."""
    query = (
        select(
            UserSession.id,
            User.name,
            User.employee_no,
            UserSession.ip,
            UserSession.workstation,
            UserSession.created_at,
            UserSession.seen_at,
        )
        .join(User, (User.tenant_id == UserSession.tenant_id) & (User.id == UserSession.user_id))
        .where(UserSession.revoked_at.is_(None), UserSession.created_at > uow.now - SESSION_LIFE)
        .order_by(UserSession.seen_at.desc())
        .limit(PAGE)
    )
    if q:
        starts = [column.startswith(q, autoescape=True) for column in (User.employee_no, User.name, UserSession.ip)]
        query = query.where(or_(*starts, UserSession.workstation == q))
    return uow.s.execute(query).all()


def workstations(uow: UnitOfWork, after: str = "", q: str = "") -> Sequence[Workstation]:
    """A page of registered workstations by code; ``q`` is the start of a code or of a name, or a place or section."""
    w = Workstation
    query = select(w).where(w.code > after).order_by(w.code).limit(PAGE)
    if q:
        starts = [column.startswith(q, autoescape=True) for column in (w.code, w.name, w.location)]
        query = query.where(or_(*starts, w.section_code == q.upper()))
    return uow.s.execute(query).scalars().all()


def workstations_elsewhere(uow: UnitOfWork) -> frozenset[str]:
    """Codes of workstations that stand at another place than where the right of the person at work counts (M01)."""
    reach = uow.actor.reach
    if reach is None:
        return frozenset()
    own = {
        each.code
        for each in uow.s.scalars(select(Campus).where(Campus.active))
        if reach.sections & set(each.sections) or reach.wards & set(each.wards)
    }
    found = uow.s.execute(select(Workstation.code, Workstation.section_code, Workstation.campus))
    return frozenset(code for code, section, campus in found if (section or campus) and section not in reach.sections and campus not in own)


@dataclass(frozen=True)
class AuditFilter:
    """What the audit page searches by; empty fields do not restrict."""

    entity: str = ""
    entity_id: str = ""
    actor: str = ""
    since: datetime | None = None
    before_seq: int | None = None


def audit_page(uow: UnitOfWork, f: AuditFilter) -> Sequence[AuditLog]:
    """Newest entries first, by keyset."""
    query = select(AuditLog)
    if f.entity:
        query = query.where(AuditLog.entity == f.entity)
    if f.entity_id:
        query = query.where(AuditLog.entity_id == f.entity_id)
    if f.actor:
        query = query.where(AuditLog.actor == f.actor)
    if f.since is not None:
        query = query.where(AuditLog.at >= f.since)
    if f.before_seq is not None:
        query = query.where(AuditLog.seq < f.before_seq)
    return uow.s.execute(query.order_by(AuditLog.seq.desc()).limit(PAGE)).scalars().all()


def audit_verify(uow: UnitOfWork) -> tuple[int, chain.Broken | None]:
    """Walk the chain: entries read and the first broken one."""
    return chain.verify(uow.s)


def open_tenants(db: Database) -> list[int]:
    """Ids of the hospitals that are not closed."""
    with db.registry() as s:
        return list(s.scalars(select(Tenant.id).where(Tenant.status != "closed").order_by(Tenant.id)))


def campus_of(uow: UnitOfWork) -> dict[str, int]:
    """Code of a section → the campus it works at; those that are at none are not in it."""
    return {code: campus for campus, codes in uow.s.execute(select(Campus.id, Campus.sections).where(Campus.active)) for code in codes}


def effective(uow: UnitOfWork, user_id: int) -> list[tuple[str, list[str]]]:
    """What a person may really do, and by which of the roles: (permission, role names)."""
    at = case((Campus.id.is_not(None), func.concat("（", Campus.name, "）")), else_=_SCOPED)
    query = (
        select(RolePermission.permission, func.array_agg(Role.name + at))
        .join(Role, (Role.tenant_id == RolePermission.tenant_id) & (Role.id == RolePermission.role_id))
        .join(UserRole, (UserRole.tenant_id == Role.tenant_id) & (UserRole.role_id == Role.id))
        .outerjoin(Campus, (Campus.tenant_id == UserRole.tenant_id) & (Campus.id == UserRole.campus_id))
        .where(UserRole.user_id == user_id)
        .group_by(RolePermission.permission)
        .order_by(RolePermission.permission)
    )
    return [(p, list(names)) for p, names in uow.s.execute(query)]


def sources(uow: UnitOfWork) -> Sequence[SsoSource]:
    """Systems whose tickets are taken."""
    return uow.s.execute(select(SsoSource).order_by(SsoSource.code).limit(PAGE)).scalars().all()


def dormant(uow: UnitOfWork) -> Sequence[Any]:
    """Active accounts without any successful login for 90 days, longest first."""
    seen = select(func.max(UserSession.created_at)).where(UserSession.user_id == User.id).correlate(User).scalar_subquery()
    last = func.coalesce(seen, User.password_set_at).label("last")
    query = select(User.id, User.employee_no, User.name, User.dept, last).where(User.status == "active", last < uow.now - DORMANT)
    return uow.s.execute(query.order_by("last").limit(PAGE)).all()


def failed_logins(uow: UnitOfWork, days: int = 30) -> Sequence[Any]:
    """Refused attempts by person, outcome and address within the last days, most first."""
    e = LoginEvent
    query = select(e.employee_no, e.outcome, e.ip, func.count().label("n"), func.max(e.at).label("last"))
    query = query.where(e.at >= uow.now - timedelta(days=days), e.outcome.not_in(("ok", "sso")))
    return uow.s.execute(query.group_by(e.employee_no, e.outcome, e.ip).order_by(func.count().desc()).limit(PAGE)).all()


PRIVILEGED = (
    "user", "role", "access_grant", "delegation", "sso_source", "wework_app", "near_network", "workstation", "campus", "tenant", "mlps",
    "audit",
)  # fmt: skip
"""Objects that administrators and who gives rights deal with."""
PRIVILEGED_STEPS = ("kick", "gone_outside")
"""What happens to a session by somebody else's hand; coming and going is no privileged action."""


def privileged(uow: UnitOfWork, before_seq: int | None = None, limit: int = PAGE) -> Sequence[AuditLog]:
    """What administrators did, newest first."""
    ended = (AuditLog.entity == "session") & AuditLog.action.in_(PRIVILEGED_STEPS)
    query = select(AuditLog).where(AuditLog.entity.in_(PRIVILEGED) | ended)
    query = query.where(AuditLog.seq < before_seq) if before_seq else query
    return uow.s.execute(query.order_by(AuditLog.seq.desc()).limit(limit)).scalars().all()


_READERS = text("""
SELECT r.user_id, u.employee_no, u.name, r.n FROM (
  SELECT user_id, sum(n)::int AS n FROM (
    SELECT user_id, count(DISTINCT patient_id) AS n FROM access_log
    WHERE tenant_id = :t AND at >= :since AND at < :until AND user_id IS NOT NULL AND patient_id IS NOT NULL GROUP BY user_id
    UNION ALL
    SELECT by_id, sum(rows) FROM list_job WHERE tenant_id = :t AND at >= :since AND at < :until AND rows > 0
      AND approval NOT IN ('asked', 'refused') GROUP BY by_id
  ) x GROUP BY user_id
) r JOIN app_user u ON u.tenant_id = :t AND u.id = r.user_id ORDER BY r.n DESC, r.user_id LIMIT :n
""")


def readers(uow: UnitOfWork, since: datetime, until: datetime) -> list[tuple[int, str, str, int]]:
    """(user id, number, name, different patients read and rows naming patients exported) between two moments, most first."""
    found = uow.s.execute(_READERS, {"t": uow.tenant_id, "since": since, "until": until, "n": PAGE})
    return [(row.user_id, row.employee_no, row.name, row.n) for row in found]
