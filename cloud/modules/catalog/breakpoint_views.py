"""The page of breakpoints: an edition beside the one before it, and what it says of a value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import breakpoints, queries
from cloud.modules.catalog.rules import Perm
from cloud.web.page import page
from cloud.web.view import Views
from common.say import Said, say
from common.values import parse

VIEWS = Views("catalog_breakpoints", __name__)
PAGE = 100


@VIEWS.get("/md/breakpoints", Perm.READ)
def editions(uow: UnitOfWork) -> Any:
    """The rows of an edition, narrowed by organism or drug, each with what changed since the edition before; a value tried on them."""
    known, a = queries.catalog(uow), request.args
    sets = sorted(known.breakpoint_sets.values(), key=lambda each: (each.effective, each.id), reverse=True)
    now = breakpoints.in_force(sets, uow.now.astimezone(queries.HOSPITAL_ZONE).date())
    chosen = next((each for each in sets if each.code == a.get("set")), now or next(iter(sets), None))
    rows = known.breakpoints.get(chosen.id, ()) if chosen else ()
    q, start = a.get("q", "").strip().casefold(), max(0, a.get("from", 0, int))
    found = sorted(
        (r for r in rows if q in f"{r.organism} {r.drug} {r.drug_name}".casefold()), key=lambda r: (r.organism, r.drug, r.method)
    )
    before = _before(known, chosen)
    context: dict[str, Any] = {"sets": sets, "now": now, "set": chosen, "rows": found[start : start + PAGE], "total": len(found)}
    context |= {"start": start, "size": PAGE, "q": a.get("q", ""), "levels": LEVELS, "before": before, "name": _name}
    gone = [each for key, each in before.items() if key not in {_name(r) for r in rows}]
    return page(
        "catalog/breakpoints.html", "rows", **context, gone=gone, tried=_try(chosen, found, a.get("value", "")), value=a.get("value", "")
    )


LEVELS = {"species": "种", "complex": "复合群", "genus": "属", "group": "组群"}


def _name(row: queries.BreakpointRow) -> tuple[str, ...]:
    return (row.organism, row.drug, row.method, row.site, row.route)


def _before(known: queries.Catalog, chosen: queries.BreakpointSetRow | None) -> dict[tuple[str, ...], queries.BreakpointRow]:
    """The rows of the edition of the same standard before the chosen one."""
    if chosen is None:
        return {}
    older = [each for each in known.breakpoint_sets.values() if each.standard == chosen.standard and each.edition < chosen.edition]
    last = max(older, key=lambda each: each.edition, default=None)
    return {} if last is None else {_name(each): each for each in known.breakpoints.get(last.id, ())}


def _try(chosen: queries.BreakpointSetRow | None, rows: list[queries.BreakpointRow], text: str) -> dict[int, str] | Said | None:
    """Row id → category of a typed MIC or zone; a sentence for what is no value."""
    if chosen is None or not text.strip():
        return None
    value = parse(text)
    if value.number is None or value.number <= 0 or not value.number < Decimal(10000):
        return say("“{text}”不是 MIC 或抑菌圈，请写成 4、≤0.25 或 >8。", text=text.strip())
    return {r.id: breakpoints.interpret(r, chosen.standard, value.number, value.comparator or "") or "?" for r in rows}
