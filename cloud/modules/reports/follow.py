"""What follows a preliminary report: whoever saw the part that was told learns of the whole, and louder when it differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.reports import document
from cloud.modules.reports.models import Report, ReportNotice
from cloud.modules.reports.rules import Notice, differing

# Everybody who looked at a version before this one, with the last they saw.
_READERS = text("""
SELECT w.report_id, w.user_id, max(w.version_no) AS version_no FROM report_view w
WHERE w.tenant_id = :t AND w.report_id = ANY(:ids) AND w.user_id IS NOT NULL GROUP BY w.report_id, w.user_id ORDER BY 1, 2
""")
_LINES = text("""
SELECT report_id, version_no, document->'lines' AS lines FROM report_version
WHERE tenant_id = :t AND (report_id, version_no) IN (SELECT * FROM unnest(CAST(:r AS bigint[]), CAST(:n AS int[])))
""")
_DETAIL = text("""
SELECT detail FROM report_notice WHERE tenant_id = :t AND report_id = :r AND version_no = :n AND user_id = :u AND kind = 'differs'
""")


def tell_readers(uow: UnitOfWork, told: Sequence[tuple[Report, Mapping[str, Any]]], by: int) -> None:
    """Notices about versions just released (with their documents) to the readers of what they replace; none for a first version. Another
    part that says of no item anything else than before is nobody's concern yet. ``by``: who released, and so knows."""
    later = {report.id: (report, made) for report, made in told if report.current_no > 1}
    if not later:
        return
    given = {"t": uow.tenant_id, "ids": list(later)}
    readers = [r for r in uow.s.execute(_READERS, given) if r.user_id != by and r.version_no < later[r.report_id][0].current_no]
    seen = sorted({(r.report_id, r.version_no) for r in readers})
    given = {"t": uow.tenant_id, "r": [i for i, _ in seen], "n": [n for _, n in seen]}
    lines = {(r.report_id, r.version_no): r.lines for r in uow.s.execute(_LINES, given)} if seen else {}
    for r in readers:
        report, made = later[r.report_id]
        changed = differing(lines.get((r.report_id, r.version_no), ()), made["lines"])
        kind = Notice.DIFFERS if changed else Notice.FINAL
        if changed or not document.is_preliminary(made):
            uow.s.add(
                ReportNotice(
                    report_id=report.id,
                    version_no=report.current_no,
                    user_id=r.user_id,
                    at=uow.now,
                    kind=kind.value,
                    detail=[list(each) for each in changed],
                )
            )


def differences(uow: UnitOfWork, report_id: int, version_no: int, user_id: int) -> list[list[Any]]:
    """[item id, name, before, after] of what this reader saw otherwise before this version; read before ``seen`` or after."""
    given = {"t": uow.tenant_id, "r": report_id, "n": version_no, "u": user_id}
    return list(uow.s.execute(_DETAIL, given).scalar() or ())
