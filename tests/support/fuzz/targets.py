"""What is fuzzed: one function a parser, taking any bytes, raising only on a defect of ours.

Documented refusals (EnvelopeError) are caught here; whatever else comes out is a finding. Beyond not raising, each target checks what must
hold for any bytes: JSON can be made of a reading, a link never acknowledges what was not stored, bytes in any pieces give the same blocks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from agent.channels.hl7_ack import acks
from common import crypto
from common.envelope import EnvelopeError, Header, parse, seal
from common.instruments.decode import read
from common.instruments.layout import Layout, Mark, Repeat
from common.instruments.read_fixed import read_blocks, read_columns, read_tickets
from common.instruments.read_layout import read_layout
from common.protocol.astm import effects as fx
from common.protocol.astm.framing import build_frames
from common.protocol.astm.link import Link, Role
from common.protocol.hl7 import mllp

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
_LAYOUT = Layout(
    "stx",
    (Mark("specimen", 0, 8), Mark("value", 8, 12, code="A"), Mark("flag", 12, 13, code="A"), Mark("qc", 13, 14, text="Q")),
    Repeat(14, 9, (("code", 0, 3), ("value", 3, 8), ("flag", 8, 9))),
    checksum="sum",
)
_LINES = Layout("line", (Mark("specimen", 0), Mark("value", 2, code="A")), separator=",")


def astm_link(data: bytes) -> None:
    """The first bytes choose role and events, the rest arrives on the line in pieces; an ACK follows a stored frame only."""
    if len(data) < 4:
        return
    link = Link(Role.INSTRUMENT if data[0] & 1 else Role.HOST)
    size, store, events = data[1] % 31 + 1, data[2], data[3]
    if data[0] & 2:
        _carry(link, link.send(build_frames(data[4:24]), "tag"), store)
    for number, at in enumerate(range(4, len(data), size)):
        _carry(link, link.receive(data[at : at + size]), store >> number % 8)
        if events >> number % 8 & 1:
            _carry(link, link.timer() if number % 3 else link.lost(), store)
    _carry(link, link.lost(), store)


def _carry(link: Link, effects: list[fx.Effect], store: int) -> None:
    todo = list(effects)
    while todo:
        effect = todo.pop(0)
        if isinstance(effect, fx.Persist):
            assert effect.frame[:1] == b"\x02"
            assert not any(isinstance(one, fx.Write) and one.data == b"\x06" for one in todo), "an ACK before the frame is stored"
            todo += link.refused() if store & 1 else link.persisted()


def _bare_records(data: bytes) -> None:
    """Bytes as a capture."""
    _reading(data)


def _framed_records(data: bytes) -> None:
    """The same bytes as the text of good frames."""
    _reading(b"\x05" + b"".join(build_frames(b"H|\\^&|||A\r" + data, 60)) + b"\x04")


def _a_field(data: bytes) -> None:
    """The same bytes as what follows a specimen."""
    _reading(b"H|\\^&|||A\rP|1\rO|1|S1\rR|1|" + data)


def _hl7_stream(data: bytes) -> None:
    """Bytes as a stream."""
    _reading(data)
    _answered(data)


def _hl7_message(data: bytes) -> None:
    """Bytes as the rest of a message."""
    message = _HL7 + data + b"\x1c\r"
    _reading(message)
    _answered(message[1:-2])


def _answered(message: bytes) -> None:
    """What is answered, kept or not, is a message of one MSH and one MSA that echoes no line end."""
    for stored in (True, False):
        for answer in acks(message, stored=stored, now=NOW, number=1):
            assert answer.startswith(b"MSH") and b"MSA" in answer and answer.count(b"\r") == 2 and b"\x1c" not in answer


NOW = datetime(2026, 7, 1, tzinfo=UTC)


def _hl7_pieces(data: bytes) -> None:
    """Bytes through the live deframer whole and in pieces, whose size the bytes choose."""
    stream = b"\x0bMSH|" + data + b"\x1c\r" + data
    size = stream[-1] % 13 + 1
    assert _blocks([stream]) == _blocks([stream[at : at + size] for at in range(0, len(stream), size)])


_HL7 = b"\x0bMSH|^~\\&|A|B|||2026||ORU^R01|1|P|2.3.1\r"


def _blocks(pieces: Iterable[bytes]) -> list[tuple[bytes, object]]:
    """What each block says; its raw bytes may lack a CR that came in the next read."""
    deframer = mllp.Deframer()
    found = [block for piece in pieces for block in deframer.receive(piece)]
    return [(block.message, block.problem) for block in found + deframer.close()]


def _columns(data: bytes) -> None:
    """Columns and tickets, bare and between STX and ETX."""
    for text in (data, b"\x02" + data + b"\x03"):
        read_columns(text, None)
        read_tickets(text, None)


def _described(data: bytes) -> None:
    """Layouts that somebody described."""
    read_layout(b"\x02" + data + b"\x03", _LAYOUT, None, None)
    read_layout(data, _LINES, None, "gb18030")


def _host_block(data: bytes) -> None:
    read_blocks(data)
    _reading(b"\x01\n09 INTEGRA400\n\x02\n" + data)


def _bci(data: bytes) -> None:
    _reading(b"\x02mtrsl|" + data)


def _poct(data: bytes) -> None:
    _reading(b"<OBS.R01><SVC>" + data + b"</SVC></OBS.R01>")


def one_of(*parsers: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Each input goes through one of them, by its length: the same input always through the same one."""

    def target(data: bytes) -> None:
        parsers[len(data) % len(parsers)](data)

    return target


def envelope(data: bytes) -> None:
    """Anything that is not an envelope is refused with an EnvelopeError."""
    try:
        found = parse(data)
    except EnvelopeError:
        return
    assert crypto.sha256_hex(found.body) == found.header.sha256


def _reading(data: bytes) -> None:
    found = read(data)
    if len(data) & 3 == 0:  # a fourth is written out as well: it costs as much again
        json.dumps(found.to_json())


TARGETS: dict[str, Callable[[bytes], None]] = {
    "astm-link": astm_link,
    "astm-records": one_of(_bare_records, _framed_records, _a_field),
    "hl7": one_of(_hl7_stream, _hl7_message, _hl7_pieces),
    "fixed": one_of(_columns, _described, _host_block, _bci, _poct),
    "envelope": envelope,
}
TOKENS: dict[str, tuple[bytes, ...]] = {
    "astm-link": (b"\x05", b"\x02", b"\x03", b"\x17", b"\x04", b"\x06", b"\x15", b"\r\n", b"1", b"\x021H|\\^&\r\x03E5\r\n"),
    "astm-records": (
        *(b"\r", b"|", b"\\", b"^", b"&", b"H|\\^&", b"P|1", b"O|1|", b"R|1|^^^", b"Q|1|", b"L|1", b"M|1", b"C|1"),
        *(b'""', b"\x02", b"\x03", b"\x17", b"\xff"),
    ),
    "hl7": (
        *(b"\r", b"|", b"^", b"~", b"\\", b"&", b"MSH|^~\\&|", b"OBX|1|NM|", b"OBR|", b"SPM|", b"PID|", b"ORC|"),
        *(b"\x0b", b"\x1c\r", b"M\0S\0H\0", b"\\X0D\\"),
    ),
    "fixed": (
        *(b"\x02", b"\x03", b"\r\n", b"D121010", b"URISYS", b"ID#", b"53 ", b"00 ", b"\x1e", b"\x1dff", b"rt", b"qn", b"|"),
        *(b"<OBS>", b'<OBS.value V="', b"</SVC>", b"&a;", b"r1 1 2"),
    ),
    "envelope": (b"{", b"}", b'"', b":", b"\x00\x00\x00\x01", b"\xff\xff\xff\xff", b"null", b"1e999"),
}


def seeds(name: str) -> list[bytes]:
    """Good inputs to begin from."""
    if name == "envelope":
        header = Header(
            tenant="h1", agent="a", kind="raw", at="2026-07-01T00:00:00Z", mono=5, boot="b", stream="s", seq=7, conn="c", meta={"n": 3}
        )
        return [seal(header, body, crypto.new_key()) for body in (b"", b"body", b'{"a": 1}')]
    found = [path.read_bytes() for path in sorted(CAPTURES.glob("*.bin"))]
    if name == "astm-link":
        return [b"\x00\x09\x00\x00" + one for one in found if one[:1] in (b"\x05", b"\x02")]
    return [one for one in found if len(one) < 4000]
