"""Any list as a printed register (PDF, A4) or a workbook (Excel): asked for by a page, made by the worker, kept a day for who asked.

The rows are frozen when they are asked for, so that paper and screen agree. A workbook's cells are texts, never formulas: what a patient's
name or a comment begins with cannot run on anybody's PC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select

from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts, rules
from cloud.modules.platform.models import ListJob, User
from cloud.reports.documents import ChartDocument, Column, ListDocument, Table, to_json
from cloud.web import sheet
from common.errors import UserError
from common.say import say

KEEP = timedelta(days=1)
WAITS = timedelta(days=7)
"""How long an export waits for approval."""
MOST = 5000
"""Rows of one list at most: what is asked for at this length ends there, and says so on top."""
ZONE = ZoneInfo("Asia/Shanghai")


class Kind(StrEnum):
    """What a list is made into."""

    PDF = "pdf"
    XLSX = "xlsx"


MIME = {Kind.PDF: "application/pdf", Kind.XLSX: sheet.TYPE}


def ask(uow: UnitOfWork, document: ListDocument | ChartDocument, kind: str, back: str, *, identifying: bool = False) -> str:
    """Ask the worker for a list or a chart (PDF only); returns the page that waits for it. ``back``: where the person came from.

    ``identifying``: its rows name patients. It is then marked with who and when, and many rows wait for somebody's approval (M01 R6).
    """
    if kind not in (tuple(Kind) if isinstance(document, ListDocument) else (Kind.PDF,)):
        raise UserError("invalid", say("请选择打印或导出 Excel。"), field="kind")
    rows = len(document.rows) if isinstance(document, ListDocument) else 0
    if isinstance(document, ListDocument) and rows >= MOST:
        full = f"已到一份清单的上限 {MOST} 条，其后的不在表内，请缩小范围再导出"
        document = replace(document, subtitle="　".join(text for text in (document.subtitle, full) if text))
    if identifying and isinstance(document, ListDocument):
        document = replace(document, watermark=f"{uow.actor.name} {uow.now.astimezone(ZONE):%Y-%m-%d %H:%M}")
    job_id = reserve(uow, kind, document.title, back, to_json(document))
    if identifying:
        uow.s.get_one(ListJob, (uow.tenant_id, job_id)).rows = rows
    if rules.needs_approval(rows, identifying):
        _wait(uow, job_id, rows)
    else:
        uow.emit("list.render", f"list:{job_id}", {"job_id": job_id})
    after: dict[str, Any] = {"title": document.title, "subtitle": document.subtitle, "kind": kind}
    if isinstance(document, ListDocument):
        after |= {"rows": len(document.rows)}
    uow.audit("list", job_id, "export", after=after)
    return f"/lists/{job_id}"


def _wait(uow: UnitOfWork, job_id: int, rows: int) -> None:
    job = uow.s.get_one(ListJob, (uow.tenant_id, job_id))
    job.approval = "asked"
    words = "%(who)s 申请导出含患者身份的清单“%(title)s”，共 %(n)s 行"
    fields = {"who": uow.actor.name, "title": job.title, "n": rows}
    told = alerts.Alert("platform.export", f"list:{job_id}", alerts.Level.WARNING, words, "/admin/exports", rules.Perm.EXPORTS, fields)
    alerts.raise_alert(uow, told)


def give_purpose(uow: UnitOfWork, job_id: int, purpose: str) -> None:
    """What the export is for, said by who asked; nothing is approved without it."""
    found = job(uow, job_id)
    if found is None or found.approval != "asked":
        raise UserError("conflict", say("这份导出不在等待批准，请刷新页面。"))
    if not purpose.strip():
        raise UserError("invalid", say("请写明导出用途。"), field="purpose")
    found.purpose = purpose.strip()[:300]
    uow.audit("list", job_id, "purpose", after={"purpose": found.purpose})


def decide(uow: UnitOfWork, job_id: int, approve: bool) -> None:
    """Approve or refuse a waiting export; nobody decides the own (C12), none without a purpose is approved."""
    row = uow.s.get(ListJob, (uow.tenant_id, job_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", say("这份导出不存在，请刷新页面。"))
    if row.approval != "asked":
        raise UserError("conflict", say("这份导出已经处理过了，请刷新页面。"))
    if row.by_id == uow.actor.user_id:
        raise UserError("conflict", say("不能批准自己的导出，请由另一位负责人处理。"))
    if approve and not row.purpose:
        raise UserError("conflict", say("申请人还没有写明用途，不能批准。"))
    row.approval, row.decided_by, row.decided_at = "approved" if approve else "refused", uow.actor.name, uow.now
    if approve:
        uow.emit("list.render", f"list:{job_id}", {"job_id": job_id})
    uow.audit("list", job_id, row.approval, after={"title": row.title, "rows": row.rows, "purpose": row.purpose})
    alerts.clear(uow, "platform.export", f"list:{job_id}")


def asked(uow: UnitOfWork) -> Sequence[Any]:
    """(export, who asked, employee no.): those that wait first, then what was decided lately."""
    query = select(ListJob, User.name, User.employee_no).join(User, (User.tenant_id == ListJob.tenant_id) & (User.id == ListJob.by_id))
    return uow.s.execute(query.where(ListJob.approval != "").order_by(ListJob.approval != "asked", ListJob.id.desc()).limit(100)).all()


def reserve(uow: UnitOfWork, kind: str, title: str, back: str, document: dict[str, Any]) -> int:
    """A file that a module's own handler will make and hand over with ``finish``; its page is /lists/<id>."""
    job = ListJob(at=uow.now, by_id=uow.actor.user_id, kind=kind, title=title, back=back, document=document)
    uow.s.add(job)
    uow.s.flush()
    return job.id


def finish(uow: UnitOfWork, job_id: int, data: bytes | None, error: str | None = None) -> None:
    """Hand over the file, or what stopped it; said once."""
    job = uow.s.get(ListJob, (uow.tenant_id, job_id), with_for_update=True)
    if job is not None and job.data is None and job.error is None:
        job.data, job.error = data, error


def render(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``list.render``: make the file, or note what stops it. Doing it again changes nothing."""
    job = uow.s.get(ListJob, (uow.tenant_id, int(payload["job_id"])), with_for_update=True)
    if job is None or job.data is not None or job.error is not None or job.approval in ("asked", "refused"):
        return
    document = chart_of(job.document) if "chart_svg" in job.document else document_of(job.document)
    try:
        job.data = workbook(document) if job.kind == Kind.XLSX and isinstance(document, ListDocument) else _pdf(document)
    except UserError as error:
        job.error = error.message


def _pdf(document: ListDocument | ChartDocument) -> bytes:
    from cloud.reports.renderer import default_renderer  # 80 MB of fonts: the worker's alone

    return default_renderer().list(document) if isinstance(document, ListDocument) else default_renderer().chart(document)


def document_of(data: dict[str, Any]) -> ListDocument:
    """A list as it was frozen."""
    known = {f.name: data[f.name] for f in fields(ListDocument) if f.name in data}
    return ListDocument(**known | _common(data) | _cells(data))


def chart_of(data: dict[str, Any]) -> ChartDocument:
    """A chart as it was frozen."""
    tables = tuple(Table(title=each["title"], **_cells(each)) for each in data["tables"])
    return ChartDocument(**data | _common(data) | {"tables": tables})


def _common(data: dict[str, Any]) -> dict[str, Any]:
    texts = {name: tuple(data.get(name, ())) for name in ("notes", "signatures")}
    return {"printed_at": datetime.fromisoformat(data["printed_at"]), **texts}


def _cells(data: dict[str, Any]) -> dict[str, Any]:
    return {"columns": tuple(Column(**c) for c in data["columns"]), "rows": tuple(tuple(r) for r in data["rows"])}


def workbook(document: ListDocument) -> bytes:
    """The list as .xlsx: who and what on top, a head that stays, the notes below."""
    above = [" · ".join(x for x in (document.hospital, document.title, document.subtitle) if x)]
    if document.watermark:
        above.append(f"含患者身份信息，仅限导出人使用：{document.watermark}")
    widths = [6 + 6 * column.weight for column in document.columns]
    return sheet.workbook([sheet.Page("列表", [c.title for c in document.columns], document.rows, above, document.notes, widths)])


def job(uow: UnitOfWork, job_id: int) -> ListJob | None:
    """One's own job, or None."""
    found = uow.s.get(ListJob, (uow.tenant_id, job_id))
    return found if found is not None and found.by_id == uow.actor.user_id else None


def purge(uow: UnitOfWork) -> None:
    """Job: lists older than a day hold patient data nobody needs any more."""
    over = func.coalesce(ListJob.decided_at, ListJob.at) < uow.now - KEEP
    waits = (ListJob.approval == "asked") & (ListJob.at >= uow.now - WAITS)
    gone = uow.s.execute(delete(ListJob).where(over, ~waits).returning(ListJob.id, ListJob.approval)).all()
    for job_id, approval in gone:
        if approval == "asked":
            alerts.clear(uow, "platform.export", f"list:{job_id}")
