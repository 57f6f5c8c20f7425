"""Pages of report layouts: those in use, one drawn anew with its preview; what is drawn goes on as a change (M02)."""

from __future__ import annotations

from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import lists
from cloud.modules.reports import layouts
from cloud.modules.reports.rules import Perm
from cloud.web.faults import Invalid, NotFound
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal
from common.say import say

LAYOUTS = Views("report_layouts", __name__)


@LAYOUTS.get("/templates", Perm.LAYOUTS)
def listed(uow: UnitOfWork) -> Any:
    """The layouts in use, and which sections print as the program comes."""
    known = md.catalog(uow)
    own = {row.section_id for row in known.layouts}
    plain = [] if None in own else [s.name for s in known.sections.values() if s.id not in own]
    return page("reports/layouts.html", rows=known.layouts, sections=known.sections, plain=plain, papers=layouts.PAPER_WORDS)


@LAYOUTS.get("/templates/<int:layout_id>", Perm.LAYOUTS)
def edit(uow: UnitOfWork, layout_id: int) -> Any:
    """One layout to draw; 0 is a new one."""
    known = md.catalog(uow)
    row = next((each for each in known.layouts if each.id == layout_id), None)
    if layout_id and row is None:
        raise NotFound("该报告格式")
    return _form(uow, layout_id, layouts.values(row, known.sections))


@LAYOUTS.post("/templates/<int:layout_id>/preview", Perm.LAYOUTS)
def preview(uow: UnitOfWork, layout_id: int) -> Any:
    """The page as it would print, beside the form; an uploaded logo is kept and shown."""
    given = dict(request.form.items())
    file = request.files.get("picture")
    if file is not None and file.filename:
        given["logo"] = layouts.keep_logo(uow, file.read(layouts.LOGO_MOST + 1))
    if not given.get("name", "").strip():
        raise Invalid(say("请给报告格式起个名称，例如“生化 A4”。"), "name")
    job_id = layouts.ask_preview(uow, given, principal().tenant_name, f"/templates/{layout_id}")
    return _form(uow, layout_id, given, job_id)


@LAYOUTS.get("/templates/preview/<int:job_id>", Perm.LAYOUTS)
def show(uow: UnitOfWork, job_id: int) -> Any:
    """Inside the form's frame: the preview once it is there, what is missing, or a wait of a second."""
    job = lists.job(uow, job_id)
    if job is None:
        raise NotFound("该预览")
    if job.data is None:
        return page("reports/preview.html", job=job)
    return redirect_to(f"/lists/{job_id}/file#toolbar=0&navpanes=0&view=FitH")


def _form(uow: UnitOfWork, layout_id: int, given: dict[str, str], job_id: int | None = None) -> Any:
    context: dict[str, Any] = {"layout_id": layout_id, "v": given, "sections": md.catalog(uow).sections, "papers": layouts.PAPER_WORDS}
    return page("reports/layout.html", job_id=job_id, **context)
