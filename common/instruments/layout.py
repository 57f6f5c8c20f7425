"""A positional format as data: where in a telegram the specimen, the values, units and flags stand.

A layout is what a person marks on the text an analyzer sent (columns, fields of a separated line, lines of a
ticket); it goes to JSON and back, so that a new analyzer is a row in a table and no program.
Positions count from 0; ``end`` is the position behind the last one, None means to the end of the line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from common.errors import UserError

TELEGRAMS = ("stx", "line", "whole", "length", "head")
"""How a stream is cut into telegrams: STX … ETX, a line each, all of it one, a fixed number of characters, or from each line that begins
with ``starts`` to the next (a heading with the specimen, results below it)."""
MANY_LINES = ("stx", "whole", "head")
ROLES = ("specimen", "patient", "name", "sequence", "date", "time", "qc", "value", "unit", "flag", "ignore")
PARTS = ("code", "value", "unit", "flag")
CHECKSUMS = ("", "sum", "xor")


@dataclass(frozen=True, slots=True)
class Mark:
    """One marked place. With ``separator`` in the layout ``start`` and ``end`` count fields, else characters."""

    role: str
    start: int
    end: int | None = None
    line: int = 0
    """Line of the telegram (0 is the first), for tickets of several lines."""
    code: str = ""
    """Vendor code of a value, unit or flag."""
    decimals: int | None = None
    """Implied decimals of a value: the number is the digits divided by 10^decimals."""
    text: str = ""
    """For ``qc``: what stands there for control material."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A group that repeats to the end of the telegram: each ``width`` positions (or a line each) one result."""

    start: int
    width: int
    parts: tuple[tuple[str, int, int], ...]
    """``(code|value|unit|flag, offset, end)`` inside the group."""
    line: int = 0
    lines: bool = False
    """One group a line, from ``line`` on, instead of one every ``width`` positions."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One positional format."""

    telegram: str = "line"
    marks: tuple[Mark, ...] = ()
    repeat: Repeat | None = None
    separator: str = ""
    """``,`` ``;`` tab …: fields instead of columns; a blank stands for any run of blanks."""
    starts: str = ""
    """What a telegram begins with; another one is kept whole and reported."""
    length: int = 0
    """Characters of a telegram when ``telegram`` is ``length``."""
    checksum: str = ""
    """``sum`` or ``xor`` of all bytes before the last two characters, which give it in hex."""
    quiet: tuple[str, ...] = ()
    """Telegrams that begin so carry nothing (a heading, a rule)."""

    def to_json(self) -> dict[str, Any]:
        """The layout as a JSON-able literal."""
        return asdict(self)


def layout_from_json(literal: Mapping[str, Any]) -> Layout:
    """Read a layout literal; raises UserError naming what is wrong with it."""
    try:
        marks = tuple(Mark(**one) for one in literal.get("marks") or ())
        given = literal.get("repeat")
        repeat = None
        if given:
            parts = tuple((str(role), int(start), int(end)) for role, start, end in given["parts"])
            repeat = Repeat(int(given["start"]), int(given["width"]), parts, int(given.get("line", 0)), bool(given.get("lines", False)))
        rest = {key: value for key, value in literal.items() if key not in ("marks", "repeat")}
        rest["quiet"] = tuple(rest.get("quiet") or ())
        layout = Layout(marks=marks, repeat=repeat, **rest)
    except (TypeError, KeyError, ValueError) as error:
        raise UserError("layout.form", f"版式描述不完整或有多余内容：{error}。请检查各列的起止位置与名称。") from error
    _check(layout)
    return layout


def _check(layout: Layout) -> None:
    wrong = next((fault for mark in layout.marks if (fault := _mark_fault(mark))), "")
    if wrong:
        pass
    elif sum(mark.role == "specimen" for mark in layout.marks) > 1:
        wrong = "标本号标了不止一处，请只留一处"
    elif layout.telegram not in TELEGRAMS:
        wrong = f"报文切分方式“{layout.telegram}”不认识，可选：{'、'.join(TELEGRAMS)}"
    elif layout.telegram == "length" and layout.length < 1:
        wrong = "按固定长度切分时要写明字符数"
    elif layout.telegram == "head" and not layout.starts.strip():
        wrong = "按表头行切分时，要写明表头行以什么文字开头"
    elif layout.checksum not in CHECKSUMS:
        wrong = f"校验方式“{layout.checksum}”不认识"
    elif layout.repeat is not None:
        wrong = _repeat_fault(layout.repeat)
    elif not any(mark.role == "value" for mark in layout.marks):
        wrong = "至少要标出一列结果值"
    if wrong:
        raise UserError("layout.form", f"{wrong}。")


def _mark_fault(mark: Mark) -> str:
    if mark.role not in ROLES:
        return f"列的用途“{mark.role}”不认识，可选：{'、'.join(ROLES)}"
    if mark.start < 0 or mark.line < 0 or (mark.end is not None and mark.end <= mark.start):
        return f"列“{mark.code or mark.role}”的起止位置不对：从 {mark.start} 到 {mark.end}"
    if mark.role in ("value", "unit", "flag") and not mark.code:
        return f"第 {mark.start} 列的{mark.role}没有写项目代码"
    return ""


def _repeat_fault(repeat: Repeat) -> str:
    roles = [role for role, _, _ in repeat.parts]
    if "value" not in roles or any(role not in PARTS for role in roles):
        return "重复组里要有结果值(value)，只能含 code、value、unit、flag"
    if repeat.width < 1 or any(not 0 <= start < end <= repeat.width for _, start, end in repeat.parts):
        return f"重复组宽 {repeat.width}，其中有列超出了这个宽度"
    return ""


def describe(
    telegram: str,
    marks: Sequence[Mapping[str, Any]],
    repeat: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """From what a person marked on recorded text to a layout literal (JSON-able), checked.

    ``marks`` are mappings with ``role, start, end`` and where needed ``line, code, decimals, text``; ``options`` are the
    other fields of ``Layout``. Raises UserError with a sentence about the first thing that is wrong.
    """
    literal: dict[str, Any] = {"telegram": telegram, "marks": [dict(mark) for mark in marks], "repeat": dict(repeat) if repeat else None}
    return layout_from_json({**literal, **options}).to_json()
