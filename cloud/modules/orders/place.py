"""Placing orders: judge a whole message first, then apply it. The inside of ``service.place_order``.

Idempotent per (source, order item number). Nothing is changed when the message must be refused, so that a caller may store the
refusal in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as catalog
from cloud.modules.orders import charges, holds, line, merge, outside, patients, rules
from cloud.modules.orders.line import Line
from cloud.modules.orders.messages import Action, Charge, ItemData, OrderData, OrderMessage, Problem, Severity, Sex, VisitType
from cloud.modules.orders.models import LabOrder, OrderItem, ParkedCancel, Patient, RefundRequest, Visit
from cloud.modules.orders.rules import CancelAnswer, Change, ItemStatus
from cloud.modules.orders.stored import visit_no

CHINA = ZoneInfo("Asia/Shanghai")
MANUAL = "LIS"  # source of requests registered by hand; its codes are our own order sets
UNKNOWN_KEY, DUPLICATE_KEY, LOCKED, NOT_FOR_PATIENT = "204", "205", "206", "103"


class OrderRefused(Exception):
    """The message contradicts what is stored; nothing was changed. ``kind`` names the trouble for the work list."""

    def __init__(self, kind: str, problems: Sequence[Problem]) -> None:
        super().__init__(problems[0].text)
        self.kind, self.problems = kind, tuple(problems)


@dataclass
class Placed:
    """What a message did: items touched, remarks for the sender, and codes nobody has mapped."""

    patient_id: int
    order_ids: list[int] = field(default_factory=list)
    created: list[int] = field(default_factory=list)
    new: list[OrderItem] = field(default_factory=list)
    """The items created, themselves."""
    known: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)
    unmapped: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def warn(self, item: ItemData, field_no: int, code: str, text: str, severity: Severity = Severity.WARNING) -> None:
        """A remark about one item."""
        self.problems.append(Problem(f"{item.location}^{field_no}" if item.location else "ORC^1", code, text, severity))


def place_order(
    uow: UnitOfWork, message: OrderMessage, source: str, *, default_charge: Charge = Charge.UNPAID, alone: bool = False, fresh: bool = False
) -> Placed:
    """Apply one order message. ``default_charge`` is for items whose sender does not say; ``alone``: the caller has looked for records that
    may be of the same person, and there are none; ``fresh``: nothing the message names is stored (``stored.py``), so that nothing of it is
    looked for again. Raises OrderRefused before any change."""
    known = {} if fresh else _lock_items(uow, source, message)
    found = patients.Found(None) if fresh else patients.find(uow, message.patient)
    _judge(uow, message, known, found)
    before = (found.patient.sex, found.patient.birth) if found.patient is not None else None
    patient = patients.store(uow, message.patient, found)
    if before is not None and before != (patient.sex, patient.birth):
        holds.recheck(uow, patient)
        uow.emit("patient.corrected", f"patient:{patient.id}", {"patient_id": patient.id})
    placed = Placed(patient.id, problems=rules.person_problems(message.patient, _today(uow)))
    if found.patient is None and not alone:
        twins = merge.propose_like(uow, patient)
        if twins:
            text = f"可能与已有患者 {'、'.join(twins)} 是同一人，已列入患者合并核对"
            placed.problems.append(Problem("PID^1^3", DUPLICATE_KEY, text, Severity.WARNING))
    if found.renamed:
        placed.problems.append(Problem("PID^1^5", DUPLICATE_KEY, "姓名与本系统记录不同，已按本次更新，请核对", Severity.WARNING))
    visit = _store_visit(uow, message, source, patient, placed, fresh)
    work = _Work(uow, message, source, patient, visit, known, default_charge, placed, fresh)
    for order in message.orders:
        work.apply(order)
    work.finish()
    if work.consented:
        holds.recheck(uow, patient)
    _remarks(uow, patient, work, placed)
    return placed


def _remarks(uow: UnitOfWork, patient: Patient, work: _Work, placed: Placed) -> None:
    """What the sender is told of its new items: those that do not fit the patient, those that repeat an earlier one too soon."""
    asked = {each.order_item_no: each for each in work.message.items}
    rows = [each for each in (*work.new, *work.recoded) if ItemStatus(each.status) not in rules.ENDED]
    for row in holds.judge(uow, patient, rows):
        placed.warn(asked[row.order_item_no], 4, NOT_FOR_PATIENT, f"{row.hold}，申请已保留并挂起，待核实")
    for row, words in outside.repeats(uow, patient.id, work.new):
        placed.warn(asked[row.order_item_no], 4, DUPLICATE_KEY, words)


def move(uow: UnitOfWork, item: OrderItem | Line, to: ItemStatus, reason: str = "", barcode: str = "") -> None:
    before, item.status, item.status_at = item.status, to.value, uow.now
    uow.audit("order_item", item.id, to.value, before={"status": before}, after={"status": to.value}, reason=reason or None)
    payload = {
        "order_item_id": item.id, "order_id": item.order_id, "source": item.source, "order_item_no": item.order_item_no,
        "from": before, "status": to.value, "specimen_id": item.specimen_id, "reason": reason, "barcode": barcode,
        "actor": uow.actor.name, "at": uow.now.isoformat(),
    }  # fmt: skip
    uow.emit("order.item_status", f"order_item:{item.id}", payload)
    if to in (ItemStatus.CANCELLED, ItemStatus.REFUNDED):
        charges.credit(uow, item.id, reason)


# -- judging ---------------------------------------------------------------------------------------------------------------


_ITEMS = text("""
SELECT id FROM order_item WHERE tenant_id = :t AND source = :source AND order_item_no = ANY(:numbers) ORDER BY id FOR UPDATE
""")
_PARKED = text("""
SELECT id FROM parked_cancel WHERE tenant_id = :t AND source = :source AND order_item_no = ANY(:numbers) FOR UPDATE
""")
_VISIT = text("SELECT id FROM visit WHERE tenant_id = :t AND visit_no = :no FOR UPDATE")
_ORDER = text("SELECT id FROM lab_order WHERE tenant_id = :t AND source = :source AND placer_no = :no FOR UPDATE")


def _lock_items(uow: UnitOfWork, source: str, message: OrderMessage) -> dict[str, OrderItem]:
    numbers = sorted({i.order_item_no for i in message.items})
    # Mostly they are new: the rows themselves are loaded only where there are any.
    found = uow.s.scalars(_ITEMS, {"t": uow.tenant_id, "source": source, "numbers": numbers}).all()
    query = select(OrderItem).where(OrderItem.id.in_(found)).order_by(OrderItem.id).execution_options(populate_existing=True)
    rows = uow.s.scalars(query) if found else ()
    return {i.order_item_no: i for i in rows}


def _judge(uow: UnitOfWork, message: OrderMessage, known: dict[str, OrderItem], found: patients.Found) -> None:
    """Refuse the whole message when any part of it contradicts what is stored."""
    if found.other_person is not None:
        text = "该患者标识在本系统属于另一人，姓名与性别或出生日期都不一致"
        raise OrderRefused("patient_conflict", [Problem("PID^1^3", DUPLICATE_KEY, text)])
    owners = _owners(uow, known.values())
    problems = []
    for item in message.items:
        stored = known.get(item.order_item_no)
        if stored is None:
            continue
        if found.patient is None or owners[stored.order_id] != patients.final_id(uow, found.patient.id):
            text = f"申请项目号 {item.order_item_no} 已属于另一患者"
            raise OrderRefused("item_of_other_patient", [Problem(_at(item, 2), DUPLICATE_KEY, text)])
        problems += _item_problems(uow, item, stored)
    if problems:
        raise OrderRefused("locked", problems)


def _item_problems(uow: UnitOfWork, item: ItemData, stored: OrderItem) -> list[Problem]:
    status = ItemStatus(stored.status)
    if rules.wants_cancel(item.action, item.charge):
        if rules.judge_cancel(status, line.told(uow, stored)) is CancelAnswer.REFUSED:
            state = rules.STATUS_TEXT[status if status is ItemStatus.PARTLY_REPORTED else ItemStatus.REPORTED]
            return [Problem(_at(item, 2), LOCKED, f"项目 {item.order_item_no} {state}，不能取消或退费")]
        return []
    if rules.judge_update(_known(stored), item.code, item.charge) is Change.LOCKED:
        text = f"项目 {item.order_item_no} {rules.STATUS_TEXT[status]}，不能改为其他项目；请取消后重新申请"
        return [Problem(_at(item, 4), LOCKED, text)]
    return []


def _known(stored: OrderItem) -> rules.Known:
    return rules.Known(ItemStatus(stored.status), stored.his_code, Charge(stored.charge_state))


def _owners(uow: UnitOfWork, items: Iterable[OrderItem]) -> dict[int, int]:
    ids = {i.order_id for i in items}
    if not ids:
        return {}
    query = select(LabOrder.id, LabOrder.patient_id).where(LabOrder.id.in_(ids))
    return {order_id: patients.final_id(uow, patient_id) for order_id, patient_id in uow.s.execute(query)}


def _at(item: ItemData, number: int) -> str:
    return f"{item.location}^{number}" if item.location else f"ORC^1^{number}"


# -- applying --------------------------------------------------------------------------------------------------------------


def _today(uow: UnitOfWork) -> date:
    return uow.now.astimezone(CHINA).date()


def _store_visit(uow: UnitOfWork, message: OrderMessage, source: str, patient: Patient, placed: Placed, fresh: bool) -> Visit | None:
    data, number = message.visit, visit_no(message, source)
    if data is None:
        return None
    known = None if fresh else uow.s.scalar(_VISIT, {"t": uow.tenant_id, "no": number})
    visit = None if known is None else uow.s.get(Visit, (uow.tenant_id, known), populate_existing=True)
    if visit is None:
        visit = Visit(visit_no=number, patient_id=patient.id, kind=(data.kind or VisitType.OUTPATIENT).value)
    elif not patients.same(uow, visit.patient_id, patient.id):
        # One visit number for two patients: the order counts, the visit is not re-hung.
        placed.problems.append(Problem("PV1^1^19", DUPLICATE_KEY, "就诊号已属于另一患者，本次未采用", Severity.WARNING))
        return None
    new = {"dept": data.dept, "ward": data.ward, "bed": data.bed, "diagnosis": data.diagnosis, "kind": data.kind and data.kind.value}
    before = {}
    for name, value in new.items():
        if value and getattr(visit, name) != value:
            before[name] = getattr(visit, name)
            setattr(visit, name, value)
    if known is None:
        uow.insert(visit)
        uow.audit("visit", visit.id, "created", after={"visit_no": visit.visit_no, "patient_id": patient.id, "kind": visit.kind})
    elif before:
        uow.audit("visit", visit.id, "changed", before=before, after={k: new[k] for k in before})
    return visit


class _Work:
    """One message being applied: what is new is collected and written together, then what hangs on it."""

    def __init__(
        self,
        uow: UnitOfWork,
        message: OrderMessage,
        source: str,
        patient: Patient,
        visit: Visit | None,
        known: dict[str, OrderItem],
        default_charge: Charge,
        placed: Placed,
        fresh: bool,
    ) -> None:
        self.uow, self.message, self.source, self.patient, self.visit = uow, message, source, patient, visit
        self.known, self.default, self.placed, self.fresh = known, default_charge, placed, fresh
        self.parked = {} if fresh else self._parked()
        self.new: list[OrderItem] = []
        self.recoded: list[OrderItem] = []
        self.consented = False
        """A form known before says now whether its patient consented: what waits for that is judged again."""

    def apply(self, data: OrderData) -> None:
        """One form of the message."""
        order: LabOrder | None = None
        for item in data.items:
            stored = self.known.get(item.order_item_no)
            if stored is not None:
                self._refresh(self.uow.s.get_one(LabOrder, (self.uow.tenant_id, stored.order_id)), data)
                self.placed.known.append(stored.id)
                before = stored.order_set_id
                _apply_known(self.uow, item, stored, self.placed)
                if stored.order_set_id != before:
                    stored.hold_cleared = ""  # another item: what was asked of the ward was about the one before
                    self.recoded.append(stored)
            elif item.action is Action.CANCEL:
                _park(self.uow, self.message, item, self.source, self.parked, self.placed)
            else:
                order = order or self._order(data)
                self._create(order, data, item)

    def finish(self) -> None:
        """Write the new items, audit them, let overtaken cancellations take effect, tell the other modules."""
        self.uow.insert(*self.new)
        for row in self.new:
            after = {"no": row.order_item_no, "code": row.his_code, "charge": row.charge_state, "status": row.status}
            self.uow.audit("order_item", row.id, "placed", after=after)
            self.placed.created.append(row.id)
            self.placed.new.append(row)
            _apply_parked(self.uow, row, self.parked.get(row.order_item_no), self.placed)
        if self.new:
            payload = {"patient_id": self.patient.id, "order_ids": self.placed.order_ids, "item_ids": self.placed.created}
            self.uow.emit("order.placed", f"patient:{self.patient.id}", payload)

    def _parked(self) -> dict[str, ParkedCancel]:
        numbers = [i.order_item_no for i in self.message.items if i.order_item_no not in self.known]
        if not numbers:
            return {}
        found = self.uow.s.scalars(_PARKED, {"t": self.uow.tenant_id, "source": self.source, "numbers": numbers}).all()
        query = select(ParkedCancel).where(ParkedCancel.id.in_(found)).execution_options(populate_existing=True)
        rows = self.uow.s.scalars(query) if found else ()
        return {p.order_item_no: p for p in rows}

    def _touch(self, order: LabOrder) -> None:
        order.heard_at = self.uow.now
        if order.id not in self.placed.order_ids:
            self.placed.order_ids.append(order.id)

    def _refresh(self, order: LabOrder, data: OrderData) -> None:
        """What may change at any time: priority and note (R1); and that the sender has spoken of it."""
        before, after = dict[str, Any](), dict[str, Any]()
        for name, value in (("priority", data.priority.value), ("note", data.clinical_note or "")):
            if value and getattr(order, name) != value and (name != "priority" or not _only_cancels(data)):
                before[name], after[name] = getattr(order, name), value
                setattr(order, name, value)
        if not _only_cancels(data):
            self._form(order, data, before, after)
        if data.drugs is not None and order.drugs != data.drugs:
            before["drugs"], after["drugs"] = order.drugs, data.drugs
            order.drugs = data.drugs
        for name, told in (("fasting", data.fasting), ("consent", data.consent)):
            if told is not None and getattr(order, name) is not told:
                before[name], after[name] = getattr(order, name), told
                setattr(order, name, told)
                self.consented |= name == "consent"
        began = self._pregnant_from(data)
        if began is not None and order.gest_from != began:
            before["gest_from"] = order.gest_from.isoformat() if order.gest_from is not None else None
            after["gest_from"], order.gest_from = began.isoformat(), began
        if before:
            self.uow.audit("lab_order", order.id, "changed", before=before, after=after)
        if "priority" in after:
            self.uow.emit("order.priority", f"order:{order.id}", {"order_id": order.id, "priority": order.priority})
        self._touch(order)

    def _form(self, order: LabOrder, data: OrderData, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Who asked and for which day: until the first label is printed (R1); afterwards told, never dropped without a word."""
        told = {"doctor": data.doctor, "dept": data.dept, "planned_at": data.planned_at}
        new = {name: value for name, value in told.items() if value and getattr(order, name) != value}
        if not new:
            return
        query = select(OrderItem.status).where(OrderItem.order_id == order.id)
        if any(not rules.form_open(ItemStatus(status)) for status in self.uow.s.scalars(query)):
            words = "、".join(_FORM_WORDS[name] for name in new)
            text = f"申请单 {order.placer_no} 已打条码，{words}未更改；请取消后重新申请"
            problem = Problem("ORC^1", LOCKED, text, Severity.WARNING)
            self.placed.problems += [] if problem in self.placed.problems else [problem]  # once a form, however many items it has
            return
        for name, value in new.items():
            was = getattr(order, name)
            before[name], after[name] = str(was or ""), str(value)
            setattr(order, name, value)

    def _pregnant_from(self, data: OrderData) -> date | None:
        """What the request says of a pregnancy, but of no man's."""
        if data.gest_from is not None and self.message.patient.sex is Sex.MALE:
            self.placed.problems.append(Problem("PID^1^8", NOT_FOR_PATIENT, "患者为男性，孕周未采用，请核对", Severity.WARNING))
            return None
        return data.gest_from

    def _order(self, data: OrderData) -> LabOrder:
        """The request form of this number, or a new one."""
        asked = {"t": self.uow.tenant_id, "source": self.source, "no": data.order_no}
        known = None if self.fresh else self.uow.s.scalar(_ORDER, asked)
        found = None if known is None else self.uow.s.get(LabOrder, (self.uow.tenant_id, known), populate_existing=True)
        if found is not None and patients.same(self.uow, found.patient_id, self.patient.id):
            self._refresh(found, data)
            return found
        # A form number used for another patient: the items are what counts, so the form gets a number of its own.
        number = data.order_no if found is None else f"{data.order_no}/{data.items[0].order_item_no}"
        order = LabOrder(
            source=self.source,
            placer_no=number,
            patient_id=self.patient.id,
            visit_id=self.visit.id if self.visit is not None else None,
            doctor=data.doctor or "",
            dept=data.dept or (self.message.visit.dept if self.message.visit else None) or "",
            priority=data.priority.value,
            ordered_at=data.ordered_at or self.message.sent_at or self.uow.now,
            planned_at=data.planned_at,
            note=data.clinical_note or "",
            drugs=data.drugs,
            gest_from=self._pregnant_from(data),
            fasting=data.fasting,
            consent=data.consent,
            created_at=self.uow.now,
            heard_at=self.uow.now,
        )
        self.uow.insert(order)
        after = {"source": self.source, "placer_no": number, "patient_id": self.patient.id, "priority": order.priority}
        self.uow.audit("lab_order", order.id, "placed", after=after)
        self._touch(order)
        return order

    def _create(self, order: LabOrder, data: OrderData, item: ItemData) -> None:
        charge = item.charge or self.default
        kind = VisitType(self.visit.kind) if self.visit is not None else None
        code = item.code or item.name or ""
        mapped = _order_set(self.uow, self.source, code)
        row = OrderItem(
            order_id=order.id,
            source=self.source,
            order_item_no=item.order_item_no,
            his_code=code,
            his_name=item.name or "",
            order_set_id=mapped.id if mapped is not None else None,
            charge_state=charge.value,
            status=rules.first_status(charge, kind, data.priority).value,
            note=item.note or "",
            status_at=self.uow.now,
        )
        self.new.append(row)
        self.known[item.order_item_no] = row
        if mapped is None:
            _unmapped(item, code, self.placed)


_FORM_WORDS = {"doctor": "开单医生", "dept": "开单科室", "planned_at": "计划时间"}


def _only_cancels(data: OrderData) -> bool:
    return all(i.action is Action.CANCEL for i in data.items)


def _order_set(uow: UnitOfWork, source: str, code: str) -> catalog.OrderSetRow | None:
    known = catalog.catalog(uow)
    return known.order_sets_by_code.get(code) if source == MANUAL else known.order_set_of(source, code)


def _unmapped(item: ItemData, code: str, placed: Placed) -> None:
    placed.unmapped.append((code, item.name or ""))
    placed.warn(item, 4, UNKNOWN_KEY, f"项目 {code} 未对照，申请已保留，待检验科对照")


def _apply_known(uow: UnitOfWork, item: ItemData, stored: OrderItem, placed: Placed) -> None:
    if rules.wants_cancel(item.action, item.charge):
        _cancel(uow, item, stored, placed)
        return
    change = rules.judge_update(_known(stored), item.code, item.charge)
    if change is Change.ENDED:
        placed.warn(item, 2, LOCKED, f"项目 {item.order_item_no} {rules.STATUS_TEXT[ItemStatus(stored.status)]}，本次更新未采用")
    elif change is Change.APPLY:
        _update(uow, item, stored, placed)
    elif item.note and item.note != stored.note:
        uow.audit("order_item", stored.id, "changed", before={"note": stored.note}, after={"note": item.note})
        stored.note = item.note
    if stored.order_set_id is None and change is not Change.ENDED:
        _unmapped(item, stored.his_code, placed)


def _update(uow: UnitOfWork, item: ItemData, stored: OrderItem, placed: Placed) -> None:
    before = {"code": stored.his_code, "name": stored.his_name, "charge": stored.charge_state, "note": stored.note}
    if item.code is not None and item.code != stored.his_code:
        mapped = _order_set(uow, stored.source, item.code)
        stored.his_code, stored.his_name = item.code, item.name or ""
        stored.order_set_id = mapped.id if mapped is not None else None
    if item.charge is not None:
        stored.charge_state = item.charge.value
    stored.note = item.note or stored.note
    after = {"code": stored.his_code, "name": stored.his_name, "charge": stored.charge_state, "note": stored.note}
    uow.audit("order_item", stored.id, "changed", before=before, after=after)
    if ItemStatus(stored.status) is ItemStatus.REQUESTED and stored.charge_state == Charge.PAID.value:
        move(uow, stored, ItemStatus.CONFIRMED)
    placed.changed.append(stored.id)


def _cancel(uow: UnitOfWork, item: ItemData, stored: OrderItem, placed: Placed) -> None:
    answer = rules.judge_cancel(ItemStatus(stored.status))
    reason = item.reason or ("HIS 退费" if item.charge is Charge.REFUNDED else "HIS 取消")
    if answer is CancelAnswer.DONE:
        to = ItemStatus.REFUNDED if item.charge is Charge.REFUNDED else rules.ended_as(Charge(stored.charge_state))
        if item.charge is not None:
            stored.charge_state = item.charge.value
        move(uow, stored, to, reason)
        placed.cancelled.append(stored.id)
    elif answer is CancelAnswer.ALREADY and item.charge is Charge.REFUNDED and stored.charge_state == Charge.PAID.value:
        # The money of a request that ended before (ran out, say) was given back: nobody is asked to do it once more.
        uow.audit("order_item", stored.id, "changed", before={"charge": stored.charge_state}, after={"charge": item.charge.value})
        stored.charge_state = item.charge.value
        placed.changed.append(stored.id)
    elif answer is CancelAnswer.PENDING:
        _ask_refund(uow, stored, reason)
        placed.pending.append(stored.id)
        placed.warn(item, 2, LOCKED, f"pending 项目 {item.order_item_no} 标本已核收，待检验科确认")


def _ask_refund(uow: UnitOfWork, stored: OrderItem, reason: str) -> None:
    waiting = select(RefundRequest.id).where(RefundRequest.order_item_id == stored.id, RefundRequest.state == "waiting")
    if uow.s.scalars(waiting).first() is not None:
        return
    row = RefundRequest(order_item_id=stored.id, reason=reason, requested_at=uow.now)
    uow.s.add(row)
    uow.s.flush()
    uow.audit("refund_request", row.id, "asked", after={"order_item_id": stored.id}, reason=reason)
    uow.emit("order.refund_asked", f"order_item:{stored.id}", {"refund_id": row.id, "order_item_id": stored.id})


def _park(uow: UnitOfWork, message: OrderMessage, item: ItemData, source: str, parked: dict[str, ParkedCancel], placed: Placed) -> None:
    placed.parked.append(item.order_item_no)
    placed.warn(item, 2, UNKNOWN_KEY, f"申请项目号 {item.order_item_no} 不存在，取消已暂存 10 分钟等待申请到达")
    uow.audit("parked_cancel", f"{source}/{item.order_item_no}", "parked", reason=item.reason)
    if item.order_item_no in parked:
        parked[item.order_item_no].at = uow.now
        return
    row = ParkedCancel(
        source=source, order_item_no=item.order_item_no, patient_no=message.patient.ids[0].value, reason=item.reason or "", at=uow.now
    )
    uow.s.add(row)
    parked[item.order_item_no] = row


def _apply_parked(uow: UnitOfWork, stored: OrderItem, parked: ParkedCancel | None, placed: Placed) -> None:
    """The cancellation that overtook its order takes effect now."""
    if parked is None:
        return
    if uow.now - parked.at <= rules.PARKED_FOR:
        move(uow, stored, rules.ended_as(Charge(stored.charge_state)), parked.reason or "取消先于申请到达")
        placed.cancelled.append(stored.id)
    uow.s.delete(parked)
