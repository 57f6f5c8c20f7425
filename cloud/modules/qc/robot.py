"""A rejection is told in a group of WeChat-Work (M11 alerts: sound and WeChat): robots of groups, and the messages that wait for them.

A message is written with the rejection and sent by a job of its own, so that nothing waits for another company's server; what did not
go is tried again for two hours and then said on the list of alerts. No patient is named in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.modules.qc import rules
from cloud.modules.qc.models import QcNotice, QcPlan, QcRobot, QcRun
from cloud.ports import robot as ports
from cloud.web.faults import Conflict, Invalid, NotFound, Stale
from common.errors import PeerError
from common.say import say

AT_ONCE = 3
SHOWN = 30
KIND = "qc.robot"

_LATER = text("""
INSERT INTO qc_notice (tenant_id, robot_id, run_id, words, made_at, next_at)
SELECT :t, r.id, :run, :words, :now, :now FROM qc_robot r
WHERE r.tenant_id = :t AND r.active AND (r.section_id IS NULL OR r.section_id = :section)
ON CONFLICT (tenant_id, robot_id, run_id) DO UPDATE SET words = excluded.words WHERE qc_notice.sent_at IS NULL
""")


def tell(uow: UnitOfWork, plan: QcPlan, run: QcRun, broken: str) -> None:
    """A message for each group that hears of this section; once a run, however many of its levels come after the first."""
    known = md.catalog(uow)
    item = known.items[plan.item_id]
    at = run.at.astimezone(md.HOSPITAL_ZONE)
    words = f"【室内质控失控】{known.analyzers[plan.analyzer_id].name} {item.name}\n规则：{broken}\n测定：{at:%Y-%m-%d %H:%M}\n"
    words += "该项目的报告已停止发布，请在“失控处理”中处理。"
    params = {"t": uow.tenant_id, "run": run.id, "words": words, "now": uow.now, "section": item.section_id}
    uow.s.execute(_LATER, params)


_DUE = text("""
SELECT n.id FROM qc_notice n JOIN qc_robot r ON r.tenant_id = n.tenant_id AND r.id = n.robot_id AND r.active
WHERE n.tenant_id = :t AND n.sent_at IS NULL AND n.ended_at IS NULL AND n.next_at <= :now
ORDER BY n.next_at, n.id LIMIT :n FOR UPDATE OF n SKIP LOCKED
""")


def send(uow: UnitOfWork) -> int:
    """Job, every ten seconds: what is due goes out; how many went. A robot that did not answer is not asked again in this round."""
    ids = list(uow.s.execute(_DUE, {"t": uow.tenant_id, "now": uow.now, "n": AT_ONCE}).scalars())
    silent, went = set[int](), 0
    for row in uow.s.scalars(select(QcNotice).where(QcNotice.id.in_(ids)).order_by(QcNotice.id)) if ids else ():
        if row.robot_id in silent:
            continue
        robot = uow.s.get_one(QcRobot, (uow.tenant_id, row.robot_id))
        try:
            ports.send(uow.vault.unseal(robot.url_sealed), row.words)
        except PeerError as error:
            silent.add(row.robot_id)
            _failed(uow, row, robot, error)
            continue
        row.sent_at, row.problem, went = uow.now, "", went + 1
        uow.audit("qc_robot", robot.id, "sent", after={"run": row.run_id})
        alerts.clear(uow, KIND, f"robot:{robot.id}")
    return went


def _failed(uow: UnitOfWork, row: QcNotice, robot: QcRobot, error: PeerError) -> None:
    row.attempts, row.problem = row.attempts + 1, str(error.message)[:200]
    wait = rules.notice_again(row.made_at, row.attempts, uow.now)
    if wait is None:
        row.ended_at = uow.now
        uow.audit("qc_robot", robot.id, "unsent", after={"run": row.run_id, "attempts": row.attempts}, reason=row.problem)
    else:
        row.next_at = uow.now + wait
    words = "失控消息发不到企业微信群“%(name)s”：%(why)s"
    fields = {"name": robot.name, "why": error.message}
    alerts.raise_alert(uow, alerts.Alert(KIND, f"robot:{robot.id}", alerts.Level.WARNING, words, "/qc/robots", rules.Perm.PLAN, fields))


# --- the page -------------------------------------------------------------------------------------------------------------


def robots(uow: UnitOfWork) -> Sequence[QcRobot]:
    """All groups, in the order they were registered."""
    return uow.s.scalars(select(QcRobot).order_by(QcRobot.id)).all()


def notices(uow: UnitOfWork) -> Sequence[QcNotice]:
    """The newest messages and what became of them."""
    return uow.s.scalars(select(QcNotice).order_by(QcNotice.id.desc()).limit(SHOWN)).all()


def add(uow: UnitOfWork, name: str, section_id: int | None, url: str) -> QcRobot:
    """Register a group's robot. Raises Invalid naming the field."""
    if not name.strip():
        raise Invalid(say("请填写群的名称，例如：生化组质控群。"), "name")
    if section_id is not None and section_id not in md.catalog(uow).sections:
        raise Invalid(say("请从列表中选择专业组。"), "section")
    if not ports.is_webhook(url.strip()):
        raise Invalid(say("请粘贴企业微信群机器人的 Webhook 地址，以 https:// 开头。"), "url")
    row = QcRobot(name=name.strip()[:40], section_id=section_id, url_sealed=uow.vault.seal(url.strip()), made_at=uow.now)
    uow.s.add(row)
    uow.s.flush()
    uow.audit("qc_robot", row.id, "add", after={"name": row.name, "section": section_id})
    return row


def switch(uow: UnitOfWork, robot_id: int, version: int, active: bool) -> None:
    """Off: nothing is written for this group; what waits is not sent. Raises NotFound, Stale."""
    row = _row(uow, robot_id)
    if row.version != version:
        raise Stale
    before, row.active = row.active, active
    uow.audit("qc_robot", row.id, "change", {"active": before}, {"active": active})
    if not active:
        waiting = select(QcNotice).where(QcNotice.robot_id == row.id, QcNotice.sent_at.is_(None), QcNotice.ended_at.is_(None))
        for each in uow.s.scalars(waiting.order_by(QcNotice.id).with_for_update()):
            each.ended_at = uow.now
        alerts.clear(uow, KIND, f"robot:{row.id}")


def test(uow: UnitOfWork, robot_id: int, hospital: str) -> None:
    """Say in the group that it is heard. Raises NotFound, Conflict with the other side's answer."""
    row = _row(uow, robot_id)
    try:
        ports.send(uow.vault.unseal(row.url_sealed), f"【检联】{hospital}：这是一条测试消息，质控失控时会发到本群。")
    except PeerError as error:
        raise Conflict(say("没有发出：{why}", why=error.message)) from error
    uow.audit("qc_robot", row.id, "tested")


def _row(uow: UnitOfWork, robot_id: int) -> QcRobot:
    row = uow.s.get(QcRobot, (uow.tenant_id, robot_id), with_for_update=True)
    if row is None:
        raise NotFound("这个群机器人")
    return row


def state(row: QcNotice) -> Any:
    """What became of a message, in words."""
    when: datetime | None = row.sent_at
    return say("已发出") if when is not None else say("没有发出") if row.ended_at is not None else say("等待发出")


__all__ = ["add", "notices", "robots", "send", "state", "switch", "tell", "test"]
