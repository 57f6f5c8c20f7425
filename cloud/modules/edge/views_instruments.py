"""Pages of the analyzers themselves: the list, and a new one from nothing."""

from __future__ import annotations

from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import configuration, instruments, library, places, sandbox
from cloud.modules.edge.configuration import NewConnection
from cloud.modules.edge.rules import Perm
from cloud.web.faults import NotFound
from cloud.web.i18n import locale
from cloud.web.page import fragment, page, redirect_to
from cloud.web.view import Views, principal
from common.errors import UserError
from common.instruments.drivers import DRIVERS

VIEWS = Views("edge_instruments", __name__, places.AT)


@VIEWS.get("/edge/analyzers", Perm.READ)
def analyzers(uow: UnitOfWork) -> Any:
    """Every analyzer: model, section, lines, mapping in use."""
    sections = {s.id: s for s in md.catalog(uow).sections.values()}
    return page(
        "edge/analyzers.html", rows=instruments.all_lines(uow), sections=sections, verified=sandbox.verified,
        may_install=principal().may(Perm.INSTALL), may_raw=principal().may(Perm.RAW),
    )  # fmt: skip


@VIEWS.get("/edge/analyzers/new", Perm.INSTALL)
def new(uow: UnitOfWork) -> Any:
    """The form; choosing a model fills in its protocol and says what is known about it."""
    driver, a = request.args.get("driver", ""), request.args
    start = instruments.start(driver)
    if request.headers.get("HX-Request") == "true":
        shown = start if request.headers.get("HX-Trigger-Name") == "driver" else _typed(a)
        return fragment("edge/analyzer_new.html", "line", **_choices(driver, shown))
    known = md.catalog(uow)
    sections = sorted(known.sections.values(), key=lambda s: s.code)
    return page("edge/analyzer_new.html", sections=sections, agents=instruments.agents(uow), **_choices(driver, start))


@VIEWS.get("/edge/analyzers/<int:analyzer_id>", Perm.INSTALL)
def one(uow: UnitOfWork, analyzer_id: int) -> Any:
    """One analyzer to edit or retire, with its lines."""
    row = next((r for r in instruments.all_lines(uow) if r.analyzer.id == analyzer_id), None)
    if row is None:
        raise NotFound("这台仪器")
    lines = [(c, agent, instruments.line_of(c)) for c, agent in row.links]
    sections = sorted(md.catalog(uow).sections.values(), key=lambda s: s.code)
    return page(
        "edge/analyzer.html", row=row, was=instruments.as_shown(row.analyzer), lines=lines, sections=sections,
        protocols=configuration.PROTOCOL_WORDS,
        encodings=configuration.ENCODINGS, transports=configuration.TRANSPORT_WORDS, bauds=configuration.BAUDS,
        parities=configuration.PARITY_WORDS, vendors=instruments.models_by_vendor(), may_manage=principal().may(Perm.MANAGE),
    )  # fmt: skip


@VIEWS.post("/edge/analyzers/<int:analyzer_id>", Perm.INSTALL)
def change(uow: UnitOfWork, analyzer_id: int) -> Any:
    """Name, model, section."""
    f = request.form
    section = f.get("section_id", "")
    number = int(section) if section.isdecimal() else 0
    instruments.change(uow, analyzer_id, f.get("was", ""), f.get("name", ""), f.get("model", ""), number)
    return redirect_to(f"/edge/analyzers/{analyzer_id}")


@VIEWS.post("/edge/analyzers/<int:analyzer_id>/retire", Perm.INSTALL)
def retire(uow: UnitOfWork, analyzer_id: int) -> Any:
    """Out of use, with the reason."""
    instruments.retire(uow, analyzer_id, request.form.get("reason", ""))
    return redirect_to("/edge/analyzers")


def _choices(driver: str, line: NewConnection) -> dict[str, Any]:
    return {
        "driver": DRIVERS.get(driver), "line": line, "vendors": instruments.models_by_vendor(), "protocols": configuration.PROTOCOL_WORDS,
        "encodings": configuration.ENCODINGS, "transports": configuration.TRANSPORT_WORDS, "verified": sandbox.verified,
        "bauds": configuration.BAUDS, "parities": configuration.PARITY_WORDS, "told": library.told, "notes": library.notes,
        "english": locale() == "en",
    }  # fmt: skip


@VIEWS.post("/edge/analyzers", Perm.INSTALL)
def create(uow: UnitOfWork) -> Any:
    """The analyzer and its line; then the line's own page, which says whether anything answers there."""
    f = request.form
    section, agent = f.get("section_id", ""), f.get("agent_id", "")
    if not section.isdecimal() or not agent.isdecimal():
        raise UserError("invalid", "请选择专业组和采集端。", field="section_id" if not section.isdecimal() else "agent_id")
    given = instruments.NewInstrument(f.get("code", ""), f.get("name", ""), f.get("model", ""), int(section), int(agent), _typed(f))
    return redirect_to(f"/edge/links/{instruments.add(uow, given).id}")


def _typed(f: Any) -> NewConnection:
    return NewConnection(
        key="", name="", analyzer_id=None, protocol=f.get("protocol", ""), driver=f.get("driver", ""), encoding=f.get("encoding", ""),
        host_query="host_query" in f, broadcast="broadcast" in f, track="track" in f, mllp2="mllp2" in f,
        **configuration.line_fields(f),
    )  # fmt: skip
