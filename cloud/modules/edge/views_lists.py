"""The messages behind the board's numbers, and the edge's lists on paper or in a workbook."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import request
from werkzeug.datastructures import MultiDict

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import console, facts, printed, queries, received
from cloud.modules.edge.rules import Perm, RawState
from cloud.modules.platform import lists
from cloud.reports.documents import ListDocument
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal

VIEWS = Views("edge_lists", __name__)


@VIEWS.get("/edge/messages", Perm.RAW)
def messages(uow: UnitOfWork) -> Any:
    """What a connection sent in the last hour or day, by what became of it."""
    asked = _asked(request.args)
    before = max(0, request.args.get("before", 0, int))
    return page(
        "edge/messages.html", block="rows", rows=received.rows(uow, asked, queries.PAGE, before),
        count=received.count(uow, asked), asked=asked,
        problem=console.problem, links=facts.links(uow), states=received.STATE_WORDS, hours=received.HOURS, size=queries.PAGE,
    )  # fmt: skip


@VIEWS.post("/edge/messages/export", Perm.RAW, reads=True)
def messages_export(uow: UnitOfWork) -> Any:
    """The same list, without the messages' text."""
    asked = _asked(request.form)
    link = next((each for each in facts.links(uow) if each.id == asked.connection), None)
    said = (f"近 {asked.hours} 小时", "" if link is None else link.name, received.STATE_WORDS[RawState(asked.state)] if asked.state else "")
    made = printed.messages(received.rows(uow, asked, printed.MOST), "　".join(text for text in said if text), _stamp(uow))
    return _made(uow, made, f"/edge/messages?{urlencode(asked.query)}")


@VIEWS.post("/edge/board/export", Perm.READ, reads=True)
def board_export(uow: UnitOfWork) -> Any:
    """Every connection as the board shows it."""
    return _made(uow, printed.board(facts.load(uow), _stamp(uow)), "/edge/board")


@VIEWS.post("/edge/orphans/export", Perm.ATTACH, reads=True)
def orphans_export(uow: UnitOfWork) -> Any:
    """Results that match no tube, as they are searched."""
    q = request.form.get("q", "")
    made = printed.orphans(queries.tray(uow, q, limit=printed.MOST), _stamp(uow))
    return _made(uow, made, f"/edge/orphans?{urlencode({'q': q})}", identifying=True)


@VIEWS.post("/edge/unmapped/export", Perm.MAP, reads=True)
def unmapped_export(uow: UnitOfWork) -> Any:
    """Codes that mean nothing yet."""
    return _made(uow, printed.unmapped(queries.unmapped(uow, printed.MOST), md.catalog(uow).analyzers, _stamp(uow)), "/edge/unmapped")


@VIEWS.post("/edge/quarantine/export", Perm.RAW, reads=True)
def quarantine_export(uow: UnitOfWork) -> Any:
    """Messages nobody could read."""
    return _made(uow, printed.messages(queries.quarantined(uow, limit=printed.MOST), "待解析", _stamp(uow)), "/edge/quarantine")


def _asked(said: MultiDict[str, str]) -> received.Asked:
    return received.Asked.of(said.get("connection", None, int), said.get("state", ""), said.get("hours", 24, int))


def _made(uow: UnitOfWork, made: ListDocument, back: str, *, identifying: bool = False) -> Any:
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), back, identifying=identifying))


def _stamp(uow: UnitOfWork) -> printed.Stamp:
    who = principal()
    when: datetime = uow.now
    return who.tenant_name, who.name, when
