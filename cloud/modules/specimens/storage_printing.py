"""The register of discarded tubes (标本销毁登记) as a list: one line a tube, with how, by whom and witnessed by whom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from cloud.modules.specimens.labels import ZONE
from cloud.modules.specimens.storage_queries import LineRow
from cloud.reports.documents import Column, ListDocument

COLUMNS = (
    Column("销毁时间", 3),
    Column("条码", 3),
    Column("患者", 2),
    Column("原位置", 4),
    Column("归档时间", 3),
    Column("保存至", 3),
    Column("处理方式 / 灭菌记录", 5),
    Column("第一人", 2),
    Column("第二人", 2),
    Column("单号", 1),
)


def register_document(
    found: Sequence[tuple[LineRow, Sequence[Any]]], days: tuple[date, date], hospital: str, by: str, now: datetime
) -> ListDocument:
    """The lines as they were signed."""
    return ListDocument(
        hospital=hospital,
        title="标本销毁登记本",
        subtitle=f"{days[0]} 至 {days[1]}，共 {len(found)} 管",
        columns=COLUMNS,
        rows=tuple(_row(line, more) for line, more in found),
        printed_at=now,
        printed_by=by,
        landscape=True,
        signatures=("登记人", "组长审核"),
    )


def _row(line: LineRow, more: Sequence[Any]) -> tuple[str, ...]:
    batch, method, autoclave, first, second, at = more
    place = f"{line.place} {line.rack} {line.position}"
    how = " / ".join(x for x in (method, autoclave) if x)
    return (_time(at), line.barcode, line.name, place, _time(line.stored_at), _time(line.keep_until), how, first, second, str(batch))


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(ZONE):%Y-%m-%d %H:%M}"
