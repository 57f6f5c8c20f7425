"""What requests, results and reports do to a tube: the handlers of other modules' events, called by the worker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import text

from cloud.db import kept
from cloud.db.session import UnitOfWork
from cloud.modules.orders import queries as orders
from cloud.modules.specimens import facts, rules, service
from cloud.modules.specimens.models import Specimen
from cloud.modules.specimens.rules import State

_CHILDREN = text("SELECT id FROM specimen WHERE tenant_id = :t AND parent_id = :p")


def _walk(uow: UnitOfWork, tube: Specimen, ways: Iterable[State]) -> None:
    """From where a locked tube stands to each of these states in turn, step by step as by ``move``, written in two statements."""
    events = [service.step(uow, tube, step) for to in ways for step in rules.way(State(tube.state), to)]
    kept.save(uow.s, [tube])
    uow.insert(*events)


def on_item_status(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``order.item_status``: a tube whose last item was cancelled, refunded or ran out is void."""
    if payload.get("status") not in orders.ENDED or payload.get("specimen_id") is None:
        return
    tube = uow.s.get(Specimen, (uow.tenant_id, payload["specimen_id"]), with_for_update=True)
    if tube is None or not rules.may_move(tube.state, State.CANCELLED):
        return
    items = facts.items(uow, [tube.id]).get(tube.id, [])
    if all(each.status in orders.ENDED for each in items):
        service.move(
            uow, tube, State.CANCELLED, detail={"reason": payload.get("reason") or "申请已取消"}, reason=payload.get("reason") or None
        )
        service.emit(uow, "cancelled", tube, reason=payload.get("reason") or "")


def on_result(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``result.received``: the tube is on the analyzer, and tested once no mandatory test waits for a value."""
    for tube in kept.locked(uow.s, Specimen, [int(payload["specimen_id"])]):
        to = State.TESTED if facts.still_expected(uow, tube.id) == 0 else State.ON_ANALYZER
        if tube.state != to:
            _walk(uow, tube, [to])


def on_withdrawn(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``result.withdrawn``: tests ended with their request; what is left of a tube on the analyzer may all be there."""
    for tube in kept.locked(uow.s, Specimen, [int(payload["specimen_id"])]):
        if tube.state == State.ON_ANALYZER and facts.still_expected(uow, tube.id) == 0:
            _walk(uow, tube, [State.TESTED])


def on_released(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``report.released``: reviewed and released in one act."""
    specimen_id = payload.get("specimen_id") or facts.specimen_of_report(uow, payload["report_id"])
    for tube in kept.locked(uow.s, Specimen, [] if specimen_id is None else [int(specimen_id)]):
        _walk(uow, tube, (State.TESTED, State.REVIEWED, State.RELEASED))
        children = uow.s.scalars(_CHILDREN, {"t": uow.tenant_id, "p": tube.id}).all()
        for child in kept.locked(uow.s, Specimen, children) if children else ():
            follow(uow, child)


def follow(uow: UnitOfWork, child: Specimen) -> None:
    """An aliquot of a track line has no report of its own: told with its parent's, so that it can be archived, kept and discarded."""
    for to in (State.ON_ANALYZER, State.TESTED, State.REVIEWED, State.RELEASED):
        if rules.may_move(child.state, to):
            service.move(uow, child, to, detail={"with": "parent"})
