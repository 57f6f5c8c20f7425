"""The page of other hospitals' reports that are recognised: registered from paper, shown to whoever asks for the same, taken back."""

from __future__ import annotations

from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.orders import outside, printed
from cloud.modules.orders.rules import Perm
from cloud.modules.platform import lists
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal

OUTSIDE = Views("orders_outside", __name__)


@OUTSIDE.get("/orders/outside", Perm.REGISTER)
def reports(uow: UnitOfWork) -> Any:
    """The form, and what was registered."""
    rows = outside.listed(uow, request.args.get("before", None, int))
    number = request.args.get("patient_no", "")
    return page("orders/outside.html", rows=rows, items=outside.choices(uow), now=uow.now, size=outside.PAGE, number=number)


@OUTSIDE.post("/orders/outside", Perm.REGISTER)
def add(uow: UnitOfWork) -> Any:
    """Keep one."""
    names = ("patient_no", "item", "hospital", "report_no", "mark", "value", "sampled")
    outside.add(uow, outside.Given(*(request.form.get(name, "") for name in names)))
    return redirect_to("/orders/outside")


@OUTSIDE.post("/orders/outside/export", Perm.REGISTER, reads=True)
def export(uow: UnitOfWork) -> Any:
    """What was registered, on paper or in a workbook."""
    who = principal()
    made = printed.outside(outside.listed(uow, limit=printed.EXPORT_MOST), who.tenant_name, who.name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), "/orders/outside", identifying=True))


@OUTSIDE.post("/orders/outside/<int:report_id>/withdraw", Perm.REGISTER)
def withdraw(uow: UnitOfWork, report_id: int) -> Any:
    """It was a mistake."""
    outside.withdraw(uow, report_id, request.form.get("version", 0, int), request.form.get("why", ""))
    return redirect_to("/orders/outside")
