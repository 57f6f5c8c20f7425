"""The demo's outside engineers get an access of 8 hours at every start, so that a visitor can be one; a real hospital approves each."""

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.platform import grants
from cloud.modules.platform.models import AccessGrant, Role, User, UserRole
from cloud.modules.platform.rules import GRANT_HOURS, JUST_IN_TIME, GrantState

PURPOSE = "演示：启动时自动批准（虚构），真实医院须由信息管理组逐次批准"


def seed(uow: UnitOfWork) -> None:
    """Whoever is from outside and has no access of today's start yet."""
    query = select(User).join(UserRole, (UserRole.tenant_id == User.tenant_id) & (UserRole.user_id == User.id))
    query = query.join(Role, (Role.tenant_id == UserRole.tenant_id) & (Role.id == UserRole.role_id)).where(Role.code.in_(JUST_IN_TIME))
    for user in uow.s.scalars(query).all():
        waiting = select(AccessGrant.id).where(AccessGrant.user_id == user.id, AccessGrant.state == GrantState.ASKED)
        if uow.s.execute(waiting).first() is not None:
            continue  # a visitor asked as this engineer: the information group decides
        grant = grants.ask(uow, user, GRANT_HOURS, PURPOSE, "DEMO")
        grants.decide(uow, grant.id, GrantState.APPROVED)
