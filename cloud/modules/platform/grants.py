"""Access just in time for people from outside (M01 R7): asked for, approved by the information group, at most 8 hours, recorded.

Without a ticket of the service desk that is being worked on it only reads. What was done in these hours
stands on the access's own page (``looks.visit``). Whoever holds a role of ``rules.JUST_IN_TIME`` cannot log in without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts
from cloud.modules.platform.models import AccessGrant, Role, User, UserRole, UserSession
from cloud.modules.platform.rules import GRANT_MOVES, JUST_IN_TIME, GrantState, Level, Perm, grant_problem, ticket_number
from cloud.web.faults import Conflict, Invalid, NotFound
from cloud.web.module import FindTicket
from common.say import Said, say

PAGE = 100
ALERT = "platform.grant"


def needed(uow: UnitOfWork, user_id: int) -> bool:
    """True for somebody from outside."""
    query = select(Role.id).join(UserRole, (UserRole.tenant_id == Role.tenant_id) & (UserRole.role_id == Role.id))
    return uow.s.execute(query.where(UserRole.user_id == user_id, Role.code.in_(JUST_IN_TIME)).limit(1)).first() is not None


def ask(uow: UnitOfWork, find: FindTicket, user: User, hours: int, purpose: str, ticket: str = "") -> AccessGrant:
    """Ask for access; one open request a person. ``ticket``: the number as it was typed."""
    problem = grant_problem(hours, purpose)
    if problem:
        raise Invalid(problem, "purpose")
    number = ticket_number(ticket)
    if ticket.strip() and (number is None or find(uow, number) is None):
        raise Invalid(no_ticket(ticket.strip()[:64]), "change_ticket")
    waiting = select(AccessGrant.id).where(AccessGrant.user_id == user.id, AccessGrant.state == GrantState.ASKED)
    if uow.s.execute(waiting).first():
        raise Conflict("您已有一份申请在等待批准。")
    row = AccessGrant(
        user_id=user.id,
        purpose=purpose.strip()[:500],
        change_ticket="" if number is None else str(number),
        hours=hours,
        state=GrantState.ASKED,
        asked_at=uow.now,
    )
    uow.s.add(row)
    uow.s.flush()
    told = {"hours": hours, "purpose": row.purpose, "change_ticket": row.change_ticket}
    uow.audit("access_grant", row.id, "ask", after={"user": user.employee_no, **told})
    words = "%(who)s 申请临时访问 %(hours)s 小时：%(purpose)s"
    fields = {"who": user.name, "hours": hours, "purpose": row.purpose}
    uow_alert = alerts.Alert(ALERT, f"grant:{row.id}", Level.WARNING, words, "/admin/grants", Perm.GRANTS, fields)
    alerts.raise_alert(uow, uow_alert)
    return row


def no_ticket(given: str) -> Said:
    """What is said of a number no open ticket has."""
    return say("没有编号为“{given}”的未关闭工单。请核对服务台的工单编号；不填则只能查看。", given=given)


def decide(uow: UnitOfWork, find: FindTicket, grant_id: int, to: GrantState) -> AccessGrant:
    """Approve, refuse or end; nobody approves the own request (C12), nor changes for a ticket that was closed meanwhile."""
    row = uow.s.execute(select(AccessGrant).where(AccessGrant.id == grant_id).with_for_update()).scalar_one_or_none()
    if row is None:
        raise NotFound("这份申请")
    if to not in GRANT_MOVES[GrantState(row.state)]:
        raise Conflict("这份申请已经处理过了，请刷新页面。", state=row.state)
    if row.user_id == uow.actor.user_id:
        raise Conflict("不能批准自己的申请。")
    number = ticket_number(row.change_ticket)
    if to is GrantState.APPROVED and row.change_ticket and (number is None or find(uow, number) is None):
        raise Conflict(say("所写的工单“{ticket}”已关闭或不存在，请拒绝后让工程师重新申请。", ticket=row.change_ticket))
    user = uow.s.execute(select(User).where(User.id == row.user_id).with_for_update()).scalar_one()
    before, row.state = row.state, to
    if to is GrantState.ENDED:
        row.until = user.valid_until = uow.now
        living = UserSession.user_id == user.id, UserSession.revoked_at.is_(None)
        uow.s.execute(update(UserSession).where(*living).values(revoked_at=uow.now))
    else:
        row.decided_at, row.decided_by = uow.now, uow.actor.name
    if to is GrantState.APPROVED:
        row.until = user.valid_until = uow.now + timedelta(hours=row.hours)
        user.read_only = not row.change_ticket
    uow.audit("access_grant", row.id, to.value, before={"state": before}, after={"user": user.employee_no, "until": str(row.until)})
    alerts.clear(uow, ALERT, f"grant:{row.id}")
    return row


def page(uow: UnitOfWork, before: int | None = None) -> Sequence[Any]:
    """A page of grants, newest first, with whom they are for."""
    query = select(AccessGrant, User.name, User.employee_no).join(
        User, (User.tenant_id == AccessGrant.tenant_id) & (User.id == AccessGrant.user_id)
    )
    query = query.where(AccessGrant.id < before) if before else query
    return uow.s.execute(query.order_by(AccessGrant.id.desc()).limit(PAGE)).all()
