"""A rejection is told in a group of WeChat-Work (M11 alerts: sound and WeChat)."""

from __future__ import annotations

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import groups
from cloud.modules.qc import rules
from cloud.modules.qc.models import QcNotice, QcPlan, QcRobot, QcRun
from cloud.web.faults import Invalid
from common.say import say

BOOK = groups.Book(
    QcRobot,
    QcNotice,
    "run_id",
    "qc.robot",
    "失控消息发不到企业微信群“%(name)s”：%(why)s",
    "/qc/robots",
    rules.Perm.PLAN,
    say("生化组质控群"),
)

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


def send(uow: UnitOfWork) -> int:
    """Job, every ten seconds: what is due goes out; how many went."""
    return len(groups.send(uow, BOOK))


def add(uow: UnitOfWork, name: str, section_id: int | None, url: str) -> QcRobot:
    """Register a group's robot. Raises Invalid naming the field."""
    if section_id is not None and section_id not in md.catalog(uow).sections:
        raise Invalid(say("请从列表中选择专业组。"), "section")
    made: QcRobot = groups.add(uow, BOOK, name, url, section_id=section_id)
    return made


def test(uow: UnitOfWork, robot_id: int, hospital: str) -> None:
    """Say in the group that it is heard. Raises NotFound, Conflict with the other side's answer."""
    groups.test(uow, BOOK, robot_id, f"【检联】{hospital}：这是一条测试消息，质控失控时会发到本群。")


__all__ = ["BOOK", "add", "send", "tell", "test"]
