"""What analyzers sent and nobody could place: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from cloud.db.session import UnitOfWork
from cloud.modules.edge import queries
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say


def strays(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Results without a tube."""
    yield Waiting(say("无主结果"), queries.counts(uow).tray, "/edge/orphans")


def codes(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Codes without an item."""
    yield Waiting(say("未对照代码"), queries.counts(uow).unmapped, "/edge/unmapped")


def unread(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Messages that could not be read."""
    yield Waiting(say("待解析报文"), queries.counts(uow).quarantined, "/edge/quarantine")
