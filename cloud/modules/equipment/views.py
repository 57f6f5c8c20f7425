"""Calibrations, when they end, and analyzers out of order."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.equipment import queries, service
from cloud.modules.equipment.rules import Perm
from cloud.web.faults import Invalid
from cloud.web.page import page, redirect_to
from cloud.web.view import Views

VIEWS = Views("equipment", __name__)


@VIEWS.get("/eq/due", Perm.READ)
def due(uow: UnitOfWork) -> Any:
    """What is out of order, what was calibrated until when."""
    catalog = md.catalog(uow)
    return page(
        "equipment/due.html",
        faults=queries.open_faults(uow),
        calibrations=queries.shown(uow),
        analyzers=[a for a in catalog.analyzers.values() if a.active],
        items=[i for i in catalog.items.values() if i.active],
        now=uow.now,
    )


@VIEWS.post("/eq/calibrations", Perm.CALIBRATE)
def calibrate(uow: UnitOfWork) -> Any:
    """Record a calibration."""
    form = request.form
    service.calibrate(
        uow,
        form.get("analyzer", type=int) or 0,
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
    service.report_fault(uow, request.form.get("analyzer", type=int) or 0, request.form.get("symptom", ""))
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
