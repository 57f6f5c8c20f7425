"""The verbs of the queue: check in, call, pass, serve, finish; windows; tickets that kiosks gave without us. No flask, no commit.

A ticket's every step is audited and every hall's screens are told (``queue`` notice). Calling locks the line's one row first, then the
ticket: two windows pressing together never get one ticket (AC-Q-4).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.queue import rules, store
from cloud.modules.queue.models import QueueTicket, QueueWindow, TicketJob
from cloud.modules.queue.rules import Klass, Return, Ticket, Window
from cloud.modules.specimens import service as specimens
from cloud.modules.specimens.service import Person
from cloud.reports.documents import TicketDocument, to_json
from common import ids
from common.errors import PeerError, UserError
from common.say import say, word

NOBODY = say("没有找到您的信息。请换一张卡或手工输入卡号再试，或到导诊台。")
HERE = (Ticket.CHECKED_IN, Ticket.WAITING, Ticket.CALLED, Ticket.SERVING, Ticket.HELD)


@dataclass(frozen=True, slots=True)
class CheckedIn:
    """What a check-in gave. ``repeated``: the same number again (R1); ``ahead`` counts those called before, ``eta`` minutes from–to."""

    ticket: QueueTicket
    name: str
    code: str
    ahead: int
    eta: tuple[int, int] | None
    repeated: bool = False
    notes: tuple[str, ...] = ()


# --- check-in -----------------------------------------------------------------------------------------------------------------------------


def check_in(
    uow: UnitOfWork,
    code: str,
    hall: str,
    *,
    ticket_key: str | None = None,
    klass: Klass | None = None,
    proof: str | None = None,
    answers: dict[str, Any] | None = None,
) -> CheckedIn:
    """A place in the queue by card, patient or visit number, or barcode.

    UserErrors: not_found (nobody, or no order), conflict (everything unpaid), invalid (a priority without its proof). Asking again while
    waiting gives the same number; a passed ticket comes back by R5.
    """
    key = ticket_key or str(uuid.uuid4())
    known = uow.s.scalars(select(QueueTicket).where(QueueTicket.ticket_key == key)).one_or_none()
    person = specimens.find_person(uow, code)
    if known is not None:
        return _told(uow, known, person.name if person else "", repeated=True)
    if person is None:
        raise UserError("not_found", NOBODY)
    store.lock_person(uow, person.id)
    before = _today_of(uow, person.id, hall)
    if before is not None and Ticket(before.state) in HERE:
        return _told(uow, before, person.name, repeated=True)
    services, urgent = _to_do(uow, person)
    if before is not None and Ticket(before.state) is Ticket.PASSED:
        back = _come_back(uow, before)
        if back is not None:
            return _told(uow, back, person.name)
    chosen = klass or (Klass.EMERGENCY if urgent else Klass.NORMAL)
    if chosen is Klass.PRIORITY and proof not in rules.PROOFS:
        raise UserError("invalid", "优先号要有依据：请选择军人、80 岁及以上、孕产妇、残疾、3 岁以下或危重。", field="proof")
    row = _new(uow, person.id, hall, chosen, services[0], key, uow.now, answers or {})
    uow.audit("queue_ticket", row.id, "check_in", after={"no": row.no, "hall": hall, "class": chosen.value, "proof": proof})
    return _told(uow, row, person.name)


def recognise(uow: UnitOfWork, code: str, hall: str) -> tuple[str, bool]:
    """Whose card it is, and whether that person has a number here already; gives none.

    The UserErrors of ``check_in``: a kiosk asks this first, so that nobody answers its questions only to be refused.
    """
    person = specimens.find_person(uow, code)
    if person is None:
        raise UserError("not_found", NOBODY)
    before = _today_of(uow, person.id, hall)
    has_number = before is not None and Ticket(before.state) in HERE
    if not has_number:
        _to_do(uow, person)
    return person.name, has_number


def _to_do(uow: UnitOfWork, person: Person) -> tuple[list[str], bool]:
    """Services this patient waits for, and whether one is urgent. Raises UserError when there is nothing to do, or nothing paid (R1)."""
    plan, known = specimens.plan_tubes(uow, person), md.catalog(uow)
    ready = [item for item in plan.items.values() if item.order_item_id not in {w.order_item_id for w, _ in plan.refused}]
    drawn = [t for t in specimens.open_tubes(uow, person.id) if t.state == "labelled"]
    if not ready and not drawn:
        if plan.refused:
            raise UserError(
                "conflict", say("有 {n} 个项目现在不能采集：{why}。处理后请再来取号。", n=len(plan.refused), why=word(plan.refused[0][1]))
            )
        raise UserError("not_found", "没有查到需要采集的检验申请。刚开的单请稍等 1 分钟再试，或到导诊台。")
    services = {known.order_sets[i.order_set_id].service for i in ready if i.order_set_id} or {"blood"}
    return sorted(services, key=list(rules.SERVICE_WORDS).index), any(i.priority != "routine" for i in ready)


def _today_of(uow: UnitOfWork, patient_id: int, hall: str) -> QueueTicket | None:
    mine = select(QueueTicket).where(QueueTicket.patient_id == patient_id, QueueTicket.hall == hall, QueueTicket.day == store.today(uow))
    alive = mine.where(QueueTicket.state.not_in([each.value for each in rules.ENDED]))
    return uow.s.scalars(alive.order_by(QueueTicket.id.desc()).limit(1).with_for_update()).first()


def _come_back(uow: UnitOfWork, ticket: QueueTicket) -> QueueTicket | None:
    """R5: a passed ticket waits again, or is void after its third pass (None: a new number is given)."""
    how = rules.on_return(ticket.pass_count)
    if how is Return.EXPIRED:
        _move(uow, ticket, Ticket.EXPIRED)
        return None
    store.lock_line(uow, ticket.hall, ticket.day, ticket.service)
    here = store.waiting(uow, ticket.hall, ticket.day, [ticket.service])
    run = store.run_of_p(uow, ticket.hall, ticket.day, ticket.service)
    ticket.eff_at, ticket.place = rules.return_place(here, run, Klass(ticket.klass), how, uow.now)
    ticket.calls, ticket.called_at, ticket.window_id = 0, None, None
    _move(uow, ticket, Ticket.WAITING, {"return": how.value})
    return ticket


def _new(
    uow: UnitOfWork, patient_id: int | None, hall: str, klass: Klass, service: str, key: str, at: datetime, answers: dict[str, Any]
) -> QueueTicket:
    day = store.today(uow)
    number = store.next_number(uow, hall, day, klass)
    row = QueueTicket(
        ticket_key=key,
        hall=hall,
        day=day,
        no=ids.ticket_number(klass.value, number),
        seq=store.count(uow, hall, day, "seq"),
        klass=klass.value,
        service=service,
        state=Ticket.WAITING.value,
        patient_id=patient_id,
        checkin_at=at,
        eff_at=at,
        answers=answers,
    )
    uow.s.add(row)
    uow.s.flush()
    uow.notify("queue", {"hall": hall})
    return row


def _told(uow: UnitOfWork, ticket: QueueTicket, name: str, repeated: bool = False) -> CheckedIn:
    order = rules.order_of(
        store.waiting(uow, ticket.hall, ticket.day, [ticket.service]),
        store.run_of_p(uow, ticket.hall, ticket.day, ticket.service),
        store.priority_every(uow),
    )
    ahead = next((n for n, each in enumerate(order) if each.id == ticket.id), 0)
    minutes = rules.eta_minutes(
        ahead, store.open_windows(uow, ticket.hall, ticket.service), store.mean_service_minutes(uow, ticket.hall, ticket.service)
    )
    return CheckedIn(ticket, name, code_of(uow, ticket), ahead, None if minutes is None else rules.eta_range(minutes), repeated)


def hospital(uow: UnitOfWork) -> tuple[int, str]:
    """The site digit of this hospital's codes, and its name."""
    return specimens.hospital(uow)


def code_of(uow: UnitOfWork, ticket: QueueTicket) -> str:
    """The bar code of a ticket."""
    site, _name = hospital(uow)
    return ids.ticket_code(site, ticket.day, ticket.no[0], int(ticket.no[1:]))


# --- tickets given without us (R11) -----------------------------------------------------------------------------------------------------


def take_offline_ticket(uow: UnitOfWork, payload: dict[str, Any]) -> QueueTicket:
    """Take in a ticket a kiosk gave while we were away. Idempotent by ``ticket_key``; ordered by the check-in the kiosk saw.

    payload: ticket_key, kiosk, hall, number, checkin_at (ISO), card, service?, answers?. Raises PeerError for one that cannot be true
    (a number outside the leases, a number given twice), so that it is put aside and shown, not lost.
    """
    key, hall, number, at = _offline_fields(payload)
    known = uow.s.scalars(select(QueueTicket).where(QueueTicket.ticket_key == key)).one_or_none()
    if known is not None:
        return known
    at = min(at, uow.now)
    day = store.local_day(at)
    no = ids.ticket_number(Klass.NORMAL.value, number)
    if not store.is_leased(uow, hall, day, number):
        raise PeerError("ticket_not_leased", f"号 {no} 不在任何自助机的离线号段内", hall=hall, day=day.isoformat())
    taken = (QueueTicket.hall == hall) & (QueueTicket.day == day) & (QueueTicket.no == no)
    if uow.s.scalars(select(QueueTicket.id).where(taken)).first() is not None:
        raise PeerError("ticket_twice", f"号 {no} 已经发给别人", hall=hall, day=day.isoformat())
    person = specimens.find_person(uow, str(payload.get("card", "")))
    late = day != store.today(uow)
    row = QueueTicket(
        ticket_key=key,
        hall=hall,
        day=day,
        no=no,
        seq=store.count(uow, hall, day, "seq"),
        klass=Klass.NORMAL.value,
        service=str(payload.get("service") or "blood"),
        state=(Ticket.EXPIRED if late else Ticket.WAITING).value,
        patient_id=None if person is None else person.id,
        card_text=str(payload.get("card", ""))[:64],
        checkin_at=at,
        eff_at=at,
        offline=True,
        answers=dict(payload.get("answers") or {}),
    )
    uow.s.add(row)
    uow.s.flush()
    uow.audit("queue_ticket", row.id, "offline", after={"no": no, "hall": hall, "kiosk": str(payload.get("kiosk", ""))[:64], "late": late})
    uow.notify("queue", {"hall": hall})
    return row


def _offline_fields(payload: dict[str, Any]) -> tuple[str, str, int, datetime]:
    try:
        key, hall, number = str(payload["ticket_key"]), str(payload["hall"]), int(payload["number"])
        at = datetime.fromisoformat(str(payload["checkin_at"]))
    except (KeyError, TypeError, ValueError) as error:
        raise PeerError("ticket_shape", f"离线号票缺少或写错了一项：{error}") from error
    if at.tzinfo is None or not key or not 1 <= number <= 9999:
        raise PeerError("ticket_shape", "离线号票的时间、编号或号码不合规")
    return key, hall, number, at


def lease(
    uow: UnitOfWork, hall: str, kiosk: str, have: Mapping[str, Collection[int]] | None = None, more: bool = False
) -> dict[str, list[tuple[int, int]]]:
    """The kiosk's number blocks of today and tomorrow (so that midnight without us is no trouble), by ISO day.

    ``have``: first numbers of the blocks it keeps, by day; ``more``: today's run short.
    """
    day, kept = store.today(uow), have or {}
    tomorrow = day + timedelta(days=1)
    return {
        day.isoformat(): store.lease(uow, hall, kiosk, day, kept.get(day.isoformat(), ()), more),
        tomorrow.isoformat(): store.lease(uow, hall, kiosk, tomorrow, kept.get(tomorrow.isoformat(), ())),
    }


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
        _move(uow, ticket, Ticket.WAITING, {"window_paused": row.no})
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
    for service in window.services:
        ticket = _pick(uow, window, day, service)
        if ticket is not None:
            ticket.window_id, ticket.called_at, ticket.calls, ticket.operator_id = window.id, uow.now, 1, uow.actor.user_id
            _move(uow, ticket, Ticket.CALLED, {"window": window.no})
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
    _move(uow, ticket, Ticket.PASSED, {"pass_count": ticket.pass_count})
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
    _move(uow, ticket, Ticket.SERVING, {"identifiers": checked})
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
    told = _told(uow, ticket, person.name if person else "")
    document = TicketDocument(
        hospital=hospital(uow)[1],
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
    _move(uow, ticket, Ticket.DONE)
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
    _move(uow, _ticket(uow, ticket_id), Ticket.HELD)


def resume(uow: UnitOfWork, ticket_id: int) -> None:
    """Back in line at the old place."""
    ticket = _ticket(uow, ticket_id)
    if ticket.state != Ticket.HELD:
        raise UserError("conflict", say("{no} 号“{state}”，不是暂离。", no=ticket.no, state=word(rules.STATE_WORDS[Ticket(ticket.state)])))
    _move(uow, ticket, Ticket.WAITING)


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
    _move(uow, _ticket(uow, ticket_id), Ticket.CANCELLED, {"reason": reason})


def _ticket(uow: UnitOfWork, ticket_id: int) -> QueueTicket:
    row = uow.s.get(QueueTicket, (uow.tenant_id, ticket_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", "这张号票不存在，请刷新后重试。")
    return row


def _move(uow: UnitOfWork, ticket: QueueTicket, to: Ticket, detail: dict[str, Any] | None = None) -> None:
    if to not in rules.TICKET_TRANSITIONS[Ticket(ticket.state)]:
        now = word(rules.STATE_WORDS[Ticket(ticket.state)])
        raise UserError(
            "conflict",
            say("{no} 号“{now}”，不能改为“{to}”。请刷新后再试。", no=ticket.no, now=now, to=word(rules.STATE_WORDS[to])),
            state=ticket.state,
        )
    before, ticket.state = ticket.state, to.value
    uow.audit("queue_ticket", ticket.id, to.value, {"state": before}, {"state": to.value, **(detail or {})})
    uow.notify("queue", {"hall": ticket.hall})
