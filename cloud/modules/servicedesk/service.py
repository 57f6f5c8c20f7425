"""Verbs of the service desk: open a ticket in one line, take it one step on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.servicedesk import rules
from cloud.modules.servicedesk.models import Ticket, TicketStep
from cloud.modules.servicedesk.rules import Category, Severity, State
from common.errors import UserError
from common.say import say


@dataclass(frozen=True, slots=True)
class New:
    """What somebody tells the desk. ``notified_at`` None: just now."""

    reporter: str
    title: str
    severity: str
    category: str
    section_id: int | None = None
    analyzer_id: int | None = None
    notified_at: datetime | None = None
    late_why: str = ""
    channel: str = "网页"


def open_ticket(uow: UnitOfWork, new: New) -> int:
    """Open a ticket; the clock runs from when the laboratory was in touch."""
    if new.severity not in tuple(Severity) or new.category not in tuple(Category):
        raise UserError("invalid", say("请选择类别和紧急程度。"), field="category")
    if not new.title.strip() or not new.reporter.strip():
        raise UserError("invalid", say("请写明联系人和现象。"), field="title")
    known = md.catalog(uow)
    if new.section_id is not None and new.section_id not in known.sections:
        raise UserError("not_found", say("该专业组不存在。"))
    if new.analyzer_id is not None and new.analyzer_id not in known.analyzers:
        raise UserError("not_found", say("该仪器不存在，请从列表中选择。"))
    at = new.notified_at or uow.now
    problem = rules.notified_problem(at, uow.now, new.late_why)
    if problem is not None:
        raise UserError("invalid", problem, field="notified_at")
    row = Ticket(
        channel=new.channel,
        notified_at=at,
        typed_at=uow.now,
        late_why=new.late_why.strip()[:300],
        opened_by=uow.actor.user_id,
        reporter=new.reporter.strip()[:80],
        section_id=new.section_id,
        analyzer_id=new.analyzer_id,
        category=new.category,
        severity=new.severity,
        title=new.title.strip()[:300],
        due_at=rules.solution_due(at),
    )
    uow.s.add(row)
    uow.s.flush()
    uow.audit("ticket", row.id, "open", after={"severity": row.severity, "title": row.title, "notified_at": at.isoformat()})
    return row.id


@dataclass(frozen=True, slots=True)
class Step:
    """The next step with what it says."""

    to: str
    words: str
    owner: str = ""
    backup: str = ""
    root_cause: str = ""


def move(uow: UnitOfWork, ticket_id: int, version: int, step: Step) -> None:
    """Take a ticket one step on."""
    row = uow.s.execute(select(Ticket).where(Ticket.id == ticket_id).with_for_update()).scalar_one_or_none()
    if row is None:
        raise UserError("not_found", say("该工单不存在。"))
    if step.to not in tuple(State):
        raise UserError("invalid", say("请选择下一步。"), field="to")
    if row.version != version:
        shown = rules.WORDS[State(row.state)]
        raise UserError("stale", say("您打开之后他人已将其改为“{state}”，请核对后再提交；您输入的内容没有丢失。", state=shown))
    before, to = State(row.state), State(step.to)
    cause = step.root_cause.strip() or row.root_cause
    args = (step.words, step.owner, step.backup, Severity(row.severity), cause, row.closed_at, uow.now)
    problem = rules.move_problem(before, to, *args)
    if problem is not None:
        raise UserError("invalid" if to in rules.TRANSITIONS[before] else "conflict", problem)
    row.state, row.root_cause = to.value, cause[:1000]
    if to is State.ACCEPTED:
        row.owner, row.backup = step.owner.strip()[:80], step.backup.strip()[:80]
    if to is State.SOLUTION:
        row.solved_at = uow.now
    row.closed_at = uow.now if to is State.CLOSED else None
    who = uow.actor
    uow.s.add(TicketStep(ticket_id=ticket_id, state=to.value, words=step.words.strip(), by=who.name, by_id=who.user_id, at=uow.now))
    uow.audit("ticket", ticket_id, to.value, before={"state": before.value}, reason=step.words.strip())


__all__ = ["New", "Step", "move", "open_ticket"]
