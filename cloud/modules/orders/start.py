"""What of the requests waits for a person: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from cloud.db.session import UnitOfWork
from cloud.modules.orders import queries, verbal
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say


def unwritten(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Verbal requests without their written one; requests that do not fit the patient."""
    yield Waiting(say("口头申请待补申请单"), len(verbal.waiting(uow)), "/orders/verbal")
    yield Waiting(say("与患者不符而挂起的申请"), verbal.held_count(uow), "/orders?held=1")


def refunds(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Refunds that wait for the laboratory's consent."""
    yield Waiting(say("退费申请待答复"), len(queries.refunds(uow)), "/orders/refund-requests")
