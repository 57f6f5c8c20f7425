"""A hand-over note and a day log as printable lists."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from cloud.modules.catalog.queries import HOSPITAL_ZONE
from cloud.modules.handover.models import DayEntry, HandoverNote
from cloud.modules.handover.rules import KIND_WORDS, Kind, figures_from
from cloud.reports.documents import Column, ListDocument


def _hm(at: datetime | None, form: str = "%Y-%m-%d %H:%M") -> str:
    return "" if at is None else at.astimezone(HOSPITAL_ZONE).strftime(form)


def note_document(note: HandoverNote, section: str, hospital: str, by: str, now: datetime) -> ListDocument:
    """What was open and what was said, with both signatures; names as they were frozen."""
    rows = tuple(
        (str(f.label), str(f.n), "、".join(f.names) + (" …" if f.rest and f.names else "")) for f in figures_from(note.given_figures)
    )
    signed = f"交班 {note.giver} {_hm(note.given_at)}（内部签名）；接班 {note.receiver or '—'} {_hm(note.received_at)}"
    remark = (f"接班备注：{note.remark}",) if note.remark else ()
    return ListDocument(
        hospital=hospital,
        title=f"{section}交接班记录",
        subtitle=signed,
        columns=(Column("项目", 5), Column("数量", 1, "right"), Column("明细", 12)),
        rows=rows,
        printed_at=now,
        printed_by=by,
        notes=(*note.text.splitlines(), *remark),
        signatures=("交班人", "接班人"),
    )


def day_document(entries: Sequence[DayEntry], figures: str, day: date, section: str, hospital: str, by: str, now: datetime) -> ListDocument:
    """A day of the section: its figures in a line, its entries in their order; what was taken back says so."""
    rows = tuple(
        (
            _hm(e.at, "%H:%M"),
            str(KIND_WORDS[Kind(e.kind)]),
            e.words if e.withdrawn_at is None else f"（已撤回：{e.withdrawn_why}）{e.words}",
            e.by_name,
        )
        for e in entries
    )
    return ListDocument(
        hospital=hospital,
        title=f"{section}工作日志",
        subtitle=f"{day}  {figures}",
        columns=(Column("时间", 1), Column("类别", 2), Column("内容", 10), Column("记录人", 2)),
        rows=rows,
        printed_at=now,
        printed_by=by,
        signatures=("组长",),
    )
