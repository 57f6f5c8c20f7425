"""Pages of the catalog: items, one item with everything that judges it, order sets with their HIS codes."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import coverage, queries, service, wst886
from cloud.modules.catalog.rules import Interval, NoInterval, Perm, describe, in_life_order
from cloud.web import sheet
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


@VIEWS.get("/md/items/<path:code>", Perm.READ)
def item(uow: UnitOfWork, code: str) -> Any:
    """One item: intervals, critical limits, channels, where it is ordered."""
    known = queries.catalog(uow)
    found = known.items_by_code.get(code)
    if found is None:
        raise NotFound("这个检验项目")
    channels = [each for each in known.channels.values() if each.item_id == found.id]
    sets = [known.order_sets[key] for key, members in known.set_items.items() if found.id in members]
    intervals = _own(known, found)
    context: dict[str, Any] = {"known": known, "item": found, "channels": channels, "sets": sets, "intervals": intervals}
    context["calculation"] = next((each for each in known.calculations if each.item_id == found.id), None)
    context |= {"judgement": known.judgements.get(found.id), "map": _map(known, found, intervals) if intervals else None}
    return page("catalog/item.html", "detail", **context, criticals=known.criticals.get(found.id, ()), describe=describe)


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


@VIEWS.get("/md/ri", Perm.READ)
def intervals(uow: UnitOfWork) -> Any:
    """Reference intervals: the rows of an item and the map over age and sex; without an item, all that have gaps."""
    known = queries.catalog(uow)
    item = known.items_by_code.get(request.args.get("item", ""))
    if item is None:
        section = queries.own_section(uow, (), request.args["section"]) if request.args.get("section") else None
        mine = [each for each in known.search_items("") if each.active and (section is None or each.section_id == section.id)]
        rows = [(each, known.intervals.get(each.id, ())) for each in mine]
        overview = [(each, len(own), coverage.gaps(own, each.method or None) if own else None) for each, own in rows]
        show = request.args.get("show", "gaps")
        if show == "none":
            shown = [each for each in overview if known.unflagged(each[0])]
        else:
            shown = [each for each in overview if show == "all" or each[2] or (each[2] is None and show != "holes")]
        return page("catalog/ri.html", "rows", item=None, overview=shown, show=show, section=section, known=known)
    own = _own(known, item)
    return page("catalog/ri.html", item=item, known=known, rows=own, map=_map(known, item, own), describe=describe)


def _own(known: queries.Catalog, item: queries.ItemRow) -> tuple[Interval, ...]:
    """An item's intervals in the order of life."""
    return tuple(sorted(known.intervals.get(item.id, ()), key=in_life_order))


def _map(known: queries.Catalog, item: queries.ItemRow, own: tuple[Interval, ...]) -> dict[str, Any]:
    """What the drawing needs: lanes of boxes in percent of the width, ticks, and the gaps in words."""
    lanes = []
    for lane in coverage.lanes(own, item.method or None):
        s = lane.subject
        conditions = [
            "" if s.analyzer_id is None else known.analyzers[s.analyzer_id].name,
            "" if s.specimen_type_id is None else known.specimen_types[s.specimen_type_id].name,
        ]
        boxes = [
            {
                "x": round(1000 * coverage.place(each.start), 1),
                "w": round(1000 * (coverage.place(each.end) - coverage.place(each.start)), 1),
                "kind": _kind_of(each.found),
                "text": each.found.shown if isinstance(each.found, Interval) else "",
                "ages": each.text,
            }
            for each in lane.pieces
        ]
        lanes.append({"sex": lane.sex, "where": " ".join(part for part in conditions if part), "boxes": boxes})
    ticks = [(round(1000 * coverage.place(hours), 1), word) for hours, word in coverage.TICKS]
    return {"lanes": lanes, "ticks": ticks, "gaps": coverage.gaps(own, item.method or None)}


def _kind_of(found: Interval | NoInterval) -> str:
    if isinstance(found, Interval):
        return "placeholder-row" if found.placeholder else "has"
    return "clash" if found is NoInterval.CONFLICT else "gap"


@VIEWS.get("/md/maps", Perm.READ)
def maps(uow: UnitOfWork) -> Any:
    """Analyzer channels and HIS codes: what others call our items, and what is not mapped."""
    known = queries.catalog(uow)
    analyzer = known.analyzers_by_code.get(request.args.get("analyzer", ""))
    rows = sorted(known.channels.values(), key=lambda each: (each.analyzer_id, each.channel_code))
    rows = [each for each in rows if analyzer is None or each.analyzer_id == analyzer.id]
    start = max(0, request.args.get("from", 0, int))
    silent = [
        each for each in known.analyzers.values() if each.active and not any(c.analyzer_id == each.id for c in known.channels.values())
    ]
    context: dict[str, Any] = {"known": known, "rows": rows[start : start + PAGE], "total": len(rows), "start": start, "size": PAGE}
    return page("catalog/maps.html", "rows", analyzer=analyzer, silent=silent, **context)


@VIEWS.get("/md/wst886", Perm.READ)
def standard_codes(uow: UnitOfWork) -> Any:
    """WS/T 886 codes: items without one, with suggestions from what this hospital already coded; codes used twice or malformed."""
    known = queries.catalog(uow)
    listed = queries.listed_codes(uow)
    found = wst886.missing(known, listed)
    return page(
        "catalog/wst886.html", known=known, missing=found, wrong=wst886.wrong(known, listed), total=len(known.items), listed=len(listed)
    )


@VIEWS.get("/md/items.xlsx", Perm.READ)
def handbook(uow: UnitOfWork) -> Any:
    """检验项目手册: every item in use with interval, critical limits, specimen and time."""
    known = queries.catalog(uow)
    return Response(
        sheet.write("检验项目手册", _HANDBOOK, (_handbook_row(known, each) for each in known.search_items("") if each.active)),
        mimetype=sheet.TYPE,
        headers={"Content-Disposition": 'attachment; filename="items.xlsx"'},
    )


_HANDBOOK = (
    "编码",
    "名称",
    "英文名",
    "专业组",
    "单位",
    "方法",
    "标本与容器",
    "TAT（分钟）",
    "参考区间",
    "危急值",
    "WS/T 886",
    "患者准备",
    "占位",
)


def _handbook_row(known: queries.Catalog, item: queries.ItemRow) -> tuple[Any, ...]:
    sets = [known.order_sets[key] for key, members in known.set_items.items() if item.id in members]
    own = _own(known, item)
    limits = known.criticals.get(item.id, ())
    parts = [" / ".join(f"{sign}{v:f}" for sign, v in (("<", c.low), (">", c.high)) if v is not None) for c in limits]
    return (
        item.code,
        item.name,
        item.name_en,
        known.sections[item.section_id].name,
        item.unit,
        item.method,
        "；".join(dict.fromkeys(f"{known.specimen_types[s.specimen_type_id].name} {known.containers[s.container_id].name}" for s in sets)),
        min((s.tat_minutes for s in sets if s.tat_minutes is not None), default=None),
        "；".join(f"{describe(each)} {each.shown}" for each in own),
        "；".join(parts),
        item.wst886_code,
        "；".join(dict.fromkeys(s.prep_notes for s in sets if s.prep_notes)),
        "占位值，未经本实验室批准" if any(each.placeholder for each in own) or any(each.placeholder for each in limits) else "",
    )
