"""Calibrations, when they end, and analyzers out of order."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.equipment import queries, service
from cloud.modules.equipment.rules import Perm
from cloud.web.faults import Invalid, NotFound
from cloud.web.page import page, redirect_to
from cloud.web.view import Views

_FAULT = """SELECT a.section_id FROM equipment_fault f JOIN analyzer a ON a.tenant_id = f.tenant_id AND a.id = f.analyzer_id
            WHERE f.tenant_id = :t AND f.id = :id"""
VIEWS = Views("equipment", __name__, {"fault_id": places.of_row(_FAULT)})


def _here(uow: UnitOfWork, analyzer_id: int | None) -> bool:
    found = None if analyzer_id is None else md.catalog(uow).analyzers.get(analyzer_id)
    return found is None or places.covers(uow, found.section_id)


def _analyzer(uow: UnitOfWork) -> int:
    """The analyzer a form names, of the own place."""
    found = request.form.get("analyzer", type=int) or 0
    if not _here(uow, found):
        raise NotFound("这台仪器")
    return found


@VIEWS.get("/eq/due", Perm.READ)
def due(uow: UnitOfWork) -> Any:
    """What is out of order, what was calibrated until when."""
    catalog = md.catalog(uow)
    own, start = [s for s in catalog.sections if places.covers(uow, s)], max(0, request.args.get("from", 0, int))
    return page(
        "equipment/due.html",
        faults=[f for f in queries.open_faults(uow) if _here(uow, f.analyzer_id)],
        calibrations=queries.shown(uow, own, start),
        start=start,
        size=queries.PAGE,
        analyzers=[a for a in catalog.analyzers.values() if a.active and _here(uow, a.id)],
        items=[i for i in catalog.items.values() if i.active],
        now=uow.now,
    )


@VIEWS.post("/eq/calibrations", Perm.CALIBRATE)
def calibrate(uow: UnitOfWork) -> Any:
    """Record a calibration."""
    form = request.form
    service.calibrate(
        uow,
        _analyzer(uow),
        form.get("item", type=int),
        form.get("certificate", ""),
        _moment("done_at"),
        _moment("valid_until"),
        form.get("passed") == "1",
    )
    return redirect_to("/eq/due")


@VIEWS.post("/eq/faults", Perm.FAULT)
def report_fault(uow: UnitOfWork) -> Any:
    """Say that an analyzer is out of order."""
    service.report_fault(uow, _analyzer(uow), request.form.get("symptom", ""))
    return redirect_to("/eq/due")


@VIEWS.post("/eq/faults/<int:fault_id>/end", Perm.FAULT)
def end_fault(uow: UnitOfWork, fault_id: int) -> Any:
    """Repaired and verified."""
    service.end_fault(uow, fault_id, request.form.get("repair", ""))
    return redirect_to("/eq/due")


def _moment(name: str) -> datetime:
    try:
        return datetime.fromisoformat(request.form.get(name, "")).replace(tzinfo=md.HOSPITAL_ZONE)
    except ValueError as error:
        raise Invalid("请填写校准时间和有效期。", name) from error
