"""What the worker does for the queue: draws tickets (PDF, ESC/POS) and clears old print jobs. Typst is loaded here only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete

from cloud.db.session import UnitOfWork
from cloud.modules.queue.models import TicketJob
from cloud.reports.documents import TicketDocument
from common.errors import UserError

KEEP = timedelta(days=1)


def render_ticket(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``ticket.render``: make the PDF and the ESC/POS of a ticket, or note what cannot be printed."""
    job = uow.s.get(TicketJob, (uow.tenant_id, int(payload["job_id"])), with_for_update=True)
    if job is None or job.pdf is not None or job.error is not None:
        return
    from cloud.reports import tickets as printing
    from cloud.reports.renderer import default_renderer

    renderer, document = default_renderer(), _document(job.document)
    try:
        escpos = printing.escpos(document, renderer)
        job.pdf, job.escpos = renderer.ticket(document), escpos
    except UserError as error:
        job.error = error.message


def _document(data: dict[str, Any]) -> TicketDocument:
    return TicketDocument(**{**data, "notes": tuple(data["notes"]), "printed_at": datetime.fromisoformat(data["printed_at"])})


def purge_jobs(uow: UnitOfWork) -> None:
    """Job: tickets printed more than a day ago."""
    uow.s.execute(delete(TicketJob).where(TicketJob.at < uow.now - KEEP))
