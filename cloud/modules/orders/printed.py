"""The lists of requests as their pages show them, for paper or a workbook: requests, verbal ones, other hospitals' reports, refunds that
wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cloud.modules.orders.messages import Priority
from cloud.modules.orders.outside import Line
from cloud.modules.orders.queries import WORDS, ItemRow, ListRow, RefundRow
from cloud.reports.documents import Column, ListDocument
from cloud.web.span import ZONE

EXPORT_MOST = 5000
COLUMNS = (
    Column("时间", 3), Column("患者", 3), Column("病历号", 3), Column("科室", 3), Column("医生", 2), Column("项目", 5), Column("收费", 2),
    Column("状态", 2), Column("说明", 6),
)  # fmt: skip


def document(found: Sequence[ListRow], hospital: str, by: str, now: datetime) -> ListDocument:
    """What the page shows, with the words of its marks."""
    charge, status = WORDS["charge"], WORDS["status"]
    lines = (
        (
            f"{r.item.ordered_at.astimezone(ZONE):%Y-%m-%d %H:%M}", r.patient.name, r.patient.patient_no, r.item.ward or r.item.dept,
            r.item.doctor, r.item.his_name or r.item.his_code, charge[r.item.charge], status[r.item.status], _said(r.item),
        )
        for r in found
    )  # fmt: skip
    return ListDocument(hospital, "申请", COLUMNS, tuple(lines), now, by, landscape=True)


def _said(item: ItemRow) -> str:
    marks = (
        WORDS["priority"][item.priority] if item.priority != Priority.ROUTINE else "",
        "未对照" if item.order_set_id is None else "",
        f"已挂起：{item.hold}" if item.hold else "",
    )
    return "；".join(mark for mark in marks if mark)


def verbal(found: Sequence[Any], hospital: str, by: str, now: datetime) -> ListDocument:
    """Verbal requests without their written one."""
    columns = (
        Column("接听", 3), Column("接听人", 2), Column("患者", 3), Column("病历号", 3), Column("项目", 5), Column("来电人", 2),
        Column("来电电话", 3), Column("医生", 2), Column("科室", 3), Column("补单期限", 3), Column("说明", 2),
    )  # fmt: skip
    lines = tuple(
        (
            f"{r.taken_at.astimezone(ZONE):%Y-%m-%d %H:%M}", r.taken_by, r.name, r.patient_no, r.names or "", r.caller, r.phone,
            r.doctor or "", r.dept or "", f"{r.deadline.astimezone(ZONE):%Y-%m-%d %H:%M}", "逾期" if r.deadline <= now else "",
        )
        for r in found
    )  # fmt: skip
    return ListDocument(hospital, "等待补单的口头申请", columns, lines, now, by, landscape=True)


def outside(found: Sequence[Line], hospital: str, by: str, now: datetime) -> ListDocument:
    """Recognised reports of other hospitals, with until when they are shown."""
    columns = (
        Column("登记", 3), Column("登记人", 2), Column("患者", 3), Column("病历号", 3), Column("项目", 3), Column("结果", 3),
        Column("医院", 4), Column("报告号", 3), Column("互认标识", 2), Column("采样", 3), Column("提示到", 4),
    )  # fmt: skip
    lines = tuple(
        (
            f"{r.entered_at.astimezone(ZONE):%Y-%m-%d %H:%M}", r.entered_by, r.name, r.patient_no, each.item, f"{r.value} {r.unit}".strip(),
            r.hospital, r.report_no, r.mark, f"{r.sampled_at.astimezone(ZONE):%Y-%m-%d %H:%M}", _until(each),
        )
        for each in found for r in (each.row,)
    )  # fmt: skip
    return ListDocument(hospital, "外院互认报告", columns, lines, now, by, landscape=True)


def _until(each: Line) -> str:
    if each.row.withdrawn_at is not None:
        return f"已撤回 {each.row.withdrawn_by}：{each.row.withdrawn_why}"
    return "不提示" if each.until is None else f"{each.until.astimezone(ZONE):%Y-%m-%d %H:%M}"


def refunds(found: Sequence[RefundRow], hospital: str, by: str, now: datetime) -> ListDocument:
    """Refunds that wait for the laboratory's consent."""
    columns = (Column("时间", 3), Column("患者", 3), Column("病历号", 3), Column("项目", 5), Column("状态", 2), Column("原因", 6))
    lines = tuple(
        (
            f"{r.requested_at.astimezone(ZONE):%Y-%m-%d %H:%M}", r.patient.name, r.patient.patient_no, r.item.his_name or r.item.his_code,
            WORDS["status"][r.item.status], r.reason,
        )
        for r in found
    )  # fmt: skip
    return ListDocument(hospital, "等待处理的退费申请", columns, lines, now, by, landscape=True)
