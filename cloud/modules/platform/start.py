"""Alerts that wait for the reader: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts, digest
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say


def unanswered(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """The morning's digest, and the alerts nobody has taken on."""
    yield Waiting(say("今日摘要未读"), digest.unread(uow, who.user_id), "/me/digest")
    total, urgent = alerts.counts(uow, who.permissions, who.wards, who.bounds)
    yield Waiting(say("未确认的提醒"), total, "/alerts", light="bad" if urgent else "warn")
