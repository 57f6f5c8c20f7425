"""Read-only selects of the interfaces for pages: the board, the messages of both directions, the codes, the issues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Integer, any_, cast, func, select

from cloud.db.session import UnitOfWork
from cloud.modules.interfaces import inbox, rules
from cloud.modules.interfaces.hl7_out import ResultStatus
from cloud.modules.interfaces.models import Delivery, Endpoint, InboxMessage, InterfaceIssue
from cloud.modules.interfaces.rules import Health
from cloud.modules.orders import queries as orders

PAGE = 100
WAITING = tuple(s.value for s in rules.WAITING)
DAY = timedelta(hours=24)
# What the board counts as in error; the list it opens is narrowed by the same.
_REFUSED = InboxMessage.answer_code.not_in(["AA", "CA"])
_REPEATED = Delivery.attempts > 1


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One endpoint today."""

    id: int
    code: str
    name: str
    direction: str
    enabled: bool
    health: Health
    last_ok_at: datetime | None
    last_error_at: datetime | None
    last_error: str | None
    total: int
    failed: int
    waiting: int
    dead: int
    oldest: datetime | None

    @property
    def error_percent(self) -> float:
        """Messages of the last 24 h that were refused or put off."""
        return 100 * self.failed / self.total if self.total else 0.0


def board(uow: UnitOfWork) -> list[BoardRow]:
    """Every endpoint with its last 24 hours."""
    since = uow.now - DAY
    came = select(InboxMessage.endpoint_id, func.count(), func.count().filter(_REFUSED))
    inbox = {e: (n, bad) for e, n, bad in uow.s.execute(came.where(InboxMessage.received_at >= since).group_by(InboxMessage.endpoint_id))}
    went = select(Delivery.endpoint_id, func.count(), func.count().filter(_REPEATED))
    outbox = {e: (n, bad) for e, n, bad in uow.s.execute(went.where(Delivery.created_at >= since).group_by(Delivery.endpoint_id))}
    queue = select(
        Delivery.endpoint_id,
        func.count().filter(Delivery.state.in_(WAITING)),
        func.count().filter(Delivery.state == "dead_letter"),
        func.min(Delivery.created_at).filter(Delivery.state.in_(WAITING)),
    ).where(Delivery.state.not_in(["acked", "closed"]))
    queues = {e: (w, d, at) for e, w, d, at in uow.s.execute(queue.group_by(Delivery.endpoint_id))}
    out = []
    for row in uow.s.scalars(select(Endpoint).order_by(Endpoint.direction, Endpoint.code)):
        total, failed = (inbox if row.direction == "in" else outbox).get(row.id, (0, 0))
        waiting, dead, oldest = queues.get(row.id, (0, 0, None))
        state = rules.health(row.enabled, row.last_ok_at, row.last_error_at, oldest, uow.now)
        out.append(
            BoardRow(row.id, row.code, row.name, row.direction, row.enabled, state, row.last_ok_at, row.last_error_at, row.last_error,
                     total, failed, waiting, dead, oldest)
        )  # fmt: skip
    return out


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """What /if/messages is filtered by; "" means anything."""

    direction: str = "out"
    state: str = ""
    text: str = ""
    endpoint: str = ""
    day: bool = False
    """Of the last 24 hours, as the board counts."""
    failed: bool = False
    """What the board counts as in error."""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A line of /if/messages, either direction."""

    id: int
    endpoint: str
    kind: str
    control_id: str
    subject: str
    state: str
    at: datetime
    detail: str
    attempts: int
    next_at: datetime | None


def messages(uow: UnitOfWork, f: MessageFilter, before: int | None = None, limit: int = PAGE) -> list[MessageRow]:
    """A page of messages, newest first."""
    return _inbox(uow, f, before, limit) if f.direction == "in" else _outbox(uow, f, before, limit)


def _inbox(uow: UnitOfWork, f: MessageFilter, before: int | None, limit: int) -> list[MessageRow]:
    m = InboxMessage
    query = select(m.id, Endpoint.code, m.kind, m.control_id, m.subject, m.state, m.received_at, m.problem, m.repeats).join(
        Endpoint, (Endpoint.tenant_id == m.tenant_id) & (Endpoint.id == m.endpoint_id)
    )
    if f.state:
        query = query.where(m.state == f.state)
    if f.endpoint:
        query = query.where(Endpoint.code == f.endpoint)
    if f.day:
        query = query.where(m.received_at >= uow.now - DAY)
    if f.failed:
        query = query.where(_REFUSED)
    if f.text:
        query = query.where((m.control_id == f.text) | (f.text == any_(func.string_to_array(m.subject, " "))))
    if before is not None:
        query = query.where(m.id < before)
    rows = uow.s.execute(query.order_by(m.id.desc()).limit(limit))
    return [MessageRow(i, e, k, c, s, st, at, p or "", n + 1, None) for i, e, k, c, s, st, at, p, n in rows]


def quarantine(uow: UnitOfWork, limit: int = PAGE) -> tuple[list[MessageRow], int]:
    """Refused messages that wait for a person, oldest first (a page), and how many there are."""
    m = InboxMessage
    waiting = m.state.in_(inbox.WAITING)
    query = select(m.id, Endpoint.name, m.kind, m.control_id, m.subject, m.state, m.received_at, m.problem, m.repeats).join(
        Endpoint, (Endpoint.tenant_id == m.tenant_id) & (Endpoint.id == m.endpoint_id)
    )
    rows = uow.s.execute(query.where(waiting).order_by(m.id).limit(limit))
    total = uow.s.execute(select(func.count()).select_from(m).where(waiting)).scalar_one()
    return [MessageRow(i, e, k, c, s, st, at, p or "", n + 1, None) for i, e, k, c, s, st, at, p, n in rows], total


def _outbox(uow: UnitOfWork, f: MessageFilter, before: int | None, limit: int) -> list[MessageRow]:
    m = Delivery
    query = select(m.id, Endpoint.code, m.kind, m.msg_id, m.subject, m.state, m.created_at, m.error, m.attempts, m.next_at).join(
        Endpoint, (Endpoint.tenant_id == m.tenant_id) & (Endpoint.id == m.endpoint_id)
    )
    if f.state == "unsent":
        query = query.where(m.state.not_in(["acked", "closed"]))
    elif f.state == "waiting":
        query = query.where(m.state.in_(WAITING))
    elif f.state:
        query = query.where(m.state == f.state)
    if f.endpoint:
        query = query.where(Endpoint.code == f.endpoint)
    if f.day:
        query = query.where(m.created_at >= uow.now - DAY)
    if f.failed:
        query = query.where(_REPEATED)
    if f.text:
        query = query.where((m.msg_id == f.text) | (m.subject == f.text) | (m.order_key == f.text))
    if before is not None:
        query = query.where(m.id < before)
    rows = uow.s.execute(query.order_by(m.id.desc()).limit(limit))
    return [MessageRow(i, e, k, c, s, st, at, p or "", n, nx) for i, e, k, c, s, st, at, p, n, nx in rows]


@dataclass(frozen=True, slots=True)
class MessageDetail:
    """One message whole."""

    id: int
    direction: str
    endpoint: str
    kind: str
    control_id: str
    subject: str
    state: str
    at: datetime
    raw: bytes
    answer: bytes
    detail: str
    attempts: int
    next_at: datetime | None
    done_at: datetime | None
    blocked_by: int | None = None
    patient_id: int | None = None


def inbox_message(uow: UnitOfWork, message_id: int) -> MessageDetail | None:
    """One message that came in."""
    row = uow.s.get(InboxMessage, (uow.tenant_id, message_id))
    if row is None:
        return None
    return MessageDetail(row.id, "in", _code(uow, row.endpoint_id), row.kind, row.control_id, row.subject, row.state, row.received_at,
                         bytes(row.raw), bytes(row.answer), row.problem or "", row.repeats + 1, None, row.seen_at,
                         patient_id=_patient(uow, row.subject))  # fmt: skip


def delivery(uow: UnitOfWork, delivery_id: int) -> MessageDetail | None:
    """One message that goes out."""
    row = uow.s.get(Delivery, (uow.tenant_id, delivery_id))
    if row is None:
        return None
    return MessageDetail(row.id, "out", _code(uow, row.endpoint_id), row.kind, row.msg_id, row.subject, row.state, row.created_at,
                         bytes(row.raw), b"", row.error or "", row.attempts, row.next_at, row.acked_at, _blocked_by(uow, row),
                         _number(row.order_key))  # fmt: skip


def _patient(uow: UnitOfWork, subject: str) -> int | None:
    """Whose message it is, by the number it came with."""
    found = orders.patient_by_code(uow, subject.partition(" ")[0])
    return found.id if found is not None else None


def _number(order_key: str) -> int | None:
    kind, _, number = order_key.partition(":")
    return int(number) if kind == "patient" and number.isdecimal() else None


def _code(uow: UnitOfWork, endpoint_id: int) -> str:
    return uow.s.get_one(Endpoint, (uow.tenant_id, endpoint_id)).code


def _blocked_by(uow: UnitOfWork, row: Delivery) -> int | None:
    """The earlier message this one waits for: a dead letter about the same, else one of the same patient still under way."""
    if row.state not in WAITING:
        return None
    earlier = select(func.min(Delivery.id)).where(
        Delivery.endpoint_id == row.endpoint_id, Delivery.order_key == row.order_key, Delivery.id < row.id
    )
    dead = uow.s.execute(earlier.where(Delivery.state == "dead_letter", Delivery.subject == row.subject)).scalar()
    return dead or uow.s.execute(earlier.where(Delivery.state.in_(WAITING))).scalar()


def delivery_states(uow: UnitOfWork, report_id: int, versions: int) -> Sequence[Any]:
    """Whether a report's versions have reached the systems they go to, in the order of their sending: (id, system, version_no, state,
    reason, waiting since, acknowledged at). Found by their keys, as everything else of a million messages is not about it."""
    keys = [f"report:{report_id}:{n}:{status.value}" for n in range(1, versions + 1) for status in ResultStatus]
    query = (
        select(
            Delivery.id,
            Endpoint.name,
            cast(func.split_part(Delivery.event_key, ":", 3), Integer).label("version_no"),
            Delivery.state,
            func.coalesce(Delivery.error, "").label("error"),
            Delivery.created_at,
            Delivery.acked_at,
        )
        .join(Endpoint, (Endpoint.tenant_id == Delivery.tenant_id) & (Endpoint.id == Delivery.endpoint_id))
        .where(Delivery.event_key.in_(keys))
        .order_by(Delivery.id)
    )
    return uow.s.execute(query).all()


def open_issues(uow: UnitOfWork) -> Sequence[InterfaceIssue]:
    """What a person must look at, oldest first."""
    query = select(InterfaceIssue).where(InterfaceIssue.closed_at.is_(None)).order_by(InterfaceIssue.id).limit(PAGE)
    return uow.s.scalars(query).all()
