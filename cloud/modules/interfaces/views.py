"""Pages of the interfaces: the board, the messages of both directions, the codes nobody has mapped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import request
from werkzeug.datastructures import MultiDict

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as catalog
from cloud.modules.catalog import service as catalog_service
from cloud.modules.interfaces import issues, masking, printed, queries, rules, service
from cloud.modules.interfaces.rules import Perm
from cloud.modules.orders import queries as orders
from cloud.modules.platform import lists
from cloud.modules.platform import service as platform
from cloud.modules.reports import queries as reports
from cloud.reports.documents import ListDocument
from cloud.web.faults import Invalid, NotFound
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal
from common.say import say

VIEWS = Views("interfaces", __name__)
WORDS: dict[str, Mapping[str, str]] = {
    "health": printed.HEALTH,
    "out": {s.value: text for s, text in rules.STATE_TEXT.items()},
    "in": {"applied": "已处理", "parked": "暂存等待", "quarantined": "隔离", "refused": "拒收", "closed": "已关闭"},
    "issue": issues.KINDS,
}


@VIEWS.get("/if/board", Perm.BOARD)
def board(uow: UnitOfWork) -> Any:
    """Each endpoint's lag, errors and last success, and what waits for a person."""
    context: dict[str, Any] = {"rows": queries.board(uow), "issues": queries.open_issues(uow), "words": WORDS}
    return page("interfaces/board.html", "rows", may_list=principal().may(Perm.MESSAGES), **context)


@VIEWS.post("/if/issues/<int:issue_id>/close", Perm.RESEND)
def close_issue(uow: UnitOfWork, issue_id: int) -> Any:
    """Say how it was dealt with."""
    service.close_issue(uow, issue_id, request.form.get("reason", ""))
    return redirect_to("/if/board")


@VIEWS.get("/if/report/<no>", reports.READ)
def of_report(uow: UnitOfWork, no: str) -> Any:
    """Whether a told report has reached the systems that wait for it: a part of its page."""
    told = reports.released(uow, no)
    if told is None or not places.covers(uow, told.section_id):
        raise NotFound("该报告")
    rows = queries.delivery_states(uow, told.report_id, told.current_no)
    return page("interfaces/of_report.html", rows=rows, words=WORDS, may_open=principal().may(Perm.MESSAGES))


@VIEWS.get("/if/messages", Perm.MESSAGES)
def messages(uow: UnitOfWork) -> Any:
    """Messages of one direction, newest first."""
    asked = request.args
    f = _filter(asked)
    rows = queries.messages(uow, f, asked.get("before", None, int))
    context: dict[str, Any] = {"rows": rows, "f": f, "words": WORDS, "size": queries.PAGE, "clear": principal().may(Perm.RAW)}
    return page("interfaces/messages.html", "rows", narrowed=_narrowed(f), **context)


@VIEWS.post("/if/board/export", Perm.BOARD, reads=True)
def board_export(uow: UnitOfWork) -> Any:
    """The endpoints on paper or in a workbook; ``what=issues``: what waits for a person."""
    if request.form.get("what") == "issues":
        return _asked(uow, printed.issues(queries.open_issues(uow), *_by(uow)), "/if/board")
    return _asked(uow, printed.board(queries.board(uow), *_by(uow)), "/if/board")


@VIEWS.post("/if/messages/export", Perm.MESSAGES, reads=True)
def messages_export(uow: UnitOfWork) -> Any:
    """The messages as they are narrowed, without what they are about."""
    f = _filter(request.form)
    made = printed.messages(queries.messages(uow, f, limit=lists.MOST), WORDS[f.direction], *_by(uow))
    return _asked(uow, made, f"/if/messages?{urlencode(_narrowed(f))}")


@VIEWS.post("/if/quarantine/export", Perm.MESSAGES, reads=True)
def quarantine_export(uow: UnitOfWork) -> Any:
    """The refused messages that wait, oldest first."""
    rows, _total = queries.quarantine(uow, lists.MOST)
    return _asked(uow, printed.messages(rows, WORDS["in"], *_by(uow), title="隔离的消息"), "/if/quarantine")


def _asked(uow: UnitOfWork, made: ListDocument, back: str) -> Any:
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), back))


def _by(uow: UnitOfWork) -> tuple[str, str, datetime]:
    return principal().tenant_name, principal().name, uow.now


def _filter(asked: MultiDict[str, str]) -> queries.MessageFilter:
    get = asked.get
    direction = "in" if get("dir") == "in" else "out"
    text, endpoint = get("q", "").strip(), get("endpoint", "").strip()
    return queries.MessageFilter(direction, get("state", ""), text, endpoint, get("day") == "1", get("failed") == "1")


def _narrowed(f: queries.MessageFilter) -> dict[str, str]:
    """The filter as an address says it."""
    said = {"dir": f.direction, "state": f.state, "q": f.text, "endpoint": f.endpoint, "day": "1" * f.day, "failed": "1" * f.failed}
    return {name: value for name, value in said.items() if value}


@VIEWS.get("/if/messages/in/<int:message_id>", Perm.MESSAGES)
def inbox_message(uow: UnitOfWork, message_id: int) -> Any:
    """One message that came in, raw and answer."""
    return _show(uow, queries.inbox_message(uow, message_id))


@VIEWS.get("/if/quarantine", Perm.MESSAGES)
def quarantine(uow: UnitOfWork) -> Any:
    """Messages that were refused and still wait for a person, oldest first."""
    rows, total = queries.quarantine(uow)
    told = {"done": request.args.get("done", type=int), "left": request.args.get("left", type=int)}
    return page("interfaces/quarantine.html", rows=rows, total=total, words=WORDS, now=uow.now, told=told, clear=principal().may(Perm.RAW))


@VIEWS.post("/if/quarantine", Perm.RESEND)
def reprocess_all(uow: UnitOfWork) -> Any:
    """Judge the ticked messages anew."""
    chosen = request.form.getlist("id", type=int)
    if not chosen:
        raise Invalid(say("请先勾选要重新处理的消息。"), "id")
    done, left = service.reprocess_all(uow, chosen)
    return redirect_to(f"/if/quarantine?done={done}&left={len(left)}")


@VIEWS.post("/if/messages/in/<int:message_id>/reprocess", Perm.RESEND)
def reprocess(uow: UnitOfWork, message_id: int) -> Any:
    """Judge one message anew; the page shows what came of it."""
    service.reprocess(uow, message_id)
    return redirect_to(f"/if/messages/in/{message_id}")


@VIEWS.post("/if/messages/in/<int:message_id>/close", Perm.RESEND)
def close_message(uow: UnitOfWork, message_id: int) -> Any:
    """A refused message nobody needs any more."""
    service.close_message(uow, message_id, request.form.get("reason", ""))
    return redirect_to("/if/quarantine")


@VIEWS.get("/if/messages/out/<int:message_id>", Perm.MESSAGES)
def delivery(uow: UnitOfWork, message_id: int) -> Any:
    """One message that goes out, with its delivery."""
    return _show(uow, queries.delivery(uow, message_id))


@VIEWS.post("/if/messages/out/<int:message_id>/resend", Perm.RESEND)
def resend(uow: UnitOfWork, message_id: int) -> Any:
    """A dead letter goes again."""
    service.resend(uow, message_id)
    return redirect_to(f"/if/messages/out/{message_id}")


@VIEWS.post("/if/messages/out/<int:message_id>/close", Perm.RESEND)
def close(uow: UnitOfWork, message_id: int) -> Any:
    """A dead letter somebody dealt with otherwise."""
    service.close(uow, message_id, request.form.get("reason", ""))
    return redirect_to(f"/if/messages/out/{message_id}")


@VIEWS.get("/if/maps", Perm.MAPS)
def maps(uow: UnitOfWork) -> Any:
    """Codes that came in and mean nothing yet."""
    sets = sorted((s for s in catalog.catalog(uow).order_sets.values() if s.active), key=lambda s: s.code)
    return page("interfaces/maps.html", "rows", rows=orders.unmapped_codes(uow), sets=sets)


@VIEWS.post("/if/maps", Perm.MAPS)
def map_code(uow: UnitOfWork) -> Any:
    """Give a code its order set; waiting items follow by event."""
    form = request.form
    catalog_service.map_his_code(uow, form.get("source", ""), form.get("code", ""), form.get("order_set", ""), form.get("name", ""))
    return redirect_to("/if/maps")


def _show(uow: UnitOfWork, found: queries.MessageDetail | None) -> Any:
    if found is None:
        raise NotFound("这条消息")
    clear = principal().may(Perm.RAW)
    raw, answer = masking.text_of(found.raw), masking.text_of(found.answer)
    if clear and found.patient_id is not None:
        platform.log_read(uow, found.patient_id, "interface", request.path)
    if not clear:
        raw, answer = masking.mask(raw), masking.mask(answer)
    return page("interfaces/message.html", "detail", m=found, raw=raw, answer=answer, clear=clear, words=WORDS)
