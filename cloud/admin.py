"""Operator's verbs of the command line: hospitals, first accounts, the audit chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import create_engine, select, text

from cloud.config import Settings
from cloud.db import audit
from cloud.db.session import Actor, Database, UnitOfWork
from cloud.modules.platform import service, standard
from cloud.modules.platform.models import Tenant
from cloud.modules.platform.rules import EDITIONS, TENANT_MOVES, TenantState
from cloud.modules.platform.secrets import new_seed
from cloud.modules.registry import MODULES
from common.errors import UserError
from common.say import say

OPERATOR = Actor("operator")


def all_permissions() -> dict[str, tuple[str, ...]]:
    """Every module's permissions with the standard roles that hold them in a new hospital."""
    return {str(p): tuple(roles) for m in MODULES for p, roles in m.permissions.items()}


def add_tenant(settings: Settings, code: str, name: str, host: str | None, site: int) -> int:
    """Register a hospital (owner role: the app cannot) and give it the standard roles; repeating it is harmless."""
    engine = create_engine(settings.owner_url)
    with engine.begin() as conn:
        conn.execute(text("LOCK TABLE tenant IN SHARE ROW EXCLUSIVE MODE"))  # two at once would both find the same next number
        conn.execute(
            text(
                "INSERT INTO tenant (id, code, name, host, site) SELECT coalesce(max(id), 0) + 1, :c, :n, :h, :s FROM tenant "
                "ON CONFLICT (code) DO NOTHING"
            ),
            {"c": code.lower(), "n": name, "h": host, "s": site},
        )
        tenant_id = int(conn.execute(text("SELECT id FROM tenant WHERE code = :c"), {"c": code.lower()}).scalar_one())
    engine.dispose()
    db = Database(settings.database_url, secret=settings.secret)
    with db.tenant(tenant_id, OPERATOR) as uow:
        standard.bring_up(uow, all_permissions())
    db.dispose()
    return tenant_id


def bring_up_roles(settings: Settings) -> list[tuple[str, standard.Brought]]:
    """After a migration: the new standard permissions in every hospital that is not closed; (hospital code, what changed)."""
    engine = create_engine(settings.owner_url)
    with engine.connect() as conn:
        found = conn.execute(text("SELECT id, code FROM tenant WHERE status <> 'closed' ORDER BY id")).all()
    engine.dispose()
    if not found:
        return []
    db, out = Database(settings.database_url, secret=settings.secret), []
    for row in found:
        with db.tenant(row.id, Actor("migrate")) as uow:
            out.append((str(row.code), standard.bring_up(uow, all_permissions())))
    db.dispose()
    return out


def tenants(settings: Settings) -> Sequence[Tenant]:
    """All hospitals."""
    db = Database(settings.database_url, secret=settings.secret)
    with db.registry() as s:
        rows = s.execute(select(Tenant).order_by(Tenant.id)).scalars().all()
    db.dispose()
    return rows


def set_tenant_state(settings: Settings, code: str, to: TenantState) -> None:
    """Move a hospital on (owner role: the app cannot). UserError for a move that is not in the table."""
    now = next((row for row in tenants(settings) if row.code == code.lower()), None)
    if now is None:
        raise UserError("invalid", say("没有代码为 {code} 的医院。", code=code))
    if to not in TENANT_MOVES[TenantState(now.status)]:
        raise UserError("conflict", say("医院 {code} 现为 {status}，不能改为 {to}。", code=now.code, status=now.status, to=to.value))
    engine = create_engine(settings.owner_url)
    with engine.begin() as conn:
        conn.execute(text("UPDATE tenant SET status = :s WHERE id = :i"), {"s": to.value, "i": now.id})
    engine.dispose()
    with hospital(settings, code) as uow:
        uow.audit("tenant", now.id, "state", before={"status": now.status}, after={"status": to.value})


def set_edition(settings: Settings, code: str, to: str) -> None:
    """Which modules a hospital has (owner role: the app cannot). Nothing is deleted: another edition shows it again."""
    now = next((row for row in tenants(settings) if row.code == code.lower()), None)
    if now is None:
        raise UserError("invalid", say("没有代码为 {code} 的医院。", code=code))
    if to not in EDITIONS:
        raise UserError("invalid", say("没有版本 {to}，请从 {known} 中选择。", to=to, known=tuple(EDITIONS)))
    engine = create_engine(settings.owner_url)
    with engine.begin() as conn:
        conn.execute(text("UPDATE tenant SET edition = :e WHERE id = :i"), {"e": to, "i": now.id})
    engine.dispose()
    with hospital(settings, code) as uow:
        uow.audit("tenant", now.id, "edition", before={"edition": now.edition}, after={"edition": to})


@contextmanager
def hospital(settings: Settings, tenant: str) -> Iterator[UnitOfWork]:
    """A unit of work in the hospital of this code, for the operator."""
    db = Database(settings.database_url, secret=settings.secret)
    try:
        with db.registry() as s:
            found = s.execute(select(Tenant).where(Tenant.code == tenant.lower())).scalar_one_or_none()
        if found is None:
            raise UserError("invalid", say("没有代码为 {tenant} 的医院，请先 jianlian tenant add。", tenant=tenant))
        with db.tenant(found.id, OPERATOR) as uow:
            yield uow
    finally:
        db.dispose()


def add_user(settings: Settings, tenant: str, employee_no: str, name: str, password: str, roles: tuple[str, ...], totp: bool) -> str | None:
    """Open an account; returns the TOTP seed when one was made."""
    db = Database(settings.database_url, secret=settings.secret)
    with db.registry() as s:
        found = s.execute(select(Tenant).where(Tenant.code == tenant.lower())).scalar_one_or_none()
    if found is None:
        raise UserError("invalid", say("没有代码为 {tenant} 的医院，请先 jianlian tenant add。", tenant=tenant))
    seed = new_seed() if totp else None
    with db.tenant(found.id, OPERATOR) as uow:
        service.create_user(uow, service.NewUser(employee_no, name, password, roles, totp_seed=seed), settings.secret)
    db.dispose()
    return seed


def verify_audit(settings: Settings, tenant: str | None) -> Iterator[tuple[str, int, audit.Broken | None]]:
    """Walk the chains: (hospital code, entries whole, first broken)."""
    db = Database(settings.database_url, secret=settings.secret)
    for row in tenants(settings):
        if tenant in (None, row.code):
            with db.tenant(row.id, OPERATOR) as uow:
                yield row.code, *audit.verify(uow.s)
    db.dispose()
