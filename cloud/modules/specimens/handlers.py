"""What the worker does for tubes: renders labels (PDF, ZPL) and clears old print jobs.

The renderer is imported when it is first needed: web processes import this module too and must not load Typst.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete

from cloud.db.session import UnitOfWork
from cloud.modules.specimens.models import LabelJob
from cloud.reports.documents import LabelDocument
from common.errors import UserError

KEEP = timedelta(days=1)


def render_labels(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``label.render``: make the PDF and the ZPL of a job, or note what cannot be printed. Doing it again changes nothing."""
    job = uow.s.get(LabelJob, (uow.tenant_id, int(payload["job_id"])), with_for_update=True)
    if job is None or job.pdf is not None or job.error is not None:
        return
    from cloud.reports import labels as printing
    from cloud.reports.renderer import default_renderer

    renderer = default_renderer()
    documents = [document_of(each) for each in job.documents]
    try:
        zpl = b"".join(printing.zpl(each, renderer) for each in documents)
        job.pdf, job.zpl = renderer.labels(documents), zpl
    except UserError as error:
        job.error = error.message
    uow.notify("specimen", {"job": job.id})


def document_of(data: dict[str, Any]) -> LabelDocument:
    """A label document as it was frozen in the job."""
    return LabelDocument(**{**data, "items": tuple(data["items"]), "printed_at": datetime.fromisoformat(data["printed_at"])})


def purge_jobs(uow: UnitOfWork) -> None:
    """Job: print jobs older than a day hold patient data nobody needs any more; the tubes themselves stay."""
    uow.s.execute(delete(LabelJob).where(LabelJob.at < uow.now - KEEP))
