"""The page behind the board's numbers, and its export."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import listing
from cloud.modules.autoverify.rules import Perm
from cloud.modules.bench import queries as bench
from cloud.modules.catalog import queries as md
from cloud.modules.platform import lists
from cloud.web.faults import Invalid
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal
from common.say import say

LISTS = Views("autoverify_lists", __name__)
NAMES = ("days", "hour", "outcome", "category", "code", "item", "unchanged", "sample", "shadow", "against")


@LISTS.get("/av/decisions", Perm.READ)
def decisions(uow: UnitOfWork) -> Any:
    """Decisions of the own sections by outcome, reason, item or hour, newest first."""
    wanted, get = _wanted(uow), request.args.get
    read = listing.rows(uow, wanted, get("before", 0, type=int))
    rows, withheld = listing.veiled(read, _shut(uow, read), wanted)
    context: dict[str, Any] = {
        "wanted": wanted,
        "rows": rows,
        "withheld": withheld,
        "more": read[-1].id if len(read) == listing.PAGE else 0,
        "total": listing.count(uow, wanted),
        "outcomes": listing.WOULD if wanted.shadow else listing.OUTCOMES,
        "query": _query(),
        "sample": listing.SAMPLE,
        "against": listing.AGAINST,
        "names": {i.code: i.name for i in md.catalog(uow).items.values()},
    }
    return page("autoverify/decisions.html", tab="board", **context)


@LISTS.post("/av/decisions/export", Perm.READ, reads=True)
def export(uow: UnitOfWork) -> Any:
    """The list on paper or in a workbook."""
    wanted = _wanted(uow)
    read = listing.rows(uow, wanted, limit=listing.EXPORT_MOST)
    found, _ = listing.veiled(read, _shut(uow, read), wanted)
    made = listing.document(found, principal().tenant_name, principal().name, uow.now, bool(wanted.shadow))
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), f"/av/decisions?{_query()}"))


def _shut(uow: UnitOfWork, found: Sequence[listing.Row]) -> set[int]:
    return bench.shut_tubes(uow, principal(), {r.specimen_id for r in found})


def _query() -> str:
    return urlencode({name: request.args[name] for name in NAMES if request.args.get(name)})


def _wanted(uow: UnitOfWork) -> listing.Wanted:
    get = request.args.get
    try:
        hour = datetime.fromisoformat(get("hour", "")) if get("hour") else None
    except ValueError:
        hour = None
    if get("hour") and (hour is None or hour.tzinfo is None or not 2000 <= hour.year <= 2200):
        raise Invalid(say("请从看板上选择小时。"), "hour")
    outcome = get("outcome", "")
    if outcome and outcome not in listing.OUTCOMES:
        raise Invalid(say("请从看板上选择判断结果。"), "outcome")
    sections = [s.id for s in md.own_sections(uow, principal().sections)]
    since = uow.now - timedelta(days=7 if get("days") == "7" else 1)
    reason = get("category", -1, type=int), get("code", "")
    sample, shadow, against = get("sample", ""), get("shadow", 0, type=int), get("against", "")
    if sample not in ("", *listing.SAMPLE) or against not in ("", *listing.AGAINST) or (sample and against) or (against and not shadow):
        raise Invalid(say("请从看板上选择抽查或影子运行的数字。"), "against")
    return listing.Wanted(
        sections, since, hour, outcome, *reason, get("item", ""), get("unchanged") == "1", sample, shadow, against
    )  # fmt: skip
