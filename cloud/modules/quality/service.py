"""Verbs of quality management: open a nonconformity, take it one step on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.quality import rules
from cloud.modules.quality.models import Nonconformity, NonconformityStep
from cloud.modules.quality.rules import Severity, Source, State
from common.errors import UserError
from common.say import say


@dataclass(frozen=True, slots=True)
class Mishap:
    """What went wrong. ``subject`` names the matter inside its source, so that one matter opens one nonconformity."""

    source: Source
    subject: str
    title: str
    description: str
    severity: Severity = Severity.MAJOR
    section_id: int | None = None
    url: str = ""


def open_once(uow: UnitOfWork, what: Mishap) -> int | None:
    """Open a nonconformity; its id, or None where this matter has one already."""
    values = {
        "tenant_id": uow.tenant_id,
        "source": what.source.value,
        "subject": what.subject,
        "url": what.url,
        "title": what.title,
        "description": what.description,
        "severity": what.severity.value,
        "section_id": what.section_id,
        "opened_at": uow.now,
        "opened_by": uow.actor.name,
    }
    new = uow.s.execute(insert(Nonconformity).values(**values).on_conflict_do_nothing().returning(Nonconformity.id)).scalar_one_or_none()
    if new is not None:
        uow.audit("nonconformity", new, "open", after={"source": what.source.value, "subject": what.subject}, reason=what.description)
    return new


def report(uow: UnitOfWork, source: str, severity: str, title: str, description: str, section_id: int | None) -> int:
    """Somebody reports one by hand."""
    if source not in rules.BY_HAND:
        raise UserError("invalid", say("请选择来源。"), field="source")
    if severity not in tuple(Severity):
        raise UserError("invalid", say("请选择严重程度。"), field="severity")
    if not title.strip() or not description.strip():
        raise UserError("invalid", say("请写明标题和经过。"), field="title")
    if section_id is not None and section_id not in md.catalog(uow).sections:
        raise UserError("not_found", say("该专业组不存在。"))
    subject = f"hand:{uow.now:%Y%m%d%H%M%S%f}:{uow.actor.user_id}"
    what = Mishap(Source(source), subject, title.strip()[:200], description.strip(), Severity(severity), section_id)
    new = open_once(uow, what)
    if new is None:
        raise UserError("conflict", say("这条不符合项已登记过，请刷新查看。"))
    return new


def move(uow: UnitOfWork, nc_id: int, version: int, to: str, words: str, due: date | None) -> None:
    """Take a nonconformity one step on, with what was done."""
    row = uow.s.execute(select(Nonconformity).where(Nonconformity.id == nc_id).with_for_update()).scalar_one_or_none()
    if row is None:
        raise UserError("not_found", say("该不符合项不存在。"))
    if to not in tuple(State):
        raise UserError("invalid", say("请选择下一步。"), field="to")
    if row.version != version:
        raise UserError(
            "stale", say("您打开之后他人已将其改为“{state}”，请核对后再提交；您输入的内容没有丢失。", state=rules.WORDS[State(row.state)])
        )
    today = uow.now.astimezone(md.HOSPITAL_ZONE).date()
    before = State(row.state)
    problem = rules.move_problem(before, State(to), words, due, row.acting_since, today)
    if problem is not None:
        raise UserError("invalid" if State(to) in rules.TRANSITIONS[before] else "conflict", problem)
    row.state = to
    if to == State.ACTING:
        row.due, row.acting_since = due, today
    row.closed_at = uow.now if to == State.CLOSED else None
    who = uow.actor
    uow.s.add(NonconformityStep(nc_id=nc_id, state=to, words=words.strip(), by=who.name, by_id=who.user_id, at=uow.now))
    uow.audit("nonconformity", nc_id, to, before={"state": before.value}, after={"due": str(due) if due else None}, reason=words.strip())


__all__ = ["Mishap", "Severity", "Source", "move", "open_once", "report"]
