"""Releases of the agent as the laboratory sees them: what is offered, who consented, which agent runs what (M29, agent's part)."""

from __future__ import annotations

from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.edge import queries, updates
from cloud.modules.edge.rules import Perm
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal

VIEWS = Views("edge_releases", __name__)


@VIEWS.get("/edge/releases", Perm.READ)
def releases(uow: UnitOfWork) -> Any:
    """Releases with their consent; agents with the version they run."""
    who = principal()
    return page(
        "edge/releases.html", rows=queries.releases(uow), agents=queries.software(uow), limit=updates.PHONE_LIMIT, now=uow.now,
        may_consent=who.may(Perm.CONSENT), may_offer=who.may(Perm.MANAGE),
    )  # fmt: skip


@VIEWS.post("/edge/releases/<int:release_id>/consent", Perm.CONSENT)
def consent(uow: UnitOfWork, release_id: int) -> Any:
    """A named person of the laboratory agrees; recorded by the laboratory's own group only."""
    updates.consent(uow, release_id, request.form.get("person", ""), by_phone=request.form.get("kind") == "phone")
    return redirect_to("/edge/releases")


@VIEWS.post("/edge/consents/<int:consent_id>/write", Perm.CONSENT)
def write(uow: UnitOfWork, consent_id: int) -> Any:
    """The written form of a consent by phone."""
    updates.write_consent(uow, consent_id)
    return redirect_to("/edge/releases")


@VIEWS.post("/edge/releases/<int:release_id>/withdraw", Perm.CONSENT)
def withdraw(uow: UnitOfWork, release_id: int) -> Any:
    """No further agent gets it."""
    updates.withdraw(uow, release_id, request.form.get("reason", ""))
    return redirect_to("/edge/releases")


@VIEWS.post("/edge/releases/<int:release_id>/offer", Perm.MANAGE)
def offer(uow: UnitOfWork, release_id: int) -> Any:
    """To one agent; refused without a consent."""
    number = request.form.get("agent_id", "")
    updates.offer(uow, int(number) if number.isdecimal() else 0, release_id)
    return redirect_to("/edge/releases")
