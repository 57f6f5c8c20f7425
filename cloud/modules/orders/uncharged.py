"""漏费: what was examined and is not charged, with why, and how it was settled (M03 R2): a list that ends, not a report that grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.orders import places
from cloud.modules.orders.models import UNCHARGED
from cloud.modules.orders.rules import LEAK_WORDS, SETTLED_WORDS, STATUS_TEXT, ItemStatus, Leak, Settled, leak
from cloud.reports.documents import Column, ListDocument
from cloud.web.faults import Conflict, Invalid, NotFound
from cloud.web.span import ZONE, Span
from common.say import say

PAGE = 100
EXPORT_MOST = 5000
OLD = timedelta(hours=24)
"""What is not charged a day after its result is told to the laboratory (alert)."""

# The same as rules.leak, for the index ix_order_item_uncharged; ``leak`` then says which.
_BODY = f"""
FROM order_item i JOIN lab_order o ON o.tenant_id = i.tenant_id AND o.id = i.order_id
JOIN patient p ON p.tenant_id = o.tenant_id AND p.id = o.patient_id
LEFT JOIN visit v ON v.tenant_id = o.tenant_id AND v.id = o.visit_id
WHERE i.tenant_id = :t AND {places.ITEM} AND {UNCHARGED.format(i="i.")} AND i.status_at >= :start AND i.status_at < :end
  AND (i.charge_state = 'refunded' OR coalesce(v.kind, 'outpatient') IN ('outpatient', 'emergency', 'inpatient'))
"""
_LIST = text(f"""
SELECT i.id, i.version, i.status_at AS at, p.name, p.patient_no, coalesce(v.kind, 'outpatient') AS kind, o.priority,
       coalesce(nullif(v.ward, ''), nullif(o.dept, ''), '—') AS place, o.doctor, coalesce(nullif(i.his_name, ''), i.his_code) AS item,
       i.order_item_no, i.source, i.status, i.charge_state, i.charged_at, i.settled, i.settled_why, i.settled_by, i.settled_at
{_BODY} AND (i.settled <> '') = :settled AND (:before = 0 OR i.id < :before) ORDER BY i.id DESC LIMIT :n
""")
_COUNT = text(f"SELECT count(*) {_BODY} AND i.settled = ''")
_OF_ITEM = text(f"SELECT i.id {_BODY} AND i.id = :i")
_SETTLE = text("""
UPDATE order_item SET settled = :how, settled_why = :why, settled_by = :by, settled_at = :now, version = version + 1
WHERE tenant_id = :t AND id = :i AND version = :version AND settled = '' RETURNING id
""")
_EVER = {"start": datetime(1970, 1, 1, tzinfo=ZONE), "end": datetime(9999, 1, 1, tzinfo=ZONE)}


@dataclass(frozen=True, slots=True)
class Row:
    """One examined item without its charge."""

    id: int
    version: int
    at: datetime
    name: str
    patient_no: str
    kind: str
    priority: str
    place: str
    doctor: str
    item: str
    order_item_no: str
    source: str
    status: str
    charge_state: str
    charged_at: datetime | None
    settled: str
    settled_why: str
    settled_by: str
    settled_at: datetime | None

    @property
    def why(self) -> Leak:
        """How it came to be uncharged."""
        found = leak(self.charge_state, self.kind, self.source, self.charged_at is not None)
        assert found is not None, "the query and the rule are one"
        return found


def _given(uow: UnitOfWork, days: Span | None) -> dict[str, object]:
    between = {"start": days.start, "end": days.end} if days is not None else _EVER
    return {"t": uow.tenant_id, **between, **places.binds(uow)}


def rows(uow: UnitOfWork, days: Span, settled: bool, before: int = 0, limit: int = PAGE) -> list[Row]:
    """A page of the list, newest first: what is open, or what was settled and how."""
    more = {"settled": settled, "before": before, "n": limit}
    return [Row(*row) for row in uow.s.execute(_LIST, _given(uow, days) | more)]


def open_count(uow: UnitOfWork, days: Span) -> int:
    """How long the open list is."""
    return int(uow.s.execute(_COUNT, _given(uow, days)).scalar_one())


def old_count(uow: UnitOfWork) -> int:
    """How many have been open for more than a day, of the last month."""
    given = _given(uow, None) | {"start": uow.now - timedelta(days=31), "end": uow.now - OLD}
    return int(uow.s.execute(_COUNT, given).scalar_one())


def settle(uow: UnitOfWork, item_id: int, version: int, how: str, why: str) -> None:
    """The charge was made afterwards elsewhere, or is waived. Raises Invalid (no choice, no words), NotFound, Conflict."""
    if how not in tuple(Settled):
        raise Invalid(say("请选择“已补收”或“免收”。"), "how")
    if not why.strip():
        raise Invalid(say("请写明补收单号，或免收的原因和批准人。"), "why")
    if uow.s.execute(_OF_ITEM, _given(uow, None) | {"i": item_id}).first() is None:
        raise NotFound("这个漏费项目")
    given = {
        "t": uow.tenant_id,
        "i": item_id,
        "version": version,
        "how": how,
        "why": why.strip()[:200],
        "by": uow.actor.name,
        "now": uow.now,
    }
    if uow.s.execute(_SETTLE, given).first() is None:
        raise Conflict(say("这个项目刚刚有变化或已由他人处理，请刷新后核对。"))
    uow.audit("order_item", item_id, "settled", after={"settled": how}, reason=why.strip()[:200])


def document(found: Sequence[Row], days: Span, settled: bool, hospital: str, by: str, now: datetime) -> ListDocument:
    """The list for paper or Excel."""
    columns = (
        Column("时间", 3), Column("患者", 3), Column("病历号", 3), Column("科室", 3), Column("医生", 2), Column("项目", 5),
        Column("项目号", 4), Column("状态", 2), Column("漏费原因", 4), Column("处理", 5),
    )  # fmt: skip
    lines = tuple(
        (
            f"{r.at.astimezone(ZONE):%m-%d %H:%M}", r.name, r.patient_no, r.place, r.doctor, r.item, r.order_item_no,
            STATUS_TEXT[ItemStatus(r.status)], str(LEAK_WORDS[r.why]),
            f"{SETTLED_WORDS[Settled(r.settled)]}：{r.settled_why}（{r.settled_by}）" if r.settled else "",
        )
        for r in found
    )  # fmt: skip
    title = "漏费清单（已处理）" if settled else "漏费清单"
    return ListDocument(hospital, title, columns, lines, now, by, f"{days.first} 至 {days.last}，共 {len(lines)} 项", landscape=True)
