"""Event handlers: mishaps of other modules that open a nonconformity by themselves (R1)."""

from __future__ import annotations

from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.quality.rules import Severity, Source
from cloud.modules.quality.service import Mishap, open_once

LAST_LEVEL = 3


def specimen_lost(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """A tube that nobody finds."""
    barcode = str(payload["barcode"])
    what = Mishap(
        Source.LOST, f"specimen:{payload['specimen_id']}", f"标本遗失 {barcode}", str(payload.get("reason", "")), Severity.SERIOUS
    )
    open_once(uow, what)


def critical_escalated(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """A critical value that climbed to the last level unheard (S, M10 R4)."""
    if int(payload["level"]) < LAST_LEVEL:
        return
    event = int(payload["critical_id"])
    title, why = f"危急值 {event} 未及时通知", "逐级升级到最后一级仍未有人接收。"
    open_once(uow, Mishap(Source.CRITICAL, f"critical:{event}", title, why, Severity.SERIOUS, url=f"/critical/phone/{event}"))
