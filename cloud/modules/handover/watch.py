"""Every quarter of an hour: hand-over notes that nobody signed for."""

from __future__ import annotations

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.handover import queries
from cloud.modules.handover.rules import UNTAKEN, Perm
from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Alert, Level


def untaken(uow: UnitOfWork) -> None:
    """Raise what waits now, clear what no longer does."""
    sections = md.catalog(uow).sections
    words = "%(section)s：%(who)s 的交班记录 30 分钟仍无人签收"
    found = [
        Alert(
            "handover.untaken",
            f"note:{n.id}",
            Level.WARNING,
            words,
            f"/bench/handover/{sections[n.section_id].code}",
            Perm.READ,
            {"section": sections[n.section_id].name, "who": n.giver},
            at=(sections[n.section_id].code,),
        )
        for n in queries.untaken(uow, uow.now - UNTAKEN)
    ]
    alerts.sync(uow, "handover.untaken", found)
