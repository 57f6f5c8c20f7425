"""What we tell a hospital system: ``ORU^R01`` for a report version, ``ORM^O01`` with ORC-1 ``SC`` for a status, ``DFT^P03`` for a charge.
Pure, HL7 2.5.1.

A message is built once, with its MSH-10, and its bytes are kept: a retry repeats them exactly. OBX-11 is P for a preliminary report (its
later version replaces it), F for the final one, C for an amendment, X (with no value) for a recall.
Times are China's, text is escaped, the character set is the endpoint's.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from cloud.modules.interfaces.charset import GB18030, UTF8, encode
from cloud.modules.interfaces.dialect import SHANGHAI
from cloud.modules.interfaces.hl7_ack import escape, stamp
from cloud.modules.orders.messages import Sex, VisitType

CHARSET_LABEL = {UTF8: "UNICODE UTF-8", GB18030: "GB18030"}
PATIENT_CLASS = {
    VisitType.OUTPATIENT: "O", VisitType.EMERGENCY: "E", VisitType.INPATIENT: "I", VisitType.EXAM: "O", VisitType.EXTERNAL: "O",
    VisitType.RESEARCH: "N",
}  # fmt: skip


class ResultStatus(StrEnum):
    """HL7 table 0085, as far as this program says it."""

    PRELIMINARY = "P"
    FINAL = "F"
    CORRECTED = "C"
    RECALLED = "X"


class Status(StrEnum):
    """State of an item a hospital system wants to follow; the value is what ORC-5/OBR-25 and ORC-16 say together."""

    COLLECTED = "collected"
    RECEIVED = "received"
    REJECTED = "rejected"
    REPORTED = "reported"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUND_REFUSED = "refund_refused"


# HL7 table 0038 (order status) and what it means in Chinese, for the reason text.
ORDER_STATUS = {
    Status.COLLECTED: ("IP", "已采集"),
    Status.RECEIVED: ("IP", "已核收"),
    Status.REJECTED: ("CA", "拒收"),
    Status.REPORTED: ("CM", "已报告"),
    Status.CANCELLED: ("CA", "已取消"),
    Status.EXPIRED: ("CA", "已过期"),
    Status.REFUND_REFUSED: ("IP", "退费未同意"),
}


# ORC-5 of a result, HL7 table 0038: a preliminary report completes nothing.
ORDER = {ResultStatus.PRELIMINARY: "IP", ResultStatus.FINAL: "CM", ResultStatus.CORRECTED: "CM", ResultStatus.RECALLED: "CM"}


@dataclass(frozen=True, slots=True)
class Address:
    """MSH-3…6 of our messages to one endpoint, and how it reads characters."""

    app: str = "JIANLIAN"
    facility: str = ""
    to_app: str = "HIS"
    to_facility: str = ""
    charset: str = UTF8
    processing: str = "P"


@dataclass(frozen=True, slots=True)
class Person:
    """The patient as the receiving system knows them: identifiers with their HL7 type (PI, NI …)."""

    ids: Sequence[tuple[str, str]]
    name: str
    sex: Sex | str
    birth: date | None = None
    visit_no: str = ""
    visit_kind: VisitType | None = None
    dept: str = ""
    ward: str = ""
    bed: str = ""


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One reported analyte; ``value`` as printed, ``flag`` as in HL7 table 0078 (H, L, HH, LL, A, ""), ``item_no`` the request."""

    code: str
    name: str
    value: str
    unit: str = ""
    interval: str = ""
    flag: str = ""
    numeric: bool = True
    note: str = ""
    observed_at: datetime | None = None
    standard_code: str = ""
    item_no: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What was ordered: the sender's own numbers, so that it finds its order again."""

    placer_no: str
    item_no: str
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class ReportOut:
    """One version of a report, with all a hospital system needs to file it."""

    report_no: str
    version: int
    status: ResultStatus
    person: Person
    requests: Sequence[Request]
    lines: Sequence[ResultLine]
    released_at: datetime
    barcode: str
    specimen_code: str = ""
    specimen_name: str = ""
    collected_at: datetime | None = None
    received_at: datetime | None = None
    tester: tuple[str, str] = ("", "")
    verifier: tuple[str, str] = ("", "")
    doctor: str = ""
    note: str = ""
    amendment_reason: str = ""
    pdf_url: str = ""
    pdf: bytes | None = field(default=None, repr=False)


def result_message(report: ReportOut, to: Address, msg_id: str, at: datetime) -> bytes:
    """``ORU^R01`` of one report version: a group an order item, so that each item of the HIS finds its results.

    A line that names no item goes with the first. Raises ValueError for text the endpoint's character set cannot hold.
    """
    segments = [_msh(to, ["ORU", "R01", "ORU_R01"], msg_id, at), _pid(report.person), _pv1(report.person)]
    requests = list(report.requests) or [Request("", "", "UNREQUESTED", "未申请")]
    if report.status is ResultStatus.PRELIMINARY:  # items of which nothing is told yet are not named
        told = {x.item_no for x in report.lines}
        requests = [r for r in requests if r.item_no in told] or requests
    own = {r.item_no for r in requests}
    for i, request in enumerate(requests, 1):
        lines = [x for x in report.lines if x.item_no == request.item_no or (i == 1 and x.item_no not in own)]
        segments += _group(i, request, lines, report)
    return _join(segments, to)


def _group(number: int, request: Request, lines: Sequence[ResultLine], report: ReportOut) -> list[str]:
    filler = escape(f"{report.report_no}-{report.version}")
    item, status = escape(request.item_no), report.status.value
    out = [
        _row("ORC", {1: "RE", 2: item, 3: filler, 4: escape(request.placer_no), 5: ORDER[report.status], 12: _xcn("", report.doctor)}),
        _row("OBR", {
            1: str(number), 2: item, 3: filler, 4: _ce(request.code, request.name), 7: _ts(report.collected_at),
            14: _ts(report.received_at), 15: escape(report.specimen_code), 16: _xcn("", report.doctor), 20: escape(report.barcode),
            22: _ts(report.released_at), 25: status, 32: _xcn(*report.verifier), 34: _xcn(*report.tester),
        }),
    ]  # fmt: skip
    if number == 1:
        notes = [n for n in (report.note, report.amendment_reason) if n]
        out += [f"NTE|{i}|L|{escape(text)}" for i, text in enumerate(notes, 1)]
    for i, line in enumerate(lines, 1):
        out.append(_obx(i, line, report))
        if line.note:
            out.append(f"NTE|1|L|{escape(line.note)}")
    if number == 1:
        out += _pdf(report, len(lines) + 1)
    specimen = {1: "1", 2: escape(report.barcode), 4: _ce(report.specimen_code, report.specimen_name)}
    out.append(_row("SPM", {**specimen, 17: _ts(report.collected_at), 18: _ts(report.received_at)}))
    return out


def status_message(
    status: Status,
    request: Request,
    person: Person,
    barcode: str,
    at: datetime,
    to: Address,
    msg_id: str,
    *,
    who: str = "",
    reason: str = "",
    happened_at: datetime | None = None,
) -> bytes:
    """``ORM^O01`` with ORC-1 SC: the item has been collected, received, rejected … ORC-16 says which, and why."""
    code, text = ORDER_STATUS[status]
    why = f"{text}：{reason}" if reason else text
    when = _ts(happened_at or at)
    item, tube = escape(request.item_no), escape(barcode)
    orc = {1: "SC", 2: item, 3: tube, 4: escape(request.placer_no), 5: code, 9: when, 10: _xcn("", who), 16: _ce(status.value, why)}
    obr = {1: "1", 2: item, 3: tube, 4: _ce(request.code, request.name), 20: tube}
    msh = _msh(to, ["ORM", "O01", "ORM_O01"], msg_id, at)
    return _join([msh, _pid(person), _pv1(person), _row("ORC", orc), _row("OBR", obr)], to)


@dataclass(frozen=True, slots=True)
class Charged:
    """One order item that was carried out and is to be charged: ``transaction`` is the same at every repeat, so that it is charged once.

    ``price_code``: the hospital's own code of what it costs; without one the item's code stands for it.
    """

    transaction: str
    request: Request
    at: datetime
    price_code: str = ""
    dept: str = ""
    doctor: str = ""
    credit: bool = False
    """The charge of that transaction is taken back; ``reason`` says why."""
    reason: str = ""


def charge_message(charge: Charged, person: Person, at: datetime, to: Address, msg_id: str) -> bytes:
    """``DFT^P03`` with one FT1: a charge (FT1-6 CG) of quantity 1, or its credit (CD) under the charge's number with ``-C``, quantity -1.
    The receiving system prices it."""
    item = charge.request
    number, kind, quantity = (f"{charge.transaction}-C", "CD", "-1") if charge.credit else (charge.transaction, "CG", "1")
    ft1 = {
        1: "1", 2: escape(number), 4: _ts(charge.at), 5: _ts(at), 6: kind, 7: _ce(charge.price_code or item.code, item.name),
        8: escape(charge.reason), 10: quantity, 13: escape(charge.dept), 21: _xcn("", charge.doctor), 23: escape(item.item_no),
        25: _ce(item.code, item.name),
    }  # fmt: skip
    orc = {1: "SC", 2: escape(item.item_no), 4: escape(item.placer_no), 5: "CA" if charge.credit else "IP"}
    rows = [_row("EVN", {1: "P03", 2: _ts(at)}), _pid(person), _pv1(person), _row("ORC", orc), _row("FT1", ft1)]
    return _join([_msh(to, ["DFT", "P03", "DFT_P03"], msg_id, at), *rows], to)


def _msh(to: Address, kind: Sequence[str], msg_id: str, at: datetime) -> str:
    fields = ["MSH", "^~\\&", escape(to.app), escape(to.facility), escape(to.to_app), escape(to.to_facility), stamp(at), "",
              "^".join(kind), msg_id, to.processing, "2.5.1", "", "", "", "", "CHN", CHARSET_LABEL.get(to.charset, to.charset)]  # fmt: skip
    return "|".join(fields)


def _pid(person: Person) -> str:
    ids = "~".join(f"{escape(value)}^^^^{escape(kind)}" for kind, value in person.ids)
    birth = ""
    if person.birth is not None:
        birth = person.birth.astimezone(SHANGHAI).strftime("%Y%m%d") if isinstance(person.birth, datetime) else f"{person.birth:%Y%m%d}"
    return _row("PID", {1: "1", 3: ids, 5: escape(person.name), 7: birth, 8: str(person.sex), 18: escape(person.visit_no)})


def _pv1(person: Person) -> str:
    kind = PATIENT_CLASS.get(person.visit_kind, "U") if person.visit_kind is not None else "U"
    place = "^".join([escape(person.ward or person.dept), "", escape(person.bed)]).rstrip("^")
    return _row("PV1", {1: "1", 2: kind, 3: place, 10: escape(person.dept), 19: escape(person.visit_no)})


def _obx(number: int, line: ResultLine, report: ReportOut) -> str:
    recalled = report.status is ResultStatus.RECALLED
    code = _ce(line.code, line.name) + (f"^{escape(line.standard_code)}^^WS886" if line.standard_code else "")
    return _row("OBX", {
        1: str(number), 2: "NM" if line.numeric else "ST", 3: code, 5: "" if recalled else escape(line.value), 6: escape(line.unit),
        7: escape(line.interval), 8: "" if recalled else escape(line.flag), 11: report.status.value, 14: _ts(line.observed_at),
        16: _xcn(*report.tester), 19: _ts(line.observed_at),
    })  # fmt: skip


def _pdf(report: ReportOut, number: int) -> list[str]:
    """The report as a document: by reference (RP) or inside (ED, base64); a recall carries none."""
    if report.status is ResultStatus.RECALLED:
        return []
    if report.pdf is not None:
        value = "^".join(["JIANLIAN", "AP", "PDF", "Base64", base64.b64encode(report.pdf).decode("ascii")])
        return [_row("OBX", {1: str(number), 2: "ED", 3: "PDF^检验报告单^L", 5: value, 11: report.status.value})]
    if report.pdf_url:
        value = "^".join([escape(report.pdf_url), "JIANLIAN", "AP", "PDF"])
        return [_row("OBX", {1: str(number), 2: "RP", 3: "PDF^检验报告单^L", 5: value, 11: report.status.value})]
    return []


def _row(name: str, fields: dict[int, str]) -> str:
    last = max((n for n, value in fields.items() if value), default=0)
    return "|".join([name, *(fields.get(n, "") for n in range(1, last + 1))])


def _ce(code: str, name: str) -> str:
    return f"{escape(code)}^{escape(name)}^L" if code or name else ""


def _xcn(code: str, name: str) -> str:
    return f"{escape(code)}^{escape(name)}" if code or name else ""


def _ts(at: datetime | None) -> str:
    return stamp(at) if at is not None else ""


def _join(segments: Sequence[str], to: Address) -> bytes:
    return encode("\r".join(segments) + "\r", to.charset)
