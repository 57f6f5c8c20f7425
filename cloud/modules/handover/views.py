"""Pages of the shift's start and end: what is open with the note beside it, what was handed over, the day log."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.handover import printing, queries, rules, service
from cloud.modules.handover.rules import Perm
from cloud.modules.platform import lists, signing
from cloud.web.faults import Invalid, NotFound
from cloud.web.page import fragment, is_fragment, page, redirect_to
from cloud.web.view import Views, principal, web
from common.say import say

VIEWS = Views("handover", __name__)
OK = '{"sound":"ok"}'


def _mine(uow: UnitOfWork) -> list[md.SectionRow]:
    return md.own_sections(uow, principal().sections)


def _section(uow: UnitOfWork, code: str) -> md.SectionRow:
    return md.own_section(uow, principal().sections, code)


@VIEWS.get("/bench/handover", Perm.READ)
def start(uow: UnitOfWork) -> Any:
    """Go to the first own section."""
    mine = _mine(uow)
    return redirect_to(f"/bench/handover/{mine[0].code}") if mine else page("bench/none.html")


@VIEWS.get("/bench/handover/<code>", Perm.READ)
def board(uow: UnitOfWork, code: str) -> Any:
    """What is open now, and the note: pre-filled from it, being written, or waiting for the next shift."""
    return page("handover/board.html", block="sheet", sections=_mine(uow), **_sheet(uow, _section(uow, code)))


def _sheet(uow: UnitOfWork, section: md.SectionRow) -> dict[str, Any]:
    figures, note = queries.figures(uow, section), queries.open_note(uow, section.id)
    duty = queries.on_duty(uow, section.id)
    written_from = rules.figures_from((note.given_figures or note.figures) if note is not None else ())
    return {
        "section": section,
        "figures": figures,
        "duty": duty,
        "note": note,
        "draft": rules.draft(figures, [d.name for d in duty]),
        "changed": rules.changed(written_from, figures),
        "given": written_from,
        "past": queries.past(uow, section.id)[:8],
        "rules": rules,
        "now": uow.now,
    }


@VIEWS.post("/bench/handover/<code>/write", Perm.WRITE)
def write(uow: UnitOfWork, code: str) -> Any:
    """Keep what is typed: after each pause, and with the button."""
    section, version = _section(uow, code), request.form.get("version", type=int) or 0
    first = queries.figures(uow, section) if version == 0 else None
    note = service.write(uow, section.id, version, request.form.get("text", ""), first)
    if not is_fragment():
        return redirect_to(f"/bench/handover/{section.code}")
    return fragment("handover/board.html", "kept", note=note, section=section)


@VIEWS.post("/bench/handover/<code>/again", Perm.WRITE)
def again(uow: UnitOfWork, code: str) -> Any:
    """Write the note anew from what is open now; what was typed before stands in the audit."""
    section = _section(uow, code)
    figures, duty = queries.figures(uow, section), queries.on_duty(uow, section.id)
    words = rules.draft(figures, [d.name for d in duty])
    service.write(uow, section.id, request.form.get("version", type=int) or 0, words, figures)
    return _answer(uow, section)


@VIEWS.post("/bench/handover/<code>/give", Perm.WRITE)
def give(uow: UnitOfWork, code: str) -> Any:
    """Save what stands in the box and sign it away."""
    section, version = _section(uow, code), request.form.get("version", type=int) or 0
    figures = queries.figures(uow, section)
    note = service.write(uow, section.id, version, request.form.get("text", ""), figures if version == 0 else None)
    service.give(uow, section.id, note.version, figures, principal(), signing.desk_of(web().settings))
    return _answer(uow, section)


@VIEWS.post("/bench/handover/<code>/back", Perm.WRITE)
def back(uow: UnitOfWork, code: str) -> Any:
    """The giver takes the note back before it is signed for."""
    section = _section(uow, code)
    service.take_back(uow, section.id, request.form.get("version", type=int) or 0, request.form.get("reason", ""))
    return _answer(uow, section)


@VIEWS.post("/bench/handover/<code>/receive", Perm.WRITE)
def receive(uow: UnitOfWork, code: str) -> Any:
    """The next shift signs for it."""
    section, form = _section(uow, code), request.form
    desk = signing.desk_of(web().settings)
    service.receive(uow, section.id, form.get("version", type=int) or 0, form.get("remark", ""), principal(), desk)
    return _answer(uow, section)


def _answer(uow: UnitOfWork, section: md.SectionRow) -> Any:
    uow.s.flush()
    if not is_fragment():
        return redirect_to(f"/bench/handover/{section.code}")
    return fragment("handover/board.html", "sheet", trigger=OK, **_sheet(uow, section))


@VIEWS.get("/bench/handover/<code>/past", Perm.READ)
def past(uow: UnitOfWork, code: str) -> Any:
    """What was handed over."""
    section = _section(uow, code)
    notes = queries.past(uow, section.id, request.args.get("before", type=int))
    return page("handover/past.html", section=section, sections=_mine(uow), notes=notes, full=len(notes) == queries.PAGE)


@VIEWS.get("/bench/handover/<code>/<int:note_id>", Perm.READ)
def one(uow: UnitOfWork, code: str, note_id: int) -> Any:
    """One note as it was signed, and whether both signatures still hold."""
    section = _section(uow, code)
    note = queries.one(uow, section.id, note_id)
    if note is None:
        raise NotFound("该交班记录")
    holds = bool(note.content_sha256) and signing.content_hash(service.content(note)) == note.content_sha256
    holds = holds and signing.signed(uow, "handover", note.id, note.content_sha256)
    return page("handover/one.html", section=section, note=note, figures=rules.figures_from(note.given_figures), holds=holds, rules=rules)


@VIEWS.post("/bench/handover/<code>/<int:note_id>/print", Perm.READ, reads=True)
def print_note(uow: UnitOfWork, code: str, note_id: int) -> Any:
    """The note on paper."""
    section, who = _section(uow, code), principal()
    note = queries.one(uow, section.id, note_id)
    if note is None:
        raise NotFound("该交班记录")
    document = printing.note_document(note, section.name, who.tenant_name, who.name, uow.now)
    return redirect_to(lists.ask(uow, document, request.form.get("kind", "pdf"), f"/bench/handover/{section.code}/{note.id}"))


# --- the day log ----------------------------------------------------------------------------------------------------


@VIEWS.get("/bench/daylog", Perm.READ)
def daylog_start(uow: UnitOfWork) -> Any:
    """Go to the first own section."""
    mine = _mine(uow)
    return redirect_to(f"/bench/daylog/{mine[0].code}") if mine else page("bench/none.html")


@VIEWS.get("/bench/daylog/<code>", Perm.READ)
def daylog(uow: UnitOfWork, code: str) -> Any:
    """A section's day: figures, entries, hand-overs."""
    section, day = _section(uow, code), _day(uow)
    context: dict[str, Any] = {"section": section, "sections": _mine(uow), "day": day, "rules": rules}
    return page(
        "handover/daylog.html",
        entries=queries.entries(uow, section.id, day),
        sums=queries.day(uow, section.id, day),
        handed=queries.handed(uow, section.id, day),
        today=uow.now.astimezone(md.HOSPITAL_ZONE).date(),
        before=day - timedelta(days=1),
        after=day + timedelta(days=1),
        **context,
    )


def _day(uow: UnitOfWork) -> date:
    given = request.values.get("day", "")
    if not given:
        return uow.now.astimezone(md.HOSPITAL_ZONE).date()
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise Invalid(say("日期请写成 2026-05-04 的样子。"), "day") from error


@VIEWS.post("/bench/daylog/<code>", Perm.WRITE)
def note_down(uow: UnitOfWork, code: str) -> Any:
    """An entry of today."""
    section = _section(uow, code)
    service.note_down(uow, section.id, request.form.get("kind", ""), request.form.get("words", ""))
    return redirect_to(f"/bench/daylog/{section.code}")


@VIEWS.post("/bench/daylog/<code>/<int:entry_id>/withdraw", Perm.WRITE)
def withdraw(uow: UnitOfWork, code: str, entry_id: int) -> Any:
    """Take an own entry back."""
    section = _section(uow, code)
    service.withdraw(uow, section.id, entry_id, request.form.get("reason", ""))
    return redirect_to(f"/bench/daylog/{section.code}?day={_day(uow)}")


@VIEWS.post("/bench/daylog/<code>/print", Perm.READ, reads=True)
def print_day(uow: UnitOfWork, code: str) -> Any:
    """The day on paper, or as a workbook."""
    section, day, who = _section(uow, code), _day(uow), principal()
    found = queries.entries(uow, section.id, day)
    document = printing.day_document(found, _line(uow, section, day), day, section.name, who.tenant_name, who.name, uow.now)
    return redirect_to(lists.ask(uow, document, request.form.get("kind", ""), f"/bench/daylog/{section.code}?day={day}"))


def _line(uow: UnitOfWork, section: md.SectionRow, day: date) -> str:
    d = queries.day(uow, section.id, day)
    return (
        f"接收 {d.tubes} 管，发布 {d.released} 份（自动 {d.auto}），修改 {d.amended}，复查与加做 {d.reruns} 项，危急值 {d.criticals} 项，"
        f"质控 {d.qc_runs} 次（失控 {d.qc_rejected}），仪器故障 {d.faults} 次"
    )
