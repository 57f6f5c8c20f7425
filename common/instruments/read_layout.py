"""Telegrams of a described positional format to the common shape.

Nothing is guessed: a telegram that does not reach as far as its marks is cut and read no further; text no mark covers is
reported; a telegram that begins otherwise than the layout says is kept whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from common.instruments.layout import MANY_LINES, Layout, Mark, Repeat
from common.instruments.reading import Message, Result, Specimen
from common.protocol.charset import decode_bytes
from common.protocol.problem import Problem, quote

_IDLE = b"\r\n\x00\x04\x05\x06\x15\x1a"


@dataclass(frozen=True, slots=True)
class Telegram:
    body: bytes
    whole: bool
    stray: bool = False


def read_layout(data: bytes, layout: Layout, driver: str | None, encoding: str | None) -> list[Message]:
    """Every telegram of the stream as a message; never raises on any content."""
    return [_read(telegram, layout, driver, encoding) for telegram in _cut(data, layout)]


def _cut(data: bytes, layout: Layout) -> list[Telegram]:
    if layout.telegram == "stx":
        return _between_marks(data)
    if layout.telegram == "whole":
        return [Telegram(data.strip(b"\x02\x03\x04\x05\x00"), True)]
    plain = data.translate(None, b"\x02\x03\x04\x05\x00\x06\x15\x1a")
    if layout.telegram == "head":
        return below_heads(plain, layout.starts.encode())
    if layout.telegram == "length":
        plain = plain.translate(None, b"\r\n")
        size = layout.length
        return [Telegram(plain[at : at + size], at + size <= len(plain)) for at in range(0, len(plain), size)]
    return [Telegram(line, True) for line in re.split(rb"[\r\n]+", plain) if line.strip()]


def below_heads(data: bytes, head: bytes) -> list[Telegram]:
    """From each heading to the next; what stands before the first belongs to nobody."""
    out: list[Telegram] = []
    for line in filter(bytes.strip, re.split(rb"[\r\n]+", data)):
        if line.startswith(head) or not out:
            out.append(Telegram(line, True, stray=not line.startswith(head)))
        else:
            last = out[-1]
            out[-1] = Telegram(last.body + b"\n" + line, True, last.stray)
    return out


def _between_marks(data: bytes) -> list[Telegram]:
    out: list[Telegram] = []
    head, *rest = data.split(b"\x02")
    if head.strip(_IDLE + b" "):
        out.append(Telegram(head, False, stray=True))
    for piece in rest:
        body, end, tail = piece.partition(b"\x03")
        out.append(Telegram(body if end else body.rstrip(_IDLE), bool(end)))
        if tail.strip(_IDLE + b" ") and not re.fullmatch(rb"[0-9A-Fa-f]{1,2}[\r\n\x04\x05\x06]*", tail):
            out.append(Telegram(tail, False, stray=True))
    return out


def _read(telegram: Telegram, layout: Layout, driver: str | None, encoding: str | None) -> Message:
    decoded = decode_bytes(telegram.body, None, encoding)
    message = Message("other", protocol="fixed", driver=driver, encoding=decoded.encoding, complete=telegram.whole)
    message.problems.extend(decoded.problems)
    text = decoded.text
    message.records = [[text]]
    if telegram.stray:
        _say(message, "frame.stray", "帧外有未归属的字节(bytes outside frames)", text)
    elif not telegram.whole:
        _say(message, "message.cut", "报文不完整,未读取(cut message)", text)
    elif layout.starts and not text.lstrip("\r\n").startswith(layout.starts):
        if not (layout.quiet and text.lstrip("\r\n").startswith(layout.quiet)):
            _say(message, "layout.other", f"报文不以“{layout.starts}”开头,与版式不符,整体保留(other telegram)", text)
    elif not (layout.quiet and text.startswith(layout.quiet)):
        _check(message, telegram.body, layout)
        _Reader(message, layout, text.removeprefix("\r").removeprefix("\n")).read()
    return message


def _say(message: Message, code: str, said: str, text: str) -> None:
    message.problems.append(Problem(code, f"{said}:{quote(text)}"))


def _check(message: Message, body: bytes, layout: Layout) -> None:
    if not layout.checksum:
        return
    covered, sent = body[:-2], body[-2:]
    total = 0
    for byte in covered:
        total = (total + byte) & 0xFF if layout.checksum == "sum" else total ^ byte
    if sent.upper() != b"%02X" % total:
        right = f"{total:02X}"
        message.problems.append(Problem("layout.checksum", f"校验错误:发来 {quote(sent)},应为 {right}(wrong checksum)"))


class _Reader:
    def __init__(self, message: Message, layout: Layout, text: str) -> None:
        self.message = message
        self.layout = layout
        if layout.checksum:
            text = text[:-2]
        lines = re.split(r"\r\n|\r|\n", text) if layout.telegram in MANY_LINES else [text]
        self.quiet = [bool(layout.quiet) and line.startswith(layout.quiet) for line in lines]
        self.lines = [self._fields(line) for line in lines]
        self.covered = [[False] * len(line) for line in self.lines]
        self._heading()
        self.specimen = Specimen(None)

    def _heading(self) -> None:
        """What every telegram begins with is described."""
        starts, fields = self.layout.starts, self.lines[0]
        if self.layout.separator and fields and fields[0].strip() == starts.strip(self.layout.separator + " "):
            self.covered[0][0] = True
        elif not self.layout.separator and "".join(fields).startswith(starts):
            self.covered[0][: len(starts)] = [True] * len(starts)

    def _fields(self, line: str) -> list[str]:
        """The positions of a line: its characters, or its fields."""
        separator = self.layout.separator
        if not separator:
            return list(line)
        return line.split() if separator == " " else line.split(separator)

    def read(self) -> None:
        """All marks, then the repeated group, then what nothing covered."""
        missing = [mark for mark in self.layout.marks if not self._reaches(mark)]
        if missing:
            names = "、".join(mark.code or mark.role for mark in missing)
            text = "\n".join("".join(line) for line in self.lines)
            _say(self.message, "message.cut", f"报文比版式短,缺 {names},未读取(telegram too short)", text)
            return
        results: dict[str, Result] = {}
        for mark in self.layout.marks:
            self._mark(mark, results)
        self.specimen.results.extend(results.values())
        if self.layout.repeat is not None:
            self._repeat(self.layout.repeat)
        for result in self.specimen.results:
            result.qc = self.specimen.qc
            result.time = result.time or self.specimen.observed_at
        if self.specimen.results:
            self.message.kind = "qc" if self.specimen.qc else "results"
        self.message.specimens.append(self.specimen)
        self._left()

    def _reaches(self, mark: Mark) -> bool:
        """Is the place of a mark in the telegram? Trailing blanks may have been cut off: one position is enough."""
        if mark.role not in ("specimen", "value"):
            return True
        return mark.line < len(self.lines) and mark.start < len(self.lines[mark.line])

    def _take(self, line: int, start: int, end: int | None) -> str:
        if line >= len(self.lines):
            return ""
        fields, covered = self.lines[line], self.covered[line]
        stop = (start + 1 if self.layout.separator else len(fields)) if end is None else min(end, len(fields))
        for at in range(start, stop):
            covered[at] = True
        return self.layout.separator.join(fields[start:stop])

    def _mark(self, mark: Mark, results: dict[str, Result]) -> None:
        text = self._take(mark.line, mark.start, mark.end).strip()
        specimen = self.specimen
        if mark.role == "specimen":
            specimen.specimen_id = text or None
        elif mark.role == "patient":
            specimen.patient_id = text or None
        elif mark.role == "name":
            specimen.patient_name = text or None
        elif mark.role == "sequence":
            specimen.position = text or None
        elif mark.role in ("date", "time"):
            specimen.observed_at = " ".join(part for part in (specimen.observed_at, text) if part) or None
        elif mark.role == "qc":
            specimen.qc = bool(text) and (not mark.text or text == mark.text)
        elif mark.role in ("value", "unit", "flag"):
            result = results.setdefault(mark.code, Result(mark.code, None))
            self._put(result, mark.role, text)
            if mark.role == "value":
                result.decimals = mark.decimals

    def _put(self, result: Result, role: str, text: str) -> None:
        if role == "value":
            result.value = text or None
        elif role == "unit":
            result.unit = text or None
        elif role == "code":
            result.code = text or None
        elif text:
            result.flags = [text]

    def _repeat(self, repeat: Repeat) -> None:
        if repeat.lines:
            self._a_line_each(repeat)
            return
        size = len(self.lines[repeat.line]) if repeat.line < len(self.lines) else 0
        for at in range(repeat.start, size, repeat.width):
            self._group(repeat, repeat.line, at)

    def _a_line_each(self, repeat: Repeat) -> None:
        """A result a line. Below a heading, a line that is none, or a code that comes again, may be a heading that was damaged: whose the
        results after it are nobody knows, so they are read no further and said.
        """
        seen: set[str | None] = set()
        for line in range(repeat.line, len(self.lines)):
            before = len(self.specimen.results)
            if self.quiet[line]:
                continue
            self._group(repeat, line, repeat.start)
            new = self.specimen.results[before:]
            again = bool(new) and new[0].code in seen
            seen.update(result.code for result in new)
            if self.layout.telegram == "head" and (again or not new and "".join(self.lines[line]).strip()):
                del self.specimen.results[before:]
                self.covered[line] = [False] * len(self.lines[line])
                said = f"第 {line + 1} 行不像结果行,可能是损坏的表头行,其后的结果不归入任何标本(heading damaged)"
                _say(self.message, "specimen.uncertain", said, "".join(self.lines[line]))
                return

    def _group(self, repeat: Repeat, line: int, at: int) -> None:
        """One result of the repeated group; a group that is not all there is left over and so reported."""
        fields = self.lines[line]
        need = max(start for role, start, _ in repeat.parts if role in ("code", "value"))
        blank = not "".join(fields[at:]).strip()
        if blank or at + need >= len(fields):
            return
        ends = max(end for role, _, end in repeat.parts if role in ("code", "value"))
        if not repeat.lines and at + ends > len(fields):
            return
        result = Result(None, None)
        for role, start, end in repeat.parts:
            self._put(result, role, self._take(line, at + start, at + end).strip())
        if result.code is None and result.value is None:
            return
        self.specimen.results.append(result)

    def _left(self) -> None:
        pieces = []
        for fields, covered, quiet in zip(self.lines, self.covered, self.quiet, strict=True):
            if quiet:
                continue
            join = self.layout.separator or ""
            piece = join.join(field if not seen else (" " if not join else "") for field, seen in zip(fields, covered, strict=True))
            if piece.strip(join + " "):
                pieces.append(piece.strip())
        if pieces:
            _say(self.message, "layout.left", "版式没有说明的文本(text outside the marked places)", " / ".join(pieces))
