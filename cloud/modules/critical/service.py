"""The verbs of critical values: checked twice, told with read-back, escalated by the clock, acknowledged, handled, closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.critical import queries, robot, rules, veil
from cloud.modules.critical.detect import ZONE, Found, detect, direction_of
from cloud.modules.critical.models import CriticalAttempt, CriticalCheck, CriticalEvent
from cloud.modules.critical.rules import Call, Channel, Result, State
from cloud.modules.critical.setup import contact_for, remove_contact, remove_quiet, save_contact, save_quiet
from cloud.modules.platform import alerts, signing
from cloud.modules.platform import service as platform
from cloud.modules.platform.alerts import Level
from cloud.web.principal import Principal
from common.errors import UserError
from common.say import Said, say

# --- double check (R2) ----------------------------------------------------------------------------------------------


def confirm(uow: UnitOfWork, event_id: int, version: int) -> bool:
    """A person has looked at tube, curve, QC and history. True when this was the second look: it is a critical value, and the unit is told.

    UserErrors: conflict (not waiting for a check; the same person by day, or within a minute), stale.
    """
    event = _locked(uow, event_id, version)
    if State(event.state) is not State.DETECTED:
        raise _refused(event, State.CONFIRMED)
    looks = checks(uow, event_id)
    # Only the looks at what stands: after a turn of direction the count begins anew.
    done = [rules.Check(c.by_id, c.at) for c in looks[len(looks) - event.n_checks :]]
    who = uow.actor.user_id or 0
    alone = rules.alone_allowed(uow.now.astimezone(ZONE).hour, event.urgent)
    problem = rules.check_problem(done, who, uow.now, alone)
    problem = problem or rules.rerun_problem(event.needs_rerun, len(event.reruns), event.rerun_waived, len(done))
    if problem is not None:
        raise UserError("conflict", problem)
    event.n_checks = len(done) + 1
    uow.s.add(
        CriticalCheck(event_id=event_id, no=len(looks) + 1, by_id=who, by_name=uow.actor.name, at=uow.now, value_text=event.value_text)
    )
    uow.audit("critical", event_id, "confirm", after={"value": event.value_text, "check": event.n_checks})
    uow.notify("critical", {})
    if event.n_checks < 2:
        return False
    _move(event, State.CONFIRMED)
    event.confirmed_at, event.confirmed_by = uow.now, who
    # The ward's pop-up and the hospital system hear of it from this event; channels nobody has set up say so.
    uow.emit("critical.confirmed", f"critical:{event.patient_id}", {"critical_id": event.id})
    _attempt(uow, event, Channel.SMS, "", Result.UNSET)
    groups = robot.tell(uow, event)
    for name in groups or ("",):
        _attempt(uow, event, Channel.WECHAT, name, Result.QUEUED if groups else Result.UNSET)
    return True


def waive_rerun(uow: UnitOfWork, event_id: int, version: int, reason: str) -> None:
    """The rerun that the rule asks for cannot be made (nothing left in the tube, the patient cannot wait): why."""
    event = _locked(uow, event_id, version)
    if State(event.state) is not State.DETECTED or not event.needs_rerun:
        raise UserError("conflict", say("该危急值目前为“{state}”，不需要复查。", state=rules.WORDS[State(event.state)]))
    if not reason.strip():
        raise UserError("invalid", say("请写明为什么不能复查，例如：标本量不足。"), field="reason")
    event.rerun_waived = reason.strip()[:300]
    uow.audit("critical", event_id, "rerun_waived", after={"value": event.value_text}, reason=event.rerun_waived)
    uow.notify("critical", {})


def checks(uow: UnitOfWork, event_id: int) -> list[CriticalCheck]:
    """The looks so far."""
    return list(uow.s.execute(select(CriticalCheck).where(CriticalCheck.event_id == event_id).order_by(CriticalCheck.no)).scalars())


def dismiss(uow: UnitOfWork, event_id: int, version: int, reason: str) -> None:
    """Not a critical value after all: the reason is the record."""
    event = _locked(uow, event_id, version)
    if not reason.strip():
        raise UserError("invalid", say("请写明为什么不是危急值。"), field="reason")
    line = queries.one(uow, event_id)
    problem = rules.dismiss_problem(State(event.state), None if line is None else line.stands)
    if problem is not None:
        raise UserError("conflict", problem, state=event.state)
    _move(event, State.FALSE_ALARM)
    alerts.clear(uow, "critical.clock", f"event:{event_id}")
    event.reason, event.closed_at = reason.strip()[:500], uow.now
    uow.audit("critical", event_id, "false_alarm", after={"value": event.value_text}, reason=event.reason)
    uow.notify("critical", {})


# --- telling (R3, R5) -----------------------------------------------------------------------------------------------


def tell(uow: UnitOfWork, event_id: int, version: int, call: Call, channel: Channel = Channel.PHONE) -> Said | None:
    """Register an answered call. Returns the sentence that says why it does not count (a wrong read-back is kept all the same), or None."""
    event = _locked(uow, event_id, version)
    if State(event.state) not in (*rules.TELLABLE, State.UNREACHABLE):
        raise UserError("conflict", say("该危急值目前为“{state}”，不能登记通知。", state=rules.WORDS[State(event.state)]))
    problem = rules.call_problem(call, event.value_text, event.found_at, uow.now, channel is Channel.POPUP)
    if problem is not None and not problem[1]:
        return problem[0]
    receiver = f"{call.dept.strip()} {call.receiver.strip()}"[:80]
    outcome = Result.OK if problem is None else Result.MISMATCH
    _attempt(uow, event, channel, receiver, outcome, call.readback.strip()[:60], "" if problem is None else problem[0])
    if problem is None:
        _received(event, call, receiver, None)
        alerts.clear(uow, "critical.clock", f"event:{event_id}")
    else:
        _notifying(uow, event)
    detail = {"receiver": receiver, "readback": call.readback.strip()[:60], "told": event.value_text, "at": call.at.isoformat()}
    uow.audit("critical", event_id, "told" if problem is None else "readback_refused", after=detail, reason=problem and problem[0])
    uow.notify("critical", {})
    return None if problem is None else problem[0]


def no_answer(uow: UnitOfWork, event_id: int, version: int, called: str, patient: bool = False) -> bool:
    """A call that nobody answered. True when it was the third: the event is unreachable and goes up with the next round of the clock."""
    event = _locked(uow, event_id, version)
    if State(event.state) not in rules.TELLABLE:
        raise UserError("conflict", say("该危急值目前为“{state}”，不能登记通知。", state=rules.WORDS[State(event.state)]))
    if not called.strip():
        raise UserError("invalid", say("请填写拨打的电话或人员。"), field="called")
    channel = Channel.PATIENT if patient else Channel.PHONE
    _attempt(uow, event, channel, called.strip()[:80], Result.NO_ANSWER)
    _notifying(uow, event)
    uow.s.flush()
    mine = (CriticalAttempt.event_id == event_id) & (CriticalAttempt.channel == channel.value)
    failed = select(func.count()).where(mine, CriticalAttempt.outcome == Result.NO_ANSWER.value)
    lost = State(event.state) is State.NOTIFYING and rules.is_unreachable(uow.s.execute(failed).scalar_one())
    if lost:
        _move(event, State.UNREACHABLE)
    uow.audit("critical", event_id, "no_answer", after={"called": called.strip()[:80], "state": event.state})
    uow.notify("critical", {})
    return lost


def shown(uow: UnitOfWork, event_ids: list[int]) -> bool:
    """The pop-up of these events stands on a screen of the ward; said once an event and person. True when something was written."""
    wrote = False
    # In one order: two screens of a ward ask for the same rows.
    query = select(CriticalEvent).where(CriticalEvent.id.in_(event_ids)).order_by(CriticalEvent.id).with_for_update()
    for event in uow.s.execute(query).scalars():
        seen = select(CriticalAttempt.id).where(
            CriticalAttempt.event_id == event.id,
            CriticalAttempt.channel == Channel.POPUP.value,
            CriticalAttempt.by_id == uow.actor.user_id,
        )
        if State(event.state) in rules.TELLABLE and uow.s.execute(seen.limit(1)).scalar() is None:
            with _beside(uow, event):
                _attempt(uow, event, Channel.POPUP, uow.actor.name, Result.SHOWN)
                _notifying(uow, event)
            wrote = True
    return wrote


def passed_on(uow: UnitOfWork, event_id: int, channel: Channel, to: str, result: Result) -> None:
    """Another door (HIS) has taken the message, or is not set up."""
    event = uow.s.execute(select(CriticalEvent).where(CriticalEvent.id == event_id).with_for_update()).scalar_one_or_none()
    if event is not None:
        _attempt(uow, event, channel, to, result)
        if result is Result.QUEUED and State(event.state) is State.CONFIRMED:
            with _beside(uow, event):
                _notifying(uow, event)
        uow.notify("critical", {})


def send(uow: UnitOfWork) -> None:
    """Job, every ten seconds: what the groups of WeChat-Work are to hear goes out. It calls somebody, it is no receipt."""
    for row, name in robot.due(uow):
        event = uow.s.execute(select(CriticalEvent).where(CriticalEvent.id == row.event_id).with_for_update()).scalar_one()
        with _beside(uow, event):
            _attempt(uow, event, Channel.WECHAT, name, Result.SENT, level=row.level)
            _notifying(uow, event)
        uow.notify("critical", {})


@dataclass(frozen=True)
class Reply:
    """What a person on the ward answers to the pop-up: the value read back, and, with it or later, what was done."""

    version: int
    readback: str
    dept: str
    action: str = ""


def reply(uow: UnitOfWork, event_id: int, said: Reply, who: Principal, signer: signing.Signer) -> Said | None:
    """The ward has read it and repeats it; a doctor's reply is signed (C9) and is the acknowledgement too. Why it does not count, or None.

    UserErrors: reauth (a doctor without an open signing window), stale, conflict.
    """
    doctor = "clinician" in who.roles
    window = platform.require_signing(uow, who) if doctor else ""
    problem = tell(uow, event_id, said.version, Call(who.name, said.dept, said.readback, True, uow.now), Channel.POPUP)
    if problem is not None:
        return problem
    event = _event(uow, event_id)
    event.received_by_id = who.user_id
    if doctor:
        _acknowledged(uow, event, who, window, signer)
    if said.action.strip():
        _handled(uow, event, said.action, who.name)
    return None


def acknowledge(uow: UnitOfWork, event_id: int, version: int, who: Principal, signer: signing.Signer) -> None:
    """The doctor knows (signed, C9)."""
    window = platform.require_signing(uow, who)
    _acknowledged(uow, _locked(uow, event_id, version), who, window, signer)


def handle(uow: UnitOfWork, event_id: int, version: int, action: str, by: str = "") -> None:
    """What the ward did about it, and who said so."""
    event = _locked(uow, event_id, version)
    if not action.strip():
        raise UserError("invalid", say("请填写处置措施。"), field="action")
    _handled(uow, event, action, by.strip()[:60] or uow.actor.name)


def close(uow: UnitOfWork, event_id: int, version: int, difficulty: str = "") -> None:
    """The register's line is complete (R9: only after receipt and handling)."""
    event = _locked(uow, event_id, version)
    _move(event, State.CLOSED)
    event.closed_at = uow.now
    if difficulty.strip():
        event.difficulty = difficulty.strip()[:300]
    uow.audit("critical", event_id, "close", after={"difficulty": event.difficulty})
    uow.notify("critical", {})


def note_difficulty(uow: UnitOfWork, event_id: int, version: int, difficulty: str) -> None:
    """Why it took so long, for the late list."""
    event = _locked(uow, event_id, version)
    before, event.difficulty = event.difficulty, difficulty.strip()[:300]
    if before != event.difficulty:
        uow.audit("critical", event_id, "difficulty", before={"text": before}, after={"text": event.difficulty})


# --- escalation (R4) ------------------------------------------------------------------------------------------------

WATCH_BATCH = 500


def watch(uow: UnitOfWork) -> None:
    """Calendar job, every 10 s: what each running clock asks for now."""
    # Only clocks that can still ask for something, so that old ones never crowd out the new.
    going = CriticalEvent.state.in_([s.value for s in rules.UNTOLD]) & (
        (CriticalEvent.escalation_level < rules.LEVELS) | (CriticalEvent.state == State.UNREACHABLE.value)
    )
    acted = CriticalEvent.state.in_([State.RECEIVED.value, State.ACKNOWLEDGED.value]) & CriticalEvent.nagged_at.is_(None)
    query = select(CriticalEvent).where(going | acted).order_by(CriticalEvent.id.desc()).limit(WATCH_BATCH)
    for event in uow.s.execute(query.with_for_update(skip_locked=True)).scalars().all():
        with _beside(uow, event):
            while (next_due := rules.due(_running(event), uow.now)) is not None:
                _do(uow, event, *next_due)


def _do(uow: UnitOfWork, event: CriticalEvent, what: rules.Due, level: int) -> None:
    unreachable = False
    if what is rules.Due.REMIND:
        event.reminded_at = uow.now
    elif what is rules.Due.NAG:
        event.nagged_at = uow.now
    else:
        unreachable = event.state == State.UNREACHABLE
        escalate_to(uow, event, level)
    _alert(uow, event, UNREACHABLE if unreachable else ALERTS[what])
    uow.audit("critical", event.id, what.value, after={"level": event.escalation_level, "state": event.state})
    uow.emit(f"critical.{what.value}", f"critical:{event.patient_id}", {"critical_id": event.id, "level": event.escalation_level})
    uow.notify("critical", {})


ALERTS = {
    rules.Due.REMIND: (Level.WARNING, "危急值通知时限已过半：%(place)s %(name)s %(item)s %(value)s"),
    rules.Due.ESCALATE: (Level.URGENT, "危急值超时未通知，已升级：%(place)s %(name)s %(item)s %(value)s"),
    rules.Due.NAG: (Level.WARNING, "危急值接收 30 分钟未见处置：%(place)s %(name)s %(item)s %(value)s"),
}


UNREACHABLE = (Level.URGENT, "危急值三次无人接听，已升级：%(place)s %(name)s %(item)s %(value)s")


def _alert(uow: UnitOfWork, event: CriticalEvent, words: tuple[Level, str]) -> None:
    level, message = words
    # Who reads alerts is not asked for the right to sensitive items.
    item, value = (veil.HIDDEN, "") if veil.is_sensitive(uow, event) else (event.item_name, event.value_text)
    fields = {"place": event.place, "name": event.patient_name, "item": item, "value": value}
    url = f"/critical/phone/{event.id}"
    found = alerts.Alert("critical.clock", f"event:{event.id}", level, message, url, rules.Perm.HANDLE, fields)
    alerts.raise_alert(uow, replace(found, at=places.code(uow, event.section_id)))


def escalate_to(uow: UnitOfWork, event: CriticalEvent, level: int) -> None:
    """The next level is to be called; who that is stands in the duty roster or the list of contacts."""
    who = contact_for(uow, level, event)
    _attempt(uow, event, Channel.LEVEL, who, Result.DUE if who else Result.UNSET, level=level, note=rules.LEVEL_WORDS[level])
    if State(event.state) is not State.DETECTED:  # nobody outside hears of what the laboratory has not checked
        robot.tell(uow, event, level)
    event.escalation_level = level
    event.reminded_at = event.reminded_at or uow.now
    if rules.may_move(State(event.state), State.ESCALATED):
        event.state = State.ESCALATED.value


def escalate(uow: UnitOfWork, event_id: int, version: int, level: int) -> None:
    """A person does not wait for the clock. UserErrors: stale (the clock was there first), conflict."""
    if level not in rules.LEVEL_WORDS:
        raise UserError("invalid", say("请选择升级级别。"), field="level")
    event = _locked(uow, event_id, version)
    if event.escalation_level >= level:
        raise UserError("stale", say("该危急值已升级到“{level}”，请按最新情况操作。", level=rules.LEVEL_WORDS[event.escalation_level]))
    if State(event.state) not in (*rules.TELLABLE, State.UNREACHABLE):
        raise _refused(event, State.ESCALATED)
    _do(uow, event, rules.Due.ESCALATE, min(event.escalation_level + 1, rules.LEVELS))


def _running(event: CriticalEvent) -> rules.Running:
    return rules.Running(
        State(event.state),
        event.found_at,
        event.minutes,
        event.escalation_level,
        event.reminded_at is not None,
        event.received_at,
        event.nagged_at is not None,
    )


# --- shared ---------------------------------------------------------------------------------------------------------


def _attempt(
    uow: UnitOfWork,
    event: CriticalEvent,
    channel: Channel,
    receiver: str,
    result: Result,
    readback: str = "",
    note: str = "",
    level: int = 0,
) -> None:
    uow.s.add(
        CriticalAttempt(
            event_id=event.id,
            at=uow.now,
            by_id=uow.actor.user_id,
            by_name=uow.actor.name,
            channel=channel.value,
            receiver=receiver,
            readback=readback,
            ok=result is Result.OK,
            outcome=result.value,
            level=level,
            note=note,
        )
    )


def _notifying(uow: UnitOfWork, event: CriticalEvent) -> None:
    event.notified_at = event.notified_at or uow.now
    if State(event.state) is State.CONFIRMED:
        _move(event, State.NOTIFYING)


def _received(event: CriticalEvent, call: Call, receiver: str, user_id: int | None) -> None:
    if State(event.state) is State.UNREACHABLE:
        _move(event, State.ESCALATED)
    _move(event, State.RECEIVED)
    event.notified_at = event.notified_at or call.at
    event.received_at, event.received_by, event.received_dept = call.at, receiver, call.dept.strip()[:60]
    event.readback, event.received_by_id = call.readback.strip()[:60], user_id


def _acknowledged(uow: UnitOfWork, event: CriticalEvent, who: Principal, window: str, signer: signing.Signer) -> None:
    _move(event, State.ACKNOWLEDGED)
    event.doctor_name, event.doctor_ack_at = who.name, uow.now
    signed = signing.content_hash(signed_content(event))
    signing.sign(uow, signing.Act("critical", "acknowledge", who.user_id, window), [(event.id, signed)], signer)
    uow.audit("critical", event.id, "doctor_acknowledged", after={"doctor": who.name, "window": window})
    uow.notify("critical", {})


def signed_content(event: CriticalEvent) -> dict[str, Any]:
    """What a doctor's signature covers."""
    at: datetime | None = event.doctor_ack_at
    return {
        "event": event.id,
        "patient": event.patient_no,
        "name": event.patient_name,
        "item": event.item_name,
        "value": event.value_text,
        "unit": event.unit,
        "readback": event.readback,
        "doctor": event.doctor_name,
        "at": None if at is None else at.astimezone(ZONE).isoformat(),
    }


def _handled(uow: UnitOfWork, event: CriticalEvent, action: str, by: str) -> None:
    _move(event, State.HANDLED)
    alerts.clear(uow, "critical.clock", f"event:{event.id}")
    event.action_text, event.action_at, event.action_by = action.strip()[:500], uow.now, by
    uow.audit("critical", event.id, "handle", after={"action": event.action_text, "by": by})
    uow.notify("critical", {})


def _event(uow: UnitOfWork, event_id: int) -> CriticalEvent:
    event = uow.s.execute(select(CriticalEvent).where(CriticalEvent.id == event_id).with_for_update()).scalar_one_or_none()
    if event is None:
        raise UserError("not_found", say("该危急值不存在，请核对后重试。"))
    return event


def _locked(uow: UnitOfWork, event_id: int, version: int) -> CriticalEvent:
    event = _event(uow, event_id)
    if event.version != version:
        word = rules.WORDS[State(event.state)]
        raise UserError(
            "stale",
            say("您打开之后该危急值已由他人处理，现为“{state}”，数值 {value}。请按最新情况操作。", state=word, value=event.value_text),
        )
    return event


@contextmanager
def _beside(uow: UnitOfWork, event: CriticalEvent) -> Iterator[None]:
    """What the clock or another door writes leaves the version alone: it would refuse the call that somebody holds in the other hand, and
    nothing of what they see (value, checks, receipt) has changed."""
    before = event.version
    yield
    uow.s.flush()
    if event.version != before:
        uow.s.execute(update(CriticalEvent).where(CriticalEvent.id == event.id).values(version=before))


def _move(event: CriticalEvent, to: State) -> None:
    if not rules.may_move(State(event.state), to):
        raise _refused(event, to)
    event.state = to.value


def _refused(event: CriticalEvent, to: State) -> UserError:
    state = rules.WORDS[State(event.state)]
    return UserError("conflict", say("该危急值目前为“{state}”，不能改为“{to}”。", state=state, to=rules.WORDS[to]), state=event.state)


__all__ = [
    "Call",
    "Channel",
    "Found",
    "Reply",
    "Result",
    "acknowledge",
    "checks",
    "close",
    "confirm",
    "detect",
    "direction_of",
    "dismiss",
    "escalate",
    "handle",
    "no_answer",
    "note_difficulty",
    "passed_on",
    "remove_contact",
    "remove_quiet",
    "reply",
    "save_contact",
    "save_quiet",
    "send",
    "shown",
    "tell",
    "waive_rerun",
    "watch",
]
