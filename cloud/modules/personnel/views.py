"""The matrix of authorisations: who may do what, until when."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.personnel import queries, service
from cloud.modules.personnel.rules import FUNCTION_WORDS, WORDS, Function, Perm, State
from cloud.modules.platform import queries as people
from cloud.web.faults import Invalid
from cloud.web.page import page, redirect_to
from cloud.web.view import Views

VIEWS = Views("personnel", __name__)


@VIEWS.get("/hr/matrix", Perm.READ)
def matrix(uow: UnitOfWork) -> Any:
    """All authorisations, and the form for a new one."""
    catalog = md.catalog(uow)
    rows = queries.matrix(uow, request.args.get("after", 0, type=int))
    today = queries.local_day(uow.now)
    return page(
        "personnel/matrix.html",
        rows=rows,
        more=rows[-1].id if len(rows) == queries.PAGE else None,
        people=people.at_work(uow),
        sections=catalog.sections.values(),
        groups=[g for g in catalog.order_sets.values() if g.active],
        functions=FUNCTION_WORDS,
        words={s.value: w for s, w in WORDS.items()},
        function_words={f.value: w for f, w in FUNCTION_WORDS.items()},
        today=today,
        trimmed=request.args.get("trimmed", ""),
    )


@VIEWS.post("/hr/matrix", Perm.GRANT)
def grant(uow: UnitOfWork) -> Any:
    """Sign an authorisation."""
    form = request.form
    function = form.get("function", "")
    if function not in tuple(Function):
        raise Invalid("请选择授权的工作（检验或审核）。", "function")
    until = _day("until")
    row = service.grant(
        uow,
        service.NewGrant(
            user_id=form.get("user", type=int) or 0,
            function=Function(function),
            section_id=form.get("section", type=int),
            order_set_id=form.get("group", type=int),
            first=_day("first"),
            until=until,
            competency_until=_day("competency"),
            licence_until=_day("licence"),
        ),
    )
    return redirect_to("/hr/matrix" + (f"?trimmed={row.until}" if row.until != until else ""))


@VIEWS.post("/hr/matrix/<int:grant_id>", Perm.GRANT)
def move(uow: UnitOfWork, grant_id: int) -> Any:
    """Suspend, resume or revoke."""
    to = request.form.get("to", "")
    if to not in tuple(State):
        raise Invalid("请选择暂停、恢复或撤销。", "to")
    service.move(uow, grant_id, State(to), request.form.get("reason", ""))
    return redirect_to("/hr/matrix")


def _day(name: str) -> date:
    try:
        return date.fromisoformat(request.form.get(name, ""))
    except ValueError as error:
        raise Invalid("请填写完整的日期。", name) from error
