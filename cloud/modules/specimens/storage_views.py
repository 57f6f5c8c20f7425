"""Pages of the archive: store tube after tube by scan, find and take out, racks, and discarding with two signatures."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import lists
from cloud.modules.platform import service as platform
from cloud.modules.specimens import discard, storage, storage_printing, storage_queries
from cloud.modules.specimens import storage_rules as rules
from cloud.modules.specimens.labels import ZONE
from cloud.modules.specimens.rules import STATE_WORDS, Perm
from cloud.modules.specimens.storage import NewRack, Scanned
from cloud.web.faults import Invalid, NotFound
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal

STORAGE = Views("specimen_storage", __name__)
SIGNS = {"ok": "✓", "warn": "!", "bad": "✕"}
METHODS = ("高压灭菌后按医疗废物处理", "按医疗废物交接处理", "化学消毒后按医疗废物处理")


def _base(uow: UnitOfWork) -> dict[str, Any]:
    return {"known": md.catalog(uow), "signs": SIGNS, "states": STATE_WORDS, "now": uow.now, "position": rules.position}


def _number(name: str) -> int | None:
    value = request.values.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 18 else None


def _required(name: str) -> int:
    value = _number(name)
    if value is None:
        raise Invalid("表单缺少内容，请刷新页面后重试。", field=name)
    return value


# --- storing and finding --------------------------------------------------------------------------------------------


@STORAGE.get("/sp/archive", Perm.ARCHIVE)
def archive(uow: UnitOfWork) -> Any:
    """Scan a rack, then tube after tube; a tube alone tells where it stands."""
    rack_id = _number("rack")
    here = None if rack_id is None else storage.rack(uow, rack_id)
    return page("specimens/archive.html", "work", **_work(uow, None, here))


@STORAGE.post("/sp/archive", Perm.ARCHIVE)
def archive_scan(uow: UnitOfWork) -> Any:
    """One scan."""
    answer = storage.scan(uow, _number("rack"), _number("slot"), request.form.get("code", ""), request.form.get("move") == "1")
    if answer.tube is not None:
        platform.log_read(uow, answer.tube.patient_id, "标本归档", request.path)
    return page("specimens/archive.html", "work", trigger=json.dumps({"sound": answer.sound}), **_work(uow, answer, answer.rack))


def _work(uow: UnitOfWork, answer: Scanned | None, here: Any) -> dict[str, Any]:
    # Without an open rack a scan asked where a tube stands: that rack is shown, not opened.
    opened = here if answer is None or _number("rack") is not None or answer.tube is None else None
    place = None if answer is None or answer.tube is None else storage_queries.place(uow, answer.tube.id)
    last = _number("slot") if answer is None or answer.slot is None else answer.slot
    shown = {} if here is None else storage_queries.cells(uow, here.id)
    following = None if opened is None else rules.following(shown, opened.rows * opened.cols, last)
    more = {"last": last, "following": following, "place": place, "answer": answer}
    return {"rack": opened, "shown": here, "cells": shown, **more, **_base(uow)}


@STORAGE.post("/sp/archive/take", Perm.ARCHIVE)
def take(uow: UnitOfWork) -> Any:
    """A tube leaves its position; it is expected back unless said otherwise."""
    stay = storage.take_out(uow, _required("specimen_id"), request.form.get("why", ""), request.form.get("gone") != "1")
    here = storage.rack(uow, stay.rack_id)
    at = rules.position(stay.slot, here.cols)
    context = {**_work(uow, None, None), "taken": f"{here.place} {here.code} {at}"}
    return page("specimens/archive.html", "work", trigger=json.dumps({"sound": "ok"}), **context)


@STORAGE.post("/sp/archive/hold", Perm.DISCARD)
def hold(uow: UnitOfWork) -> Any:
    """延长保存, or end it."""
    specimen_id = _required("specimen_id")
    until = _day("until")
    end = None if until is None else datetime.combine(until, datetime.min.time(), ZONE) + timedelta(days=1)
    storage.hold(uow, specimen_id, request.form.get("why", ""), end)
    return redirect_to(f"/sp/tubes/{specimen_id}")


@STORAGE.get("/sp/archive/out", Perm.ARCHIVE)
def out(uow: UnitOfWork) -> Any:
    """Tubes taken out and not put back."""
    return page("specimens/archive_out.html", rows=storage_queries.out(uow, uow.now), limit=uow.now - rules.OUT_LIMIT)


@STORAGE.get("/sp/archive/racks", Perm.ARCHIVE)
def racks(uow: UnitOfWork) -> Any:
    """Racks, how full they are, and a form for a new one."""
    start = max(0, request.args.get("from", 0, int))
    found = storage_queries.racks(uow, start, storage_queries.PAGE)
    return page("specimens/racks.html", racks=found, start=start, size=storage_queries.PAGE)


@STORAGE.post("/sp/archive/racks", Perm.ARCHIVE)
def new_rack(uow: UnitOfWork) -> Any:
    """Register a rack."""
    form = request.form
    size = (form.get("rows", 5, int), form.get("cols", 10, int))
    storage.make_rack(uow, NewRack(form.get("code", ""), form.get("name", ""), form.get("place", ""), form.get("condition", ""), *size))
    return redirect_to("/sp/archive/racks")


# --- discarding -----------------------------------------------------------------------------------------------------


@STORAGE.get("/sp/discard", Perm.ARCHIVE)
def discards(uow: UnitOfWork) -> Any:
    """Batches that wait, the register of the last weeks, and how much is due."""
    rows = storage_queries.batches(uow, before=_number("before"))
    today = uow.now.astimezone(ZONE).date()
    context: dict[str, Any] = {"rows": rows, "words": rules.BATCH_WORDS, "due": len(discard.due(uow)), "size": storage_queries.PAGE}
    return page("specimens/discards.html", first=today.replace(day=1), last=today, **context)


@STORAGE.post("/sp/discard", Perm.DISCARD)
def propose(uow: UnitOfWork) -> Any:
    """A batch of what is due now, of one rack or of all."""
    batch = discard.propose(uow, _number("rack") or 0)
    if batch is None:
        raise Invalid("没有保存期已到、可以销毁的标本。")
    return redirect_to(f"/sp/discard/{batch.id}")


@STORAGE.get("/sp/discard/<int:batch_id>", Perm.ARCHIVE)
def batch(uow: UnitOfWork, batch_id: int) -> Any:
    """One batch: what to fetch from where, and the two signatures."""
    found = storage_queries.batch(uow, batch_id)
    if found is None:
        raise NotFound("这张销毁单")
    rows = storage_queries.lines(uow, batch_id, _number("after") or 0)
    context: dict[str, Any] = {"rows": rows, "words": rules.BATCH_WORDS, "methods": METHODS}
    return page("specimens/discard.html", batch=found, me=principal().user_id, size=storage_queries.PAGE, **context, **_base(uow))


@STORAGE.post("/sp/discard/<int:batch_id>/<act>", Perm.DISCARD)
def decide(uow: UnitOfWork, batch_id: int, act: str) -> Any:
    """keep (some tubes), sign, withdraw, second, cancel."""
    form, version = request.form, _number("version") or 0
    if act == "keep":
        discard.keep(uow, batch_id, form.getlist("line", type=int), form.get("why", ""))
    elif act == "sign":
        discard.sign_first(uow, batch_id, version, form.get("method", ""), form.get("autoclave", ""))
    elif act == "withdraw":
        discard.withdraw(uow, batch_id, version)
    elif act == "second":
        discard.sign_second(uow, batch_id, version)
    elif act == "cancel":
        discard.cancel(uow, batch_id, version, form.get("why", ""))
    else:
        raise NotFound("这项操作")
    return redirect_to(f"/sp/discard/{batch_id}")


@STORAGE.post("/sp/discard/register", Perm.ARCHIVE)
def register(uow: UnitOfWork) -> Any:
    """The register of discarded tubes of some days, printed or as a workbook."""
    today = uow.now.astimezone(ZONE).date()
    first, last = _day("first") or today.replace(day=1), _day("last") or today
    if first > last:
        raise Invalid("开始日期晚于结束日期，请核对。", "first")
    who = principal()
    made = storage_printing.register_document(storage_queries.register(uow, first, last), (first, last), who.tenant_name, who.name, uow.now)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), "/sp/discard"))


def _day(name: str) -> date | None:
    value = request.form.get(name, "").strip()
    try:
        return date.fromisoformat(value) if value else None
    except ValueError as error:
        raise Invalid("日期请写成 2026-11-22。", name) from error
