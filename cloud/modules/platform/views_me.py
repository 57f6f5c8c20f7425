"""Pages of one's own account: what one may do, who stands in for whom, password and signing PIN."""

from __future__ import annotations

from datetime import date, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.platform import accounts, delegation, digest, queries
from cloud.modules.platform.permission_words import by_area, word
from cloud.modules.platform.rules import Level
from cloud.web.faults import Invalid
from cloud.web.i18n import locale
from cloud.web.page import page, redirect_to
from cloud.web.view import Access, Views, principal, web
from common.say import say

VIEWS = Views("platform_me", __name__)


@VIEWS.get("/me", Access.LOGIN)
def me(uow: UnitOfWork) -> Any:
    """One's own account and rights, and who stands in for whom."""
    who, english = principal(), locale() == "en"
    return page(
        "platform/me.html",
        roles=[each.name for each in queries.roles(uow) if each.code in who.roles],
        delegations=delegation.of(uow, who.user_id),
        rights=by_area(delegation.own_rights(uow, who.user_id), english),
        held=by_area(who.permissions, english),
        word=partial(word, english=english),
        now=uow.now,
    )


@VIEWS.post("/me/delegations", Access.LOGIN)
def delegate(uow: UnitOfWork) -> Any:
    """Let somebody stand in for a time."""
    f = request.form
    first, until = (_typed_time(f.get(k, ""), k) for k in ("first", "until"))
    if until is None:
        raise Invalid(say("请填写结束时间。"), "until")
    delegation.give(uow, principal(), f.get("to", ""), first or uow.now, until, f.getlist("permission"), f.get("reason", ""))
    return redirect_to("/me")


@VIEWS.post("/me/delegations/<int:delegation_id>/end", Access.LOGIN)
def end_delegation(uow: UnitOfWork, delegation_id: int) -> Any:
    """End it early."""
    delegation.end(uow, principal(), delegation_id)
    return redirect_to("/me")


@VIEWS.get("/me/digest", Access.LOGIN)
def morning(uow: UnitOfWork) -> Any:
    """What was open for this person on a morning; opening it is having read it."""
    row, all_of = digest.read(uow, principal().user_id, _typed_day(request.args.get("day", "")))
    return page("platform/digest.html", row=row, days=all_of, lines=digest.of(row) if row else [], Level=Level)


def _typed_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _typed_time(text: str, field: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=ZoneInfo(web().settings.timezone)) if text.strip() else None
    except ValueError as error:
        raise Invalid(say("时间写法不对，请按 2026-01-31 08:30 填写。"), field) from error


@VIEWS.get("/me/password", Access.LOGIN, while_locked=True)
def password_page(uow: UnitOfWork) -> Any:
    """Change the own password; where it is past its life nothing else is open."""
    return page("platform/password.html", error=None, done="")


@VIEWS.post("/me/password", Access.LOGIN, while_locked=True)
def change_password(uow: UnitOfWork) -> Any:
    """Change the own password."""
    f, who = request.form, principal()
    if who.locked:
        return redirect_to("/locked")
    error = accounts.change_own_password(uow, who, f.get("old", ""), f.get("new", ""), f.get("again", ""))
    return page(
        "platform/password.html", status=422 if error else 200, error=error, done="" if error else "密码已更改，其他地方的登录已退出。"
    )


@VIEWS.post("/me/pin", Access.LOGIN)
def change_pin(uow: UnitOfWork) -> Any:
    """Set the own signing PIN."""
    error = accounts.set_own_pin(uow, principal(), request.form.get("password", ""), request.form.get("pin", ""))
    return page("platform/password.html", status=422 if error else 200, error=error, done="" if error else "签名 PIN 已更改。")
