"""The board of critical values: who waits for a call, since when, and the call with its read-back."""

from __future__ import annotations

from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.critical import queries, service
from cloud.modules.critical.rules import Perm
from cloud.modules.platform import service as platform
from cloud.web.faults import NotFound
from cloud.web.page import fragment, page
from cloud.web.view import Views

VIEWS = Views("critical", __name__)
OK, BAD = '{"sound":"ok"}', '{"sound":"bad"}'


@VIEWS.get("/critical/board", Perm.READ)
def board(uow: UnitOfWork) -> Any:
    """Open critical values, oldest first, each with its clock."""
    return page("critical/board.html", block="rows", lines=queries.board(uow))


@VIEWS.get("/critical/phone/<int:event_id>", Perm.HANDLE)
def phone(uow: UnitOfWork, event_id: int) -> Any:
    """One event: what to say, whom it was tried with, the read-back form."""
    return page("critical/phone.html", line=_line(uow, event_id), problem=None, typed={})


@VIEWS.post("/critical/<int:event_id>/confirm", Perm.HANDLE)
def confirm(uow: UnitOfWork, event_id: int) -> Any:
    """Tube, curve and QC were checked."""
    service.confirm(uow, event_id, _version())
    return _rows(uow)


@VIEWS.post("/critical/phone/<int:event_id>", Perm.HANDLE)
def tell(uow: UnitOfWork, event_id: int) -> Any:
    """A call was made; it counts only with an equal read-back, and is kept either way (AC-CV-4)."""
    form = request.form
    problem = service.tell(uow, event_id, _version(), form.get("receiver", ""), form.get("readback", ""))
    uow.s.flush()
    typed = form if problem else {}
    return fragment("critical/phone.html", "event", trigger=BAD if problem else OK, line=_line(uow, event_id), problem=problem, typed=typed)


@VIEWS.post("/critical/<int:event_id>/handle", Perm.HANDLE)
def handle(uow: UnitOfWork, event_id: int) -> Any:
    """What the ward did."""
    service.handle(uow, event_id, _version(), request.form.get("action", ""))
    return _event(uow, event_id)


@VIEWS.post("/critical/<int:event_id>/dismiss", Perm.HANDLE)
def dismiss(uow: UnitOfWork, event_id: int) -> Any:
    """Not a critical value after all, and why."""
    service.dismiss(uow, event_id, _version(), request.form.get("reason", ""))
    return _event(uow, event_id)


def _version() -> int:
    return request.form.get("version", type=int) or 0


def _rows(uow: UnitOfWork) -> Any:
    uow.s.flush()
    return fragment("critical/board.html", "rows", trigger=OK, lines=queries.board(uow))


def _event(uow: UnitOfWork, event_id: int) -> Any:
    uow.s.flush()
    return fragment("critical/phone.html", "event", trigger=OK, line=_line(uow, event_id), problem=None, typed={})


def _line(uow: UnitOfWork, event_id: int) -> queries.Line:
    found = queries.one(uow, event_id)
    if found is None:
        raise NotFound("该危急值")
    platform.log_read(uow, found.event.patient_id, "critical", request.path)
    return found
