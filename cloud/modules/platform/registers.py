"""Lists of the platform as printable registers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from cloud.modules.platform import rules
from cloud.modules.platform.glass import Look
from cloud.reports.documents import Column, ListDocument

ZONE = ZoneInfo("Asia/Shanghai")


def breaks(looks: Sequence[Look], hospital: str, by: str, now: datetime) -> ListDocument:
    """破例查看登记: who looked past a wall, why, and what the reviewer said."""
    columns = (
        Column("时间", 3),
        Column("人员", 4),
        Column("内容", 3),
        Column("患者", 4),
        Column("原因", 6),
        Column("打开页数", 2, "right"),
    )
    rows = tuple(
        (
            f"{b.at.astimezone(ZONE):%Y-%m-%d %H:%M}",
            f"{b.who} {b.employee_no} {b.dept}".strip(),
            str(rules.GLASS_WORDS[b.kind]),
            f"{b.patient} {b.patient_no}",
            b.reason,
            str(b.reads),
            f"{rules.VERDICT_WORDS[rules.Verdict(b.verdict)]} {b.reviewer} {b.note}".strip() if b.reviewed_at else "待复核",
        )
        for b in looks
    )
    return ListDocument(
        hospital=hospital,
        title="破例查看登记",
        columns=(*columns, Column("复核", 4)),
        rows=rows,
        printed_at=now,
        printed_by=by,
        landscape=True,
        signatures=("复核人", "科主任"),
    )
