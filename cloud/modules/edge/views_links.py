"""One connection with the layer at fault and its live tail, the replay console, the driver library, the reports."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import (
    archiving,
    commands,
    configuration,
    console,
    facts,
    library,
    mapping,
    onboarding,
    places,
    recordings,
    reporting,
    rules,
    sandbox,
    signals,
    verdicts,
)
from cloud.modules.edge.rules import Perm
from cloud.modules.platform import service as platform
from cloud.web import sheet
from cloud.web.faults import NotFound
from cloud.web.i18n import gettext as _
from cloud.web.i18n import locale
from cloud.web.page import fragment, page, redirect_to
from cloud.web.view import Views, principal, web
from common.instruments.drivers import DRIVERS

VIEWS = Views("edge_links", __name__, places.AT)
TAIL = 8
"""Messages of the live tail."""


def _view(uow: UnitOfWork, connection_id: int) -> tuple[facts.AgentView, facts.LinkView]:
    for agent in facts.load(uow):
        for link in agent.links:
            if link.connection.id == connection_id:
                return agent, link
    raise NotFound(_("这条连接"))


@VIEWS.get("/edge/links/<int:connection_id>", Perm.READ)
def link(uow: UnitOfWork, connection_id: int) -> Any:
    """One connection: the layer at fault with what to do, numbers, pace, messages by the hour, mapping in use."""
    agent, view = _view(uow, connection_id)
    row = view.connection
    in_use = None if row.analyzer_id is None else recordings.active_version(uow, row.analyzer_id)
    codes = onboarding.channel_counts(uow).get(row.analyzer_id or 0, 0)
    begins = in_use is None and not codes and principal().may(Perm.RAW)
    return page(
        "edge/link.html", block="state", agent=agent, link=view, light=verdicts.light(view.facts, agent.facts),
        minutes=signals.whole_minutes, protocols=configuration.PROTOCOL_WORDS,
        layers=verdicts.LAYER_WORDS, path=console.path(view.verdict), hours=reporting.hours_of(uow, connection_id, _zone()), mapping=in_use,
        codes=codes, fresh=[m.id for m in console.messages(uow, connection_id)[:50]] if begins else [],
        driver=DRIVERS.get(row.driver or (in_use.driver if in_use and in_use.driver else "") or ""), verified=sandbox.verified,
        may_record=principal().may(Perm.PROPOSE), may_raw=principal().may(Perm.RAW), may_switch=principal().may(Perm.MAP),
    )  # fmt: skip


@VIEWS.get("/edge/links/<int:connection_id>/tail", Perm.RAW)
def tail(uow: UnitOfWork, connection_id: int) -> Any:
    """The newest messages as they came, control characters named, patient fields hidden; live."""
    _agent, view = _view(uow, connection_id)
    return fragment("edge/tail.html", "tail", link=view, messages=console.tail(uow, connection_id, TAIL))


@VIEWS.get("/edge/links/<int:connection_id>/live", Perm.RAW)
def live(uow: UnitOfWork, connection_id: int) -> Any:
    """Frames as the agent sees them now, for as long as somebody asked for them; patient fields were hidden at the agent."""
    row = console.connection(uow, connection_id)
    return fragment("edge/tail.html", "live", frames=commands.lines(uow, row.agent_id, row.key))


@VIEWS.post("/edge/links/<int:connection_id>/live", Perm.RAW)
def start_live(uow: UnitOfWork, connection_id: int) -> Any:
    """Ask the agent for its frames for five minutes."""
    row = console.connection(uow, connection_id)
    commands.tail(uow, row.agent_id, row.key)
    return redirect_to(f"/edge/links/{connection_id}#live")


@VIEWS.post("/edge/links/<int:connection_id>/record", Perm.PROPOSE)
def record(uow: UnitOfWork, connection_id: int) -> Any:
    """Have the agent write the bytes to a file beside the analyzer; with patients' data, so with a reason."""
    row = console.connection(uow, connection_id)
    minutes = request.form.get("minutes", "")
    commands.capture(uow, row.agent_id, row.key, 60 * (int(minutes) if minutes.isdecimal() else 5), request.form.get("reason", ""))
    return redirect_to(f"/edge/links/{connection_id}")


@VIEWS.post("/edge/links/<int:connection_id>/orders", Perm.MAP)
def orders(uow: UnitOfWork, connection_id: int) -> Any:
    """Every valid order goes to this analyzer once more."""
    row = console.connection(uow, connection_id)
    commands.orders_anew(uow, row.agent_id, row.key, request.form.get("reason", ""))
    return redirect_to(f"/edge/links/{connection_id}")


@VIEWS.post("/edge/links/<int:connection_id>/switch", Perm.MAP)
def switch(uow: UnitOfWork, connection_id: int) -> Any:
    """Connection on or off, simulator on or off; goes down to the agent."""
    f = request.form
    configuration.switch(uow, connection_id, f.get("what", ""), f.get("on") == "1", f.get("reason", ""))
    return redirect_to(f"/edge/links/{connection_id}")


@VIEWS.get("/edge/links/<int:connection_id>/capture", Perm.RAW)
def capture(uow: UnitOfWork, connection_id: int) -> Any:
    """The newest messages as a text file for the maker's engineer: control characters named, patient fields hidden."""
    _agent, view = _view(uow, connection_id)
    text = console.capture(uow, connection_id, 200)
    name = f"{view.connection.key}-{uow.now:%Y%m%d-%H%M%S}.txt"
    uow.audit("connection", connection_id, "capture", after={"file": name})
    return Response(text, mimetype="text/plain; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'})


# --- replay ------------------------------------------------------------------------------------------------------------


@VIEWS.get("/edge/replay", Perm.RAW)
def replay(uow: UnitOfWork) -> Any:
    """Stored messages read again beside the stream, old way against new. A GET: nothing is ever written but who looked."""
    a = request.args
    connection_id = a.get("connection", type=int)
    below = max(0, a.get("before", 0, int))
    hour, days = a.get("hour", type=int), min(max(a.get("days", 7, type=int), 1), 31)
    at = None if hour is None else console.Hours(hour, days, _zone())
    picked = a.getlist("raw", type=int)[: recordings.MAX_RAW]
    if uow.actor.reach is not None:
        picked = [v for v in picked if places.raw_here(uow, v)]
    versions = onboarding.versions(uow)
    new = console.new_way(a.get("version", type=int), a.get("driver", ""), a.get("encoding", ""))
    done = console.replay(uow, picked, new) if picked else None
    if done is not None and done.patients:
        for patient_id in done.patients:
            platform.log_read(uow, patient_id, "replay", request.path)
    return page(
        "edge/replay.html", problem=console.problem,
        links=facts.links(uow), connection_id=connection_id, picked=set(picked), versions=versions, words=mapping.WORDS,
        analyzers=md.catalog(uow).analyzers, drivers=sorted(DRIVERS.values(), key=lambda d: (d.vendor, d.model)), done=done,
        messages=console.messages(uow, connection_id, a.get("tube", "").strip(), below, at), size=console.MESSAGES,
        encodings=configuration.ENCODINGS, chosen=a,
    )  # fmt: skip


# --- archives of what was taken out of use -------------------------------------------------------------------------------


@VIEWS.get("/edge/archives", Perm.RAW)
def archives(uow: UnitOfWork) -> Any:
    """Raw messages of agents and analyzers taken out of use: how far they are in files."""
    return page("edge/archives.html", block="rows", rows=archiving.archives(uow), one=None, parts=[])


@VIEWS.get("/edge/archives/<int:archive_id>", Perm.RAW)
def archive(uow: UnitOfWork, archive_id: int) -> Any:
    """One of them with its files."""
    row = archiving.one(uow, archive_id)
    if row is None:
        raise NotFound(_("这份归档"))
    return page("edge/archives.html", block="rows", rows=[row], one=row, parts=archiving.parts_of(uow, archive_id))


@VIEWS.post("/edge/archives/<int:archive_id>/<int:number>", Perm.RAW)
def archive_file(uow: UnitOfWork, archive_id: int, number: int) -> Any:
    """One of the files."""
    name, data = archiving.download(uow, archive_id, number, request.form.get("reason", ""))
    return Response(data, mimetype="application/zip", headers={"Content-Disposition": f'attachment; filename="{name}"'})


# --- library and reports -----------------------------------------------------------------------------------------------


@VIEWS.get("/edge/profiles", Perm.READ)
def profiles(uow: UnitOfWork) -> Any:
    """The driver library: model, protocol, evidence or 未验证, two-way tried or not, who uses it."""
    used = facts.drivers_used(uow)
    text = request.args.get("q", "").strip().lower()
    rows = [d for d in DRIVERS.values() if text in f"{d.vendor} {d.model} {d.id} {d.protocol}".lower()]
    rows.sort(key=lambda d: (not used.get(d.id), d.vendor.lower(), d.model))
    return page(
        "edge/profiles.html",
        block="rows",
        drivers=rows,
        used=used,
        verified=sandbox.verified,
        q=text,
        total=len(DRIVERS),
        protocols=configuration.PROTOCOL_WORDS,
        told=library.told,
        notes=library.notes,
        english=locale() == "en",
    )


@VIEWS.get("/edge/reports", Perm.READ)
def reports(uow: UnitOfWork) -> Any:
    """Messages by hour, uptime, orphans, unmapped codes, faults with their repair time, versions."""
    days = min(max(request.args.get("days", 7, type=int), 1), 31)
    made = reporting.report(uow, days, _zone())
    if request.args.get("form") == "xlsx":
        uow.audit("edge_report", days, "export", after={"days": days})
        body = reporting.workbook(made, _, _zone())
        name = f"edge-{uow.now.astimezone(_zone()):%Y%m%d}-{days}d.xlsx"
        return Response(body, mimetype=sheet.TYPE, headers={"Content-Disposition": f'attachment; filename="{name}"'})
    who = principal()
    return page(
        "edge/reports.html", r=made, days=days, words=rules.REASONS, handling=reporting.HANDLING, analyzers=md.catalog(uow).analyzers,
        may_raw=who.may(Perm.RAW), may_attach=who.may(Perm.ATTACH), may_map=who.may(Perm.MAP),
    )  # fmt: skip


def _zone() -> ZoneInfo:
    return ZoneInfo(web().settings.timezone)
