"""Where tubes are on the track line: one list, the error lane first."""

from __future__ import annotations

from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.specimens import rules, track
from cloud.modules.specimens.rules import Perm
from cloud.web.page import page
from cloud.web.view import Views

TRACK = Views("specimens_track", __name__)


@TRACK.get("/sp/track", Perm.READ)
def line(uow: UnitOfWork) -> Any:
    """Tubes seen by the line in the last two days."""
    show = request.args.get("show", "line")
    show = show if show in track.SHOWS else "line"
    before = max(0, request.args.get("before", 0, type=int))
    rows = track.where(uow, show, before)
    return page(
        "specimens/track.html", block="rows", rows=rows, show=show, counts=track.counts(uow), words=rules.EVENT_WORDS, now=uow.now,
        more=before + track.PAGE if len(rows) == track.PAGE else 0,
    )  # fmt: skip
