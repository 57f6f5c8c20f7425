"""Pages of reports: the review queue of a section, one report with its versions, PDF, amendment, recall, verification."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.bench.messages import entries_of
from cloud.modules.catalog import queries as md
from cloud.modules.critical import queries as critical
from cloud.modules.personnel import queries as personnel
from cloud.modules.platform import glass, lists, signing
from cloud.modules.platform import service as platform
from cloud.modules.quality import queries as quality
from cloud.modules.reports import acknowledge, figures, infectious, queries, rules, service
from cloud.modules.reports.models import Report
from cloud.modules.reports.rules import Perm
from cloud.modules.reports.watch import UNREAD
from cloud.web import span
from cloud.web.faults import Forbidden, Invalid, NotFound
from cloud.web.page import fragment, is_fragment, page, redirect_to
from cloud.web.view import Access, Views, principal, web
from common import ids
from common.errors import UserError
from common.say import say

VIEWS = Views("reports", __name__)


def desk() -> service.Desk:
    """This deployment's signing key and address."""
    return signing.desk_of(web().settings)


def _section(uow: UnitOfWork, code: str) -> md.SectionRow:
    return md.own_section(uow, principal().sections, code)


def _at_own(uow: UnitOfWork, report_id: int) -> int:
    """The report's id, where this person works in its section; a foreign one is absent: a right given elsewhere changes nothing here."""
    row = uow.s.get(Report, (uow.tenant_id, report_id))
    if row is None or not rules.may_work_in(principal().sections, md.catalog(uow).sections[row.section_id].code):
        raise NotFound("该报告")
    return report_id


def _mine(uow: UnitOfWork) -> list[md.SectionRow]:
    return md.own_sections(uow, principal().sections)


# --- review and release ---------------------------------------------------------------------------------------------


@VIEWS.post("/bench/<code>/tube/<int:specimen_id>/review", Perm.TEST)
def review(uow: UnitOfWork, code: str, specimen_id: int) -> Any:
    """初审 from the bench: what was typed for the tube is saved with it, in one go; the screen goes on to the next tube.

    Where a value needs an answer first, or another is still missing, what can be saved is saved and the page says what is missing.
    """
    _section(uow, code)
    entries = entries_of(request.form)
    # The right to type is asked for the address's section: what is typed must be for a tube of it.
    own = frozenset({code}) if entries else principal().sections
    if not bench_queries.in_sections(uow, own, "specimen", specimen_id):
        raise NotFound("该标本")
    if entries and not principal().may("results:enter", code):
        raise Forbidden("results:enter")
    _must_see_all(uow, [specimen_id])
    entered = bench.enter_tube(uow, specimen_id, entries, request.form.get("revision", type=int))
    problem, because = entered.review_problem, request.form.get("because", "")
    wrong = entered.contradictions if problem is None and not because.strip() else []
    if entered.asked or wrong or (entered.written and problem is not None):
        entered.keep()
        lines = bench_queries.entered(uow, specimen_id, entered.written, entered.asked, request.form)
        return fragment("bench/section.html", "entered", trigger='{"sound":"warn"}', problem=problem, wrong=wrong, **lines)
    service.review(uow, specimen_id, None, principal(), entered.work, because)
    return Response("", 204, {"HX-Trigger": f'{{"sound":"ok","benchNext":{specimen_id}}}'})


@VIEWS.post("/bench/<code>/tube/<int:specimen_id>/part", Perm.TEST)
def review_part(uow: UnitOfWork, code: str, specimen_id: int) -> Any:
    """初审 of what is there, for a preliminary report; the screen goes on to the next tube."""
    if not bench_queries.in_sections(uow, principal().sections, "specimen", specimen_id):
        raise NotFound("该标本")
    _section(uow, code)
    _must_see_all(uow, [specimen_id])
    service.review_part(uow, specimen_id, request.form.get("revision", type=int), principal())
    return Response("", 204, {"HX-Trigger": f'{{"sound":"ok","benchNext":{specimen_id}}}'})


@VIEWS.get("/review", Perm.READ)
def start(uow: UnitOfWork) -> Any:
    """Go to the first own section."""
    mine = _mine(uow)
    return redirect_to(f"/review/{mine[0].code}") if mine else page("bench/none.html")


@VIEWS.get("/review/<code>", Perm.READ)
def queue(uow: UnitOfWork, code: str) -> Any:
    """A section's reviewed reports, urgent first; clean ones are ticked."""
    section = _section(uow, code)
    waiting = _queue(uow, section)
    if is_fragment():
        return _rows(uow, section, waiting, {})
    chosen = request.args.get("report", type=int) or (waiting[0].id if waiting else None)
    return _whole(uow, section, waiting, next((w for w in waiting if w.id == chosen), None))


def _whole(uow: UnitOfWork, section: md.SectionRow, waiting: list[queries.Waiting], shown: queries.Waiting | None) -> Any:
    """The queue with one of its reports beside it."""
    detail = _detail(uow, shown.specimen_id) if shown is not None else None
    context: dict[str, Any] = {"section": section, "sections": _mine(uow), "waiting": waiting, "now": uow.now, "one": shown}
    context |= {"chosen": None if shown is None else shown.id, "more": _more(uow, section, waiting), "detail": detail}
    context |= {"may_verify": _may_verify(uow, section.id, detail), "cochecks": queries.cochecks(uow, section.id)}
    authorised = personnel.any_in(uow, principal().user_id, personnel.Function.VERIFY, section.id)
    return page("reports/queue.html", authorised=authorised, **context, **_beside(uow, detail, section.id))


@VIEWS.post("/review/<code>/find", Perm.READ, reads=True)
def find(uow: UnitOfWork, code: str) -> Any:
    """A scanned tube's report opens beside the queue, wherever it stands in it."""
    section = _section(uow, code)
    scan = ids.recognise(request.form.get("code", ""))
    tube = bench_queries.find(uow, scan.code)
    found = None if tube is None else queries.waiting(uow, section.id, tube[0], principal().user_id)
    if tube is None or found is None:
        raise NotFound(say("条码 {code} 的待审报告", code=scan.code))
    if not is_fragment():  # sent by the browser itself, before the page's scripts are there
        return _whole(uow, section, _queue(uow, section), queries.veiled(uow, principal(), [found])[0])
    return _opened(uow, section, found, '{"sound":"ok"}')


@VIEWS.get("/review/<code>/<int:report_id>", Perm.READ)
def one(uow: UnitOfWork, code: str, report_id: int) -> Any:
    """One report of the queue, beside it."""
    section = _section(uow, code)
    if not is_fragment():
        return redirect_to(f"/review/{section.code}?report={report_id}")
    found = next((w for w in _queue(uow, section) if w.id == report_id), None)
    if found is None:
        raise NotFound("该待审报告")
    return _opened(uow, section, found)


def _opened(uow: UnitOfWork, section: md.SectionRow, found: queries.Waiting, trigger: str | None = None) -> Any:
    detail = _detail(uow, found.specimen_id)
    context: dict[str, Any] = {"section": section, "one": found, "detail": detail, "may_verify": _may_verify(uow, section.id, detail)}
    return fragment("reports/queue.html", "report", trigger=trigger, **context, **_beside(uow, detail, section.id))


def _rows(uow: UnitOfWork, section: md.SectionRow, waiting: list[queries.Waiting], told: dict[str, Any]) -> Any:
    """The lines anew; what else the page says of them (how many are not listed, how many went) goes along as events."""
    trigger = json.dumps({**told, "unlisted": _more(uow, section, waiting)})
    return fragment("reports/queue.html", "rows", trigger=trigger, section=section, waiting=waiting, now=uow.now)


def _more(uow: UnitOfWork, section: md.SectionRow, waiting: list[queries.Waiting]) -> int:
    """How many wait that are not listed."""
    return queries.count_waiting(uow, [section.id]).get(section.id, 0) - len(waiting) if len(waiting) == queries.PAGE else 0


def _queue(uow: UnitOfWork, section: md.SectionRow) -> list[queries.Waiting]:
    return queries.veiled(uow, principal(), queries.queue(uow, section.id, principal().user_id))


def _may_verify(uow: UnitOfWork, section_id: int, detail: bench_queries.Detail | None) -> bool:
    """Whether this person's authorisation covers the report's items: without it no button (M01 R4)."""
    items = {t.item.id for t in detail.tests} if detail is not None else set()
    return personnel.may(uow, principal().user_id, personnel.Function.VERIFY, section_id, items)


@VIEWS.post("/review/<code>/release", Perm.RELEASE)
def release(uow: UnitOfWork, code: str) -> Any:
    """Sign and release the ticked reports, all or none."""
    section = _section(uow, code)
    chosen = request.form.getlist("id", type=int)
    if not chosen:
        raise Invalid(say("请先勾选要发布的报告。"), "id")
    if not principal().may(glass.Perm.SENSITIVE):
        _must_see_all(uow, queries.tubes_of(uow, chosen))
    numbers = service.release(uow, chosen, principal(), desk())
    if not is_fragment():  # sent by the browser itself, before the page's scripts are there
        return redirect_to(f"/review/{section.code}")
    return _rows(uow, section, _queue(uow, section), {"sound": "ok", "released": len(numbers)})


@VIEWS.post("/review/report/<int:report_id>/back", Perm.RELEASE)
def back(uow: UnitOfWork, report_id: int) -> Any:
    """Send a report back to the bench, with the reason."""
    service.send_back(uow, _at_own(uow, report_id), request.form.get("reason", ""))
    return Response("", 204, {"HX-Trigger": f'{{"sound":"ok","reviewNext":{report_id}}}'})


@VIEWS.post("/review/report/<int:report_id>/cocheck", Perm.RELEASE)
def cocheck(uow: UnitOfWork, report_id: int) -> Any:
    """The second look at a report of solo duty."""
    service.cocheck(uow, _at_own(uow, report_id), principal())
    return redirect_to(request.form.get("next") or "/review")


def _beside(uow: UnitOfWork, detail: bench_queries.Detail | None, section_id: int) -> dict[str, Any]:
    """What stands beside the values: critical values with their checks, small trends, whether the reader is alone tonight."""
    if detail is None:
        return {"criticals": [], "sparks": {}, "alone": False}
    sparks = {}
    for test in detail.tests:
        if test.current is not None and test.current.value is not None:
            past = [p.value for p in reversed(test.history) if p.value is not None and p.unit == test.current.unit]
            limits = test.current.snapshot.get("interval") or (None, None, None)
            low, high = (None if v is None else Decimal(str(v)) for v in limits[1:3])
            sparks[test.id] = rules.spark([*past, test.current.value], low, high)
    return {
        "criticals": critical.open_to(uow, principal(), critical.of_specimen(uow, detail.tube.specimen_id)),
        "sparks": sparks,
        "alone": service.alone_in(uow, principal(), section_id),
    }


def _detail(uow: UnitOfWork, specimen_id: int) -> bench_queries.Detail | None:
    found = bench_queries.tube(uow, specimen_id)
    if found is not None:
        platform.log_read(uow, found.tube.patient_id, "review", request.path)
    return None if found is None else bench_queries.open_to(uow, principal(), found)


def _must_see_all(uow: UnitOfWork, specimen_ids: Sequence[int]) -> None:
    """Nobody reviews or releases what the own role may not see (M01 R8)."""
    if principal().may(glass.Perm.SENSITIVE):
        return
    details = bench_queries.details_of(uow, list(specimen_ids)).values()
    if any(bench_queries.open_to(uow, principal(), detail).hidden for detail in details):
        raise UserError("forbidden", say("报告含敏感项目，您的角色不能查看，也就不能审核或发布。"))


# --- told reports ---------------------------------------------------------------------------------------------------


@VIEWS.get("/reports", Perm.READ)
def search(uow: UnitOfWork) -> Any:
    """Told reports of the own sections, newest first; by number, barcode or patient number. A scan that finds one report opens it."""
    asked = request.args.get("q", "").strip()
    before = request.args.get("before", type=int)
    found = queries.veiled(uow, principal(), queries.search(uow, asked, [s.id for s in _mine(uow)], before))
    if len(found) == 1 and asked in (found[0].no, found[0].barcode):
        return redirect_to(f"/reports/{found[0].no}")
    return page("reports/list.html", block="rows", found=found, q=asked, page_size=queries.PAGE)


@VIEWS.post("/reports/export", Perm.READ, reads=True)
def search_export(uow: UnitOfWork) -> Any:
    """What the search finds on paper or in a workbook, veiled as on the page."""
    asked, who = request.args.get("q", "").strip(), principal()
    found = queries.veiled(uow, who, queries.search(uow, asked, [s.id for s in _mine(uow)], limit=figures.EXPORT_MOST))
    made = figures.search_document(found, asked, who.tenant_name, who.name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), f"/reports?{urlencode({'q': asked})}", identifying=True))


@VIEWS.get("/reports/figures", Perm.READ)
def figures_page(uow: UnitOfWork) -> Any:
    """What a laboratory counts of its reports; each number is the length of the list it opens."""
    wanted = _figures_wanted(uow)
    return page(
        "reports/figures.html",
        section=_one_section(uow),
        wanted=wanted,
        counts=figures.counts(uow, wanted),
        reasons=figures.by_reason(uow, wanted),
        rows=figures.rows(uow, wanted, request.args.get("before", 0, type=int)),
        figures=figures.FIGURE_WORDS,
        words=rules.REASON_WORDS,
        page_size=figures.PAGE,
    )


@VIEWS.post("/reports/figures/export", Perm.READ, reads=True)
def figures_export(uow: UnitOfWork) -> Any:
    """The list on paper or in a workbook."""
    wanted = _figures_wanted(uow)
    found = figures.rows(uow, wanted, limit=figures.EXPORT_MOST)
    made = figures.document(found, wanted, principal().tenant_name, principal().name, uow.now)
    one, days = _one_section(uow), f"first={wanted.first}&last={wanted.last}"
    only = "" if one is None else f"&section={one.code}"
    back = f"/reports/figures?{days}&figure={wanted.figure.value}&reason={wanted.reason}{only}"
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), back, identifying=True))


def _one_section(uow: UnitOfWork) -> md.SectionRow | None:
    """The own section that is asked for, if one is."""
    code = request.args.get("section", "")
    return md.own_section(uow, principal().sections, code) if code else None


def _figures_wanted(uow: UnitOfWork) -> figures.Wanted:
    one = _one_section(uow)
    get, days = request.args.get, span.asked(request.args, uow.now)
    figure, reason = get("figure", ""), get("reason", "")
    return figures.Wanted(
        days.first,
        days.last,
        [s.id for s in (_mine(uow) if one is None else [one])],
        figures.Figure(figure) if figure in set(figures.Figure) else figures.Figure.RELEASED,
        reason if reason in set(rules.Reason) else "",
    )


@VIEWS.get("/reports/infectious", Perm.NOTIFY)
def infectious_list(uow: UnitOfWork) -> Any:
    """Told positives of notifiable items: those without a card, or the rest."""
    done = request.args.get("done") == "1"
    start = max(0, request.args.get("from", 0, int))
    rows = infectious.listed(uow, done, start)
    shut = infectious.shut(uow, principal(), rows)
    return page("reports/infectious.html", "rows", rows=rows, shut=shut, done=done, now=uow.now, start=start, size=infectious.PAGE)


@VIEWS.post("/reports/infectious/export", Perm.NOTIFY, reads=True)
def infectious_export(uow: UnitOfWork) -> Any:
    """The register on paper or in a workbook."""
    done = request.args.get("done") == "1"
    rows = infectious.listed(uow, done, most=infectious.EXPORT_MOST)
    made = infectious.document(rows, infectious.shut(uow, principal(), rows), done, principal().tenant_name, principal().name, uow.now)
    back = f"/reports/infectious{'?done=1' if done else ''}"
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), back, identifying=True))


@VIEWS.post("/reports/infectious/<int:finding_id>/glass", Perm.NOTIFY)
def see_infectious(uow: UnitOfWork, finding_id: int) -> Any:
    """See a sensitive item's finding for four hours, saying why (M01 R8)."""
    patient_id = infectious.patient_of(uow, finding_id)
    if patient_id is None:
        raise NotFound("该传染病阳性记录")
    glass.break_glass(uow, principal(), patient_id, glass.Glass.SENSITIVE, request.form.get("reason", ""))
    return redirect_to("/reports/infectious")


@VIEWS.post("/reports/infectious/<int:finding_id>", Perm.NOTIFY)
def infectious_carded(uow: UnitOfWork, finding_id: int) -> Any:
    """The card was sent."""
    infectious.carded(uow, finding_id, request.form.get("card_no", ""))
    return redirect_to("/reports/infectious")


@VIEWS.get("/reports/notices", Perm.AMEND)
def notices(uow: UnitOfWork) -> Any:
    """Readers of amended and recalled reports who do not know yet; or those who do."""
    done = request.args.get("done") == "1"
    rows = acknowledge.listed(uow, [s.id for s in _mine(uow)], done, request.args.get("before", None, type=int))
    context: dict[str, Any] = {"words": rules.NOTICE_WORDS, "now": uow.now, "late": UNREAD, "page_size": acknowledge.PAGE}
    return page("reports/notices.html", "rows", rows=rows, done=done, **context)


@VIEWS.post("/reports/notices/export", Perm.AMEND, reads=True)
def notices_export(uow: UnitOfWork) -> Any:
    """The list on paper or in a workbook."""
    done = request.args.get("done") == "1"
    rows = acknowledge.listed(uow, [s.id for s in _mine(uow)], done, limit=acknowledge.EXPORT_MOST)
    made = acknowledge.document(rows, done, principal().tenant_name, principal().name, uow.now)
    back = f"/reports/notices{'?done=1' if done else ''}"
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), back, identifying=True))


@VIEWS.post("/reports/notices/<int:notice_id>", Perm.AMEND)
def notice_told(uow: UnitOfWork, notice_id: int) -> Any:
    """Told by phone."""
    acknowledge.told(uow, notice_id, request.form.get("note", ""))
    return redirect_to("/reports/notices")


@VIEWS.get("/reports/<no>", Perm.READ)
def report(uow: UnitOfWork, no: str) -> Any:
    """One told report as it stands, or an earlier version of it."""
    told = _told(uow, no)
    closed = told.preliminary and bench_queries.state_of(uow, told.specimen_id) == "released"
    return page(
        "reports/report.html",
        told=told,
        rest_gone=md.catalog(uow).sections[told.section_id] if closed else None,
        holds=queries.signature_holds(uow, told.report_id, told.version_no),
        views=queries.views(uow, told.report_id),
        notices=queries.notices(uow, told.report_id),
        notice_words=rules.NOTICE_WORDS,
        signatures=signing.of(uow, "report", told.report_id),
        words=rules.REASON_WORDS,
        nonconformities=quality.of_subject(uow, [f"report:{told.report_id}/{n}" for n in range(1, told.current_no + 1)]),
    )


@VIEWS.get("/reports/<no>/versions", Perm.READ)
def versions(uow: UnitOfWork, no: str) -> Any:
    """All versions of a report, side by side."""
    told = _told(uow, no)
    found = [_open(uow, each) for each in queries.versions(uow, told.no)]
    return page("reports/versions.html", told=told, versions=found, words=rules.VERSION_WORDS, reasons=rules.REASON_WORDS)


@VIEWS.get("/reports/<no>/pdf", Perm.READ)
def pdf(uow: UnitOfWork, no: str) -> Any:
    """The stored bytes, the same at every print (AC-R-3)."""
    told = _told(uow, no)
    if told.hidden:
        return redirect_to(f"/reports/{no}")
    data = service.pdf_bytes(uow, told, "print" if request.args.get("print") else "pdf")
    if data is None:
        return page("reports/waiting.html", status=202, told=told)
    name = f"{told.no}-v{told.version_no}.pdf"
    return Response(data, mimetype="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'})


@VIEWS.post("/reports/<no>/reprint", Perm.READ, reads=True)
def reprint(uow: UnitOfWork, no: str) -> Any:
    """A copy that says it is one."""
    told = _told(uow, no)
    return redirect_to(f"/reports/{no}" if told.hidden else service.ask_reprint(uow, told, f"/reports/{no}"))


@VIEWS.post("/reports/<no>/render", Perm.RELEASE)
def render_again(uow: UnitOfWork, no: str) -> Any:
    """Ask for the PDF again after what stopped it was mended."""
    service.render_again(uow, _at_own(uow, _told(uow, no).report_id))
    return redirect_to(f"/reports/{no}")


@VIEWS.get("/reports/<no>/amend", Perm.AMEND)
def amend_form(uow: UnitOfWork, no: str) -> Any:
    """The form of an amendment: old value beside the new one."""
    told = _told(uow, no, inside=True)
    facts = service.facts_now(uow, told)
    known = md.catalog(uow).items
    return page("reports/amend.html", told=told, reasons=rules.REASON_WORDS, known=known, facts=facts, most=service.REMARK_MOST)


@VIEWS.post("/reports/<no>/amend", Perm.AMEND)
def amend(uow: UnitOfWork, no: str) -> Any:
    """Issue the amended version."""
    told, form = _told(uow, no), request.form
    changes = {int(k[2:]): v for k, v in form.items() if k.startswith("v-") and k[2:].isdecimal()}
    asked = service.AmendRequest(
        _at_own(uow, told.report_id),
        form.get("version", type=int) or 0,
        changes,
        form.get("reason", ""),
        form.get("why", ""),
        form.get("remark"),
    )
    service.amend(uow, asked, principal(), desk())
    return redirect_to(f"/reports/{no}")


@VIEWS.post("/reports/<no>/recall", Perm.RECALL)
def recall(uow: UnitOfWork, no: str) -> Any:
    """Withdraw a report: its values are hidden at once."""
    service.recall(uow, _at_own(uow, _told(uow, no).report_id), request.form.get("reason", ""), principal())
    return redirect_to(f"/reports/{no}")


@VIEWS.post("/reports/<no>/cancel", Perm.RECALL)
def cancel(uow: UnitOfWork, no: str) -> Any:
    """A recalled report is cancelled for good."""
    service.cancel(uow, _at_own(uow, _told(uow, no).report_id), request.form.get("reason", ""))
    return redirect_to(f"/reports/{no}")


@VIEWS.get("/reports/verify/<no>", Access.LOGIN)
def verify(uow: UnitOfWork, no: str) -> Any:
    """What a paper's code asks: is this number ours, which version counts, is the stored document untouched. No values, no name."""
    told = queries.released(uow, no)
    if told is None:
        raise NotFound("该报告")
    paper = request.args.get("v", told.current_no, type=int)
    return page("reports/verify.html", told=told, paper=paper, holds=queries.signature_holds(uow, told.report_id, told.version_no))


def _told(uow: UnitOfWork, no: str, inside: bool = False) -> queries.Told:
    told = queries.released(uow, no, request.args.get("v", type=int), inside=inside)
    if told is None or md.catalog(uow).sections[told.section_id].id not in {s.id for s in _mine(uow)}:
        raise NotFound("该报告")
    platform.log_read(uow, told.patient_id, "report", request.path)
    return _open(uow, told)


def _open(uow: UnitOfWork, told: queries.Told) -> queries.Told:
    """The version as this person may see it."""
    if glass.may_see_sensitive(uow, principal(), told.patient_id):
        return told
    return queries.without_sensitive(told, md.catalog(uow).items)


@VIEWS.post("/reports/<no>/glass", Perm.READ)
def see_sensitive(uow: UnitOfWork, no: str) -> Any:
    """See a report's sensitive items for four hours, saying why."""
    glass.break_glass(uow, principal(), _told(uow, no).patient_id, glass.Glass.SENSITIVE, request.form.get("reason", ""))
    return redirect_to(f"/reports/{no}")
