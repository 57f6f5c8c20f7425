"""The demo's outside engineers get an access of 8 hours at every start, so that a visitor can be one; a real hospital approves each."""

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.platform import grants
from cloud.modules.platform.models import AccessGrant, Role, User, UserRole
from cloud.modules.platform.rules import GRANT_HOURS, JUST_IN_TIME, GrantState
from cloud.modules.servicedesk import queries as desk
from cloud.modules.servicedesk.rules import Category, Severity, State
from cloud.modules.servicedesk.service import New, Step, move, open_ticket

PURPOSE = "演示：启动时自动批准（虚构），真实医院须由信息管理组逐次批准"
TITLE = "新项目上机前调整通道对照（演示，虚构）"


def seed(uow: UnitOfWork) -> None:
    """Whoever is from outside and has no access of today's start yet."""
    query = select(User).join(UserRole, (UserRole.tenant_id == User.tenant_id) & (UserRole.user_id == User.id))
    query = query.join(Role, (Role.tenant_id == UserRole.tenant_id) & (Role.id == UserRole.role_id)).where(Role.code.in_(JUST_IN_TIME))
    for user in uow.s.scalars(query).all():
        waiting = select(AccessGrant.id).where(AccessGrant.user_id == user.id, AccessGrant.state == GrantState.ASKED)
        if uow.s.execute(waiting).first() is not None:
            continue  # a visitor asked as this engineer: the information group decides
        grant = grants.ask(uow, desk.open_title, user, GRANT_HOURS, PURPOSE, str(_ticket(uow)))
        grants.decide(uow, desk.open_title, grant.id, GrantState.APPROVED)


def _ticket(uow: UnitOfWork) -> int:
    """The ticket they work on: the one of an earlier start while it is open, else a new one whose solution is given."""
    found = next((t.id for t in desk.listed(uow) if t.title == TITLE), None)
    if found is not None:
        return found
    number = open_ticket(uow, New("信息管理组", TITLE, Severity.P2, Category.CHANGE))
    steps = (
        Step(State.ACCEPTED.value, "已收到，今天处理", owner="公司工程师甲", backup="公司工程师乙"),
        Step(State.DIAGNOSING.value, "新项目的通道代码还没有对照"),
        Step(State.SOLUTION.value, "补上对照，双人批准后启用"),
    )
    for step in steps:
        row, _ = desk.one(uow, number) or (None, ())
        assert row is not None, "opened just now"
        move(uow, number, row.version, step)
        uow.s.flush()
    return number
