"""Pages of the edge: board, agents, trays, codes, raw messages; and the two public addresses an agent enrols through."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, jsonify, request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import (
    commands,
    configuration,
    console,
    facts,
    instruments,
    mapping,
    meanings,
    onboarding,
    places,
    queries,
    service,
    signals,
    verdicts,
)
from cloud.modules.edge.rules import REASONS, Perm
from cloud.modules.platform import service as platform
from cloud.web.faults import STATUS, NotFound
from cloud.web.i18n import gettext as _
from cloud.web.i18n import in_english
from cloud.web.page import fragment, page, redirect_to
from cloud.web.throttle import Attempts
from cloud.web.view import Access, Views, principal, web
from common.errors import UserError

ENROLMENTS = Attempts(20, "登记尝试过于频繁，请一分钟后再试。")  # codes are 192 bit; this only keeps noise away
VIEWS = Views("edge", __name__, places.AT)


def _zone() -> ZoneInfo:
    return ZoneInfo(web().settings.timezone)


def _number(name: str) -> int:
    value = request.form.get(name, "")
    if not value.isdecimal():
        raise UserError("invalid", "请从列表中选择。", field=name)
    return int(value)


# --- the board and agents ---------------------------------------------------------------------------------------------


@VIEWS.get("/edge/board", Perm.READ)
def board(uow: UnitOfWork) -> Any:
    """Every connection with its traffic light; live."""
    return page(
        "edge/board.html", block="tiles", agents=facts.load(uow), counts=queries.counts(uow), alarms=queries.security_alarms(uow),
        alerts=queries.open_alerts(uow), alarm_word=queries.alarm_word, light=verdicts.light, layers=verdicts.LAYER_WORDS,
        minutes=signals.whole_minutes, may_manage=principal().may(Perm.MANAGE), may_attach=principal().may(Perm.ATTACH),
        may_map=principal().may(Perm.MAP), may_raw=principal().may(Perm.RAW),
    )  # fmt: skip


@VIEWS.get("/edge/bench/<code>", Perm.READ)
def at_bench(uow: UnitOfWork, code: str) -> Any:
    """A section's analyzers that bring no results, for its bench: the lights there are those of quality control."""
    known = md.catalog(uow)
    section = known.sections_by_code.get(code)
    if section is None:
        raise NotFound("该专业组")
    own = {a.id for a in known.analyzers.values() if a.section_id == section.id}
    found = [(link, view.facts) for view in facts.load(uow) for link in view.links if link.connection.analyzer_id in own]
    away = [(link, *verdicts.light(link.facts, agent)) for link, agent in found if signals.away(link.facts)]
    return fragment("edge/_bench.html", "away", away=away)


@VIEWS.post("/edge/agents", Perm.MANAGE)
def create(uow: UnitOfWork) -> Any:
    """A new agent."""
    agent = service.create_agent(uow, request.form.get("name", ""), request.form.get("location", ""))
    return redirect_to(f"/edge/agents/{agent.id}")


@VIEWS.get("/edge/agents/<int:agent_id>", Perm.READ)
def agent(uow: UnitOfWork, agent_id: int) -> Any:
    """One agent: state, connections, configuration, newest messages. ``edit``: the connection whose form is open."""
    view = next((v for v in facts.load(uow) if v.agent.id == agent_id), None)
    if view is None:
        raise NotFound(_("采集端"))
    edited = next((link.connection for link in view.links if link.connection.key == request.args.get("edit")), None)
    return page(
        "edge/agent.html", block="state", line=view, balance=queries.balance(uow, agent_id), recent=queries.recent(uow, agent_id),
        analyzers=md.catalog(uow).analyzers, protocols=configuration.PROTOCOL_WORDS, encodings=configuration.ENCODINGS,
        transports=configuration.TRANSPORT_WORDS, bauds=configuration.BAUDS, parities=configuration.PARITY_WORDS,
        vendors=instruments.models_by_vendor(), edited=edited,
        form=instruments.start("") if edited is None else instruments.line_of(edited),
        alarms=queries.security_alarms(uow).get(agent_id, []), alarm_word=queries.alarm_word,
        may_manage=principal().may(Perm.MANAGE), may_raw=principal().may(Perm.RAW), light=verdicts.light, layers=verdicts.LAYER_WORDS,
    )  # fmt: skip


@VIEWS.post("/edge/agents/<int:agent_id>/code", Perm.MANAGE)
def code(uow: UnitOfWork, agent_id: int) -> Any:
    """A fresh enrolment code, shown once."""
    made = service.enrolment_code(uow, agent_id, web().settings)
    if request.headers.get("HX-Request") == "true":
        return fragment("edge/code.html", "code", enrol_code=made)
    return page("edge/code.html", enrol_code=made, agent_id=agent_id)


@VIEWS.get("/edge/agents/<int:agent_id>/log", Perm.RAW)
def log(uow: UnitOfWork, agent_id: int) -> Any:
    """The newest lines of the agent's own log, as it sent them when somebody asked."""
    return fragment("edge/tail.html", "log", lines=commands.lines(uow, agent_id, ""))


@VIEWS.post("/edge/agents/<int:agent_id>/log", Perm.RAW)
def ask_log(uow: UnitOfWork, agent_id: int) -> Any:
    """Ask the agent for them."""
    commands.log(uow, agent_id)
    return redirect_to(f"/edge/agents/{agent_id}#log")


@VIEWS.post("/edge/agents/<int:agent_id>/revoke", Perm.MANAGE)
def revoke(uow: UnitOfWork, agent_id: int) -> Any:
    """Never trust this agent again."""
    service.revoke(uow, agent_id, request.form.get("reason", ""), web().settings, lose="lose" in request.form)
    return redirect_to(f"/edge/agents/{agent_id}")


@VIEWS.post("/edge/agents/<int:agent_id>/connections", Perm.MANAGE)
def connection(uow: UnitOfWork, agent_id: int) -> Any:
    """Add or change a connection."""
    f = request.form
    analyzer = f.get("analyzer_id", "")
    new = service.NewConnection(
        key=f.get("key", "").strip(), name=f.get("name", ""), analyzer_id=int(analyzer) if analyzer.isdecimal() else None,
        protocol=f.get("protocol", ""), driver=f.get("driver", "").strip(), encoding=f.get("encoding", ""),
        mllp2="mllp2" in f, host_query="host_query" in f, enabled="enabled" in f,
        broadcast="broadcast" in f, track="track" in f, **configuration.line_fields(f),
    )  # fmt: skip
    version = f.get("version", "")
    service.save_connection(uow, agent_id, new, int(version) if version.isdecimal() and version.isascii() else 0)
    return redirect_to(f"/edge/agents/{agent_id}")


@VIEWS.post("/edge/alarms/<int:alarm_id>/close", Perm.MANAGE)
def close_alarm(uow: UnitOfWork, alarm_id: int) -> Any:
    """Somebody looked at an alarm."""
    service.close_alarm(uow, alarm_id, request.form.get("reason", ""))
    back = request.form.get("back", "")
    return redirect_to(back if back.startswith("/edge/") else "/edge/board")


# --- trays -----------------------------------------------------------------------------------------------------------


@VIEWS.get("/edge/orphans", Perm.ATTACH)
def orphans(uow: UnitOfWork) -> Any:
    """Results that match no tube."""
    return page("edge/orphans.html", block="rows", chosen=None, **_tray(uow))


@VIEWS.get("/edge/orphans/<int:raw_id>", Perm.ATTACH)
def orphan(uow: UnitOfWork, raw_id: int) -> Any:
    """One of them beside the list."""
    row = queries.tray_one(uow, raw_id, request.args.get("s", ""))
    if row is None:
        raise NotFound(_("这条无主结果"))
    if row.patient_id is not None:
        platform.log_read(uow, row.patient_id, "mismatch", request.path)
    if request.headers.get("HX-Request") == "true":
        return fragment("edge/orphans.html", "detail", chosen=row, words=REASONS, **_place())
    return page("edge/orphans.html", chosen=row, **_tray(uow))


@VIEWS.post("/edge/orphans/<int:raw_id>/attach", Perm.ATTACH)
def attach(uow: UnitOfWork, raw_id: int) -> Any:
    """Whose result it is: barcode and patient, with a reason."""
    f = request.form
    given = service.Attachment(raw_id, f.get("specimen", ""), f.get("barcode", ""), f.get("patient", ""), f.get("reason", ""))
    places.require_tube(uow, given.barcode)
    done = service.attach(uow, given, _zone())
    said = _("已附加 %(n)s 个结果。", n=done.get("matched", 0))
    if done.get("unmapped"):
        said += " " + _("另有 %(n)s 个的代码尚未对照，对照后自动补上。", n=done["unmapped"])
    return _tray_again(uow, said)


@VIEWS.post("/edge/orphans/<int:raw_id>/discard", Perm.ATTACH)
def discard(uow: UnitOfWork, raw_id: int) -> Any:
    """Nobody's result; kept, with the reason."""
    n = service.discard(uow, raw_id, request.form.get("specimen", ""), request.form.get("reason", ""))
    return _tray_again(uow, _("已弃用 %(n)s 个结果，原始数据仍保留。", n=n))


def _tray(uow: UnitOfWork) -> dict[str, Any]:
    """The list as the page's address asks for it."""
    at = _place()
    return {"rows": queries.tray(uow, at["q"], at["start"]), "size": queries.PAGE, "words": REASONS, **at}


def _place() -> dict[str, Any]:
    """What is looked for, and from which row on."""
    return {"may_raw": principal().may(Perm.RAW), "q": request.values.get("q", ""), "start": max(0, request.values.get("from", 0, int))}


def _tray_again(uow: UnitOfWork, said: str) -> Any:
    if request.headers.get("HX-Request") != "true":
        return redirect_to("/edge/orphans")
    return fragment("edge/orphans.html", "work", trigger='{"sound":"ok"}', chosen=None, said=said, **_tray(uow))


# --- codes -----------------------------------------------------------------------------------------------------------


@VIEWS.get("/edge/unmapped", Perm.MAP)
def unmapped(uow: UnitOfWork) -> Any:
    """Codes that came and mean nothing yet, each with the items it could mean."""
    found, known = queries.unmapped(uow), md.catalog(uow)
    rows = [(r, meanings.suggestions(uow, r.code, None, r.unit)) for r in found]
    taken = {at: {row.item_id: row.code for row in onboarding.active_rows(known, at)} for at in {r.analyzer_id for r in found} - {None}}
    items = meanings.items_of(uow)
    return page(
        "edge/unmapped.html", block="rows", rows=rows, analyzers=known.analyzers, items=items, taken=taken,
        drafts=onboarding.open_versions(uow), words=mapping.WORDS,
    )  # fmt: skip


@VIEWS.post("/edge/unmapped/map", Perm.MAP)
def map_code(uow: UnitOfWork) -> Any:
    """A code joins its analyzer's draft; once that is approved and in use, what is stored is placed."""
    f = request.form
    who = principal()
    analyzer, raw_id = _number("analyzer_id"), f.get("raw_id", "")
    places.require_analyzer(uow, analyzer)
    onboarding.add_code(uow, analyzer, f.get("code", ""), _number("item_id"), who.user_id, f.get("reason", ""))
    if raw_id.isdecimal() and who.may(Perm.RAW):
        onboarding.seen_in(uow, analyzer, f.get("code", ""), int(raw_id))
    return redirect_to("/edge/unmapped")


@VIEWS.post("/edge/unmapped/ignore", Perm.MAP)
def ignore_code(uow: UnitOfWork) -> Any:
    """A code is no result."""
    places.require_analyzer(uow, _number("analyzer_id"))
    service.ignore_code(uow, _number("analyzer_id"), request.form.get("code", ""), request.form.get("reason", ""), _zone())
    return redirect_to("/edge/unmapped")


# --- raw messages ----------------------------------------------------------------------------------------------------


@VIEWS.get("/edge/quarantine", Perm.RAW)
def quarantine(uow: UnitOfWork) -> Any:
    """Messages nobody could read."""
    before = max(0, request.args.get("before", 0, int))
    return page(
        "edge/quarantine.html",
        block="rows",
        problem=console.problem,
        rows=queries.quarantined(uow, before),
        before=before,
        size=queries.PAGE,
    )


@VIEWS.get("/edge/raw/<int:raw_id>", Perm.RAW)
def raw(uow: UnitOfWork, raw_id: int) -> Any:
    """One message as it came, control characters named, patient fields hidden."""
    found = queries.raw_page(uow, raw_id)
    if found is None:
        raise NotFound(_("报文"))
    drawn = console.pictures_of(uow, found.raw)
    return page("edge/raw.html", problem=console.problem, found=found, words=REASONS, may_map=principal().may(Perm.MAP), pictures=drawn)


@VIEWS.get("/edge/raw/<int:raw_id>/picture/<int:number>", Perm.RAW)
def picture(uow: UnitOfWork, raw_id: int, number: int) -> Any:
    """An image an instrument sent, as it sent it."""
    found = queries.raw_page(uow, raw_id)
    drawn = [] if found is None else console.pictures_of(uow, found.raw)
    if number >= len(drawn) or not drawn[number].media:
        raise NotFound(_("这幅图"))
    return Response(drawn[number].data, mimetype=drawn[number].media)


@VIEWS.post("/edge/raw/<int:raw_id>/reinterpret", Perm.MAP)
def reinterpret(uow: UnitOfWork, raw_id: int) -> Any:
    """Read it again with today's drivers and mappings."""
    service.reinterpret(uow, raw_id, request.form.get("reason", ""), _zone())
    return redirect_to(f"/edge/raw/{raw_id}")


# --- enrolment (no login: the code and the pin are the trust) ------------------------------------------------------------


@VIEWS.get("/edge/ca", Access.PUBLIC)
def ca() -> Any:
    """The CA's certificate; the agent accepts it only by the pin in its code."""
    try:
        return Response(service.ca_certificate(web().settings), mimetype="application/x-pem-file")
    except (UserError, OSError):
        return Response("not configured\n", 404, mimetype="text/plain")


@VIEWS.post("/edge/enrol", Access.PUBLIC)
def enrol() -> Any:
    """An agent shows its code and asks for a certificate."""
    try:
        ENROLMENTS.check(request.remote_addr or "")
        body = request.get_json(force=True, silent=True)
        if not isinstance(body, dict):
            raise UserError("invalid", "请求不是 JSON 对象。")
        return jsonify(service.enrol(web().db, web().settings, body, request.remote_addr or "").document)
    except UserError as exc:
        return jsonify(error=exc.code, message=exc.message, message_en=in_english(exc.message)), STATUS.get(exc.code, 422)
