"""Pages around the receiving desk: recollection followed to its end, referral out and back, sample numbers with their gaps."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import lists
from cloud.modules.specimens import queries, referral, rules
from cloud.modules.specimens.labels import ZONE
from cloud.modules.specimens.rules import Perm
from cloud.web.faults import Invalid
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal

REFERRAL = Views("specimen_referral", __name__)
WEEK = 7


@REFERRAL.get("/sp/recollect", Perm.READ)
def recollect(uow: UnitOfWork) -> Any:
    """Rejected tubes of the last days and how far their recollection is; ``all=1`` shows the finished ones too."""
    everything, start = request.args.get("all") == "1", max(0, request.args.get("from", 0, int))
    rows = queries.rejections(uow, _followed(everything), start, queries.PAGE)
    waiting = queries.count_rejections(uow, _followed(False))
    context: dict[str, Any] = {"rows": rows, "everything": everything, "waiting": waiting, "stages": rules.RECOLLECT_WORDS, "now": uow.now}
    context |= {"start": start, "size": queries.PAGE, "total": queries.count_rejections(uow, _followed(True)) if everything else waiting}
    return page("specimens/recollect.html", "rows", late=referral.RECOLLECT_LATE, **context)


def _followed(everything: bool) -> queries.Rejected:
    return queries.Rejected(days=WEEK, only_open=not everything)


@REFERRAL.post("/sp/recollect/export", Perm.FIGURES, reads=True)
def recollect_export(uow: UnitOfWork) -> Any:
    """The list on paper or in a workbook."""
    everything = request.args.get("all") == "1"
    rows = queries.rejections(uow, _followed(everything))
    made = referral.recollections(rows, principal().tenant_name, principal().name, uow.now)
    back = f"/sp/recollect{'?all=1' if everything else ''}"
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), back, identifying=True))


@REFERRAL.post("/sp/rejections/export", Perm.NOTICE, reads=True)
def rejections_export(uow: UnitOfWork) -> Any:
    """What the laboratory sent back to the reader's wards, as the page lists it, on paper or in a workbook."""
    unread = request.args.get("unread") == "1"
    rows = queries.rejections(uow, queries.Rejected(principal().wards, unread=unread))
    made = referral.recollections(rows, principal().tenant_name, principal().name, uow.now, "拒收通知")
    back = f"/sp/rejections{'?unread=1' if unread else ''}"
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), back, identifying=True))


@REFERRAL.get("/sp/referral", Perm.REFER)
def referrals(uow: UnitOfWork) -> Any:
    """What is away, what came back; a scan sends or takes back."""
    today = uow.now.astimezone(ZONE).date()
    rows = referral.sent(uow, before=request.args.get("before", type=int))
    more = sum(r.returned_at is not None for r in rows) == referral.PAGE
    context: dict[str, Any] = {"rows": rows, "today": today, "due": today + timedelta(days=3), "more": more}
    return page("specimens/referral.html", labs=sorted({r.lab for r in rows}), code=request.args.get("code", ""), **context)


@REFERRAL.post("/sp/referral/export", Perm.REFER, reads=True)
def export(uow: UnitOfWork) -> Any:
    """The list on paper or in a workbook."""
    rows = referral.sent(uow, limit=referral.EXPORT_MOST)
    made = referral.document(rows, principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), "/sp/referral", identifying=True))


@REFERRAL.post("/sp/referral/send", Perm.REFER)
def send(uow: UnitOfWork) -> Any:
    """A tube leaves."""
    form = request.form
    sending = referral.Sending(form.get("lab", ""), form.get("contract", ""), form.get("courier", ""), _day(form.get("due", ""), "due"))
    referral.send_out(uow, form.get("code", ""), sending)
    return redirect_to("/sp/referral")


@REFERRAL.post("/sp/referral/back", Perm.REFER)
def back(uow: UnitOfWork) -> Any:
    """Its report is here."""
    referral.came_back(uow, request.form.get("code", ""), request.form.get("outcome", ""))
    return redirect_to("/sp/referral")


@REFERRAL.get("/sp/numbers", Perm.RECEIVE)
def sample_numbers(uow: UnitOfWork) -> Any:
    """Sample numbers of a day and those no tube has."""
    today = uow.now.astimezone(ZONE).date()
    day = _day(request.args.get("day", ""), "day") or today
    return page("specimens/numbers.html", day=day, today=today, rows=referral.numbers(uow, day), known=md.catalog(uow))


@REFERRAL.post("/sp/tubes/<int:specimen_id>/number", Perm.NUMBER)
def renumber(uow: UnitOfWork, specimen_id: int) -> Any:
    """Another sample number, with the reason."""
    referral.renumber(uow, specimen_id, request.form.get("number", ""), request.form.get("reason", ""))
    return redirect_to(f"/sp/tubes/{specimen_id}")


def _day(value: str, name: str) -> date | None:
    try:
        return date.fromisoformat(value.strip()) if value.strip() else None
    except ValueError as error:
        raise Invalid("日期请写成 2026-11-22。", name) from error
