"""A first layout for a positional format nobody described, from all lines of a recording: what stands at the same place in most of them.

Fields are runs of columns that are blank in no line of the usual shape (or fields of a separated line); a heading names them; a column
that ends always at one place may begin further left in a line not seen yet. A person confirms every column before anything is read by it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from common.instruments.layout import Layout, Mark, Repeat

LOOKED = 300
"""Telegrams looked at."""
_NUMBER = re.compile(r"[<>]?[-+]?\d{1,6}(?:[.,]\d+)?[*HL+-]?$")
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?"
_DATE = re.compile(rf"(?:\d{{2,4}}[-/.]\d{{1,2}}[-/.]\d{{1,4}}(?:[ T]{_CLOCK})?|{_CLOCK}|(?:19|20)\d{{6}}(?:\d{{6}})?)$")
_ID = re.compile(r"[A-Za-z]*[-_]?\d[\dA-Za-z-]{3,}$")
_UNIT = re.compile(r"(?:10[*^]\d+/\w+|[a-zA-Zµμ]{1,6}/[a-zA-Z]{1,3}|%|[fp][Ll]|pg|IU|mmHg)$")
_FLAG = re.compile(r"(?:[HLA*!#?+-]{1,3}|Hi|Lo)$")
_WORD = re.compile(r"[^\W\d_][\w%#/()+.* -]{0,23}$")
_TEST = re.compile(r"code|test|item|assay|analyte|param|项目|代码", re.IGNORECASE)
_NOTHING = re.compile(r"[-*.=_]{2,}$")
_NAMES = (
    ("specimen", re.compile(r"sample|specimen|barcode|tube|标本|样本|样品|条码|^id$|^no\.?$|编号", re.IGNORECASE)),
    ("patient", re.compile(r"patient|病历|患者|住院|门诊", re.IGNORECASE)),
    ("name", re.compile(r"^name$|姓名", re.IGNORECASE)),
    ("date", re.compile(r"date|time|日期|时间", re.IGNORECASE)),
    ("unit", re.compile(r"^unit|单位", re.IGNORECASE)),
    ("flag", re.compile(r"^flag|标志|提示", re.IGNORECASE)),
)
_SEPARATORS = (",", ";", "\t", "|")


@dataclass(slots=True)
class _Field:
    """One place: what stood there in each line, and what its heading says."""

    start: int
    end: int
    line: int
    texts: list[str] = field(default_factory=list)
    name: str = ""
    role: str = ""

    def share(self, kind: re.Pattern[str]) -> float:
        """How much of what stands there is of a kind."""
        there = [text for text in self.texts if text and not _NOTHING.match(text)]
        return sum(kind.match(text) is not None for text in there) / len(there) if there else 0.0


def first_layout(telegram: str, found: Sequence[Sequence[str]]) -> Layout | None:
    """The layout most telegrams have in common; None where nothing looks like a value."""
    found = [lines for lines in found[:LOOKED] if any(line.strip() for line in lines)]
    if not found:
        return None
    size = Counter(len(lines) for lines in found).most_common(1)[0][0]
    alike = [lines for lines in found if len(lines) == size]
    if size > 1:
        places = [one for number in range(size) for one in _columns([lines[number] for lines in alike], number)]
        _roles(places)
        marks = _coded(places)
        return Layout(telegram, tuple(marks)) if _values(marks) else None
    texts = [lines[0] for lines in alike]
    data, heads = [text for text in texts if _numbers(text)], [text for text in texts if not _numbers(text)]
    separator = _separator(data)
    places = _separated(data, separator) if separator else _columns(data, 0)
    _name(places, heads, separator)
    _roles(places)
    repeat = _result_a_line(places)
    marks = _coded([one for one in places if repeat is None or one.role not in ("code", "value", "unit", "flag")])
    first = next((at for at, text in enumerate(texts) if _numbers(text)), 0)
    plain = [head for head in heads if not re.search(r"\d{4}", head)]  # one with a long number may name a tube
    quiet = tuple(dict.fromkeys(head for head in plain if head in texts[:first] or plain.count(head) > 1 or _NOTHING.match(head)))
    if repeat is None and not _values(marks):
        return None
    return Layout(telegram, tuple(marks), repeat, separator, quiet=quiet if len(quiet) <= 3 else ())


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,;|]+", text) if word]


def _numbers(text: str) -> bool:
    return any(_NUMBER.match(word) for word in _words(text))


def _values(marks: Sequence[Mark]) -> bool:
    return any(mark.role == "value" for mark in marks)


def _separator(lines: Sequence[str]) -> str:
    """The character that cuts most lines into the same number of fields."""
    best, most = "", 0
    for one in _SEPARATORS:
        usual = Counter(line.count(one) for line in lines).most_common(1)
        if usual and usual[0][0] > 2 and usual[0][1] * 5 >= len(lines) * 3 and usual[0][0] * usual[0][1] > most:
            best, most = one, usual[0][0] * usual[0][1]
    return best


def _separated(lines: Sequence[str], separator: str) -> list[_Field]:
    usual = Counter(line.count(separator) for line in lines).most_common(1)[0][0]
    rows = [line.split(separator) for line in lines if line.count(separator) == usual]
    return [_Field(at, at + 1, 0, [row[at].strip() for row in rows]) for at in range(usual + 1)]


def _columns(lines: Sequence[str], number: int) -> list[_Field]:
    """Runs of columns where some line of the usual number of words has text, and where words stand in longer lines only (flags)."""
    counts = Counter(len(line.split()) for line in lines if line.strip())
    usual = counts.most_common(1)[0][0] if counts else 0
    spans: list[tuple[int, int]] = []
    for line in (line for line in lines if len(line.split()) == usual):
        spans = _joined([*spans, *_spans(line)])
    for line in (line for line in lines if usual < len(line.split()) <= usual * 3 // 2):
        spans = _joined([*spans, *_spans(line)], apart=True)
    out = [_Field(start, end, number) for start, end in spans]
    _widen(out, lines)
    for one in out:
        one.texts = [line[one.start : one.end].strip() for line in lines]
    return out


def _spans(line: str) -> list[tuple[int, int]]:
    return [word.span() for word in re.finditer(r"\S+", line)]


def _joined(spans: Sequence[tuple[int, int]], *, apart: bool = False) -> list[tuple[int, int]]:
    """Spans that overlap (or touch, unless they are to stay ``apart``) as one."""
    out: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if out and (start < out[-1][1] or start == out[-1][1] and not apart):
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def _widen(places: list[_Field], lines: Sequence[str]) -> None:
    """Numbers that end at one column grow to the left, those that begin at one to the right: the blanks beside them are theirs."""
    for at, one in enumerate(places):
        cuts = [cut for cut in (line[one.start : one.end] for line in lines) if _NUMBER.match(cut.strip())]
        spans = [(len(cut) - len(cut.lstrip()), len(cut.rstrip())) for cut in cuts]
        starts, ends = {start for start, _ in spans}, {end for _, end in spans}
        if len(ends) == 1 and len(starts) > 1:
            one.start = places[at - 1].end if at else 0
        elif len(starts) == 1 and len(ends) > 1 and at + 1 < len(places):
            one.end = places[at + 1].start


def _name(places: list[_Field], heads: Sequence[str], separator: str) -> None:
    """Names from the heading that fits: as many fields, or a word over a column."""
    for head in heads:
        if separator:
            cells = [cell.strip().strip('"') for cell in head.split(separator)]
            if len(cells) == len(places):
                for one, cell in zip(places, cells, strict=True):
                    one.name = one.name or cell
            continue
        words = [(word.group(), word.start(), word.end()) for word in re.finditer(r"\S+", head)]
        for one in places:
            over = [text for text, start, end in words if start < one.end and one.start < end]
            if len(over) == 1:
                one.name = one.name or over[0]


def _roles(places: list[_Field]) -> None:
    """What each place is, by what stands there in most lines."""
    for one in places:
        said = next((role for role, name in _NAMES if one.name and name.search(one.name)), "")
        if one.share(_DATE) >= 0.8:
            one.role = "date"
        elif said in ("specimen", "patient", "name"):
            one.role = said
        elif one is places[0] and one.share(re.compile(r"\d+$")) == 1:
            one.role = "sequence"
        elif one.share(_NUMBER) >= 0.6:
            one.role = "value"
        elif said in ("unit", "flag"):
            one.role = said
        else:
            one.role = "ignore"
    _one_specimen(places)


def _one_specimen(places: list[_Field]) -> None:
    """One place names the tube: what the heading calls so, else the longest that looks like an id; of several that differ most."""
    said = [one for one in places if one.role == "specimen"]
    like = [one for one in places if one.role in ("sequence", "value", "ignore") and one.share(_ID) >= 0.8 and one.share(_DATE) < 0.5]
    most = max(said or like, key=lambda one: (len(set(one.texts)) > 1, median(map(len, one.texts))), default=None)
    for one in said:
        one.role = "ignore"
    if most is not None:
        most.role = "specimen"


def _result_a_line(places: list[_Field]) -> Repeat | None:
    """One result a line, named by a word of its own: the only value, and beside it words that differ while tubes come again."""
    values = [one for one in places if one.role == "value"]
    tubes = next((one.texts for one in places if one.role == "specimen"), [])
    if len(values) != 1 or not tubes:
        return None
    again = len(set(tubes)) < len(tubes)
    words = [one for one in places if one.role == "ignore" and one.share(_WORD) == 1 and len(set(one.texts)) > 1]
    code = next((one for one in words if _TEST.search(one.name)), words[0] if words and again else None)
    if code is None:
        return None
    code.role = "code"
    parts, taken = [code, values[0]], {"code", "value"}
    for one in places[places.index(values[0]) + 1 :]:
        kind = "unit" if one.role == "unit" or one.share(_UNIT) >= 0.8 else "flag" if one.role == "flag" or one.share(_FLAG) == 1 else ""
        if one.role in ("ignore", "unit", "flag") and kind and kind not in taken:
            one.role = kind
            taken.add(kind)
            parts.append(one)
    start = min(one.start for one in parts)
    group = tuple((one.role, one.start - start, one.end - start) for one in parts)
    return Repeat(start, max(end for _, _, end in group), group, lines=True)


def _coded(places: list[_Field]) -> list[Mark]:
    """Marks with their codes: the heading's name, else the word before the value, else F1, F2 …"""
    marks: list[Mark] = []
    used: set[str] = set()
    label = code = ""
    number = 0
    for one in places:
        constant = one.texts[0] if len(set(one.texts)) == 1 else ""
        mark = Mark(one.role, one.start, one.end, one.line)
        if one.role == "value":
            number += 1
            code = next((name for name in (one.name, label) if name and name not in used), f"F{number}")
            used.add(code)
            mark = replace(mark, code=code)
        elif code and one.role in ("ignore", "unit", "flag") and one.share(_UNIT) >= 0.8:
            mark = replace(mark, role="unit", code=code)
        elif code and one.role in ("ignore", "flag") and (one.role == "flag" or one.share(_FLAG) == 1 and not constant):
            mark = replace(mark, role="flag", code=code)
        elif one.role in ("unit", "flag"):
            mark = replace(mark, role="ignore")
        marks.append(mark)
        if one.role not in ("ignore", "unit", "flag"):
            label = ""
        if constant[:1].isalpha() and one.role == "ignore" and mark.role == "ignore":
            label = constant
        if one.role not in ("value", "ignore", "unit", "flag") or mark.role == "ignore":
            code = ""
    return marks
