"""Out-of-control work that is not closed: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import func, select

from cloud.db.session import UnitOfWork
from cloud.modules.qc.models import QcOoc
from cloud.modules.qc.rules import Ooc
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say


def out(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """The open ones of the register."""
    n = uow.s.execute(select(func.count()).select_from(QcOoc).where(QcOoc.state != Ooc.CLOSED.value)).scalar_one()
    yield Waiting(say("质控失控未关闭"), n, "/qc/ooc", light="bad")
