"""The ward's own alerts of its tubes, which other wards do not see: sent back, or lost."""

from __future__ import annotations

from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts
from cloud.modules.specimens import facts
from cloud.modules.specimens.models import Specimen
from cloud.modules.specimens.rules import Perm

REJECTED, LOST = "specimen.ward_rejected", "specimen.ward_lost"


def tell_rejected(uow: UnitOfWork, tube: Specimen, rejection_id: int, reason: str, names: str) -> None:
    """Sent back: stands in the top bar of the ward's people until one of them has read it."""
    words = "标本被拒收（%(reason)s），请重采：%(bed)s %(name)s %(items)s"
    _tell(uow, tube, REJECTED, str(rejection_id), words, {"reason": reason, "items": names})


def read(uow: UnitOfWork, rejection_id: int) -> None:
    """Somebody of the ward has read it."""
    alerts.clear(uow, REJECTED, str(rejection_id))


def tell_lost(uow: UnitOfWork, tube: Specimen, searched: str) -> None:
    """Nobody finds it: the ward draws again, the laboratory looks on."""
    _tell(uow, tube, LOST, tube.barcode, "标本丢失 %(code)s（%(bed)s %(name)s），请与检验科联系重采", {}, once=True)
    words, fields = "标本丢失 %(code)s，已找过：%(where)s", {"code": tube.barcode, "where": searched[:200]}
    url = f"/sp/tubes/{tube.id}"
    alerts.raise_alert(uow, alerts.Alert("specimen.lost", tube.barcode, alerts.Level.URGENT, words, url, Perm.RECEIVE, fields, once=True))


def _tell(uow: UnitOfWork, tube: Specimen, kind: str, subject: str, words: str, fields: dict[str, Any], *, once: bool = False) -> None:
    row = facts.tubes(uow, [tube.id])[tube.id]
    told = {"name": row.name, "bed": row.bed, "code": tube.barcode, **fields}
    level = alerts.Level.WARNING if tube.priority == "routine" else alerts.Level.URGENT
    place = row.ward or row.dept
    alerts.raise_alert(uow, alerts.Alert(kind, subject, level, words, "/sp/rejections", Perm.NOTICE, told, once=once, place=place))
