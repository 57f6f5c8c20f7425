"""The verbs of critical values: found, confirmed, told with read-back, not one after all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from cloud.db.session import UnitOfWork
from cloud.modules.critical import rules
from cloud.modules.critical.models import CriticalAttempt, CriticalEvent
from cloud.modules.critical.rules import State
from common.errors import UserError


@dataclass(frozen=True, slots=True)
class Found:
    """A result beyond its critical limit, with who, where and what as they are at this moment."""

    test_id: int
    patient_id: int
    patient_name: str
    patient_no: str
    place: str
    barcode: str
    item_name: str
    value_text: str
    unit: str
    limit_text: str
    minutes: int
    found_at: datetime


def detect(uow: UnitOfWork, found: Sequence[Found]) -> None:
    """Open an event for each; a rerun of the same tube and item brings the open one's value up to date and opens no second."""
    if not found:
        return
    last = {each.test_id: each for each in found}
    rows = [asdict(each) | {"tenant_id": uow.tenant_id, "state": State.DETECTED.value} for each in last.values()]
    made = insert(CriticalEvent).values(rows)
    fresh = {"value_text": made.excluded.value_text, "version": CriticalEvent.version + 1}
    untold = CriticalEvent.state.in_([State.DETECTED, State.CONFIRMED, State.NOTIFYING, State.ESCALATED])
    answer = uow.s.execute(
        made.on_conflict_do_update(index_elements=["tenant_id", "test_id"], set_=fresh, where=untold).returning(CriticalEvent.id)
    )
    ids = sorted(answer.scalars())
    uow.audit("critical", ",".join(map(str, ids)), "detect", after={"tests": sorted(last), "values": [e.value_text for e in last.values()]})
    uow.notify("critical", {})


def confirm(uow: UnitOfWork, event_id: int, version: int) -> None:
    """A person has checked tube, curve and QC: it is a critical value."""
    event = _locked(uow, event_id, version)
    _move(event, State.CONFIRMED)
    event.confirmed_at, event.confirmed_by = uow.now, uow.actor.user_id
    uow.audit("critical", event_id, "confirm", after={"value": event.value_text})
    uow.notify("critical", {})


def tell(uow: UnitOfWork, event_id: int, version: int, receiver: str, readback: str) -> str | None:
    """Register a phone call. Returns the sentence that says why it does not count (the attempt is kept all the same), or None."""
    event = _locked(uow, event_id, version)
    if not rules.may_move(State(event.state), State.RECEIVED):
        raise UserError("conflict", f"该危急值目前为“{rules.WORDS[State(event.state)]}”，不能登记通知。")
    problem = rules.phone_problem(receiver, readback, event.value_text)
    attempt = CriticalAttempt(
        event_id=event_id,
        at=uow.now,
        by_id=uow.actor.user_id,
        by_name=uow.actor.name,
        channel="phone",
        receiver=receiver.strip()[:60],
        readback=readback.strip()[:60],
        ok=problem is None,
        note=problem or "",
    )
    uow.s.add(attempt)
    if problem is None:
        _move(event, State.RECEIVED)
        event.received_at, event.received_by, event.readback = uow.now, attempt.receiver, attempt.readback
    detail = {"receiver": attempt.receiver, "readback": attempt.readback, "told": event.value_text}
    uow.audit("critical", event_id, "told" if problem is None else "readback_refused", after=detail, reason=problem)
    uow.notify("critical", {})
    return problem


def handle(uow: UnitOfWork, event_id: int, version: int, action: str) -> None:
    """What the ward did about it."""
    event = _locked(uow, event_id, version)
    if not action.strip():
        raise UserError("invalid", "请填写处置措施。", field="action")
    _move(event, State.HANDLED)
    event.action_text = action.strip()[:500]
    uow.audit("critical", event_id, "handle", after={"action": event.action_text})
    uow.notify("critical", {})


def dismiss(uow: UnitOfWork, event_id: int, version: int, reason: str) -> None:
    """Not a critical value after all: the reason is the record."""
    event = _locked(uow, event_id, version)
    if not reason.strip():
        raise UserError("invalid", "请写明为什么不是危急值。", field="reason")
    _move(event, State.FALSE_ALARM)
    event.reason, event.closed_at = reason.strip()[:500], uow.now
    uow.audit("critical", event_id, "false_alarm", after={"value": event.value_text}, reason=event.reason)
    uow.notify("critical", {})


def _locked(uow: UnitOfWork, event_id: int, version: int) -> CriticalEvent:
    event = uow.s.execute(select(CriticalEvent).where(CriticalEvent.id == event_id).with_for_update()).scalar_one_or_none()
    if event is None:
        raise UserError("not_found", "该危急值不存在，请核对后重试。")
    if event.version != version:
        word = rules.WORDS[State(event.state)]
        raise UserError("stale", f"您打开之后该危急值已由他人处理，现为“{word}”，数值 {event.value_text}。请按最新情况操作。")
    return event


def _move(event: CriticalEvent, to: State) -> None:
    if not rules.may_move(State(event.state), to):
        raise UserError("conflict", f"该危急值目前为“{rules.WORDS[State(event.state)]}”，不能改为“{rules.WORDS[to]}”。")
    event.state = to.value
