"""Documents as the plain data the templates read: texts cleaned, times local, units cut into runs, bar codes drawn. Reads only font files.

Every text that will stand on the page passes the glyph check here, so nothing reaches a template that its faces cannot draw.
"""

from __future__ import annotations

import html
import re
from datetime import datetime
from typing import Any

from cloud.reports.documents import (
    Amendment,
    ChartDocument,
    LabelDocument,
    ListDocument,
    ReportDocument,
    ReportKind,
    ReportRow,
    TicketDocument,
)
from cloud.reports.drawings import code128_modules, code128_svg, picture_svg, qr_svg
from cloud.reports.fonts import FontSet
from cloud.reports.text import SMALL_SIGNS, clean, local, unit_parts, written

KIND_WORDS = {ReportKind.PRELIMINARY: "预报告", ReportKind.INTERIM: "中间报告", ReportKind.FINAL: ""}
# Fixed words of a report. They are data and not the template's own text, so that the validator can tell whether they are printed.
_WORDS = {
    "statement": "本报告仅对本标本负责",
    "end": "—— 报告结束，以下空白 ——",
    "recognised": "HR",
    "accredited": "◆",
    "referral": "※",
}
PLACEHOLDER_NOTICE = "参考区间为占位示例，未经本实验室验证"
_DRAWINGS = {"logo_svg", "barcode_svg", "qr_svg", "image_svg", "chart_svg"}
_MANY_LINES = 99.0
_LONG_EM = 20.0  # three lines of the column of results
_CELLS = ("name", "code", "result", "unit", "interval", "method")
_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"

_REPORT_TEXTS = (
    *("hospital", "lab", "title", "report_no", "patient_name", "sex", "age", "patient_no", "specimen_type", "barcode"),
    *("tester", "verifier", "department", "doctor", "bed", "diagnosis", "sample_no", "specimen_note", "signature_note"),
    *("referral_lab", "mutual_recognition_scope", "accreditation_no", "subtitle", "tester_word", "verifier_word"),
)
_HEAD_TEXTS = (
    *("title", "sex", "age", "patient_no", "department", "bed", "doctor", "sample_no", "specimen_type", "barcode", "lab", "report_no"),
    *("diagnosis", "signature_note"),
)
_LABEL_TEXTS = ("barcode", "patient_name", "sex", "age", "patient_no", "specimen_type", "container", "department", "bed", "volume")
_TICKET_TEXTS = ("hospital", "number", "class_name", "service", "code", "patient_name", "hall_hint", "wait_hint")

# Room of the two item lines in em of their 6.5 pt; the print time stands at the end of the second.
_EM_MM = 6.5 * 25.4 / 72
_LABEL_LINES_EM = (46.0 / _EM_MM, 32.5 / _EM_MM)


def report_payload(document: ReportDocument, fonts: FontSet, logo: bytes = b"") -> dict[str, Any]:
    """The data of report templates; the names are listed in this folder's README. ``logo``: the picture the document names, PNG or JPEG.
    Raises UserError for an undrawable character."""
    methods = list(dict.fromkeys(row.method for row in document.rows if row.method))
    plain = _texts(document, _REPORT_TEXTS)
    rows = [_row(row, methods, fonts) for row in document.rows]
    return _checked(
        fonts,
        plain
        | {
            "paper": str(document.paper),
            "kind": str(document.kind),
            "kind_word": KIND_WORDS[document.kind],
            "auto_word": "自动审核" if document.auto_verified else "",
            "version": document.version,
            "urgent": document.urgent,
            "collected_at": local(document.collected_at),
            "received_at": local(document.received_at),
            "reported_at": local(document.reported_at),
            "reported_on": _date_parts(document.reported_at),
            "hospital_ems": max(1.0, fonts.width(clean(document.hospital), bold=True)),
            "ems": _widths(document, plain, fonts),
            "rows": rows,
            "any_long": any(row["long"] for row in rows),
            "widest": {
                key: max((row["ems"][key] + (_signs(row) if key == "name" else 0.0) for row in rows), default=0.0) for key in _CELLS
            },
            "methods": [[_ordinal(index), clean(method)] for index, method in enumerate(methods)],
            "logo_svg": picture_svg(logo) if logo else "",
            "show_code": document.show_code,
            "show_method": document.show_method,
            "remarks": [clean(line) for line in document.remarks if line.strip()],
            "comments": [written(comment) for comment in document.comments if comment.strip()],
            "amendment": None if document.amendment is None else _amendment(document.amendment),
            "words": _WORDS | {"amended": f"修改报告 V{document.version}"},
            "placeholder_notice": PLACEHOLDER_NOTICE if document.placeholder_intervals else "",
            "barcode_svg": code128_svg(document.barcode),
            "barcode_modules": len(code128_modules(document.barcode)),
            "qr_svg": qr_svg(document.verify_url) if document.verify_url else "",
            "images": [
                {"caption": clean(image.caption), "image_svg": picture_svg(image.data), "drawn": image.data.startswith(b"<svg ")}
                for image in document.images
            ],
        },
    )


def label_payload(document: LabelDocument, fonts: FontSet, module_mm: float, draw_barcode: bool) -> dict[str, Any]:
    """The data of the label template; without ``draw_barcode`` the place of the bars stays white for the printer's own command."""
    return _checked(
        fonts,
        _texts(document, _LABEL_TEXTS)
        | {
            "urgent": document.urgent,
            "part": f"{document.number}/{document.total}",
            "printed_at": local(document.printed_at)[5:],
            "items": item_lines(document.items, fonts),
            "barcode_svg": code128_svg(document.barcode) if draw_barcode else "",
            "barcode_mm": len(code128_modules(document.barcode)) * module_mm,
        },
    )


def ticket_payload(document: TicketDocument, fonts: FontSet, module_mm: float, draw_barcode: bool, paper_mm: int) -> dict[str, Any]:
    """The data of the ticket template, 72 mm of print inside ``paper_mm`` of paper."""
    return _checked(
        fonts,
        _texts(document, _TICKET_TEXTS)
        | {
            "ahead": document.ahead,
            "offline": document.offline,
            "notes": [clean(note) for note in document.notes],
            "printed_at": local(document.printed_at, seconds=True),
            "paper_mm": paper_mm,
            "barcode_svg": code128_svg(document.code) if draw_barcode else "",
            "barcode_mm": len(code128_modules(document.code)) * module_mm,
        },
    )


def list_payload(document: ListDocument, fonts: FontSet) -> dict[str, Any]:
    """The data of the list template. Raises ValueError when a row has not as many cells as there are columns."""
    if any(len(row) != len(document.columns) for row in document.rows):
        raise ValueError("every row of a list has a cell for every column")
    return _checked(
        fonts,
        {
            "hospital": clean(document.hospital),
            "title": clean(document.title),
            "subtitle": written(document.subtitle),
            "columns": [{"title": clean(each.title), "weight": each.weight, "align": each.align} for each in document.columns],
            "rows": [[written(cell) for cell in row] for row in document.rows],
            "printed_at": local(document.printed_at, seconds=True),
            "printed_by": clean(document.printed_by),
            "landscape": document.landscape,
            "by_hand": document.by_hand,
            "watermark": clean(document.watermark),
            "notes": [clean(note) for note in document.notes],
            "signatures": [clean(name) for name in document.signatures],
        },
    )


def chart_payload(document: ChartDocument, fonts: FontSet) -> dict[str, Any]:
    """The data of the chart template; the words inside the drawing are checked like all others."""
    box = re.search(r'viewBox="0 0 ([0-9]+) ([0-9]+)"', document.chart_svg)
    if box is None:
        raise ValueError("a chart has a viewBox that says its size")
    return _checked(
        fonts,
        {
            "hospital": clean(document.hospital),
            "title": clean(document.title),
            "subtitle": clean(document.subtitle),
            "chart_svg": document.chart_svg,
            "chart_words": [
                html.unescape(re.sub("<[^>]*>", "", words)) for words in re.findall(r"<text[^>]*>(.*?)</text>", document.chart_svg)
            ],
            "ratio": int(box[2]) / int(box[1]),
            "tables": [
                {
                    "title": clean(table.title),
                    "columns": [{"title": clean(each.title), "weight": each.weight, "align": each.align} for each in table.columns],
                    "rows": [[written(cell) for cell in row] for row in table.rows],
                }
                for table in document.tables
            ],
            "printed_at": local(document.printed_at, seconds=True),
            "printed_by": clean(document.printed_by),
            "notes": [clean(note) for note in document.notes],
            "signatures": [clean(name) for name in document.signatures],
        },
    )


def stamp_payload(text: str, width: float, height: float, fonts: FontSet) -> dict[str, Any]:
    """The data of the layer over a reprint: one line of text, and the page's size in points."""
    return _checked(fonts, {"text": clean(text), "width": width, "height": height})


def item_lines(items: tuple[str, ...], fonts: FontSet) -> list[str]:
    """The item abbreviations on at most two lines; those without a place are counted: "…+3" (M05)."""
    names = [clean(item) for item in items]
    for kept in range(len(names), 0, -1):
        rest = len(names) - kept
        lines = _fill([*names[:kept], *([f"…+{rest}"] if rest else [])], fonts)
        if lines is not None:
            return lines
    return [f"…+{len(names)}"] if names else []


def _fill(words: list[str], fonts: FontSet) -> list[str] | None:
    """The words on the label's lines, or None when they do not fit."""
    lines: list[str] = []
    waiting = list(words)
    for room in _LABEL_LINES_EM:
        line = ""
        while waiting and fonts.width(longer := f"{line} {waiting[0]}".strip()) <= room:
            line = longer
            del waiting[0]
        if line:
            lines.append(line)
    return None if waiting else lines


def _texts(document: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: clean(getattr(document, name)) for name in names}


def _widths(document: ReportDocument, plain: dict[str, Any], fonts: FontSet) -> dict[str, float]:
    """Em of each text of head and foot: where all are known to stand on their lines, nothing has to be measured."""
    ems = {name: fonts.width(plain[name]) for name in _HEAD_TEXTS}
    ems |= {name: fonts.width(local(getattr(document, name))) for name in ("collected_at", "received_at", "reported_at")}
    ems |= {name: fonts.width(plain[name], bold=True) for name in ("patient_name", "tester", "verifier")}
    ems["verifier"] += 6 if document.auto_verified else 0
    ems["statement"] = len(_WORDS["statement"]) + (1 + len(PLACEHOLDER_NOTICE) if document.placeholder_intervals else 0)
    return ems


def _signs(row: dict[str, Any]) -> float:
    """Em that the signs behind a name take at most."""
    return 1.3 * sum([bool(row[sign]) for sign in ("accredited", "hr", "referral", "method_no")])


def _row(row: ReportRow, methods: list[str], fonts: FontSet) -> dict[str, Any]:
    name, code, result, interval = clean(row.name), clean(row.code), written(row.result), clean(row.interval)
    width = fonts.width(result, bold=True)
    unit = unit_parts(row.unit)
    return {
        "name": name,
        "code": code,
        "result": result,
        "unit": unit,
        "interval": interval,
        "mark": clean(row.mark),
        "method": clean(row.method),
        "method_no": _ordinal(methods.index(row.method)) if row.method else "",
        "group": clean(row.group),
        "hr": row.mutual_recognition,
        "accredited": row.accredited,
        "referral": row.referral,
        "sensitive": row.sensitive,
        # A finding in words (a culture, a smear) is text over the whole width, not a column of two characters.
        "long": "\n" in result or width > _LONG_EM,
        # Widths in em let a template give one-line rows a fixed height, which sets a page in half the time.
        "ems": {
            "name": fonts.width(name),
            "code": fonts.width(code),
            "result": width,
            "unit": fonts.width("".join([text for _, text in unit])),
            "interval": _MANY_LINES if "\n" in interval else fonts.width(interval),
            "method": fonts.width(clean(row.method)),
        },
    }


def _amendment(amendment: Amendment) -> dict[str, Any]:
    return {
        "original_reported_at": local(amendment.original_reported_at),
        "reason": clean(amendment.reason),
        "changes": [[clean(change.item), written(change.before), written(change.after)] for change in amendment.changes],
    }


def _ordinal(index: int) -> str:
    return _CIRCLED[index] if index < len(_CIRCLED) else f"[{index + 1}]"


def _date_parts(moment: datetime) -> list[int]:
    return [int(part) for part in local(moment)[:10].split("-")]


def _checked(fonts: FontSet, payload: dict[str, Any]) -> dict[str, Any]:
    texts: list[str] = []
    _collect(payload, texts)
    fonts.require(texts)
    payload["small_signs"] = SMALL_SIGNS.search("".join(texts)) is not None
    return payload


def _collect(values: dict[str, Any], texts: list[str]) -> None:
    """Every text that a template may draw, drawings and numbers left out."""
    for name, value in values.items():
        if isinstance(value, str):
            if name not in _DRAWINGS:
                texts.append(value)
        elif isinstance(value, dict):
            _collect(value, texts)
        elif isinstance(value, list | tuple):
            for inner in value:
                _collect(inner if isinstance(inner, dict) else {"": inner}, texts)
