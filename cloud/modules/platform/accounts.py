"""The life of an account: changed, suspended, taken up again, left with what was open handed over; its secrets renewed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, select, update

from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts, campuses, rules, secrets, service
from cloud.modules.platform.models import Campus, Role, RolePermission, User, UserRole, UserSession
from cloud.web.faults import Conflict, Invalid, NotFound, Stale
from cloud.web.module import Colleague, Leaving, OpenTask
from cloud.web.principal import Principal
from common.say import say


@dataclass(frozen=True)
class Changes:
    """What the account page saves; ``version`` is what it was opened at."""

    version: int
    name: str
    dept: str
    title: str
    badge: str
    sections: tuple[str, ...]
    wards: tuple[str, ...]
    roles: tuple[str, ...]
    phone: str = ""
    scopes: Mapping[str, str] = field(default_factory=dict)
    """Role → where it counts: a scope, or ``campus:`` and its code; a role that is not named keeps what it has, a new one gets all."""


def open_account(uow: UnitOfWork, new: service.NewUser, secret: str) -> User:
    """A new account by the page of accounts; its first roles are a change of rights like any later one."""
    if not new.employee_no or not new.name:
        raise Invalid(say("请填写工号和姓名。"), "name" if new.employee_no else "employee_no")
    user = service.create_user(uow, new, secret)
    if new.roles:
        tell_privilege(uow, f"user:{user.id}", user.name, sorted(new.roles), ())
    return user


def load(uow: UnitOfWork, user_id: int) -> User:
    """The account, locked for a change; NotFound when it is none of this hospital."""
    user = uow.s.execute(select(User).where(User.id == user_id).with_for_update()).scalar_one_or_none()
    if user is None:
        raise NotFound("这个账号")
    return user


def change(uow: UnitOfWork, user_id: int, new: Changes) -> User:
    """Save the account page. Nobody changes the own roles; two of the three admin roles never meet (R10)."""
    user = load(uow, user_id)
    if user.version != new.version:
        raise Stale(f"{user.name} · {user.dept}")
    if not new.name.strip():
        raise Invalid("请填写姓名。", "name")
    taken = select(User.id).where(User.badge == new.badge.strip(), User.id != user_id)
    if new.badge.strip() and uow.s.execute(taken).first():
        raise Invalid(say("工牌 {badge} 已属于另一个人。", badge=new.badge.strip()), "badge")
    problem = rules.telephone_problem(new.phone.strip())
    if problem:
        raise Invalid(problem, "phone")
    before = _facts(user)
    if new.phone.strip() != phone(uow, user):
        user.phone_sealed = uow.vault.seal(new.phone.strip()) if new.phone.strip() else None
        # The number itself is nobody's to read in the audit.
        uow.audit("user", user.id, "change", before={"phone": bool(before["phone"])}, after={"phone": user.phone_sealed is not None})
    user.name, user.dept, user.title = new.name.strip(), new.dept.strip(), new.title.strip()
    user.badge, user.sections, user.wards = new.badge.strip() or None, list(new.sections), list(new.wards)
    after = _facts(user)
    before.pop("phone"), after.pop("phone")
    if after != before:
        uow.audit("user", user.id, "change", before=before, after=after)
    _set_roles(uow, user, set(new.roles), new.scopes)
    return user


def _facts(user: User) -> dict[str, object]:
    facts: dict[str, object] = {k: getattr(user, k) for k in ("name", "dept", "title", "badge", "sections", "wards")}
    return facts | {"phone": user.phone_sealed is not None}


def phone(uow: UnitOfWork, user: User) -> str:
    """A person's telephone; sealed in the table."""
    return "" if user.phone_sealed is None else uow.vault.unseal(user.phone_sealed)


def roles_of(uow: UnitOfWork, user_id: int) -> set[str]:
    """Codes of a person's roles."""
    query = select(Role.code).join(UserRole, (UserRole.tenant_id == Role.tenant_id) & (UserRole.role_id == Role.id))
    return set(uow.s.scalars(query.where(UserRole.user_id == user_id)))


def scopes_of(uow: UnitOfWork, user_id: int) -> dict[str, str]:
    """Role → where it counts for this person."""
    query = (
        select(Role.code, UserRole.scope, Campus.code)
        .join(Role, (Role.tenant_id == UserRole.tenant_id) & (Role.id == UserRole.role_id))
        .outerjoin(Campus, (Campus.tenant_id == UserRole.tenant_id) & (Campus.id == UserRole.campus_id))
        .where(UserRole.user_id == user_id)
    )
    return {role: f"{scope}:{campus}" if campus else scope for role, scope, campus in uow.s.execute(query)}


def _set_roles(uow: UnitOfWork, user: User, roles: set[str], scopes: Mapping[str, str]) -> None:
    held = scopes_of(uow, user.id)
    wanted = {code: scopes.get(code) or held.get(code, rules.Scope.TENANT.value) for code in roles}
    if wanted == held:
        return
    if user.id == uow.actor.user_id:
        raise Conflict("不能更改自己的角色，请由另一位安全管理员操作。")
    if rules.admin_conflict(wanted):
        raise Invalid("系统、安全、审计三个管理员角色不能由同一人兼任。", "role")
    ids = {r.code: r.id for r in uow.s.scalars(select(Role))}
    unknown = wanted.keys() - ids.keys()
    if unknown:
        raise Invalid(say("没有角色 {unknown}。", unknown=tuple(sorted(unknown))), "role")
    places = {c.code: c.id for c in campuses.at_work(uow)}
    fresh = {code: _grant(user, scope, places) for code, scope in wanted.items() if held.get(code) != scope}
    for code in held.keys() - wanted.keys() | (held.keys() & fresh.keys()):
        uow.s.execute(delete(UserRole).where(UserRole.user_id == user.id, UserRole.role_id == ids[code]))
    for code, (scope, campus_id) in sorted(fresh.items()):
        uow.s.add(UserRole(user_id=user.id, role_id=ids[code], scope=scope, campus_id=campus_id))
    uow.s.flush()
    uow.audit("user", user.id, "roles", before={"roles": _written(held)}, after={"roles": _written(wanted)})
    more, less = ({*_written(a)} - {*_written(b)} for a, b in ((wanted, held), (held, wanted)))
    tell_privilege(uow, f"user:{user.id}", user.name, sorted(more), sorted(less))


def _grant(user: User, wanted: str, places: Mapping[str, int]) -> tuple[str, int | None]:
    """What a role's row says. Invalid in words for a campus that is not there, or places the person does not have."""
    scope, _, campus = wanted.partition(":")
    if scope not in tuple(rules.Scope) or (scope == rules.Scope.CAMPUS) != bool(campus) or (campus and campus not in places):
        raise Invalid(say("请选择角色在哪里有效：全院、某个院区、本人专业组或本人病区。"), "role")
    if scope == rules.Scope.SECTION and not user.sections:
        raise Invalid(say("角色只在本人专业组有效时，请先填写专业组代码。"), "sections")
    if scope == rules.Scope.OWN and not user.wards:
        raise Invalid(say("角色只在本人病区有效时，请先填写病区或科室范围。"), "wards")
    return scope, places.get(campus)


def _written(scopes: Mapping[str, str]) -> list[str]:
    return sorted(code if scope == rules.Scope.TENANT else f"{code}@{scope}" for code, scope in scopes.items())


def tell_privilege(uow: UnitOfWork, subject: str, who: str, more: Sequence[str], less: Sequence[str]) -> None:
    """Every change of rights is an alert for the audit administrator (M01 alerts)."""
    words = "%(by)s 更改了 %(who)s 的权限：增加 %(more)s；减少 %(less)s"
    fields = {"by": uow.actor.name, "who": who, "more": "、".join(more) or "—", "less": "、".join(less) or "—"}
    at = uow.now.strftime("%Y%m%d%H%M%S%f")
    told = alerts.Alert("platform.privilege", f"{subject}@{at}", rules.Level.NOTICE, words, "/audit", rules.Perm.AUDIT, fields, once=True)
    alerts.raise_alert(uow, told)


def tell_held_back(uow: UnitOfWork, role: Role, more: Sequence[str]) -> None:
    """A release has new permissions for a standard role that the hospital changed: somebody decides whether to give them."""
    words = "标准角色 %(role)s 已被医院更改，新版本的权限没有授予：%(more)s"
    told = alerts.Alert(
        "platform.held_back",
        f"role:{role.id}@{uow.now:%Y%m%d%H%M%S%f}",
        rules.Level.WARNING,
        words,
        "/admin/roles",
        rules.Perm.ROLES,
        {"role": role.name, "more": "、".join(more)},
        once=True,
    )
    alerts.raise_alert(uow, told)


def move(uow: UnitOfWork, user_id: int, to: rules.UserState, successor: str = "", modules: Sequence[Leaving] = ()) -> User:
    """Suspend, take up again or let leave. A leaver's open matters must go to somebody first (bad input of M01): alerts taken on, and
    what each module says. UserErrors of a module where the successor cannot take something."""
    user = load(uow, user_id)
    if user.id == uow.actor.user_id:
        raise Conflict("不能停用自己的账号。")
    if not rules.may_move(rules.UserState(user.status), to):
        raise Conflict("这个账号现在的状态不允许这样做，请刷新页面。", state=user.status)
    if to is rules.UserState.LEFT:
        _hand_over(uow, user, successor, modules)
    before, user.status = user.status, to
    if to is not rules.UserState.ACTIVE:
        living = UserSession.user_id == user.id, UserSession.revoked_at.is_(None)
        uow.s.execute(update(UserSession).where(*living).values(revoked_at=uow.now, signing_until=None))
    else:
        user.failures, user.locked_until = 0, None
    uow.audit("user", user.id, to.value, before={"status": before}, after={"status": to})
    return user


def tasks_of(uow: UnitOfWork, user: User, modules: Sequence[Leaving]) -> list[OpenTask]:
    """What is still a person's own to finish."""
    mine = [OpenTask(row.message, row.url, row.fields) for row in alerts.held_by(uow, user.id)]
    return mine + [task for each in modules for task in each.open_of(uow, _colleague(user))]


def _colleague(user: User) -> Colleague:
    return Colleague(user.id, user.employee_no, user.name)


def _hand_over(uow: UnitOfWork, user: User, successor: str, modules: Sequence[Leaving]) -> None:
    tasks = tasks_of(uow, user, modules)
    if not tasks:
        return
    query = select(User).where(User.employee_no == successor.strip(), User.status == "active", User.id != user.id)
    to = uow.s.execute(query).scalar_one_or_none()
    if to is None:
        raise Invalid(say("{name} 还有未了的事项，离职前须交接：请填写接手人的工号。", name=user.name), "successor")
    alerts.hand_over(uow, user.id, to.id, to.name)
    for each in modules:
        each.hand_over(uow, _colleague(user), _colleague(to))
    uow.audit("user", user.id, "hand_over", after={"to": to.employee_no, "tasks": len(tasks)})


def unlock(uow: UnitOfWork, user_id: int) -> User:
    """Open an account that wrong passwords shut, before its 30 minutes are over."""
    user = load(uow, user_id)
    if user.locked_until is None:
        raise Conflict("这个账号没有被锁定。")
    user.failures, user.pin_failures, user.locked_until = 0, 0, None
    uow.audit("user", user.id, "unlock")
    return user


def reset_password(uow: UnitOfWork, user_id: int, password: str) -> User:
    """Give a first password again; the person must change it at the next login."""
    user = load(uow, user_id)
    problem = rules.password_problem(password, user.employee_no)
    if problem:
        raise Invalid(problem, "password")
    _remember(user)
    user.password_hash, user.password_set_at = secrets.hash_secret(password), uow.now - rules.PASSWORD_LIFE
    user.failures, user.locked_until = 0, None
    living = UserSession.user_id == user.id, UserSession.revoked_at.is_(None)
    uow.s.execute(update(UserSession).where(*living).values(revoked_at=uow.now))
    uow.audit("user", user.id, "reset_password")
    return user


def reset_second_factor(uow: UnitOfWork, user_id: int, secret: str) -> tuple[User, str]:
    """A new TOTP seed, shown once."""
    user, seed = load(uow, user_id), secrets.new_seed()
    user.totp_sealed, user.totp_last_step = secrets.seal_totp(seed, secret), None
    uow.audit("user", user.id, "reset_second_factor")
    return user, seed


def _remember(user: User) -> None:
    user.password_history = [user.password_hash, *user.password_history][: rules.REMEMBERED]


def change_own_password(uow: UnitOfWork, who: Principal, old: str, new: str, again: str) -> str | None:
    """Change the own password; None, or what is wrong (returned, so that a failed attempt's counter commits)."""
    user = load(uow, who.user_id)
    if rules.is_locked(rules.Lockout(user.failures, user.locked_until), uow.now) or not secrets.check_secret(user.password_hash, old):
        after = rules.after_failure(rules.Lockout(user.failures, user.locked_until), uow.now)
        user.failures, user.locked_until = after.failures, after.locked_until
        service.login_event(uow, user.employee_no, "password_change")
        return "原密码不正确。连续 5 次错误将锁定账号 30 分钟。"
    if new != again:
        return "两次输入的新密码不一致。"
    problem = rules.password_problem(new, user.employee_no)
    if problem:
        return problem
    if any(secrets.check_secret(each, new) for each in [user.password_hash, *user.password_history][: rules.REMEMBERED]):
        return "新密码不能与最近 5 次用过的相同。"
    _remember(user)
    user.password_hash, user.password_set_at, user.failures = secrets.hash_secret(new), uow.now, 0
    others = UserSession.user_id == user.id, UserSession.id != who.session_id, UserSession.revoked_at.is_(None)
    uow.s.execute(update(UserSession).where(*others).values(revoked_at=uow.now))
    uow.s.execute(update(UserSession).where(UserSession.id == who.session_id).values(must_change=False))
    uow.audit("user", user.id, "change_password")
    if user.status == rules.UserState.PENDING:
        user.status = rules.UserState.ACTIVE.value
        uow.audit("user", user.id, "active", before={"status": rules.UserState.PENDING.value}, after={"status": user.status})
    return None


def set_own_pin(uow: UnitOfWork, who: Principal, password: str, pin: str) -> str | None:
    """A signing PIN of 6 digits that is neither a row nor all alike; None, or what is wrong."""
    user = load(uow, who.user_id)
    if rules.is_locked(rules.Lockout(user.failures, user.locked_until), uow.now) or not secrets.check_secret(user.password_hash, password):
        after = rules.after_failure(rules.Lockout(user.failures, user.locked_until), uow.now)
        user.failures, user.locked_until = after.failures, after.locked_until
        return "密码不正确。连续 5 次错误将锁定账号 30 分钟。"
    problem = rules.pin_problem(pin)
    if problem:
        return problem
    user.pin_hash, user.pin_failures, user.failures = secrets.hash_secret(pin), 0, 0
    uow.audit("user", user.id, "set_pin")
    return None


def compose_role(uow: UnitOfWork, code: str, name: str, permissions: Sequence[str], known: frozenset[str], changing: str = "") -> Role:
    """Make a role of the hospital's own, or change the one named by ``changing``; the standard ones stay as they are."""
    code, name = code.strip().lower(), name.strip()
    if not code.isascii() or not code.isalnum() or not name:
        raise Invalid("请填写角色代码（字母和数字）和名称。", "code")
    if code in {c for c, _, _ in rules.STANDARD_ROLES}:
        raise Conflict("标准角色不能更改；请另建一个角色。")
    strange = set(permissions) - known
    if strange:
        raise Invalid(say("没有权限 {strange}。", strange=tuple(sorted(strange))), "permission")
    if rules.ADMINISTRATION & set(permissions):
        raise Invalid("系统、安全、审计管理员的权限不能放进其他角色。", "permission")
    role = uow.s.execute(select(Role).where(Role.code == code).with_for_update()).scalar_one_or_none()
    if role is not None and changing != code:
        raise Invalid(say("角色代码 {code} 已存在（{name}）。要修改它，请先取用该角色。", code=code, name=role.name), "code")
    if uow.s.execute(select(Role.id).where(Role.name == name, Role.code != code)).first() is not None:
        raise Invalid(say("已有名为“{name}”的角色，请换一个名称。", name=name), "name")
    if role is None:
        role = Role(code=code, name=name, second_factor=True)
        uow.s.add(role)
        uow.s.flush()
    role.name = name
    before = set(uow.s.scalars(select(RolePermission.permission).where(RolePermission.role_id == role.id)))
    for gone in before - set(permissions):
        uow.s.execute(delete(RolePermission).where(RolePermission.role_id == role.id, RolePermission.permission == gone))
    uow.s.add_all(RolePermission(role_id=role.id, permission=p) for p in sorted(set(permissions) - before))
    uow.audit("role", role.id, "compose", before={"permissions": sorted(before)}, after={"name": name, "permissions": sorted(permissions)})
    tell_privilege(uow, f"role:{role.id}", name, sorted(set(permissions) - before), sorted(before - set(permissions)))
    return role
