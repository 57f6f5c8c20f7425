"""Event handlers: what other parts of the system open a ticket for by themselves."""

from __future__ import annotations

from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.servicedesk.rules import Category, Severity
from cloud.modules.servicedesk.service import New, open_ticket


def open_by_system(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``ticket.open``: a fault of an interface; nothing in it interrupts testing, so it is P2."""
    title, category = str(payload.get("title") or payload.get("text") or "")[:300], str(payload.get("category", Category.INTERFACE))
    open_ticket(uow, New("系统", title, Severity.P2, category, channel="系统"))
