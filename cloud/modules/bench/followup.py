"""Rows of what is done on top of results: reruns asked for, items added by a result. Few a day, so each is written by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench.measure import AGAIN, KIND_WORDS, Kind
from cloud.modules.bench.rules import FOLLOW_MOVES, FollowState
from common.errors import UserError
from common.say import say

OPEN = frozenset(state.value for state, to in FOLLOW_MOVES.items() if to)


@dataclass(slots=True)
class FollowRow:
    """One follow-up as loaded and then changed in memory."""

    id: int
    specimen_id: int
    test_id: int
    item_id: int
    kind: Kind
    state: str
    rule: str
    depth: int
    reason: str
    dilution: Decimal
    first_id: int | None
    second_id: int | None
    asked_at: datetime
    asked_by: int | None
    asked_name: str
    settled_at: datetime | None = None
    settled_by: int | None = None
    settled_name: str = ""
    outcome: str = ""
    dirty: bool = False

    @property
    def open(self) -> bool:
        """Whether the tube waits for it."""
        return self.state in OPEN

    @property
    def again(self) -> bool:
        """Whether the test itself is measured again."""
        return self.kind in AGAIN

    @property
    def word(self) -> str:
        """复查, 加做 …"""
        return KIND_WORDS[self.kind]

    def settle(self, uow: UnitOfWork, state: str, outcome: str) -> None:
        """Close it (done, cancelled), or put it before a person (refused). UserError conflict for a step that is not in the table."""
        if state != self.state and state not in FOLLOW_MOVES[FollowState(self.state)]:
            raise UserError("conflict", say("{what}已由 {who} 处理，请刷新。", what=self.word, who=self.settled_name or "—"))
        self.state, self.outcome, self.dirty = state, outcome[:300], True
        if state not in OPEN:
            self.settled_at, self.settled_by, self.settled_name = uow.now, uow.actor.user_id, uow.actor.name


_COLUMNS = (
    "id, specimen_id, test_id, item_id, kind, state, rule, depth, reason, dilution, first_id, second_id, asked_at, asked_by, asked_name, "
    "settled_at, settled_by, settled_name, outcome"
)
_LOAD = text(f"SELECT {_COLUMNS} FROM follow_up WHERE tenant_id = :t AND specimen_id = ANY(:ids) ORDER BY id")
_ASKED = text("""
SELECT test_id, max(asked_at) FROM follow_up WHERE tenant_id = :t AND test_id = ANY(:ids) AND state = 'asked' AND kind = ANY(:kinds)
GROUP BY test_id
""")
_ONE = text(f"SELECT {_COLUMNS} FROM follow_up WHERE tenant_id = :t AND id = :i")
COUNTED = {
    "": "true",
    "diluted": "f.dilution <> 1",
    "second": "f.state = 'done' AND f.second_id IS NOT NULL AND t.current_id = f.second_id",
    "dropped": "f.state = 'cancelled'",
    "open": "f.state IN ('asked','back','refused')",
}
"""What the figures count, and the same for the list that a number opens."""
_SECTION = f"""
SELECT {", ".join(f"f.{name}" for name in _COLUMNS.replace(",", " ").split())}
FROM follow_up f JOIN test t ON t.tenant_id = f.tenant_id AND t.id = f.test_id
WHERE f.tenant_id = :t AND f.section_id = :s AND {{only}} AND f.id < :before
  AND (:item = 0 OR f.item_id = :item) AND (:kind = '' OR f.kind = :kind)
  AND (CAST(:a AS timestamptz) IS NULL OR f.asked_at >= :a) AND (CAST(:b AS timestamptz) IS NULL OR f.asked_at < :b)
ORDER BY f.id DESC LIMIT :n
"""
_INSERT = text("""
INSERT INTO follow_up (tenant_id, specimen_id, section_id, test_id, item_id, kind, rule, depth, reason, dilution, first_id,
                       asked_at, asked_by, asked_name)
VALUES (:t, :specimen, :section, :test, :item, :kind, :rule, :depth, :reason, :dilution, :first, :at, :by, :name) RETURNING id
""")
_SAVE = text("""
UPDATE follow_up SET state = :state, second_id = :second, settled_at = :at, settled_by = :by, settled_name = :name, outcome = :outcome,
       kind = :kind, reason = :reason
WHERE tenant_id = :t AND id = :i
""")


def _row(r: Sequence[object]) -> FollowRow:
    row = FollowRow(*r)  # type: ignore[arg-type]
    row.kind = Kind(row.kind)
    return row


def load(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, list[FollowRow]]:
    """Tube → all its follow-ups, oldest first; no tubes ask nothing."""
    out: dict[int, list[FollowRow]] = {}
    ids = list(specimen_ids)
    for r in uow.s.execute(_LOAD, {"t": uow.tenant_id, "ids": ids}) if ids else ():
        out.setdefault(r.specimen_id, []).append(_row(r))
    return out


def one(uow: UnitOfWork, follow_id: int) -> FollowRow | None:
    """A follow-up by id."""
    r = uow.s.execute(_ONE, {"t": uow.tenant_id, "i": follow_id}).one_or_none()
    return None if r is None else _row(r)


def reruns_asked(uow: UnitOfWork, test_ids: Iterable[int]) -> dict[int, datetime]:
    """Those of these tests that are to be measured again and were not yet: since when."""
    values = {"t": uow.tenant_id, "ids": list(test_ids), "kinds": [k.value for k in AGAIN]}
    return {r[0]: r[1] for r in uow.s.execute(_ASKED, values)}


@dataclass(frozen=True, slots=True)
class Which:
    """A part of the log: one item, one kind, asked in a span, and a word of ``COUNTED``."""

    only: str = ""
    item_id: int = 0
    kind: str = ""
    start: datetime | None = None
    end: datetime | None = None


def of_section(uow: UnitOfWork, section_id: int, which: Which, before: int = 0, limit: int = 100) -> list[FollowRow]:
    """A page of a section's follow-ups, newest first."""
    params = {
        "t": uow.tenant_id, "s": section_id, "before": before or 2**62, "n": limit, "item": which.item_id, "kind": which.kind,
        "a": which.start, "b": which.end,
    }  # fmt: skip
    return [_row(r) for r in uow.s.execute(text(_SECTION.format(only=COUNTED[which.only])), params)]


def insert(uow: UnitOfWork, row: FollowRow, section_id: int) -> None:
    """Write a new one; it gets its id."""
    params = {
        "t": uow.tenant_id, "specimen": row.specimen_id, "section": section_id, "test": row.test_id, "item": row.item_id,
        "kind": row.kind.value, "rule": row.rule, "depth": row.depth, "reason": row.reason, "dilution": row.dilution, "first": row.first_id,
        "at": row.asked_at, "by": row.asked_by, "name": row.asked_name,
    }  # fmt: skip
    row.id = uow.s.execute(_INSERT, params).scalar_one()


def save(uow: UnitOfWork, rows: Iterable[FollowRow]) -> None:
    """Write back what changed."""
    for row in rows:
        if row.dirty:
            uow.s.execute(
                _SAVE,
                {"t": uow.tenant_id, "i": row.id, "state": row.state, "second": row.second_id, "at": row.settled_at, "by": row.settled_by,
                 "name": row.settled_name, "outcome": row.outcome, "kind": row.kind.value, "reason": row.reason},
            )  # fmt: skip
            row.dirty = False
