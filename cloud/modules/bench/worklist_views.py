"""Pages of the bench beside its screen: manual worklists, and the section's figures (reruns, serum indices, what was held)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.bench import confirming, figures, queries, rules, worklist
from cloud.modules.bench.messages import entries_of
from cloud.modules.bench.rules import Perm
from cloud.modules.bench.views import OK, WARN, at_own, section_of, sections
from cloud.modules.catalog import queries as md
from cloud.modules.platform import glass, lists
from cloud.web.faults import Invalid
from cloud.web.page import fragment, page, redirect_to
from cloud.web.view import Views, principal
from common.say import say

VIEWS = Views("worklist", __name__)


@VIEWS.get("/bench/entry", Perm.ENTER)
def start(uow: UnitOfWork) -> Any:
    """Go to the first own section."""
    mine = sections(uow)
    return redirect_to(f"/bench/entry/{mine[0].code}") if mine else page("bench/none.html")


@VIEWS.get("/bench/entry/<code>", Perm.ENTER)
def sheet(uow: UnitOfWork, code: str) -> Any:
    """One item down all tubes that wait for it."""
    section = section_of(uow, code)
    return page("bench/entry.html", sections=sections(uow), **_sheet(uow, section, request.args.get("item", type=int)))


def _sheet(uow: UnitOfWork, section: md.SectionRow, asked: int | None) -> dict[str, Any]:
    may = principal().may(glass.Perm.SENSITIVE)
    found, known = worklist.choices(uow, section.id, may), md.catalog(uow).items.get(asked or 0)
    # Who may not see sensitive items opens them tube by tube, saying why (M01 R8).
    chosen = known if known is not None and (may or not known.sensitive) else (found[0].item if found else None)
    lines = worklist.lines(uow, section.id, chosen.id) if chosen is not None else []
    twice = chosen is not None and worklist.twice(uow, chosen)
    return {"section": section, "choices": found, "item": chosen, "lines": lines, "twice": twice, "asked": {}, "typed": {}}


@VIEWS.post("/bench/entry/<code>", Perm.ENTER)
def enter(uow: UnitOfWork, code: str) -> Any:
    """Save what was typed; what needs an answer first stays in its line."""
    section, form = section_of(uow, code), request.form
    saved = worklist.enter(uow, section.id, entries_of(form))
    uow.s.flush()
    shown = _sheet(uow, section, form.get("item", type=int)) | {"asked": saved.asked, "typed": form, "written": saved.written}
    return fragment("bench/entry.html", "rows", trigger=WARN if saved.asked else OK, **shown)


@VIEWS.post("/bench/entry/<code>/print", Perm.ENTER)
def print_sheet(uow: UnitOfWork, code: str) -> Any:
    """The worklist on paper or as a workbook."""
    section, item = section_of(uow, code), md.catalog(uow).items.get(request.form.get("item", type=int) or 0)
    if item is None or (item.sensitive and not principal().may(glass.Perm.SENSITIVE)):
        raise Invalid(say("请先选择项目。"), "item")
    who = principal()
    found = worklist.document(item, worklist.lines(uow, section.id, item.id), section.name, who.tenant_name, who.name, uow.now)
    kind, back = request.form.get("kind", ""), f"/bench/entry/{section.code}?item={item.id}"
    return redirect_to(lists.ask(uow, found, kind, back, identifying=True))


# --- figures --------------------------------------------------------------------------------------------------------


def _span(uow: UnitOfWork) -> tuple[date, date]:
    """From and to (both included), a month back without being asked."""
    today = uow.now.astimezone(md.HOSPITAL_ZONE).date()
    try:
        first = date.fromisoformat(request.values.get("from") or str(today - timedelta(days=29)))
        last = date.fromisoformat(request.values.get("to") or str(today))
    except ValueError as error:
        raise Invalid(say("日期请写成 2026-05-04 的样子。"), "from") from error
    if first > last:
        raise Invalid(say("开始日期晚于结束日期，请核对。"), "from")
    if last - first > timedelta(days=figures.LONGEST):
        raise Invalid(say("一次最多统计 {n} 天，请缩短日期范围。", n=figures.LONGEST), "from")
    return first, last


@VIEWS.get("/bench/figures", Perm.READ)
def figures_start(uow: UnitOfWork) -> Any:
    """Go to the first own section."""
    mine = sections(uow)
    return redirect_to(f"/bench/figures/{mine[0].code}") if mine else page("bench/none.html")


@VIEWS.get("/bench/figures/<code>", Perm.READ)
def figures_page(uow: UnitOfWork, code: str) -> Any:
    """What was held and why, how the serum indices lie, what was measured again (M07 Reports); each number leads to its list."""
    section, (first, last) = section_of(uow, code), _span(uow)
    found = figures.figures(uow, section.id, first, last)
    return page("bench/figures.html", section=section, sections=sections(uow), first=first, last=last, found=found)


@VIEWS.get("/bench/figures/<code>/held/<cause>", Perm.READ)
def held_list(uow: UnitOfWork, code: str, cause: str) -> Any:
    """The results a cause held."""
    section, (first, last) = section_of(uow, code), _span(uow)
    rows = figures.held_by(uow, section.id, first, last, cause, _start())
    shut = figures.withheld(uow, section.id, first, last, cause)
    return page("bench/held.html", section=section, cause=cause, rows=rows, words=figures.CAUSES, shut=shut, **_paged(first, last))


@VIEWS.get("/bench/figures/<code>/index/<item>", Perm.READ)
def index_list(uow: UnitOfWork, code: str, item: str) -> Any:
    """The tubes behind a number of a serum index."""
    section, (first, last), get = section_of(uow, code), _span(uow), request.args.get
    low, high, ward = get("low", 0, type=int), get("high", None, type=int), get("ward", "")
    if not 0 <= low < 10**6 or (high is not None and not low < high < 10**6):
        raise Invalid(say("请从检验统计上选择数字。"), "low")
    rows = figures.index_by(uow, section.id, first, last, item, low, high, ward, _start())
    shown = " ".join(part for part in (item, f"{low}–{high}" if high is not None else f"≥{low}", ward) if part)
    return page("bench/held.html", section=section, cause=shown, rows=rows, words={}, shut=0, **_paged(first, last))


def _start() -> int:
    """The rows before a page of a list."""
    start = request.args.get("start", 0, type=int)
    if not 0 <= start < 10**6:
        raise Invalid(say("请从检验统计上选择数字。"), "start")
    return start


def _paged(first: date, last: date) -> dict[str, Any]:
    """What the pages of a list need: its span, where it begins and what it is filtered by."""
    kept = {key: value for key, value in request.args.items() if key not in ("start", "from", "to")}
    query = urlencode(kept | {"from": str(first), "to": str(last)})
    return {"first": first, "last": last, "start": _start(), "size": figures.PAGE, "query": query}


@VIEWS.post("/bench/figures/<code>/export", Perm.READ)
def export(uow: UnitOfWork, code: str) -> Any:
    """One of the three as a workbook or on paper."""
    section, (first, last), who = section_of(uow, code), _span(uow), principal()
    made = figures.document(uow, request.form.get("what", ""), section, first, last, who.tenant_name, who.name)
    back = f"/bench/figures/{section.code}?from={first}&to={last}"
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), back, identifying=request.form.get("what") == "rerun"))


@VIEWS.get("/bench/confirm", Perm.READ)
def confirmations(uow: UnitOfWork) -> Any:
    """Screens told as 待复检: to be sent to a confirmatory laboratory, away, back."""
    mine = sections(uow)
    if not mine:
        return page("bench/none.html")
    section, done = section_of(uow, request.args.get("section") or mine[0].code), request.args.get("done") == "1"
    found = confirming.listed(uow, section.id, not done, request.args.get("before", type=int))
    shown: dict[str, Any] = {"section": section, "sections": mine, "done": done, "full": len(found) == confirming.PAGE}
    open_rows = _open_to(uow, found)
    context: dict[str, Any] = {"rows": open_rows, "hidden": len(found) - len(open_rows), "last": found[-1].row.id if found else 0}
    return page("bench/confirm.html", words=rules.CONFIRMING_WORDS, **context, **shown)


@VIEWS.post("/bench/confirm/export", Perm.READ, reads=True)
def confirmations_export(uow: UnitOfWork) -> Any:
    """The register, on paper or in a workbook."""
    section, done = section_of(uow, request.args.get("section", "")), request.args.get("done") == "1"
    found = _open_to(uow, confirming.listed(uow, section.id, not done, limit=confirming.EXPORT_MOST))
    made = confirming.document(found, section, principal().tenant_name, principal().name, uow.now)
    back = f"/bench/confirm?section={section.code}{'&done=1' if done else ''}"
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), back, identifying=True))


@VIEWS.post("/bench/confirm/<int:row_id>", Perm.ENTER)
def confirmation(uow: UnitOfWork, row_id: int) -> Any:
    """It was sent, the confirmatory report is here, or there will be none."""
    at_own(uow, "confirmation", row_id)
    form, version = request.form, request.form.get("version", 0, int)
    if form.get("do") == "back":
        confirming.back(uow, row_id, version, form.get("report_no", ""), form.get("conclusion", ""))
    elif form.get("do") == "end":
        confirming.end(uow, row_id, version, form.get("reason", ""), principal().may(Perm.DECIDE))
    else:
        confirming.sent(uow, row_id, version, form.get("lab", ""), form.get("carrier", ""))
    return redirect_to(f"/bench/confirm?section={form.get('section', '')[:20]}")


def _open_to(uow: UnitOfWork, found: Sequence[confirming.Line]) -> list[confirming.Line]:
    """Without sensitive items of tubes that are shut to this person (M01 R8)."""
    shut = queries.shut_tubes(uow, principal(), {each.row.specimen_id for each in found if each.sensitive})
    return [each for each in found if not (each.sensitive and each.row.specimen_id in shut)]
