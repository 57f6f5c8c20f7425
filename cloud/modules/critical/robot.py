"""A critical value's third channel (M10 R3): a message in the ward's group of WeChat-Work.

It says that somebody is waited for, where and until when: no name, no item, no value, since it lies on another company's server and a
value is told by pop-up or telephone, with its read-back. So it never counts as receipt.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.critical import rules
from cloud.modules.critical.models import CriticalEvent, CriticalNotice, CriticalRobot
from cloud.modules.platform import groups
from common.say import say

BOOK = groups.Book(
    CriticalRobot,
    CriticalNotice,
    "event_id",
    "critical.robot",
    "危急值消息发不到企业微信群“%(name)s”：%(why)s",
    "/critical/robots",
    rules.Perm.SETUP,
    say("内一病区危急值群"),
)

_LATER = text("""
INSERT INTO critical_notice (tenant_id, robot_id, event_id, level, words, made_at, next_at)
SELECT :t, r.id, :event, :level, :words, :now, :now FROM critical_robot r
WHERE r.tenant_id = :t AND r.active AND (r.place = '' OR r.place = :ward OR r.place = :dept)
ON CONFLICT (tenant_id, robot_id, event_id, level) DO NOTHING RETURNING robot_id
""")
# Whoever was told, or whose value does not stand, is not called by a message that was late.
_OVER = text("""
UPDATE critical_notice n SET ended_at = :now FROM critical_event e
WHERE n.tenant_id = :t AND n.sent_at IS NULL AND n.ended_at IS NULL
  AND e.tenant_id = n.tenant_id AND e.id = n.event_id AND e.state <> ALL(:untold)
""")


def tell(uow: UnitOfWork, event: CriticalEvent, level: int = 0) -> list[str]:
    """A message for each group that hears of this place, once a level; the groups' names."""
    local = md.HOSPITAL_ZONE
    until = (event.found_at + timedelta(minutes=event.minutes)).astimezone(local)
    head = f"【危急值 · {rules.LEVEL_WORDS[level]}】" if level else "【危急值】"
    words = f"{head}{event.place}\n标本：{event.barcode}\n发现：{event.found_at.astimezone(local):%m-%d %H:%M}，须在 {until:%H:%M} 前接收\n"
    words += "请立即在临床工作站“危急值待确认”查看并复述，或接听检验科电话。"
    params = {"t": uow.tenant_id, "event": event.id, "level": level, "words": words, "now": uow.now}
    found = set(uow.s.execute(_LATER, params | {"ward": event.ward, "dept": event.dept}).scalars())
    if not found:
        return []
    return list(uow.s.scalars(select(CriticalRobot.name).where(CriticalRobot.id.in_(found)).order_by(CriticalRobot.id)))


def due(uow: UnitOfWork) -> list[tuple[CriticalNotice, str]]:
    """What is due goes out; the messages that went, each with its group's name."""
    uow.s.execute(_OVER, {"t": uow.tenant_id, "now": uow.now, "untold": [s.value for s in rules.UNTOLD]})
    went = groups.send(uow, BOOK)
    return [(row, uow.s.get_one(CriticalRobot, (uow.tenant_id, row.robot_id)).name) for row in went]


def add(uow: UnitOfWork, name: str, place: str, url: str) -> CriticalRobot:
    """Register a group's robot, of one ward or department or ('') of all. Raises Invalid naming the field."""
    made: CriticalRobot = groups.add(uow, BOOK, name, url, place=place.strip()[:60])
    return made


def test(uow: UnitOfWork, robot_id: int, hospital: str) -> None:
    """Say in the group that it is heard. Raises NotFound, Conflict with the other side's answer."""
    groups.test(uow, BOOK, robot_id, f"【检联】{hospital}：这是一条测试消息，有危急值待接收时会发到本群。")


__all__ = ["BOOK", "add", "due", "tell", "test"]
