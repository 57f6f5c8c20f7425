"""Standing in for somebody (M01 Delegation): chosen rights of one's roles, for a time, to a named person; nothing is passed on further.

What counts is asked at every request (``service._AUTH``): the rights the giver's own roles hold at that moment, while the giver's account
is active. So a delegated right cannot be delegated again, and it ends with the giver's. The authorisation of M21 stays personal.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import aliased

from cloud.db.session import UnitOfWork
from cloud.modules.platform import accounts, rules
from cloud.modules.platform.models import Delegation, RolePermission, User, UserRole
from cloud.modules.platform.service import needs_second_factor
from cloud.web.faults import Conflict, Invalid, NotFound
from cloud.web.principal import Principal
from common.say import say


def own_rights(uow: UnitOfWork, user_id: int) -> list[str]:
    """What a person's own roles hold and may be given to a stand-in: no administration, nothing that was itself delegated."""
    query = select(RolePermission.permission).join(
        UserRole, (UserRole.tenant_id == RolePermission.tenant_id) & (UserRole.role_id == RolePermission.role_id)
    )
    held = set(uow.s.scalars(query.where(UserRole.user_id == user_id)))
    return sorted(held - rules.ADMINISTRATION)


def give(
    uow: UnitOfWork, who: Principal, to: str, first: datetime, until: datetime, permissions: Collection[str], reason: str
) -> Delegation:
    """Let somebody stand in. Refused in words: for oneself, too long, without reason, beyond one's own rights or sections."""
    problem = rules.delegation_problem(first, until, uow.now)
    if problem is not None:
        raise Invalid(problem, "until")
    if not reason.strip():
        raise Invalid(say("请写明代理原因，例如：外出会议、休假。"), "reason")
    other = uow.s.execute(select(User).where(User.employee_no == to.strip(), User.status == "active")).scalar_one_or_none()
    if other is None:
        raise Invalid(say("没有工号为 {no} 的在用账号，请核对。", no=to.strip() or "（空）"), "to")
    if other.id == who.user_id:
        raise Invalid(say("不能委托给自己。"), "to")
    wanted = sorted(set(permissions))
    if not wanted or set(wanted) - set(own_rights(uow, who.user_id)):
        raise Invalid(say("请从您自己角色的权限中选择要委托的；代理来的权限不能再委托。"), "permission")
    if needs_second_factor(uow, who.user_id) and not (other.totp_sealed or other.cert_sha256 or other.wework_id):
        raise Conflict(say("{name} 没有动态口令、UKey 或企业微信，不能代理须两种鉴别的角色，请先联系安全管理员。", name=other.name))
    if who.sections and (not other.sections or set(other.sections) - who.sections):
        raise Conflict(say("{name} 的专业组范围比您的大，不能由其代理；请选择本组人员。", name=other.name))
    row = Delegation(
        from_id=who.user_id,
        to_id=other.id,
        first=first,
        until=until,
        permissions=wanted,
        reason=reason.strip()[:300],
        given_at=uow.now,
    )
    uow.s.add(row)
    uow.s.flush()
    after = {"to": other.employee_no, "first": first.isoformat(), "until": until.isoformat(), "permissions": wanted}
    uow.audit("delegation", row.id, "give", after=after, reason=row.reason)
    accounts.tell_privilege(uow, f"delegation:{row.id}", other.name, wanted, ())
    return row


def end(uow: UnitOfWork, who: Principal, delegation_id: int) -> None:
    """Either of the two ends it early."""
    row = uow.s.execute(select(Delegation).where(Delegation.id == delegation_id).with_for_update()).scalar_one_or_none()
    if row is None or who.user_id not in (row.from_id, row.to_id):
        raise NotFound("这项代理")
    if row.ended_at is not None or row.until <= uow.now:
        raise Conflict(say("这项代理已经结束。"))
    row.ended_at = uow.now
    uow.audit("delegation", row.id, "end")


def of(uow: UnitOfWork, user_id: int) -> Sequence[Any]:
    """(delegation, giver's name, stand-in's name) given or taken by a person, newest first."""
    giver, taker = aliased(User), aliased(User)
    query = (
        select(Delegation, giver.name, taker.name)
        .join(giver, (giver.tenant_id == Delegation.tenant_id) & (giver.id == Delegation.from_id))
        .join(taker, (taker.tenant_id == Delegation.tenant_id) & (taker.id == Delegation.to_id))
        .where(or_(Delegation.from_id == user_id, Delegation.to_id == user_id))
    )
    return uow.s.execute(query.order_by(Delegation.id.desc()).limit(50)).all()
