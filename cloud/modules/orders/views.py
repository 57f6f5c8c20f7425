"""Pages of requests: the list, registration by hand, consent to refunds."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as catalog
from cloud.modules.orders import manual, queries, rules, service
from cloud.modules.orders.messages import Priority, VisitType
from cloud.modules.orders.rules import Perm
from cloud.modules.platform import service as platform
from cloud.web.faults import NotFound
from cloud.web.page import page, redirect_to
from cloud.web.view import Views

VIEWS = Views("orders", __name__)
WORDS = {
    "status": {s.value: text for s, text in rules.STATUS_TEXT.items()},
    "priority": {Priority.ROUTINE: "常规", Priority.STAT: "急", Priority.GREEN: "绿色通道"},
    "charge": {"paid": "已收费", "unpaid": "未收费", "refunded": "已退费"},
    "kind": {
        VisitType.OUTPATIENT: "门诊", VisitType.EMERGENCY: "急诊", VisitType.INPATIENT: "住院", VisitType.EXAM: "体检",
        VisitType.EXTERNAL: "外院", VisitType.RESEARCH: "科研",
    },
    "sex": {"M": "男", "F": "女", "U": "未知", "O": "其他"},
}  # fmt: skip


@VIEWS.get("/orders", Perm.READ)
def order_list(uow: UnitOfWork) -> Any:
    """Requested items, newest first, filtered by state, day and person."""
    asked = request.args
    f = queries.Filter(asked.get("status", ""), asked.get("unmapped") == "1", _day(asked.get("day", "")), asked.get("q", "").strip())
    rows = queries.order_list(uow, f, asked.get("before", None, int))
    return page("orders/list.html", "rows", rows=rows, f=f, words=WORDS, counts=queries.counts(uow), size=queries.PAGE)


@VIEWS.get("/orders/item/<int:item_id>", Perm.READ)
def item(uow: UnitOfWork, item_id: int) -> Any:
    """One item with its form and its patient."""
    found = queries.items(uow, [item_id])
    if not found:
        raise NotFound("这个申请项目")
    patient = queries.patient(uow, found[0].patient_id)
    platform.log_read(uow, found[0].patient_id, "order", request.path)
    siblings = queries.items_of_order(uow, found[0].order_id)
    return page("orders/item.html", "detail", item=found[0], patient=patient, siblings=siblings, words=WORDS)


@VIEWS.get("/orders/manual", Perm.REGISTER)
def manual_page(uow: UnitOfWork) -> Any:
    """The registration form, with a key of its own."""
    sets = sorted((s for s in catalog.catalog(uow).order_sets.values() if s.active), key=lambda s: (s.section_id, s.code))
    return page("orders/manual.html", key=uuid.uuid4().hex, sets=sets, words=WORDS)


@VIEWS.post("/orders/manual", Perm.REGISTER)
def register(uow: UnitOfWork) -> Any:
    """Register one request; the list shows it."""
    form = request.form
    manual.register(
        uow,
        manual.Registration(
            key=form.get("key", ""), patient_no=form.get("patient_no", ""), name=form.get("name", ""), sex=form.get("sex", ""),
            birth=form.get("birth", ""), phone=form.get("phone", ""), kind=form.get("kind", ""), dept=form.get("dept", ""),
            doctor=form.get("doctor", ""), priority=form.get("priority", ""), paid=form.get("paid") == "1", note=form.get("note", ""),
            order_sets=form.getlist("order_set"),
        ),
    )  # fmt: skip
    return redirect_to("/orders")


@VIEWS.get("/orders/refund-requests", Perm.READ)
def refunds(uow: UnitOfWork) -> Any:
    """Refunds that wait for the laboratory's consent."""
    return page("orders/refunds.html", "rows", rows=queries.refunds(uow), words=WORDS)


@VIEWS.post("/orders/refund-requests/<int:refund_id>", Perm.REFUND)
def decide_refund(uow: UnitOfWork, refund_id: int) -> Any:
    """Consent or refuse, with words for the HIS."""
    form = request.form
    service.decide_refund(uow, refund_id, form.get("version", 0, int), form.get("accept") == "1", form.get("answer", ""))
    return redirect_to("/orders/refund-requests")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
