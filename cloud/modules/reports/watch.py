"""Calendar job: what a report's people must be reminded of (M09 Alerts): due and overdue, reviewed but not released, unread amendments."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Alert, Level
from cloud.modules.reports import infectious
from cloud.modules.reports.rules import Perm

SOON = timedelta(minutes=10)
REVIEWED = timedelta(minutes=30)
UNREAD = timedelta(minutes=30)
SINGLE = 50
"""Reports told one by one, those that wait longest; the others by their number."""
CHANGED = "修改报告 %(no)s：%(n)s 人 30 分钟仍未确认"
RECALLED = "召回报告 %(no)s：%(n)s 人 30 分钟仍未确认"
MORE = "%(section)s：另有 %(n)s 份修改或召回的报告 30 分钟仍未确认"

DUE = text("""
SELECT s.id, s.code, s.name, count(*) FILTER (WHERE b.due_at < :now) AS overdue, count(*) AS soon
FROM bench_tube b JOIN section s ON s.tenant_id = b.tenant_id AND s.id = b.section_id
WHERE b.tenant_id = :t AND b.state IN ('waiting','partial','held','ready','reviewed') AND b.received_at > :since AND b.due_at < :soon
GROUP BY s.id, s.code, s.name
""")
WAITING = text("""
SELECT s.id, s.code, s.name, count(*) AS n FROM report r
JOIN section s ON s.tenant_id = r.tenant_id AND s.id = r.section_id
WHERE r.tenant_id = :t AND r.state = 'tested' AND r.tested_at < :before GROUP BY s.id, s.code, s.name
""")
UNTAKEN = text("""
SELECT r.no, n.version_no, r.state, r.section_id, s.code, s.name AS section, count(*) AS n FROM report_notice n
JOIN report r ON r.tenant_id = n.tenant_id AND r.id = n.report_id
JOIN section s ON s.tenant_id = r.tenant_id AND s.id = r.section_id
WHERE n.tenant_id = :t AND n.read_at IS NULL AND n.at < :before AND n.version_no = r.current_no AND n.kind <> 'final'
GROUP BY r.no, n.version_no, r.state, r.section_id, s.code, s.name ORDER BY min(n.at), r.no
""")
COCHECK = text("""
SELECT s.id, s.code, s.name, count(*) AS n FROM report r
JOIN section s ON s.tenant_id = r.tenant_id AND s.id = r.section_id
WHERE r.tenant_id = :t AND (r.cocheck_due < :now) = :late AND r.cochecked_at IS NULL
  AND r.state NOT IN ('recalled','cancelled') GROUP BY s.id, s.code, s.name
""")


def watch(uow: UnitOfWork) -> None:
    """Raise what is so now, clear what no longer is."""
    at = {"t": uow.tenant_id, "now": uow.now}

    def sections(query: object, kind: str, level: Level, message: str, url: str, **more: object) -> None:
        rows = uow.s.execute(query, {**at, **more})  # type: ignore[call-overload]
        found = [
            Alert(kind, f"section:{r.id}", level, message, url.format(code=r.code), Perm.TEST, {"section": r.name, "n": r.n}, at=(r.code,))
            for r in rows
        ]
        alerts.sync(uow, kind, found)

    due = uow.s.execute(DUE, {**at, "soon": uow.now + SOON, "since": uow.now - timedelta(days=3)}).all()
    alerts.sync(
        uow,
        "reports.due",
        [
            Alert(
                "reports.due",
                f"section:{r.id}",
                Level.URGENT if r.overdue else Level.WARNING,
                "%(section)s：%(soon)s 份报告将在 10 分钟内到期，其中 %(overdue)s 份已超时",
                f"/bench/{r.code}?show={'late' if r.overdue else 'all'}",
                Perm.TEST,
                {"section": r.name, "soon": r.soon, "overdue": r.overdue},
                at=(r.code,),
            )
            for r in due
        ],
    )
    sections(
        WAITING, "reports.waiting", Level.WARNING, "%(section)s：%(n)s 份报告初审 30 分钟仍未发布", "/review/{code}",
        before=uow.now - REVIEWED,
    )  # fmt: skip
    sections(COCHECK, "reports.cocheck", Level.URGENT, "%(section)s：%(n)s 份单人值班报告超过 24 小时未复核", "/review/{code}", late=True)
    sections(COCHECK, "reports.cocheck_open", Level.NOTICE, "%(section)s：%(n)s 份单人值班报告等待第二人复核", "/review/{code}", late=False)
    infectious.watch(uow, uow.now)
    unread = uow.s.execute(UNTAKEN, {**at, "before": uow.now - UNREAD}).all()
    said = []
    for r in unread[:SINGLE]:
        words, fields = RECALLED if r.state in ("recalled", "cancelled") else CHANGED, {"no": r.no, "n": r.n}
        subject = f"{r.no}:{r.version_no}"
        said.append(Alert("reports.unread", subject, Level.WARNING, words, "/reports/notices", Perm.AMEND, fields, at=(r.code,)))
    for (code, section), n in Counter((r.code, r.section) for r in unread[SINGLE:]).items():
        fields = {"section": section, "n": n}
        said.append(Alert("reports.unread", f"section:{code}", Level.WARNING, MORE, "/reports/notices", Perm.AMEND, fields, at=(code,)))
    alerts.sync(uow, "reports.unread", said)
