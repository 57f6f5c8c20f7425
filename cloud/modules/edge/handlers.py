"""What the edge does about other modules' events, in the worker: worklists go down, waiting results are taken up."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import downlink, retake, service, worklists
from cloud.modules.edge.service import CHINA


def on_tube(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """A tube was collected, received, changed, rejected or cancelled: each analyzer it concerns hears of it."""
    uow.gather(_tell, int(payload["specimen_id"]))


def _tell(uow: UnitOfWork, specimen_ids: list[int]) -> None:
    found = worklists.tubes(uow, specimen_ids)
    catalog = md.catalog(uow)
    for target in worklists.targets(uow):
        bodies = worklists.for_target(catalog, target, found, mention_all=True)
        if bodies:
            downlink.enqueue(uow, target.agent_id, "worklist", {"tubes": bodies}, target.conn_key)


_BARCODE = text("SELECT barcode FROM specimen WHERE tenant_id = :t AND id = :i")


def on_received(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Received: results that were faster than the receipt leave the tray."""
    barcode = uow.s.scalar(_BARCODE, {"t": uow.tenant_id, "i": payload["specimen_id"]})
    if barcode is not None:
        retake.take_up_waiting(uow, str(barcode), CHINA)
    on_tube(uow, payload)


UNREAD = text("""
SELECT r.id FROM raw_message r JOIN connection c ON c.tenant_id = r.tenant_id AND c.id = r.connection_id
WHERE r.tenant_id = :t AND c.analyzer_id = :a AND r.state = 'quarantined' AND r.kind = 'raw' ORDER BY r.id LIMIT 2000
""")


def on_mapping(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """A mapping is in use: messages of its analyzer that nobody could read are read again by it; worklists carry its codes."""
    for raw_id in uow.s.scalars(UNREAD, {"t": uow.tenant_id, "a": payload["analyzer_id"]}).all():
        service.reinterpret(uow, raw_id, f"对照第 {payload['number']} 版启用", CHINA)
    specimens = worklists.open_specimens(uow)
    found, catalog = worklists.tubes(uow, specimens), md.catalog(uow)
    for target in worklists.targets(uow):
        if target.analyzer_id == payload["analyzer_id"] and (bodies := worklists.for_target(catalog, target, found)):
            downlink.enqueue(uow, target.agent_id, "worklist", {"tubes": bodies}, target.conn_key)
