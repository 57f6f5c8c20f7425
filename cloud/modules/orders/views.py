"""Pages of requests: the list, registration by hand, consent to refunds."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any
from urllib.parse import urlencode

from flask import request
from werkzeug.datastructures import MultiDict

from cloud.db.session import UnitOfWork
from cloud.modules.orders import expiry, figures, holds, outside, places, printed, queries, rules, service, twins, uncharged, verbal
from cloud.modules.orders.messages import Registration
from cloud.modules.orders.rules import Perm
from cloud.modules.platform import lists
from cloud.modules.platform import service as platform
from cloud.web import span
from cloud.web.faults import Invalid, NotFound
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal
from common.say import Said, say

VIEWS = Views("orders", __name__)
WORDS = queries.WORDS
FLAGS = ("unmapped", "held", "never", "lapsed")


@VIEWS.get("/orders", Perm.READ)
def order_list(uow: UnitOfWork) -> Any:
    """Requested items, newest first, filtered by state, day and person."""
    f = _filter(request.args)
    rows = queries.order_list(uow, f, request.args.get("before", None, int))
    return page("orders/list.html", "rows", rows=rows, f=f, words=WORDS, counts=queries.counts(uow), size=queries.PAGE)


@VIEWS.post("/orders/export", Perm.FIGURES, reads=True)
def export(uow: UnitOfWork) -> Any:
    """The list as it is filtered, on paper or in a workbook."""
    found = queries.order_list(uow, _filter(request.form), limit=printed.EXPORT_MOST)
    made = printed.document(found, principal().tenant_name, principal().name, uow.now)
    back = urlencode({name: said for name, said in request.form.items() if said and name in ("q", "status", "day", *FLAGS)})
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), f"/orders?{back}", identifying=True))


def _filter(asked: MultiDict[str, str]) -> queries.Filter:
    flags = {name: asked.get(name) == "1" for name in FLAGS}
    return queries.Filter(asked.get("status", ""), day=_day(asked.get("day", "")), text=asked.get("q", "").strip(), **flags)


@VIEWS.get("/orders/item/<int:item_id>", Perm.READ)
def item(uow: UnitOfWork, item_id: int) -> Any:
    """One item with its form and its patient."""
    places.require_item(uow, item_id)
    found = queries.items(uow, [item_id])
    if not found:
        raise NotFound("这个申请项目")
    patient = queries.patient(uow, found[0].patient_id)
    platform.log_read(uow, found[0].patient_id, "order", request.path)
    siblings, same = queries.items_of_order(uow, found[0].order_id), queries.twins(uow, found[0])
    context: dict[str, Any] = {"siblings": siblings, "words": WORDS, "twins": same, "told": _repeats(uow, item_id)}
    return page("orders/item.html", "detail", item=found[0], patient=patient, gest=_weeks(found[0]), **context)


@VIEWS.post("/orders/item/<int:item_id>/clear", Perm.REGISTER)
def clear_hold(uow: UnitOfWork, item_id: int) -> Any:
    """The ward was asked: a request that does not seem to fit is meant for this patient."""
    places.require_item(uow, item_id)
    holds.clear(uow, item_id, request.form.get("version", 0, int), request.form.get("reason", ""))
    return redirect_to(f"/orders/item/{item_id}")


@VIEWS.post("/orders/item/<int:item_id>/revive", Perm.REGISTER)
def revive(uow: UnitOfWork, item_id: int) -> Any:
    """The patient of an expired request came after all."""
    places.require_item(uow, item_id)
    expiry.revive(uow, item_id, request.form.get("version", 0, int), request.form.get("reason", ""))
    return redirect_to(f"/orders/item/{item_id}")


@VIEWS.get("/orders/manual", Perm.REGISTER)
def manual_page(uow: UnitOfWork) -> Any:
    """The registration form, with a key of its own."""
    return page("orders/manual.html", key=uuid.uuid4().hex, sets=queries.order_sets(uow), words=WORDS)


@VIEWS.post("/orders/manual", Perm.REGISTER)
def register(uow: UnitOfWork) -> Any:
    """Register one request; the list shows it."""
    service.register(uow, Registration.read(request.form))
    return redirect_to("/orders")


@VIEWS.get("/orders/verbal", Perm.READ)
def verbal_page(uow: UnitOfWork) -> Any:
    """Verbal requests that wait for the written one, and the form to take one down."""
    rows = verbal.waiting(uow)
    return page("orders/verbal.html", key=uuid.uuid4().hex, sets=queries.order_sets(uow), words=WORDS, rows=rows, now=uow.now)


@VIEWS.post("/orders/verbal", Perm.REGISTER)
def take_verbal(uow: UnitOfWork) -> Any:
    """Take one down."""
    form = request.form
    verbal.take(uow, Registration.read(form), form.get("caller", ""), form.get("caller_phone", ""), form.get("read_back") == "1")
    return redirect_to("/orders/verbal")


@VIEWS.post("/orders/verbal/<int:verbal_id>", Perm.REGISTER)
def confirm_verbal(uow: UnitOfWork, verbal_id: int) -> Any:
    """The written request is places."""
    places.require_verbal(uow, verbal_id)
    verbal.confirm(uow, verbal_id, request.form.get("version", 0, int), request.form.get("written", ""))
    return redirect_to("/orders/verbal")


@VIEWS.post("/orders/verbal/export", Perm.FIGURES, reads=True)
def verbal_export(uow: UnitOfWork) -> Any:
    """Those that wait, on paper or in a workbook."""
    made = printed.verbal(verbal.waiting(uow, printed.EXPORT_MOST), principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), "/orders/verbal", identifying=True))


@VIEWS.get("/orders/refund-requests", Perm.READ)
def refunds(uow: UnitOfWork) -> Any:
    """Refunds that wait for the laboratory's consent."""
    return page("orders/refunds.html", "rows", rows=queries.refunds(uow), words=WORDS)


@VIEWS.post("/orders/refund-requests/export", Perm.FIGURES, reads=True)
def refunds_export(uow: UnitOfWork) -> Any:
    """Those that wait, on paper or in a workbook."""
    made = printed.refunds(queries.refunds(uow, limit=printed.EXPORT_MOST), principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), "/orders/refund-requests", identifying=True))


@VIEWS.post("/orders/refund-requests/<int:refund_id>", Perm.REFUND)
def decide_refund(uow: UnitOfWork, refund_id: int) -> Any:
    """Consent or refuse, with words for the HIS."""
    form = request.form
    places.require_refund(uow, refund_id)
    service.decide_refund(uow, refund_id, form.get("version", 0, int), form.get("accept") == "1", form.get("answer", ""))
    return redirect_to("/orders/refund-requests")


@VIEWS.get("/orders/figures", Perm.FIGURES)
def figures_page(uow: UnitOfWork) -> Any:
    """What is counted of requests; each number is the length of the list it opens."""
    wanted = _wanted(uow)
    return page(
        "orders/figures.html",
        wanted=wanted,
        counts=figures.counts(uow, wanted.days),
        depts=figures.by_dept(uow, wanted),
        states=figures.by_status(uow, wanted),
        rows=figures.rows(uow, wanted, request.args.get("before", 0, type=int)),
        figures=figures.FIGURE_WORDS,
        words=WORDS,
        narrowed=_narrowed(wanted),
        page_size=figures.PAGE,
    )


@VIEWS.post("/orders/figures/export", Perm.FIGURES)
def figures_export(uow: UnitOfWork) -> Any:
    """The list on paper or in a workbook."""
    wanted = _wanted(uow)
    found = figures.rows(uow, wanted, limit=figures.EXPORT_MOST)
    made = figures.document(found, wanted, principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), f"/orders/figures?{_narrowed(wanted)}", identifying=True))


@VIEWS.get("/orders/uncharged", Perm.FIGURES)
def uncharged_page(uow: UnitOfWork) -> Any:
    """What was examined and is not charged."""
    days, settled = span.asked(request.args, uow.now), request.args.get("settled") == "1"
    context: dict[str, Any] = {"leaks": rules.LEAK_WORDS, "settled_words": rules.SETTLED_WORDS, "words": WORDS}
    found = uncharged.rows(uow, days, settled, request.args.get("before", 0, type=int))
    count = uncharged.open_count(uow, days)
    shown: dict[str, Any] = {"rows": found, "days": days, "settled": settled, "count": count, "page_size": uncharged.PAGE}
    return page("orders/uncharged.html", "rows", **shown, **context)


@VIEWS.post("/orders/uncharged/<int:item_id>", Perm.REFUND)
def settle_uncharged(uow: UnitOfWork, item_id: int) -> Any:
    """How a missing charge ended."""
    form = request.form
    places.require_item(uow, item_id)
    uncharged.settle(uow, item_id, form.get("version", 0, int), form.get("how", ""), form.get("why", ""))
    return redirect_to("/orders/uncharged")


@VIEWS.post("/orders/uncharged/export", Perm.FIGURES)
def uncharged_export(uow: UnitOfWork) -> Any:
    """The list on paper or in a workbook."""
    days, settled = span.asked(request.args, uow.now), request.args.get("settled") == "1"
    found = uncharged.rows(uow, days, settled, limit=uncharged.EXPORT_MOST)
    made = uncharged.document(found, days, settled, principal().tenant_name, principal().name, uow.now)
    back = f"/orders/uncharged?{days.query}{'&settled=1' if settled else ''}"
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), back, identifying=True))


def _repeats(uow: UnitOfWork, item_id: int) -> list[str]:
    """R4: what came before it: the patient's own request within the interval, another hospital's report that is recognised."""
    return [words for words in (twins.told(uow, item_id), outside.of_item(uow, item_id)) if words]


def _wanted(uow: UnitOfWork) -> figures.Wanted:
    get = request.args.get
    figure, status = get("figure", ""), get("status", "")
    return figures.Wanted(
        span.asked(request.args, uow.now),
        figures.Figure(figure) if figure in set(figures.Figure) else figures.Figure.PLACED,
        get("dept", "")[:100],
        status if status in set(rules.ItemStatus) else "",
    )


def _narrowed(wanted: figures.Wanted) -> str:
    named = {k: v for k, v in (("dept", wanted.dept), ("status", wanted.status)) if v}
    return f"{wanted.days.query}&figure={wanted.figure.value}" + (f"&{urlencode(named)}" if named else "")


def _weeks(item: queries.ItemRow) -> Said | str:
    """The week of pregnancy on the day of the request."""
    if item.gest_from is None:
        return ""
    days = (item.ordered_at.astimezone(span.ZONE).date() - item.gest_from).days
    return say("{weeks} 周 + {days} 天（申请当日）", weeks=days // 7, days=days % 7)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip()) if text.strip() else None
    except ValueError as error:  # a day nobody can read would show every day's requests as that day's
        raise Invalid(say("日期请写成 2026-05-04 的样子。"), "day") from error
