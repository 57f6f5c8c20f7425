"""The one door to the ``hl7`` library: bytes in, a message whose fields are read by number out.

Pure. The library raises from places it does not document (fuzzed); everything it raises becomes ``Unreadable`` here, and nothing
else in this module imports it. Tolerates CRLF and LF, line breaks inside a field, a doubled escape character in MSH-2 and a bare ``&``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import hl7

from cloud.modules.interfaces.charset import UTF8, Undecodable, decode

_SEGMENT = re.compile(r"^[A-Z][A-Z0-9]{2}(?=\W|$)")
_NEW_LINE = re.compile(r"\r\n|\n\r|\r|\n")
_ESCAPE = re.compile(r"\\([A-Za-z0-9.+\-]*)\\")
FRAME = b"\x0b\x1c"


class Unreadable(ValueError):
    """Not an HL7 v2 message, or not one that can be taken apart. ``location`` names the field at fault; ``kind`` says why."""

    def __init__(self, location: str, text: str, kind: str = "structure") -> None:
        super().__init__(text)
        self.location = location
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Header:
    """MSH as sent (unescaped only where a person reads it), all an answer needs."""

    app: str = ""
    facility: str = ""
    to_app: str = ""
    to_facility: str = ""
    sent_at: str = ""
    kind: str = ""
    event: str = ""
    control_id: str = ""
    processing: str = "P"
    version: str = "2.5.1"
    charset: str = ""
    separators: str = "|^~\\&"
    encoding: str = UTF8


class Segment:
    """One segment; fields by HL7 number, repetitions and components from 1, values unescaped and stripped of blanks."""

    __slots__ = ("_fields", "escape", "index", "name")

    def __init__(self, name: str, index: int, fields: Any, escape: _Escape) -> None:
        self.name, self.index, self._fields, self.escape = name, index, fields, escape

    def raw(self, number: int) -> str:
        """The field as sent."""
        return str(self._fields[number]) if number < len(self._fields) else ""

    def repetitions(self, number: int) -> list[list[str]]:
        """Each repetition as its components; a blank field has none."""
        if number >= len(self._fields):
            return []
        field = self._fields[number]
        reps = [[self.escape.read(str(part)) for part in (rep if isinstance(rep, hl7.Repetition) else [rep])] for rep in field]
        return [rep for rep in reps if any(rep)]

    def get(self, number: int, component: int = 1) -> str:
        """One component of the first repetition that says anything, "" when absent. HL7's explicit null ("") reads as absent."""
        reps = self.repetitions(number)
        if not reps or component > len(reps[0]):
            return ""
        value = reps[0][component - 1]
        return "" if value == '""' else value

    def text(self, number: int) -> str:
        """A whole text field: all repetitions and components, joined as sent."""
        return "" if self.raw(number) == '""' else self.escape.read(self.raw(number))

    def at(self, number: int) -> str:
        """The location of a field in an ERR segment: ``PID^1^3``."""
        return f"{self.name}^{self.index}^{number}"


class _Escape:
    """HL7 escape sequences of one message, read leniently: an unknown sequence stays as it is."""

    def __init__(self, separators: str, encoding: str) -> None:
        f, s, r, e, t = (list(separators) + list("|^~\\&")[len(separators) :])[:5]
        self._char = e
        self._plain = {"F": f, "S": s, "R": r, "E": e, "T": t, ".br": "\n", ".BR": "\n", "H": "", "N": ""}
        self._encoding = encoding

    def read(self, text: str) -> str:
        """The text a person means."""
        if self._char == "\\" and "\\" in text:
            text = _ESCAPE.sub(self._one, text)
        return text.strip()

    def _one(self, match: re.Match[str]) -> str:
        body = match[1]
        if body in self._plain:
            return self._plain[body]
        if body[:1] in ("X", "x") and len(body) > 1:
            try:
                return bytes.fromhex(body[1:]).decode(self._encoding)
            except ValueError:
                return match[0]
        return match[0]


@dataclass(frozen=True, slots=True)
class Message:
    """A parsed message: header, segments in order, and the remarks made while reading."""

    header: Header
    segments: tuple[Segment, ...]
    warnings: tuple[tuple[str, str], ...] = ()

    def all(self, name: str) -> Iterator[Segment]:
        """Segments of one name, in order."""
        return (s for s in self.segments if s.name == name)

    def first(self, name: str) -> Segment | None:
        """The first segment of that name."""
        return next(self.all(name), None)


def parse(raw: bytes, encoding: str = "") -> Message:
    """Take a message apart (with or without its MLLP frame). Raises Unreadable; ``encoding`` forces one."""
    try:
        decoded = decode(raw.strip(FRAME + b"\r\n "), encoding)
    except Undecodable:
        raise Unreadable("MSH^1^18", "字符集无法识别：既不是 UTF-8 也不是 GB18030", "charset") from None
    lines, joined = _lines(decoded.text)
    if not lines or not lines[0].startswith("MSH") or len(lines[0]) < 8:
        raise Unreadable("MSH^1", "不是 HL7 报文：没有 MSH 段")
    lines[0], repaired = _repair_separators(lines[0])
    try:
        tree = hl7.parse("\r".join(lines))
        message = _wrap(tree, lines[0], decoded.encoding)
    except Unreadable:
        raise
    except Exception as error:  # the library's own faults are undocumented: this is the one door that catches them
        raise Unreadable("MSH^1^2", f"报文结构无法解析（{type(error).__name__}）") from error
    warnings = []
    if decoded.warning:
        warnings.append(("MSH^1^18", f"字符集与声明不符：{decoded.warning}"))
    if joined:
        warnings.append((joined, "字段内有换行，已按原文保留"))
    if repaired:
        warnings.append(("MSH^1^2", "分隔符定义不规范，已按 ^~\\& 读取"))
    return Message(message.header, message.segments, tuple(warnings))


def glance(raw: bytes) -> Header:
    """As much of MSH as can be read, even of bytes that cannot be parsed, so that any refusal can echo MSH-10 and name the sender."""
    body = raw.strip(FRAME + b"\r\n ")
    try:
        decoded = decode(body)
        text, encoding = decoded.text, decoded.encoding
    except Undecodable:
        text, encoding = body[:4096].decode("latin-1"), UTF8
    line = _NEW_LINE.split(text, maxsplit=1)[0]
    if not line.startswith("MSH") or len(line) < 8:
        return Header()
    parts = line.split(line[3]) + [""] * 18
    kind = (parts[8] + "^").split("^")
    usable = len(parts[1]) >= 4 and len(set(parts[1][:4] + line[3])) == 5
    separators = line[3] + (parts[1][:4] if usable else "^~\\&")
    return Header(parts[2], parts[3], parts[4], parts[5], parts[6], kind[0], kind[1], parts[9].strip(), parts[10] or "P",
                  parts[11] or "2.5.1", parts[17], separators, encoding)  # fmt: skip


def _lines(text: str) -> tuple[list[str], str]:
    """Segments; a line that opens no segment belongs to the field before it. Second: where that happened first, or ""."""
    out: list[str] = []
    joined = ""
    for line in _NEW_LINE.split(text):
        if not line.strip():
            continue
        if _SEGMENT.match(line) or not out:
            out.append(line)
        else:
            out[-1] += "\n" + line
            joined = joined or out[-1][:3]
    return out, joined


def _repair_separators(msh: str) -> tuple[str, bool]:
    """MSH-2 made usable: a doubled backslash or a mangled ampersand is a known fault of hand-written senders."""
    sep = msh[3]
    end = msh.find(sep, 4)
    declared = msh[4:end] if end > 0 else msh[4:]
    if sep.isalnum() or sep.isspace():
        raise Unreadable("MSH^1^1", "字段分隔符不可用")
    if len(declared) >= 4 and len(set(declared[:4] + sep)) == 5 and not any(c.isalnum() or c.isspace() for c in declared[:4]):
        return f"MSH{sep}{declared[:4]}{msh[end:] if end > 0 else ''}", False
    if declared[:3] == "^~\\" or declared in ("", "^~"):
        return f"MSH{sep}^~\\&{msh[end:] if end > 0 else ''}", True
    raise Unreadable("MSH^1^2", "编码字符不可用，应为 ^~\\&")


def _wrap(tree: Any, msh_line: str, encoding: str) -> Message:
    separators = msh_line[3] + msh_line[4:8]
    escape = _Escape(separators, encoding)
    seen: dict[str, int] = {}
    segments = []
    for fields in tree:
        name = str(fields[0])
        seen[name] = seen.get(name, 0) + 1
        segments.append(Segment(name, seen[name], fields, escape))
    msh = segments[0]
    header = Header(
        msh.raw(3), msh.raw(4), msh.raw(5), msh.raw(6), msh.raw(7), msh.get(9, 1), msh.get(9, 2), msh.raw(10).strip(),
        msh.raw(11) or "P", msh.get(12) or "2.5.1", msh.raw(18), separators, encoding,
    )  # fmt: skip
    return Message(header, tuple(segments))
