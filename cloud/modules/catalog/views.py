"""Pages of the catalog: items, one item with everything that judges it, order sets with their HIS codes."""

from __future__ import annotations

from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries, service
from cloud.modules.catalog.rules import Perm
from cloud.web.faults import NotFound
from cloud.web.page import page, redirect_to
from cloud.web.view import Views

VIEWS = Views("catalog", __name__)
PAGE = 100


@VIEWS.get("/md/items", Perm.READ)
def items(uow: UnitOfWork) -> Any:
    """All items, searched by code, name, abbreviation or pinyin initials (C11)."""
    known = queries.catalog(uow)
    text = request.args.get("q", "")
    section = request.args.get("section", "")
    rows = [each for each in known.search_items(text) if not section or known.sections[each.section_id].code == section]
    start = max(0, request.args.get("from", 0, int))
    return page(
        "catalog/items.html",
        "rows",
        known=known,
        rows=rows[start : start + PAGE],
        total=len(rows),
        start=start,
        size=PAGE,
        q=text,
        section=section,
    )


@VIEWS.get("/md/items/<code>", Perm.READ)
def item(uow: UnitOfWork, code: str) -> Any:
    """One item: intervals, critical limits, channels, where it is ordered."""
    known = queries.catalog(uow)
    found = known.items_by_code.get(code)
    if found is None:
        raise NotFound("这个检验项目")
    channels = [each for each in known.channels.values() if each.item_id == found.id]
    sets = [known.order_sets[key] for key, members in known.set_items.items() if found.id in members]
    intervals = known.intervals.get(found.id, ())
    context: dict[str, Any] = {"known": known, "item": found, "channels": channels, "sets": sets, "intervals": intervals}
    return page("catalog/item.html", "detail", **context, criticals=known.criticals.get(found.id, ()), describe=service.describe)


@VIEWS.get("/md/ordersets", Perm.READ)
def order_sets(uow: UnitOfWork) -> Any:
    """What can be ordered, with tube, items and the HIS codes that mean it."""
    known = queries.catalog(uow)
    codes: dict[int, list[str]] = {}
    for (source, his_code), order_set_id in sorted(known.his_codes.items()):
        codes.setdefault(order_set_id, []).append(f"{source}:{his_code}")
    rows = sorted(known.order_sets.values(), key=lambda each: (each.section_id, each.code))
    return page("catalog/ordersets.html", known=known, rows=rows, codes=codes)


@VIEWS.post("/md/ordersets/codes", Perm.MAP)
def map_code(uow: UnitOfWork) -> Any:
    """Map a HIS code to an order set."""
    form = request.form
    service.map_his_code(uow, form.get("source", ""), form.get("his_code", ""), form.get("order_set", ""), form.get("his_name", ""))
    return redirect_to("/md/ordersets")
