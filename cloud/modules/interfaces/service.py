"""The verbs of people at the interfaces: set up an endpoint, send again, close, and the watch over what is late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from cloud.db.session import UnitOfWork
from cloud.modules.interfaces import inbox, issues, rules
from cloud.modules.interfaces.endpoints import Incoming, Outgoing
from cloud.modules.interfaces.models import Delivery, Endpoint, InboxMessage, InterfaceIssue
from cloud.modules.interfaces.rules import State
from cloud.modules.platform import alerts
from cloud.web.faults import Conflict, Invalid, NotFound
from common.errors import UserError
from common.say import say, word

KEEP_RAW = timedelta(days=180)  # M23 R2


def save_endpoint(
    uow: UnitOfWork, code: str, name: str, direction: str, config: Mapping[str, Any], *, source: str = "", enabled: bool = True
) -> Endpoint:
    """Create an endpoint or replace its settings, checked first. Raises Invalid naming the setting at fault."""
    if direction not in ("in", "out"):
        raise Invalid("方向只能是 in 或 out。", "direction")
    try:
        Incoming.read(uow.tenant_id, 0, code, source, config) if direction == "in" else Outgoing.read(0, code, source, config)
    except (ValueError, TypeError, AttributeError) as error:
        raise Invalid(say("接口设置有误：{error}", error=error), "config") from error
    row = uow.s.scalars(select(Endpoint).where(Endpoint.code == code).with_for_update()).one_or_none()
    before = None
    if row is None:
        row = Endpoint(code=code, name=name, direction=direction, source=source or code, config=dict(config), enabled=enabled)
        uow.s.add(row)
    else:
        before = {"config": row.config, "enabled": row.enabled, "name": row.name}
        row.name, row.config, row.enabled, row.source = name, dict(config), enabled, source or code
    uow.s.flush()
    after = {"config": row.config, "enabled": row.enabled, "name": row.name}
    uow.audit("endpoint", row.id, "saved", before=before, after=after)
    return row


def resend(uow: UnitOfWork, delivery_id: int) -> None:
    """A dead letter goes out again, under its own MSH-10. Raises NotFound, Conflict."""
    row = _delivery(uow, delivery_id)
    _move(uow, row, State.RESENT, None)
    row.next_at, row.first_try_at, row.attempts = uow.now, None, 0
    uow.notify("delivery", {})


def close(uow: UnitOfWork, delivery_id: int, reason: str) -> None:
    """A dead letter a person has dealt with otherwise; what waited behind it may go. Raises NotFound, Conflict, Invalid."""
    if not reason.strip():
        raise Invalid("请写明不再投递的原因。", "reason")
    row = _delivery(uow, delivery_id)
    _move(uow, row, State.CLOSED, reason.strip())
    issues.settle(uow, issues.DEAD_LETTER, f"delivery:{row.id}", reason.strip())
    uow.notify("delivery", {})


def close_issue(uow: UnitOfWork, issue_id: int, reason: str) -> None:
    """A person has dealt with it. Raises NotFound, Conflict, Invalid."""
    if not reason.strip():
        raise Invalid("请写明如何处理的。", "reason")
    row = uow.s.get(InterfaceIssue, (uow.tenant_id, issue_id))
    if row is None:
        raise NotFound("该事项")
    if not issues.settle(uow, row.kind, row.key, reason.strip()) or row.closed_at is None:
        raise Conflict(say("该事项已由 {closed_by} 关闭，请刷新。", closed_by=row.closed_by or say("他人")))


def reprocess(uow: UnitOfWork, message_id: int) -> inbox.Outcome:
    """A quarantined message is judged anew, because its cause was repaired here. Raises NotFound, Conflict; what is still wrong is in
    the outcome."""
    row = _waiting(uow, message_id)
    endpoint = uow.s.get_one(Endpoint, (uow.tenant_id, row.endpoint_id))
    try:
        to = Incoming.read(uow.tenant_id, endpoint.id, endpoint.code, endpoint.source, endpoint.config)
    except ValueError as error:
        raise Conflict(say("接口 {name} 的设置有误，请先改正：{why}", name=endpoint.name, why=str(error))) from error
    before = row.state
    outcome = inbox.again(uow, row, to)
    uow.audit("inbox_message", row.id, "reprocessed", before={"state": before}, after={"state": row.state, "answer": row.answer_code})
    if row.state not in inbox.WAITING:
        issues.settle(uow, issues.QUARANTINED, f"inbox:{row.id}", "已重新处理")
    return outcome


def reprocess_all(uow: UnitOfWork, message_ids: Iterable[int]) -> tuple[int, list[str]]:
    """Several, oldest first, each by itself; returns how many went through and what stopped the others."""
    done, left = 0, []
    for message_id in sorted(set(message_ids)):
        try:
            with uow.s.begin_nested():
                outcome = reprocess(uow, message_id)
        except UserError as error:
            left.append(error.message)
            continue
        if outcome.state in inbox.WAITING:
            left.append(outcome.problem or outcome.code)
        else:
            done += 1
    return done, left


def close_message(uow: UnitOfWork, message_id: int, reason: str) -> None:
    """A quarantined message nobody needs any more, with the reason; it stays stored. Raises NotFound, Conflict, Invalid."""
    if not reason.strip():
        raise Invalid(say("请写明关闭的原因，例如对方已重发。"), "reason")
    row = _waiting(uow, message_id)
    before, row.state = row.state, inbox.CLOSED
    uow.audit("inbox_message", row.id, "closed", before={"state": before}, after={"state": row.state}, reason=reason.strip()[:300])
    issues.settle(uow, issues.QUARANTINED, f"inbox:{row.id}", reason.strip()[:300])


def _waiting(uow: UnitOfWork, message_id: int) -> InboxMessage:
    row = uow.s.get(InboxMessage, (uow.tenant_id, message_id), with_for_update=True)
    if row is None:
        raise NotFound("该消息")
    if row.state not in inbox.WAITING:
        raise Conflict(say("这条消息已经处理过了，请刷新。"))
    return row


def _quarantine(uow: UnitOfWork) -> None:
    waiting = uow.s.execute(select(func.count()).select_from(InboxMessage).where(InboxMessage.state.in_(inbox.WAITING))).scalar_one()
    unmapped = select(func.count()).select_from(InterfaceIssue)
    codes = uow.s.execute(unmapped.where(InterfaceIssue.kind == issues.UNMAPPED, InterfaceIssue.closed_at.is_(None))).scalar_one()
    told = (
        ("interfaces.quarantine", waiting, "%(n)s 条 HIS 消息被隔离，等待处理", "/if/quarantine", rules.Perm.RESEND),
        ("interfaces.unmapped", codes, "%(n)s 个 HIS 项目未对照，患者不能打条码", "/if/maps", rules.Perm.MAPS),
    )
    for kind, n, words, url, who in told:
        found = [alerts.Alert(kind, "all", alerts.Level.WARNING, words, url, who, {"n": n})] if n else []
        alerts.sync(uow, kind, found)


def watch(uow: UnitOfWork) -> None:
    """Job, every minute: an endpoint whose oldest unsent message is over 15 minutes old is an issue (R3), and stops being one; what
    waits in quarantine and which codes nobody mapped is told."""
    _quarantine(uow)
    waiting = [s.value for s in rules.WAITING]
    oldest = select(Delivery.endpoint_id, func.min(Delivery.created_at), func.count()).where(Delivery.state.in_(waiting))
    late = {e: (at, n) for e, at, n in uow.s.execute(oldest.group_by(Delivery.endpoint_id)) if uow.now - at > rules.LATE}
    for row in uow.s.scalars(select(Endpoint).where(Endpoint.direction == "out").order_by(Endpoint.id)):
        key = f"endpoint:{row.id}"
        if row.id in late:
            at, n = late[row.id]
            minutes = int((uow.now - at).total_seconds() // 60)
            text = f"接口 {row.name} 有 {n} 条消息未送达，最早 {minutes} 分钟：{row.last_error or '等待应答'}"
            if not _is_open(uow, issues.LATE, key):
                issues.raise_issue(uow, issues.LATE, key, text, "/if/board", ticket=True)
        else:
            issues.settle(uow, issues.LATE, key, "已全部送达")


def _is_open(uow: UnitOfWork, kind: str, key: str) -> bool:
    query = select(InterfaceIssue.id).where(InterfaceIssue.kind == kind, InterfaceIssue.key == key, InterfaceIssue.closed_at.is_(None))
    return uow.s.scalars(query).first() is not None


def _delivery(uow: UnitOfWork, delivery_id: int) -> Delivery:
    row = uow.s.get(Delivery, (uow.tenant_id, delivery_id), with_for_update=True)
    if row is None:
        raise NotFound("该消息")
    return row


def _move(uow: UnitOfWork, row: Delivery, to: State, reason: str | None) -> None:
    try:
        rules.move(State(row.state), to)
    except rules.NotAllowed as error:
        raise Conflict(say("消息当前状态为“{state}”，不能这样处理，请刷新。", state=word(rules.STATE_TEXT[State(row.state)]))) from error
    uow.audit("delivery", row.id, to.value, before={"state": row.state}, after={"state": to.value}, reason=reason)
    row.state = to.value
