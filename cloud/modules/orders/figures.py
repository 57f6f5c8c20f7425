"""What is counted of requests (M03 Reports): by department and state, repeats avoided, refunds, verbal requests, additions to a tube.

Each number is the length of the list it opens: one condition counts and lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.orders import places
from cloud.modules.orders.rules import STATUS_TEXT, ItemStatus
from cloud.reports.documents import Column, ListDocument
from cloud.web.span import ZONE, Span
from common.say import Said, say

PAGE = 100
EXPORT_MOST = 5000


class Figure(StrEnum):
    """What is counted."""

    PLACED = "placed"
    TWINS = "twins"
    OUTSIDE = "outside"
    AVOIDED = "avoided"
    HELD = "held"
    REFUNDS = "refunds"
    VERBAL = "verbal"
    UNWRITTEN = "unwritten"
    ADDED = "added"


FIGURE_WORDS: Mapping[Figure, Said] = {
    Figure.PLACED: say("申请项目"),
    Figure.TWINS: say("重复提示"),
    Figure.OUTSIDE: say("外院互认提示"),
    Figure.AVOIDED: say("提示后已取消（避免重复）"),
    Figure.HELD: say("性别或年龄不符"),
    Figure.REFUNDS: say("核收后退费申请"),
    Figure.VERBAL: say("口头申请"),
    Figure.UNWRITTEN: say("其中逾期未补单"),
    Figure.ADDED: say("加做"),
}
_ENDED = "i.status IN ('cancelled', 'refunded')"
# An addition was asked for when its tube was here already: by the ward, or by the laboratory's own rules.
_JOIN = {
    Figure.REFUNDS: "JOIN refund_request x ON x.tenant_id = i.tenant_id AND x.order_item_id = i.id",
    Figure.VERBAL: "JOIN verbal_order x ON x.tenant_id = o.tenant_id AND x.order_id = o.id",
    Figure.UNWRITTEN: "JOIN verbal_order x ON x.tenant_id = o.tenant_id AND x.order_id = o.id",
    Figure.ADDED: "JOIN specimen x ON x.tenant_id = i.tenant_id AND x.id = i.specimen_id",
}
_AT = {Figure.REFUNDS: "x.requested_at", Figure.VERBAL: "x.taken_at", Figure.UNWRITTEN: "x.taken_at"}
_ONLY = {
    Figure.TWINS: "AND i.twin_id IS NOT NULL",
    Figure.OUTSIDE: "AND i.outside_id IS NOT NULL",
    Figure.AVOIDED: f"AND (i.twin_id IS NOT NULL OR i.outside_id IS NOT NULL) AND {_ENDED}",
    Figure.HELD: "AND (i.hold <> '' OR i.hold_cleared <> '')",
    Figure.UNWRITTEN: "AND x.confirmed_at IS NULL AND x.deadline < :now",
    Figure.ADDED: "AND (o.created_at > x.received_at OR i.source = 'lab')",
}
_WHY = {
    Figure.TWINS: "''",
    Figure.HELD: "coalesce(nullif(i.hold, ''), '已核实 ' || i.hold_cleared)",
    Figure.REFUNDS: "x.reason || CASE x.state WHEN 'accepted' THEN '；已同意：' || x.answer WHEN 'refused' THEN '；已拒绝：' || x.answer "
    "ELSE '；待处理' END",
    Figure.VERBAL: "x.caller || '，' || x.taken_by || CASE WHEN x.confirmed_at IS NULL THEN '，未补单' ELSE '，补单 ' || x.written END",
    Figure.UNWRITTEN: "x.caller || '，' || x.taken_by",
    Figure.ADDED: "CASE WHEN i.source = 'lab' THEN i.note ELSE x.barcode END",
}
_DEPT = "coalesce(nullif(o.dept, ''), nullif(v.ward, ''), '—')"
_FROM = f"""
FROM order_item i JOIN lab_order o ON o.tenant_id = i.tenant_id AND o.id = i.order_id {{join}}
LEFT JOIN visit v ON v.tenant_id = o.tenant_id AND v.id = o.visit_id
WHERE i.tenant_id = :t AND {{at}} >= :start AND {{at}} < :end {{only}}
  AND {places.ITEM} AND (:dept = '' OR {_DEPT} = :dept) AND (:status = '' OR i.status = :status)
"""
_LIST = f"""
SELECT i.id, {{at}} AS at, p.name, p.patient_no, {_DEPT} AS dept, o.doctor, coalesce(nullif(i.his_name, ''), i.his_code) AS item,
       i.status, {{why}} AS why, {{key}} AS key
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which days, which figure, and what its list is narrowed to ("" = all)."""

    days: Span
    figure: Figure = Figure.PLACED
    dept: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list."""

    id: int
    at: datetime
    name: str
    patient_no: str
    dept: str
    doctor: str
    item: str
    status: str
    why: str
    key: int


def _from(figure: Figure) -> str:
    return _FROM.format(join=_JOIN.get(figure, ""), at=_AT.get(figure, "o.ordered_at"), only=_ONLY.get(figure, ""))


def _values(uow: UnitOfWork, wanted: Wanted) -> dict[str, object]:
    days = {"start": wanted.days.start, "end": wanted.days.end}
    now = {"now": uow.now} if wanted.figure is Figure.UNWRITTEN else {}
    return {"t": uow.tenant_id, "dept": wanted.dept, "status": wanted.status, **days, **now, **places.binds(uow)}


def counts(uow: UnitOfWork, days: Span) -> dict[Figure, int]:
    """How long each list is."""
    # What is counted among all items ordered in these days is read once.
    among = [f for f in Figure if f not in _JOIN]
    each = ", ".join(f"count(*) FILTER (WHERE {_ONLY.get(f, 'true').removeprefix('AND ')})" for f in among)
    found = dict(zip(among, uow.s.execute(text(f"SELECT {each} {_from(Figure.PLACED)}"), _values(uow, Wanted(days))).one(), strict=True))
    for figure in _JOIN:
        found[figure] = uow.s.execute(text("SELECT count(*)" + _from(figure)), _values(uow, Wanted(days, figure))).scalar_one()
    return {f: int(found[f]) for f in Figure}


def by_dept(uow: UnitOfWork, wanted: Wanted) -> list[tuple[str, int]]:
    """A figure by department, the most frequent first."""
    return [(name, n) for name, n in _by(uow, wanted, _DEPT)][:30]


def by_status(uow: UnitOfWork, wanted: Wanted) -> list[tuple[ItemStatus, int]]:
    """A figure by the state its items stand in today, in the order of their path."""
    found = dict(_by(uow, wanted, "i.status"))
    return [(s, found[s.value]) for s in ItemStatus if s.value in found]


def _by(uow: UnitOfWork, wanted: Wanted, what: str) -> list[tuple[str, int]]:
    query = text(f"SELECT {what}, count(*) {_from(wanted.figure)} GROUP BY 1 ORDER BY 2 DESC, 1")
    whole = replace(wanted, dept="", status="")
    return [(str(row[0]), int(row[1])) for row in uow.s.execute(query, _values(uow, whole))]


def rows(uow: UnitOfWork, wanted: Wanted, before: int = 0, limit: int = PAGE) -> list[Row]:
    """A page of the list, newest first; ``before``: the key of the last line shown. An item may have been asked back more than once."""
    key = "x.id" if wanted.figure is Figure.REFUNDS else "i.id"
    at = _AT.get(wanted.figure, "o.ordered_at")
    body = _from(wanted.figure).replace(
        "LEFT JOIN visit", "JOIN patient p ON p.tenant_id = o.tenant_id AND p.id = o.patient_id\nLEFT JOIN visit", 1
    )
    query = _LIST.format(at=at, why=_WHY.get(wanted.figure, "i.note"), key=key) + body + f" AND (:before = 0 OR {key} < :before)"
    found = uow.s.execute(text(query + f" ORDER BY {key} DESC LIMIT :n"), _values(uow, wanted) | {"before": before, "n": limit})
    return [Row(*row) for row in found]


def document(found: Sequence[Row], wanted: Wanted, hospital: str, by: str, now: datetime) -> ListDocument:
    """The list for paper or Excel."""
    columns = (
        Column("时间", 3), Column("患者", 3), Column("病历号", 3), Column("科室", 3), Column("医生", 2), Column("项目", 5),
        Column("状态", 2), Column("说明", 6),
    )  # fmt: skip
    lines = (
        (f"{r.at.astimezone(ZONE):%m-%d %H:%M}", r.name, r.patient_no, r.dept, r.doctor, r.item, STATUS_TEXT[ItemStatus(r.status)], r.why)
        for r in found
    )
    narrowed = "、".join(x for x in (wanted.dept, wanted.status and STATUS_TEXT[ItemStatus(wanted.status)]) if x)
    subtitle = f"{wanted.days.first} 至 {wanted.days.last}" + (f"，{narrowed}" if narrowed else "")
    return ListDocument(hospital, f"申请统计：{FIGURE_WORDS[wanted.figure]}", columns, tuple(lines), now, by, subtitle, landscape=True)
