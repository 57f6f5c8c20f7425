"""The verbs of requests: place an order, move its items, decide refunds, map codes. No flask, no commit."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.orders import charges, holds, line, patients, rules
from cloud.modules.orders.line import Line
from cloud.modules.orders.manual import register
from cloud.modules.orders.messages import Charge
from cloud.modules.orders.models import LabOrder, OrderItem, ParkedCancel, Patient, RefundRequest
from cloud.modules.orders.place import OrderRefused, Placed, move, place_order
from cloud.modules.orders.rules import CancelAnswer, ItemStatus, RefundState
from cloud.web.faults import Conflict, Invalid, NotFound
from common.say import say, word

LAB = "lab"
"""Source of what the laboratory orders itself."""

__all__ = [
    "add_item",
    "Charge",
    "ItemStatus",
    "OrderRefused",
    "Placed",
    "birth_instant",
    "decide_refund",
    "discard_parked",
    "map_code",
    "on_mapped",
    "on_recalled",
    "on_preliminary",
    "on_released",
    "on_result",
    "place_order",
    "register",
    "set_status",
    "walk",
]


def set_status(
    uow: UnitOfWork, item_ids: Iterable[int], to: ItemStatus, *, specimen_id: int | None = None, reason: str = "", barcode: str = ""
) -> list[int]:
    """Move items along their path; items already there are left alone. Returns those moved. Raises Conflict naming a wrong state.

    Called by the modules that own the tube and the result: labelled (with its tube), collected, received, rejected, in_test, reported.
    """
    lines = line.lock(uow, item_ids)
    moved = []
    for item in lines:
        status = ItemStatus(item.status)
        if specimen_id is not None:
            item.specimen_id = specimen_id
        if status is to:
            continue
        _must_move(item, to)
        move(uow, item, to, reason, barcode)
        moved.append(item.id)
    line.save(uow, lines)
    charges.post(uow, [item for item in lines if item.id in moved], (to,))
    return moved


def walk(
    uow: UnitOfWork,
    item_ids: Collection[int],
    steps: Collection[ItemStatus],
    *,
    specimen_id: int,
    barcode: str,
    placed: Placed | None = None,
) -> None:
    """Move items of one tube through several steps, each by the table and with its own entry and event. ``placed``: what has placed them in
    this very transaction. Raises Conflict."""
    lines = line.lock(uow, item_ids) if placed is None else line.just_placed(placed.new, item_ids)
    for item in lines:
        item.specimen_id = specimen_id
        for to in steps:
            _must_move(item, to)
            move(uow, item, to, barcode=barcode)
    line.save(uow, lines)
    charges.post(uow, lines, steps)


def add_item(uow: UnitOfWork, beside_id: int, order_set_id: int, number: str, reason: str, free: str = "") -> int:
    """The laboratory orders one more item on the request that another one belongs to (reflex); the new item, not yet charged. ``free``:
    why it never is."""
    beside = uow.s.get_one(OrderItem, (uow.tenant_id, beside_id))
    wanted = md.catalog(uow).order_sets[order_set_id]
    item = OrderItem(
        order_id=beside.order_id,
        source=LAB,
        order_item_no=number,
        his_code=wanted.price_code or wanted.code,
        his_name=wanted.name,
        order_set_id=wanted.id,
        note=reason[:200],
        status_at=uow.now,
    )
    if free:
        item.settled, item.settled_why, item.settled_by, item.settled_at = rules.Settled.WAIVED.value, free[:200], uow.actor.name, uow.now
    uow.s.add(item)
    uow.s.flush()
    after = {"order_set": wanted.code, "number": number, "settled": item.settled}
    uow.audit("order_item", item.id, "reflex", after=after, reason=reason[:300])
    return item.id


def _must_move(item: Line, to: ItemStatus) -> None:
    status = ItemStatus(item.status)
    if not rules.may_move(status, to):
        words = {"state": word(rules.STATUS_TEXT[status]), "to": word(rules.STATUS_TEXT[to])}
        text = say("项目“{item}”{state}，不能改为{to}。", item=item.his_name or item.his_code, **words)
        raise Conflict(text, item=item.id, status=status.value)


def decide_refund(uow: UnitOfWork, refund_id: int, version: int, accept: bool, answer: str) -> None:
    """The laboratory's consent to a refund after receipt, or its refusal, with the reason that the HIS is told (R3). Raises NotFound,
    Conflict (decided, reported), Invalid."""
    row = uow.s.get(RefundRequest, (uow.tenant_id, refund_id), with_for_update=True)
    if row is None:
        raise NotFound("退费申请")
    to = RefundState.ACCEPTED if accept else RefundState.REFUSED
    if to not in rules.REFUND_MOVES[RefundState(row.state)] or row.version != version:
        raise Conflict(say("这条退费申请已由 {decided_by} 处理，请刷新。", decided_by=row.decided_by or say("他人")))
    if not answer.strip():
        raise Invalid(say("请写明同意或拒绝的理由，HIS 会收到。"), "answer")
    item = uow.s.get_one(OrderItem, (uow.tenant_id, row.order_item_id), with_for_update=True)
    if accept and rules.judge_cancel(ItemStatus(item.status), line.told(uow, item)) is CancelAnswer.REFUSED:
        raise Conflict("该项目已出报告，不能退费；请选择“拒绝”并写明原因。")
    row.state, row.answer = to.value, answer.strip()[:200]
    row.decided_at, row.decided_by = uow.now, uow.actor.name
    before = {"state": RefundState.WAITING.value}
    uow.audit("refund_request", row.id, row.state, before=before, after={"state": row.state}, reason=answer.strip())
    if accept and ItemStatus(item.status) not in rules.ENDED:
        item.charge_state = Charge.REFUNDED.value
        move(uow, item, ItemStatus.REFUNDED, answer.strip())
    payload = {"order_item_id": item.id, "accepted": accept, "answer": answer.strip()}
    uow.emit("order.refund_decided", f"order_item:{item.id}", payload)


def map_code(uow: UnitOfWork, source: str, code: str, order_set_id: int) -> int:
    """Give every waiting item of a code, new in the map, its order set; returns how many. The map itself is the catalog's."""
    query = select(OrderItem).where(OrderItem.source == source, OrderItem.his_code == code, OrderItem.order_set_id.is_(None))
    rows = uow.s.scalars(query.order_by(OrderItem.id).with_for_update()).all()
    for row in rows:
        row.order_set_id = order_set_id
        order = uow.s.get_one(LabOrder, (uow.tenant_id, row.order_id))
        holds.judge(uow, uow.s.get_one(Patient, (uow.tenant_id, order.patient_id)), [row])
        uow.audit("order_item", row.id, "mapped", before={"order_set_id": None}, after={"order_set_id": order_set_id})
    return len(rows)


def discard_parked(uow: UnitOfWork) -> int:
    """Job: cancellations whose order never came, after ten minutes, with an audit entry each."""
    old = uow.s.scalars(select(ParkedCancel).where(ParkedCancel.at < uow.now - rules.PARKED_FOR).with_for_update(skip_locked=True)).all()
    for row in old:
        uow.audit("parked_cancel", f"{row.source}/{row.order_item_no}", "discarded", before={"at": row.at.isoformat()}, reason=row.reason)
        uow.s.delete(row)
    return len(old)


def birth_instant(day: date | None, at: datetime | None = None) -> datetime | None:
    """A birthday as the instant stored: the minute when it is known, else midnight in China."""
    return patients.instant(day, at)


# -- events of other modules -----------------------------------------------------------------------------------------------


def on_mapped(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``catalog.mapped``: items that waited for this code get their order set."""
    map_code(uow, payload["source"], payload["his_code"], payload["order_set_id"])


def on_result(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``result.received``: the tube's items are in test."""
    # A tube that reached the analyzer before its receipt scan keeps its state: the scan still has to come.
    _follow(uow, payload, ItemStatus.IN_TEST, (ItemStatus.RECEIVED,))


def on_released(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``report.released``: one report a tube, so its items are reported."""
    S = ItemStatus
    _follow(uow, payload, S.REPORTED, (S.LABELLED, S.COLLECTED, S.RECEIVED, S.IN_TEST, S.PARTLY_REPORTED))


def on_preliminary(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``report.preliminary``: something is told of these items, the rest follows."""
    S = ItemStatus
    only = {int(i) for i in payload["order_item_ids"]}
    _follow(uow, payload, S.PARTLY_REPORTED, (S.LABELLED, S.COLLECTED, S.RECEIVED, S.IN_TEST), only)


def on_recalled(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``report.recalled``: back to work."""
    _follow(uow, payload, ItemStatus.IN_TEST, (ItemStatus.REPORTED, ItemStatus.PARTLY_REPORTED))


def _follow(
    uow: UnitOfWork, payload: dict[str, Any], to: ItemStatus, states: Iterable[ItemStatus], only: Collection[int] | None = None
) -> None:
    """Move the tube's items (``only`` these) that stand in ``states``. A receipt nobody scanned is passed through."""
    lines = line.lock_of_tube(uow, int(payload["specimen_id"]), [s.value for s in states])
    lines = lines if only is None else [each for each in lines if each.id in only]
    reached: dict[ItemStatus, list[Line]] = {}
    for item in lines:
        for step in _steps(ItemStatus(item.status), to):
            move(uow, item, step)
            reached.setdefault(step, []).append(item)
    line.save(uow, lines)
    for step, there in reached.items():
        charges.post(uow, there, (step,))


def _steps(status: ItemStatus, to: ItemStatus) -> Iterable[ItemStatus]:
    if rules.may_move(status, to):
        return (to,)
    return (ItemStatus.RECEIVED, to) if rules.may_move(status, ItemStatus.RECEIVED) and rules.may_move(ItemStatus.RECEIVED, to) else ()
