"""The bench's screen: a section's list beside one tube, live by small fragments."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlencode

from flask import Response, request

from cloud.db.session import UnitOfWork
from cloud.modules.bench import figures, listing, pictures, queries, service, trace
from cloud.modules.bench.confirming import send_to_confirm
from cloud.modules.bench.followup import Which
from cloud.modules.bench.listing import Show
from cloud.modules.bench.messages import choices_of, entries_of
from cloud.modules.bench.rules import Perm
from cloud.modules.catalog import queries as md
from cloud.modules.platform import glass, lists
from cloud.modules.platform import service as platform
from cloud.web.faults import Invalid, NotFound
from cloud.web.page import fragment, is_fragment, page, redirect_to
from cloud.web.view import Views, principal
from common import ids
from common.errors import UserError
from common.say import say
from common.values import number

VIEWS = Views("bench", __name__)
OK = '{"sound":"ok"}'
WARN = '{"sound":"warn"}'


def section_of(uow: UnitOfWork, code: str) -> md.SectionRow:
    """The section of the address, if this person works there; a foreign one is absent."""
    return md.own_section(uow, principal().sections, code)


def at_own(uow: UnitOfWork, what: Literal["test", "specimen", "follow_up", "confirmation"], row_id: int) -> None:
    """Refuse to write where this person does not work: the address names a section, the row it names must be of an own one too."""
    if not queries.in_sections(uow, principal().sections, what, row_id):
        raise NotFound("该标本")


def sections(uow: UnitOfWork) -> list[md.SectionRow]:
    """The sections this person works in."""
    return md.own_sections(uow, principal().sections)


def shown() -> Show:
    """The filter asked for; anything unknown is the work to do."""
    asked = request.args.get("show", "")
    return Show(asked) if asked in tuple(Show) else Show.READY


@VIEWS.get("/bench", Perm.READ)
def start(uow: UnitOfWork) -> Any:
    """Go to the first own section."""
    mine = sections(uow)
    return redirect_to(f"/bench/{mine[0].code}") if mine else page("bench/none.html")


@VIEWS.get("/bench/<code>", Perm.READ)
def worklist(uow: UnitOfWork, code: str) -> Any:
    """A section's open tubes, and the chosen one beside them."""
    section, show = section_of(uow, code), shown()
    lines = _seen(uow, listing.page(uow, section.id, show, request.args.get("after", "")))
    more = lines[-1].key if len(lines) == listing.PAGE else ""
    context: dict[str, Any] = {"section": section, "show": show, "lines": lines, "more": more, "now": uow.now}
    if is_fragment() and request.args.get("after"):
        return fragment("bench/section.html", "lines", **context)
    chosen = request.args.get("tube", type=int) or (lines[0].specimen_id if lines else None)
    at = None if chosen is None else queries.section_of_tube(uow, chosen)
    if at is not None and at != section.id:
        other = next((s for s in sections(uow) if s.id == at), None)
        if other is None:
            raise NotFound("该标本")
        return redirect_to(f"/bench/{other.code}?tube={chosen}")
    detail = None if chosen is None else _detail(uow, chosen)
    extra: dict[str, Any] = {"sections": sections(uow), "counts": listing.counts(uow, section.id), "chosen": chosen, "detail": detail}
    return page("bench/section.html", block="list", **context, **extra)


def _seen(uow: UnitOfWork, found: list[listing.Line]) -> list[listing.Line]:
    """The lines as this person may see them."""
    shut = queries.shut_tubes(uow, principal(), [line.specimen_id for line in found])
    return [replace(line, shut=True) if line.specimen_id in shut else line for line in found] if shut else found


@VIEWS.get("/bench/<code>/qc", Perm.READ)
def machines(uow: UnitOfWork, code: str) -> Any:
    """The quality control of the section's analyzers, asked for by the bench each half minute."""
    section = section_of(uow, code)
    return fragment("bench/section.html", "machines", section=section, machines=queries.machines(uow, section.id))


@VIEWS.get("/bench/<code>/lines", Perm.READ)
def lines(uow: UnitOfWork, code: str) -> Any:
    """The lines of the tubes that changed (``ids``), and the filters' counts; what left the list is not among them."""
    section, show = section_of(uow, code), shown()
    asked = [int(i) for i in request.args.get("ids", "").split(",")[: listing.ASKED_MOST] if i.isdecimal()]
    found = _seen(uow, listing.lines(uow, section.id, show, asked))
    counts = listing.counts(uow, section.id)
    return fragment("bench/section.html", "changed", section=section, show=show, lines=found, counts=counts, more="", now=uow.now)


@VIEWS.get("/bench/<code>/tube/<int:specimen_id>", Perm.READ)
def tube(uow: UnitOfWork, code: str, specimen_id: int) -> Any:
    """One tube; a plain reload of this address shows the whole screen."""
    section = section_of(uow, code)
    if not is_fragment():
        return redirect_to(f"/bench/{section.code}?tube={specimen_id}")
    detail = _detail(uow, specimen_id)
    if detail is None or detail.tube.section_id != section.id:
        raise NotFound("该标本")
    return fragment("bench/section.html", "tube", section=section, detail=detail, now=uow.now)


@VIEWS.get("/bench/<code>/tube/<int:specimen_id>/trace", Perm.READ)
def traced(uow: UnitOfWork, code: str, specimen_id: int) -> Any:
    """Where each value of a tube comes from: analyzer or person, lot, calibration, quality control, method, interval (R1)."""
    section, detail = section_of(uow, code), _detail(uow, specimen_id)
    if detail is None or detail.tube.section_id != section.id:
        raise NotFound("该标本")
    return page("bench/trace.html", "trace", section=section, detail=detail, lines=trace.of(uow, detail))


@VIEWS.get("/bench/lot/<int:lot_id>", Perm.READ)
def lot(uow: UnitOfWork, lot_id: int) -> Any:
    """The results a reagent lot measured, as a recall needs them (own sections)."""
    rows, mine = trace.of_lot(uow, lot_id, request.args.get("before", type=int) or 0), {s.code for s in sections(uow)}
    return page("bench/lot.html", lot_id=lot_id, rows=[r for r in rows if r.section in mine], more=rows[-1].id if len(rows) == 200 else 0)


@VIEWS.get("/bench/picture/<int:picture_id>", Perm.READ)
def picture(uow: UnitOfWork, picture_id: int) -> Any:
    """A graph or image of a run, as the analyzer sent it (points as a drawing)."""
    found = pictures.content(uow, picture_id)
    section = None if found is None else queries.section_of_tube(uow, found[0])
    if found is None or section not in {s.id for s in sections(uow)} or queries.shut_tubes(uow, principal(), [found[0]]):
        raise NotFound("这幅图")
    return Response(found[2], mimetype=found[1], headers={"X-Content-Type-Options": "nosniff"})


def _scanned(uow: UnitOfWork, code: str, among: list[md.SectionRow]) -> tuple[int, md.SectionRow]:
    """The tube of a scanned code and its section, one of these; else in words where it belongs."""
    found, typed = queries.find(uow, ids.recognise(code).code), code.strip()
    if found is None:
        raise UserError("not_found", say("检验工作台没有条码 {code} 的标本，请确认标本已核收。", code=typed))
    own = next((s for s in among if s.id == found[1]), None)
    if own is None:
        other = md.catalog(uow).sections[found[1]]
        raise Invalid(say("条码 {code} 属于{name}，请到该组工作台处理。", code=typed, name=other.name), "code")
    return found[0], own


@VIEWS.post("/bench/<code>/find", Perm.READ, reads=True)
def find(uow: UnitOfWork, code: str) -> Any:
    """A scanned tube opens beside the list, wherever it stands in it."""
    section = section_of(uow, code)
    specimen_id, _ = _scanned(uow, request.form.get("code", ""), [section])
    if not is_fragment():  # sent by the browser itself, before the page's scripts are there
        return redirect_to(f"/bench/{section.code}?tube={specimen_id}")
    detail = _detail(uow, specimen_id)
    return fragment("bench/section.html", "tube", trigger=OK, section=section, detail=detail, now=uow.now)


@VIEWS.post("/bench/test/<int:test_id>/enter", Perm.ENTER)
def enter(uow: UnitOfWork, test_id: int) -> Any:
    """Save a typed value. Where one more answer is needed (reason, second typing, sure?) the line comes back asking for it."""
    at_own(uow, "test", test_id)
    form = request.form
    version = form.get("version", type=int) or 0
    entry = service.Entry(test_id, version, form.get("value", ""), form.get("again", ""), form.get("sure") == "1", form.get("reason", ""))
    try:
        changed = service.enter_result(uow, entry)
    except UserError as asked:
        if asked.code != "invalid" or not asked.fields.get("field"):
            raise
        return _line(uow, test_id, WARN, ask=asked, typed=form)
    told: dict[str, Any] = {"benchSaved": test_id} | ({"sound": "ok"} if changed else {})
    return _line(uow, test_id, json.dumps(told))


@VIEWS.post("/bench/<code>/tube/<int:specimen_id>/values", Perm.ENTER)
def enter_values(uow: UnitOfWork, code: str, specimen_id: int) -> Any:
    """Save what was typed so far for a tube in one go."""
    at_own(uow, "specimen", specimen_id)
    section_of(uow, code)
    entered = service.enter_tube(uow, specimen_id, entries_of(request.form))
    entered.keep()
    lines = queries.entered(uow, specimen_id, entered.written, entered.asked, request.form)
    return fragment("bench/section.html", "entered", trigger=WARN if entered.asked else OK, **lines)


@VIEWS.get("/bench/diff", Perm.ENTER)
def slide(uow: UnitOfWork) -> Any:
    """At the microscope: a scanned slide or tube opens its count; without a code, the field to scan into."""
    if not request.args.get("code", "").strip():
        return page("bench/diff.html", detail=None)
    specimen_id, section = _scanned(uow, request.args["code"], sections(uow))
    return redirect_to(f"/bench/{section.code}/tube/{specimen_id}/diff")


@VIEWS.get("/bench/<code>/tube/<int:specimen_id>/diff", Perm.ENTER)
def differential(uow: UnitOfWork, code: str, specimen_id: int) -> Any:
    """Count a slide by hand: 100 or 200 white cells."""
    section, detail = section_of(uow, code), _detail(uow, specimen_id)
    if detail is None or detail.tube.section_id != section.id:
        raise NotFound("该标本")
    return page("bench/diff.html", "count", section=section, detail=detail, tests=queries.differential(detail), now=uow.now)


@VIEWS.post("/bench/<code>/tube/<int:specimen_id>/diff", Perm.ENTER)
def enter_differential(uow: UnitOfWork, code: str, specimen_id: int) -> Any:
    """Save the count; the tube comes back with its percentages."""
    at_own(uow, "specimen", specimen_id)
    section, form = section_of(uow, code), request.form
    asked = {int(k[2:]): form[k].strip() for k in form if k.startswith("c-") and k[2:].isdecimal()}
    wrong = [v for v in asked.values() if v and not (v.isascii() and v.isdecimal() and len(v) < 4)]
    nrbc = form.get("nrbc", "").strip()
    if wrong or (nrbc and not (nrbc.isascii() and nrbc.isdecimal() and len(nrbc) < 4)):
        raise Invalid(say("计数应为整数，收到“{text}”，请改正。", text=(wrong or [nrbc])[0]), "count")
    counts = {i: (int(v or 0), form.get(f"n-{i}", type=int) or 0) for i, v in asked.items()}
    service.enter_differential(uow, specimen_id, counts, int(nrbc) if nrbc else None)
    if not is_fragment():
        return redirect_to(f"/bench/{section.code}?tube={specimen_id}")
    return fragment("bench/section.html", "tube", trigger=OK, section=section, detail=_detail(uow, specimen_id), now=uow.now)


@VIEWS.post("/bench/<code>/tube/<int:specimen_id>/rerun", Perm.ENTER)
def rerun(uow: UnitOfWork, code: str, specimen_id: int) -> Any:
    """Ask for a rerun of the chosen tests (none chosen: of all), maybe diluted."""
    at_own(uow, "specimen", specimen_id)
    section, form = section_of(uow, code), request.form
    tests = form.getlist("test", type=int)
    dilution = number_of(form.get("dilution", "") or "1", "稀释倍数", "dilution")
    service.request_rerun(uow, specimen_id, form.get("revision", type=int), tests, form.get("reason", ""), dilution)
    return fragment("bench/section.html", "tube", trigger=OK, section=section, detail=_detail(uow, specimen_id), now=uow.now)


@VIEWS.post("/bench/<code>/follow/<int:follow_id>", Perm.ENTER)
def settle(uow: UnitOfWork, code: str, follow_id: int) -> Any:
    """Take a proposed item on (``do`` = add), or say why it is not done (or not measured again)."""
    at_own(uow, "follow_up", follow_id)
    section, form = section_of(uow, code), request.form
    if form.get("do") == "add":
        specimen_id = service.add_reflex(uow, follow_id, form.get("agreed", ""))
    elif form.get("do") == "confirm":
        at_own(uow, "test", form.get("test", 0, int))
        version = form.get("version", 0, int)
        specimen_id = send_to_confirm(uow, form.get("test", 0, int), version, form.get("reason", ""), principal().may(Perm.DECIDE))
    else:
        specimen_id = service.withdraw(uow, follow_id, form.get("reason", ""), principal().may(Perm.DECIDE))
    return fragment("bench/section.html", "tube", trigger=OK, section=section, detail=_detail(uow, specimen_id), now=uow.now)


@VIEWS.get("/bench/rerun", Perm.READ)
def reruns(uow: UnitOfWork) -> Any:
    """Reruns, dilutions and added items of a section: what is still out, and the log with both values side by side."""
    mine = sections(uow)
    if not mine:
        return page("bench/none.html")
    section = section_of(uow, request.args.get("section") or mine[0].code)
    everything, which, kept = _log_asked()
    rows = queries.reruns(uow, section.id, before=request.args.get("before", type=int) or 0, which=which)
    shut = queries.shut_items(uow, principal(), rows)
    context: dict[str, Any] = {"rows": rows, "shut": shut, "everything": everything, "full": len(rows) >= 100, "kept": kept}
    return page("bench/rerun.html", section=section, sections=mine, **context)


@VIEWS.post("/bench/rerun/export", Perm.READ, reads=True)
def reruns_export(uow: UnitOfWork) -> Any:
    """The list as it is filtered, on paper or in a workbook; what is shut to the person is left out."""
    section = section_of(uow, request.args.get("section", ""))
    everything, which, kept = _log_asked()
    rows = queries.reruns(uow, section.id, which=which, limit=figures.EXPORT_MOST)
    shut = queries.shut_items(uow, principal(), rows)
    made = figures.log_list([r for r in rows if r.row.id not in shut], section, principal().tenant_name, principal().name, uow.now)
    back = f"/bench/rerun?section={section.code}{'&show=all' if everything else ''}{f'&{kept}' if kept else ''}"
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), back, identifying=True))


def _log_asked() -> tuple[bool, Which, str]:
    """Whether the whole log is asked for, which part of it, and the same as the address says it."""
    get, everything = request.args.get, request.args.get("show") == "all"
    only, days = get("only", "") if everything else "open", (get("from", ""), get("to", ""))
    which = queries.part_of_log(only, get("item", 0, type=int), get("kind", ""), *days)
    return everything, which, urlencode({name: get(name) for name in ("only", "item", "kind", "from", "to") if get(name)})


@VIEWS.post("/bench/test/<int:test_id>/none", Perm.ENTER)
def none(uow: UnitOfWork, test_id: int) -> Any:
    """No result, and why."""
    at_own(uow, "test", test_id)
    service.set_no_result(uow, test_id, request.form.get("version", type=int) or 0, request.form.get("reason", ""))
    return _line(uow, test_id, OK)


@VIEWS.post("/bench/<code>/tube/<int:specimen_id>/none", Perm.ENTER)
def none_of(uow: UnitOfWork, code: str, specimen_id: int) -> Any:
    """No result of several tests, and the one reason for all."""
    at_own(uow, "specimen", specimen_id)
    section, form = section_of(uow, code), request.form
    shown = {int(k[2:]): form.get(k, 0, int) for k in form if k.startswith("n-") and k[2:].isascii() and k[2:].isdecimal() and len(k) < 20}
    service.set_no_results(uow, specimen_id, shown, form.get("reason", ""))
    return fragment("bench/section.html", "tube", trigger=OK, section=section, detail=_detail(uow, specimen_id), now=uow.now)


@VIEWS.post("/bench/test/<int:test_id>/choose", Perm.ENTER)
def choose(uow: UnitOfWork, test_id: int) -> Any:
    """Choose one of two differing values."""
    at_own(uow, "test", test_id)
    form = request.form
    chosen = form.get("chosen", type=int) or 0
    may_decide = principal().may(Perm.DECIDE)
    if form.get("do") == "confirm":
        send_to_confirm(uow, test_id, form.get("version", 0, int), form.get("reason", ""), may_decide)
        return _line(uow, test_id, OK)
    service.choose_version(uow, test_id, form.get("version", type=int) or 0, chosen, form.get("reason", ""), may_decide)
    return _line(uow, test_id, OK)


@VIEWS.get("/bench/<code>/tube/<int:specimen_id>/rivals", Perm.ENTER)
def rivals(uow: UnitOfWork, code: str, specimen_id: int) -> Any:
    """All tests of a tube that have two values, side by side, each to be chosen; one save for all."""
    section, detail = section_of(uow, code), _detail(uow, specimen_id)
    if detail is None or detail.tube.section_id != section.id:
        raise NotFound("该标本")
    return page("bench/rivals.html", "rivals", section=section, detail=detail, pairs=queries.rivals(uow, detail), now=uow.now)


@VIEWS.post("/bench/<code>/tube/<int:specimen_id>/choose", Perm.ENTER)
def choose_all(uow: UnitOfWork, code: str, specimen_id: int) -> Any:
    """Save what was chosen of a tube's rivals; those left open stay open."""
    at_own(uow, "specimen", specimen_id)
    section, form = section_of(uow, code), request.form
    service.choose_versions(uow, specimen_id, choices_of(form), form.get("reason", ""), principal().may(Perm.DECIDE))
    return fragment("bench/section.html", "tube", trigger=OK, section=section, detail=_detail(uow, specimen_id), now=uow.now)


@VIEWS.post("/bench/test/<int:test_id>/dismiss", Perm.ENTER)
def dismiss(uow: UnitOfWork, test_id: int) -> Any:
    """A value after the report changes nothing, and why."""
    at_own(uow, "test", test_id)
    service.dismiss_late(uow, test_id, request.form.get("version", type=int) or 0, request.form.get("reason", ""))
    return _line(uow, test_id, OK)


@VIEWS.post("/bench/<code>/tube/<int:specimen_id>/accept", Perm.ENTER)
def accept(uow: UnitOfWork, code: str, specimen_id: int) -> Any:
    """Accept the tube's held values that have no rival."""
    at_own(uow, "specimen", specimen_id)
    section = section_of(uow, code)
    n = service.accept_holds(uow, specimen_id, request.form.get("revision", type=int) or 0)
    detail = _detail(uow, specimen_id)
    return fragment("bench/section.html", "tube", trigger=OK if n else WARN, section=section, detail=detail, now=uow.now)


def number_of(text: str, name: str, field: str) -> Decimal:
    """A typed number. Raises Invalid naming it."""
    found = number(text)
    if found is None:
        raise Invalid(say("{name}应为数字，收到“{text}”，请改正。", name=name, text=text), field)
    return found


def _line(uow: UnitOfWork, test_id: int, trigger: str, **context: Any) -> Any:
    specimen_id = queries.specimen_of_test(uow, test_id)
    detail = None if specimen_id is None else queries.tube(uow, specimen_id)
    detail = None if detail is None else queries.open_to(uow, principal(), detail)
    test = None if detail is None else next((t for t in detail.tests if t.id == test_id), None)
    if detail is None or test is None:
        raise NotFound("该检验项目")
    section = md.catalog(uow).sections[detail.tube.section_id]
    return fragment("bench/section.html", "saved", trigger=trigger, test=test, section=section, detail=detail, now=uow.now, **context)


def _detail(uow: UnitOfWork, specimen_id: int) -> queries.Detail | None:
    found = queries.tube(uow, specimen_id)
    if found is not None:
        platform.log_read(uow, found.tube.patient_id, "bench", request.path)
    return None if found is None else queries.open_to(uow, principal(), found)


@VIEWS.post("/bench/glass/<int:specimen_id>", Perm.READ)
def see_sensitive(uow: UnitOfWork, specimen_id: int) -> Any:
    """See a tube's sensitive items for four hours, saying why (M01 R8)."""
    found = queries.tube(uow, specimen_id)
    if found is None:
        raise NotFound("该标本")
    glass.break_glass(uow, principal(), found.tube.patient_id, glass.Glass.SENSITIVE, request.form.get("reason", ""))
    back = request.form.get("next", "")
    return redirect_to(
        back if back.startswith(("/bench/", "/review/")) else f"/bench/{md.catalog(uow).sections[found.tube.section_id].code}"
    )
