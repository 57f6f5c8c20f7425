"""Columns marked on recorded text: a form of marks to a layout literal and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import UserError
from common.instruments import propose as instruments
from common.say import say

ROLE_WORDS = {
    "specimen": "标本号",
    "code": "项目代码",
    "value": "结果值",
    "unit": "单位",
    "flag": "标志",
    "date": "日期",
    "time": "时间",
    "qc": "质控标记",
    "sequence": "序号",
    "patient": "患者号",
    "name": "姓名",
    "ignore": "忽略",
}
CUT_WORDS = {"line": "每行一条", "stx": "STX…ETX 之间一条", "whole": "整段一条", "head": "每个表头行起一条", "length": "固定长度"}
REPEAT_WORDS = {"": "不重复", "line": "每行一个结果", "step": "同一行每隔若干列（字段）一个"}
SPARE = 3
"""Empty rows at the end of the form."""
FAR = 10_000
"""Position that stands for the end of the line in a repeated group."""
SHOWN = 12
"""Telegrams shown for marking."""


def telegrams(body: bytes, layout: Mapping[str, Any], encoding: str | None) -> list[list[str]]:
    """The first telegrams of a recording, cut as a layout says."""
    cut = str(layout.get("telegram") or "")
    return instruments.telegrams(body, "" if cut == "length" else cut, encoding, str(layout.get("starts") or ""))[:SHOWN]


def marks_of(site: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The layout's marks as the form shows them, positions counted from 1, with some empty rows."""
    layout = (site or {}).get("layout") or {}
    out = []
    for mark in layout.get("marks") or ():
        out.append({**mark, "start": mark["start"] + 1, "end": mark["end"] or "", "line": mark.get("line", 0) + 1})
    repeat: Mapping[str, Any] = layout.get("repeat") or {}
    for role, start, end in repeat.get("parts") or ():
        last = "" if end >= FAR else repeat["start"] + end
        out.append({"role": role, "start": repeat["start"] + start + 1, "end": last, "line": repeat["line"] + 1})
    empty = {"role": "", "start": "", "end": "", "line": "", "code": "", "decimals": "", "text": ""}
    return [*out, *(dict(empty) for _ in range(SPARE))]


def layout_of(form: Any) -> dict[str, Any]:
    """A layout from the form (people count from 1, last position included). Raises UserError naming the row."""
    marks = []
    names = ("role", "line", "start", "end", "code", "decimals", "text")
    for n, values in enumerate(zip(*(form.getlist(f"m_{name}") for name in names), strict=False), 1):
        given = dict(zip(names, (v.strip() for v in values), strict=True))
        if given["role"] and given["start"]:
            marks.append(_mark(n, given))
    group = [mark for mark in marks if mark["role"] == "code" or mark["role"] in ("value", "unit", "flag") and "code" not in mark]
    repeat = _repeat(group, form) if any(mark["role"] == "code" for mark in group) else None
    if repeat is not None:
        marks = [mark for mark in marks if mark not in group]
    options: dict[str, Any] = {"separator": _separator(form.get("separator", "")), "starts": form.get("starts", "")}
    if form.get("checksum"):
        options["checksum"] = form["checksum"]
    length = form.get("length", "").strip()
    if length:
        options["length"] = _whole(length, "每条报文的字符数")
    quiet = [line.strip() for line in form.get("quiet", "").splitlines() if line.strip()]
    return instruments.describe(form.get("telegram", "line"), marks, repeat, **options, quiet=quiet)


def repeat_of(site: Mapping[str, Any] | None) -> tuple[str, str]:
    """How the results of a layout repeat, and the distance from one to the next, as the form shows it."""
    repeat = ((site or {}).get("layout") or {}).get("repeat")
    if not repeat:
        return "", ""
    return ("line", "") if repeat["lines"] else ("step", str(repeat["width"]))


def _repeat(group: list[dict[str, Any]], form: Any) -> dict[str, Any]:
    """The code, value, unit and flag marked at the first result, which stand the same way at each further one. Raises UserError."""
    how, line = form.get("repeat", ""), group[0]["line"]
    if how not in ("line", "step"):
        raise UserError("invalid", say("标了“项目代码”列时，请选结果怎样重复：每行一个，或同一行每隔若干列一个。"), field="repeat")
    if any(mark["line"] != line for mark in group):
        raise UserError("invalid", say("项目代码、结果值、单位和标志请都在第一个结果所在的同一行上标。"), field="marks")
    fields = bool(form.get("separator"))
    start = min(mark["start"] for mark in group)
    ends = [mark["end"] or (mark["start"] + 1 if fields else start + FAR) for mark in group]
    parts = [(mark["role"], mark["start"] - start, end - start) for mark, end in zip(group, ends, strict=True)]
    if how == "line":
        return {"start": start, "width": max(end for _, _, end in parts), "parts": parts, "line": line, "lines": True}
    width = _whole(form.get("width", "").strip(), "相邻两个结果的间隔")
    return {"start": start, "width": width, "parts": parts, "line": line, "lines": False}


def _mark(n: int, given: Mapping[str, str]) -> dict[str, Any]:
    start = _whole(given["start"], say("第 {n} 行的起始列", n=n))
    mark: dict[str, Any] = {
        "role": given["role"],
        "start": start - 1,
        "line": _whole(given["line"] or "1", say("第 {n} 行的行号", n=n)) - 1,
    }
    mark["end"] = _whole(given["end"], say("第 {n} 行的结束列", n=n)) if given["end"] else None
    if given["code"]:
        mark["code"] = given["code"]
    if given["decimals"]:
        mark["decimals"] = _whole(given["decimals"], say("第 {n} 行的小数位", n=n))
    if given["text"]:
        mark["text"] = given["text"]
    return mark


def _whole(text: str, what: str) -> int:
    if not text.isdecimal() or len(text) > 6:
        raise UserError("invalid", say("{what}“{text}”不是整数，请改正。", what=what, text=text), field="marks")
    return int(text)


def _separator(text: str) -> str:
    return {"tab": "\t", "space": " "}.get(text, text)
