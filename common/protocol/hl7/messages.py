"""HL7 v2 segments and fields, tolerant on reading and strict on writing.

For analyzers (2.3.1–2.5.1 dialects), in both directions. Reading keeps the fields as sent: a segment
splits on demand, escapes are decoded only when a text is asked for. Field numbers are HL7's own:
``segment.get(3)`` is field 3, in MSH too (MSH-1 is the separator itself).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from common.protocol import escapes
from common.protocol.charset import decode_bytes


class Delimiters(NamedTuple):
    """MSH-1 and the characters of MSH-2."""

    field: str = "|"
    component: str = "^"
    repeat: str = "~"
    escape: str = "\\"
    sub: str = "&"


DEFAULT = Delimiters()
HEADERS = ("MSH", "FHS", "BHS")


def read_delimiters(header: str) -> Delimiters:
    """Delimiters of a segment MSH, FHS or BHS; what it does not define keeps the usual character.

    But an escape character that was left out (HL7 2.14: by senders that escape nothing) is none: a backslash is then a backslash.
    """
    return DEFAULT if len(header) < 4 else _delimiters(header[3:8])


@lru_cache(256)
def _delimiters(given: str) -> Delimiters:
    """Of MSH-1 and the beginning of MSH-2, written one after the other."""
    sep = given[0]
    given = given[1:].split(sep, 1)[0]
    chars = list(given)
    for usual in "^~\\&"[len(given) :]:
        none = usual == sep or usual in chars or usual == "\\" and len(given) == 2
        chars.append("\x00" if none else usual)
    return Delimiters(sep, *chars)


class Segment:
    """One segment: its name and its fields as sent."""

    __slots__ = ("d", "fields", "name")

    def __init__(self, line: str, d: Delimiters) -> None:
        self.fields = line.split(d.field)
        self.name = self.fields[0].strip()
        self.d = d
        if self.name in HEADERS:
            self.fields.insert(1, d.field)

    def get(self, number: int) -> str:
        """Field ``number`` as sent, empty when absent."""
        return self.fields[number] if number < len(self.fields) else ""

    def repeats(self, number: int) -> list[str]:
        """Repetitions of a field, as sent; none when it is empty."""
        field = self.get(number)
        return field.split(self.d.repeat) if field else []

    def component(self, number: int, component: int = 1) -> str:
        """Component (first repetition) as sent, empty when absent."""
        field = self.get(number)
        if self.d.repeat in field:
            field = field.split(self.d.repeat, 1)[0]
        if self.d.component not in field:
            return field if component == 1 else ""
        parts = field.split(self.d.component)
        return parts[component - 1] if component <= len(parts) else ""

    def text(self, number: int) -> str:
        """Field ``number`` with its escapes decoded, inner components kept."""
        return unescape(self.get(number), self.d)

    def id(self, number: int, component: int = 1) -> str | None:
        """First subcomponent of a component, decoded and trimmed; None when empty or ``""``."""
        part = self.component(number, component)
        if self.d.sub in part:
            part = part.split(self.d.sub, 1)[0]
        part = unescape(part, self.d).strip()
        return None if not part or part == '""' else part


class Message:
    """Segments of one message (from its MSH on)."""

    __slots__ = ("d", "encoding", "segments")

    def __init__(self, segments: list[Segment], d: Delimiters, encoding: str = "utf-8") -> None:
        self.segments = segments
        self.d = d
        self.encoding = encoding

    @property
    def msh(self) -> Segment:
        """The header; an empty one when there is none."""
        if self.segments and self.segments[0].name == "MSH":
            return self.segments[0]
        return Segment("MSH" + self.d.field, self.d)

    def all(self, name: str) -> list[Segment]:
        """Every segment of that name, in order."""
        return [segment for segment in self.segments if segment.name == name]

    def first(self, name: str) -> Segment | None:
        """The first segment of that name."""
        return next((segment for segment in self.segments if segment.name == name), None)

    @property
    def type(self) -> str:
        """``ORU^R01`` from MSH-9, upper case."""
        return "^".join(p for p in (self.msh.component(9, 1), self.msh.component(9, 2)) if p).strip().upper()


def parse(data: bytes | str, encoding: str | None = None) -> Message:
    """One message, segments ended by CR, LF or CRLF, blank lines ignored. Never raises."""
    if isinstance(data, bytes):
        decoded = decode_bytes(data, declared_charset(data), encoding)
        text, used = decoded.text, decoded.encoding
    else:
        text, used = data, "utf-8"
    lines = [line for line in text.strip("\x0b\x1c\r\n\x00").replace("\n", "\r").split("\r") if line.strip()]
    d = read_delimiters(lines[0].lstrip()) if lines else DEFAULT
    return Message([Segment(line.lstrip(), d) for line in lines], d, used)


def declared_charset(data: bytes) -> str | None:
    """MSH-18, first repetition, read from the bytes before anything is decoded."""
    at = data.find(b"MSH")
    if at < 0 or len(data) < at + 9:
        return None
    end = data.find(b"\r", at)
    line = data[at : end if end >= 0 else len(data)].split(b"\n", 1)[0]
    sep = line[3:4]
    fields = line.split(sep) if sep else []
    if len(fields) < 18:
        return None
    repeat = fields[1][1:2] or b"~"
    return fields[17].split(repeat)[0].decode("ascii", "replace").strip() or None


_SIMPLE = {"F": 0, "S": 1, "R": 2, "E": 3, "T": 4}


def unescape(text: str, d: Delimiters = DEFAULT) -> str:
    """Decode ``\\F\\ \\S\\ \\R\\ \\E\\ \\T\\ \\Xhh..\\ \\.br\\ \\Zhhhh\\``; unknown sequences stay as sent (HL7 2.7)."""
    if d.escape not in text:
        return text
    return escapes.decode(text, d.escape, lambda body: _decode(body, d))


def _decode(body: str, d: Delimiters) -> str | None:
    if body in _SIMPLE:
        return d[_SIMPLE[body]]
    if body in ("H", "N"):
        return ""
    if body == ".br":
        return "\n"
    kind, rest = body[:1], body[1:]
    if kind == "X" and rest:
        return escapes.hex_text(rest)
    if kind == "Z" and len(rest) == 4:  # a code point (BioSystems: \Z03BC\ is the micro sign)
        try:
            point = int(rest, 16)
        except ValueError:
            return None
        return chr(point) if point > 0xA0 and not 0xD800 <= point <= 0xDFFF else None
    return None


def escape(text: str, d: Delimiters = DEFAULT) -> str:
    """The text as it may stand in a field; delimiters and control characters become sequences."""
    return escapes.encode(text, d.escape, {d.field: "F", d.component: "S", d.repeat: "R", d.escape: "E", d.sub: "T", "\n": ".br"})


class Raw(str):
    """Text of a field that is already encoded (echoed from a message): written as it is."""

    __slots__ = ()


Part = str | int | None
Component = Part | tuple[Part, ...]
Value = Component | tuple[Component, ...] | list["Value"]
"""What may stand in a field: text, a tuple of components (inner tuples are subcomponents), a list of repeats."""


def write_field(value: Value, d: Delimiters = DEFAULT) -> str:
    """One encoded field. None and empty components at the end vanish."""
    if isinstance(value, list):
        return d.repeat.join(write_field(item, d) for item in value)
    if isinstance(value, tuple):
        return d.component.join(_component(part, d) for part in value).rstrip(d.component)
    return _part(value, d)


def _component(value: Component, d: Delimiters) -> str:
    if isinstance(value, tuple):
        return d.sub.join(_part(part, d) for part in value).rstrip(d.sub)
    return _part(value, d)


def _part(value: Part, d: Delimiters) -> str:
    if value is None:
        return ""
    if isinstance(value, Raw):
        return str(value)
    return escape(str(value), d)


def write_message(segments: Iterable[Sequence[Value]], d: Delimiters = DEFAULT, encoding: str = "utf-8") -> bytes:
    """A message: each segment is ``[name, field1, field2, …]``; an MSH starts with field 3.

    Segments end with CR. Characters the encoding lacks become ``\\Xhh\\`` of their UTF-8 bytes, so that
    nothing turns into a question mark.
    """
    lines = []
    for segment in segments:
        name = str(segment[0])
        head = [name + d.field + d.component + d.repeat + d.escape + d.sub] if name in HEADERS else [name]
        lines.append(d.field.join(head + [write_field(value, d) for value in segment[1:]]) + "\r")
    return _encode("".join(lines), d, encoding)


def _encode(text: str, d: Delimiters, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        pass
    out = []
    for ch in text:
        try:
            out.append(ch.encode(encoding))
        except UnicodeEncodeError:
            out.append(f"{d.escape}X{ch.encode().hex().upper()}{d.escape}".encode())
    return b"".join(out)
