"""Any list as a printed register (PDF, A4) or a workbook (Excel): asked for by a page, made by the worker, kept a day for who asked.

The rows are frozen when they are asked for, so that paper and screen agree. A workbook's cells are texts, never formulas: what a patient's
name or a comment begins with cannot run on anybody's PC.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete

from cloud.db.session import UnitOfWork
from cloud.modules.platform.models import ListJob
from cloud.reports.documents import Column, ListDocument, to_json
from cloud.web import sheet
from common.errors import UserError
from common.say import say

KEEP = timedelta(days=1)


class Kind(StrEnum):
    """What a list is made into."""

    PDF = "pdf"
    XLSX = "xlsx"


MIME = {Kind.PDF: "application/pdf", Kind.XLSX: sheet.TYPE}


def ask(uow: UnitOfWork, document: ListDocument, kind: str, back: str) -> str:
    """Ask the worker for a list; returns the address of the page that waits for it. ``back``: where the person came from."""
    if kind not in tuple(Kind):
        raise UserError("invalid", say("请选择打印或导出 Excel。"), field="kind")
    job_id = reserve(uow, kind, document.title, back, to_json(document))
    uow.emit("list.render", f"list:{job_id}", {"job_id": job_id})
    after = {"title": document.title, "subtitle": document.subtitle, "rows": len(document.rows), "kind": kind}
    uow.audit("list", job_id, "export", after=after)
    return f"/lists/{job_id}"


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
    if job is None or job.data is not None or job.error is not None:
        return
    document = document_of(job.document)
    try:
        job.data = workbook(document) if job.kind == Kind.XLSX else _pdf(document)
    except UserError as error:
        job.error = error.message


def _pdf(document: ListDocument) -> bytes:
    from cloud.reports.renderer import default_renderer  # 80 MB of fonts: the worker's alone

    return default_renderer().list(document)


def document_of(data: dict[str, Any]) -> ListDocument:
    """A list as it was frozen."""
    known = {f.name: data[f.name] for f in fields(ListDocument) if f.name in data}
    known |= {
        "columns": tuple(Column(**c) for c in data["columns"]),
        "rows": tuple(tuple(r) for r in data["rows"]),
        "printed_at": datetime.fromisoformat(data["printed_at"]),
        "notes": tuple(data.get("notes", ())),
        "signatures": tuple(data.get("signatures", ())),
    }
    return ListDocument(**known)


def workbook(document: ListDocument) -> bytes:
    """The list as .xlsx: who and what on top, a head that stays, the notes below."""
    above = [" · ".join(x for x in (document.hospital, document.title, document.subtitle) if x)]
    widths = [6 + 6 * column.weight for column in document.columns]
    return sheet.workbook([sheet.Page("列表", [c.title for c in document.columns], document.rows, above, document.notes, widths)])


def job(uow: UnitOfWork, job_id: int) -> ListJob | None:
    """One's own job, or None."""
    found = uow.s.get(ListJob, (uow.tenant_id, job_id))
    return found if found is not None and found.by_id == uow.actor.user_id else None


def purge(uow: UnitOfWork) -> None:
    """Job: lists older than a day hold patient data nobody needs any more."""
    uow.s.execute(delete(ListJob).where(ListJob.at < uow.now - KEEP))
