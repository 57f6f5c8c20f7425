"""A patient's sex or birthday corrected after a report was told: whoever may amend it learns which of its values are judged for somebody
else. What is not told yet the bench judges anew by itself (bench.corrected)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import service as bench
from cloud.modules.catalog import places
from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Alert, Level
from cloud.modules.reports.rules import Perm

KIND = "reports.corrected"
MESSAGE = "报告 %(no)s：患者性别或出生日期已更正，%(items)s 仍按原信息判断，请核对后修改报告"
SINCE = timedelta(days=365)
"""How long ago a report may have been told for somebody to still act on it."""

_OF_PATIENT = text("SELECT id FROM report WHERE tenant_id = :t AND patient_id = :p AND released_at > :since ORDER BY id")
_REPORT = text("""
SELECT id, no, specimen_id, section_id,
  current_no > 0 AND state NOT IN ('recalled', 'cancelled') AS told FROM report WHERE tenant_id = :t AND id = :r
""")
_OPEN = text("SELECT 1 FROM alert WHERE tenant_id = :t AND kind = :kind AND subject = :subject AND cleared_at IS NULL")


def on_corrected(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``patient.corrected``: each told report of the last year, by itself."""
    given = {"t": uow.tenant_id, "p": payload["patient_id"], "since": uow.now - SINCE}
    for report_id in uow.s.scalars(_OF_PATIENT, given).all():
        _look(uow, report_id)


def on_changed(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """A report was amended or recalled: what was said of it may be done."""
    given = {"t": uow.tenant_id, "kind": KIND, "subject": _subject(payload["report_id"])}
    if uow.s.execute(_OPEN, given).first() is not None:
        _look(uow, int(payload["report_id"]))


def _look(uow: UnitOfWork, report_id: int) -> None:
    row = uow.s.execute(_REPORT, {"t": uow.tenant_id, "r": report_id}).one()
    items = bench.judged_otherwise(uow, row.specimen_id) if row.told else []
    if not items:
        alerts.clear(uow, KIND, _subject(report_id))
        return
    found = Alert(KIND, _subject(report_id), Level.URGENT, MESSAGE, f"/reports/{report_id}", Perm.AMEND, {"no": row.no, "items": items})
    alerts.raise_alert(uow, replace(found, at=places.code(uow, row.section_id)))


def _subject(report_id: int) -> str:
    return f"report:{report_id}"
