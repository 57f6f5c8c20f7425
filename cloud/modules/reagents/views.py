"""Lots and what is on board."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.reagents import queries, service
from cloud.modules.reagents.rules import TRANSITIONS, WORDS, LotState, Perm
from cloud.web.faults import Invalid
from cloud.web.page import page, redirect_to
from cloud.web.view import Views

VIEWS = Views("reagents", __name__)


@VIEWS.get("/rg/open", Perm.READ)
def on_board(uow: UnitOfWork) -> Any:
    """What is on board, and the lots."""
    catalog = md.catalog(uow)
    starts = {name: max(0, request.args.get(name, 0, int)) for name in ("from", "packs")}
    return page(
        "reagents/open.html",
        packs=queries.packs(uow, starts["packs"]),
        lots=queries.lots(uow, starts["from"]),
        to_board=queries.to_board(uow),
        starts=starts,
        size=queries.PAGE,
        analyzers=[a for a in catalog.analyzers.values() if a.active],
        items=[i for i in catalog.items.values() if i.active],
        words={s.value: w for s, w in WORDS.items()},
        moves={s.value: [t.value for t in LotState if t in to] for s, to in TRANSITIONS.items()},
        today=uow.now.astimezone(md.HOSPITAL_ZONE).date(),
        now=uow.now,
    )


@VIEWS.post("/rg/lots", Perm.KEEP)
def add_lot(uow: UnitOfWork) -> Any:
    """Register a lot."""
    form = request.form
    try:
        expiry = date.fromisoformat(form.get("expiry", ""))
    except ValueError as error:
        raise Invalid("请填写效期。", "expiry") from error
    items = form.getlist("items", type=int)
    service.add_lot(uow, form.get("product", ""), form.get("lot_no", ""), expiry, form.get("open_days", 0, type=int), items)
    return redirect_to("/rg/open")


@VIEWS.post("/rg/lots/<int:lot_id>", Perm.ACCEPT)
def move_lot(uow: UnitOfWork, lot_id: int) -> Any:
    """Accept, verify, recall, scrap."""
    to = request.form.get("to", "")
    if to not in tuple(LotState):
        raise Invalid("请选择新的状态。", "to")
    service.move_lot(uow, lot_id, LotState(to), request.form.get("evidence", ""))
    return redirect_to("/rg/open")


@VIEWS.post("/rg/open", Perm.KEEP)
def open_pack(uow: UnitOfWork) -> Any:
    """Load a pack."""
    service.open_pack(uow, request.form.get("lot", type=int) or 0, request.form.get("analyzer", type=int) or 0)
    return redirect_to("/rg/open")


@VIEWS.post("/rg/open/<int:pack_id>/remove", Perm.KEEP)
def remove_pack(uow: UnitOfWork, pack_id: int) -> Any:
    """Take a pack off."""
    service.remove_pack(uow, pack_id)
    return redirect_to("/rg/open")
