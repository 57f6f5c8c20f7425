"""What the pages of the interfaces list, on paper or in a workbook: endpoints, what waits for a person, messages.

What a message is about (a patient's or a request's number) stays on the screen of who may see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from cloud.modules.interfaces import issues as kinds
from cloud.modules.interfaces.models import InterfaceIssue
from cloud.modules.interfaces.queries import BoardRow, MessageRow
from cloud.modules.interfaces.rules import Health
from cloud.reports.documents import Column, ListDocument
from cloud.web.span import ZONE

HEALTH: dict[str, str] = {
    Health.UP: "正常",
    Health.DEGRADED: "不稳定",
    Health.DOWN: "中断",
    Health.DISABLED: "停用",
    Health.IDLE: "尚无消息",
}


def board(found: Sequence[BoardRow], hospital: str, by: str, now: datetime) -> ListDocument:
    """Every endpoint with its last 24 hours."""
    columns = (
        Column("接口", 4), Column("编码", 3), Column("方向", 2), Column("状态", 2), Column("最近成功", 3),
        Column("24 小时消息", 2, "right"), Column("出错", 2, "right"), Column("出错%", 2, "right"), Column("待送达", 2, "right"),
        Column("最早", 3),
        Column("失败待处理", 2, "right"), Column("最近错误", 6), Column("错误时间", 3),
    )  # fmt: skip
    lines = tuple(
        (
            r.name, r.code, "接收" if r.direction == "in" else "发送", HEALTH[r.health], _at(r.last_ok_at), str(r.total), str(r.failed),
            f"{r.error_percent:.1f}", str(r.waiting), _at(r.oldest), str(r.dead), r.last_error or "", _at(r.last_error_at),
        )
        for r in found
    )  # fmt: skip
    return ListDocument(hospital, "接口看板", columns, lines, now, by, "最近 24 小时", landscape=True)


def issues(found: Sequence[InterfaceIssue], hospital: str, by: str, now: datetime) -> ListDocument:
    """What waits for a person, oldest first."""
    columns = (Column("首次", 3), Column("类别", 3), Column("内容", 12), Column("次数", 1, "right"))
    lines = tuple((_at(i.opened_at), str(kinds.KINDS.get(i.kind, i.kind)), i.text, str(i.count)) for i in found)
    return ListDocument(hospital, "接口待处理事项", columns, lines, now, by, landscape=True)


def messages(
    found: Sequence[MessageRow], states: Mapping[str, str], hospital: str, by: str, now: datetime, title: str = "接口消息"
) -> ListDocument:
    """Messages of one direction."""
    columns = (
        Column("时间", 3), Column("接口", 3), Column("消息", 2), Column("消息号", 4), Column("状态", 2), Column("次数", 1, "right"),
        Column("说明", 8),
    )  # fmt: skip
    lines = tuple(
        (
            f"{r.at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}", r.endpoint, r.kind, r.control_id, states.get(r.state, r.state), str(r.attempts),
            "" if r.state in ("acked", "applied") else r.detail,
        )
        for r in found
    )  # fmt: skip
    return ListDocument(hospital, title, columns, lines, now, by, landscape=True)


def _at(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(ZONE):%Y-%m-%d %H:%M}"
