"""Acknowledgements for HL7 messages, made from the message's own bytes so that no encoding can spoil an echoed id.

Original mode answers AA, AE or AR; enhanced mode (MSH-15/16 filled) answers as those fields ask; an acknowledgement is
never acknowledged (HL7 v2.5.1 section 2.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

_ANSWERS = (b"ACK", b"ORL", b"ORR", b"RSP", b"QCK", b"DSR", b"MCF")
_ENHANCED = (b"AL", b"NE", b"ER", b"SU")
_NO_FIELDS = (b"",) * 22
"""Mindray wants the full MSH (at least 19 separators)."""
_NO_SEPARATOR = b"\r\n\x00\x0b\x1c"


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer needs of MSH, as bytes. `fields[n]` is MSH-n."""

    separator: bytes
    fields: tuple[bytes, ...]

    def get(self, number: int) -> bytes:
        """MSH-n, empty when absent."""
        return self.fields[number] if number < len(self.fields) else b""

    @property
    def type(self) -> bytes:
        """MSH-9.1."""
        return self.get(9).split(self.component, 1)[0].strip()

    @property
    def component(self) -> bytes:
        """The component separator."""
        return self.get(2)[:1] or b"^"


def read_head(message: bytes) -> Head | None:
    """The first segment when it is MSH, else None."""
    text = message if message[:3] == b"MSH" else message.lstrip(b" \t\r\n")
    separator = text[3:4]
    if text[:3] != b"MSH" or len(text) < 8 or separator in _NO_SEPARATOR:
        return None
    line = text.split(b"\r", 1)[0].split(b"\n", 1)[0]
    return Head(separator, (b"MSH", separator, *line.split(separator)[1:]))


def acks(message: bytes, *, stored: bool, now: datetime, number: int) -> list[bytes]:
    """The answers a message asks for once it is stored (or could not be). `number` makes MSH-10 unique."""
    head = read_head(message)
    if head is None:
        return [_ack(Head(b"|", (b"MSH", b"|", b"^~\\&")), b"AR", now, number)]
    if head.type in _ANSWERS:
        return []
    return [_ack(head, code, now, number) for code in _codes(head, stored)]


def _codes(head: Head, stored: bool) -> list[bytes]:
    accept, application = head.get(15).strip(), head.get(16).strip()
    if accept not in _ENHANCED and application not in _ENHANCED:
        return [b"AA" if stored else b"AE"]
    codes = []
    if _wanted(accept, stored):
        codes.append(b"CA" if stored else b"CE")
    if _wanted(application, stored) and (stored or not codes):
        codes.append(b"AA" if stored else b"AE")
    return codes


def _wanted(condition: bytes, good: bool) -> bool:
    return condition == b"AL" or condition == (b"SU" if good else b"ER")


def _ack(head: Head, code: bytes, now: datetime, number: int) -> bytes:
    """MSH with sender and receiver swapped, and MSA echoing MSH-10. MSH-16 is echoed: Mindray wants its own back."""
    sep, own = head.separator, (head.fields + _NO_FIELDS)[: len(_NO_FIELDS)]
    trigger = own[9].partition(head.component)[2].split(head.component, 1)[0]
    at, mode = _digits(now), own[16].strip()
    fields = [
        *(b"MSH", own[2] or b"^~\\&", own[5], own[6], own[3], own[4], at, b""),
        *(head.component.join((b"ACK", trigger)) if trigger else b"ACK", b"%s%d" % (at[4:], number % 1_000_000)),
        *(own[11] or b"P", own[12] or b"2.3.1", b"", b"", b"", b"" if mode in _ENHANCED else own[16], b"", own[18], b"", b"", b""),
    ]
    msa = [b"MSA", code, own[10]]
    if mode.isdigit():
        msa += [_MINDRAY_TEXT[code[1:]], b"", b"", b"0" if code[1:] == b"A" else b"207"]
    return (sep.join(fields) + b"\r" + sep.join(msa) + b"\r").translate(None, b"\x0b\x1c")  # an echo must not end our own block


def _digits(now: datetime) -> bytes:
    return b"%04d%02d%02d%02d%02d%02d" % (now.year, now.month, now.day, now.hour, now.minute, now.second)


_MINDRAY_TEXT = {b"A": b"Message accepted", b"E": b"Application internal error", b"R": b"Message rejected"}
