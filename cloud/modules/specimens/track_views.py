"""Where tubes are on the track line: one list, the error lane first."""

from __future__ import annotations

from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.platform import lists
from cloud.modules.specimens import rules, track
from cloud.modules.specimens.rules import Perm
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal

TRACK = Views("specimens_track", __name__)


@TRACK.get("/sp/track", Perm.READ)
def line(uow: UnitOfWork) -> Any:
    """Tubes seen by the line in the last two days."""
    show = _show()
    before = max(0, request.args.get("before", 0, type=int))
    rows = track.where(uow, show, before)
    return page(
        "specimens/track.html", block="rows", rows=rows, show=show, counts=track.counts(uow), words=rules.EVENT_WORDS, now=uow.now,
        more=before + track.PAGE if len(rows) == track.PAGE else 0,
    )  # fmt: skip


@TRACK.post("/sp/track/export", Perm.READ, reads=True)
def export(uow: UnitOfWork) -> Any:
    """The list as it is filtered, on paper or in a workbook."""
    show = _show()
    made = track.document(track.where(uow, show, limit=track.EXPORT_MOST), show, principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), f"/sp/track?show={show}", identifying=True))


def _show() -> str:
    show = request.values.get("show", "line")
    return show if show in track.SHOWS else "line"
