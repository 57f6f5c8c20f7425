"""Groups of WeChat-Work (群机器人) that a module tells something: their robots, and the messages that wait for them.

A message is written with what it tells and sent by a job of its own, so that nothing waits for another company's server; what did not
go is tried again for two hours and then said on the list of alerts. No patient is named in one. Each module keeps its own two tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts
from cloud.ports import robot as ports
from cloud.web.faults import Conflict, Invalid, NotFound, Stale
from common.errors import PeerError
from common.say import Said, say

AT_ONCE = 3
SHOWN = 30
NOTICE_FOR = timedelta(hours=2)
_AGAIN = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10))


def again(made_at: datetime, attempts: int, now: datetime) -> timedelta | None:
    """When a message that did not go out is tried again, ``attempts`` from 1; None: two hours are over, it is given up."""
    wait = _AGAIN[min(attempts, len(_AGAIN)) - 1]
    return wait if now + wait <= made_at + NOTICE_FOR else None


@dataclass(frozen=True, slots=True)
class Book:
    """A module's groups: its tables of robots and of messages, the column that says what a message is about, and its alert."""

    robots: type[Any]
    notices: type[Any]
    about: str
    alert: str
    words: str
    page: str
    perm: str
    example: Said

    @property
    def entity(self) -> str:
        """Of the audit entries."""
        name: str = self.robots.__tablename__
        return name


def send(uow: UnitOfWork, book: Book) -> list[Any]:
    """What is due goes out; the messages that went. A robot that did not answer is not asked again in this round."""
    robots, notices = book.robots.__tablename__, book.notices.__tablename__
    due = text(
        f"SELECT n.id FROM {notices} n JOIN {robots} r ON r.tenant_id = n.tenant_id AND r.id = n.robot_id AND r.active"
        " WHERE n.tenant_id = :t AND n.sent_at IS NULL AND n.ended_at IS NULL AND n.next_at <= :now"
        " ORDER BY n.next_at, n.id LIMIT :n FOR UPDATE OF n SKIP LOCKED"
    )
    ids = list(uow.s.execute(due, {"t": uow.tenant_id, "now": uow.now, "n": AT_ONCE}).scalars())
    silent, went = set[int](), list[Any]()
    for row in uow.s.scalars(select(book.notices).where(book.notices.id.in_(ids)).order_by(book.notices.id)) if ids else ():
        if row.robot_id in silent:
            continue
        robot = uow.s.get_one(book.robots, (uow.tenant_id, row.robot_id))
        try:
            ports.send(uow.vault.unseal(robot.url_sealed), row.words)
        except PeerError as error:
            silent.add(row.robot_id)
            _failed(uow, book, row, robot, error)
            continue
        row.sent_at, row.problem = uow.now, ""
        went.append(row)
        uow.audit(book.entity, robot.id, "sent", after=_about(book, row))
        alerts.clear(uow, book.alert, f"robot:{robot.id}")
    return went


def _about(book: Book, row: Any) -> dict[str, Any]:
    return {book.about.removesuffix("_id"): getattr(row, book.about)}


def _failed(uow: UnitOfWork, book: Book, row: Any, robot: Any, error: PeerError) -> None:
    row.attempts, row.problem = row.attempts + 1, str(error.message)[:200]
    wait = again(row.made_at, row.attempts, uow.now)
    if wait is None:
        row.ended_at = uow.now
        uow.audit(book.entity, robot.id, "unsent", after=_about(book, row) | {"attempts": row.attempts}, reason=row.problem)
    else:
        row.next_at = uow.now + wait
    fields = {"name": robot.name, "why": error.message}
    alerts.raise_alert(uow, alerts.Alert(book.alert, f"robot:{robot.id}", alerts.Level.WARNING, book.words, book.page, book.perm, fields))


# --- the page -------------------------------------------------------------------------------------------------------------


def robots(uow: UnitOfWork, book: Book) -> Sequence[Any]:
    """All groups, in the order they were registered."""
    return uow.s.scalars(select(book.robots).order_by(book.robots.id)).all()


def notices(uow: UnitOfWork, book: Book) -> Sequence[Any]:
    """The newest messages and what became of them."""
    return uow.s.scalars(select(book.notices).order_by(book.notices.id.desc()).limit(SHOWN)).all()


def add(uow: UnitOfWork, book: Book, name: str, url: str, **where: Any) -> Any:
    """Register a group's robot. Raises Invalid naming the field."""
    if not name.strip():
        raise Invalid(say("请填写群的名称，例如：{example}。", example=book.example), "name")
    if not ports.is_webhook(url.strip()):
        raise Invalid(say("请粘贴企业微信群机器人的 Webhook 地址，以 https:// 开头。"), "url")
    row = book.robots(name=name.strip()[:40], url_sealed=uow.vault.seal(url.strip()), made_at=uow.now, **where)
    uow.s.add(row)
    uow.s.flush()
    uow.audit(book.entity, row.id, "add", after={"name": row.name, **{key.removesuffix("_id"): value for key, value in where.items()}})
    return row


def switch(uow: UnitOfWork, book: Book, robot_id: int, version: int, active: bool) -> None:
    """Off: nothing is written for this group; what waits is not sent. Raises NotFound, Stale."""
    row = _row(uow, book, robot_id)
    if row.version != version:
        raise Stale
    before, row.active = row.active, active
    uow.audit(book.entity, row.id, "change", {"active": before}, {"active": active})
    if not active:
        open_ = book.notices.sent_at.is_(None) & book.notices.ended_at.is_(None)
        waiting = select(book.notices).where(book.notices.robot_id == row.id, open_)
        for each in uow.s.scalars(waiting.order_by(book.notices.id).with_for_update()):
            each.ended_at = uow.now
        alerts.clear(uow, book.alert, f"robot:{row.id}")


def test(uow: UnitOfWork, book: Book, robot_id: int, words: str) -> None:
    """Say in the group that it is heard. Raises NotFound, Conflict with the other side's answer."""
    row = _row(uow, book, robot_id)
    try:
        ports.send(uow.vault.unseal(row.url_sealed), words)
    except PeerError as error:
        raise Conflict(say("没有发出：{why}", why=error.message)) from error
    uow.audit(book.entity, row.id, "tested")


def _row(uow: UnitOfWork, book: Book, robot_id: int) -> Any:
    row = uow.s.get(book.robots, (uow.tenant_id, robot_id), with_for_update=True)
    if row is None:
        raise NotFound("这个群机器人")
    return row


def state(row: Any) -> Any:
    """What became of a message, in words."""
    when: datetime | None = row.sent_at
    return say("已发出") if when is not None else say("没有发出") if row.ended_at is not None else say("等待发出")


__all__ = ["Book", "add", "again", "notices", "robots", "send", "state", "switch", "test"]
