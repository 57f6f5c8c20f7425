"""Any list as a printed register (PDF, A4) or a workbook (Excel): asked for by a page, made by the worker, kept a day for who asked.

The rows are frozen when they are asked for, so that paper and screen agree. A workbook's cells are texts, never formulas: what a patient's
name or a comment begins with cannot run on anybody's PC.
"""

from __future__ import annotations

import io
from dataclasses import fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete

from cloud.db.session import UnitOfWork
from cloud.modules.platform.models import ListJob
from cloud.reports.documents import Column, ListDocument, to_json
from common.errors import UserError
from common.say import say

KEEP = timedelta(days=1)
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# What XML 1.0 cannot hold would make the whole file unreadable; tabs and line ends may stay.
_CONTROL = {c: "\ufffd" for c in range(32) if c not in (9, 10, 13)}


class Kind(StrEnum):
    """What a list is made into."""

    PDF = "pdf"
    XLSX = "xlsx"


MIME = {Kind.PDF: "application/pdf", Kind.XLSX: XLSX}


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
    """The list as .xlsx: a head that stays, every cell a text."""
    from openpyxl import Workbook  # here, as in cloud.web.sheet: it costs memory, and few processes need it
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    sheet = book.create_sheet("列表")
    for number, column in enumerate(document.columns, 1):
        sheet.column_dimensions[get_column_letter(number)].width = 6 + 6 * column.weight
    sheet.freeze_panes = "A3"
    sheet.append([_text(sheet, " · ".join(x for x in (document.hospital, document.title, document.subtitle) if x))])
    sheet.append([_text(sheet, c.title, bold=True) for c in document.columns])
    for row in document.rows:
        sheet.append([_text(sheet, value) for value in row])
    for note in document.notes:
        sheet.append([_text(sheet, note)])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _text(sheet: Any, value: str, bold: bool = False) -> Any:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    cell = WriteOnlyCell(sheet, value=value.translate(_CONTROL))
    cell.data_type = "s"
    if bold:
        cell.font = Font(bold=True)
    return cell


def job(uow: UnitOfWork, job_id: int) -> ListJob | None:
    """One's own job, or None."""
    found = uow.s.get(ListJob, (uow.tenant_id, job_id))
    return found if found is not None and found.by_id == uow.actor.user_id else None


def purge(uow: UnitOfWork) -> None:
    """Job: lists older than a day hold patient data nobody needs any more."""
    uow.s.execute(delete(ListJob).where(ListJob.at < uow.now - KEEP))
