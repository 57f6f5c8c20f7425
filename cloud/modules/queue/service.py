"""The verbs of the queue that patients start: check in, come back, tickets that kiosks gave without us. No flask, no commit.

A ticket's every step is audited and every hall's screens are told (``queue`` notice). What staff do stands in windows.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.queue import rules, store
from cloud.modules.queue.models import QueueTicket
from cloud.modules.queue.rules import Klass, Return, Ticket
from cloud.modules.specimens import service as specimens
from cloud.modules.specimens.service import Person
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
        return told(uow, known, person.name if person else "", repeated=True)
    if person is None:
        raise UserError("not_found", NOBODY)
    store.lock_person(uow, person.id)
    before = _today_of(uow, person.id, hall)
    if before is not None and Ticket(before.state) in HERE:
        return told(uow, before, person.name, repeated=True)
    services, urgent = _to_do(uow, person)
    if before is not None and Ticket(before.state) is Ticket.PASSED:
        back = _come_back(uow, before)
        if back is not None:
            return told(uow, back, person.name)
    chosen = klass or (Klass.EMERGENCY if urgent else Klass.NORMAL)
    if chosen is Klass.PRIORITY and proof not in rules.PROOFS:
        raise UserError("invalid", "优先号要有依据：请选择军人、80 岁及以上、孕产妇、残疾、3 岁以下或危重。", field="proof")
    row = _new(uow, person.id, hall, chosen, services[0], key, uow.now, answers or {})
    uow.audit("queue_ticket", row.id, "check_in", after={"no": row.no, "hall": hall, "class": chosen.value, "proof": proof})
    return told(uow, row, person.name)


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
        move(uow, ticket, Ticket.EXPIRED)
        return None
    store.lock_line(uow, ticket.hall, ticket.day, ticket.service)
    here = store.waiting(uow, ticket.hall, ticket.day, [ticket.service])
    run = store.run_of_p(uow, ticket.hall, ticket.day, ticket.service)
    ticket.eff_at, ticket.place = rules.return_place(here, run, Klass(ticket.klass), how, uow.now)
    ticket.calls, ticket.called_at, ticket.window_id = 0, None, None
    move(uow, ticket, Ticket.WAITING, {"return": how.value})
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


def told(uow: UnitOfWork, ticket: QueueTicket, name: str, repeated: bool = False) -> CheckedIn:
    """What a ticket says to its patient."""
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


def move(uow: UnitOfWork, ticket: QueueTicket, to: Ticket, detail: dict[str, Any] | None = None) -> None:
    """One step of a ticket, audited and told to the hall. Raises UserError ``conflict`` for a step the states do not allow."""
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
