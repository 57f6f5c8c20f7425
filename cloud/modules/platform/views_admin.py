"""Pages of administration: accounts, roles and their matrix, outside engineers, sign-on sources, sessions, workstations."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from flask import Response, current_app, make_response, request

from cloud.db.session import UnitOfWork
from cloud.modules.platform import (
    accounts,
    campuses,
    certificates,
    grants,
    networks,
    queries,
    registers,
    rules,
    secrets,
    service,
    sso,
    wework,
    workstations,
)
from cloud.modules.platform.permission_words import by_area, word
from cloud.modules.platform.rules import Perm
from cloud.modules.platform.views import WORKSTATION_COOKIE
from cloud.ports import wework as ports
from cloud.web import sheet
from cloud.web.faults import Conflict, Invalid, NotFound
from cloud.web.i18n import locale
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal, web
from common.errors import PeerError

VIEWS = Views("platform_admin", __name__)
SCOPES = (rules.Scope.TENANT, rules.Scope.SECTION, rules.Scope.OWN)
"""Where a role may count besides at one campus."""


@VIEWS.get("/admin/users", Perm.USERS)
def users(uow: UnitOfWork) -> Any:
    """Accounts."""
    after, q = request.args.get("after", 0, type=int), request.args.get("q", "").strip()
    rows = queries.users(uow, after, q)
    return page("platform/users.html", "rows", users=rows, roles=queries.roles(uow), page_size=queries.PAGE, q=q)


@VIEWS.post("/admin/users", Perm.USERS)
def add_user(uow: UnitOfWork) -> Any:
    """Open an account; the second-factor seed is shown once."""
    f = request.form
    seed = secrets.new_seed() if f.get("totp") else None
    new = service.NewUser(
        f.get("employee_no", "").strip(),
        f.get("name", "").strip(),
        f.get("password", ""),
        tuple(f.getlist("role")),
        totp_seed=seed,
        temporary=True,
    )
    accounts.open_account(uow, new, web().settings.secret)
    return page("platform/users.html", users=queries.users(uow), roles=queries.roles(uow), page_size=queries.PAGE, seed=seed, made=new)


@VIEWS.get("/admin/users/<int:user_id>", Perm.USERS)
def user_page(uow: UnitOfWork, user_id: int) -> Any:
    """One account: facts, roles, what it may really do, its life."""
    return _user(uow, user_id)


def _user(uow: UnitOfWork, user_id: int, done: str = "", seed: str | None = None, wrong: str = "", **typed: str) -> Any:
    user = accounts.load(uow, user_id)
    moves = rules.USER_MOVES[rules.UserState(user.status)] - {rules.UserState.LOCKED}
    return page(
        "platform/user.html",
        status=422 if wrong else 200,
        wrong=wrong,
        **{"pem": "", "successor": ""} | typed,
        cards=bool(web().settings.client_ca),
        user=user,
        phone=accounts.phone(uow, user),
        held=accounts.scopes_of(uow, user_id),
        scopes=[*((s.value, rules.SCOPE_WORDS[s]) for s in SCOPES), *((f"campus:{c.code}", c.name) for c in campuses.at_work(uow))],
        roles=queries.roles(uow),
        effective=queries.effective(uow, user_id),
        word=partial(word, english=locale() == "en"),
        tasks=accounts.tasks_of(uow, user, current_app.extensions["leaving"]),
        moves=[each for each in rules.UserState if each in moves],
        done=done,
        seed=seed,
    )


@VIEWS.post("/admin/users/<int:user_id>", Perm.USERS)
def change_user(uow: UnitOfWork, user_id: int) -> Any:
    """Save the account page."""
    f = request.form
    words = {key: tuple(filter(None, f.get(key, "").replace("，", ",").replace("、", ",").split(","))) for key in ("sections", "wards")}
    new = accounts.Changes(
        f.get("version", 0, type=int),
        f.get("name", ""),
        f.get("dept", ""),
        f.get("title", ""),
        f.get("badge", ""),
        tuple(w.strip() for w in words["sections"]),
        tuple(w.strip() for w in words["wards"]),
        tuple(f.getlist("role")),
        f.get("phone", ""),
        {code: f.get(f"scope.{code}", "") for code in f.getlist("role")},
    )
    accounts.change(uow, user_id, new)
    uow.s.flush()
    return _user(uow, user_id, "已保存。")


@VIEWS.post("/admin/users/<int:user_id>/move", Perm.USERS)
def move_user(uow: UnitOfWork, user_id: int) -> Any:
    """Suspend, take up again, let leave."""
    to = request.form.get("to", "")
    if to not in set(rules.UserState):
        raise Invalid("请选择要改成的状态。", "to")
    successor = request.form.get("successor", "")
    try:
        accounts.move(uow, user_id, rules.UserState(to), successor, current_app.extensions["leaving"])
    except Invalid as refused:  # what is still open stands on the page, with the field for who takes it over
        return _user(uow, user_id, wrong=refused.message, successor=successor)
    uow.s.flush()
    return _user(uow, user_id, "状态已更改。")


@VIEWS.post("/admin/users/<int:user_id>/unlock", Perm.USERS)
def unlock_user(uow: UnitOfWork, user_id: int) -> Any:
    """Open an account shut by wrong passwords."""
    accounts.unlock(uow, user_id)
    uow.s.flush()
    return _user(uow, user_id, "已解锁。")


@VIEWS.post("/admin/users/<int:user_id>/password", Perm.USERS)
def reset_password(uow: UnitOfWork, user_id: int) -> Any:
    """Give a first password again."""
    accounts.reset_password(uow, user_id, request.form.get("password", ""))
    uow.s.flush()
    return _user(uow, user_id, "已设置临时密码，本人下次登录时必须更改。")


@VIEWS.post("/admin/users/<int:user_id>/totp", Perm.USERS)
def reset_totp(uow: UnitOfWork, user_id: int) -> Any:
    """A new second-factor seed, shown once."""
    _changed, seed = accounts.reset_second_factor(uow, user_id, web().settings.secret)
    uow.s.flush()
    return _user(uow, user_id, seed=seed)


@VIEWS.post("/admin/users/<int:user_id>/wework", Perm.USERS)
def bind_wework(uow: UnitOfWork, user_id: int) -> Any:
    """Whose WeChat-Work is this person's."""
    wework.bind(uow, accounts.load(uow, user_id), request.form.get("wework_id", ""))
    uow.s.flush()
    return _user(uow, user_id, "企业微信账号已更改。")


@VIEWS.post("/admin/users/<int:user_id>/certificate", Perm.USERS)
def register_certificate(uow: UnitOfWork, user_id: int) -> Any:
    """Register a person's client certificate, or take it away; what was pasted stays where it was refused."""
    pem = request.form.get("pem", "")
    try:
        certificates.register(uow, user_id, "" if request.form.get("remove") else pem.strip() or "-", web().settings)
    except (Invalid, Conflict) as refused:
        return _user(uow, user_id, wrong=refused.message, pem=pem)
    uow.s.flush()
    return _user(uow, user_id, "证书登记已更改。")


@VIEWS.get("/admin/roles", Perm.MATRIX)
def roles(uow: UnitOfWork) -> Any:
    """The permission matrix: every permission × every role."""
    return _roles(uow)


def _roles(uow: UnitOfWork, done: str = "", refused: Invalid | Conflict | None = None) -> Any:
    """``refused``: what was composed could not be kept; it stands in the form again, with why."""
    matrix, english, roles = queries.matrix(uow), locale() == "en", queries.roles(uow)
    form = request.form
    chosen = form.get("changing", "") if refused is not None else request.args.get("role", "")
    own = next((r for r in roles if r.code == chosen and chosen not in {c for c, _, _ in rules.STANDARD_ROLES}), None)
    typed = {"code": "" if own is None else own.code, "name": "" if own is None else own.name}
    ticked = {p for p, holders in matrix.items() if chosen in holders}
    if refused is not None:
        typed, ticked = {"code": form.get("code", ""), "name": form.get("name", "")}, set(form.getlist("permission"))
    shown: dict[str, Any] = {"matrix": matrix, "chosen": chosen, "own": own, "typed": typed, "ticked": ticked, "refused": refused}
    shown |= {"areas": by_area(matrix, english), "choices": by_area(matrix.keys() - rules.ADMINISTRATION, english), "done": done}
    return page("platform/matrix.html", status=422 if refused is not None else 200, roles=roles, Perm=Perm, **shown)


@VIEWS.post("/admin/roles/export", Perm.MATRIX, reads=True)
def export_rights(uow: UnitOfWork) -> Any:
    """The matrix and who holds which role, as a workbook."""
    made = registers.rights(uow, principal().tenant_name, principal().name)
    name = f"rights-{uow.now.astimezone(rules.ZONE):%Y%m%d}.xlsx"
    return Response(
        made, mimetype=sheet.TYPE, headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    )


@VIEWS.post("/admin/roles", Perm.ROLES)
def compose_role(uow: UnitOfWork) -> Any:
    """Make or change a role of the hospital's own."""
    f = request.form
    known = frozenset(queries.matrix(uow))
    try:
        accounts.compose_role(uow, f.get("code", ""), f.get("name", ""), f.getlist("permission"), known, f.get("changing", ""))
    except (Invalid, Conflict) as refused:
        return _roles(uow, refused=refused)
    uow.s.flush()
    return _roles(uow, "角色已保存。")


@VIEWS.get("/admin/grants", Perm.GRANTS)
def grant_list(uow: UnitOfWork) -> Any:
    """Accesses asked for and given."""
    return _grants(uow, request.args.get("before", None, type=int))


def _grants(uow: UnitOfWork, before: int | None = None) -> Any:
    rows, find = grants.page(uow, before), current_app.extensions["tickets"]
    # What is to be decided shows what it is for; of the others the number leads there.
    numbers = {rules.ticket_number(g.change_ticket) for g, _name, _no in rows if g.state == rules.GrantState.ASKED}
    titles = {str(number): find(uow, number) for number in numbers if number is not None}
    return page("platform/grants.html", "rows", rows=rows, titles=titles, page_size=grants.PAGE)


@VIEWS.post("/admin/grants/<int:grant_id>", Perm.GRANTS)
def decide_grant(uow: UnitOfWork, grant_id: int) -> Any:
    """Approve, refuse or end."""
    to = request.form.get("to", "")
    if to not in (rules.GrantState.APPROVED, rules.GrantState.REFUSED, rules.GrantState.ENDED):
        raise Invalid("请选择批准、拒绝或结束。", "to")
    grants.decide(uow, current_app.extensions["tickets"], grant_id, rules.GrantState(to))
    uow.s.flush()
    return _grants(uow)


@VIEWS.get("/admin/sso", Perm.SSO)
def sso_sources(uow: UnitOfWork) -> Any:
    """Systems whose tickets are taken."""
    return page("platform/sso_sources.html", rows=queries.sources(uow), key=None)


@VIEWS.post("/admin/sso", Perm.SSO)
def add_sso_source(uow: UnitOfWork) -> Any:
    """Register a system or renew its key; the key is shown once."""
    key = sso.add_source(uow, request.form.get("code", ""), request.form.get("name", ""), web().settings.secret)
    return page("platform/sso_sources.html", rows=queries.sources(uow), key=key)


@VIEWS.get("/admin/wework", Perm.SSO)
def wework_page(uow: UnitOfWork) -> Any:
    """The hospital's application in WeChat-Work, and what is missing."""
    return _wework(uow)


def _wework(uow: UnitOfWork, done: str = "", problem: str = "") -> Any:
    row = wework.kept(uow)
    shown: dict[str, Any] = {"row": row, "missing": wework.missing(row), "bound": wework.bound(uow), "host": request.host}
    bases = {"api": ports.API, "login": ports.LOGIN}
    return page("platform/wework.html", status=422 if problem else 200, done=done, problem=problem, **bases, **shown)


@VIEWS.post("/admin/wework", Perm.SSO)
def save_wework(uow: UnitOfWork) -> Any:
    """Keep the application."""
    f = request.form
    corp, agent, key, api, login = (f.get(name, "") for name in ("corp_id", "agent_id", "secret", "api_base", "login_base"))
    wework.save(uow, wework.Given(corp, agent, key, api, login, bool(f.get("active"))), web().settings.secret)
    return _wework(uow, "已保存。")


@VIEWS.post("/admin/wework/test", Perm.SSO)
def test_wework(uow: UnitOfWork) -> Any:
    """Ask WeChat-Work for a token with what is saved."""
    try:
        wework.test(uow, web().settings.secret)
    except PeerError as refused:
        return _wework(uow, problem=refused.message)
    return _wework(uow, "企业微信接受了这些资料。")


@VIEWS.get("/admin/networks", Perm.ROLES)
def network_list(uow: UnitOfWork) -> Any:
    """The hospital's own networks; who comes from elsewhere shows two factors."""
    here = request.remote_addr or ""
    return page("platform/networks.html", rows=networks.known(uow), here=here, remote=networks.remote(uow, here))


@VIEWS.post("/admin/networks", Perm.ROLES)
def add_network(uow: UnitOfWork) -> Any:
    """Put one on record."""
    networks.add(uow, request.form.get("cidr", ""), request.form.get("name", ""))
    return redirect_to("/admin/networks")


@VIEWS.post("/admin/networks/<int:network_id>/remove", Perm.ROLES)
def remove_network(uow: UnitOfWork, network_id: int) -> Any:
    """Take one off."""
    networks.remove(uow, network_id)
    return redirect_to("/admin/networks")


@VIEWS.get("/admin/campuses", Perm.WORKSTATIONS)
def campus_list(uow: UnitOfWork) -> Any:
    """The hospital's campuses, who works there, and which modules the hospital's edition has."""
    rows, names = campuses.known(uow), current_app.extensions["sections"](uow)
    placed = {code for row in rows if row.active for code in row.sections}
    without = [current_app.extensions["titles"][name] for name in sorted(principal().without)]
    shown = {
        "rows": rows,
        "sections": names,
        "people": campuses.people(uow),
        "unplaced": {c: n for c, n in names.items() if c not in placed},
    }
    return page("platform/campuses.html", edition=rules.EDITION_WORDS[queries.edition(uow)], without=without, **shown)


def _campus() -> campuses.Facts:
    form = request.form
    wards = tuple(re.split("[,，、;；]", form.get("wards", "")))
    return campuses.Facts(form.get("code", ""), form.get("name", ""), form.get("address", ""), tuple(form.getlist("section")), wards)


@VIEWS.post("/admin/campuses", Perm.WORKSTATIONS)
def add_campus(uow: UnitOfWork) -> Any:
    """Put a campus on record."""
    campuses.add(uow, _campus(), current_app.extensions["sections"](uow))
    return redirect_to("/admin/campuses")


@VIEWS.post("/admin/campuses/<int:campus_id>", Perm.WORKSTATIONS)
def change_campus(uow: UnitOfWork, campus_id: int) -> Any:
    """Its name, address, sections and wards."""
    campuses.change(uow, campus_id, request.form.get("version", 0, type=int), _campus(), current_app.extensions["sections"](uow))
    return redirect_to("/admin/campuses")


@VIEWS.post("/admin/campuses/<int:campus_id>/close", Perm.WORKSTATIONS)
def close_campus(uow: UnitOfWork, campus_id: int) -> Any:
    """Nobody works there any more."""
    campuses.close(uow, campus_id)
    return redirect_to("/admin/campuses")


@VIEWS.get("/sessions", Perm.SESSIONS)
def sessions(uow: UnitOfWork) -> Any:
    """Who is in, and from where."""
    q = request.args.get("q", "").strip()
    return page("platform/sessions.html", "rows", sessions=queries.sessions(uow, q), q=q, page_size=queries.PAGE)


@VIEWS.post("/sessions/<int:session_id>/kick", Perm.SESSIONS)
def kick(uow: UnitOfWork, session_id: int) -> Any:
    """End a session."""
    if not service.kick(uow, session_id):
        raise NotFound("这个会话")
    q = request.form.get("q", "").strip()
    return page("platform/sessions.html", "rows", sessions=queries.sessions(uow, q), q=q, page_size=queries.PAGE)


@VIEWS.get("/workstations", Perm.WORKSTATIONS)
def workstation_list(uow: UnitOfWork) -> Any:
    """Registered workstations, and which of them this browser is."""
    return _workstations(uow)


def _workstations(uow: UnitOfWork, token: str = "") -> Any:
    here = workstations.of_token(uow, token or request.cookies.get(WORKSTATION_COOKIE, ""))
    q = request.args.get("q", "").strip()
    rows = queries.workstations(uow, request.args.get("after", ""), q)
    return page("platform/workstations.html", workstations=rows, here=here, campuses=campuses.at_work(uow), q=q, page_size=queries.PAGE)


@VIEWS.post("/workstations", Perm.WORKSTATIONS)
def register_workstation(uow: UnitOfWork) -> Any:
    """Register this browser as a workstation."""
    form = request.form
    given = (form.get("code", ""), form.get("name", ""), form.get("section", "").strip() or None, form.get("location", ""))
    token = workstations.register(uow, *given, form.get("campus", ""), replace=form.get("replace") == "1")
    uow.s.flush()
    response = make_response(_workstations(uow, token))
    response.set_cookie(WORKSTATION_COOKIE, token, secure=True, httponly=True, samesite="Lax", max_age=10 * 365 * 86400)
    return response


@VIEWS.post("/workstations/<int:workstation_id>", Perm.WORKSTATIONS)
def change_workstation(uow: UnitOfWork, workstation_id: int) -> Any:
    """Name, place and section."""
    form = request.form
    given = (form.get("name", ""), form.get("location", ""), form.get("section", ""), form.get("mac", ""))
    workstations.change(uow, workstation_id, *given, re.split("[,，、;；]", form.get("printers", "")), form.get("campus", ""))
    return redirect_to("/workstations")


@VIEWS.post("/workstations/<int:workstation_id>/retire", Perm.WORKSTATIONS)
def retire_workstation(uow: UnitOfWork, workstation_id: int) -> Any:
    """Take a lost or scrapped one out."""
    workstations.retire(uow, workstation_id, request.form.get("reason", ""))
    return redirect_to("/workstations")
