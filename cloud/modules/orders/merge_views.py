"""Pages of merging: pairs to look at, one pair side by side, and, while somebody registers, who is known already."""

from __future__ import annotations

from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.orders import manual, merge, outside, patients, places, queries, rules
from cloud.modules.orders.rules import MergeState, Perm
from cloud.modules.platform import service as platform
from cloud.web.faults import Invalid
from cloud.web.page import fragment, page, redirect_to
from cloud.web.view import Views

MERGE = Views("merge", __name__)
POINTS = {"name": "姓名", "birth": "出生日期", "card": "身份证或就诊卡", "phone": "电话", "asked": "本人或病区确认"}


@MERGE.get("/patients/merge", Perm.MERGE)
def merges(uow: UnitOfWork) -> Any:
    """Pairs of records that may be one person's, and what was decided before."""
    done = request.args.get("done") == "1"
    rows = merge.listed(uow, not done, request.args.get("before", None, int))
    return page("orders/merges.html", rows=rows, done=done, words=rules.MERGE_WORDS, size=merge.PAGE)


@MERGE.post("/patients/merge", Perm.MERGE)
def propose(uow: UnitOfWork) -> Any:
    """Two numbers that somebody thinks are one person's."""
    form = request.form
    row = merge.propose_by_numbers(uow, form.get("keep", ""), form.get("other", ""), form.get("why", ""))
    return redirect_to(f"/patients/merge/{row.id}")


@MERGE.get("/patients/merge/<int:merge_id>", Perm.MERGE)
def compare(uow: UnitOfWork, merge_id: int) -> Any:
    """Both records side by side."""
    places.require_pair(uow, merge_id)
    row, keep, other, differ = merge.compare(uow, merge_id)
    for each in (keep, other):
        platform.log_read(uow, each.id, "merge", request.path)
    context: dict[str, Any] = {"m": row, "sides": (keep, other), "differ": differ, "points": POINTS, "sexes": queries.WORDS["sex"]}
    context["id_kinds"] = queries.WORDS["identifier"]
    return page("orders/merge.html", words=rules.MERGE_WORDS, states=MergeState, **context)


@MERGE.post("/patients/merge/<int:merge_id>/<verb>", Perm.MERGE)
def decide(uow: UnitOfWork, merge_id: int, verb: str) -> Any:
    """Merge, say they are two, or take a merge back."""
    places.require_pair(uow, merge_id)
    form = request.form
    version, reason = form.get("version", 0, int), form.get("reason", "")
    if verb == "merge":
        points = [p for p in form.getlist("checked") if p in POINTS]
        merge.merge(uow, merge_id, version, form.get("keep", 0, int), reason, points)
    elif verb == "decline":
        merge.decline(uow, merge_id, version, reason)
    elif verb == "undo":
        merge.undo(uow, merge_id, version, reason)
    else:
        raise Invalid("请选择合并、不是同一人或撤销合并。")
    return redirect_to(f"/patients/merge/{merge_id}")


@MERGE.get("/patients/like", Perm.REGISTER)
def like(uow: UnitOfWork) -> Any:
    """Who is known already with this name and birthday, and what was measured of them already, while the form is being filled."""
    asked = request.args
    try:
        birth = patients.instant(manual.day(asked.get("birth", ""), uow.now), None)
    except Invalid:
        birth = None
    number = asked.get("patient_no", "").strip()
    found = [] if number and merge.known_number(uow, number) else merge.like(uow, asked.get("name", ""), asked.get("sex", ""), birth)
    told = outside.foreseen(uow, number, asked.getlist("order_set"))
    context: dict[str, Any] = {"found": found, "told": told, "other": asked.get("other_person") == "1", "sexes": queries.WORDS["sex"]}
    return fragment("orders/_like.html", "like", **context)
