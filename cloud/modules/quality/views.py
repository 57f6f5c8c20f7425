"""Pages of nonconformities: the list, one with its steps."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.quality import queries, rules, service
from cloud.modules.quality.rules import Perm, State
from cloud.web.faults import Forbidden, Invalid, NotFound
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal
from common.say import say

VIEWS = Views("quality", __name__)


@VIEWS.get("/qms/nc", Perm.READ)
def listed(uow: UnitOfWork) -> Any:
    """What is open, or one state's."""
    state = request.args.get("state", "")
    return page(
        "quality/list.html",
        "rows",
        rows=queries.listed(uow, state, request.args.get("before", type=int)),
        state=state,
        counts=queries.counts(uow),
        sections=md.catalog(uow).sections,
        rules=rules,
        page_size=queries.PAGE,
    )


@VIEWS.post("/qms/nc", Perm.REPORT)
def report(uow: UnitOfWork) -> Any:
    """Report one by hand."""
    f = request.form
    new = service.report(
        uow, f.get("source", ""), f.get("severity", ""), f.get("title", ""), f.get("description", ""), f.get("section", type=int)
    )
    return redirect_to(f"/qms/nc/{new}")


@VIEWS.get("/qms/nc/<int:nc_id>", Perm.READ)
def one(uow: UnitOfWork, nc_id: int) -> Any:
    """One with its steps and what comes next."""
    found = queries.one(uow, nc_id)
    if found is None:
        raise NotFound("该不符合项")
    row, steps = found
    moves = [to for to in State if to in rules.TRANSITIONS[State(row.state)] and principal().may(_needed(to))]
    return page("quality/one.html", nc=row, steps=steps, moves=moves, sections=md.catalog(uow).sections, rules=rules)


@VIEWS.post("/qms/nc/<int:nc_id>", Perm.WORK)
def move(uow: UnitOfWork, nc_id: int) -> Any:
    """The next step."""
    f, to = request.form, request.form.get("to", "")
    if to in tuple(State) and not principal().may(_needed(State(to))):
        raise Forbidden(_needed(State(to)))
    try:
        due = date.fromisoformat(f["due"]) if f.get("due") else None
    except ValueError as error:
        raise Invalid(say("日期请写成 2026-05-04 的样子。"), "due") from error
    service.move(uow, nc_id, f.get("version", 0, type=int), to, f.get("words", ""), due)
    return redirect_to(f"/qms/nc/{nc_id}")


def _needed(to: State) -> Perm:
    """Closing and reopening are the quality lead's."""
    return Perm.CLOSE if to in (State.CLOSED, State.REOPENED) else Perm.WORK
