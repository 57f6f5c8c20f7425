"""The yearly review of reference intervals and critical limits (automation calendar; ISO 15189:2022, 7.3.5): what is due, what was found.

A change that two persons approved is a review of what it changed; where nothing had to change, the section's leader says so and on what
ground. What nobody ever reviewed or approved is due at once: limits are placeholders until the laboratory has looked at them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.changes.models import LimitReview
from cloud.modules.changes.rules import LIMITS, Perm, limits_due
from cloud.modules.platform.alerts import Alert, Level
from cloud.reports.documents import Column, ListDocument
from cloud.web.span import ZONE
from common.errors import UserError
from common.say import say

_LAST = text("""
SELECT DISTINCT ON (item_id, kind) item_id, kind, at, by_name, note FROM (
  SELECT item_id, kind, at, by_name, note FROM limit_review WHERE tenant_id = :t
  UNION ALL
  SELECT i.id, c.kind, c.activated_at, c.section_name, c.reason
  FROM catalog_change c CROSS JOIN jsonb_array_elements_text(c.items) AS touched(item_code)
  JOIN test_item i ON i.tenant_id = c.tenant_id AND i.code = touched.item_code
  WHERE c.tenant_id = :t AND c.kind = ANY(:kinds) AND c.activated_at IS NOT NULL AND c.section_at IS NOT NULL AND c.group_at IS NOT NULL) x
ORDER BY item_id, kind, at DESC
""")


@dataclass(frozen=True, slots=True)
class Row:
    """One item's intervals, or its critical limits, and when they were looked at last."""

    item: md.ItemRow
    kind: str
    count: int
    placeholder: bool
    at: datetime | None
    by: str
    note: str
    due: bool

    @property
    def key(self) -> str:
        """As the form names it."""
        return f"{self.item.id}:{self.kind}"


def listed(uow: UnitOfWork, section_id: int | None = None, *, due: bool = True) -> list[Row]:
    """What is due for review (or all), never reviewed first, then the oldest; of items in use that have such rows."""
    known = md.catalog(uow)
    kept: Mapping[str, Mapping[int, Collection[md.Interval | md.CriticalRow]]] = {"ri": known.intervals, "critical": known.criticals}
    last = {(r.item_id, r.kind): r for r in uow.s.execute(_LAST, {"t": uow.tenant_id, "kinds": list(LIMITS)})}
    out = []
    for item in known.items.values():
        if not item.active or section_id not in (None, item.section_id):
            continue
        for kind, rows in ((kind, kept[kind].get(item.id, ())) for kind in LIMITS):
            seen = last.get((item.id, kind))
            at = None if seen is None else seen.at
            if not rows or (due and not limits_due(at, uow.now)):
                continue
            by, note = ("", "") if seen is None else (seen.by_name, seen.note)
            unproven = any(r.placeholder for r in rows)
            out.append(Row(item, kind, len(rows), unproven, at, by, note, limits_due(at, uow.now)))
    return sorted(out, key=lambda r: (r.at is not None, r.at or uow.now, r.item.print_order, r.item.id, r.kind))


def review(uow: UnitOfWork, keys: Collection[str], note: str, sections: Collection[str]) -> int:
    """Say of these (``Row.key``) that they still hold, and why; how many. ``sections``: codes of the own ones, empty for all.

    UserErrors: invalid (nothing chosen, no ground given), conflict (another section's, a placeholder)."""
    if not keys:
        raise UserError("invalid", say("请至少勾选一项。"), field="row")
    if not note.strip():
        raise UserError("invalid", say("请写明复核依据，例如：查阅文献、厂家说明书、本室验证数据。"), field="note")
    known, chosen = md.catalog(uow), [row for row in listed(uow, due=False) if row.key in set(keys)]
    for row in chosen:
        if sections and known.sections[row.item.section_id].code not in sections:
            raise UserError("conflict", say("{item} 不属于您负责的专业组。", item=row.item.name))
        if row.placeholder:
            raise UserError("conflict", say("{item} 还是占位值：请提出变更，由两人批准本室的界限，不能只作复核。", item=row.item.name))
    for row in chosen:
        uow.s.add(
            LimitReview(item_id=row.item.id, kind=row.kind, at=uow.now, by_id=uow.actor.user_id, by_name=uow.actor.name, note=note.strip())
        )
        uow.audit("test_item", row.item.id, "limits_reviewed", after={"kind": row.kind, "rows": row.count}, reason=note.strip())
    return len(chosen)


def overdue(uow: UnitOfWork) -> Iterator[Alert]:
    """An alert a section, with how many are due."""
    counts: dict[int, int] = {}
    for row in listed(uow):
        counts[row.item.section_id] = counts.get(row.item.section_id, 0) + 1
    known = md.catalog(uow)
    for section_id, n in counts.items():
        section = known.sections[section_id]
        words = "%(section)s：%(n)s 项参考区间或危急值界限满一年未复核"
        fields = {"section": section.name, "n": n}
        url = f"/md/review?section={section.code}"
        yield Alert("changes.review", section.code, Level.NOTICE, words, url, Perm.SECTION, fields, at=(section.code,))


def document(uow: UnitOfWork, rows: Sequence[Row], hospital: str, by: str) -> ListDocument:
    """The list as the page shows it, for paper or a workbook."""
    columns = (
        Column("编码", 2), Column("项目", 4), Column("专业组", 2), Column("内容", 2), Column("行数", 1, "right"), Column("上次复核", 3),
        Column("复核人", 2), Column("依据", 6), Column("说明", 2),
    )  # fmt: skip
    sections = md.catalog(uow).sections
    lines = tuple(
        (
            r.item.code, r.item.name, sections[r.item.section_id].name, str(LIMITS[r.kind]), str(r.count),
            "从未" if r.at is None else f"{r.at.astimezone(ZONE):%Y-%m-%d}", r.by, r.note,
            "；".join(word for word in ("占位值" if r.placeholder else "", "到期" if r.due else "") if word),
        )
        for r in rows
    )  # fmt: skip
    return ListDocument(hospital, "参考区间与危急值界限年度复核", columns, lines, uow.now, by, f"共 {len(lines)} 项", landscape=True)
