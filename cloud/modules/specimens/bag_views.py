"""Pages of bags (the ward packs, the desk compares) and of adding requests to a tube that is here."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.specimens import add_on, bag_rules, bags, logger, rules, service
from cloud.modules.specimens.models import SpecimenBag
from cloud.modules.specimens.rules import Finding, Perm
from cloud.web.faults import Invalid, NotFound
from cloud.web.page import is_fragment, page, redirect_to
from cloud.web.view import Views, principal
from common.errors import UserError
from common.say import say

BAGS = Views("specimen_bags", __name__)
SIGNS = {"ok": "✓", "warn": "!", "bad": "✕"}


@BAGS.get("/sp/bag", Perm.READ)
def bag_list(uow: UnitOfWork) -> Any:
    """Bags on the way (``sent=1``: only these), and those of the last day; a scanned bag opens."""
    found = bags.on_the_way(uow) if request.args.get("sent") else bags.bag_list(uow, uow.now - timedelta(days=1))
    return page("specimens/bags.html", bags=found, words=bag_rules.BAG_WORDS)


@BAGS.get("/sp/bag/pack", Perm.COLLECT)
def pack_page(uow: UnitOfWork) -> Any:
    """The ward packs: bag first, then tube after tube."""
    return page("specimens/pack.html", bag=None, answer=None, lines=[], **_base(uow))


@BAGS.post("/sp/bag/pack", Perm.COLLECT)
def pack(uow: UnitOfWork) -> Any:
    """One tube into the bag."""
    typed = request.form.get("bag", "")
    try:
        bag_id, answer = bags.pack(uow, typed, request.form.get("code", ""), principal().workstation)
    except UserError as wrong:
        if wrong.fields.get("field") != "bag" or not is_fragment():
            raise
        # The wrong code leaves the bag's field with the answer: the next scan is the bag's.
        refused: dict[str, Any] = {"bag": None, "answer": service.Answer(Finding.UNKNOWN, wrong.message, typed), "again": True}
        return page("specimens/pack.html", "packed", trigger=_sound("bad"), **refused, **_base(uow))
    context = {"bag": bags.bag(uow, bag_id), "answer": answer, "lines": bags.lines(uow, bag_id), **_base(uow)}
    return page("specimens/pack.html", "packed", trigger=_sound(answer.sound), **context)


@BAGS.post("/sp/bag/<int:bag_id>/send", Perm.COLLECT)
def send(uow: UnitOfWork, bag_id: int) -> Any:
    """The ward closes the bag and hands it over."""
    bags.send(uow, bag_id, request.form.get("courier", ""), request.form.get("destination", ""), request.form.get("logger", ""))
    return redirect_to("/sp/bag")


@BAGS.post("/sp/bag/open", Perm.RECEIVE)
def open_bag(uow: UnitOfWork) -> Any:
    """The desk scans a bag."""
    return redirect_to(f"/sp/bags/{bags.open_bag(uow, request.form.get('code', ''))}")


@BAGS.get("/sp/bags/<int:bag_id>", Perm.READ)
def compare(uow: UnitOfWork, bag_id: int) -> Any:
    """One bag: its list against what was scanned."""
    return page("specimens/bag.html", answer=None, **_bag(uow, bag_id))


@BAGS.post("/sp/bags/<int:bag_id>/scan", Perm.RECEIVE)
def scan(uow: UnitOfWork, bag_id: int) -> Any:
    """One tube out of the bag: compared and received."""
    answer = bags.scan_out(uow, bag_id, request.form.get("code", ""), place=principal().workstation)
    uow.s.flush()
    return page("specimens/bag.html", "compared", trigger=_sound(answer.sound), answer=answer, again=is_fragment(), **_bag(uow, bag_id))


@BAGS.post("/sp/bags/<int:bag_id>/temperature", Perm.RECEIVE)
def temperature(uow: UnitOfWork, bag_id: int) -> Any:
    """What the bag's logger showed."""
    out = bags.read_logger(uow, bag_id, request.form.get("low", ""), request.form.get("high", ""))
    trigger = _sound("ok" if out is None else "bad")
    return page("specimens/bag.html", "compared", trigger=trigger, answer=None, again=is_fragment(), **_bag(uow, bag_id))


@BAGS.post("/sp/bags/<int:bag_id>/logger", Perm.RECEIVE)
def logger_file(uow: UnitOfWork, bag_id: int) -> Any:
    """The logger's own file."""
    file = request.files.get("file")
    if file is None or not file.filename:
        raise Invalid(say("请先选择记录仪导出的 CSV 文件。"), "file")
    bags.read_file(uow, bag_id, file.filename, file.read(logger.MOST_BYTES + 1))
    return redirect_to(f"/sp/bags/{bag_id}")


@BAGS.post("/sp/bags/<int:bag_id>/close", Perm.RECEIVE)
def close(uow: UnitOfWork, bag_id: int) -> Any:
    """The desk's last word on the bag."""
    bags.close(uow, bag_id, request.form.get("version", 0, type=int), request.form.get("note", ""))
    return redirect_to("/sp/bag")


def _bag(uow: UnitOfWork, bag_id: int) -> dict[str, Any]:
    found = bags.bag(uow, bag_id)
    if found is None:
        raise NotFound("这个袋子")
    return {
        "bag": found,
        "lines": bags.lines(uow, bag_id),
        "balance": bags.balance_of(uow, bag_id),
        **_temperature(uow, found),
        **_base(uow),
    }


def _temperature(uow: UnitOfWork, found: SpecimenBag) -> dict[str, Any]:
    allowed = bags.allowed(uow)
    read = None if found.temp_low is None or found.temp_high is None else bag_rules.Reading(found.temp_low, found.temp_high)
    out = None if read is None else bag_rules.excursion(read, allowed)
    return {"allowed": allowed, "out": out, "curve": logger.drawn(bags.curve_of(found), allowed)}


def _base(uow: UnitOfWork) -> dict[str, Any]:
    return {"known": md.catalog(uow), "signs": SIGNS, "words": bag_rules.BAG_WORDS, "states": rules.STATE_WORDS}


def _sound(kind: str) -> str:
    return json.dumps({"sound": kind})


# --- add-on ---------------------------------------------------------------------------------------------------------


@BAGS.get("/orders/addon", Perm.RECEIVE)
def add_on_page(uow: UnitOfWork) -> Any:
    """Scan a tube: what waits for its patient, and whether it may be measured from this tube."""
    code = request.args.get("code", "")
    return page("specimens/add_on.html", code=code, found=add_on.table(uow, code) if code.strip() else None, **_base(uow))


@BAGS.post("/orders/addon", Perm.RECEIVE)
def add_on_save(uow: UnitOfWork) -> Any:
    """Measure the ticked requests from this tube."""
    specimen_id = request.form.get("specimen_id", 0, type=int)
    add_on.add(uow, specimen_id, request.form.getlist("id", type=int))
    return redirect_to(f"/sp/tubes/{specimen_id}")
