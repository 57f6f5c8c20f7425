"""What the host answers when an analyzer asks which tests a specimen needs.

Pure: from the query as read, the tubes known and the driver to message texts (records joined by CR, or HL7 segments), unframed;
column and BCI telegrams have no link layer of their own and come with STX and ETX. Times are passed in. For an unknown model ASTM
gets the standard's answer and HL7 the answer its query asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from common.instruments.driver import Driver, QueryReply
from common.instruments.drivers import DRIVERS
from common.instruments.orders_hl7 import push_hl7, reply_hl7
from common.instruments.reading import Message
from common.protocol.astm.records import Delimiters, escape
from common.protocol.fixed.columns import write_ca


@dataclass(frozen=True, slots=True)
class TubeOrder:
    """One tube as the worklist describes it; ``tests`` are the analyzer's own channel codes."""

    barcode: str
    tests: tuple[str, ...] = ()
    sample_no: str = ""
    priority: str = "routine"
    patient_id: str = ""
    patient_name: str = ""
    sex: str = ""
    birth: str = ""
    """YYYYMMDD."""
    specimen: str = ""
    collected_at: str = ""
    """YYYYMMDDHHMMSS, local time of the laboratory."""
    order_version: int = 1
    cancelled: bool = False
    expires_at: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def urgent(self) -> bool:
        """Is it a stat order?"""
        return self.priority.lower() in ("stat", "s", "urgent", "a")


def order_reply(query: Message, tubes: Sequence[TubeOrder], driver: Driver | str | None = None, now: str = "") -> list[bytes]:
    """Messages to send back for a query, in order; empty when this model wants silence.

    ``tubes`` are those found for the query; a specimen asked about and not among them has no orders.
    ``now`` is YYYYMMDDHHMMSS for the headers.
    """
    known = _driver(query, driver)
    wanted = {specimen.upper() for specimen in query.query}
    usable = [tube for tube in tubes if not tube.cancelled and tube.tests]
    if wanted and "ALL" not in wanted:
        usable = [tube for tube in usable if tube.barcode.upper() in wanted or tube.sample_no.upper() in wanted]
    if query.protocol == "hl7":
        return reply_hl7(query, usable, known, now)
    if query.protocol == "fixed":
        return _reply_columns(query, usable)
    if query.protocol == "bci":
        return [_bci(tube) for tube in usable]
    if query.protocol != "astm":
        return []
    return _reply_astm(query, usable, known.reply if known and known.reply else QueryReply(), known, now)


def order_push(
    tubes: Sequence[TubeOrder],
    protocol: str,
    driver: Driver | str | None = None,
    now: str = "",
    *,
    cancel: bool = False,
    encoding: str | None = None,
) -> list[bytes]:
    """Orders sent unasked (broadcast), a message a tube: ASTM H P O L with O.26 ``O``, HL7 OML^O33; ``cancel`` takes them back.

    Empty for protocols that only answer. A rerun is the same order again with the tests to repeat.
    """
    if protocol == "hl7":
        return push_hl7(tubes, encoding, now, cancel)
    if protocol != "astm":
        return []
    known = driver if isinstance(driver, Driver) else DRIVERS.get(driver or "")
    shape = known.reply if known and known.reply else QueryReply()
    shape = replace(shape, echo=False, report_type="O", header_11="TSDWN^BATCH" if shape.header_11 else "")
    if cancel:
        shape = replace(shape, action="C", action_urgent="C")
    asked = Message("query", protocol="astm", encoding=encoding)
    return [m for tube in tubes for m in _reply_astm(asked, [tube], shape, known, now)]


def _reply_columns(query: Message, tubes: Sequence[TubeOrder]) -> list[bytes]:
    """A telegram of fixed columns (Sysmex CA), with its STX and ETX; silence when nothing is ordered."""
    head = query.records[0][0] if query.records and query.records[0] else ""
    if not head:
        return []
    return [b"\x02" + write_ca(head, list(tube.tests)).encode("ascii", "replace") + b"\x03" for tube in tubes]


def _bci(tube: TubeOrder) -> bytes:
    """One mtmpr message: patient, specimen, a field a test; RS before each field, GS and the sum behind."""
    fields = [
        "mtmpr",
        f"pi{tube.patient_id}",
        f"pn{tube.patient_name}",
        "si",
        f"ci{tube.barcode}",
        *(f"rt{code}" for code in tube.tests),
        "qd1",
    ]
    body = b"".join(b"\x1e" + one.replace("|", " ").encode("utf-8") + b"|" for one in fields) + b"\x1d"
    return b"\x02" + body + b"%02x" % (sum(body) & 0xFF) + b"\x03"


def _driver(query: Message, driver: Driver | str | None) -> Driver | None:
    if isinstance(driver, Driver):
        return driver
    return DRIVERS.get(driver or query.driver or "")


def _reply_astm(query: Message, tubes: Sequence[TubeOrder], shape: QueryReply, driver: Driver | None, now: str) -> list[bytes]:
    if not tubes and shape.none == "-":
        return []
    d = _delimiters(query)
    lines = [_header(query, shape, d, now)]
    for number, tube in enumerate(tubes, 1):
        lines.append(_patient(number, tube, d))
        lines.append(_order(query, tube, shape, d))
    lines.append(d.field.join(["L", "1", shape.end if tubes else shape.none]))
    text = "".join(line.rstrip(d.field) + "\r" for line in lines)
    encoding = query.encoding if query.encoding not in (None, "ascii") else (driver.encoding if driver else None)
    return [text.encode(encoding or "utf-8", "backslashreplace")]


def _delimiters(query: Message) -> Delimiters:
    return Delimiters(*query.delimiters) if len(query.delimiters) == 4 else Delimiters()


def _header(query: Message, shape: QueryReply, d: Delimiters, now: str) -> str:
    source = query.records[0] if query.records and query.records[0][0] == "H" else []

    def field_of(number: int) -> str:
        return source[number - 1] if len(source) >= number else ""

    sender = field_of(10) or escape("LIS", d)
    receiver = field_of(5).split(d.component)[0] if not shape.header_11 else field_of(5)
    fields = [""] * 14
    fields[0], fields[1] = "H", d.repeat + d.component + d.escape
    fields[4], fields[9] = sender, receiver
    fields[10] = escape_keep(shape.header_11, d)
    fields[11] = shape.processing
    fields[12] = field_of(13) or "1"
    fields[13] = now
    return d.field.join(fields)


def escape_keep(text: str, d: Delimiters) -> str:
    """A driver's template, written with ``^``, in the delimiters of this message."""
    return text.replace("^", d.component)


def _patient(number: int, tube: TubeOrder, d: Delimiters) -> str:
    fields = ["P", str(number), "", escape(tube.patient_id, d), "", escape(tube.patient_name, d), "", tube.birth]
    fields.append(tube.sex if tube.sex in ("M", "F") else "U" if tube.sex else "")
    return d.field.join(fields)


def _order(query: Message, tube: TubeOrder, shape: QueryReply, d: Delimiters) -> str:
    fields = [""] * 26
    fields[0], fields[1] = "O", "1"
    number, component = shape.specimen
    fields[number - 1] = d.component * (component - 1) + escape(tube.barcode, d)
    if shape.echo:
        asked = _asked(query, tube.barcode, d)
        if asked:
            _echo(fields, asked, tube, shape, d)
    tests = [escape_keep(shape.test, d).replace("{code}", escape(code, d)) for code in tube.tests]
    fields[4] = d.repeat.join(tests)
    fields[5] = "S" if tube.urgent else "R"
    fields[7] = tube.collected_at
    fields[11] = shape.action_urgent if tube.urgent else shape.action
    fields[15] = escape(tube.specimen, d)
    fields[25] = shape.report_type
    return d.field.join(fields)


def _echo(fields: list[str], asked: str, tube: TubeOrder, shape: QueryReply, d: Delimiters) -> None:
    """Rack, tube and attribute of the query go back as they came (Sysmex O.3; Roche O.4 from Q.3)."""
    parts = asked.split(d.component)
    if shape.header_11:  # Roche: Q.3 is ^^id^sequence^rack^position^^type^container
        fields[2] = parts[2] if len(parts) > 2 else escape(tube.barcode, d)
        fields[3] = d.component.join(parts[3:])
    else:  # Sysmex: rack^tube^id^attribute, in O.3 of the answer
        fields[2] = asked
        fields[3] = ""


def _asked(query: Message, barcode: str, d: Delimiters) -> str:
    for record in query.records:
        if record[0] == "Q" and len(record) > 2:
            for item in record[2].split(d.repeat):
                if any(part.strip().upper() == barcode.upper() for part in item.split(d.component)):
                    return item
    return ""
