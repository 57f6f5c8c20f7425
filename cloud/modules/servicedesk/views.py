"""Pages of the service desk: the list with a one-line entry, a ticket with its steps."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.servicedesk import queries, rules, service
from cloud.modules.servicedesk.rules import Perm, State
from cloud.web.faults import Forbidden, Invalid, NotFound
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal, web
from common.say import say

VIEWS = Views("servicedesk", __name__)


@VIEWS.get("/desk", Perm.READ)
def listed(uow: UnitOfWork) -> Any:
    """Tickets that are not closed, or closed ones; of one section with the whole laboratory's."""
    known = md.catalog(uow)
    section = known.sections_by_code.get(request.args.get("section", ""))
    closed = request.args.get("show") == "closed"
    rows = queries.listed(uow, None if section is None else section.id, closed=closed, before=request.args.get("before", type=int))
    context: dict[str, Any] = {"rows": rows, "section": section, "closed": closed, "catalog": known, "rules": rules, "now": uow.now}
    return page("servicedesk/list.html", page_size=queries.PAGE, **context)


@VIEWS.post("/desk", Perm.OPEN)
def open_ticket(uow: UnitOfWork) -> Any:
    """One line: who, where, what."""
    f = request.form
    new = service.New(
        reporter=f.get("reporter", "") or principal().name,
        title=f.get("title", ""),
        severity=f.get("severity", ""),
        category=f.get("category", ""),
        section_id=f.get("section", type=int),
        analyzer_id=f.get("analyzer", type=int),
        notified_at=_moment(f.get("notified_at", "")),
        late_why=f.get("late_why", ""),
        channel="电话" if f.get("phone") else "网页",
    )
    return redirect_to(f"/desk/{service.open_ticket(uow, new)}")


def _moment(given: str) -> datetime | None:
    if not given.strip():
        return None
    try:
        return datetime.fromisoformat(given).replace(tzinfo=ZoneInfo(web().settings.timezone))
    except ValueError as error:
        raise Invalid(say("联系时间请写成 2026-05-04T10:00 的样子，或留空表示现在。"), "notified_at") from error


@VIEWS.get("/desk/mine", Perm.ASK)
def mine(uow: UnitOfWork) -> Any:
    """What a ward or the record room asked, and the line to ask in."""
    rows = queries.opened_by(uow, principal().user_id, request.args.get("before", type=int))
    return page("servicedesk/mine.html", rows=rows, rules=rules, now=uow.now, page_size=queries.PAGE)


@VIEWS.post("/desk/mine", Perm.ASK)
def ask(uow: UnitOfWork) -> Any:
    """One line: what happened, and where to call back."""
    f, who = request.form, principal()
    if f.get("category", "") not in rules.ASKABLE:
        raise Invalid(say("请选择类别和紧急程度。"), "category")
    reporter = " ".join(x for x in (who.name, f.get("phone", "").strip()) if x)
    return redirect_to(
        f"/desk/mine/{service.open_ticket(uow, service.New(reporter, f.get('title', ''), f.get('severity', ''), f['category']))}"
    )


@VIEWS.get("/desk/mine/<int:ticket_id>", Perm.ASK)
def mine_one(uow: UnitOfWork, ticket_id: int) -> Any:
    """What became of the own ticket; the laboratory confirms its end."""
    found = queries.one(uow, ticket_id, principal().user_id)
    if found is None:
        raise NotFound("该工单")
    return page("servicedesk/one.html", t=found[0], steps=found[1], moves=[], catalog=md.catalog(uow), rules=rules, now=uow.now)


@VIEWS.get("/desk/<int:ticket_id>", Perm.READ)
def one(uow: UnitOfWork, ticket_id: int) -> Any:
    """A ticket with its steps and what comes next."""
    found = queries.one(uow, ticket_id)
    if found is None:
        raise NotFound("该工单")
    row, steps = found
    moves = [to for to in State if to in rules.TRANSITIONS[State(row.state)] and principal().may(_needed(to))]
    return page("servicedesk/one.html", t=row, steps=steps, moves=moves, catalog=md.catalog(uow), rules=rules, now=uow.now)


@VIEWS.post("/desk/<int:ticket_id>", Perm.READ)
def move(uow: UnitOfWork, ticket_id: int) -> Any:
    """The next step: the engineer's or the laboratory's."""
    f = request.form
    to = f.get("to", "")
    if to in tuple(State) and not principal().may(_needed(State(to))):
        raise Forbidden(_needed(State(to)))
    step = service.Step(to, f.get("words", ""), f.get("owner", ""), f.get("backup", ""), f.get("root_cause", ""))
    service.move(uow, ticket_id, f.get("version", 0, type=int), step)
    return redirect_to(f"/desk/{ticket_id}")


def _needed(to: State) -> Perm:
    return Perm.CONFIRM if to in rules.LAB_ONLY else Perm.WORK
