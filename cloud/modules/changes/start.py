"""Changes of master data that wait for approval: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from cloud.db.session import UnitOfWork
from cloud.modules.changes import queries
from cloud.modules.changes.rules import State
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say


def to_approve(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Tested ones."""
    yield Waiting(say("基础数据变更待批准"), queries.listed(uow, State.TESTED)[1], f"/md/changes?show={State.TESTED.value}")
