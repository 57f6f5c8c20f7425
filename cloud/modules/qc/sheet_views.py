"""The lists of quality control's pages on paper or in a workbook: each as its page shows it."""

from __future__ import annotations

from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import lists
from cloud.modules.qc import board, intake, own, patients, queries, sheets
from cloud.modules.qc.forms import stamp
from cloud.modules.qc.models import QcPlan
from cloud.modules.qc.rules import Perm
from cloud.reports.documents import ListDocument
from cloud.web.faults import NotFound
from cloud.web.i18n import midnight
from cloud.web.page import redirect_to
from cloud.web.view import Views

SHEETS = Views("qc_sheets", __name__)


@SHEETS.post("/qc/today/export", Perm.READ, reads=True)
def today(uow: UnitOfWork) -> Any:
    """The board as it is narrowed; ``what=unplaced``: the control results of today that belong to no plan."""
    form, known = request.form, md.catalog(uow)
    if form.get("what") == "unplaced":
        lying = [u for u in intake.unplaced(uow, midnight(uow.now), sheets.MOST) if queries.here(uow, u.seen.analyzer_id)]
        return _asked(uow, sheets.unplaced(known, lying, stamp(uow)), "/qc/today")
    found = board.load(uow, form.get("section", ""), form.get("light", ""))
    narrowed = [found.section.name] if found.section else []
    if found.light:
        narrowed.append(board.LIGHTS[found.light])
    code = found.section.code if found.section else ""
    made = sheets.today(known, found.shown, "　".join(narrowed), stamp(uow))
    return _asked(uow, made, f"/qc/today?section={code}&light={found.light}")


@SHEETS.post("/qc/plans/export", Perm.READ, reads=True)
def plans(uow: UnitOfWork) -> Any:
    """All plans; ``what=lots``: the lots in use."""
    if request.form.get("what") == "lots":
        lots = own.materials(uow)
        made = sheets.materials(lots, queries.ends(lots), stamp(uow))
    else:
        made = sheets.plans(md.catalog(uow), own.plans(uow, all_of_them=True), stamp(uow))
    return _asked(uow, made, "/qc/plans")


@SHEETS.post("/qc/targets/export", Perm.READ, reads=True)
def target_list(uow: UnitOfWork) -> Any:
    """A plan's targets; ``what=measured``: what its values of half a year would make."""
    chosen = _plan(uow)
    lots = {m.id: m for m in queries.materials(uow, active=False)}
    if request.form.get("what") == "measured":
        made = sheets.measured(_name(uow, chosen), queries.measured(uow, chosen.id, lots), lots, stamp(uow))
    else:
        made = sheets.target_list(_name(uow, chosen), queries.targets(uow, [chosen.id]), lots, stamp(uow))
    return _asked(uow, made, f"/qc/targets?plan={chosen.id}")


@SHEETS.post("/qc/moving/export", Perm.READ, reads=True)
def moving(uow: UnitOfWork) -> Any:
    """Every plan's patient-based control; with a plan: its hours of the last week."""
    found = [each for each in patients.lines(uow) if queries.here(uow, each.plan.analyzer_id)]
    if not request.form.get("plan"):
        return _asked(uow, sheets.moving_lines(md.catalog(uow), found, stamp(uow)), "/qc/moving")
    chosen = _plan(uow)
    line = next((each for each in found if each.plan.id == chosen.id), None)
    if line is None:
        raise NotFound("该质控计划")
    return _asked(uow, sheets.moving_points(_name(uow, chosen), line, stamp(uow)), f"/qc/moving?plan={chosen.id}")


def _asked(uow: UnitOfWork, made: ListDocument, back: str) -> Any:
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), back))


def _plan(uow: UnitOfWork) -> QcPlan:
    found = own.plan(uow, request.form.get("plan", 0, type=int))
    if found is None:
        raise NotFound("该质控计划")
    return found


def _name(uow: UnitOfWork, plan: QcPlan) -> str:
    known = md.catalog(uow)
    return f"{known.analyzers[plan.analyzer_id].name} · {known.items[plan.item_id].name}"
