"""Receiving one message: raw stored and order placed in one transaction, answered after its COMMIT (RELIABILITY 2.1b).

A repeat of an applied message gets the stored answer and writes nothing but its count. A refused message is stored too
(quarantined, raw kept) and is judged anew when it comes again, or when a person asks for it, because the cause may have been repaired here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import or_, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from cloud.db.session import Actor, Database, UnitOfWork
from cloud.modules.interfaces import hl7_ack, hl7_in, issues
from cloud.modules.interfaces.endpoints import Incoming
from cloud.modules.interfaces.hl7_in import INTERNAL, SEQUENCE, Received, Refused
from cloud.modules.interfaces.hl7_wire import Header
from cloud.modules.interfaces.models import Endpoint, InboxMessage
from cloud.modules.orders import service as orders
from cloud.modules.orders.messages import Problem
from cloud.web.faults import Conflict
from common.protocol.hl7.mllp import MAX_BLOCK, BlockProblem
from common.say import say

APPLIED, PARKED, QUARANTINED, REFUSED, CLOSED = "applied", "parked", "quarantined", "refused", "closed"
WAITING = (QUARANTINED, REFUSED)
"""States in which a person may have a message judged anew, or close it."""
CUT = {
    BlockProblem.NO_END: Problem("MSH^1", SEQUENCE, "消息不完整：没有收到结束符，请重发"),
    BlockProblem.TOO_LARGE: Problem("MSH^1", SEQUENCE, f"消息超过 {MAX_BLOCK >> 20} MB，未接收"),
}
OTHER_PERSON = frozenset({"item_of_other_patient", "patient_conflict"})
MAX_REMARKS = 20
HEARD_EVERY = timedelta(seconds=5)
log = structlog.get_logger("interfaces")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a message: the state of its row, the answer's code and remarks, and what to search it by."""

    state: str
    code: str
    problems: tuple[Problem, ...]
    header: Header
    subject: str = ""
    issue: tuple[str, str] | None = None
    urgent: bool = False
    """Two persons under one number: the service desk is told at once (M03)."""

    @property
    def problem(self) -> str | None:
        """The remarks as one line for the page."""
        return "；".join(f"{p.location} {p.text}" for p in self.problems)[:2000] or None


def receive(db: Database, to: Incoming, raw: bytes, address: str, refusal: Refused | None = None) -> bytes:
    """Take one message of a known endpoint and return the bytes to answer with. Raises only when nothing could be stored.

    ``refusal`` is a verdict passed before reading (cut, too large).
    """
    actor = Actor(f"interface:{to.code}", ip=address.rpartition(":")[0])
    for attempt in (1, 2, 3):
        try:
            with db.tenant(to.tenant_id, actor) as uow:
                return _receive(uow, to, raw, refusal)
        except (IntegrityError, OperationalError):
            # The same message, patient or item came in over another connection at the same moment (it is known by now), two
            # messages locked each other out, or a pooled connection had died: nothing was stored, so begin again.
            if attempt == 3:
                raise
    raise AssertionError


def _receive(uow: UnitOfWork, to: Incoming, raw: bytes, refusal: Refused | None) -> bytes:
    control_id = refusal.header.control_id if refusal else hl7_in.control_id(raw)
    key = hl7_in.message_key(raw, control_id)
    query = select(InboxMessage).where(InboxMessage.endpoint_id == to.id, InboxMessage.key == key)
    row = uow.s.scalars(query.with_for_update()).one_or_none()
    if row is not None:
        row.repeats, row.seen_at = row.repeats + 1, uow.now
        if row.state in (APPLIED, PARKED):
            return bytes(row.answer)
    outcome = _judge(uow, to, raw, refusal)
    code = hl7_ack.ENHANCED[outcome.code] if to.enhanced else outcome.code
    answer = hl7_ack.build(outcome.header, code, outcome.problems[:MAX_REMARKS], uow.now, _own_id(key))
    if row is None:
        row = InboxMessage(endpoint_id=to.id, key=key, received_at=uow.now, raw=raw, sha256=hashlib.sha256(raw).hexdigest())
        uow.s.add(row)
    _note(uow, row, outcome, code, answer)
    if outcome.issue is not None:
        uow.s.flush()
        link = f"/if/messages/in/{row.id}"
        issues.raise_issue(uow, outcome.issue[0], f"inbox:{row.id}", outcome.issue[1], link, ticket=outcome.urgent)
    _heard(uow, to, outcome)
    return answer


def _note(uow: UnitOfWork, row: InboxMessage, outcome: Outcome, code: str, answer: bytes) -> None:
    header = outcome.header
    row.control_id, row.kind = header.control_id[:200], f"{header.kind}^{header.event}".strip("^")[:20]
    row.state, row.problem, row.subject = outcome.state, outcome.problem, outcome.subject
    row.answer_code, row.answer = code, answer


def again(uow: UnitOfWork, row: InboxMessage, to: Incoming) -> Outcome:
    """Judge a stored message anew because a person repaired the cause; a repeat of it gets the new answer from now on.

    Raises Conflict, naming what to do, for half a message, and where the sender has spoken of the same items since: an old order must
    not undo what came after it.
    """
    if any(each.text in (row.problem or "") for each in CUT.values()):
        raise Conflict(say("这条消息没有收完整，不能处理；请让对方重发，再关闭这一条。"))
    raw = bytes(row.raw)
    try:
        numbers = [i.order_item_no for i in hl7_in.parse_order(raw, to.dialect).order.items]
    except Refused:
        numbers = []  # _judge says why
    since = _spoken_since(uow, row, numbers)
    if since is not None:
        raise Conflict(say("之后已收到同一申请的新消息 {no}，再处理旧消息会改回旧内容；请核对后关闭这一条。", no=since))
    outcome = _judge(uow, to, raw, None)
    code = hl7_ack.ENHANCED[outcome.code] if to.enhanced else outcome.code
    _note(uow, row, outcome, code, hl7_ack.build(outcome.header, code, outcome.problems[:MAX_REMARKS], uow.now, _own_id(row.key)))
    return outcome


_SINCE = text("""
SELECT control_id FROM inbox_message WHERE tenant_id = :t AND endpoint_id = :endpoint AND id > :id AND state IN ('applied', 'parked')
  AND string_to_array(subject, ' ') && CAST(:numbers AS text[]) ORDER BY id DESC LIMIT 1
""")


def _spoken_since(uow: UnitOfWork, row: InboxMessage, numbers: list[str]) -> str | None:
    values = {"t": uow.tenant_id, "endpoint": row.endpoint_id, "id": row.id, "numbers": numbers}
    found = uow.s.execute(_SINCE, values).scalar() if numbers else None
    return None if found is None else str(found)


def _own_id(key: str) -> str:
    """MSH-10 of our answer: the same for the same message, so that a repeat gets the same answer to the byte."""
    return "A" + hashlib.sha256(key.encode()).hexdigest()[:18]


def _heard(uow: UnitOfWork, to: Incoming, outcome: Outcome) -> None:
    """The endpoint's last word, for the board. A good one is noted every few seconds only, or messages would queue for the row's lock."""
    same = update(Endpoint).where(Endpoint.id == to.id)
    if outcome.code != "AA":
        uow.s.execute(same.values(last_error_at=uow.now, last_error=outcome.problem))
        return
    stale = or_(Endpoint.last_ok_at.is_(None), Endpoint.last_ok_at < uow.now - HEARD_EVERY)
    uow.s.execute(same.where(stale).values(last_ok_at=uow.now))


def _judge(uow: UnitOfWork, to: Incoming, raw: bytes, refusal: Refused | None) -> Outcome:
    try:
        if refusal is not None:
            raise refusal
        received = hl7_in.parse_order(raw, to.dialect)
        placed = orders.place_order(uow, received.order, to.source, default_charge=to.default_charge)
    except Refused as refused:
        state = REFUSED if refused.code == "AR" else QUARANTINED
        words = refused.problems[0].text if refused.problems else refused.why
        return Outcome(state, refused.code, refused.problems, refused.header, issue=(issues.QUARANTINED, words))
    except orders.OrderRefused as refused:
        issue, urgent = (issues.QUARANTINED, str(refused)), refused.kind in OTHER_PERSON
        return Outcome(QUARANTINED, "AE", refused.problems, received.header, _subject(received), issue, urgent)
    for code, name in placed.unmapped:
        words = f"来源 {to.source} 的项目 {code}（{name or '无名称'}）未对照"
        issues.raise_issue(uow, issues.UNMAPPED, f"{to.source}/{code}", words, "/if/maps", ticket=True)
    problems = (*received.order.problems, *placed.problems)
    state = PARKED if placed.parked and not placed.order_ids else APPLIED
    return Outcome(state, hl7_ack.worst(problems), problems, received.header, _subject(received))


def _subject(received: Received) -> str:
    """Patient, form and item numbers: what a message is searched by, and nothing else of it."""
    order = received.order
    numbers = [order.patient.ids[0].value, *(o.order_no for o in order.orders), *(i.order_item_no for i in order.items)]
    return " ".join(dict.fromkeys(numbers))[:1000]


def unstored(header: Header, raw: bytes, at: datetime, code: str, problem: Problem) -> bytes:
    """An answer to a message of which nothing is stored here: unknown sender (AR), or no database (AE: the sender tries again)."""
    return hl7_ack.build(header, code, (problem,), at, "A" + hashlib.sha256(raw).hexdigest()[:16])


UNAVAILABLE = Problem("MSH^1", INTERNAL, "系统暂时无法保存，请稍后重发")
