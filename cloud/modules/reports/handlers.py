"""Event handlers, run by the worker: the PDF of a version is made once, stored, and from then on only copied (M09 R7)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.platform import lists
from cloud.modules.reports import document, layouts, queries, service
from cloud.ports import s3
from cloud.reports.documents import ReportDocument
from common.errors import LocalError, UserError
from common.say import say

SIDE_BY_SIDE = 2
"""Reports rendered at once: Typst works outside Python's lock."""
LAST = 10
"""How much nicer a renderer is than the worker around it: what the worker tells people and neighbours goes first."""


def _step_back() -> None:
    me = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, me, min(19, os.getpriority(os.PRIO_PROCESS, me) + LAST))


_renderers = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="render", initializer=_step_back)
# One more may wait, so that no renderer is idle while the next document is read. Whoever would start a fourth waits, and the relay's
# round ends in time.
_room = threading.BoundedSemaphore(SIDE_BY_SIDE + 1)


@dataclass(frozen=True, eq=False)
class _Job:
    report_id: int
    version_no: int
    content: str
    pdf: Future[bytes]


def print_later(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """A version was told: its PDF is made in the relay's later lane, behind which nobody waits."""
    report_id, version_no = int(payload["report_id"]), int(payload["version_no"])
    uow.emit("report.print", f"print:{report_id}", {"report_id": report_id, "version_no": version_no})
    uow.notify("print", {})


def render_now(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``report.render``: somebody waits for this one. It is made before all that stand in the later lane."""
    _render_by(_at_once, uow, payload)


def render_report(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``report.print``: render a version from its frozen document, beside others of this round; kept when the round ends.

    A repeat of the event changes nothing; an error leaves the event for the next round.
    """
    _render_by(_begun, uow, payload)


def _render_by(way: Callable[[ReportDocument, bytes], Future[bytes]], uow: UnitOfWork, payload: dict[str, Any]) -> None:
    report_id, version_no = int(payload["report_id"]), int(payload["version_no"])
    found = queries.for_rendering(uow, report_id, version_no)
    if found is None or found[2] is not None:
        return
    made, content, _ = found
    sheet = document.sheet(made)
    try:
        logo = layouts.logo(uow, sheet.logo)
    except UserError as error:
        service.not_rendered(uow, report_id, version_no, str(error))
        return
    uow.gather(_keep, _Job(report_id, version_no, content, way(sheet, logo)))


def _begun(sheet: ReportDocument, logo: bytes) -> Future[bytes]:
    _room.acquire()
    try:
        begun = _renderers.submit(_render, sheet, logo)
    except BaseException:
        _room.release()
        raise
    begun.add_done_callback(lambda _: _room.release())
    return begun


def _at_once(sheet: ReportDocument, logo: bytes) -> Future[bytes]:
    made = Future[bytes]()
    try:
        made.set_result(_render(sheet, logo))
    except UserError as error:
        made.set_exception(error)
    return made


def _render(sheet: ReportDocument, logo: bytes) -> bytes:
    # The renderer maps 80 MB of fonts: it is imported where it is used, in the worker, never by a web process.
    from cloud.reports.renderer import default_renderer

    return default_renderer().report(sheet, logo=logo)


def _keep(uow: UnitOfWork, jobs: list[_Job]) -> None:
    files = s3.files_of(s3.current_store(), uow.tenant_id)
    for job in jobs:
        try:
            pdf = job.pdf.result()
        except UserError as error:
            # A character no face draws, a broken template: trying again cannot help, a person must act (then ``report.render`` asks again).
            service.not_rendered(uow, job.report_id, job.version_no, str(error))
            continue
        key = f"reports/{job.report_id}/v{job.version_no}-{job.content[:16]}.pdf"
        # Stored before the row says so: a crash between the two renders the same bytes again under the same key.
        service.rendered(uow, job.report_id, job.version_no, key, files.put(key, pdf))


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


def render_preview(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``report.preview``: an invented report in the layout somebody is drawing, printed as a real one would be. A layout under which
    anything a report must show is missing from the page (M09 R3) gives no preview, but the list of it."""
    job_id = int(payload["job_id"])
    from cloud.reports import validator
    from cloud.reports.renderer import TEMPLATES, default_renderer

    try:
        wanted = layouts.looks(payload["values"])
        renderer, template = default_renderer(), (TEMPLATES / "report.typ").read_text()
        probes = [replace(probe, **wanted) for probe in validator.probes([wanted["paper"]])]
        missing = validator.missing_elements(template, renderer, probes)
        if missing:
            lists.finish(uow, job_id, None, "；".join(each.message for each in missing))
            return
        sample = replace(layouts.sample(str(payload["hospital"]), str(payload["title"]), uow.now), **wanted)
        lists.finish(uow, job_id, renderer.report(sample, logo=layouts.logo(uow, sample.logo)))
    except UserError as error:
        lists.finish(uow, job_id, None, str(error))
