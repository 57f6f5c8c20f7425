"""Tolerant un-framing of captured ASTM streams: the texts, and every flaw as a problem.

Reads a whole stream that is already there (a log, a journal, a terminal's file); the live link has its own
state machine in ``link``. Nothing here raises, and nothing that was on the wire vanishes unsaid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from zlib import adler32

from common.protocol.astm.framing import CR, ENQ, EOT, ETB, ETX, LF, SHORT, STX, SUMS, checksum, total
from common.protocol.problem import Problem, quote


@dataclass(slots=True)
class LinkText:
    """The text one transfer phase carried, frames joined, retransmissions dropped.

    Where bytes are missing: a record that ends at a ``cut_end`` offset of ``text``, or starts at a
    ``cut_start`` offset, is not whole; ``gaps`` counts records lost before an offset, -1 where nobody knows how many.
    ``doubt``: from where to where the text came in a frame whose checksum is wrong or missing, in a phase where most are right.
    """

    text: bytes
    framed: bool
    problems: list[Problem] = field(default_factory=list)
    cut_end: set[int] = field(default_factory=set)
    cut_start: set[int] = field(default_factory=set)
    gaps: dict[int, int] = field(default_factory=dict)
    doubt: list[tuple[int, int]] = field(default_factory=list)
    shaky: bool = False
    """Was any frame damaged?"""
    frames: int = 0


@dataclass(slots=True)
class _Frame:
    body: bytes
    """Frame number (if any) and text."""
    end: int
    """ETX, ETB, or 0 when the end is missing."""
    sent: bytes
    """Checksum as sent, empty when missing."""
    good: bool


_STOP = re.compile(rb"[\x02\x03\x04\x05\x17]")
_HEX = frozenset(b"0123456789ABCDEFabcdef")
_IDLE = frozenset(b"\r\n\x00\x06\x15 ")
_DECIMAL_AS_HEX = bytes.maketrans(b"\x13\x10", b"\r\n")
"""A program that wrote CR (13) and LF (10) as 0x13 and 0x10: seen on a simulator of a urine analyzer."""
_WIDE = re.compile(rb"\x02[0-7]?(?:\xff\xfe|\xfe\xff)?(?:H\x00|\x00H)")
_CARET = {b"^E": b"\x05", b"^B": b"\x02", b"^C": b"\x03", b"^D": b"\x04", b"^W": b"\x17"}
_CARET_FRAME = re.compile(rb"(?:^|[\r\n]|\^E)\s*\^B[0-7][A-Z]")
"""Caret notation is believed only where a frame begins a line: ``^B`` elsewhere is a component (``^BASO``)."""
_CARET_MARK = re.compile(
    rb"(?:(?<=[\r\n])|(?<=\^E)|^)\^B(?=[0-7])|(?:(?<=[\r\n])|^)\^[DE]|\^[CW](?=[0-9A-Fa-f]{2}[\r\n])|\^[CW](?=[0-9A-Fa-f]{2}$)"
)
_NUMBERED_HEADER = re.compile(rb"(?:^|[\r\n\x05])[ \t]*[0-7]H[^A-Za-z0-9\s\x00-\x1f]")
_NUMBERED = re.compile(rb"(?:(?<=[\r\n\x05])|^)[ \t]*(?=[0-7][A-Z][^A-Za-z0-9\s\x00-\x1f])")
_NUMBER = re.compile(rb"(?:(?<=[\n\x05])|^)[ \t]*[0-7](?=[A-Z](?:[^A-Za-z0-9\s\x00-\x1f]|\n|$))")
_SUM_LINE = re.compile(rb"\n[ \t]*[0-9A-Fa-f]{2}[ \t]*(?=\n|$)")
_NAMED = re.compile(rb"[<\[](ENQ|STX|ETX|ETB|EOT|ACK|NAK|CR|LF)[>\]]", re.IGNORECASE)
_NAMES = {
    b"ENQ": b"\x05",
    b"STX": b"\x02",
    b"ETX": b"\x03",
    b"ETB": b"\x17",
    b"EOT": b"\x04",
    b"ACK": b"\x06",
    b"NAK": b"\x15",
    b"CR": b"\r",
    b"LF": b"\n",
}


def restore_controls(data: bytes) -> bytes:
    """Undo the way logs write control characters (``^B``, ``<STX>``); other bytes stay."""
    if STX in data:
        return data
    if _NUMBERED_HEADER.search(data):
        return _without_stx(data)
    if b"^B" in data and _CARET_FRAME.search(data):
        return _CARET_MARK.sub(lambda m: _CARET[m.group()], data)
    upper = data[:4096].upper()
    if b"<STX>" in upper or b"[STX]" in upper:
        flat = data.replace(b"\r", b"").replace(b"\n", b"") if b"CR>" in upper or b"CR]" in upper else data
        return _NAMED.sub(lambda m: _NAMES[m.group(1).upper()], flat)
    return data


def _without_stx(data: bytes) -> bytes:
    """A log that dropped STX, and mostly the other control characters too, but kept the frame numbers."""
    if b"\x03" in data or b"\x17" in data:
        return _NUMBERED.sub(b"\x02", data)
    plain = _SUM_LINE.sub(b"", data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    return _NUMBER.sub(b"", plain)


def has_wide_header(data: bytes) -> bool:
    """Is there a frame whose text is UTF-16 between single-byte control characters?"""
    return _WIDE.search(data) is not None


def unframe(data: bytes) -> list[LinkText]:
    """All texts a captured byte stream carries, one per transfer phase; never raises."""
    if STX not in data:
        text = data.translate(None, b"\x01\x05\x06\x15\x04\x0b\x1c")  # SOH … EOT around bare records: Radiometer ABL9; VT … FS as HL7 has
        return [LinkText(text, framed=False)]
    whole = _unframe_clean(data)
    if whole is not None:
        return whole
    mixed = b"\x13" in data and b"\r" not in data
    if mixed:
        data = data.translate(_DECIMAL_AS_HEX)
    wide = _WIDE.search(data) is not None
    phases: list[_Phase] = []
    phase = _Phase()
    for item in _scan(data, wide):
        if isinstance(item, _Frame):
            phase.take(item)
        elif isinstance(item, bytes):
            phase.stray(item)
        elif phase.used:
            phases.append(phase)
            phase = _Phase()
    if phase.used or not phases:
        phases.append(phase)
    if mixed:
        said = "控制符 0x13/0x10 用作 CR/LF,已按 CR/LF 读取(decimal control codes written as hex)"
        phases[0].out.problems.insert(0, Problem("frame.controls", said))
    return [one.close() for one in phases]


_CLEAN = re.compile(rb"\x02([0-7])([^\x00-\x09\x0b\x0c\x0e-\x1f]*\r[\x03]|[^\x00-\x09\x0b\x0c\x0e-\x1f]*\x17)([0-9A-F]{2})\r\n?")


_SUMS = {b"\r\x03" + one + b"\r\n": (value + sum(one) + CR + LF) & 0xFF for value, one in enumerate(SUMS)}
"""By how a frame ends: what all its bytes behind STX add up to, modulo 256, when its checksum is right."""
_PLAIN = bytes(set(range(256)) - {STX, ETX, ETB, CR, LF} - set(range(0x20)))


def one_session(data: bytes) -> LinkText | None:
    """The quickest way: one ENQ … EOT of flawless frames, each ``STX FN text CR ETX C1 C2 CR LF``; None for anything else."""
    frames = data.strip(b"\x04\x05").split(b"\x02")
    if frames[0] or len(frames) == 1 or data.translate(None, _PLAIN).strip(b"\x04\x05") != b"\x02\r\x03\r\n" * (len(frames) - 1):
        return None
    texts = []
    for frame, number in zip(frames[1:], cycle(b"12345670")):
        if frame[0] != number or (adler32(frame, 0) & 0xFF if len(frame) <= SHORT else total(frame)) != _SUMS.get(frame[-6:]):
            return None
        texts.append(frame[1:-5])
    return LinkText(b"".join(texts), True, frames=len(texts))


def _unframe_clean(data: bytes) -> list[LinkText] | None:
    """The quick way for a stream without any flaw; None as soon as something is unusual."""
    whole = one_session(data)
    if whole is not None:
        return [whole]
    out: list[LinkText] = []
    parts: list[bytes] = []
    expected = 0x31
    pos, size = 0, len(data)
    while pos < size:
        byte = data[pos]
        if byte == STX:
            for found in _CLEAN.finditer(data, pos):
                if found.start() != pos:
                    break
                start, end = found.span(2)
                if data[start - 1] != expected or found[3] != checksum(data[start - 1 : end]):
                    return None
                parts.append(data[start : end - 1])
                expected = 0x30 if expected == 0x37 else expected + 1
                pos = found.end()
            if data[pos : pos + 1] == b"\x02":
                return None
        elif byte in (ENQ, EOT):
            if parts and not _flush(parts, out):
                return None
            expected = 0x31
            pos += 1
        elif byte in (CR, LF):
            pos += 1
        else:
            return None
    if parts and not _flush(parts, out):
        return None
    return out or None


def _flush(parts: list[bytes], out: list[LinkText]) -> bool:
    """Close a phase of the quick way; False when it has no CR at all and needs a second look."""
    text = b"".join(parts)
    if b"\r" not in text and len(parts) > 1:
        return False
    out.append(LinkText(text, True, frames=len(parts)))
    parts.clear()
    return True


def _scan(data: bytes, wide: bool) -> Iterator[_Frame | bytes | int]:
    """Frames, stray text between them, and ENQ/EOT as numbers."""
    pos, size = 0, len(data)
    while pos < size:
        byte = data[pos]
        if byte == STX:
            frame, pos = _read_frame(data, pos + 1, wide)
            yield frame
        elif byte in (ENQ, EOT):
            yield byte
            pos += 1
        elif byte in _IDLE:
            pos += 1
        else:
            stop = _STOP.search(data, pos)
            end = stop.start() if stop else size
            if stop and data[end] in (ETX, ETB):
                end += 1
            yield data[pos:end]
            pos = end


def _read_frame(data: bytes, start: int, wide: bool) -> tuple[_Frame, int]:
    """The frame whose STX is just before ``start`` and the position behind it."""
    at = start
    while True:
        stop = _STOP.search(data, at)
        if stop is None:
            return _Frame(data[start:], 0, b"", False), len(data)
        at = stop.start()
        char = data[at]
        if char not in (ETX, ETB):
            if wide:
                at += 1
                continue
            return _Frame(data[start:at], 0, b"", False), at
        sent = data[at + 1 : at + 3]
        if len(sent) == 2 and sent[0] in _HEX and sent[1] in _HEX:
            good = _sum_fits(data[start : at + 1], int(sent, 16))
            if not good and wide:
                at += 1
                continue
            return _Frame(data[start:at], char, sent, good), at + 3
        if wide:
            at += 1
            continue
        return _Frame(data[start:at], char, sent if sent and sent[0] in _HEX else b"", False), at + 1


def _sequence(text: bytes, delimiter: int) -> tuple[int, int] | None:
    """Type and sequence number of the record a text starts with (``R|12|`` → (82, 12))."""
    parts = text[:16].split(b"%c" % delimiter, 2)
    if len(parts) < 3 or len(parts[0]) != 1 or not parts[1].isdigit():
        return None
    return parts[0][0], int(parts[1])


def _sum_fits(body: bytes, sent: int) -> bool:
    """Does the checksum fit, also when a text-mode log turned each CR into LF (three less each)?"""
    found = total(body)
    if found == sent:
        return True
    return CR not in body and (found + 3 * body.count(LF)) & 0xFF == sent


class _Phase:
    """Joins the frames of one transfer phase (ENQ … EOT)."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.out = LinkText(b"", framed=True)
        self.used = False
        self.numbered: bool | None = None
        self.last_number = -1
        self.last_text = b""
        self.last_end = ETX
        self.held: tuple[_Frame, int, bytes] | None = None
        self.delimiter = 0x7C
        self.unsummed = 0
        self.repeated = False
        self.a_record_each = True
        self.ended = self.summed = False
        self.perhaps: set[int] = set()
        self.good = 0
        self.unsure = False
        self.doubt: list[tuple[int, int]] = []

    def take(self, frame: _Frame) -> None:
        """Next frame on the wire; a damaged one waits for its possible retransmission."""
        self.used = True
        body = frame.body
        digit = body[:1].isdigit()
        if self.numbered is None and (digit or frame.good or not frame.sent):  # not by a damaged byte
            self.numbered = digit
            at = 1 if digit else 0
            if body[at : at + 1] == b"H" and len(body) > at + 1:
                self.delimiter = body[at + 1]
        number = -1
        if self.numbered and digit:
            number = body[0] - 0x30
            body = body[1:]
        self.out.frames += 1
        if self.held is not None:
            held, held_number, held_text = self.held
            self.held = None
            if not self._replaces(frame, number, body, held, held_number, held_text):
                self._accept(held_number, held_text, held)
        if frame.good or frame.end and len(frame.sent) < 2:
            self.summed |= frame.good
            if not frame.good:
                self._report(frame, number)
            if self.summed and self.last_number == number >= 0 and body == self.last_text:
                return
            self._accept(number, body, frame)
            return
        self._report(frame, number)
        if not frame.end and body and number == self.last_number >= 0 and self.last_text.startswith(body):
            return  # the beginning of a frame that came whole before
        self.held = (frame, number, body)

    def _replaces(self, frame: _Frame, number: int, text: bytes, held: _Frame, held_number: int, held_text: bytes) -> bool:
        """Is this frame the retransmission of the damaged one before it? (LIS01 8.3.4: same number)"""
        if text == held_text:
            return True
        if number < 0 or not held.end and not frame.good:
            return False
        expected = (self.last_number + 1) & 7 if self.last_number >= 0 else 1
        return number in (expected, held_number) if frame.good else number == held_number

    def _report(self, frame: _Frame, number: int) -> None:
        name = f"第 {self.out.frames} 帧" + (f"(FN {number})" if number >= 0 else "")
        if not frame.end:
            text = f"{name}没有 ETX/ETB 结束符,可能被截断(frame end missing)"
            self.out.problems.append(Problem("frame.end", text))
        elif len(frame.sent) < 2:
            self.unsummed += 1
        else:
            right = checksum(b"%s%c" % (frame.body, frame.end)).decode()
            text = f"{name}校验和错误:发来 {quote(frame.sent)},应为 {right}(wrong checksum)"
            self.out.problems.append(Problem("frame.checksum", text))

    def _accept(self, number: int, text: bytes, frame: _Frame) -> None:
        if number >= 0 and self.last_number >= 0:
            missing = (number - self.last_number - 1) & 7
            if missing and not self._restart(number, text):
                self._gap(number, missing)
        self._join(text)
        self.parts.append(text)
        if frame.good:
            self.good += 1
        elif frame.end:
            self.unsure = not frame.sent
            self.doubt.append((self.size, self.size + len(text)))
        self.size += len(text)
        if number >= 0:
            self.last_number = number
        self.last_text = text
        self.last_end = frame.end
        if frame.end:
            self.ended = True
        if frame.end or text[-1:] in (b"\r", b"\n"):
            self.a_record_each &= self._starts_record(text) and b"\r" not in text.rstrip(b"\r\n")
        if not frame.end and text[-1:] in (b"\r", b"\n"):
            self.perhaps.add(self.size)
        elif not frame.end:  # its end is missing, and whatever stood there
            self._cut()
            self.out.gaps[self.size] = 1

    def _cut(self) -> None:
        """What follows is missing: end the record here and remember that it is not whole."""
        if self._open():
            self.out.cut_end.add(self.size)
            self.parts.append(b"\r")
            self.size += 1

    def _restart(self, number: int, text: bytes) -> bool:
        """Numbering that starts again, or skips 0, without anything being lost."""
        if text[:1] == b"H" and text[1:2] and text[1] == self.delimiter:
            return not self._open()
        if self.last_number == 9 and number in (0, 1):  # counted to nine before beginning again
            return True
        if (self.last_number, number) != (7, 1):
            return False
        before, after = _sequence(self.last_text, self.delimiter), _sequence(text, self.delimiter)
        # of two orders in a row the first would have no result: rather its results are lost
        return before is not None and before[0] not in b"OP" and after == (before[0], before[1] + 1)

    def _gap(self, number: int, missing: int) -> None:
        if missing == 7:
            if not self.repeated:
                said = f"帧号 {number} 重复而内容不同(frame number repeated, text differs)"
                self.out.problems.append(Problem("frame.gap", said))
            self.repeated = True
            return
        said = f"帧号不连续:{self.last_number} 之后是 {number},可能缺 {missing} 帧(frame number gap)"
        self.out.problems.append(Problem("frame.gap", said))
        if self._open():
            self._cut()
            self.out.cut_start.add(self.size)
        self.out.gaps[self.size] = missing

    def _open(self) -> bool:
        """Does the text so far end inside a record?"""
        for part in reversed(self.parts):
            if part:
                return part[-1] not in (CR, LF) and part[-2:] not in (b"\r\x00", b"\n\x00")  # UTF-16 ends with its zero
        return False

    def _join(self, text: bytes) -> None:
        """After ETX a new record starts even when the instrument forgot the CR."""
        if not self._starts_record(text):
            return
        if self.summed and self.unsure and self.doubt and self.doubt[-1][1] == self.size:
            self._cut()  # its end came from damage
        elif self.last_end == ETX and self._open():
            self.parts.append(b"\r")
            self.size += 1

    def _starts_record(self, text: bytes) -> bool:
        return len(text) > 1 and 0x41 <= text[0] <= 0x5A and (text[1] == self.delimiter or text[1] in (CR, LF))

    def stray(self, data: bytes) -> None:
        """Text outside any frame: LIS01 says ignore; we also say so."""
        if not data.strip(b"\r\n\x00 \x06\x11\x13\x15"):  # DC1 and DC3 are the line's own flow control
            return
        self.out.problems.append(Problem("frame.stray", f"帧外有未归属的字节(bytes outside frames):{quote(data)}"))

    def close(self) -> LinkText:
        """The joined text."""
        if self.held is not None:
            held, number, text = self.held
            self.held = None
            self._accept(number, text, held)
        if self.unsummed:
            said = f"{self.unsummed} 帧没有校验和,内容无法核对(checksum missing)"
            self.out.problems.append(Problem("frame.unsummed", said))
        bare = len(self.parts) > 1 and not any(b"\r" in part or b"\n" in part for part in self.parts)
        # one record a frame and no CR anywhere: the frames are the records
        whole = bare and all(self._starts_record(part) for part in self.parts)
        self.out.text = (b"\r" if whole else b"").join(self.parts)
        self.out.shaky = bool(self.doubt)
        if self.good > len(self.doubt) or self.good > 1 and self.good * 4 >= len(self.doubt):  # else it is how this sender counts
            self.out.doubt = self.doubt
        if not self.a_record_each:  # how many records a lost frame held nobody knows, nor whether one without an end held more
            self.out.gaps = dict.fromkeys([*self.out.gaps, *(self.perhaps if self.ended else ())], -1)
        return self.out
