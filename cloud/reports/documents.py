"""The documents that can be printed, as frozen values: everything a page shows is in them, nothing is looked up while printing.

Pure. Times are aware and in UTC; the page shows them in Asia/Shanghai. A result arrives as the text that was reported: printing never
rounds, compares or flags. ``canonical_json`` is what a signature covers and what a report version stores (spec C8, C9).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any


class Paper(StrEnum):
    """Sheets a report may be printed on; A5 landscape is the usual one of Chinese laboratories."""

    A5_LANDSCAPE = "a5-landscape"
    A5_PORTRAIT = "a5-portrait"
    A4 = "a4"


class ReportKind(StrEnum):
    """What a report version claims to be (M09)."""

    PRELIMINARY = "preliminary"
    INTERIM = "interim"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One result line. ``mark`` is printed as given (↑ ↓ 危↑ 危↓ * …); empty means nothing remarkable."""

    name: str
    result: str
    unit: str = ""
    interval: str = ""
    mark: str = ""
    code: str = ""
    method: str = ""
    group: str = ""
    mutual_recognition: bool = False
    accredited: bool = False
    referral: bool = False
    sensitive: bool = False
    """Printed on a sheet of its own (M09 R8), so that the rest can be shown to others without it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One changed item of an amendment, before and after, unit included where there is one."""

    item: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Amendment:
    """What a later version says about the one it replaces (M09 R4)."""

    original_reported_at: datetime
    reason: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportImage:
    """A picture of the examination, PNG or JPEG bytes (or our own SVG drawing), with its caption."""

    caption: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ReportDocument:
    """A report version, complete: the content of M09 R3."""

    hospital: str
    lab: str
    title: str
    report_no: str
    patient_name: str
    sex: str
    age: str
    patient_no: str
    specimen_type: str
    barcode: str
    rows: tuple[ReportRow, ...]
    tester: str
    verifier: str
    reported_at: datetime
    collected_at: datetime | None = None
    received_at: datetime | None = None
    department: str = ""
    doctor: str = ""
    bed: str = ""
    diagnosis: str = ""
    sample_no: str = ""
    specimen_note: str = ""
    comments: tuple[str, ...] = ()
    kind: ReportKind = ReportKind.FINAL
    version: int = 1
    urgent: bool = False
    auto_verified: bool = False
    signature_note: str = "内部签名"
    amendment: Amendment | None = None
    referral_lab: str = ""
    mutual_recognition_scope: str = ""
    accreditation_no: str = ""
    placeholder_intervals: bool = False
    verify_url: str = ""
    images: tuple[ReportImage, ...] = ()
    paper: Paper = Paper.A5_LANDSCAPE
    # How the hospital wants it to look (its layout, frozen with the report); ``logo`` names the picture by its SHA-256.
    subtitle: str = ""
    logo: str = ""
    show_code: bool = True
    show_method: bool = True
    tester_word: str = "检验者"
    verifier_word: str = "审核者"
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelDocument:
    """One tube label, 50 × 30 mm (M05). ``items`` are abbreviations in the order to print; what does not fit becomes "…+n"."""

    barcode: str
    patient_name: str
    sex: str
    age: str
    patient_no: str
    specimen_type: str
    container: str
    items: tuple[str, ...]
    printed_at: datetime
    department: str = ""
    bed: str = ""
    volume: str = ""
    urgent: bool = False
    number: int = 1
    total: int = 1


@dataclass(frozen=True, slots=True)
class TicketDocument:
    """One queue ticket, 80 mm (M04). ``patient_name`` is printed as given: mask it before (张*伟)."""

    hospital: str
    number: str
    class_name: str
    service: str
    code: str
    ahead: int
    printed_at: datetime
    patient_name: str = ""
    hall_hint: str = ""
    wait_hint: str = ""
    notes: tuple[str, ...] = ()
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a printed list; ``weight`` shares the width, ``align`` is left, center or right."""

    title: str
    weight: int = 1
    align: str = "left"


@dataclass(frozen=True, slots=True)
class ListDocument:
    """A register or worklist on A4: title, columns, rows of text, page k/n."""

    hospital: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    printed_at: datetime
    printed_by: str = ""
    subtitle: str = ""
    landscape: bool = False
    notes: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    by_hand: bool = False
    """Values are written into it: its rows are as high as handwriting."""
    watermark: str = ""
    """Who made it and when, across each sheet: set where rows name patients (M01 R6)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table under a chart."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ChartDocument:
    """A drawing (SVG) on A4 landscape with what belongs to it in figures, for somebody's signature."""

    hospital: str
    title: str
    subtitle: str
    chart_svg: str
    tables: tuple[Table, ...]
    printed_at: datetime
    printed_by: str = ""
    notes: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()


def to_json(value: Any) -> Any:
    """A document as plain JSON values; times become ISO texts in UTC, bytes base64."""
    kind: Any = type(value)
    if kind is str or kind is bool or kind is int or value is None:
        return value
    names = _names(kind)
    if names is not None:
        return {name: to_json(getattr(value, name)) for name in names}
    if isinstance(value, datetime):
        return _utc(value).isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


@cache
def _names(kind: type) -> tuple[str, ...] | None:
    """The fields of a dataclass; None for any other type."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None


def canonical_json(document: Any) -> bytes:
    """The one byte form of a document: keys sorted, no blanks, UTF-8. Equal documents give equal bytes."""
    return json.dumps(to_json(document), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def report_from_json(data: dict[str, Any]) -> ReportDocument:
    """The report stored by ``to_json``. Raises KeyError, TypeError or ValueError for data of another shape."""
    plain = dict(data)
    amendment = plain.pop("amendment", None)
    return ReportDocument(
        **{
            **plain,
            "rows": tuple(ReportRow(**row) for row in plain["rows"]),
            "comments": tuple(plain.get("comments", ())),
            "remarks": tuple(plain.get("remarks", ())),
            "images": tuple(ReportImage(image["caption"], base64.b64decode(image["data"])) for image in plain.get("images", ())),
            "reported_at": datetime.fromisoformat(plain["reported_at"]),
            "collected_at": _time(plain.get("collected_at")),
            "received_at": _time(plain.get("received_at")),
            "kind": ReportKind(plain.get("kind", ReportKind.FINAL)),
            "paper": Paper(plain.get("paper", Paper.A5_LANDSCAPE)),
            "amendment": None if amendment is None else _amendment(amendment),
        }
    )


def _amendment(data: dict[str, Any]) -> Amendment:
    changes = tuple(Change(**change) for change in data.get("changes", ()))
    return Amendment(datetime.fromisoformat(data["original_reported_at"]), data["reason"], changes)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time without zone cannot be printed")
    return moment.astimezone(UTC)
