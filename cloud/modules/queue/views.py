"""Pages of the queue: the phlebotomist's window, the hall's screen, the guide's desk, the board; and the kiosk's door."""

from __future__ import annotations

import json
import time
from typing import Any

import structlog
from flask import Response, jsonify, request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import service as platform
from cloud.modules.queue import kiosk, queries, rules, service, windows
from cloud.modules.queue.rules import Klass, Perm, Ticket
from cloud.modules.specimens import service as specimens
from cloud.web.faults import STATUS, Invalid, NotFound
from cloud.web.i18n import in_english
from cloud.web.page import fragment, is_fragment, page, redirect_to
from cloud.web.view import Access, Views, principal, web
from common.errors import UserError

VIEWS = Views("queue", __name__)
PRINT_WAIT_S = 8.0
MAX_KIOSK_BYTES = 16_384
log = structlog.get_logger("kiosk")


def _base(uow: UnitOfWork) -> dict[str, Any]:
    return {
        "classes": rules.KLASS_WORDS,
        "services": rules.SERVICE_WORDS,
        "states": rules.STATE_WORDS,
        "window_states": rules.WINDOW_WORDS,
        "proofs": rules.PROOFS,
        "identifiers": specimens.IDENTIFIERS,
        "sexes": {"M": "男", "F": "女"},
        "signs": {"ok": "✓", "warn": "!", "bad": "✕"},
        "voice": rules.voice,
        "now": uow.now,
        "known": md.catalog(uow),
    }


# --- the window ---------------------------------------------------------------------------------------------------------------------------


@VIEWS.get("/queue/window", Perm.WINDOW)
def choose_window(uow: UnitOfWork) -> Any:
    """Choose where to sit; one's own window opens by itself."""
    rows = queries.windows(uow)
    mine = [each for each in rows if each.operator_id == principal().user_id and each.state != rules.Window.CLOSED]
    if mine and not request.args.get("all"):
        return redirect_to(f"/queue/window/{mine[0].id}")
    return page("queue/windows.html", rows=rows, **_base(uow))


@VIEWS.post("/queue/window/<int:window_id>/open", Perm.WINDOW)
def open_window(uow: UnitOfWork, window_id: int) -> Any:
    """Sit down at a window, or go on after a pause."""
    windows.open_window(uow, window_id)
    return redirect_to(f"/queue/window/{window_id}")


@VIEWS.post("/queue/window/<int:window_id>/close", Perm.WINDOW)
def close_window(uow: UnitOfWork, window_id: int) -> Any:
    """Leave the window."""
    windows.close_window(uow, window_id)
    return redirect_to("/queue/window?all=1")


@VIEWS.get("/queue/window/<int:window_id>", Perm.WINDOW)
def window(uow: UnitOfWork, window_id: int) -> Any:
    """The window's work."""
    return page("queue/window.html", "line", **_desk(uow, window_id))


@VIEWS.post("/queue/window/<int:window_id>/<verb>", Perm.WINDOW)
def act(uow: UnitOfWork, window_id: int, verb: str) -> Any:
    """One step at the window: next, recall, pass, done, pause, print."""
    steps = {
        "next": windows.call_next,
        "recall": windows.recall,
        "pass": windows.pass_ticket,
        "done": windows.done,
        "pause": windows.pause_window,
    }
    extra: dict[str, Any] = {}
    sound = "ok"
    if verb == "print":
        made, job = windows.print_labels(uow, window_id)
        extra = {"documents": made, "job_id": job.id}
    elif verb == "scan":
        extra, sound = _scan(uow, window_id)
    elif verb in steps:
        if steps[verb](uow, window_id) is None and verb == "next":
            extra, sound = {"nobody": True}, "warn"
    else:
        raise NotFound("这个操作")
    uow.s.flush()
    if not is_fragment():
        return redirect_to(f"/queue/window/{window_id}")
    return fragment("queue/window.html", "desk", trigger=json.dumps({"sound": sound}), **_desk(uow, window_id), **extra)


def _scan(uow: UnitOfWork, window_id: int) -> tuple[dict[str, Any], str]:
    """The window's one scan field: before serving it proves who came, afterwards it closes tubes."""
    code, ticket = request.form.get("code", ""), windows.current(uow, window_id)
    if ticket is not None and ticket.state == Ticket.SERVING:
        answer = windows.scan_tube(uow, window_id, code)
        return {"answer": answer}, answer.sound
    windows.serve(uow, window_id, code, request.form.getlist("identifier"))
    return {}, "ok"


def _desk(uow: UnitOfWork, window_id: int) -> dict[str, Any]:
    here = queries.window(uow, window_id)
    if here is None:
        raise NotFound("这个窗口")
    ticket = windows.current(uow, window_id)
    context: dict[str, Any] = {"window": here, "mine": here.operator_id == principal().user_id, "ticket": None, "person": None}
    if ticket is not None:
        context["ticket"] = queries.ticket(uow, ticket.id)
        person = None if ticket.patient_id is None else specimens.person(uow, ticket.patient_id)
        context["person"] = person
        if person is not None and ticket.state == Ticket.SERVING:
            platform.log_read(uow, person.id, "采血", f"/queue/window/{window_id}")
            age = md.subject_age(person.birth, person.age_text, uow.now)
            context |= {"plan": specimens.plan_tubes(uow, person), "tubes": specimens.open_tubes(uow, person.id), "age": age}
    return {**context, "hall": queries.hall(uow, here.hall, tuple(here.services)), **_base(uow)}


# --- screens ------------------------------------------------------------------------------------------------------------------------------


@VIEWS.get("/queue/screen", Perm.SCREEN)
def screens(uow: UnitOfWork) -> Any:
    """The halls that have a screen."""
    return page("queue/screens.html", halls=queries.halls(uow), **_base(uow))


@VIEWS.get("/queue/screen/<hall>", Perm.SCREEN)
def screen(uow: UnitOfWork, hall: str) -> Any:
    """What a hall sees and hears, read from ten metres; names are masked."""
    if hall not in queries.halls(uow):
        raise NotFound("这个大厅")
    return page("queue/screen.html", "board", hall=queries.hall(uow, hall), hospital=service.hospital(uow)[1], **_base(uow))


# --- the guide's desk ---------------------------------------------------------------------------------------------------------------------


@VIEWS.get("/queue/guide", Perm.GUIDE)
def guide(uow: UnitOfWork) -> Any:
    """Help people check in, give priority, hold a place."""
    halls = queries.halls(uow)
    hall = request.args.get("hall", halls[0] if halls else "")
    if halls and hall not in halls:
        raise NotFound("这个大厅")
    return page("queue/guide.html", "line", halls=halls, hall=queries.hall(uow, hall) if halls else None, told=None, **_base(uow))


@VIEWS.post("/queue/guide/checkin", Perm.GUIDE)
def guide_check_in(uow: UnitOfWork) -> Any:
    """Check somebody in at the desk, with a class and its proof."""
    hall = request.form.get("hall", "")
    if hall not in queries.halls(uow):
        raise NotFound("这个大厅")
    klass = request.form.get("klass") or None
    if klass is not None and klass not in tuple(Klass):
        raise Invalid("请选择号别。", field="klass")
    proof = request.form.get("proof") or None
    told = service.check_in(uow, request.form.get("code", ""), hall, klass=None if klass is None else Klass(klass), proof=proof)
    uow.s.flush()
    context = {"hall": queries.hall(uow, hall), "told": told, **_base(uow)}
    return fragment("queue/guide.html", "told", trigger='{"sound":"ok","queue-changed":""}', **context)


@VIEWS.post("/queue/tickets/<int:ticket_id>/<verb>", Perm.GUIDE)
def ticket_act(uow: UnitOfWork, ticket_id: int, verb: str) -> Any:
    """hold, resume, priority, cancel, print."""
    row = queries.ticket(uow, ticket_id)
    if row is None:
        raise NotFound("这张号票")
    if verb == "print":
        job = windows.print_ticket(uow, ticket_id)
        return fragment("queue/guide.html", "printed", job_id=job.id, **_base(uow))
    if verb == "hold":
        windows.hold(uow, ticket_id)
    elif verb == "resume":
        windows.resume(uow, ticket_id)
    elif verb == "priority":
        windows.give_priority(uow, ticket_id, request.form.get("proof", ""))
    elif verb == "cancel":
        windows.cancel(uow, ticket_id, request.form.get("reason", ""))
    else:
        raise NotFound("这个操作")
    return redirect_to("/queue/guide")


@VIEWS.get("/queue/tickets/jobs/<int:job_id>.<kind>", Perm.GUIDE)
def ticket_file(uow: UnitOfWork, job_id: int, kind: str) -> Any:
    """The ticket as PDF or ESC/POS; waits for the worker."""
    if kind not in ("pdf", "bin"):
        raise NotFound("这个文件")
    job = queries.ticket_job(uow, job_id)
    end = time.monotonic() + PRINT_WAIT_S
    while job is not None and job.pdf is None and job.error is None and time.monotonic() < end:
        time.sleep(0.03)
        with web().db.tenant(uow.tenant_id, uow.actor) as look:
            job = queries.ticket_job(look, job_id)
    if job is None:
        raise NotFound("这个打印任务")
    data = job.pdf if kind == "pdf" else job.escpos
    if data is None:
        raise Invalid(job.error or "小票还没有生成，打印服务没有响应。请稍后再试。")
    mime = "application/pdf" if kind == "pdf" else "application/octet-stream"
    return Response(data, mimetype=mime, headers={"Content-Disposition": f'inline; filename="ticket-{job_id}.{kind}"'})


# --- the board ----------------------------------------------------------------------------------------------------------------------------


@VIEWS.get("/queue/board", Perm.BOARD)
def board(uow: UnitOfWork) -> Any:
    """How the halls stand."""
    return page("queue/board.html", "rows", rows=queries.board(uow), windows=queries.windows(uow), **_base(uow))


# --- the kiosk's door ---------------------------------------------------------------------------------------------------------------------


@VIEWS.post("/queue/kiosk/checkin", Access.PUBLIC)
def kiosk_door() -> Any:
    """A signed question of a kiosk; no session, the signature says who asks."""
    data = request.get_data(cache=False) if (request.content_length or 0) <= MAX_KIOSK_BYTES else b""
    try:
        return jsonify(kiosk.answer(web().db, data, request.remote_addr or ""))
    except kiosk.Refused as error:
        log.warning("kiosk_refused", code=error.code)
        return jsonify({"code": "refused", "message": "自助机没有被本院登记，请联系信息管理组。"}), 403
    except UserError as error:
        said = {"message": error.message, "english": in_english(error.message)}
        return jsonify({"code": error.code, **said}), STATUS.get(error.code, 422)
