"""The ward's own alerts of its tubes, which other wards do not see: sent back, or lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.platform import alerts
from cloud.modules.specimens import facts
from cloud.modules.specimens.models import Rejection, Specimen
from cloud.modules.specimens.rules import Perm

# Of a rejection's requests none waits for a tube or for its collection any more.
_ANSWERED = text("""
SELECT DISTINCT r.id FROM order_item i
JOIN rejection_item x ON x.tenant_id = i.tenant_id AND x.order_item_id = i.id
JOIN rejection r ON r.tenant_id = x.tenant_id AND r.id = x.rejection_id AND r.ward_read_at IS NULL AND r.specimen_id <> i.specimen_id
WHERE i.tenant_id = :t AND i.specimen_id = :tube AND NOT EXISTS (
  SELECT 1 FROM rejection_item o JOIN order_item w ON w.tenant_id = o.tenant_id AND w.id = o.order_item_id
  WHERE o.tenant_id = r.tenant_id AND o.rejection_id = r.id AND w.status IN ('requested', 'confirmed', 'rejected', 'labelled'))
ORDER BY r.id
""")
REJECTED, LOST = "specimen.ward_rejected", "specimen.ward_lost"


def tell_rejected(uow: UnitOfWork, tube: Specimen, rejection_id: int, reason: str, names: str) -> None:
    """Sent back: stands in the top bar of the ward's people until one of them has read it."""
    words = "标本被拒收（%(reason)s），请重采：%(bed)s %(name)s %(items)s"
    _tell(uow, tube, REJECTED, str(rejection_id), words, {"reason": reason, "items": names})


def read(uow: UnitOfWork, row: Rejection) -> None:
    """Somebody of the ward has read it, or did what it asks; the first counts."""
    if row.ward_read_at is None:
        row.ward_read_at, row.ward_read_by = uow.now, uow.actor.name
        uow.audit("rejection", row.id, "read", after={"by": uow.actor.name})
    alerts.clear(uow, REJECTED, str(row.id))


def drawn_again(uow: UnitOfWork, specimen_id: int) -> None:
    """A tube was collected: whose rejections it answers whole, nobody need read them any more."""
    for rejection_id in uow.s.scalars(_ANSWERED, {"t": uow.tenant_id, "tube": specimen_id}).all():
        read(uow, uow.s.get_one(Rejection, (uow.tenant_id, rejection_id), with_for_update=True))


def tell_lost(uow: UnitOfWork, tube: Specimen, searched: str) -> None:
    """Nobody finds it: the ward draws again, the laboratory looks on."""
    _tell(uow, tube, LOST, tube.barcode, "标本丢失 %(code)s（%(bed)s %(name)s），请与检验科联系重采", {}, once=True)
    words, fields = "标本丢失 %(code)s，已找过：%(where)s", {"code": tube.barcode, "where": searched[:200]}
    url = f"/sp/tubes/{tube.id}"
    found = alerts.Alert("specimen.lost", tube.barcode, alerts.Level.URGENT, words, url, Perm.RECEIVE, fields, once=True)
    alerts.raise_alert(uow, replace(found, at=places.of_tubes(uow, [tube.id])[tube.id]))


def _tell(uow: UnitOfWork, tube: Specimen, kind: str, subject: str, words: str, fields: dict[str, Any], *, once: bool = False) -> None:
    row = facts.tubes(uow, [tube.id])[tube.id]
    told = {"name": row.name, "bed": row.bed, "code": tube.barcode, **fields}
    level = alerts.Level.WARNING if tube.priority == "routine" else alerts.Level.URGENT
    place = row.ward or row.dept
    alerts.raise_alert(uow, alerts.Alert(kind, subject, level, words, "/sp/rejections", Perm.NOTICE, told, once=once, place=place))
