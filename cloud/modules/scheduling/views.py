"""Today's duty, what is planned, and the form to plan more."""

from __future__ import annotations

from datetime import date, time
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import queries as people
from cloud.modules.scheduling import queries, service
from cloud.modules.scheduling.rules import Hours, Perm, day_of
from cloud.web.faults import Forbidden, Invalid
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal
from common.say import say

VIEWS = Views("scheduling", __name__)


@VIEWS.get("/sch/duty", Perm.READ)
def duty(uow: UnitOfWork) -> Any:
    """Who is on duty now, a section each, and the plan."""
    now: dict[int, list[queries.OnDuty]] = {}
    start = max(0, request.args.get("from", 0, int))
    for each in queries.duty(uow, uow.now):
        now.setdefault(each.section_id, []).append(each)
    planned = queries.planned(uow, start)
    return page(
        "scheduling/duty.html",
        sections=md.catalog(uow).sections.values(),
        now_on=now,
        planned=planned,
        start=start,
        size=queries.PAGE,
        shifts=queries.shifts(uow),
        people=people.at_work(uow),
        readers=people.holders(uow, Perm.READ),
        days={d.id: day_of(Hours(d.start, d.end), uow.now, md.HOSPITAL_ZONE) for d in planned},
        today=uow.now.astimezone(md.HOSPITAL_ZONE).date(),
    )


@VIEWS.post("/sch/duty", Perm.PUBLISH)
def assign(uow: UnitOfWork) -> Any:
    """Put somebody on duty."""
    form = request.form
    service.assign(
        uow,
        form.get("user", type=int) or 0,
        form.get("section", type=int) or 0,
        form.get("shift", type=int) or 0,
        _day("first"),
        _day("last"),
        form.get("phone", ""),
        alone=_alone(),
    )
    return redirect_to("/sch/duty")


@VIEWS.post("/sch/duty/<int:duty_id>/alone", Perm.ALONE)
def leave_alone(uow: UnitOfWork, duty_id: int) -> Any:
    """Somebody on the plan stands alone for one shift: a colleague is away."""
    service.leave_alone(uow, duty_id, _day("day"))
    return redirect_to("/sch/duty")


@VIEWS.post("/sch/duty/<int:duty_id>/cancel", Perm.PUBLISH)
def cancel(uow: UnitOfWork, duty_id: int) -> Any:
    """Take it back."""
    service.cancel(uow, duty_id, request.form.get("reason", ""))
    return redirect_to("/sch/duty")


@VIEWS.post("/sch/shifts", Perm.PUBLISH)
def add_shift(uow: UnitOfWork) -> Any:
    """Define a shift."""
    service.add_shift(uow, request.form.get("code", ""), request.form.get("name", ""), _time("start"), _time("end"))
    return redirect_to("/sch/duty")


def _alone() -> bool:
    if "alone" not in request.form:
        return False
    if not principal().may(Perm.ALONE):
        raise Forbidden(Perm.ALONE)
    return True


def _day(name: str) -> date:
    try:
        return date.fromisoformat(request.form.get(name, ""))
    except ValueError as error:
        raise Invalid(say("请填写完整的日期。"), name) from error


def _time(name: str) -> time:
    try:
        return time.fromisoformat(request.form.get(name, ""))
    except ValueError as error:
        raise Invalid(say("请填写班次的起止时间，例如 08:00。"), name) from error
