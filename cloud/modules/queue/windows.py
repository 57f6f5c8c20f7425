"""The verbs of the queue that staff start: windows open and close, call, pass, serve, finish; the guide's desk. No flask, no commit.

Calling locks the line's one row first, then the ticket: two windows pressing together never get one ticket (AC-Q-4).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.queue import rules, service, store
from cloud.modules.queue.models import QueueTicket, QueueWindow, TicketJob
from cloud.modules.queue.rules import Klass, Ticket, Window
from cloud.modules.specimens import service as specimens
from cloud.reports.documents import TicketDocument, to_json
from common.errors import UserError
from common.say import say, word

# --- windows ------------------------------------------------------------------------------------------------------------------------------


def _window(uow: UnitOfWork, window_id: int) -> QueueWindow:
    row = uow.s.get(QueueWindow, (uow.tenant_id, window_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", "这个窗口不存在，请重新选择。")
    return row


def _set_window(uow: UnitOfWork, row: QueueWindow, to: Window) -> None:
    if row.state == to:
        return
    if to not in rules.WINDOW_TRANSITIONS[Window(row.state)]:
        raise UserError(
            "conflict",
            say(
                "{no} 号窗口“{state}”，不能改为“{to}”。",
                no=row.no,
                state=word(rules.WINDOW_WORDS[Window(row.state)]),
                to=word(rules.WINDOW_WORDS[to]),
            ),
            state=row.state,
        )
    before, row.state = row.state, to.value
    uow.audit("queue_window", row.id, to.value, {"state": before}, {"state": to.value, "no": row.no})
    uow.notify("queue", {"hall": row.hall})


def open_window(uow: UnitOfWork, window_id: int) -> QueueWindow:
    """Sit down at a window. A window of a colleague must be closed by them first."""
    row = _window(uow, window_id)
    if row.state != Window.CLOSED and row.operator_id not in (None, uow.actor.user_id):
        raise UserError("conflict", say("{no} 号窗口正由他人使用，请选别的窗口，或请对方先关闭。", no=row.no))
    row.operator_id = uow.actor.user_id
    if row.state in (Window.CLOSED, Window.PAUSED):
        _set_window(uow, row, Window.OPEN)
    return row


def pause_window(uow: UnitOfWork, window_id: int) -> None:
    """A break: a called patient who is not being served goes back to the head of the line (R6)."""
    row = _own(uow, window_id)
    ticket = current(uow, window_id)
    if ticket is not None and ticket.state == Ticket.SERVING:
        raise UserError("conflict", say("{no} 号正在采血，请先完成再暂停。", no=ticket.no))
    if ticket is not None:
        ticket.calls, ticket.called_at, ticket.window_id = 0, None, None
        service.move(uow, ticket, Ticket.WAITING, {"window_paused": row.no})
    _set_window(uow, row, Window.PAUSED)


def close_window(uow: UnitOfWork, window_id: int) -> None:
    """Leave the window."""
    row = _own(uow, window_id)
    if current(uow, window_id) is not None:
        raise UserError("conflict", "还有一位患者没有处理完，请先完成、过号或暂停。")
    _set_window(uow, row, Window.CLOSED)
    row.operator_id = None


def _own(uow: UnitOfWork, window_id: int) -> QueueWindow:
    row = _window(uow, window_id)
    if row.operator_id != uow.actor.user_id:
        raise UserError("conflict", say("{no} 号窗口现在不由您操作，请重新选择窗口。", no=row.no))
    return row


def current(uow: UnitOfWork, window_id: int) -> QueueTicket | None:
    """The ticket called to or served at a window."""
    here = (QueueTicket.window_id == window_id) & QueueTicket.state.in_((Ticket.CALLED, Ticket.SERVING))
    return uow.s.scalars(select(QueueTicket).where(here).order_by(QueueTicket.id.desc()).limit(1).with_for_update()).first()


# --- calling ------------------------------------------------------------------------------------------------------------------------------


def call_next(uow: UnitOfWork, window_id: int) -> QueueTicket | None:
    """Call the next patient by R3; None when nobody waits. Raises UserError while the window has somebody, or is not open."""
    window = _own(uow, window_id)
    busy = current(uow, window_id)
    if busy is not None:
        raise UserError("conflict", say("{no} 号还没有处理完，请先完成或过号。", no=busy.no))
    if window.state != Window.OPEN:
        raise UserError("conflict", say("窗口“{state}”，请先打开窗口。", state=word(rules.WINDOW_WORDS[Window(window.state)])))
    day = store.today(uow)
    for line in window.services:
        ticket = _pick(uow, window, day, line)
        if ticket is not None:
            ticket.window_id, ticket.called_at, ticket.calls, ticket.operator_id = window.id, uow.now, 1, uow.actor.user_id
            service.move(uow, ticket, Ticket.CALLED, {"window": window.no})
            _set_window(uow, window, Window.BUSY)
            return ticket
    return None


def _pick(uow: UnitOfWork, window: QueueWindow, day: date, service: str) -> QueueTicket | None:
    line = store.lock_line(uow, window.hall, day, service)
    here = store.waiting(uow, window.hall, day, [service])
    while chosen := rules.choose(here, line.consecutive_p, store.priority_every(uow)):
        ticket = uow.s.get_one(QueueTicket, (uow.tenant_id, chosen.id), with_for_update=True)
        if ticket.state == Ticket.WAITING:
            line.consecutive_p = rules.next_run(chosen.klass, line.consecutive_p)
            return ticket
        here.remove(chosen)  # the guide took it out of the line while we waited for it
    return None


def recall(uow: UnitOfWork, window_id: int) -> QueueTicket:
    """Call the same patient again: at most three times, 30 s apart (R5)."""
    ticket = _called(uow, window_id)
    problem = rules.call_problem(ticket.calls, ticket.called_at, uow.now)
    if problem is not None:
        raise UserError("conflict", problem)
    ticket.calls, ticket.called_at = ticket.calls + 1, uow.now
    uow.audit("queue_ticket", ticket.id, "recall", after={"calls": ticket.calls})
    uow.notify("queue", {"hall": ticket.hall})
    return ticket


def pass_ticket(uow: UnitOfWork, window_id: int) -> QueueTicket:
    """过号: nobody came after three calls."""
    window, ticket = _own(uow, window_id), _called(uow, window_id)
    problem = rules.pass_problem(ticket.calls, ticket.called_at, uow.now)
    if problem is not None:
        raise UserError("conflict", problem)
    ticket.pass_count += 1
    service.move(uow, ticket, Ticket.PASSED, {"pass_count": ticket.pass_count})
    _set_window(uow, window, Window.OPEN)
    return ticket


def serve(uow: UnitOfWork, window_id: int, code: str, identifiers: Collection[str]) -> QueueTicket:
    """R9: the ticket or card is scanned and two identifiers are asked; both are recorded. Another person's code is refused."""
    ticket = _called(uow, window_id)
    person = specimens.find_person(uow, code)
    if person is None:
        raise UserError("not_found", "扫到的码没有对应的患者，请扫患者的小票或就诊卡。")
    if ticket.patient_id is None:
        ticket.patient_id = person.id
    if ticket.patient_id != person.id:
        raise UserError("conflict", say("身份不符：扫到的是另一位患者，不是 {no} 号。请核对小票和卡。", no=ticket.no))
    checked = sorted(set(identifiers) & set(specimens.IDENTIFIERS))
    if len(checked) < 2:
        raise UserError("invalid", "请先与患者核对两项身份信息（例如姓名和出生日期）。", field="identifiers")
    ticket.serving_at = uow.now
    ticket.answers = {**ticket.answers, "identifiers": checked}
    service.move(uow, ticket, Ticket.SERVING, {"identifiers": checked})
    return ticket


def print_labels(uow: UnitOfWork, window_id: int) -> tuple[list[specimens.LabelDocument], specimens.LabelJob]:
    """R9: labels are printed only now, for the patient whose identity was just checked at this window."""
    window, ticket = _own(uow, window_id), _serving(uow, window_id)
    person = None if ticket.patient_id is None else specimens.person(uow, ticket.patient_id)
    if person is None:
        raise UserError("conflict", "这张号票还没有对应的患者，请先扫患者的卡。")
    plan = specimens.plan_tubes(uow, person)
    wanted = [each.order_item_id for tube in plan.tubes for each in tube.asked]
    return specimens.print_labels(uow, person.id, wanted, ticket.answers.get("identifiers", ()), f"{window.hall} {window.no} 号窗口")


def scan_tube(uow: UnitOfWork, window_id: int, code: str) -> specimens.Answer:
    """Scan a tube closed for the patient being served."""
    window, ticket = _own(uow, window_id), _serving(uow, window_id)
    return specimens.collect(uow, code, ticket.patient_id or 0, f"{window.hall} {window.no} 号窗口")


def _serving(uow: UnitOfWork, window_id: int) -> QueueTicket:
    ticket = current(uow, window_id)
    if ticket is None or ticket.state != Ticket.SERVING:
        raise UserError("conflict", "没有正在采血的患者，请先核对身份。")
    return ticket


def print_ticket(uow: UnitOfWork, ticket_id: int) -> TicketJob:
    """The paper once more, at the guide's desk: made by the worker."""
    ticket = _ticket(uow, ticket_id)
    person = None if ticket.patient_id is None else specimens.person(uow, ticket.patient_id)
    told = service.told(uow, ticket, person.name if person else "")
    document = TicketDocument(
        hospital=service.hospital(uow)[1],
        number=ticket.no,
        class_name=rules.KLASS_WORDS[Klass(ticket.klass)],
        service=rules.SERVICE_WORDS.get(ticket.service, ticket.service),
        code=told.code,
        ahead=told.ahead,
        printed_at=uow.now,
        patient_name=rules.mask(told.name),
        hall_hint=ticket.hall,
        wait_hint="" if told.eta is None else f"约等候 {told.eta[0]}–{told.eta[1]} 分钟",
        offline=ticket.offline,
    )
    job = TicketJob(at=uow.now, document=to_json(document))
    uow.s.add(job)
    uow.s.flush()
    uow.emit("ticket.render", f"ticket:{job.id}", {"job_id": job.id})
    return job


def done(uow: UnitOfWork, window_id: int) -> QueueTicket:
    """Finished: every labelled tube of the patient was scanned closed (R9)."""
    window, ticket = _own(uow, window_id), current(uow, window_id)
    if ticket is None or ticket.state != Ticket.SERVING:
        raise UserError("conflict", "没有正在采血的患者。")
    if ticket.patient_id is not None:
        left = [t for t in specimens.open_tubes(uow, ticket.patient_id) if t.state == "labelled"]
        if left:
            raise UserError("conflict", say("还有 {n} 管没有扫码确认采集，请逐管扫码后再完成。", n=len(left)))
    ticket.done_at = uow.now
    service.move(uow, ticket, Ticket.DONE)
    _set_window(uow, window, Window.OPEN)
    return ticket


def _called(uow: UnitOfWork, window_id: int) -> QueueTicket:
    _own(uow, window_id)
    ticket = current(uow, window_id)
    if ticket is None or ticket.state != Ticket.CALLED:
        raise UserError("conflict", "窗口没有已叫号的患者，请先叫号。")
    return ticket


# --- the guide's desk ---------------------------------------------------------------------------------------------------------------------


def hold(uow: UnitOfWork, ticket_id: int) -> None:
    """暂离 or 缺费: the place is kept, nobody calls."""
    service.move(uow, _ticket(uow, ticket_id), Ticket.HELD)


def resume(uow: UnitOfWork, ticket_id: int) -> None:
    """Back in line at the old place."""
    ticket = _ticket(uow, ticket_id)
    if ticket.state != Ticket.HELD:
        raise UserError("conflict", say("{no} 号“{state}”，不是暂离。", no=ticket.no, state=word(rules.STATE_WORDS[Ticket(ticket.state)])))
    service.move(uow, ticket, Ticket.WAITING)


def give_priority(uow: UnitOfWork, ticket_id: int, proof: str) -> QueueTicket:
    """R4: the guide raises a waiting ticket to P with a proof; the number stays, the audit names the proof."""
    ticket = _ticket(uow, ticket_id)
    if proof not in rules.PROOFS:
        raise UserError("invalid", "请选择优先的依据。", field="proof")
    if ticket.state != Ticket.WAITING or ticket.klass == Klass.EMERGENCY:
        raise UserError(
            "conflict", say("{no} 号“{state}”，不能改为优先。", no=ticket.no, state=word(rules.STATE_WORDS[Ticket(ticket.state)]))
        )
    before, ticket.klass, ticket.eff_at, ticket.place = ticket.klass, Klass.PRIORITY.value, ticket.checkin_at, None
    uow.audit("queue_ticket", ticket.id, "priority", {"class": before}, {"class": "P", "proof": proof}, rules.PROOFS[proof])
    uow.notify("queue", {"hall": ticket.hall})
    return ticket


def cancel(uow: UnitOfWork, ticket_id: int, reason: str) -> None:
    """The patient leaves."""
    service.move(uow, _ticket(uow, ticket_id), Ticket.CANCELLED, {"reason": reason})


def _ticket(uow: UnitOfWork, ticket_id: int) -> QueueTicket:
    row = uow.s.get(QueueTicket, (uow.tenant_id, ticket_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", "这张号票不存在，请刷新后重试。")
    return row
