"""Pages of what is late, what is counted, and what the ward must know before it draws."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import lists
from cloud.modules.specimens import figures, handbook, late, storage_queries
from cloud.modules.specimens.figures import By, Figure
from cloud.modules.specimens.late import Late
from cloud.modules.specimens.rules import STATE_WORDS, Perm
from cloud.web import span
from cloud.web.page import page, redirect_to
from cloud.web.view import Access, Views, principal

FIGURES = Views("specimen_figures", __name__)


@FIGURES.get("/sp/late", Perm.READ)
def late_list(uow: UnitOfWork) -> Any:
    """Tubes that are late to appear; a ward sees its own."""
    shown, found = _late(uow)
    context: dict[str, Any] = {"words": late.LATE_WORDS, "states": STATE_WORDS, "known": md.catalog(uow), "now": uow.now}
    start, counts = max(0, request.args.get("from", 0, int)), {k: len(v) for k, v in found.items()}
    context |= {"rows": found[shown][start : start + late.PAGE], "start": start, "size": late.PAGE}
    return page("specimens/late.html", "rows", counts=counts, shown=shown, **context)


@FIGURES.post("/sp/late/export", Perm.READ)
def late_export(uow: UnitOfWork) -> Any:
    """The list on paper or in a workbook."""
    shown, found = _late(uow)
    made = late.document(shown, found[shown], principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), f"/sp/late?show={shown.value}", identifying=True))


def _late(uow: UnitOfWork) -> tuple[Late, dict[Late, list[late.Row]]]:
    # Who is bound to a place is shown what is of it; a nurse's own wards narrow the list of one who is not.
    wanted, wards = request.args.get("show", ""), frozenset() if principal().reach else principal().wards
    found = {each: [r for r in late.rows(uow, each) if not wards or r.place in wards] for each in Late}
    return Late(wanted) if wanted in set(Late) else Late.ON_THE_WAY, found


@FIGURES.get("/sp/figures", Perm.FIGURES)
def figures_page(uow: UnitOfWork) -> Any:
    """What is counted of tubes; each number is the length of the list it opens."""
    wanted, before = _wanted(uow), request.args.get("before", 0, type=int)
    racks = storage_queries.racks(uow) if principal().may(Perm.ARCHIVE) else []
    return page(
        "specimens/figures.html",
        wanted=wanted,
        counts=figures.counts(uow, wanted.days),
        parts={by: figures.breakdown(uow, wanted, by) for by in By},
        transport=figures.transport(uow, wanted.days),
        rows=figures.rows(uow, wanted, before),
        racks=racks,
        figures=figures.FIGURE_WORDS,
        by_words=figures.BY_WORDS,
        narrowed=_query(wanted),
        page_size=figures.PAGE,
        limit=late.limits(uow)["collected"],
    )


@FIGURES.post("/sp/figures/export", Perm.FIGURES)
def figures_export(uow: UnitOfWork) -> Any:
    """The list on paper or in a workbook."""
    wanted = _wanted(uow)
    found = figures.rows(uow, wanted, limit=figures.EXPORT_MOST)
    made = figures.document(found, wanted, principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), f"/sp/figures?{_query(wanted)}", identifying=True))


def _wanted(uow: UnitOfWork) -> figures.Wanted:
    get, figure = request.args.get, request.args.get("figure", "")
    named = {by.value: get(by.value, "")[:100] for by in By}
    return figures.Wanted(span.asked(request.args, uow.now), Figure(figure) if figure in set(Figure) else Figure.REJECTED, **named)


def _query(wanted: figures.Wanted) -> str:
    named = {"place": wanted.place, "reason": wanted.reason, "collector": wanted.collector}
    more = urlencode({k: v for k, v in named.items() if v})
    return f"{wanted.days.query}&figure={wanted.figure.value}" + (f"&{more}" if more else "")


@FIGURES.get("/sp/handbook", Access.LOGIN)
def handbook_page(uow: UnitOfWork) -> Any:
    """The ward's guide: which tube, how much, in which order, what must be kept in mind."""
    word, section = request.args.get("q", ""), request.args.get("section", "")
    found = handbook.pages(uow, word, section)
    tubes = sorted(md.catalog(uow).containers.values(), key=lambda c: (c.draw_order, c.id))
    sections = sorted(md.catalog(uow).sections.values(), key=lambda s: s.name)
    context: dict[str, Any] = {"pages": found, "tubes": tubes, "sections": sections, "q": word, "section": section}
    return page("specimens/handbook.html", "rows", **context)


@FIGURES.post("/sp/handbook/export", Access.LOGIN)
def handbook_export(uow: UnitOfWork) -> Any:
    """The guide on paper or in a workbook: the ward's wall, or training."""
    found = handbook.pages(uow, request.args.get("q", ""), request.args.get("section", ""))
    made = handbook.document(found, principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), "/sp/handbook"))
