"""Whether a report template prints what a report must show (spec M09 R3; ISO 15189:2022 7.4.1.6): it is printed, and the page is read.

The template is set with probe documents in which every value is a word of its own, on every paper, short and over several pages; what
cannot be found in the text of the PDF is missing from the report. So a value that is fetched but never shown, or shown on the first
page only, is caught too. Runs in the worker. A picture (logo, bar code) and what is covered by another are beyond it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pypdf import PdfReader

from cloud.reports.documents import Amendment, Change, Paper, ReportDocument, ReportKind, ReportRow
from cloud.reports.payload import report_payload
from cloud.reports.renderer import Renderer
from common.errors import UserError
from common.say import Listed, say, word

LONG_ROWS = 80  # two pages and more on every paper
_PACKAGE = re.compile(r"(import|include)\s*\(?\s*\"@")


@dataclass(frozen=True, slots=True)
class Missing:
    """One requirement that a template does not meet: a stable name, and the sentence for the person who drew it."""

    element: str
    message: str


# element → (what it is called, the probe's value of it). Values are found by the text of the page with all blanks taken out.
_ELEMENTS: dict[str, tuple[str, str]] = {
    "hospital": ("医院名称", "探针医院"),
    "lab": ("检验科室名称", "探针科组"),
    "title": ("报告标题", "探针标题"),
    "patient_name": ("患者姓名", "探针患者"),
    "sex": ("性别", "探性"),
    "age": ("年龄", "探龄"),
    "patient_no": ("病历号", "TZ-P-7301"),
    "department": ("申请科室", "探针病区"),
    "doctor": ("申请医生", "探针医生"),
    "bed": ("床号", "探床9"),
    "diagnosis": ("临床诊断", "探针诊断"),
    "specimen_type": ("标本类型", "探针样品"),
    "barcode": ("标本条码号", "998877665544"),
    "sample_no": ("样本号", "TZ-S-7302"),
    "collected_at": ("采集时间", "2031-01-02 11:01"),
    "received_at": ("接收时间", "2031-01-02 12:02"),
    "reported_at": ("报告时间", "2031-01-02 13:03"),
    "specimen_note": ("标本情况说明", "探针标本说明"),
    "comments": ("备注", "探针备注"),
    "tester": ("检验者", "探针检验者"),
    "verifier": ("审核者", "探针审核者"),
    "signature_note": ("签名方式", "探针签名"),
    "auto_word": ("自动审核标识", "自动审核"),
    "referral_lab": ("外送实验室", "探针外送"),
    "mutual_recognition_scope": ("互认范围", "探针互认"),
    "accreditation_no": ("认可编号", "探针认可"),
    "kind_word": ("预报告标识", "预报告"),
    "amended": ("修改报告标识", "探改V2"),
    "original_reported_at": ("原报告时间", "2031-01-01 10:04"),
    "reason": ("修改原因", "探针原因"),
    "changes": ("修改项目", "探改项"),
    "before": ("修改前结果", "探前值"),
    "after": ("修改后结果", "探后值"),
    "statement": ("“仅对本标本负责”声明", "探针声明"),
    "end": ("结束标志", "探针结束"),
    "recognised": ("互认标识", "探H"),
    "accredited": ("认可标识", "探C"),
    "referral": ("外送标识", "探W"),
    "placeholder_notice": ("占位参考区间提示", "探针占位"),
}
_SIGNS = {"recognised", "accredited", "referral"}
_ROW_ELEMENTS = {
    **{name: _ELEMENTS[name][0] for name in sorted(_SIGNS)},
    "name": "项目名称",
    "result": "结果",
    "unit": "单位",
    "interval": "参考区间",
    "mark": "异常标记",
    "method": "检验方法",
    "group": "项目分组",
}


def missing_elements(template: str, renderer: Renderer, documents: Iterable[ReportDocument] | None = None) -> list[Missing]:
    """What the template lacks on the probe documents (all of them unless some are given); an empty list means it may be published."""
    if _PACKAGE.search(template):
        return [Missing("package", "模板不能引用网络上的 Typst 包，请删除以 @ 开头的 import 或 include。")]
    found: dict[str, Missing] = {}
    try:
        for document in probes() if documents is None else documents:
            for missing in _check(document, template, renderer):
                found.setdefault(missing.element, missing)
    except UserError as error:
        return [Missing("error", f"{error.message}（{error.fields.get('place', '')}）")]
    return list(found.values())


def require_valid(template: str, renderer: Renderer) -> None:
    """Refuse to publish a template that lacks anything required. Raises UserError that lists it."""
    missing = missing_elements(template, renderer)
    if missing:
        raise UserError(
            "template_incomplete",
            say("模板不能发布：{missing}", missing=Listed((each.message for each in missing), "；")),
            elements=[each.element for each in missing],
        )


def probes(papers: Iterable[Paper] = tuple(Paper)) -> Iterator[ReportDocument]:
    """Short and long, with groups and without, on every paper; the bare one shows that nothing optional is taken for granted."""
    full = _full()
    for paper in papers:
        yield replace(full, paper=paper)
        yield replace(full, paper=paper, rows=tuple(replace(row, group="") for row in full.rows[:2]))
        yield replace(
            full, paper=paper, rows=tuple(replace(row, group="") for row in _rows(LONG_ROWS)), kind=ReportKind.FINAL, amendment=None
        )
    yield _bare()


def _full() -> ReportDocument:
    values = {name: value for name, (_, value) in _ELEMENTS.items()}
    names: dict[str, Any] = {field: values[field] for field in _ELEMENTS if field in ReportDocument.__dataclass_fields__}
    times = {
        "collected_at": datetime(2031, 1, 2, 3, 1, tzinfo=UTC),
        "received_at": datetime(2031, 1, 2, 4, 2, tzinfo=UTC),
        "reported_at": datetime(2031, 1, 2, 5, 3, tzinfo=UTC),
    }
    return ReportDocument(
        **{
            **names,
            **times,
            "report_no": "TZR7303",
            "rows": _rows(6),
            "comments": (values["comments"],),
            "kind": ReportKind.PRELIMINARY,
            "version": 2,
            "auto_verified": True,
            "placeholder_intervals": True,
            "amendment": Amendment(
                datetime(2031, 1, 1, 2, 4, tzinfo=UTC), values["reason"], (Change(values["changes"], values["before"], values["after"]),)
            ),
        }
    )


def _bare() -> ReportDocument:
    full = _full()
    return ReportDocument(
        **{name: getattr(full, name) for name in ("hospital", "lab", "title", "report_no", "patient_name", "sex", "age", "patient_no")},
        specimen_type=full.specimen_type,
        barcode=full.barcode,
        tester=full.tester,
        verifier=full.verifier,
        reported_at=full.reported_at,
        rows=(ReportRow(name="探名0", result="70000"),),
    )


def _rows(count: int, grouped: bool = True) -> tuple[ReportRow, ...]:
    return tuple(
        ReportRow(
            name=f"探名{index}",
            result=f"7{index:04d}",
            unit=f"u{index}",
            interval=f"8{index:03d}–9",
            mark="探标",
            code=f"C{index}",
            method=f"探法{index % 3}",
            group=f"探组{index // 3}" if grouped else "",
            mutual_recognition=True,
            accredited=True,
            referral=True,
        )
        for index in range(count)
    )


def _payload(document: ReportDocument, renderer: Renderer) -> dict[str, Any]:
    payload = report_payload(document, renderer.fonts)
    payload["words"] = {name: _ELEMENTS[name][1] for name in payload["words"]}
    if document.placeholder_intervals:
        payload["placeholder_notice"] = _ELEMENTS["placeholder_notice"][1]
    return payload


def _check(document: ReportDocument, template: str, renderer: Renderer) -> Iterator[Missing]:
    pages = [
        _squeezed(page.extract_text()) for page in PdfReader(io.BytesIO(renderer.report_data(_payload(document, renderer), template))).pages
    ]
    text = "".join(pages)
    for name, value in _expected(document):
        if _squeezed(value) not in text:
            yield Missing(name, say("缺少{what}（{paper}）", what=word(_ELEMENTS[name][0]), paper=document.paper))
    for name, values in _expected_of_rows(document):
        if any(text.count(_squeezed(value)) < times for value, times in values.items()):
            yield Missing(name, say("缺少{what}（{paper}）", what=word(_ROW_ELEMENTS[name]), paper=document.paper))
    for number, page in enumerate(pages, start=1):
        if document.report_no not in page:
            yield Missing("report_no", say("第 {page} 页缺少报告编号（{paper}）", page=number, paper=document.paper))
        if not re.search(rf"第{number}页.{{0,3}}共{len(pages)}页|(?<!\d){number}/{len(pages)}(?!\d)", page):
            yield Missing("page", say("第 {page} 页缺少“第 k 页／共 n 页”（{paper}）", page=number, paper=document.paper))


def _expected(document: ReportDocument) -> Iterator[tuple[str, str]]:
    optional = {
        "kind_word": document.kind is ReportKind.PRELIMINARY,
        "auto_word": document.auto_verified,
        "placeholder_notice": document.placeholder_intervals,
        **dict.fromkeys(("amended", "original_reported_at", "reason", "changes", "before", "after"), document.amendment is not None),
        **dict.fromkeys(_SIGNS, document.rows[0].accredited),
        **dict.fromkeys(("collected_at", "received_at"), document.collected_at is not None),
        "comments": bool(document.comments),
    }
    for name, (_, value) in _ELEMENTS.items():
        shown = optional[name] if name in optional else bool(getattr(document, name, True))
        if shown and not (name == "signature_note" and document.signature_note != value):
            yield name, value


def _expected_of_rows(document: ReportDocument) -> Iterator[tuple[str, dict[str, int]]]:
    """For each column, the texts it must show and how often at least: signs once a row, a method or a group once at all."""
    count = len(document.rows)
    for name in _ROW_ELEMENTS.keys() - _SIGNS:
        values = {getattr(row, name): 1 for row in document.rows if getattr(row, name)}
        yield name, dict.fromkeys(values, count) if name == "mark" else values
    if document.rows[0].accredited:
        for name in _SIGNS:
            yield name, {_ELEMENTS[name][1]: count}


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)
