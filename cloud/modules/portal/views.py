"""Pages of the portal; they work on a phone."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.orders import queries as orders
from cloud.modules.platform import glass
from cloud.modules.portal import queries, rules, service
from cloud.modules.portal.rules import Perm, Show
from cloud.modules.reports import queries as reports
from cloud.modules.reports import service as report_service
from cloud.modules.reports.queries import Told
from cloud.web.faults import NotFound
from cloud.web.page import is_fragment, page, redirect_to
from cloud.web.view import Views, principal
from common import ids

VIEWS = Views("portal", __name__)
FIND_MANY = 50


@VIEWS.get("/clinic", Perm.READ)
def mine(uow: UnitOfWork) -> Any:
    """My wards' reports: unread and critical first."""
    who = principal()
    wanted = request.args.get("show", "all")
    show = Show(wanted) if wanted in set(Show) else Show.ALL
    rows = queries.mine(uow, who, show)
    unread = queries.unread(uow, who) if len(rows) == queries.PAGE else 0
    return page("portal/mine.html", "rows", briefs=rows, show=show, shows=list(Show), most=queries.PAGE, unread=unread)


@VIEWS.get("/clinic/find", Perm.READ)
def find(uow: UnitOfWork) -> Any:
    """A patient by number, card, barcode, name or initials; one hit opens at once."""
    typed = request.args.get("code") or request.args.get("q") or ""
    code = ids.normalise_scan(typed)
    if not code:
        return page("portal/find.html", q="", found=None, many=False)
    # A report's number is known by its form.
    told = reports.released(uow, no=code) if ids.recognise(code).kind is ids.CodeKind.REPORT else reports.of_barcode(uow, code)
    if told is not None:
        # Whoever waits with a scanner in the hand is not sent there first, but shown it.
        return redirect_to(_address(told.no)) if is_fragment() else _report(uow, told)
    one = orders.patient_by_code(uow, code) or orders.patient_by_code(uow, typed)
    if one is not None:
        return redirect_to(f"/clinic/patient/{one.id}")
    found = orders.search_patients(uow, typed, FIND_MANY + 1)
    return page("portal/find.html", q=typed, found=found[:FIND_MANY], many=len(found) > FIND_MANY)


@VIEWS.get("/clinic/patient/<int:patient_id>", Perm.READ)
def patient(uow: UnitOfWork, patient_id: int) -> Any:
    """What is still coming, the told reports, and the values side by side."""
    try:
        found = service.open_patient(uow, principal(), patient_id, request.path)
    except service.ReasonNeeded as needed:
        return _ask_reason(needed.patient.id, request.path)
    told = reports.veiled(uow, principal(), reports.of_patient(uow, found.id, principal().user_id))
    hide = _hides(uow, found.id)
    age = md.subject_age(found.birth, found.age_text, uow.now)
    return page(
        "portal/patient.html",
        patient=found,
        age=age.text() if age else found.age_text or "",
        briefs=told,
        coming=queries.coming(uow, found.id, hide),
        table=queries.cumulative(uow, told, hide),
    )


@VIEWS.post("/clinic/patient/<int:patient_id>/reason", Perm.READ)
def reason(uow: UnitOfWork, patient_id: int) -> Any:
    """Look at another ward's patient, saying why."""
    kind = glass.Glass.SENSITIVE if request.form.get("kind") == glass.Glass.SENSITIVE else glass.Glass.PATIENT
    service.break_glass(uow, principal(), patient_id, request.form.get("reason", ""), kind)
    target = request.form.get("next", "")
    return redirect_to(target if target.startswith("/clinic/") else f"/clinic/patient/{patient_id}")


def _ask_reason(patient_id: int, back: str, kind: glass.Glass = glass.Glass.PATIENT) -> Any:
    return page("portal/reason.html", patient_id=patient_id, back=back, kind=kind)


def _hides(uow: UnitOfWork, patient_id: int) -> bool:
    """Whether this person may not see the patient's sensitive items now (M01 R8)."""
    return not glass.may_see_sensitive(uow, principal(), patient_id)


@VIEWS.get("/clinic/report/<no>", Perm.READ)
def report(uow: UnitOfWork, no: str) -> Any:
    """One report in ten seconds: the abnormal first."""
    return _report(uow, _told(uow, no))


def _address(no: str) -> str:
    return f"/clinic/report/{no}"


def _report(uow: UnitOfWork, told: Told) -> Any:
    here = _address(told.no)
    try:
        service.open_patient(uow, principal(), told.patient_id, here)
    except service.ReasonNeeded as needed:
        return _ask_reason(needed.patient.id, here)
    report_service.seen(uow, told.report_id, told.version_no)
    hide = _hides(uow, told.patient_id)
    told = reports.without_sensitive(told, md.catalog(uow).items) if hide else told
    shown = {line["item_id"] for line in told.lines}
    differences = reports.differences(uow, told.report_id, told.version_no, principal().user_id)
    lines = sorted(told.lines, key=lambda line: (not line["critical"], not line["flag"]))
    return page(
        "portal/report.html",
        told=told,
        before=queries.before(uow, told),
        differences=[each for each in differences if each[0] in shown or not hide],
        lines=[(line, queries.line_mark(line)) for line in lines],
        coming=queries.coming(uow, told.patient_id, hide),
        views=reports.views(uow, told.report_id),
    )


def _told(uow: UnitOfWork, no: str) -> Told:
    found = reports.released(uow, no=no)
    if found is None:
        raise NotFound("这份报告")
    return found


@VIEWS.post("/clinic/report/<no>/ack", Perm.READ)
def acknowledge(uow: UnitOfWork, no: str) -> Any:
    """已阅."""
    try:
        service.acknowledge(uow, principal(), no, request.path)
    except service.ReasonNeeded as needed:
        return _ask_reason(needed.patient.id, _address(no))
    return redirect_to(_address(no))


@VIEWS.get("/clinic/report/<no>/pdf", Perm.READ)
def pdf(uow: UnitOfWork, no: str) -> Any:
    """The stored PDF, byte for byte."""
    told = _told(uow, no)
    try:
        service.open_patient(uow, principal(), told.patient_id, request.path)
    except service.ReasonNeeded as needed:
        return _ask_reason(needed.patient.id, request.path)
    if _hides(uow, told.patient_id) and reports.without_sensitive(told, md.catalog(uow).items).hidden:
        return _ask_reason(told.patient_id, request.path, glass.Glass.SENSITIVE)
    data = report_service.pdf_bytes(uow, told, "print")
    if data is None:
        return page("portal/not_ready.html", told=told)
    headers = {"Content-Disposition": f'inline; filename="{told.no}-v{told.version_no}.pdf"'}
    return Response(data, mimetype="application/pdf", headers=headers)


@VIEWS.get("/clinic/trend", Perm.READ)
def trend(uow: UnitOfWork) -> Any:
    """One item over time, drawn; the line breaks where the method changed."""
    patient_id, item_id = request.args.get("patient", 0, type=int), request.args.get("item", 0, type=int)
    item = md.catalog(uow).items.get(item_id)
    try:
        found = service.open_patient(uow, principal(), patient_id, request.path)
    except service.ReasonNeeded as needed:
        return _ask_reason(needed.patient.id, request.full_path)
    if item is None:
        raise NotFound("这个项目")
    if item.sensitive and _hides(uow, found.id):
        return _ask_reason(found.id, request.full_path, glass.Glass.SENSITIVE)
    points = queries.trend(uow, found.id, item.id)
    return page(
        "portal/trend.html", patient=found, item=item, points=sorted(points, key=lambda p: p.at, reverse=True), picture=rules.draw(points)
    )
