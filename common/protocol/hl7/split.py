"""A captured byte stream to HL7 messages: MLLP blocks or none, batches, UTF-16, any line ends.

Tolerant where ``mllp`` (the live link) is strict: it reads what a log, a file or a terminal kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from common.protocol.charset import decode_bytes
from common.protocol.hl7.messages import HEADERS, Message, Segment, declared_charset, read_delimiters
from common.protocol.problem import Problem, quote

VT, FS = 0x0B, 0x1C
BODY = frozenset({"PID", "PV1", "ORC", "OBR", "OBX", "SPM", "SAC", "NTE", "QPD", "QRD", "MSA", "DSP"})
"""Segments that are read even when the MSH before them is missing."""
_NAMED = re.compile(rb"[<\[](VT|SB|FS|EB|CR|LF)[>\]]", re.IGNORECASE)
_SMALL = re.compile(rb"(?:(?<=[\r\n\x0b\x02])|\A)msh(?=[^A-Za-z0-9])")
"""A header in small letters, as its other segments may be, too."""
_GLUED = re.compile(r"(?<=.)(?=MSH([^A-Za-z0-9\s])[^A-Za-z0-9\s]{3,5}\1)")
"""A header that goes on where the segment before it has no end."""
_AS_BLOCK = bytes.maketrans(b"\x02\x03", b"\x0b\x1c")
_NAMES = {b"VT": b"\x0b", b"SB": b"\x0b", b"FS": b"\x1c", b"EB": b"\x1c", b"CR": b"\r", b"LF": b"\n"}
_HEAD = re.compile(rb"(?:^|[\r\n\x0b\x1c\x00 ])(?:MSH[^A-Za-z0-9]|(?:FHS|BHS|PID|OBR|OBX|ORC|SPM|QRD|QPD)\|)")
_MARK = re.compile(rb"\x0b|(?<=[\r\n])\x1c|\x1c(?=[\r\n\x0b\x00]|\Z)")
"""Begin and end of a block; an FS in the middle of a line is damage and ends nothing."""
_IDLE = b"\r\n\x00 "
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}$")
_MARKS = re.compile(rb"\A(?:\xff\xfe|\xfe\xff)|(?:\xff\xfe|\xfe\xff)\Z")
_WIDE_MSH = b"M\x00S\x00H"


@dataclass(slots=True)
class Found:
    """One message found in a stream."""

    message: Message
    problems: list[Problem] = field(default_factory=list)
    complete: bool = True


def split_stream(data: bytes, encoding: str | None = None) -> tuple[list[Found], list[Problem]]:
    """Messages of the stream and the problems that belong to none of them. Never raises."""
    data = _narrow(restore_controls(data))
    if b"msh" in data:
        data = _SMALL.sub(b"MSH", data)
    if VT not in data and b"\x02MSH" in data:
        data = data.translate(_AS_BLOCK)
    found: list[Found] = []
    problems: list[Problem] = []
    for block, framed, whole in _blocks(data):
        if framed and block in (b"\x06", b"\x15"):
            continue  # a commit answer of MLLP release 2 carries no message
        if not framed and not _HEAD.search(block):
            if block.strip(b"\r\n\x00 \t\x06\x15\x1a"):
                said = f"消息块之外有未归属的字节(bytes outside blocks):{quote(block)}"
                problems.append(Problem("block.stray", said))
            continue
        found.extend(_read_block(block, framed, whole, encoding))
    return found, problems


def restore_controls(data: bytes) -> bytes:
    """Undo ``<SB>``/``<VT>`` notation of logs and manuals."""
    upper = data[:4096].upper()
    if VT in data or not (b"<VT>" in upper or b"<SB>" in upper or b"[VT]" in upper):
        return data
    if b"<CR>" in upper or b"[CR]" in upper:
        data = data.replace(b"\r", b"").replace(b"\n", b"")
    return _NAMED.sub(lambda m: _NAMES[m.group(1).upper()], data)


def _narrow(data: bytes) -> bytes:
    """UTF-16 messages become UTF-8; VT and FS become single bytes where they were wide."""
    at = data.find(_WIDE_MSH)
    if at < 0:
        return data
    codec = _wide_codec(data, at)
    shift = 1 if codec == "utf-16-be" else 0
    out = []
    while at >= 0:
        start = at - shift
        end = _wide_end(data, start)
        prefix = data[:start].replace(b"\x00", b"")
        out.append(_MARKS.sub(b"", prefix))
        body = data[start:end]
        out.append(body[: len(body) & ~1].decode(codec, "replace").encode("utf-8"))
        data = data[end:]
        at = data.find(_WIDE_MSH)
    out.append(data.replace(b"\x00", b""))
    return b"".join(out)


def _wide_codec(data: bytes, at: int) -> str:
    """Byte order of the UTF-16 text whose ``M`` is at ``at``.

    A zero before the M is its own high byte (big endian), or the high byte of a wide VT (little endian):
    the end of the stream tells, where little endian leaves a zero behind its last character.
    """
    if data[at - 1 : at] != b"\x00":
        return "utf-16-le"
    if data[max(at - 2, 0) : at] == b"\xff\xfe":
        return "utf-16-le"
    return "utf-16-le" if data.endswith(b"\x00") else "utf-16-be"


def _wide_end(data: bytes, start: int) -> int:
    """Where the UTF-16 text that starts at ``start`` ends: an FS between two characters, or the data's end."""
    at = start
    while True:
        at = data.find(b"\x1c", at + 1)
        if at < 0:
            return len(data)
        follow = data[at + 1 : at + 2]
        if (at - start) % 2 == 0 and follow in (b"\r", b"\x00", b"") or data[at - 1 : at + 3] == b"\x00\x1c\x00\r":
            return at if (at - start) % 2 == 0 else at - 1


def _blocks(data: bytes) -> list[tuple[bytes, bool, bool]]:
    """``(bytes, framed, whole)`` pieces: MLLP blocks and what lies between them.

    Framed: a VT before it or an FS behind it. Whole: not a block whose FS is missing.
    """
    out: list[tuple[bytes, bool, bool]] = []
    start, opened = 0, False
    for mark in _MARK.finditer(data):
        at = mark.start()
        piece = data[start:at]
        ends = data[at] == FS
        if opened or piece.strip(_IDLE):
            out.append((piece, opened or ends, ends or not opened))
        start, opened = at + 1, not ends
    rest = data[start:]
    if opened or rest.strip(_IDLE):
        out.append((rest, opened, not opened))
    return out


def _read_block(block: bytes, framed: bool, whole: bool, encoding: str | None) -> list[Found]:
    raw = block.replace(b"\r\n", b"\r")
    if b"\r" not in raw:
        raw = raw.replace(b"\n", b"\r")
    decoded = decode_bytes(raw, declared_charset(raw), encoding)
    text = _apart(decoded.text)
    lines = text.split("\r")
    reader = _Lines(decoded.encoding)
    last = len(lines) - 1
    for at, line in enumerate(lines):
        reader.line(line, open_end=at == last and bool(line.strip()) and not (framed and whole))
    found = reader.close()
    if found:
        found[0].problems[:0] = decoded.problems
        if text is not decoded.text:
            said = "段的结尾损坏,下一段接在同一行,已分开读取(end of a segment damaged, the next one stood in its line)"
            found[0].problems.append(Problem("segment.glued", said))
        if FS in raw:
            said = "消息中间有块结束符 FS，按原样保留(FS inside a message, kept as it came)"
            found[0].problems.append(Problem("block.control", said))
        if not whole:
            found[-1].complete = False
            said = "消息不完整:没有块结束符 FS(cut message, no end of block)"
            found[-1].problems.append(Problem("message.cut", said))
            reader.drop_cut(found[-1])
        elif not framed:
            reader.judge_end(found[-1])
    return found


_SWALLOWED = re.compile(r"(?<=[^\r\n])(?:(?:OBX|OBR|SPM|SAC|PID|ORC)\|(?:\d{1,4}|[A-Z]{2})\||(?:OBX|OBR|SPM|SAC|ORC|(?<![A-Za-z])PID)\|\|)")
"""A segment inside another one's line, as where the CR between them was damaged. ``RAPID||`` is a word."""


_BEGINS = [(f"{name}|", f"\r{name}|") for name in ("OBX", "OBR", "SPM", "SAC", "PID", "ORC")]


def _apart(text: str) -> str:
    """The text with a CR before each segment that lost the end of the one before it; the same object where there is none."""
    if all(text.count(name) == text.count(behind) for name, behind in _BEGINS):
        return text  # each begins a line
    for found in reversed(list(_SWALLOWED.finditer(text))):
        at = found.start()
        begin = max(text.rfind("\r", 0, at), text.rfind("\n", 0, at)) + 1
        if found[0].endswith("||") and f"\r{found[0]}" not in text:
            continue  # none of this message begins so
        if text[begin:at].strip("\x00 \t\ufeff\x0b"):
            text = f"{text[:at]}\r{text[at:]}"
    return text


def _glued(part: str) -> list[str]:
    """The pieces of a line that holds the beginning of another message."""
    starts = [0, *(found.start() for found in _GLUED.finditer(part)), len(part)]
    return [part[start:end] for start, end in zip(starts, starts[1:], strict=False)]


class _Lines:
    """Lines to segments to messages."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self.found: list[Found] = []
        self.d = read_delimiters("MSH|^~\\&")
        self.before: list[Problem] = []
        self.batch: list[Segment] = []
        self.open_line = False
        self.tail: list[str] = []

    def line(self, line: str, open_end: bool) -> None:
        """One line between CRs; LF inside is data, unless it starts a segment."""
        if open_end and self.found and len(line) < 4 and line.isalnum() and line.isupper():
            said = f"段不完整,未读取(segment cut):{quote(line)}"  # of its name only the beginning came; the segment before it is whole
            self.found[-1].problems.append(Problem("segment.cut", said))
            return
        for at, part in enumerate(line.split("\n")):
            if "MSH" in part[1:]:
                for glued in _glued(part):
                    self._part(glued, continued=at > 0)
            else:
                self._part(part, continued=at > 0)
        self.open_line = open_end

    def _part(self, part: str, continued: bool) -> None:
        if not part.strip("\x00 \t\x1a\ufeff"):
            return
        text = part.lstrip("\x00 \t\ufeff")
        name = text[:3]
        if name not in HEADERS and text[3:4] == self.d.field and name.islower() and name.upper() in BODY:
            name = name.upper()
            text = name + text[3:]
        if self.tail and (name in HEADERS or _NAME.match(name)):
            self._close_tail()
        if name in HEADERS and len(text) > 3 and not text[3].isalnum():
            self._header(text, name)
            return
        known = _NAME.match(name) and (len(text) == 3 or text[3] == self.d.field)
        if known and name in ("BTS", "FTS"):
            self._trailer(Segment(text, self.d))
        elif known and self.found:
            self.found[-1].message.segments.append(Segment(text, self.d))
        elif known and name in BODY:
            said = "消息没有 MSH 段(message header missing)"
            self.before.append(Problem("message.head", said))
            self.found.append(Found(Message([Segment(text, self.d)], self.d, self.encoding), self.before, False))
            self.before = []
        else:
            self._leftover(part, continued)

    def _header(self, text: str, name: str) -> None:
        self.d = read_delimiters(text)
        segment = Segment(text, self.d)
        if name != "MSH":
            self.batch.append(segment)
            return
        one = Found(Message([segment], self.d, self.encoding), self.before)
        self.before = []
        self.found.append(one)

    def _trailer(self, segment: Segment) -> None:
        count = segment.get(1).strip()
        if segment.name == "BTS" and count.isascii() and count.isdigit() and int(count) != len(self.found):
            said = f"批次声明 {count} 条消息,实有 {len(self.found)} 条(batch count differs)"
            (self.found[-1].problems if self.found else self.before).append(Problem("batch.count", said))

    def _leftover(self, part: str, continued: bool) -> None:
        segments = self.found[-1].message.segments if self.found else []
        torn = len(self.tail) == 1 and len(self.tail[0]) <= 3  # the rest of a name that a line end was put into
        if segments and (torn or not continued and not self.tail) and self._was_segment(part):
            self._close_tail()
            segments.append(Segment(part, self.d))  # a segment whose name was damaged: whoever reads it must know that it stood here
            return
        if continued and not self.tail and len(segments) > 1 and len(segments[-1].fields) == 1 and self.d.field in part:
            segments[-1] = Segment(f"{segments[-1].fields[0]}?{part}", self.d)  # the separator behind its name was damaged to an LF
            return
        if segments and len(segments) > 1:
            self.tail.append(part)
            if continued:
                return
        said = f"不是段的文本,已并入上一段(text that is no segment):{quote(part)}"
        (self.found[-1].problems if self.found else self.before).append(Problem("segment.text", said))

    def _was_segment(self, part: str) -> bool:
        """May a line that is none have been a segment before it was damaged: three letters, or a short word, and fields?"""
        if part[3:4] == self.d.field and part[:3].isprintable():
            return True
        word, *fields = part.split(self.d.field)
        if word.strip() in BODY:
            return bool(fields)
        return len(fields) > 1 and len(word) <= 8 and " " not in word and word.isascii()

    def _close_tail(self) -> None:
        """Lines that are no segments go on the last field of the segment before them, once they are all there."""
        if not self.tail:
            return
        fields = self.found[-1].message.segments[-1].fields
        first, *more = "\n".join(self.tail).split(self.d.field)
        fields[-1] += "\n" + first
        fields.extend(more)
        self.tail = []

    def drop_cut(self, one: Found) -> None:
        """The last segment of a cut block is not whole: do not read it as a result."""
        segments = one.message.segments
        if self.open_line and len(segments) > 1:
            cut = segments.pop()
            said = f"段不完整,未读取(segment cut):{quote(self.d.field.join(cut.fields))}"
            one.problems.append(Problem("segment.cut", said))

    def judge_end(self, one: Found) -> None:
        """Without a block an end without CR may be a cut: an OBX shorter than HL7 needs is one."""
        segments = one.message.segments
        if not segments:
            return
        last = segments[-1]
        if not self.open_line or last.name not in ("OBX", "OBR", "MSH", "PID", "SPM"):
            return
        before = [len(seg.fields) for seg in segments[:-1] if seg.name == last.name]
        need = {"OBX": 12, "MSH": 12}.get(last.name, 4)
        if before and len(last.fields) >= min(before[-1], need) or not before and len(last.fields) >= need:
            return
        one.complete = False
        said = "消息在段中间结束,最后一段不完整(cut message)"
        one.problems.append(Problem("message.cut", said))
        if len(segments) > 1:
            self.drop_cut(one)

    def close(self) -> list[Found]:
        """The messages; text before the first MSH becomes its problem, or a message of its own."""
        self._close_tail()
        if self.before and self.found:
            self.found[-1].problems.extend(self.before)
        elif self.before:
            self.found.append(Found(Message([], self.d, self.encoding), self.before, complete=False))
        return self.found
