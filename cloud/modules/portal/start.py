"""Reports the own wards have not seen: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from cloud.db.session import UnitOfWork
from cloud.modules.portal import queries
from cloud.modules.portal.rules import Show
from cloud.modules.reports import queries as reports
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say


def unread(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """New, amended and recalled ones."""
    corrected = reports.count_corrected(uow, who.user_id)
    yield Waiting(say("已修改或召回、待您查看的报告"), corrected, f"/clinic?show={Show.CORRECTED.value}", light="bad")
    yield Waiting(say("未读报告"), queries.unread(uow, who), f"/clinic?show={Show.UNREAD.value}")
