"""What of the reports waits for whoever releases or amends: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.reports import acknowledge, queries
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say


def to_release(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Reviewed reports of each own section that nobody has released."""
    mine = md.own_sections(uow, who.sections)
    waiting = queries.count_waiting(uow, [s.id for s in mine])
    for s in mine:
        yield Waiting(say("初审后未发布的报告"), waiting.get(s.id, 0), f"/review/{s.code}", s.name)


def unread(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Readers of amended and recalled reports who do not know yet."""
    n = acknowledge.open_count(uow, [s.id for s in md.own_sections(uow, who.sections)])
    yield Waiting(say("报告已修改或召回，读过的人还不知道"), n, "/reports/notices")
