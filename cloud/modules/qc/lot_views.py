"""Pages of a lot: the change from one lot to the next with all its tests at once, and the targets that wait for approval."""

from __future__ import annotations

from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.qc import lots, own, qualitative, queries, rules, targets
from cloud.modules.qc.rules import Perm
from cloud.web.page import page, redirect_to
from cloud.web.view import Views

LOTS = Views("qc_lots", __name__)


@LOTS.get("/qc/lots", Perm.READ)
def waiting(uow: UnitOfWork) -> Any:
    """Every proposed target, with the one it would replace or stand beside."""
    every = own.plans(uow)
    found = lots.waiting(uow, every)
    return page("qc/waiting.html", **_said(uow), waiting=found, plans={p.id: p for p in every}, now_in_force=_in_force(uow, found))


@LOTS.get("/qc/lots/<int:material_id>", Perm.READ)
def lot(uow: UnitOfWork, material_id: int) -> Any:
    """A lot with all its tests: what was measured, proposed, approved, and whether the old lot may go."""
    every = own.plans(uow)
    found = lots.change(uow, own.material(uow, material_id), every)
    wait = [line.waiting for line in found.lines if line.waiting is not None]
    shown: dict[str, Any] = {"waiting": wait, "plans": {p.id: p for p in every}, "now_in_force": _in_force(uow, wait)}
    expired = found.lot.expires_at is not None and found.lot.expires_at <= uow.now
    return page("qc/lot.html", **_said(uow), change=found, expired=expired, few=targets.FEW, **shown)


@LOTS.post("/qc/lots/<int:material_id>", Perm.PLAN)
def propose(uow: UnitOfWork, material_id: int) -> Any:
    """Propose the targets of the ticked tests."""
    found = lots.change(uow, own.material(uow, material_id), own.plans(uow))
    wanted = set(request.form.getlist("plan", type=int))
    for plan_id in sorted(wanted):
        own.require_plan(uow, plan_id)
    lots.propose(uow, found, wanted, request.form.get("reason", ""))
    return redirect_to(f"/qc/lots/{material_id}")


@LOTS.post("/qc/lots/approve", Perm.APPROVE)
def approve(uow: UnitOfWork) -> Any:
    """Another person approves the ticked targets together; ``target``: id and version, as shown."""
    said = [pair.split(":") for pair in request.form.getlist("target")]
    wanted = [(int(pair[0]), int(pair[1])) for pair in said if len(pair) == 2 and all(part.isdecimal() for part in pair)]
    for target_id, _ in wanted:
        own.require_target(uow, target_id)
    lots.approve(uow, wanted)
    back = request.form.get("lot", type=int)
    return redirect_to("/qc/lots" if back is None else f"/qc/lots/{back}")


def _in_force(uow: UnitOfWork, waiting: list[Any]) -> dict[int, Any]:
    """Waiting target → the newest in force of its plan and level, of whichever lot."""
    current = queries.targets(uow, {t.plan_id for t in waiting}, current=True)
    newest = {(t.plan_id, t.level): t for t in sorted(current, key=lambda t: t.id)}
    return {t.id: newest[t.plan_id, t.level] for t in waiting if (t.plan_id, t.level) in newest}


def _said(uow: UnitOfWork) -> dict[str, Any]:
    materials = {m.id: m for m in queries.materials(uow, active=False)}
    return {
        "catalog": md.catalog(uow),
        "lots": materials,
        "bases": targets.BASIS_WORDS,
        "signs": qualitative.SIGN_WORDS,
        "last_day": rules.last_day,
    }
