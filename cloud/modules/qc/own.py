"""Whose quality control it is: an analyzer's section decides, and another campus's is absent (M01). For the pages."""

from __future__ import annotations

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.qc import intake, queries
from cloud.modules.qc.models import QcMaterial, QcOoc, QcPlan, QcResult, QcTarget
from cloud.web.faults import NotFound
from cloud.web.view import principal


def plans(uow: UnitOfWork, *, all_of_them: bool = False) -> list[QcPlan]:
    """The plans a page may show."""
    return [p for p in queries.plans(uow, all_of_them=all_of_them) if queries.here(uow, p.analyzer_id)]


def plan(uow: UnitOfWork, plan_id: int | None) -> QcPlan | None:
    """The plan of an address; another place's is absent."""
    found = None if plan_id is None else queries.plan(uow, plan_id)
    return found if found is not None and queries.here(uow, found.analyzer_id) else None


def chosen(uow: UnitOfWork, plan_id: int | None) -> QcPlan | None:
    """The plan of an address, or the first there is."""
    return plan(uow, plan_id) or next(iter(plans(uow)), None)


def materials(uow: UnitOfWork, *, active: bool = True) -> list[QcMaterial]:
    """The lots a page may show, in use or retired: of a material that an analyzer of the own place uses, or none yet."""
    every = [m for m in queries.materials(uow, active=False) if m.active is active]
    used = queries.analyzers_of_material(uow)
    return [m for m in every if not (seen := used.get(m.code, ())) or any(queries.here(uow, a) for a in seen)]


def material(uow: UnitOfWork, material_id: int) -> QcMaterial:
    """The lot of an address; another place's is absent."""
    found = next((m for on in (True, False) for m in materials(uow, active=on) if m.id == material_id), None)
    if found is None:
        raise NotFound("该质控品批号")
    return found


def works_at(uow: UnitOfWork, analyzer_id: int) -> bool:
    """Whether this person works with the analyzer: writing needs an own section."""
    known, own = md.catalog(uow), principal().sections
    return not own or known.sections[known.analyzers[analyzer_id].section_id].code in own


def require_plan(uow: UnitOfWork, plan_id: int) -> None:
    """Refuse to write to the quality control of an analyzer whose section is not one of the person's own: it is absent for them."""
    found = queries.plan(uow, plan_id)
    if found is None or not works_at(uow, found.analyzer_id):
        raise NotFound("该质控计划")


def require_analyzer(uow: UnitOfWork, analyzer_id: int) -> None:
    """The same by the analyzer; one that does not exist is left to who reads the rest of the form."""
    if analyzer_id in md.catalog(uow).analyzers and not works_at(uow, analyzer_id):
        raise NotFound("该质控计划")


def require_material(uow: UnitOfWork, material_id: int) -> None:
    """A lot is changed by who works with every analyzer that it is used on."""
    for plan_id in queries.plans_of_lot(uow, material_id):
        require_plan(uow, plan_id)


def require_observed(uow: UnitOfWork, observation_id: int) -> None:
    """The same by a control observation that lies unplaced."""
    analyzer_id = intake.analyzer_of(uow, observation_id)
    if analyzer_id is not None:
        require_analyzer(uow, analyzer_id)


def require_ooc(uow: UnitOfWork, ooc_id: int) -> None:
    """The same by out-of-control work."""
    row = uow.s.get(QcOoc, (uow.tenant_id, ooc_id))
    if row is None:
        raise NotFound("该失控处理")
    require_plan(uow, row.plan_id)


def require_result(uow: UnitOfWork, result_id: int) -> None:
    """The same by a point."""
    row = uow.s.get(QcResult, (uow.tenant_id, result_id))
    require_plan(uow, 0 if row is None else row.plan_id)


def require_target(uow: UnitOfWork, target_id: int) -> None:
    """The same by a target."""
    row = uow.s.get(QcTarget, (uow.tenant_id, target_id))
    require_plan(uow, 0 if row is None else row.plan_id)
