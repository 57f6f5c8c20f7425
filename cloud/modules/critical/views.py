"""Pages of critical values: the board, the call with its read-back, the ward's pop-up, the register, set-up, indicators."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from flask import Response, request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.critical import corrected, queries, robot, rules, service, setup, veil
from cloud.modules.critical.beside import beside
from cloud.modules.critical.printing import register_document, stats_document
from cloud.modules.critical.rules import Perm
from cloud.modules.platform import glass, groups, lists, signing
from cloud.modules.platform import service as platform
from cloud.web.faults import Invalid, NotFound
from cloud.web.page import fragment, page, redirect_to
from cloud.web.view import Views, principal, web
from common.say import say
from common.values import number

VIEWS = Views("critical", __name__)
OK, BAD = '{"sound":"ok"}', '{"sound":"bad"}'


# --- the laboratory -------------------------------------------------------------------------------------------------


@VIEWS.get("/critical/board", Perm.READ)
def board(uow: UnitOfWork) -> Any:
    """Open critical values, the untold first (``show=untold``: alone), each with its clock; ``section``: of one section."""
    return page("critical/board.html", block="rows", states=rules.State, **_board(uow))


@VIEWS.get("/critical/phone/<int:event_id>", Perm.HANDLE)
def phone(uow: UnitOfWork, event_id: int) -> Any:
    """One event: what to say, whom it was tried with, the read-back form."""
    return page("critical/phone.html", **_shown(uow, event_id))


@VIEWS.get("/critical/tube/<int:specimen_id>", Perm.READ)
def of_tube(uow: UnitOfWork, specimen_id: int) -> Any:
    """A tube's critical values with their checks, for the bench where they are found first."""
    found = [line for line in queries.of_specimen(uow, specimen_id) if places.covers(uow, line.event.section_id)]
    for line in found[:1]:
        platform.log_read(uow, line.event.patient_id, "critical", request.path)
    lines = queries.open_to(uow, principal(), found)
    return fragment("critical/tube.html", "lines", lines=lines, came="bench")


@VIEWS.post("/critical/<int:event_id>/confirm", Perm.HANDLE)
def confirm(uow: UnitOfWork, event_id: int) -> Any:
    """Tube, curve, QC and history were looked at."""
    veil.require_open(_line(uow, event_id))
    service.confirm(uow, event_id, _version())
    uow.s.flush()
    came = request.form.get("from", "")
    if came in ("review", "bench"):
        return fragment("critical/_checks.html", "strip", trigger=OK, line=_line(uow, event_id), came=came)
    return _event(uow, event_id) if came == "phone" else _rows(uow)


@VIEWS.post("/critical/phone/<int:event_id>", Perm.HANDLE)
def tell(uow: UnitOfWork, event_id: int) -> Any:
    """A call was answered; it counts only with an equal read-back, and is kept either way (AC-CV-4)."""
    veil.require_open(_line(uow, event_id))
    form = request.form
    call = rules.Call(form.get("receiver", ""), form.get("dept", ""), form.get("readback", ""), bool(form.get("identity")), _called_at(uow))
    problem = service.tell(uow, event_id, _version(), call, rules.Channel.PATIENT if form.get("patient") else rules.Channel.PHONE)
    uow.s.flush()
    shown = _shown(uow, event_id, problem, form if problem else {})
    # A value read back wrongly is asked for anew; every other refusal keeps it.
    misheard = bool(problem) and not rules.readback_equal(shown["line"].event.value_text, call.readback)
    return fragment("critical/phone.html", "event", trigger=BAD if problem else OK, misheard=misheard, **shown)


@VIEWS.post("/critical/phone/<int:event_id>/none", Perm.HANDLE)
def no_answer(uow: UnitOfWork, event_id: int) -> Any:
    """Nobody answered; the third time it goes up."""
    form = request.form
    _line(uow, event_id)
    service.no_answer(uow, event_id, _version(), form.get("called", ""), bool(form.get("patient")))
    return _event(uow, event_id)


@VIEWS.post("/critical/<int:event_id>/escalate", Perm.HANDLE)
def escalate(uow: UnitOfWork, event_id: int) -> Any:
    """A person does not wait for the clock."""
    _line(uow, event_id)
    service.escalate(uow, event_id, _version(), request.form.get("level", 0, int))
    return _event(uow, event_id)


@VIEWS.post("/critical/<int:event_id>/handle", Perm.HANDLE)
def handle(uow: UnitOfWork, event_id: int) -> Any:
    """What the ward did, as it was told."""
    _line(uow, event_id)
    service.handle(uow, event_id, _version(), request.form.get("action", ""), request.form.get("by", ""))
    return _event(uow, event_id)


@VIEWS.post("/critical/<int:event_id>/close", Perm.HANDLE)
def close(uow: UnitOfWork, event_id: int) -> Any:
    """The register's line is complete."""
    _line(uow, event_id)
    service.close(uow, event_id, _version(), request.form.get("difficulty", ""))
    return _event(uow, event_id)


@VIEWS.post("/critical/<int:event_id>/difficulty", Perm.HANDLE)
def difficulty(uow: UnitOfWork, event_id: int) -> Any:
    """Why it took so long."""
    _line(uow, event_id)
    service.note_difficulty(uow, event_id, _version(), request.form.get("difficulty", ""))
    return _event(uow, event_id)


@VIEWS.post("/critical/<int:event_id>/waive", Perm.HANDLE)
def waive(uow: UnitOfWork, event_id: int) -> Any:
    """The rerun that the rule asks for cannot be made, and why."""
    veil.require_open(_line(uow, event_id))
    service.waive_rerun(uow, event_id, _version(), request.form.get("reason", ""))
    return _event(uow, event_id)


@VIEWS.post("/critical/<int:event_id>/dismiss", Perm.HANDLE)
def dismiss(uow: UnitOfWork, event_id: int) -> Any:
    """Not a critical value after all, and why."""
    veil.require_open(_line(uow, event_id))
    service.dismiss(uow, event_id, _version(), request.form.get("reason", ""))
    return _event(uow, event_id)


@VIEWS.post("/critical/<int:event_id>/corrected", Perm.HANDLE)
def told_corrected(uow: UnitOfWork, event_id: int) -> Any:
    """Who was told the value knows now that it does not stand."""
    veil.require_open(_line(uow, event_id))
    corrected.tell(uow, event_id, request.form.get("whom", ""))
    return _event(uow, event_id)


@VIEWS.post("/critical/<int:event_id>/glass", Perm.HANDLE)
def see(uow: UnitOfWork, event_id: int) -> Any:
    """See a sensitive item's critical value for four hours, saying why (M01 R8)."""
    _break(uow, _line(uow, event_id))
    return redirect_to(f"/critical/phone/{event_id}")


@VIEWS.post("/critical/clinic/<int:event_id>/glass", Perm.CLINIC)
def see_at_ward(uow: UnitOfWork, event_id: int) -> Any:
    """The same on the ward: who answers the pop-up must be able to read it."""
    _break(uow, _own(uow, event_id))
    return fragment("critical/clinic.html", "cards", trigger=OK, **_ward(uow))


def _break(uow: UnitOfWork, line: queries.Line) -> None:
    glass.break_glass(uow, principal(), line.event.patient_id, glass.Glass.SENSITIVE, request.form.get("reason", ""))
    uow.s.flush()


# --- the ward -------------------------------------------------------------------------------------------------------


@VIEWS.get("/critical/clinic", Perm.CLINIC)
def clinic(uow: UnitOfWork) -> Any:
    """The own wards' critical values; what nobody has answered stands in front of everything else."""
    return page("critical/clinic.html", block="cards", **_ward(uow))


@VIEWS.get("/critical/clinic/waiting", Perm.CLINIC)
def waiting(uow: UnitOfWork) -> Any:
    """For every page of the portal: the pop-up when something waits, nothing otherwise."""
    if not queries.waiting_at(uow, principal().wards):
        return Response("", 200)
    return fragment("critical/clinic.html", "popup", trigger='{"sound":"warn"}', **_ward(uow))


@VIEWS.post("/critical/clinic/<int:event_id>", Perm.CLINIC)
def reply(uow: UnitOfWork, event_id: int) -> Any:
    """The ward repeats the value; a doctor's reply is signed."""
    line, form = _own(uow, event_id), request.form
    veil.require_open(line)
    said = service.Reply(_version(), form.get("readback", ""), line.event.ward or line.event.dept, form.get("action", ""))
    problem = service.reply(uow, event_id, said, principal(), _signer())
    uow.s.flush()
    typed = {event_id: form} if problem else {}
    trigger = BAD if problem else OK
    return fragment("critical/clinic.html", "cards", trigger=trigger, **_ward(uow, {event_id: problem} if problem else {}, typed))


@VIEWS.post("/critical/clinic/<int:event_id>/ack", Perm.CLINIC)
def acknowledge(uow: UnitOfWork, event_id: int) -> Any:
    """The doctor acknowledges what a nurse received, signed."""
    _own(uow, event_id)
    if "clinician" not in principal().roles:
        raise Invalid(say("须由医生确认。"), "doctor")
    service.acknowledge(uow, event_id, _version(), principal(), _signer())
    uow.s.flush()
    return fragment("critical/clinic.html", "cards", trigger=OK, **_ward(uow))


@VIEWS.post("/critical/clinic/<int:event_id>/handle", Perm.CLINIC)
def handled(uow: UnitOfWork, event_id: int) -> Any:
    """What was done."""
    _own(uow, event_id)
    service.handle(uow, event_id, _version(), request.form.get("action", ""), principal().name)
    uow.s.flush()
    return fragment("critical/clinic.html", "cards", trigger=OK, **_ward(uow))


def _ward(uow: UnitOfWork, problems: Any = None, typed: Any = None) -> dict[str, Any]:
    who = principal()
    lines = queries.open_to(uow, who, queries.for_wards(uow, who.wards))
    if service.shown(uow, [line.event.id for line in lines if line.tellable and not line.gone]):
        uow.s.flush()
        lines = queries.open_to(uow, who, queries.for_wards(uow, who.wards))
    for line in lines:
        if request.path != "/critical/clinic/waiting":  # who sees a pop-up stands among the event's own attempts
            platform.log_read(uow, line.event.patient_id, "critical", request.path)
    return {"lines": lines, "problems": problems or {}, "typed": typed or {}, "doctor": "clinician" in who.roles}


def _own(uow: UnitOfWork, event_id: int) -> queries.Line:
    found = queries.one(uow, event_id)
    if found is None or not {found.event.ward, found.event.dept} & set(principal().wards) - {""}:
        raise NotFound("该危急值")
    return queries.open_to(uow, principal(), [found])[0]


# --- the register, the indicators -----------------------------------------------------------------------------------


@VIEWS.get("/critical/register", Perm.READ)
def register(uow: UnitOfWork) -> Any:
    """The register by day, with its filters."""
    wanted = _wanted(uow)
    found = queries.open_to(uow, principal(), queries.register(uow, wanted, request.args.get("before", type=int)))
    return page(
        "critical/register.html", lines=found, wanted=wanted, classes=rules.CLASS_WORDS, words=rules.WORDS, page_size=queries.PAGE,
        query=_query(wanted),
    )  # fmt: skip


@VIEWS.post("/critical/register/print", Perm.READ, reads=True)
def print_register(uow: UnitOfWork) -> Any:
    """The same lines on paper or in a workbook."""
    wanted = _wanted(uow)
    found = queries.open_to(uow, principal(), queries.register(uow, wanted, limit=queries.EXPORT_MOST))
    document = register_document(found, wanted, principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, document, request.form.get("kind", ""), f"/critical/register?{_query(wanted)}", identifying=True))


@VIEWS.get("/critical/stats", Perm.READ)
def stats(uow: UnitOfWork) -> Any:
    """Both indicators by both editions, by class, department and day; each number opens its list."""
    wanted = _wanted(uow, days=30)
    found = queries.stats(uow, wanted.first, wanted.last)
    return page("critical/stats.html", stats=found, wanted=wanted, words=rules.CLASS_WORDS)


@VIEWS.post("/critical/stats/print", Perm.READ, reads=True)
def print_stats(uow: UnitOfWork) -> Any:
    """The indicators on paper or in a workbook."""
    wanted = _wanted(uow, days=30)
    document = stats_document(queries.stats(uow, wanted.first, wanted.last), wanted, principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, document, request.form.get("kind", ""), f"/critical/stats?first={wanted.first}&last={wanted.last}"))


def _wanted(uow: UnitOfWork, days: int = 0) -> queries.Wanted:
    today = uow.now.astimezone(_zone()).date()
    get = request.values.get
    first, last = _day(get("first", ""), today - timedelta(days=days)), _day(get("last", ""), today)
    if first > last:
        raise Invalid(say("开始日期晚于结束日期，请核对。"), "first")
    known = {c.value for c in rules.DeptClass}
    late, told = get("late", ""), get("told", "")
    return queries.Wanted(
        first,
        last,
        get("class", "") if get("class", "") in known else "",
        late if late in ("2015", "2025") else "",
        bool(get("failed")),
        get("state", "") if get("state", "") in set(rules.State) else "",
        get("dept", "")[:100],
        get("counted") == "1",
        get("section", "")[:40],
        told if told in ("any", "2015", "2025") else "",
    )


def _query(w: queries.Wanted) -> str:
    failed = "&failed=1" if w.failed_readback else ""
    dept = f"&dept={quote(w.dept)}" if w.dept else ""
    counted = (
        ("&counted=1" if w.counted else "") + (f"&section={quote(w.section)}" if w.section else "") + (f"&told={w.told}" if w.told else "")
    )
    return f"first={w.first}&last={w.last}&class={w.dept_class}&late={w.late}&state={w.state}{failed}{dept}{counted}"


def _day(text: str, otherwise: date) -> date:
    try:
        return date.fromisoformat(text) if text else otherwise
    except ValueError as error:
        raise Invalid(say("日期请写成 2026-05-04 的样子。"), "first") from error


# --- set-up ---------------------------------------------------------------------------------------------------------


@VIEWS.get("/critical/limits", Perm.READ)
def limits(uow: UnitOfWork) -> Any:
    """Limits in force, minutes by class of unit, whom to call, and who is told once a day."""
    known = md.catalog(uow)
    rows = [(known.items[i], limit) for i, found in known.criticals.items() for limit in found if i in known.items]
    rows.sort(key=lambda r: (r[0].section_id, r[0].print_order, r[1].dept_class or ""))
    return page(
        "critical/limits.html", rows=rows, items=known.items, minutes=rules.MINUTES, classes=rules.CLASS_WORDS,
        contacts=queries.contacts(uow), quiet=queries.quiet(uow), levels=rules.LEVEL_WORDS, criticals=sorted({r[0].id for r in rows}),
    )  # fmt: skip


@VIEWS.get("/critical/robots", Perm.SETUP)
def robot_list(uow: UnitOfWork) -> Any:
    """Groups of WeChat-Work that are called for a critical value, and what was sent to them."""
    return page("critical/robots.html", robots=groups.robots(uow, robot.BOOK), notices=groups.notices(uow, robot.BOOK), state=groups.state)


@VIEWS.post("/critical/robots", Perm.SETUP)
def add_robot(uow: UnitOfWork) -> Any:
    """Register one."""
    form = request.form
    robot.add(uow, form.get("name", ""), form.get("place", ""), form.get("url", ""))
    return redirect_to("/critical/robots")


@VIEWS.post("/critical/robots/<int:robot_id>", Perm.SETUP)
def switch_robot(uow: UnitOfWork, robot_id: int) -> Any:
    """On or off, or a message to see that it is heard."""
    form = request.form
    if form.get("do") == "test":
        robot.test(uow, robot_id, principal().tenant_name)
        return fragment("critical/robots.html", "tested")
    groups.switch(uow, robot.BOOK, robot_id, form.get("version", 0, int), form.get("do") == "on")
    return redirect_to("/critical/robots")


@VIEWS.post("/critical/limits/contact", Perm.SETUP)
def save_contact(uow: UnitOfWork) -> Any:
    """Whom to call at a level."""
    form = request.form
    service.save_contact(uow, form.get("level", 0, type=int), form.get("place", ""), form.get("contact", ""), form.get("phone", ""))
    return redirect_to("/critical/limits#contacts")


@VIEWS.post("/critical/limits/contact/<int:contact_id>/remove", Perm.SETUP)
def remove_contact(uow: UnitOfWork, contact_id: int) -> Any:
    """Take a contact out."""
    service.remove_contact(uow, contact_id)
    return redirect_to("/critical/limits#contacts")


@VIEWS.post("/critical/limits/quiet", Perm.SETUP)
def save_quiet(uow: UnitOfWork) -> Any:
    """A department told once a day about an item."""
    item = request.form.get("item", 0, type=int)
    if item not in md.catalog(uow).items:
        raise Invalid(say("请选择项目。"), "item")
    service.save_quiet(uow, request.form.get("dept", ""), item, number(request.form.get("worse", "")))
    return redirect_to("/critical/limits#quiet")


@VIEWS.post("/critical/limits/quiet/<int:quiet_id>/remove", Perm.SETUP)
def remove_quiet(uow: UnitOfWork, quiet_id: int) -> Any:
    """Tell everything in full again."""
    service.remove_quiet(uow, quiet_id)
    return redirect_to("/critical/limits#quiet")


# --- shared ---------------------------------------------------------------------------------------------------------


def _version() -> int:
    return request.form.get("version", type=int) or 0


def _signer() -> signing.Signer:
    return signing.desk_of(web().settings).signer


def _zone() -> ZoneInfo:
    return ZoneInfo(web().settings.timezone)


def _called_at(uow: UnitOfWork) -> datetime:
    typed = request.form.get("at", "").strip()
    if not typed:
        return uow.now
    try:
        found = datetime.fromisoformat(typed)
    except ValueError as error:
        raise Invalid(say("接收时间请写成 2026-05-04 10:11 的样子。"), "at") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=_zone())


def _board(uow: UnitOfWork) -> dict[str, Any]:
    section = md.catalog(uow).sections_by_code.get(request.args.get("section", ""))
    untold = request.args.get("show") == "untold"
    found = queries.board(uow, section_id=None if section is None else section.id, only_untold=untold)
    return {"lines": queries.open_to(uow, principal(), found), "section": section, "untold": untold}


def _rows(uow: UnitOfWork) -> Any:
    """The board as the page asked for it: the same section, only the untold."""
    uow.s.flush()
    return fragment("critical/board.html", "rows", trigger=OK, **_board(uow))


def _event(uow: UnitOfWork, event_id: int) -> Any:
    uow.s.flush()
    return fragment("critical/phone.html", "event", trigger=OK, **_shown(uow, event_id))


def _shown(uow: UnitOfWork, event_id: int, problem: Any = None, typed: Any = None) -> dict[str, Any]:
    line = _line(uow, event_id)
    return {
        "line": line,
        "beside": None if line.shut else beside(uow, line.event),
        "problem": problem,
        "typed": typed or {},
        "channels": rules.CHANNEL_WORDS,
        "results": rules.RESULT_WORDS,
        "levels": rules.LEVEL_WORDS,
        "told_states": [s.value for s in rules.TOLD],
        "call": _to_call(uow, line),
    }


def _to_call(uow: UnitOfWork, line: queries.Line) -> list[tuple[int, str]]:
    """Whom to call now: the ward's telephone, and whoever it went up to; only those that somebody entered."""
    if not line.tellable:
        return []
    found = [(level, setup.contact_for(uow, level, line.event)) for level in range(1, max(line.event.escalation_level, 1) + 1)]
    return [(level, who) for level, who in found if who]


def _line(uow: UnitOfWork, event_id: int) -> queries.Line:
    found = queries.one(uow, event_id)
    if found is None or not places.covers(uow, found.event.section_id):
        raise NotFound("该危急值")
    platform.log_read(uow, found.event.patient_id, "critical", request.path)
    return queries.open_to(uow, principal(), [found])[0]
