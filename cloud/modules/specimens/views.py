"""Pages of tubes: labels, collection, receipt, rejection, and where a tube is now. Made for a scanner that ends with Enter."""

from __future__ import annotations

import json
import time
import uuid
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.orders import queries as orders
from cloud.modules.orders.messages import Registration
from cloud.modules.platform import service as platform
from cloud.modules.specimens import queries, rules, service, storage_queries, strays
from cloud.modules.specimens.rules import Finding, Perm
from cloud.modules.specimens.service import Answer
from cloud.web.faults import Invalid, NotFound
from cloud.web.page import fragment, is_fragment, page, redirect_to
from cloud.web.view import Views, principal, web

VIEWS = Views("specimens", __name__)
LABEL_WAIT_S = 8.0
STATUS = {Finding.OK: 200, Finding.DOUBLE: 200, Finding.UNKNOWN: 404, Finding.CHECK_DIGIT: 422, Finding.WRONG_KIND: 422}
SIGNS = {"ok": "✓", "warn": "!", "bad": "✕"}


def _base(uow: UnitOfWork) -> dict[str, Any]:
    words = {
        "words": rules.STATE_WORDS,
        "event_words": rules.EVENT_WORDS,
        "stages": rules.RECOLLECT_WORDS,
        "issue_words": rules.ISSUE_WORDS,
        "may_note": rules.MAY_NOTE,
        "signs": SIGNS,
        "sexes": {"M": "男", "F": "女"},
    }
    return {"known": md.catalog(uow), "age": _age(uow), "identifiers": service.IDENTIFIERS, **words}


def _age(uow: UnitOfWork) -> Any:
    def told(person: Any) -> str:
        age = md.subject_age(person.birth, person.age_text, uow.now)
        return "" if age is None else age.text()

    return told


def _number(name: str) -> int:
    value = request.form.get(name, "")
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        raise Invalid("表单缺少内容，请刷新页面后重试。", field=name)
    return int(value)


# --- labels -------------------------------------------------------------------------------------------------------------------------------


@VIEWS.get("/sp/labels", Perm.LABEL)
def labels(uow: UnitOfWork) -> Any:
    """Who needs labels; a scanned card, ticket or number opens the patient's plan."""
    code = request.args.get("code", "")
    context = {**_base(uow), "code": code, "plan": None, "missing": bool(code)}
    person = service.find_person(uow, code) if code else None
    if person is not None:
        platform.log_read(uow, person.id, "打印标签", request.path)
        context |= {"plan": service.plan_tubes(uow, person), "person": person, "missing": False, "open": service.open_tubes(uow, person.id)}
        context["lapsed"] = orders.lapsed_of(uow, person.id)
    return page("specimens/labels.html", "plan", patients=queries.waiting_patients(uow, principal().wards), **context)


@VIEWS.post("/sp/labels/print", Perm.LABEL)
def print_labels(uow: UnitOfWork) -> Any:
    """Two identifiers checked: make the tubes and print."""
    items = request.form.getlist("item", type=int)
    made, job = service.print_labels(uow, _number("patient_id"), items, request.form.getlist("identifier"))
    uow.s.flush()
    patients = queries.waiting_patients(uow, principal().wards)  # who was just printed leaves the list beside it
    return fragment(
        "specimens/labels.html", "printed", trigger=_sound("ok"), documents=made, job_id=job.id, patients=patients, **_base(uow)
    )


@VIEWS.post("/sp/labels/reprint", Perm.LABEL)
def reprint(uow: UnitOfWork) -> Any:
    """The same label again, with the reason."""
    made, job = service.reprint(uow, _number("specimen_id"), request.form.get("reason", ""))
    return fragment("specimens/labels.html", "printed", trigger=_sound("ok"), documents=made, job_id=job.id, **_base(uow))


@VIEWS.get("/sp/labels/jobs/<int:job_id>.<kind>", Perm.LABEL)
def label_file(uow: UnitOfWork, job_id: int, kind: str) -> Any:
    """The labels as PDF or ZPL; waits for the worker, which takes some ten milliseconds a label."""
    if kind not in ("pdf", "zpl"):
        raise NotFound("这个文件")
    job = queries.label_job(uow, job_id)
    end = time.monotonic() + LABEL_WAIT_S
    while job is not None and job.pdf is None and job.error is None and time.monotonic() < end:
        time.sleep(0.03)
        # Each look is a transaction of its own: this one must not hold a connection's snapshot while it waits.
        with web().db.tenant(uow.tenant_id, uow.actor) as look:
            job = queries.label_job(look, job_id)
    if job is None:
        raise NotFound("这个打印任务")
    if job.error is not None:
        raise Invalid(job.error)
    data = job.pdf if kind == "pdf" else job.zpl
    if data is None:
        raise Invalid("标签还没有生成，打印服务没有响应。请稍后再试；一直不行请联系信息管理组。")
    mime = "application/pdf" if kind == "pdf" else "application/octet-stream"
    return Response(data, mimetype=mime, headers={"Content-Disposition": f'inline; filename="labels-{job_id}.{kind}"'})


# --- collection ---------------------------------------------------------------------------------------------------------------------------


@VIEWS.get("/sp/collect", Perm.COLLECT)
def collect(uow: UnitOfWork) -> Any:
    """Scan the patient, then each tube closed."""
    return page("specimens/collect.html", person=None, answer=None, tubes=[], **_base(uow))


@VIEWS.post("/sp/collect", Perm.COLLECT)
def collect_scan(uow: UnitOfWork) -> Any:
    """One field for both: a ticket, card or number names the patient, a tube is closed for that patient."""
    code, answer = request.form.get("code", ""), None
    scan = service.recognise(uow, code)
    patient_id = request.form.get("patient_id", type=int)
    if patient_id is not None and service.is_tube_scan(scan):
        answer = service.collect(uow, code, patient_id)
        person = service.person(uow, patient_id)
    else:
        person = None if service.is_tube_scan(scan) else service.find_person(uow, code)
        if person is None:
            answer = _no_patient(scan.code, service.is_tube_scan(scan))
            person = None if patient_id is None else service.person(uow, patient_id)
        else:
            platform.log_read(uow, person.id, "采集标本", request.path)
    tubes = [] if person is None else service.open_tubes(uow, person.id)
    sound = answer.sound if answer else "ok"
    context = {"person": person, "answer": answer, "tubes": tubes, **_base(uow)}
    return page("specimens/collect.html", "work", status=_status(answer), trigger=_sound(sound), **context)


def _no_patient(code: str, tube: bool) -> Answer:
    if tube:
        return Answer(Finding.OTHER_PATIENT, "请先扫患者的小票、腕带或就诊卡，再扫试管。", code)
    return Answer(Finding.UNKNOWN, "没有找到这位患者。请核对小票或卡，或输入患者号。", code)


# --- receipt ------------------------------------------------------------------------------------------------------------------------------


@VIEWS.get("/sp/receive", Perm.RECEIVE)
def receive(uow: UnitOfWork) -> Any:
    """The receiving desk."""
    return page("specimens/receive.html", answer=None, **_desk(uow), **_base(uow))


def _desk(uow: UnitOfWork) -> dict[str, Any]:
    coming, urgent = queries.on_the_way(uow)
    return {
        "received": queries.received_today(uow),
        "coming": coming,
        "urgent": urgent,
        "strays": strays.opened(uow),
        "most_strays": strays.SHOWN,
    }


@VIEWS.post("/sp/receive", Perm.RECEIVE)
def receive_scan(uow: UnitOfWork) -> Any:
    """One scan: the big answer, and a line in the list of this session."""
    sections = principal().sections if request.form.get("own") else frozenset()
    answer = service.receive(uow, request.form.get("code", ""), frozenset(sections))
    # A scan before the page's scripts are there is sent by the browser itself, which shows what comes as a page.
    around = {"received": queries.received_today(uow)} if is_fragment() else _desk(uow)
    context = {"answer": answer, "alone": is_fragment(), **around, **_base(uow)}
    return page("specimens/receive.html", "scanned", status=_status(answer), trigger=_sound(answer.sound), **context)


@VIEWS.post("/sp/receive/stray", Perm.RECEIVE)
def stray(uow: UnitOfWork) -> Any:
    """登记为无主标本."""
    strays.register(uow, request.form.get("code", ""), request.form.get("note", ""))
    return page("specimens/receive.html", "strays", trigger=_sound("ok"), answer=None, **_desk(uow), **_base(uow))


@VIEWS.post("/sp/receive/stray/<int:stray_id>", Perm.RECEIVE)
def close_stray(uow: UnitOfWork, stray_id: int) -> Any:
    """Say whose an unknown tube was."""
    strays.close(uow, stray_id, request.form.get("outcome", ""))
    uow.s.flush()
    return page("specimens/receive.html", "strays", trigger=_sound("ok"), answer=None, **_desk(uow), **_base(uow))


@VIEWS.get("/sp/register", Perm.REGISTER)
def register_page(uow: UnitOfWork) -> Any:
    """The tube lies there before the order does: one form for request, label, collection and receipt."""
    return page("specimens/register.html", taken=None, **_register(uow, {}))


@VIEWS.post("/sp/register", Perm.REGISTER)
def register(uow: UnitOfWork) -> Any:
    """Take the tube in; the answer stands above an empty form for the next one."""
    form = request.form
    registration = Registration.read(form)
    at = _moment(form.get("collected_at", ""))
    asked = service.InHand(registration, form.getlist("identifier"), form.get("barcode", ""), at, form.get("collector", ""))
    taken = service.take_in(uow, asked)
    keep = {n: form.get(n, "") for n in ("kind", "dept", "doctor", "paid", "collector")} | {"order_sets": registration.order_sets}
    context = _register(uow, keep if form.get("keep") else {})
    sound = "bad" if taken.limit is not None else "warn" if taken.again else "ok"
    return page("specimens/register.html", "work", trigger=_sound(sound), taken=taken, **context)


def _register(uow: UnitOfWork, keep: dict[str, Any]) -> dict[str, Any]:
    sets, words = orders.order_sets(uow), orders.WORDS
    return {**_base(uow), "key": uuid.uuid4().hex, "sets": sets, "words": words, "keep": keep, "now": uow.now}


def _moment(text: str) -> datetime | None:
    """What the person chose in the hospital's own time; None when nothing was."""
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=ZoneInfo(web().settings.timezone))
    except ValueError as error:
        raise Invalid("采集时间请写成 2026-11-22 08:30。", "collected_at") from error


# --- rejection ----------------------------------------------------------------------------------------------------------------------------


@VIEWS.get("/sp/reject", Perm.REJECT)
def reject_page(uow: UnitOfWork) -> Any:
    """Scan a tube, choose the reason."""
    code = request.args.get("code", "")
    found = service.find(uow, code) if code else []
    tube = found[0] if len(found) == 1 else None
    reasons = sorted(md.catalog(uow).reject_reasons.values(), key=lambda each: each.id)
    context: dict[str, Any] = {
        "code": code,
        "tube": tube,
        "found": found,
        "reasons": reasons,
        "may": tube is not None and rules.refused_as(rules.State(tube.state)) is not None,
        "here": tube is not None and rules.State(tube.state) in rules.IN_LAB,
        "bag": request.args.get("bag", 0, int),
    }
    return page("specimens/reject.html", "form", **context, **_base(uow))


@VIEWS.post("/sp/reject", Perm.REJECT)
def reject(uow: UnitOfWork) -> Any:
    """Reject a tube."""
    form = request.form
    row = service.reject(uow, form.get("code", ""), _number("reason_id"), form.get("note", ""))
    told: dict[str, Any] = {"code": form.get("code", ""), "bag": form.get("bag", 0, int)}
    return page("specimens/reject.html", "rejected", trigger=_sound("ok"), row=row, **told, **_base(uow))


@VIEWS.get("/sp/rejections", Perm.NOTICE)
def rejections(uow: UnitOfWork) -> Any:
    """What the laboratory sent back, unread first; ``unread=1``: only those."""
    return page("specimens/rejections.html", "rows", **_rejections(uow))


def _rejections(uow: UnitOfWork) -> dict[str, Any]:
    which = queries.Rejected(principal().wards, unread=bool(request.args.get("unread")))
    start = max(0, request.args.get("from", 0, int))
    rows, total = queries.rejections(uow, which, start, queries.PAGE), queries.count_rejections(uow, which)
    return {"rows": rows, "start": start, "size": queries.PAGE, "total": total, **_base(uow)}


@VIEWS.post("/sp/rejections/<int:rejection_id>/read", Perm.NOTICE)
def read_rejection(uow: UnitOfWork, rejection_id: int) -> Any:
    """The ward has read it."""
    service.confirm_rejection(uow, rejection_id)
    uow.s.flush()
    return fragment("specimens/rejections.html", "rows", **_rejections(uow))


# --- find ---------------------------------------------------------------------------------------------------------------------------------


@VIEWS.get("/sp/find", Perm.READ)
def find(uow: UnitOfWork) -> Any:
    """Where is this tube now: by barcode, today's sample number, patient number, card or name."""
    code = request.args.get("code", "")
    found = service.find(uow, code) if code else []
    life = queries.life(uow, found[0].id) if len(found) == 1 else None
    person = service.find_person(uow, code) if code and not found else None
    planned = None if person is None else service.plan_tubes(uow, person)
    for each in {row.patient_id for row in found} | ({person.id} if person else set()):
        platform.log_read(uow, each, "查找标本", request.path)
    context: dict[str, Any] = {
        "place": None if life is None else storage_queries.place(uow, life.tube.id),
        "person": person,
        "planned": planned,
    }
    return page("specimens/find.html", "results", code=code, found=found, life=life, **context, **_base(uow))


@VIEWS.get("/sp/tubes/<int:specimen_id>", Perm.READ)
def tube(uow: UnitOfWork, specimen_id: int) -> Any:
    """One tube and all that happened to it."""
    life = queries.life(uow, specimen_id)
    if life is None:
        raise NotFound("这管标本")
    platform.log_read(uow, life.tube.patient_id, "查看标本", request.path)
    return page("specimens/tube.html", "detail", life=life, place=storage_queries.place(uow, specimen_id), **_base(uow))


@VIEWS.post("/sp/tubes/<int:specimen_id>/conditional", Perm.CONDITIONAL)
def conditional(uow: UnitOfWork, specimen_id: int) -> Any:
    """让步接收."""
    service.accept_conditionally(uow, specimen_id, request.form.get("caveat", ""))
    return redirect_to(f"/sp/tubes/{specimen_id}")


@VIEWS.post("/sp/tubes/<int:specimen_id>/issues", Perm.RECEIVE)
def issues(uow: UnitOfWork, specimen_id: int) -> Any:
    """What is seen on a tube: after its scan, or later at its page."""
    service.note_issues(uow, specimen_id, request.form.getlist("issue"))
    if request.form.get("at") != "desk":
        return redirect_to(f"/sp/tubes/{specimen_id}")
    uow.s.flush()
    found = queries.life(uow, specimen_id)
    tube = None if found is None else found.tube
    around = {} if is_fragment() else _desk(uow)
    return page("specimens/receive.html", "noted", trigger=_sound("ok"), tube=tube, answer=None, **around, **_base(uow))


@VIEWS.post("/sp/tubes/<int:specimen_id>/lost", Perm.LOST)
def lost(uow: UnitOfWork, specimen_id: int) -> Any:
    """Declare a tube lost."""
    service.mark_lost(uow, specimen_id, request.form.get("searched", ""))
    return redirect_to(f"/sp/tubes/{specimen_id}")


@VIEWS.post("/sp/tubes/<int:specimen_id>/void", Perm.LABEL)
def void(uow: UnitOfWork, specimen_id: int) -> Any:
    """A label that was never used."""
    service.void(uow, specimen_id, request.form.get("reason", ""))
    return redirect_to(f"/sp/tubes/{specimen_id}")


def _status(answer: Answer | None) -> int:
    return 200 if answer is None else STATUS.get(answer.finding, 409)


def _sound(kind: str) -> str:
    return json.dumps({"sound": kind})
