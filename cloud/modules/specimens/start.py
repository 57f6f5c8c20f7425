"""What of the specimens waits for the ward or for whoever receives: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from cloud.db.session import UnitOfWork
from cloud.modules.specimens import bags, queries
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say


def sent_back(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Rejections that the own wards have not read."""
    yield Waiting(
        say("拒收未读"), queries.count_rejections(uow, queries.Rejected(who.wards, unread=True)), "/sp/rejections?unread=1", light="bad"
    )


def on_the_way(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Bags that were sent and are not compared."""
    yield Waiting(say("标本袋运送中或核对中"), len(bags.on_the_way(uow)), "/sp/bag?sent=1")
