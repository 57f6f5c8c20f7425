"""Alerts that wait for the reader: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say


def unanswered(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Those nobody has taken on."""
    total, urgent = alerts.counts(uow, who.permissions, who.wards)
    yield Waiting(say("未确认的提醒"), total, "/alerts", light="bad" if urgent else "warn")
