"""HL7 answers to an analyzer's query: DSR (Mindray), RSP+OML (IHE LAW), RSP^Z02 (GeneXpert), ORR (Mindray BC)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.instruments.driver import Driver
from common.instruments.reading import Message
from common.protocol.hl7.messages import DEFAULT, Delimiters, Raw, Segment, Value, escape, write_message

if TYPE_CHECKING:
    from common.instruments.orders import TubeOrder

DSR_LINES = 28
"""DSP lines before the tests (Mindray host interface: patient 1–20, specimen 21–28)."""


class _Source:
    """The query's segments with HL7 numbering."""

    def __init__(self, query: Message) -> None:
        self.d = Delimiters(*query.delimiters) if len(query.delimiters) == 5 else DEFAULT
        self.segments: list[Segment] = []
        for fields in query.records:
            segment = Segment("X", self.d)
            segment.fields, segment.name = fields, fields[0]
            self.segments.append(segment)
        self.msh = next((one for one in self.segments if one.name == "MSH"), Segment("MSH|", self.d))
        self.encoding = "utf-8" if query.encoding in (None, "ascii") else str(query.encoding)

    def first(self, name: str) -> Segment | None:
        """First segment of that name."""
        return next((one for one in self.segments if one.name == name), None)

    def echo(self, name: str) -> list[Value]:
        """A whole segment as it came."""
        segment = self.first(name)
        return [name, *(Raw(one) for one in segment.fields[1:])] if segment else [name]

    def header(self, kind: Value, control_id: str, now: str, profile: str = "") -> list[Value]:
        """MSH of an answer: sender and receiver swapped, charset and version kept."""
        get = self.msh.get
        head: list[Value] = ["MSH", Raw(get(5)), Raw(get(6)), Raw(get(3)), Raw(get(4)), now, "", kind, Raw(control_id)]
        head += [Raw(get(11) or "P"), Raw(get(12) or "2.5.1"), "", "", Raw(get(15)), Raw(get(16)), ""]
        head += [Raw(get(18)), "", "", Raw(profile)]
        return head

    def write(self, segments: list[list[Value]]) -> bytes:
        """The message in the query's delimiters and charset."""
        return write_message(segments, self.d, self.encoding)


def reply_hl7(query: Message, tubes: Sequence[TubeOrder], driver: Driver | None, now: str) -> list[bytes]:
    """Messages that answer an HL7 query, in order."""
    source = _Source(query)
    kind = (query.type or "").split("^")
    if kind[0] == "QRY":
        return _dsr(source, query, tubes, now)
    if kind[0] == "ORM":
        return [_orr(source, query, tubes, now)]
    if kind[0] == "QBP" and (kind[-1] == "Z03" or driver is not None and driver.reply is not None and driver.reply.shape == "z02"):
        return [_z02(source, query, tubes, now)]
    if kind[0] == "QBP":
        return _law(source, query, tubes, now)
    return []


def _dsr(source: _Source, query: Message, tubes: Sequence[TubeOrder], now: str) -> list[bytes]:
    """QCK^Q02 (OK or NF), then one DSR^Q03 a tube, the last one with an empty DSC."""
    control = source.msh.get(10)
    msa: list[Value] = ["MSA", "AA", Raw(control), "Message accepted", "", "", "0", ""]
    found: list[Value] = ["QAK", "SR", "OK" if tubes else "NF", ""]
    head = source.header(("QCK", "Q02"), control, now)
    out = [source.write([head, msa, ["ERR", "0", ""], found])]
    for number, tube in enumerate(tubes, 1):
        segments: list[list[Value]] = [source.header(("DSR", "Q03"), control, now), msa, ["ERR", "0", ""]]
        segments += [["QAK", "SR", "OK", ""], source.echo("QRD"), source.echo("QRF")]
        for line, text in enumerate(_display(tube, source.d), 1):
            segments.append(["DSP", line, "", text, "", "", ""])
        segments.append(["DSC", number if number < len(tubes) else "", ""])
        out.append(source.write(segments))
    return out


def _display(tube: TubeOrder, d: Delimiters) -> list[Value]:
    lines: list[Value] = [""] * DSR_LINES
    lines[0], lines[2], lines[3], lines[4] = tube.patient_id, tube.patient_name, tube.birth, tube.sex
    lines[20], lines[21], lines[22] = tube.barcode, tube.sample_no, tube.collected_at
    lines[23] = "Y" if tube.urgent else "N"
    lines[25] = tube.specimen
    return lines + [Raw(escape(code, d) + d.component * 3) for code in tube.tests]


def _orr(source: _Source, query: Message, tubes: Sequence[TubeOrder], now: str) -> bytes:
    """ORR^O02: AA with the order, or AR when there is none (Mindray haematology)."""
    control = source.msh.get(10)
    segments: list[list[Value]] = [source.header(("ORR", "O02"), control, now)]
    segments.append(["MSA", "AA" if tubes else "AR", Raw(control)])
    for number, tube in enumerate(tubes, 1):
        segments.append(["PID", number, "", (tube.patient_id, "", "", "", "MR"), "", tube.patient_name, "", tube.birth, tube.sex])
        segments.append(["ORC", "AF", tube.barcode, "", "", ""])
        for at, code in enumerate(tube.tests, 1):
            segments.append(["OBR", at, tube.barcode, "", (code, "", "99MRC"), "", "", tube.collected_at])
    return source.write(segments)


def _z02(source: _Source, query: Message, tubes: Sequence[TubeOrder], now: str) -> bytes:
    """RSP^Z02: QAK OK or NF, then ORC OBR TQ1 SPM a test."""
    control = source.msh.get(10)
    segments: list[list[Value]] = [source.header(("RSP", "Z02"), control, now), ["MSA", "AA", Raw(control)]]
    request = source.first("QPD")
    name, tag = (request.get(1), request.get(2)) if request else ("", "")
    segments += [["QAK", Raw(tag), "OK" if tubes else "NF", Raw(name)], source.echo("QPD")]
    number = 0
    for tube in tubes:
        segments.append(["PID", 1, "", tube.patient_id, "", tube.patient_name, "", tube.birth, tube.sex])
        for code in tube.tests:
            number += 1
            segments.append(["ORC", "NW", number, "", "", "", "", "", "", tube.collected_at or now])
            segments.append(["OBR", number, "", "", code, "", "", "", "", "", "", "A"])
            segments.append(["TQ1", "", "", "", "", "", "", "", "", "S" if tube.urgent else "R"])
            segments.append(["SPM", number, (tube.barcode,), "", tube.specimen, *[""] * 6, "P"])
    return source.write(segments)


def push_hl7(tubes: Sequence[TubeOrder], encoding: str | None, now: str, cancel: bool) -> list[bytes]:
    """OML^O33 unasked, a message a tube (IHE LAB-28); ``cancel``: ORC-1 CA."""
    source = _Source(Message("query", protocol="hl7", encoding=encoding))
    out = []
    for tube in tubes:
        control = f"{tube.barcode}-{tube.order_version}{'C' if cancel else ''}"
        head = source.header(("OML", "O33", "OML_O33"), control, now, "LAB-28^IHE")
        head[1], head[13], head[14] = "LIS", "NE", "AL"
        head[16] = "UNICODE UTF-8" if source.encoding == "utf-8" else ""
        out.append(source.write([head, *_work_orders(tube, now, "CA" if cancel else "NW")]))
    return out


def _work_orders(tube: TubeOrder, now: str, control: str = "NW") -> list[list[Value]]:
    """PID, SPM, SAC of a tube and ORC TQ1 OBR a test."""
    segments: list[list[Value]] = [["PID", "", "", tube.patient_id, "", tube.patient_name, "", tube.birth, tube.sex]]
    segments.append(["SPM", 1, tube.barcode, "", tube.specimen, *[""] * 6, "P"])
    segments.append(["SAC", "", "", tube.barcode])
    for number, code in enumerate(tube.tests, 1):
        order = f"{tube.barcode}-{number}"
        segments.append(["ORC", control, order, "", "", "", "", "", "", tube.collected_at or now])
        segments.append(["TQ1", "", "", "", "", "", "", "", "", "S" if tube.urgent else "R"])
        segments.append(["OBR", number, order, "", code])
    return segments


def _law(source: _Source, query: Message, tubes: Sequence[TubeOrder], now: str) -> list[bytes]:
    """RSP^K11 confirms; OML^O33 carries the work orders, or ORC-1 DC when there is none (IHE LAB-27/28)."""
    control = source.msh.get(10)
    request = source.first("QPD")
    name, tag = (request.get(1), request.get(2)) if request else ("", "")
    confirm: list[list[Value]] = [source.header(("RSP", "K11", "RSP_K11"), control, now, source.msh.get(21))]
    confirm += [["MSA", "AA", Raw(control)], ["QAK", Raw(tag), "OK" if tubes else "NF", Raw(name)], source.echo("QPD")]
    out = [source.write(confirm)]
    asked = [tube.barcode for tube in tubes]
    missing = [one for one in query.query if one.upper() not in {barcode.upper() for barcode in asked}]
    head = source.header(("OML", "O33", "OML_O33"), control + "-O", now, "LAB-28^IHE")
    head[13], head[14] = "NE", "AL"  # MSH-15 and MSH-16: answer with ORL, no accept acknowledgement
    out += [source.write([head, *_work_orders(tube, now)]) for tube in tubes]
    for specimen in missing:
        out.append(source.write([head, ["SPM", 1, specimen, *[""] * 8, "P"], ["SAC", "", "", specimen], ["ORC", "DC"]]))
    return out
