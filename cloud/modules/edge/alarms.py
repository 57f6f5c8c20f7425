"""Alarms about agents: one open row a kind, counted. The first is audited, so that a flood of refusals makes one entry, not a million."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork

# Kinds a person must look at, with their words.
KINDS = {
    "wrong_tenant": "以别家医院的名义发送",
    "header_differs": "信封内容与主题不符",
    "bad_signature": "签名不对",
    "unreadable": "信封无法读取",
    "revoked": "已吊销的采集端仍在发送",
    "not_enrolled": "未登记的采集端在发送",
    "no_sequence": "数据没有序号",
    "unstorable": "有报文无法保存，采集端继续保留",
    "clone": "同一身份疑似有两台采集端",
    "gap": "有报文缺失",
    "clock": "采集端时钟不准",
}

ALERTS = {kind: f"采集端 %(name)s：{words}" for kind, words in KINDS.items() if kind != "clock"}
"""What calls a person away from other pages (a clock calls by its own signal)."""
URGENT = frozenset({"clone", "gap", "unstorable"})
"""Results may be missing."""

UPSERT = text("""
INSERT INTO edge_alarm (tenant_id, agent_id, kind, detail, count, first_at, last_at)
VALUES (:t, :agent, :kind, CAST(:detail AS jsonb), :n, :now, :now)
ON CONFLICT (tenant_id, agent_id, kind) WHERE closed_at IS NULL
DO UPDATE SET count = edge_alarm.count + :n, last_at = :now, detail = excluded.detail
RETURNING id, count AS times
""")


def raise_alarm(uow: UnitOfWork, agent_id: int, kind: str, detail: dict[str, Any], times: int = 1) -> int:
    """Open an alarm of this kind for an agent, or count it up; the id."""
    body = json.dumps(detail, ensure_ascii=False, default=str)
    row = uow.s.execute(UPSERT, {"t": uow.tenant_id, "agent": agent_id, "kind": kind, "detail": body, "n": times, "now": uow.now}).one()
    if row.times == times:
        uow.audit("edge_alarm", row.id, "raise", after={"agent_id": agent_id, "kind": kind, **detail})
    uow.notify("edge", {"what": "alarm", "agent": agent_id})
    return int(row.id)


def clear_alarm(uow: UnitOfWork, agent_id: int, kind: str, reason: str) -> None:
    """The cause is gone by itself (a clock set right, a gap filled)."""
    found = uow.s.execute(
        text(
            "UPDATE edge_alarm SET closed_at = :now, closed_by = 'system', close_reason = :reason "
            "WHERE tenant_id = :t AND agent_id = :agent AND kind = :kind AND closed_at IS NULL RETURNING id"
        ),
        {"t": uow.tenant_id, "agent": agent_id, "kind": kind, "now": uow.now, "reason": reason},
    ).all()
    for row in found:
        uow.audit("edge_alarm", row.id, "clear", after={"agent_id": agent_id, "kind": kind}, reason=reason)
        uow.notify("edge", {"what": "alarm", "agent": agent_id})
