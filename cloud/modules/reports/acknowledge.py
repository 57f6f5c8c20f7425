"""Who must take note of an amended or recalled report, or of a final one that differs from the preliminary, and has not yet (M09 R4, R5):
followed until the last of them knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.reports.models import ReportNotice
from cloud.modules.reports.rules import NOTICE_WORDS, Notice
from cloud.reports.documents import Column, ListDocument
from common.errors import UserError
from common.say import say

PAGE = 100
# A notice about a version that was replaced since is settled by the newer one.
_LIST = """
SELECT n.id, r.no, n.version_no, r.state, p.name, p.patient_no, coalesce(nullif(r.ward, ''), r.dept) AS place, u.name AS reader, u.dept,
       n.at, n.read_at, n.told_by, n.told_note, n.kind
FROM report_notice n JOIN report r ON r.tenant_id = n.tenant_id AND r.id = n.report_id AND r.current_no = n.version_no
JOIN patient p ON p.tenant_id = r.tenant_id AND p.id = r.patient_id
JOIN app_user u ON u.tenant_id = n.tenant_id AND u.id = n.user_id
WHERE n.tenant_id = :t AND r.section_id = ANY(:sections) AND n.kind <> 'final' AND {where} ORDER BY {order} LIMIT :n
"""
_OPEN = text(_LIST.format(where="n.read_at IS NULL", order="n.at, n.id"))
_OPEN_COUNT = text(f"SELECT count(*) FROM ({_LIST.format(where='n.read_at IS NULL', order='n.id').replace('LIMIT :n', '')}) AS open_ones")
_DONE = text(_LIST.format(where="n.read_at IS NOT NULL AND n.id < :before", order="n.id DESC"))


@dataclass(frozen=True, slots=True)
class Row:
    """One reader of one changed report."""

    id: int
    no: str
    version_no: int
    state: str
    name: str
    patient_no: str
    place: str
    reader: str
    dept: str
    at: datetime
    read_at: datetime | None
    told_by: str
    told_note: str
    kind: str


def listed(uow: UnitOfWork, sections: list[int], done: bool, before: int | None = None, limit: int = PAGE) -> list[Row]:
    """Readers who do not know yet, the longest waiting first; or those who do, newest first."""
    values = {"t": uow.tenant_id, "sections": sections, "n": limit}
    rows = uow.s.execute(_DONE, values | {"before": before or 2**62}) if done else uow.s.execute(_OPEN, values)
    return [Row(*row) for row in rows]


def open_count(uow: UnitOfWork, sections: list[int]) -> int:
    """How many readers do not know yet."""
    return int(uow.s.execute(_OPEN_COUNT, {"t": uow.tenant_id, "sections": sections}).scalar_one())


EXPORT_MOST = 5000
COLUMNS = (
    Column("通知时间", 3), Column("报告号", 4), Column("版本", 1), Column("变化", 3), Column("患者", 3), Column("病历号", 3),
    Column("科室", 3), Column("要通知的人", 4), Column("知晓", 6),
)  # fmt: skip


def document(rows: Sequence[Row], done: bool, hospital: str, by: str, now: datetime) -> ListDocument:
    """The register of who was told of a changed report, for paper or Excel."""

    def at(when: datetime) -> str:
        return f"{when.astimezone(md.HOSPITAL_ZONE):%Y-%m-%d %H:%M}"

    def known(r: Row) -> str:
        phoned = f"电话告知 {r.told_by}：{r.told_note}" if r.told_by else ""
        return "未知晓" if r.read_at is None else f"{at(r.read_at)} {phoned}".strip()

    lines = (
        (
            at(r.at), r.no, f"V{r.version_no}", "已召回" if r.state in ("recalled", "cancelled") else NOTICE_WORDS[Notice(r.kind)],
            r.name, r.patient_no, r.place, f"{r.reader} {r.dept}".strip(), known(r),
        )
        for r in rows
    )  # fmt: skip
    title = f"修改与召回通知：{'已知晓' if done else '未知晓'}"
    return ListDocument(hospital, title, COLUMNS, tuple(lines), now, by, landscape=True)


def told(uow: UnitOfWork, notice_id: int, note: str) -> None:
    """Somebody of the laboratory told the reader by phone. UserErrors: invalid, not_found, conflict."""
    if not note.strip():
        raise UserError("invalid", say("请写明告知了谁、怎样告知的，例如电话 3301 李医生。"), field="note")
    row = uow.s.get(ReportNotice, (uow.tenant_id, notice_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", say("这条通知不存在，请刷新。"))
    if row.read_at is not None:
        raise UserError("conflict", say("对方已经知晓，不必再登记，请刷新。"))
    row.read_at, row.told_by, row.told_note = uow.now, uow.actor.name, note.strip()[:200]
    uow.audit("report", row.report_id, "told", after={"version_no": row.version_no, "user": row.user_id}, reason=row.told_note)
