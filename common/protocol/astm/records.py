"""Records of ASTM E1394 / LIS02-A2: delimiters, fields, escapes, and where a message begins and ends.

A record is a list of its fields as sent, so that ``record[n - 1]`` is field n of the standard
(``record[0]`` is the type). Escapes are decoded only after splitting (LIS02 6.6).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from common.protocol import escapes
from common.protocol.astm.unframe import LinkText
from common.protocol.charset import Decoded, decode_bytes
from common.protocol.problem import Problem, quote


class Delimiters(NamedTuple):
    """The four characters a header defines."""

    field: str = "|"
    repeat: str = "\\"
    component: str = "^"
    escape: str = "&"


DEFAULT = Delimiters()
NONE_IF_NUMBERED = -2
"""Nothing was lost where the numbers of the results go on: beside a record of a damaged frame, which may have been an order."""


@dataclass(slots=True)
class RecordMessage:
    """One message: records from H to L, what is known about its completeness, and problems."""

    records: list[list[str]]
    delimiters: Delimiters
    encoding: str
    problems: list[Problem] = field(default_factory=list)
    has_header: bool = True
    has_end: bool = False
    escaped: bool = False
    """Does any record behind the header hold the escape character at all?"""
    nulls: bool = True
    """May a field hold the null mark, two quotes? False only where somebody looked."""
    lost_before: dict[int, int] = field(default_factory=dict)
    """Index of a record → frames lost just before it, -1 where nobody knows how many, or ``NONE_IF_NUMBERED``."""


def read_delimiters(header: str) -> Delimiters:
    """Delimiters of an H record; what it does not define keeps the usual character."""
    if len(header) < 2:
        return DEFAULT
    sep = header[1]
    given = header[2:].split(sep, 1)[0]
    if given[:2] == "^~":  # the HL7 order of characters, used by some programs in ASTM headers
        return Delimiters(sep, "~", "^", given[2:3] or "&")
    usual = [ch for ch in "\\^&" if ch not in given and ch != sep] + ["\x00", "\x00", "\x00"]
    chars = list(given[:3])
    wanted = "\\^&"
    while len(chars) < 3:
        pick = wanted[len(chars)] if wanted[len(chars)] in usual else usual[0]
        usual.remove(pick)
        chars.append(pick)
    return Delimiters(sep, *chars)


_STRUCTURAL = {"F": 0, "R": 1, "S": 2, "E": 3}


def unescape(text: str, delimiters: Delimiters, encoding: str = "utf-8") -> str:
    """Decode ``&F& &S& &R& &E& &Xhh..&`` and drop ``&H& &N&``; unknown sequences stay (LIS02 6.6)."""
    if delimiters.escape not in text:
        return text
    return escapes.decode(text, delimiters.escape, lambda body: _sequence(body, delimiters, encoding))


def _sequence(body: str, delimiters: Delimiters, encoding: str) -> str | None:
    upper = body.upper()
    if upper in _STRUCTURAL:
        return delimiters[_STRUCTURAL[upper]]
    if upper in ("H", "N"):
        return ""
    if upper[:1] == "X" and len(upper) > 1:
        return escapes.hex_text(body[1:], None if encoding == "ascii" else encoding)
    return None


def escape(text: str, delimiters: Delimiters = DEFAULT) -> str:
    """The text as it may stand in a field: delimiters, CR and LF become escape sequences."""
    esc = delimiters.escape
    return escapes.encode(text, esc, {delimiters.field: "F", delimiters.repeat: "R", delimiters.component: "S", esc: "E"})


def split_messages(link: LinkText, encoding: str | None = None) -> list[RecordMessage]:
    """Messages of one transfer phase. ``encoding`` overrides guessing. Never raises."""
    text = link.text.replace(b"\n", b"\r")
    broken, lost = _damage(link, text.split(b"\r")) if link.cut_end or link.cut_start or link.gaps else (set(), {})
    doubted = _doubted(link, text.split(b"\r")) if link.doubt else set()
    tail = text[text.rfind(b"\r") + 1 :]
    open_end = bool(tail.strip(b"\x00 ")) and (not link.framed or link.cut_end or not _ends(tail))
    decoded = decode_bytes(text, None, encoding)
    lines = decoded.text.split("\r")
    swallowed = len(lines) != text.count(b"\r") + 1
    if swallowed:  # an encoding that swallows a CR cannot be the right one
        lines = text.decode("latin-1").split("\r")
    glued = not link.framed and not broken and not lost and _GLUED.search(decoded.text) is not None
    if not link.shaky and not glued and not swallowed and not broken and not lost and not doubted and not open_end and not decoded.problems:
        whole = _split_clean(lines, decoded)
        if whole is not None:
            return [whole]
    splitter = _Splitter(decoded.encoding, list(decoded.problems), link.shaky)
    if glued:
        lines = _GLUED.sub("\r", decoded.text).split("\r")
        said = "记录的结尾损坏,下一条记录接在同一行,已分开读取(end of a record damaged, the next one stood in its line)"
        splitter.problems.append(Problem("record.glued", said))
    last = len(lines) - 1
    for at, line in enumerate(lines):
        if at in lost:
            splitter.lost(lost[at])
        if line:
            splitter.line(line, whole=at not in broken, ended=not (open_end and at == last), sure=at not in doubted)
    return splitter.close()


_INNER = frozenset(map(chr, range(ord("A"), ord("Z") + 1))) - {"H", "L"}
"""What a record between header and end may be."""


def clean_message(link: LinkText, encoding: str | None = None) -> RecordMessage | None:
    """The one message of a link text without LF and without any flaw (``unframe.one_session``); None where a second look is needed."""
    decoded = decode_bytes(link.text, None, encoding)
    lines = decoded.text.split("\r")
    if decoded.problems or not decoded.text.isascii() and len(lines) != link.text.count(b"\r") + 1:
        return None
    return _split_clean(lines, decoded)


def _split_clean(lines: list[str], decoded: Decoded) -> RecordMessage | None:
    """The quick way for one message from H to L without anything odd; None where a second look is needed."""
    if lines[-1] == "":
        lines.pop()
    if len(lines) < 2 or lines[0][:2] != "H|" or lines[-1][:2] != "L|":
        return None
    delimiters = read_delimiters(lines[0])
    text, behind = decoded.text, len(lines[0])
    records = [line.split("|") for line in lines]
    if not _INNER.issuperset([record[0] for record in records[1:-1]]) or text.find("\x00", behind) >= 0 or text.find("\x1a", behind) >= 0:
        return None
    message = RecordMessage(records, delimiters, decoded.encoding)
    message.has_end = True
    message.escaped = text.find(delimiters.escape, behind) >= 0
    message.nulls = text.find('"', behind) >= 0
    return message


def _ends(line: bytes) -> bool:
    return line[:1] == b"L"


def _damage(link: LinkText, raw: list[bytes]) -> tuple[set[int], dict[int, int]]:
    """Indexes of lines that are not whole, and of lines with frames lost before them."""
    broken: set[int] = set()
    lost: dict[int, int] = {}
    at = 0
    for index, line in enumerate(raw):
        if at in link.cut_start or at + len(line) in link.cut_end:
            broken.add(index)
        if at in link.gaps:
            lost[index] = link.gaps[at]
        at += len(line) + 1
    return broken, lost


_GLUED = re.compile(r"(?<=[^\s|\\^&])(?=R\|\d{1,3}\|\^\^\^|O\|\d{1,3}\|[^|\r]*\|[^|\r]*\|\^\^\^)")
"""A result or an order inside the line of another record, as where the CR between them was damaged and no checksum tells."""


def _doubted(link: LinkText, raw: list[bytes]) -> set[int]:
    """Indexes of lines of which some came in a frame with a wrong checksum."""
    found: set[int] = set()
    at = now = 0
    for index, line in enumerate(raw):
        while now < len(link.doubt) and link.doubt[now][1] <= at:
            now += 1
        if now < len(link.doubt) and link.doubt[now][0] < at + len(line):
            found.add(index)
        at += len(line) + 1
    return found


_SMALL = frozenset("porcqmsl")
"""Record types some write in small letters."""
_BLANK = " \t\f\x00\x1a\ufeff"


class _Splitter:
    """Lines to messages: H opens, L closes, anything else belongs to the open one."""

    def __init__(self, encoding: str, problems: list[Problem], shaky: bool) -> None:
        self.encoding = encoding
        self.shaky = shaky
        self.number = 0
        self.problems = problems
        self.done: list[RecordMessage] = []
        self.now: RecordMessage | None = None
        self.delimiters = DEFAULT
        self.lost_frames = 0

    def lost(self, count: int) -> None:
        self.lost_frames = count

    def line(self, line: str, whole: bool, ended: bool, sure: bool = True) -> None:
        """One record, or a piece of text that is none."""
        if line[0] in _BLANK or line[-1] in "\x00\x1a":
            line = line.rstrip("\x00\x1a").lstrip(_BLANK)
            if not line:
                return
        kind = line[0]
        if kind == "H" and len(line) > 1 and (line[1] == "\t" or not line[1].isalnum() and not line[1].isspace()):
            self._open(line)
        elif self.now is None:
            self.delimiters = _headless(line, self.delimiters)
        sep = self.delimiters.field
        if kind in _SMALL and line[1:2] == sep:
            kind = kind.upper()
            line = kind + line[1:]
        if not ("A" <= kind <= "Z" and (len(line) == 1 or line[1] == sep)):
            self._leftover(line, sure)
            return
        if self.now is None:
            self._add(RecordMessage([], self.delimiters, self.encoding, has_header=False))
        assert self.now is not None
        record = line.split(sep)
        if not whole or (not ended and kind != "L"):
            said = f"记录不完整,未作为结果读取(record cut):{quote(line)}"
            self.now.problems.append(Problem("record.cut", said))
            if kind in "PO":  # whose results follow is not known any more
                self.now.lost_before[len(self.now.records)] = -1
            return
        if not sure and kind not in "HRCMSQL":  # the id in it may be another tube's
            said = f"帧损坏,其中的记录未读取,其后的结果不能确定属于哪个标本(record in a damaged frame, not read):{quote(line)}"
            self.now.problems.append(Problem("record.damaged", said))
            self.now.lost_before[len(self.now.records)] = -1
            return
        if not sure and kind == "R":
            self.now.lost_before.setdefault(len(self.now.records), NONE_IF_NUMBERED)
            self.now.lost_before.setdefault(len(self.now.records) + 1, NONE_IF_NUMBERED)
        if self.shaky and kind in "PORH":
            number = int(record[1]) if kind == "R" and len(record) > 1 and record[1].isdecimal() and len(record[1]) < 9 else 0
            if 0 < number < self.number:  # the numbers begin anew without an order
                self.now.lost_before.setdefault(len(self.now.records), -1)
            self.number = number
        if self.lost_frames:
            self.now.lost_before.setdefault(len(self.now.records), self.lost_frames)
            self.lost_frames = 0
        self.now.records.append(record)
        if kind != "H" and self.delimiters.escape in line:
            self.now.escaped = True
        if kind == "L":
            self.now.has_end = True
            self.now = None

    def _open(self, line: str) -> None:
        self.delimiters = read_delimiters(line)
        self._add(RecordMessage([], self.delimiters, self.encoding))

    def _add(self, message: RecordMessage) -> None:
        message.problems.extend(self.problems)
        self.problems = []
        self.now = message
        self.done.append(message)

    def _leftover(self, line: str, sure: bool) -> None:
        problem = Problem("record.text", f"不是记录的文本,未能归属(text that is no record):{quote(line)}")
        (self.now.problems if self.now is not None else self.problems).append(problem)
        if self.now is not None and not sure:
            self.lost_frames = -1
        elif self.now is not None and self.delimiters.field in line[1:3] and not self.lost_frames:
            self.lost_frames = 1  # a record whose type was damaged: as if its frame had been lost, for it may have named a specimen

    def close(self) -> list[RecordMessage]:
        """Finish; what is missing at the ends becomes a problem of the message."""
        for message in self.done:
            if not message.has_header:
                message.problems.append(Problem("message.head", "消息没有 H 记录(header record missing)"))
            if not message.has_end:
                message.problems.append(Problem("message.cut", "消息不完整:没有 L 终止记录(cut message, no L record)"))
        if self.problems:
            if not self.done:
                self.done.append(RecordMessage([], self.delimiters, self.encoding, has_header=False))
            self.done[-1].problems.extend(self.problems)
        return self.done


def _headless(line: str, known: Delimiters) -> Delimiters:
    """Delimiters for records without an H: the second character of ``R|…``."""
    if len(line) > 2 and "A" <= line[0] <= "Z" and not line[1].isalnum() and line[1] not in " ^\\&":
        return known if line[1] == known.field else Delimiters(line[1])
    return known
