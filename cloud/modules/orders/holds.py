"""Requests that do not fit their patient (M03 bad input: male, 妊娠项目): held until a person looked, never tested by mistake."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.orders import rules
from cloud.modules.orders.models import LabOrder, OrderItem, Patient
from cloud.modules.orders.rules import ItemStatus
from cloud.web.faults import Conflict, Invalid, NotFound, Stale
from common.say import say


def judge(uow: UnitOfWork, patient: Patient, rows: Iterable[OrderItem]) -> list[OrderItem]:
    """Hold what does not fit, let go what fits now; returns the held ones. What a person cleared stays cleared."""
    known, held = md.catalog(uow), []
    age = md.subject_age(patient.birth, patient.age_text, uow.now)
    for row in rows:
        wanted = known.order_sets.get(row.order_set_id) if row.order_set_id is not None else None
        fits = wanted is None or row.hold_cleared
        why = (
            ""
            if fits or wanted is None
            else rules.fit_problem(patient.sex, None if age is None else age.years, wanted.sex, wanted.age_low, wanted.age_high)
        )
        if not why and wanted is not None and wanted.consent and not row.hold_cleared:
            order = uow.s.get(LabOrder, (uow.tenant_id, row.order_id))
            why = rules.consent_problem(True, None if order is None else order.consent)
        why = str(why or "")
        if why != row.hold:
            uow.audit("order_item", row.id, "held" if why else "fits", before={"hold": row.hold}, after={"hold": why})
            row.hold = why
        if why:
            held.append(row)
    return held


def recheck(uow: UnitOfWork, patient: Patient) -> None:
    """The patient's sex or birthday was corrected: what waits for a label is judged anew."""
    states = [s.value for s in rules.BEFORE_LABEL]
    query = select(OrderItem).join(LabOrder, (LabOrder.tenant_id == OrderItem.tenant_id) & (LabOrder.id == OrderItem.order_id))
    query = query.where(LabOrder.patient_id == patient.id, OrderItem.status.in_(states)).order_by(OrderItem.id)
    judge(uow, patient, uow.s.scalars(query.with_for_update(of=OrderItem)).all())


def clear(uow: UnitOfWork, item_id: int, version: int, reason: str) -> None:
    """A person asked the ward: the request is meant for this patient. Raises NotFound, Stale, Conflict, Invalid."""
    row = uow.s.get(OrderItem, (uow.tenant_id, item_id), with_for_update=True)
    if row is None:
        raise NotFound("这个申请项目")
    if row.version != version:
        raise Stale
    if not row.hold or ItemStatus(row.status) not in rules.BEFORE_LABEL:
        raise Conflict(say("这个项目现在没有挂起，请刷新。"))
    if not reason.strip():
        raise Invalid(say("请写明怎样核实的，例如与开单医生电话确认。"), "reason")
    before, row.hold = row.hold, ""
    row.hold_cleared = f"{uow.actor.name}：{reason.strip()[:200]}"
    uow.audit("order_item", row.id, "hold_cleared", before={"hold": before}, after={"hold": ""}, reason=reason.strip()[:200])
