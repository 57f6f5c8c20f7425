"""Manual worklists (M07): one item down all tubes that wait for it, typed, saved tube by tube, printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import rules, service
from cloud.modules.bench.messages import Entry
from cloud.modules.catalog import queries as md
from cloud.reports.documents import Column, ListDocument
from cloud.reports.text import unit_text
from common.errors import UserError
from common.say import say

MOST = 60
"""Lines of a worklist page: what fits a sheet and a person types in one go."""

_ITEMS = text("""
SELECT t.item_id, count(*) AS n FROM test t JOIN bench_tube b ON b.tenant_id = t.tenant_id AND b.specimen_id = t.specimen_id
WHERE t.tenant_id = :t AND t.section_id = :s AND t.state = 'expected' AND b.state IN ('waiting','partial','held','ready')
GROUP BY t.item_id
""")
_LINES = text("""
SELECT t.id, t.version, b.specimen_id, b.barcode, b.sample_no, b.urgent, p.name, p.sex, b.received_at
FROM test t JOIN bench_tube b ON b.tenant_id = t.tenant_id AND b.specimen_id = t.specimen_id
JOIN patient p ON p.tenant_id = b.tenant_id AND p.id = b.patient_id
WHERE t.tenant_id = :t AND t.section_id = :s AND t.item_id = :i AND t.state = 'expected'
  AND b.state IN ('waiting','partial','held','ready')
ORDER BY b.urgent DESC, b.id LIMIT :n
""")
_TUBES = text("SELECT id, specimen_id FROM test WHERE tenant_id = :t AND section_id = :s AND id = ANY(:ids)")


@dataclass(frozen=True, slots=True)
class Choice:
    """An item with how many tubes wait for it; ``manual``: no analyzer sends it."""

    item: md.ItemRow
    n: int
    manual: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A tube that waits for the item."""

    test_id: int
    version: int
    specimen_id: int
    barcode: str
    sample_no: str | None
    urgent: int
    name: str
    sex: str
    received_at: datetime | None


@dataclass(slots=True)
class Saved:
    """What became of the values typed: how many were written; test → what stopped the others, with nothing of them lost."""

    written: int = 0
    asked: dict[int, UserError] = field(default_factory=dict)


def choices(uow: UnitOfWork, section_id: int, sensitive: bool = True) -> list[Choice]:
    """The section's items that tubes wait for, those nobody sends first, then as printed; ``sensitive``: the reader may see those too."""
    catalog = md.catalog(uow)
    waiting = {r.item_id: r.n for r in uow.s.execute(_ITEMS, {"t": uow.tenant_id, "s": section_id})}
    found = [Choice(catalog.items[i], n, not catalog.interfaced(i)) for i, n in waiting.items() if i in catalog.items]
    shown = [c for c in found if not c.item.code.startswith(md.HIL_PREFIX) and (sensitive or not c.item.sensitive)]
    return sorted(shown, key=lambda c: (not c.manual, c.item.print_order, c.item.id))


def lines(uow: UnitOfWork, section_id: int, item_id: int) -> list[Line]:
    """The first tubes that wait for the item, urgent first."""
    params = {"t": uow.tenant_id, "s": section_id, "i": item_id, "n": MOST}
    return [Line(*r) for r in uow.s.execute(_LINES, params)]


def twice(uow: UnitOfWork, item: md.ItemRow) -> bool:
    """Whether every value of the item is typed twice (R6); critical ones are asked for again in any case."""
    catalog = md.catalog(uow)
    return rules.typed_twice(False, bool(item.notifiable), catalog.interfaced(item.id), service.double_entry(catalog)) is not None


def enter(uow: UnitOfWork, section_id: int, entries: Sequence[Entry]) -> Saved:
    """Write the values typed, tube by tube in a fixed order; one that is refused stops no other."""
    wanted = [e for e in entries if e.text.strip()]
    if not wanted:
        raise UserError("invalid", say("还没有录入任何结果。"), field="value")
    params = {"t": uow.tenant_id, "s": section_id, "ids": [e.test_id for e in wanted]}
    tubes = {r.id: r.specimen_id for r in uow.s.execute(_TUBES, params)}
    gone = UserError("not_found", say("该检验项目不存在，请核对后重试。"))
    saved = Saved(asked={e.test_id: gone for e in wanted if e.test_id not in tubes})
    by_tube: dict[int, list[Entry]] = {}
    for entry in wanted:
        if entry.test_id in tubes:
            by_tube.setdefault(tubes[entry.test_id], []).append(entry)
    for specimen_id in sorted(by_tube):
        try:
            entered = service.enter_tube(uow, specimen_id, by_tube[specimen_id])
        except UserError as error:  # told or changed meanwhile: nothing of this tube was written
            saved.asked |= {e.test_id: error for e in by_tube[specimen_id]}
            continue
        entered.keep()
        saved.written += len(entered.written)
        saved.asked |= entered.asked
    return saved


def document(item: md.ItemRow, found: Sequence[Line], section: str, hospital: str, by: str, now: datetime) -> ListDocument:
    """The worklist on paper, with room for the values."""
    rows = tuple((str(i), line.sample_no or "", line.barcode, line.name, "") for i, line in enumerate(found, 1))
    return ListDocument(
        hospital=hospital,
        title=f"{section}手工工作单",
        subtitle=f"{item.name} {unit_text(item.unit)}".strip(),
        columns=(Column("序", 1, "right"), Column("样本号", 2), Column("条码", 4), Column("患者", 3), Column("结果", 5)),
        rows=rows,
        printed_at=now,
        printed_by=by,
        signatures=("检验者", "复核者"),
        by_hand=True,
    )


__all__ = ["MOST", "Choice", "Line", "Saved", "choices", "document", "enter", "lines", "twice"]
