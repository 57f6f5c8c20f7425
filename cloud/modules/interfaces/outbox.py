"""From events of other modules to messages for the systems that want them: built once, with their MSH-10, and kept.

Handlers run in the worker's transaction that marks the event done, so a message exists exactly once per (endpoint, event).
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.critical import queries as critical_queries
from cloud.modules.critical import service as critical
from cloud.modules.critical.service import Channel, Result
from cloud.modules.interfaces import hl7_out, issues
from cloud.modules.interfaces.endpoints import Outgoing
from cloud.modules.interfaces.hl7_out import Charged, Person, ReportOut, Request, ResultLine, ResultStatus, Status
from cloud.modules.interfaces.models import Delivery, Endpoint
from cloud.modules.orders import queries as orders
from cloud.modules.orders.messages import VisitType
from cloud.modules.reports import queries as reports

Build = Callable[[Outgoing, str], bytes]
# Order-item states a hospital system follows; the others are ours alone.
FOLLOWED = {
    "collected": Status.COLLECTED, "received": Status.RECEIVED, "rejected": Status.REJECTED, "cancelled": Status.CANCELLED,
    "refunded": Status.CANCELLED, "expired": Status.EXPIRED,
}  # fmt: skip


def outgoing(uow: UnitOfWork, sends: str) -> list[Outgoing]:
    """Enabled endpoints that want this kind of message. One with wrong settings is left to the board, which shows it."""
    # Asked once a transaction: the relay handles many events in one.
    found: list[Outgoing] | None = uow.s.info.get("outgoing")
    if found is None:
        found = uow.s.info["outgoing"] = list(_readable(uow))
    return [each for each in found if sends in each.send]


def _readable(uow: UnitOfWork) -> Iterator[Outgoing]:
    for row in uow.s.scalars(select(Endpoint).where(Endpoint.direction == "out").order_by(Endpoint.id)):
        with contextlib.suppress(ValueError):
            yield Outgoing.read(row.id, row.code, row.source, row.config)


def enqueue(uow: UnitOfWork, to: Outgoing, kind: str, event_key: str, order_key: str, subject: str, build: Build) -> Delivery | None:
    """Put one message into an endpoint's queue; None when this event is already in it.

    MSH-10 is the row's number and a random tail: never reused, not even after the database went back to an older state.
    """
    known = select(Delivery.id).where(Delivery.endpoint_id == to.id, Delivery.event_key == event_key)
    if uow.s.scalars(known).first() is not None:
        return None
    row = Delivery(
        endpoint_id=to.id, event_key=event_key, order_key=order_key, subject=subject, kind=kind, created_at=uow.now, next_at=uow.now,
        msg_id=secrets.token_hex(16), raw=b"", state="pending",
    )  # fmt: skip
    uow.s.add(row)
    uow.s.flush()
    row.msg_id = f"{row.id}-{secrets.token_hex(4)}"[-20:]
    row.raw = build(to, row.msg_id)
    uow.audit("delivery", row.id, "queued", after={"endpoint": to.code, "kind": kind, "subject": subject, "msg_id": row.msg_id})
    uow.notify("delivery", {})
    return row


# -- handlers --------------------------------------------------------------------------------------------------------------


def on_item_status(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``order.item_status``: collected, received, rejected, cancelled, run out."""
    status = FOLLOWED.get(payload["status"])
    targets = [e for e in outgoing(uow, "status") if e.source == payload["source"]] if status is not None else []
    found = orders.items(uow, [payload["order_item_id"]]) if targets else []
    if status is None or not found:
        return
    item, happened = found[0], datetime.fromisoformat(payload["at"])
    request = Request(item.placer_no, item.order_item_no, item.his_code, item.his_name)
    for to in targets:
        person = _person(uow, item, to)

        def build(to: Outgoing, msg_id: str, person: Person = person) -> bytes:
            return hl7_out.status_message(
                status, request, person, payload.get("barcode") or "", uow.now, to.address, msg_id,
                who=payload.get("actor", ""), reason=payload.get("reason", ""), happened_at=happened,
            )  # fmt: skip

        event = f"status:{payload['event_id']}"
        enqueue(uow, to, f"ORM {status.value}", event, f"patient:{item.patient_id}", f"item:{item.id}", build)


def on_charge(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``order.charge``: an inpatient's item was carried out. One message an item and system, whatever is repeated (M23 R5)."""
    _tell_charge(uow, payload, "charge")


def on_credit(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``order.credit``: what was charged is taken back, to the systems that were told the charge; once."""
    _tell_charge(uow, payload, "credit")


def _tell_charge(uow: UnitOfWork, payload: dict[str, Any], what: str) -> None:
    targets = [e for e in outgoing(uow, "charge") if e.source == payload["source"]]
    found = orders.items(uow, [int(payload["order_item_id"])]) if targets else []
    for item in found:
        ordered = md.catalog(uow).order_sets.get(item.order_set_id or 0)
        charge = Charged(
            f"LIS{item.id}",
            Request(item.placer_no, item.order_item_no, item.his_code, item.his_name),
            datetime.fromisoformat(payload["at"]),
            "" if ordered is None else ordered.price_code,
            item.dept,
            item.doctor,
            credit=what == "credit",
            reason=payload.get("reason", ""),
        )
        for to in targets:
            if charge.credit and not _was_told(uow, to, f"charge:{item.id}"):
                continue  # a credit for what it never charged would be money given away
            person = _person(uow, item, to)

            def build(to: Outgoing, msg_id: str, person: Person = person, charge: Charged = charge) -> bytes:
                return hl7_out.charge_message(charge, person, uow.now, to.address, msg_id)

            enqueue(uow, to, f"DFT {what}", f"{what}:{item.id}", f"patient:{item.patient_id}", f"item:{item.id}", build)


def _was_told(uow: UnitOfWork, to: Outgoing, event_key: str) -> bool:
    found = select(Delivery.id).where(Delivery.endpoint_id == to.id, Delivery.event_key == event_key)
    return uow.s.execute(found.limit(1)).first() is not None


def on_refund_decided(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``order.refund_decided``: a refusal is told here; an acceptance goes out as the item's new state."""
    if payload["accepted"]:
        return
    found = orders.items(uow, [payload["order_item_id"]])
    if not found:
        return
    item = found[0]
    request = Request(item.placer_no, item.order_item_no, item.his_code, item.his_name)
    for to in [e for e in outgoing(uow, "status") if e.source == item.source]:
        person = _person(uow, item, to)

        def build(to: Outgoing, msg_id: str, person: Person = person) -> bytes:
            return hl7_out.status_message(
                Status.REFUND_REFUSED, request, person, "", uow.now, to.address, msg_id, reason=payload.get("answer", "")
            )

        enqueue(uow, to, "ORM refund_refused", f"refund:{payload['event_id']}", f"patient:{item.patient_id}", f"item:{item.id}", build)


def on_report(status: ResultStatus) -> Callable[[UnitOfWork, dict[str, Any]], None]:
    """Handler of a report event: one ORU^R01 a version, to the systems whose orders it answers."""

    def handle(uow: UnitOfWork, payload: dict[str, Any]) -> None:
        report_id, version_no = int(payload["report_id"]), int(payload["version_no"])
        targets = outgoing(uow, "result")
        # Whatever became of the report meanwhile: its events are told one after the other, as they happened.
        found = reports.for_rendering(uow, report_id, version_no) if targets else None
        document = {} if found is None else found[0]
        wanted = [(to, [r for r in document.get("requests", ()) if r["source"] == to.source]) for to in targets]
        wanted = [(to, requests) for to, requests in wanted if requests]
        told = reports.released(uow, report_id=report_id, version_no=version_no) if wanted else None
        if told is None:
            return
        patient_id = int(document["subject"]["patient_id"])
        for to, requests in wanted:
            report = report_out(document, requests, version_no, status, _ids(uow, patient_id, to), told.reason_text or "")

            def build(to: Outgoing, msg_id: str, report: ReportOut = report) -> bytes:
                return hl7_out.result_message(report, to.address, msg_id, uow.now)

            event, subject = f"report:{report_id}:{version_no}:{status.value}", f"report:{report_id}"
            enqueue(uow, to, f"ORU {status.value}", event, f"patient:{patient_id}", subject, build)

    return handle


on_preliminary = on_report(ResultStatus.PRELIMINARY)
on_released = on_report(ResultStatus.FINAL)
on_amended = on_report(ResultStatus.CORRECTED)
on_recalled = on_report(ResultStatus.RECALLED)


def on_critical(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``critical.confirmed``: the value goes to the systems that take critical values (ORU^R01, P, HH or LL); else 未配置."""
    line = critical_queries.one(uow, int(payload["critical_id"]))
    if line is None:
        return
    event, targets = line.event, outgoing(uow, "critical")
    patient = orders.patient(uow, event.patient_id)
    assert patient is not None
    for to in targets:
        report = ReportOut(
            report_no=f"CV{event.id}",
            version=1,
            status=ResultStatus.PRELIMINARY,
            person=Person(_ids(uow, event.patient_id, to), patient.name, patient.sex, patient.birth, dept=event.dept, ward=event.ward),
            requests=[],
            lines=[
                ResultLine(
                    code=str(event.item_id or ""),
                    name=event.item_name,
                    value=event.value_text,
                    unit=event.unit,
                    interval=event.limit_text,
                    flag={"low": "LL", "high": "HH"}.get(event.direction, "AA"),
                    numeric=event.value is not None and event.value_text == f"{event.value:f}",
                    observed_at=event.found_at,
                )
            ],
            released_at=event.confirmed_at or uow.now,
            barcode=event.barcode,
            note="危急值，请立即确认并复述",
        )

        def build(to: Outgoing, msg_id: str, report: ReportOut = report) -> bytes:
            return hl7_out.result_message(report, to.address, msg_id, uow.now)

        if (
            enqueue(uow, to, "ORU critical", f"critical:{event.id}", f"patient:{event.patient_id}", f"critical:{event.id}", build)
            is not None
        ):
            critical.passed_on(uow, event.id, Channel.HIS, to.code, Result.QUEUED)
    if not targets:
        critical.passed_on(uow, event.id, Channel.HIS, "", Result.UNSET)


def on_mapped(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``catalog.mapped``: the code is known now."""
    issues.settle(uow, issues.UNMAPPED, f"{payload['source']}/{payload['his_code']}", "已对照")


# -- translating -----------------------------------------------------------------------------------------------------------


def report_out(
    document: Mapping[str, Any],
    requests: Iterable[Mapping[str, Any]],
    version: int,
    status: ResultStatus,
    ids: list[tuple[str, str]],
    reason: str,
) -> ReportOut:
    """A stored report document as an outgoing message's content."""
    subject, printed, signed = document["subject"], document["print"], document["signed"]
    kind = subject.get("visit_kind")
    person = Person(
        ids, subject["name"], subject["sex"], _moment(subject.get("birth")), subject.get("visit_no") or "",
        VisitType(kind) if kind else None, subject.get("dept") or "", subject.get("ward") or "", subject.get("bed") or "",
    )  # fmt: skip
    return ReportOut(
        report_no=printed["report_no"],
        version=version,
        status=status,
        person=person,
        requests=[Request(r["placer_no"], r["order_item_no"], r["his_code"], r["his_name"]) for r in requests],
        lines=[_line(x) for x in document["lines"]],
        released_at=datetime.fromisoformat(signed["at"]),
        barcode=subject["barcode"],
        specimen_name=subject.get("specimen_type") or "",
        collected_at=_moment(subject.get("collected_at")),
        received_at=_moment(subject.get("received_at")),
        tester=(str(signed["tester"][0]), signed["tester"][1]),
        verifier=(str(signed["verifier"][0]), signed["verifier"][1]),
        doctor=printed.get("doctor") or "",
        note="；".join(each for each in (subject.get("note"), document.get("remark")) if each),
        amendment_reason=reason,
        pdf_url=printed.get("verify_url") or "",
    )


def _line(line: Mapping[str, Any]) -> ResultLine:
    return ResultLine(
        code=line["code"],
        name=line["name"],
        value=line["value"],
        unit=line["unit"],
        interval=line["interval"],
        flag=_flag(line["flag"] or "", bool(line.get("critical"))),
        # A comparator makes it text: NM may hold nothing but a number (HL7 2.5.1, 2.A.46).
        numeric=bool(line.get("number")) and not line.get("comparator"),
        note=line.get("note") or "",
        observed_at=_moment(line.get("observed_at")),
        standard_code=line.get("standard_code") or "",
        item_no=line.get("item_no") or "",
    )


def _flag(flag: str, critical: bool) -> str:
    """HL7 table 0078: HH and LL are beyond the critical limits; a flag that does not tell is left out."""
    if critical:
        return {"H": "HH", "L": "LL"}.get(flag, "AA")
    return flag if flag in ("H", "L", "A") else ""


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _ids(uow: UnitOfWork, patient_id: int, to: Outgoing) -> list[tuple[str, str]]:
    found = [(to.id_types.get(kind, kind), value) for kind, value in orders.identifiers(uow, patient_id)]
    patient = orders.patient(uow, patient_id)
    return found or ([("PI", patient.patient_no)] if patient is not None else [])


def _person(uow: UnitOfWork, item: orders.ItemRow, to: Outgoing) -> Person:
    patient = orders.patient(uow, item.patient_id)
    assert patient is not None
    return Person(
        ids=_ids(uow, item.patient_id, to),
        name=patient.name,
        sex=patient.sex,
        birth=patient.birth,
        visit_no=item.visit_no or "",
        visit_kind=item.visit_kind,
        dept=item.dept,
        ward=item.ward,
        bed=item.bed,
    )
