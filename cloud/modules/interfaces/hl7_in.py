"""``OML^O21`` and ``ORM^O01`` → ``OrderMessage`` (M03, M23). Pure: bytes in, an order or a refusal with the field at fault.

A refusal is AE when the content is at fault (the sender can repair and send again) and AR when this interface does not take such
messages at all. What can be read in spite of a fault is read, and the fault becomes a warning.

Where things stand: patient PID, visit PV1, diagnosis DG1 or OBR-31; request number ORC-4, item number ORC-2 or OBR-2, item OBR-4;
week of pregnancy OBX (by LOINC, or 孕周 in its name), or its last period (末次月经); priority TQ1-9, OBR-27.6, OBR-5 or ORC-7.6; "paid"
ZPY-2 (``ZPY|1|PAID``), else FT1-6 (PY paid, CG unpaid, CR refunded), or the field an endpoint names; not stated stays None.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta

from cloud.modules.interfaces.dialect import ACTION, STANDARD, Dialect, Moment, read_time
from cloud.modules.interfaces.hl7_wire import FRAME, Header, Message, Segment, Unreadable, glance, parse
from cloud.modules.orders.messages import (
    Action,
    Charge,
    ItemData,
    OrderData,
    OrderMessage,
    PatientData,
    PatientId,
    Priority,
    Problem,
    Severity,
    Sex,
    VisitData,
    VisitType,
    drugs_said,
    gestation_said,
    yes_said,
)

MISSING, BAD_TYPE, NOT_IN_TABLE, SEQUENCE = "101", "102", "103", "100"
UNSUPPORTED_TYPE, UNSUPPORTED_EVENT, UNSUPPORTED_VERSION, UNKNOWN_KEY, INTERNAL = "200", "201", "203", "204", "207"

ACCEPTED = frozenset({("OML", "O21"), ("ORM", "O01")})
VERSIONS = re.compile(r"2\.(3|3\.1|4|5|5\.1|6|7)(\b|$)")
DRUGS = "8677-7"
FASTING, CONSENT = "49541-6", "59284-0"
CONSENT_STATUS = {"A": True, "R": False, "X": False}  # HL7 table 0498; P and the others say nothing yet
"""LOINC: history of medication use."""
GESTATION = frozenset({"18185-9", "11884-4", "11885-1", "49051-6"})
"""LOINC: gestational age, however it was estimated."""
LAST_PERIOD = "8665-2"
ID_CARD = re.compile(r"[0-9]{17}[0-9X]")


class Refused(Exception):
    """The message is not taken: acknowledgement code (AE, AR), what was read of the header, the problems, and a word for the inbox."""

    def __init__(self, code: str, header: Header, problems: tuple[Problem, ...], why: str) -> None:
        super().__init__(problems[0].text if problems else code)
        self.code, self.header, self.problems, self.why = code, header, problems, why


@dataclass(frozen=True, slots=True)
class Received:
    """A readable order message: its header (to answer it) and what it asks for."""

    header: Header
    order: OrderMessage


def message_key(raw: bytes, control_id: str) -> str:
    """What makes two receptions the same message (C6): MSH-10 and the content; the content alone when MSH-10 is empty.

    Content is everything after the MSH segment, so that a repeat with a fresh MSH-7 is still a repeat, while a HIS that restarts
    its MSH-10 counter does not have its new orders taken for old ones.
    """
    body = re.split(rb"[\r\n]+", raw.strip(FRAME + b"\r\n "), maxsplit=1)
    digest = hashlib.sha256(re.sub(rb"[\r\n]+", b"\r", body[1] if len(body) > 1 else body[0])).hexdigest()
    return f"{control_id}#{digest[:24]}" if control_id else f"#{digest}"


def control_id(raw: bytes) -> str:
    """MSH-10 as far as it can be read."""
    return glance(raw).control_id.strip()


def parse_order(raw: bytes, dialect: Dialect = STANDARD) -> Received:
    """Read one order message, framed or not. Raises Refused and nothing else."""
    try:
        message = parse(raw, dialect.encoding)
    except Unreadable as error:
        problem = Problem(error.location, BAD_TYPE if error.kind == "charset" else SEQUENCE, str(error))
        raise Refused("AE", glance(raw), (problem,), "undecodable" if error.kind == "charset" else "malformed") from error
    _check_kind(message.header)
    reader = _Reader(message, dialect)
    key = message_key(raw, message.header.control_id)
    return Received(message.header, reader.order_message(key))


def _check_kind(header: Header) -> None:
    kind = (header.kind.upper(), header.event.upper())
    if kind not in ACCEPTED:
        known = header.kind.upper() in {k for k, _ in ACCEPTED}
        text = f"不支持的消息类型 {header.kind}^{header.event}，只接收 OML^O21 与 ORM^O01"
        raise Refused("AR", header, (Problem("MSH^1^9", UNSUPPORTED_EVENT if known else UNSUPPORTED_TYPE, text),), "unsupported")
    if not VERSIONS.match(header.version):
        raise Refused("AR", header, (Problem("MSH^1^12", UNSUPPORTED_VERSION, f"不支持的 HL7 版本 {header.version}"),), "unsupported")


@dataclass(frozen=True, slots=True)
class _Group:
    """One item: its ORC (shared by the OBRs under it), its OBR, and the segments that belong to it alone or to its whole ORC."""

    orc: Segment | None
    obr: Segment | None
    own: tuple[Segment, ...] = ()
    whole: tuple[Segment, ...] = ()

    def all(self, name: str) -> list[Segment]:
        """Segments of that name that belong to this item."""
        return [s for s in self.own if s.name == name]

    @property
    def placer(self) -> str:
        """OBR-2, else ORC-2."""
        return (self.obr.get(2) if self.obr else "") or (self.orc.get(2) if self.orc else "")


def _split(orc: Segment | None, rest: list[Segment]) -> list[_Group]:
    """The items under one ORC. What stands before the first OBR (TQ1 in 2.5.1) belongs to all of them."""
    starts = [i for i, s in enumerate(rest) if s.name == "OBR"]
    if not starts:
        return [_Group(orc, None, tuple(rest), tuple(rest))]
    shared = tuple(rest[: starts[0]])
    ends = [*starts[1:], len(rest)]
    return [_Group(orc, rest[i], shared + tuple(rest[i:end]), tuple(rest)) for i, end in zip(starts, ends, strict=True)]


class _Reader:
    """One pass over one message; collects errors (refuse) and warnings (tell)."""

    def __init__(self, message: Message, dialect: Dialect) -> None:
        self.m, self.d = message, dialect
        self.preamble: list[Segment] = []
        self.problems = [Problem(at, BAD_TYPE, text, Severity.WARNING) for at, text in message.warnings]

    def order_message(self, key: str) -> OrderMessage:
        """The order, or Refused with every fault found."""
        if len(list(self.m.all("MSH"))) > 1:
            self.error("MSH^2", SEQUENCE, "一个报文块只能有一条消息")
        patient = self.patient()
        visit = self.visit()
        orders = self.orders()
        if any(p.severity is Severity.ERROR for p in self.problems) or patient is None:
            raise Refused("AE", self.m.header, tuple(self.problems), "invalid")
        sent = read_time(self.m.header.sent_at)
        return OrderMessage(key, patient, visit, orders, tuple(self.problems), sent.instant if sent else None)

    def error(self, at: str, code: str, text: str) -> None:
        self.problems.append(Problem(at, code, text))

    def warn(self, at: str, text: str, code: str = NOT_IN_TABLE) -> None:
        self.problems.append(Problem(at, code, text, Severity.WARNING))

    # -- patient ---------------------------------------------------------------------------------------------------

    def patient(self) -> PatientData | None:
        pid = self.m.first("PID")
        if pid is None:
            self.error("PID^1", MISSING, "缺少患者段 PID")
            return None
        ids = self.patient_ids(pid)
        name = self.name(pid)
        if not ids:
            self.error("PID^1^3", MISSING, "缺少患者标识 PID-3")
        if not name:
            self.error("PID^1^5", MISSING, "缺少患者姓名 PID-5")
        birth = read_time(pid.get(7))
        if birth is None and pid.get(7):
            self.warn("PID^1^7", f"出生日期无法识别：{pid.get(7)}", BAD_TYPE)
        return PatientData(ids, name, self.sex(pid), birth.day if birth else None, birth.at if birth else None, self.phone(pid))

    def patient_ids(self, pid: Segment) -> tuple[PatientId, ...]:
        """PID-3, else PID-2 and PID-4 (2.3.1 habit); PID-19 where Chinese systems put the identity number. First of a kind wins."""
        out: dict[str, str] = {}
        for field in (3, 2, 4):
            for rep in pid.repetitions(field):
                value = rep[0] if rep[0] != '""' else ""
                if value and (kind := self.id_kind(rep, value)) not in out:
                    out[kind] = value
            if out:
                break
        citizen = pid.get(19)
        if citizen:
            out.setdefault("id_card" if ID_CARD.fullmatch(citizen.upper()) else "national_no", citizen)
        # The sender's own number leads, whatever order the repetitions came in.
        lead = "patient_no" if "patient_no" in out else next(iter(out), "")
        return tuple(PatientId(k, out[k]) for k in sorted(out, key=lambda kind: kind != lead))

    def id_kind(self, rep: list[str], value: str) -> str:
        written = rep[4] if len(rep) > 4 else ""
        kind = self.d.id_kind.get(written.upper(), self.d.id_kind.get(written))
        if kind is None:
            return written.lower()
        if not written and ID_CARD.fullmatch(value.upper()):
            return "id_card"
        return kind

    @staticmethod
    def name(pid: Segment) -> str:
        """PID-5: one component is the whole name; Chinese parts join, others are separated by a blank."""
        for rep in pid.repetitions(5):
            parts = [p for p in rep[:3] if p and p != '""']
            if parts:
                return ("" if all(not p.isascii() for p in parts) else " ").join(parts)
        return ""

    def sex(self, pid: Segment) -> Sex:
        written = pid.get(8)
        found = self.d.sex.get(written.upper(), self.d.sex.get(written))
        if found is None:
            if written:
                self.warn("PID^1^8", f"性别代码无法识别：{written}")
            return Sex.UNKNOWN
        return found

    @staticmethod
    def phone(pid: Segment) -> str | None:
        """PID-13, else PID-14: the number as one component, or area and number (XTN 6, 7), or XTN-12."""
        for field in (13, 14):
            for rep in pid.repetitions(field):
                parts = rep + [""] * 12
                number = parts[0] or parts[11] or "-".join(p for p in parts[5:7] if p)
                if any(c.isdigit() for c in number):
                    return number
        return None

    # -- visit -----------------------------------------------------------------------------------------------------

    def visit(self) -> VisitData | None:
        pv1 = self.m.first("PV1")
        pid = self.m.first("PID")
        account = pid.get(18) if pid else ""
        if pv1 is None:
            return VisitData(None, account) if account else None
        return VisitData(
            kind=self.visit_kind(pv1),
            visit_no=pv1.get(19) or account or None,
            dept=pv1.get(10, 2) or pv1.get(10) or pv1.get(3, 4) or None,
            dept_code=pv1.get(10) or None,
            ward=pv1.get(3) or None,
            bed=pv1.get(3, 3) or pv1.get(3, 2) or None,
            diagnosis=self.diagnosis(),
        )

    def visit_kind(self, pv1: Segment) -> VisitType | None:
        written = pv1.get(2)
        found = self.d.visit.get(written.upper(), self.d.visit.get(written))
        if found is None:
            self.warn("PV1^1^2", f"就诊类型无法识别：{written or '空'}")
        return found

    def diagnosis(self) -> str | None:
        texts = [dg1.get(4) or dg1.get(3, 2) or dg1.get(3) for dg1 in self.m.all("DG1")]
        if not any(texts):
            texts = [obr.get(31, 2) or obr.get(31) for obr in self.m.all("OBR")]
        return "；".join(dict.fromkeys(t for t in texts if t)) or None

    # -- orders ----------------------------------------------------------------------------------------------------

    def groups(self) -> list[_Group]:
        """One group an item, in the order sent."""
        opened: list[tuple[Segment | None, list[Segment]]] = []
        for segment in self.m.segments:
            if segment.name == "ORC":
                opened.append((segment, []))
            elif opened:
                opened[-1][1].append(segment)
            elif segment.name == "OBR":
                opened.append((None, [segment]))
            else:
                self.preamble.append(segment)
        return [group for orc, rest in opened for group in _split(orc, rest)]

    def orders(self) -> tuple[OrderData, ...]:
        groups = self.groups()
        if not groups:
            self.error("ORC^1", MISSING, "缺少申请段 ORC/OBR")
            return ()
        uses = Counter(g.placer for g in groups)
        forms: dict[str, list[OrderData]] = {}
        for group in groups:
            # A placer number that stands for several items of the message numbers the form, not the item.
            form = self.form(group, groups[0].placer, uses[group.placer] > 1)
            if form is not None:
                forms.setdefault(form.order_no, []).append(form)
        return tuple(_join(parts) for parts in forms.values())

    def form(self, group: _Group, fallback: str, repeated: bool) -> OrderData | None:
        """One item as a form of its own; forms of one number are joined afterwards."""
        orc, obr = group.orc, group.obr
        item = self.item(group, obr, repeated) if obr else self.bare_item(orc)
        if item is None:
            return None
        doctor = _first((orc, 12), (obr, 16))
        dept = _first((orc, 17), (orc, 13))
        ordered = _time(orc, 9) or _time(obr, 6) or read_time(self.m.header.sent_at)
        planned = next((t for tq1 in group.all("TQ1") if (t := read_time(tq1.get(7)))), None) or _time(obr, 27, 4)
        return OrderData(
            order_no=(orc.get(4) if orc else "") or fallback,
            priority=self.priority(group),
            items=(item,),
            doctor=_person(doctor) or None,
            doctor_code=doctor[0] or None,
            dept=_dept_name(dept) or None,
            dept_code=dept[0] or None,
            ordered_at=ordered.instant if ordered else None,
            planned_at=planned.instant if planned else None,
            clinical_note=(obr.text(13) if obr else "") or None,
            drugs=self.drugs(group),
            gest_from=self.gest_from(group, (ordered or read_time(self.m.header.sent_at))),
            fasting=self.said(group, FASTING, "空腹"),
            consent=self.consent(group),
        )

    def said(self, group: _Group, code: str, word: str) -> bool | None:
        """Yes or no of the request's OBX with this LOINC code, or this word in its name; what it says besides is told and not guessed."""
        for x in (s for s in group.whole if s.name == "OBX" and s.get(5)):
            if x.get(3) == code or word in (x.get(3, 2) or x.get(3)):
                told = yes_said(x.get(5))
                if told is not None:
                    return told
                self.warn(x.at(5), f"{word}一栏无法识别：{x.get(5)}", BAD_TYPE)
        return None

    def consent(self, group: _Group) -> bool | None:
        """A consent segment's status (CON-11: A active, R revoked, X refused), else an OBX that tells."""
        con = next((s for s in (*group.whole, *self.preamble) if s.name == "CON" and s.get(11)), None)
        if con is not None and con.get(11).upper() in CONSENT_STATUS:
            return CONSENT_STATUS[con.get(11).upper()]
        return self.said(group, CONSENT, "知情同意")

    def gest_from(self, group: _Group, ordered: Moment | None) -> date | None:
        """The day a pregnancy counts from: the last period's, or the week told counted back from when it was told."""
        for x in (s for s in group.whole if s.name == "OBX" and s.get(5)):
            code, name = x.get(3), x.get(3, 2) or x.get(3)
            if code == LAST_PERIOD or "末次月经" in name:
                began = read_time(x.get(5))
                if began is not None:
                    return began.day
                self.warn(x.at(5), f"末次月经日期无法识别：{x.get(5)}", BAD_TYPE)
            elif code in GESTATION or "孕周" in name:
                days, told = gestation_said(x.text(5), x.get(6)), _time(x, 14) or ordered
                if days is not None and told is not None:
                    return told.day - timedelta(days=days)
                self.warn(x.at(5), f"孕周无法识别：{x.get(5)}", BAD_TYPE)
        return None

    @staticmethod
    def drugs(group: _Group) -> str | None:
        """OBX of the request that tells of drugs (LOINC 8677-7, or 用药 in its name); 无 says there are none, an empty one says nothing."""
        told = [x for x in group.whole if x.name == "OBX" and (x.get(3) == DRUGS or "用药" in (x.get(3, 2) or x.get(3)))]
        texts = [text for x in told if (text := drugs_said(x.text(5))) is not None]
        return "；".join(dict.fromkeys(t for t in texts if t)) if texts else None

    def action(self, orc: Segment | None) -> Action:
        """ORC-1; an order without ORC is a new one. Anything but new, change and cancel is refused."""
        if orc is None:
            return Action.NEW
        written = orc.get(1).upper()
        found = ACTION.get(written)
        if found is None:
            at = orc.at(1)
            if written:
                self.error(at, NOT_IN_TABLE, f"不支持的申请控制码 {written}，只接收 NW、XO、CA")
            else:
                self.error(at, MISSING, "缺少申请控制码 ORC-1")
            return Action.NEW
        return found

    def item(self, group: _Group, obr: Segment, repeated: bool) -> ItemData | None:
        """An item with an OBR, or None after telling what it lacks."""
        action = self.action(group.orc)
        code, name = obr.get(4) or obr.get(4, 4), obr.get(4, 2) or obr.get(4, 5)
        number = group.placer
        if not number:
            where = group.orc.at(2) if group.orc else obr.at(2)
            self.error(where, MISSING, "缺少申请项目号 ORC-2/OBR-2")
            return None
        if not code and not name and action is not Action.CANCEL:
            self.error(obr.at(4), MISSING, "缺少检验项目代码 OBR-4")
            return None
        if not code and name:
            self.warn(obr.at(4), f"项目“{name}”没有代码", MISSING)
        if repeated or self.d.item_number == "placer+code":
            number = f"{number}-{code or name}"
        return ItemData(
            order_item_no=number,
            action=action,
            code=code or None,
            name=name or None,
            charge=self.charge(group, code),
            specimen=next((spm.get(4) for spm in group.all("SPM")), "") or obr.get(15) or None,
            note="\n".join(n.text(3) for n in group.all("NTE") if n.text(3)) or None,
            location=f"OBR^{obr.index}",
            reason=_reason(group.orc),
        )

    def bare_item(self, orc: Segment | None) -> ItemData | None:
        """An ORC without OBR can only cancel: there is nothing in it to order or change."""
        if orc is None:  # a group without ORC was opened by its OBR
            return None
        action, number = self.action(orc), orc.get(2)
        if not number:
            self.error(orc.at(2), MISSING, "缺少申请项目号 ORC-2")
            return None
        if action is not Action.CANCEL:
            self.error(f"OBR^{orc.index}", MISSING, "缺少申请项目段 OBR")
            return None
        return ItemData(number, action, None, None, location=f"ORC^{orc.index}", reason=_reason(orc))

    def priority(self, group: _Group) -> Priority:
        """The first place that says one; a code we do not know is told and read as routine."""
        places = [*((tq1, 9, 1) for tq1 in group.all("TQ1")), (group.obr, 27, 6), (group.obr, 5, 1), (group.orc, 7, 6)]
        for segment, number, component in places:
            written = segment.get(number, component) if segment else ""
            if segment is None or not written:
                continue
            found = self.d.priority.get(written.upper(), self.d.priority.get(written))
            if found is not None:
                return found
            self.warn(segment.at(number), f"优先级代码无法识别：{written}")
        return Priority.ROUTINE

    def charge(self, group: _Group, code: str) -> Charge | None:
        """From the first charge field that says anything about this item."""
        for name, number in self.d.charge_fields:
            for segment in self.charge_segments(group, name, code):
                written = segment.get(number)
                found = self.d.charge.get(written.upper(), self.d.charge.get(written))
                if found is not None:
                    return found
                if written:
                    self.warn(segment.at(number), f"收费状态无法识别：{written}")
        return None

    def charge_segments(self, group: _Group, name: str, code: str) -> list[Segment]:
        """Own segments first, then those of the ORC that name this item, then those before all orders (they count for all)."""
        if name in ("ORC", "OBR"):
            return [s for s in (group.orc, group.obr) if s is not None and s.name == name]
        own = [s for s in group.all(name) if name != "FT1" or s.get(7) in ("", code)]
        named = [s for s in group.whole if s.name == name and name == "FT1" and code and s.get(7) == code]
        return own or named or [s for s in self.preamble if s.name == name]


def _join(parts: list[OrderData]) -> OrderData:
    """Forms of one number as one order: all items, the most urgent priority, and the first value of everything else."""
    return replace(
        parts[0],
        items=tuple(item for part in parts for item in part.items),
        priority=max((part.priority for part in parts), key=lambda p: p.rank),
        clinical_note=next((p.clinical_note for p in parts if p.clinical_note), None),
        gest_from=next((p.gest_from for p in parts if p.gest_from is not None), None),
        fasting=next((p.fasting for p in parts if p.fasting is not None), None),
        # One form's refusal is not outvoted by another's consent.
        consent=next((False for p in parts if p.consent is False), next((p.consent for p in parts if p.consent), None)),
        drugs=next((p.drugs for p in parts if p.drugs), next((p.drugs for p in parts if p.drugs is not None), None)),
    )


def _reason(orc: Segment | None) -> str | None:
    return (orc.get(16, 2) or orc.get(16) or None) if orc else None


def _time(segment: Segment | None, number: int, component: int = 1) -> Moment | None:
    return read_time(segment.get(number, component)) if segment else None


def _first(*places: tuple[Segment | None, int]) -> list[str]:
    """The components of the first place that says anything, at least three of them."""
    for segment, number in places:
        reps = segment.repetitions(number) if segment else []
        if reps:
            return reps[0] + ["", "", ""]
    return ["", "", ""]


def _person(xcn: Iterable[str]) -> str:
    """A person's name from XCN: code^family^given; the code when there is no name."""
    parts = [p for p in list(xcn)[1:3] if p]
    return ("" if all(not p.isascii() for p in parts) else " ").join(parts)


def _dept_name(ce: list[str]) -> str:
    """A department's name from CE, its code when it has no name."""
    return ce[1] or ce[0]
