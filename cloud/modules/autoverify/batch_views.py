"""The page of a batch 初审: its count and its exceptions are seen before one key commits it."""

from __future__ import annotations

from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import batch
from cloud.modules.catalog import queries as md
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal

VIEWS = Views("batch", __name__)
REVIEW = "reports:test"
"""The permission to review a tube, as on the bench."""


@VIEWS.get("/bench/<code>/batch", REVIEW)
def preview(uow: UnitOfWork, code: str) -> Any:
    """What would be reviewed together, with all its values, and what would not, with the reasons."""
    section = md.own_section(uow, principal().sections, code)
    found = batch.preview(uow, principal(), section.id)
    return page("autoverify/batch.html", section=section, found=found, done=request.args.get("done", type=int))


@VIEWS.post("/bench/<code>/batch", REVIEW)
def commit(uow: UnitOfWork, code: str) -> Any:
    """Review what is still ticked, all or none."""
    section = md.own_section(uow, principal().sections, code)
    chosen = [pair for text in request.form.getlist("tube") if (pair := _pair(text)) is not None]
    done = batch.review(uow, principal(), section.id, chosen)
    return redirect_to(f"/bench/{section.code}/batch?done={done}")


def _pair(text: str) -> tuple[int, int] | None:
    """``<tube>-<revision>`` as the page wrote it."""
    tube, _, revision = text.partition("-")
    good = all(t.isascii() and t.isdigit() and len(t) < 19 for t in (tube, revision))
    return (int(tube), int(revision)) if good else None
