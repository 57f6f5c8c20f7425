"""报告格式 (M09 /templates): a section's own header, logo, paper, columns, words and remarks. Drawn here with a preview, changed only under
change control (M02), frozen on each report that used it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import lists
from cloud.ports import s3
from cloud.reports.documents import Paper, ReportDocument, ReportRow
from common.errors import LocalError, PeerError, UserError
from common.say import say

LOGO_MOST = 200_000
"""Bytes of a logo: it goes into every PDF."""
PAPER_WORDS = {Paper.A5_LANDSCAPE: say("A5 横向"), Paper.A5_PORTRAIT: say("A5 纵向"), Paper.A4: say("A4")}
TEXTS = ("name", "section", "paper", "subtitle", "logo", "tester_word", "verifier_word", "remarks")


def keep_logo(uow: UnitOfWork, data: bytes) -> str:
    """Keep an uploaded picture under its SHA-256 and return that. UserErrors invalid."""
    if not data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        raise UserError("invalid", say("院徽须为 PNG 或 JPEG 图片。"), field="logo")
    if len(data) > LOGO_MOST:
        raise UserError("invalid", say("院徽图片须小于 {n} kB，请缩小后再上传。", n=LOGO_MOST // 1000), field="logo")
    name = hashlib.sha256(data).hexdigest()
    files = s3.files_of(s3.current_store(), uow.tenant_id)
    if not files.exists(f"logos/{name}"):
        files.put(f"logos/{name}", data)
    uow.audit("report_logo", name, "upload", after={"bytes": len(data)})
    return name


def logo(uow: UnitOfWork, name: str) -> bytes:
    """The picture a document names; b"" for none. UserError when it cannot be had: nothing is printed without it."""
    if not name:
        return b""
    try:
        return s3.files_of(s3.current_store(), uow.tenant_id).get(f"logos/{name}", name)
    except (LocalError, PeerError) as error:
        raise UserError("conflict", say("院徽文件取不到：{why}", why=str(error))) from error


def values(row: md.LayoutRow | None, sections: Mapping[int, md.SectionRow]) -> dict[str, str]:
    """A layout as the form shows it; without one as the program comes."""
    if row is None:
        words = {"tester_word": "检验者", "verifier_word": "审核者"}
        return {"paper": Paper.A5_LANDSCAPE.value, "show_code": "是", "show_method": "是", **words}
    out = {name: str(getattr(row, name)) for name in TEXTS if name != "section"}
    out["section"] = "" if row.section_id is None else sections[row.section_id].code
    return out | {name: "是" if getattr(row, name) else "否" for name in ("show_code", "show_method")}


def looks(given: Mapping[str, str]) -> dict[str, Any]:
    """What a form says of a layout, as fields of a printed document. UserError invalid for a paper there is not."""
    if given.get("paper") not in tuple(Paper):
        raise UserError("invalid", say("请选择纸张。"), field="paper")
    plain = {name: str(given.get(name, "")).strip() for name in ("subtitle", "logo", "tester_word", "verifier_word")}
    shown = {name: given.get(name) != "否" for name in ("show_code", "show_method")}
    remarks = tuple(line.strip() for line in str(given.get("remarks", "")).splitlines() if line.strip())
    return {**plain, **shown, "paper": Paper(given["paper"]), "remarks": remarks}


def ask_preview(uow: UnitOfWork, given: Mapping[str, str], hospital: str, back: str) -> int:
    """Ask the worker for the preview; the number of its file."""
    looks(given)
    section = md.catalog(uow).sections_by_code.get(given.get("section", ""))
    title = "检验报告单" if section is None else f"{section.name.removesuffix('组').removesuffix('室')}检验报告单"
    job_id = lists.reserve(uow, "pdf", f"报告格式预览 {given.get('name', '')}", back, {})
    kept = {name: str(given.get(name, ""))[:2000] for name in (*TEXTS, "show_code", "show_method")}
    uow.emit("report.preview", f"list:{job_id}", {"job_id": job_id, "values": kept, "hospital": hospital, "title": title})
    return job_id


def sample(hospital: str, title: str, at: datetime) -> ReportDocument:
    """An invented report that shows what a real one may: marks, methods, a note."""
    rows = (
        ReportRow("钾", "3.2", "mmol/L", "3.5–5.3", "↓", "K", "间接离子选择电极法"),
        ReportRow("钠", "140", "mmol/L", "137–147", "", "NA", "间接离子选择电极法"),
        ReportRow("葡萄糖", "13.20", "mmol/L", "3.9–6.1", "↑", "GLU", "己糖激酶法"),
        ReportRow("肌酐", "80", "μmol/L", "57–97", "", "CREA", "酶法"),
    )
    return ReportDocument(
        hospital=hospital, lab="检验科", title=title, report_no="R000000000000", patient_name="示例患者（虚构）", sex="女", age="45 岁",
        patient_no="P0000000", specimen_type="血清", barcode="000000000000", rows=rows, tester="示例甲", verifier="示例乙", reported_at=at,
        collected_at=at, received_at=at, department="内科一病区", doctor="示例医生", bed="12", sample_no="1", comments=("标本轻度溶血。",),
        placeholder_intervals=True, verify_url="https://example.invalid/",
    )  # fmt: skip
