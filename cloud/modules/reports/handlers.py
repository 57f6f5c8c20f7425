"""Event handlers, run by the worker: the PDF of a version is made once, stored, and from then on only copied (M09 R7)."""

from __future__ import annotations

from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.platform import lists
from cloud.modules.reports import document, queries, service
from cloud.ports import s3
from common.errors import LocalError, UserError
from common.say import say


def render_report(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Render a version from its frozen document. A repeat of the event changes nothing; an error leaves the event for the next round."""
    report_id, version_no = int(payload["report_id"]), int(payload["version_no"])
    found = queries.for_rendering(uow, report_id, version_no)
    if found is None or found[2] is not None:
        return
    # The renderer maps 80 MB of fonts: it is imported where it is used, in the worker, never by a web process.
    from cloud.reports.renderer import default_renderer

    made, content, _ = found
    try:
        pdf = default_renderer().report(document.sheet(made))
    except UserError as error:
        # A character no face draws, a broken template: trying again cannot help, a person must act (then ``report.render`` asks again).
        service.not_rendered(uow, report_id, version_no, str(error))
        return
    key = f"reports/{report_id}/v{version_no}-{content[:16]}.pdf"
    # Stored before the row says so: a crash between the two renders the same bytes again under the same key.
    sha256 = s3.files_of(s3.current_store(), uow.tenant_id).put(key, pdf)
    service.rendered(uow, report_id, version_no, key, sha256)


def render_reprint(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``report.reprint``: the stored bytes, compared with their hash, under the layer that says it is a reprint (R7)."""
    told = queries.released(uow, report_id=int(payload["report_id"]), version_no=int(payload["version_no"]))
    job_id = int(payload["job_id"])
    if told is None or told.recalled or told.pdf_key is None:
        lists.finish(uow, job_id, None, say("报告已召回，请勿使用。"))
        return
    from cloud.reports.renderer import default_renderer

    try:
        stored = s3.files_of(s3.current_store(), uow.tenant_id).get(told.pdf_key, told.pdf_sha256)
        lists.finish(uow, job_id, default_renderer().stamped(stored, str(payload["stamp"])))
    except (UserError, LocalError) as error:
        lists.finish(uow, job_id, None, str(error))
