"""QC of today, by analyzer."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from cloud.db.session import UnitOfWork
from cloud.modules.qc import queries
from cloud.modules.qc.rules import Perm
from cloud.web.page import page
from cloud.web.view import Views, web

VIEWS = Views("qc", __name__)


@VIEWS.get("/qc/today", Perm.READ)
def today(uow: UnitOfWork) -> Any:
    """What QC material measured since local midnight."""
    zone = ZoneInfo(web().settings.timezone)
    start = datetime.combine(uow.now.astimezone(zone).date(), time(), zone)
    groups = queries.since(uow, start)
    return page("qc/today.html", block="groups", groups=groups, total=queries.total(groups), limit=queries.LIMIT)
