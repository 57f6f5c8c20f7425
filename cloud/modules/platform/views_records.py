"""Pages of evidence: security reports, looks past a wall, exports, audit, 等保 self-check, alerts, lists on their way to paper."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask import Response, request

from cloud.db.audit import AuditLog
from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts, archive, audit_words, glass, glass_rules, lists, looks, mlps, queries, registers, rules
from cloud.modules.platform.rules import Level, Perm
from cloud.web.faults import Invalid, NotFound
from cloud.web.i18n import locale
from cloud.web.page import fragment, page, redirect_to
from cloud.web.view import Access, Views, principal, web
from common.say import say

VIEWS = Views("platform_records", __name__)
EXPORT_MOST = 5000


@VIEWS.get("/admin/reports", Perm.AUDIT)
def security_reports(uow: UnitOfWork) -> Any:
    """Failed logins, privileged actions, dormant accounts."""
    return page(
        "platform/reports.html",
        failed=queries.failed_logins(uow),
        done=_spoken(queries.privileged(uow, request.args.get("before", None, type=int))),
        dormant=queries.dormant(uow),
        page_size=queries.PAGE,
        why=rules.LOGIN_WORDS,
    )


@VIEWS.post("/admin/reports/export", Perm.AUDIT, reads=True)
def export_report(uow: UnitOfWork) -> Any:
    """One of them on paper or in a workbook."""
    said = (principal().tenant_name, principal().name, uow.now)
    name = request.form.get("list", "")
    if name == "failed":
        made = registers.failed(queries.failed_logins(uow), *said)
    elif name == "dormant":
        made = registers.dormant(queries.dormant(uow), *said)
    elif name == "privileged":
        made = registers.privileged(queries.privileged(uow, limit=EXPORT_MOST), *said)
    else:
        raise Invalid(say("请选择要导出的报表。"), "list")
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), "/admin/reports"))


@VIEWS.get("/admin/breaks", Perm.BREAKS)
def breaks(uow: UnitOfWork) -> Any:
    """Who looked past a wall and why: what waits for review, or all."""
    return _breaks(uow, request.args.get("before", None, type=int))


def _breaks(uow: UnitOfWork, before: int | None = None) -> Any:
    every = bool(request.args.get("all"))
    rows = glass.looks(uow, every=every, before=before)
    return page(
        "platform/breaks.html",
        "rows",
        rows=rows,
        every=every,
        words=glass_rules.GLASS_WORDS,
        verdicts=glass_rules.VERDICT_WORDS,
        page_size=glass.PAGE,
    )


@VIEWS.post("/admin/breaks/<int:look_id>", Perm.BREAKS)
def review_break(uow: UnitOfWork, look_id: int) -> Any:
    """Say of a look whether it was fit."""
    glass.review(uow, look_id, request.form.get("verdict", ""), request.form.get("note", ""))
    uow.s.flush()
    return _breaks(uow)


@VIEWS.post("/admin/breaks/print", Perm.BREAKS, reads=True)
def print_breaks(uow: UnitOfWork) -> Any:
    """The review list on paper or in a workbook."""
    made = registers.breaks(glass.looks(uow, every=True, limit=5000), principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), "/admin/breaks?all=1", identifying=True))


@VIEWS.get("/admin/breaks/sensitive", Perm.BREAKS)
def sensitive(uow: UnitOfWork) -> Any:
    """Who has seen patients with sensitive items within thirty days; with ``?user=`` which patients."""
    one = request.args.get("user", None, type=int)
    patients = () if one is None else looks.of_reader(uow, one)
    return page("platform/sensitive.html", rows=looks.readers(uow), one=one, patients=patients)


@VIEWS.post("/admin/breaks/sensitive/export", Perm.BREAKS, reads=True)
def export_sensitive(uow: UnitOfWork) -> Any:
    """The review of sensitive items on paper or in a workbook."""
    made = looks.sensitive_register(looks.readers(uow), principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), "/admin/breaks/sensitive"))


@VIEWS.get("/admin/exports", Perm.EXPORTS)
def exports(uow: UnitOfWork) -> Any:
    """Exports of many rows that name patients: what waits for approval, and what was decided."""
    return page("platform/exports.html", "rows", rows=lists.asked(uow))


@VIEWS.post("/admin/exports/<int:job_id>", Perm.EXPORTS)
def decide_export(uow: UnitOfWork, job_id: int) -> Any:
    """Approve or refuse."""
    lists.decide(uow, job_id, request.form.get("to") == "approve")
    uow.s.flush()
    return page("platform/exports.html", "rows", rows=lists.asked(uow))


@VIEWS.post("/lists/<int:job_id>/purpose", Access.LOGIN)
def export_purpose(uow: UnitOfWork, job_id: int) -> Any:
    """Say what the waiting export is for."""
    lists.give_purpose(uow, job_id, request.form.get("purpose", ""))
    return redirect_to(f"/lists/{job_id}")


@VIEWS.get("/audit", Perm.AUDIT)
def audit(uow: UnitOfWork) -> Any:
    """Search the audit."""
    a = request.args
    days = a.get("days", 0, type=int)
    f = queries.AuditFilter(
        a.get("entity", "").strip(),
        a.get("entity_id", "").strip(),
        a.get("actor", "").strip(),
        datetime.now(UTC) - timedelta(days=days) if days else None,
        a.get("before", None, type=int),
    )
    shown: dict[str, Any] = {"f": f, "days": days, "archives": archive.files(uow), "objects": audit_words.objects(locale() == "en")}
    return page("platform/audit.html", "rows", entries=_spoken(queries.audit_page(uow, f)), **shown, page_size=queries.PAGE)


def _spoken(entries: Sequence[AuditLog]) -> list[dict[str, Any]]:
    """Entries in words; ``body`` stays the text that the hash covers."""
    english, out = locale() == "en", []
    for e in entries:
        said = json.loads(e.body)
        words = (audit_words.object_word(e.entity, english), audit_words.action_word(e.entity, e.action, english))
        out.append({"row": e, "said": said, "object": words[0], "action": words[1], "changes": audit_words.changes(said, english)})
    return out


@VIEWS.get("/admin/grants/<int:grant_id>", Perm.GRANTS)
def grant_page(uow: UnitOfWork, grant_id: int) -> Any:
    """What was done under one access, step by step."""
    visit = looks.visit(uow, grant_id)
    return page("platform/grant.html", visit=visit, changes=_spoken(visit.changes))


@VIEWS.post("/audit/verify", Perm.AUDIT)
def audit_verify(uow: UnitOfWork) -> Any:
    """Walk the hash chain and name the first broken entry."""
    count, broken = queries.audit_verify(uow)
    return fragment("platform/audit.html", "verdict", count=count, broken=broken)


@VIEWS.get("/audit/archive/<int:archive_id>", Perm.AUDIT)
def audit_archive_file(uow: UnitOfWork, archive_id: int) -> Any:
    """An archived block as it was written; it can be checked without this software."""
    row = archive.one(uow, archive_id)
    if row is None:
        raise NotFound("该归档")
    name = row.key.rsplit("/", 1)[-1]
    return Response(
        archive.content(uow, row), mimetype="application/gzip", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _looked_for(uow: UnitOfWork, given: Any) -> tuple[looks.Asked, int]:
    days = min(max(given.get("days", 30, type=int), 1), 3650)
    until = given.get("until", "", type=str)
    at = datetime.fromtimestamp(int(until), UTC) if until.isascii() and until.isdigit() and len(until) < 11 else None
    since = at - timedelta(hours=1) if at is not None else uow.now - timedelta(days=days)
    who, patient = given.get("who", "").strip(), given.get("patient", "").strip()
    return looks.Asked(who, patient, since, at, given.get("before", None, type=int)), days


@VIEWS.get("/audit/access", Perm.AUDIT)
def access(uow: UnitOfWork) -> Any:
    """Who looked at which patient; with ``?until=`` (epoch seconds) the hour before it."""
    asked, days = _looked_for(uow, request.args)
    return page("platform/access.html", "rows", rows=looks.page(uow, asked), f=asked, days=days, page_size=looks.PAGE)


@VIEWS.post("/audit/access/export", Perm.AUDIT, reads=True)
def export_access(uow: UnitOfWork) -> Any:
    """The same on paper or in a workbook."""
    asked, _days = _looked_for(uow, request.form)
    made = looks.register(looks.page(uow, asked, looks.MOST), asked, principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), "/audit/access", identifying=True))


@VIEWS.get("/mlps", Perm.MLPS)
def mlps_page(uow: UnitOfWork) -> Any:
    """等保 self-check with today's figures, and the yearly assessments."""
    due, today = mlps.next_due(uow), uow.now.astimezone(rules.ZONE).date()
    soon, rows = today + timedelta(days=rules.MLPS_SOON), mlps.controls(uow, web().settings)
    return page("platform/mlps.html", rows=rows, assessments=mlps.assessments(uow), due=due, soon=soon)


@VIEWS.post("/mlps", Perm.MLPS)
def record_mlps(uow: UnitOfWork) -> Any:
    """Write a yearly assessment down."""
    f = request.form
    try:
        done_on = date.fromisoformat(f.get("done_on", ""))
    except ValueError as error:
        raise Invalid(say("测评日期请写成 2026-05-04 的样子。"), "done_on") from error
    mlps.record(uow, done_on, f.get("level", 0, type=int), f.get("assessor", ""), f.get("result", ""), f.get("report_no", ""))
    return redirect_to("/mlps")


@VIEWS.get("/audit/export", Perm.AUDIT)
def audit_export(uow: UnitOfWork) -> Any:
    """The newest entries as text, a JSON body a line, for outside holders."""
    lines = [e.body for e in queries.audit_page(uow, queries.AuditFilter())]
    return Response("\n".join(lines) + "\n", mimetype="application/x-ndjson")


@VIEWS.get("/alerts", Access.LOGIN)
def alert_list(uow: UnitOfWork) -> Any:
    """What is open for this person, or with ``?cleared=1`` what was within the last week."""
    cleared, before = bool(request.args.get("cleared")), request.args.get("before", None, type=int)
    who, kind = principal(), request.args.get("kind", "")
    rows = alerts.visible(uow, who.permissions, who.wards, who.bounds, roles=who.roles, cleared=cleared, before=before, kind=kind)
    return page("platform/alerts.html", "rows", rows=rows, cleared=cleared, kind=kind, Level=Level, page_size=alerts.PAGE)


@VIEWS.get("/alerts/count", Access.LOGIN)
def alert_count(uow: UnitOfWork) -> Any:
    """The top bar's sign."""
    who = principal()
    total, urgent = alerts.counts(uow, who.permissions, who.wards, who.bounds)
    return fragment("platform/alerts.html", "count", total=total, urgent=urgent)


@VIEWS.post("/alerts/<int:alert_id>/acknowledge", Access.LOGIN)
def alert_acknowledge(uow: UnitOfWork, alert_id: int) -> Any:
    """Take an alert on."""
    who = principal()
    row = alerts.acknowledge(uow, alert_id, who.permissions, request.form.get("note", ""), who.wards, who.bounds)
    return fragment("platform/alerts.html", "one", trigger='{"sound":"ok"}', a=row, Level=Level)


@VIEWS.get("/lists/<int:job_id>", Access.LOGIN)
def list_job(uow: UnitOfWork, job_id: int) -> Any:
    """A list on its way to paper or Excel; the page refreshes until it is there."""
    return page("platform/list.html", job=_list(uow, job_id))


@VIEWS.get("/lists/<int:job_id>/file", Access.LOGIN)
def list_file(uow: UnitOfWork, job_id: int) -> Any:
    """The file, for who asked for it."""
    job = _list(uow, job_id)
    if job.data is None:
        raise NotFound("该文件")
    way = "inline" if job.kind == lists.Kind.PDF else "attachment"
    headers = {"Content-Disposition": f'{way}; filename="list-{job.id}.{job.kind}"', "Cache-Control": "no-store"}
    return Response(job.data, mimetype=lists.MIME[lists.Kind(job.kind)], headers=headers)


def _list(uow: UnitOfWork, job_id: int) -> Any:
    found = lists.job(uow, job_id)
    if found is None:
        raise NotFound("该文件")
    return found
