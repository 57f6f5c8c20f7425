"""What a laboratory counts of its tubes (M05 Reports): rejections by ward, reason and collector, transport times, lost tubes.

Each number is the length of the list it opens: one condition counts and lists. Aliquots are their parent's and never counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.specimens import late
from cloud.modules.specimens.labels import ZONE
from cloud.reports.documents import Column, ListDocument
from cloud.web.span import Span
from common.say import Said, say

PAGE = 100
EXPORT_MOST = 5000


class Figure(StrEnum):
    """What is counted."""

    RECEIVED = "received"
    REJECTED = "rejected"
    CONDITIONAL = "conditional"
    SLOW = "slow"
    LOST = "lost"
    REFERRED = "referred"


FIGURE_WORDS: Mapping[Figure, Said] = {
    Figure.RECEIVED: say("核收"),
    Figure.REJECTED: say("拒收"),
    Figure.CONDITIONAL: say("让步接收"),
    Figure.SLOW: say("运送超时"),
    Figure.LOST: say("丢失"),
    Figure.REFERRED: say("外送"),
}


class By(StrEnum):
    """What a figure is broken down by."""

    PLACE = "place"
    REASON = "reason"
    COLLECTOR = "collector"


BY_WORDS: Mapping[By, Said] = {By.PLACE: say("病区或科室"), By.REASON: say("拒收原因"), By.COLLECTOR: say("采集者")}

# When it happened, and what must be so. A rejection counts on its own day, whenever the tube was drawn.
_AT = {
    Figure.RECEIVED: "s.received_at",
    Figure.REJECTED: "r.at",
    Figure.CONDITIONAL: "e.at",
    Figure.SLOW: "s.received_at",
    Figure.LOST: "e.at",
    Figure.REFERRED: "f.sent_at",
}
_JOIN = {
    Figure.REJECTED: "JOIN rejection r ON r.tenant_id = s.tenant_id AND r.specimen_id = s.id",
    Figure.CONDITIONAL: "JOIN specimen_event e ON e.tenant_id = s.tenant_id AND e.specimen_id = s.id AND e.kind = 'conditional'",
    Figure.LOST: "JOIN specimen_event e ON e.tenant_id = s.tenant_id AND e.specimen_id = s.id AND e.kind = 'lost'",
    Figure.REFERRED: "JOIN referral f ON f.tenant_id = s.tenant_id AND f.specimen_id = s.id",
}
# A tube may stand in a list twice (sent away again, accepted with reserve again): pages go by what is counted.
_KEY = {Figure.REJECTED: "r.id", Figure.CONDITIONAL: "e.id", Figure.LOST: "e.id", Figure.REFERRED: "f.id"}
_ONLY = {Figure.SLOW: "AND s.received_at - s.collected_at > :limit * interval '1 minute'"}
_WHY = {
    Figure.REJECTED: "q.name || CASE WHEN r.note = '' THEN '' ELSE ' ' || r.note END",
    Figure.CONDITIONAL: "s.caveat",
    Figure.LOST: "coalesce(e.detail ->> 'searched', '')",
    Figure.REFERRED: "f.lab || CASE WHEN f.returned_at IS NULL THEN '' ELSE '，已回报 ' || f.outcome END",
}
_PLACE = "coalesce(nullif(v.ward, ''), nullif(v.dept, ''), '—')"
_COLLECTOR = "coalesce(u.name, '—')"
_DIMENSION = {By.PLACE: _PLACE, By.REASON: "q.name", By.COLLECTOR: _COLLECTOR}
_FROM = f"""
FROM specimen s {{join}} {{reason}}
LEFT JOIN visit v ON v.tenant_id = s.tenant_id AND v.id = s.visit_id
LEFT JOIN app_user u ON u.tenant_id = s.tenant_id AND u.id = s.collector_id
WHERE s.tenant_id = :t AND s.parent_id IS NULL AND {{at}} >= :start AND {{at}} < :end AND {places.TUBE} {{only}}
  AND (:place = '' OR {_PLACE} = :place) AND (:collector = '' OR {_COLLECTOR} = :collector) {{named}}
"""
_REASON = "JOIN reject_reason q ON q.tenant_id = r.tenant_id AND q.id = r.reason_id"
_FACTS = f"""
SELECT s.id, s.barcode, p.name, p.patient_no, {_PLACE} AS place, {_COLLECTOR} AS collector, s.collected_at, s.received_at, {{at}} AS at,
       {{why}} AS why, {{key}} AS key
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which days, which figure, and what its list is narrowed to ("" = all)."""

    days: Span
    figure: Figure = Figure.REJECTED
    place: str = ""
    reason: str = ""
    collector: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list."""

    id: int
    barcode: str
    name: str
    patient_no: str
    place: str
    collector: str
    collected_at: datetime | None
    received_at: datetime | None
    at: datetime
    why: str
    key: int

    @property
    def minutes(self) -> int | None:
        """From collection to receipt."""
        if self.collected_at is None or self.received_at is None:
            return None
        return int((self.received_at - self.collected_at) / timedelta(minutes=1))


def _from(wanted: Wanted) -> str:
    figure, rejected = wanted.figure, wanted.figure is Figure.REJECTED
    named = "AND (:reason = '' OR q.name = :reason)" if rejected else ""
    return _FROM.format(
        join=_JOIN.get(figure, ""), reason=_REASON if rejected else "", at=_AT[figure], only=_ONLY.get(figure, ""), named=named
    )


def _values(uow: UnitOfWork, wanted: Wanted) -> dict[str, object]:
    narrowed = {"place": wanted.place, "collector": wanted.collector}
    if wanted.figure is Figure.REJECTED:
        narrowed["reason"] = wanted.reason
    if wanted.figure is Figure.SLOW:
        narrowed |= {"limit": late.limits(uow)["collected"]}  # type: ignore[dict-item]
    return {"t": uow.tenant_id, "start": wanted.days.start, "end": wanted.days.end, **narrowed, **places.binds(uow)}


def counts(uow: UnitOfWork, days: Span) -> dict[Figure, int]:
    """How long each list is."""
    # The slow ones are counted among the received, which are read once.
    both = f"SELECT count(*), count(*) FILTER (WHERE {_ONLY[Figure.SLOW].removeprefix('AND ')}) {_from(Wanted(days, Figure.RECEIVED))}"
    received, slow = uow.s.execute(text(both), _values(uow, Wanted(days, Figure.SLOW))).one()
    out = {Figure.RECEIVED: int(received), Figure.SLOW: int(slow)}
    for figure in (f for f in Figure if f not in out):
        wanted = Wanted(days, figure)
        out[figure] = int(uow.s.execute(text("SELECT count(*) " + _from(wanted)), _values(uow, wanted)).scalar_one())
    return {f: out[f] for f in Figure}


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a breakdown: how many of how many (None: there is no such total)."""

    name: str
    n: int
    of: int | None

    @property
    def percent(self) -> float | None:
        """Share of all tubes that reached the desk."""
        return None if not self.of else 100 * self.n / self.of


def breakdown(uow: UnitOfWork, wanted: Wanted, by: By) -> list[Part]:
    """A figure by ward, reason or collector, the most frequent first. Its total is what was received and rejected together."""
    if by is By.REASON and wanted.figure is not Figure.REJECTED:
        return []
    whole = replace(wanted, place="", reason="", collector="")
    found = _by(uow, whole, by)
    of: dict[str, int] = {}
    if by is not By.REASON and wanted.figure is not Figure.RECEIVED:
        here = _by(uow, replace(whole, figure=Figure.RECEIVED), by)
        # One sent back after receipt is among the received.
        away = _by(uow, replace(whole, figure=Figure.REJECTED), by, "AND s.received_at IS NULL")
        of = {name: here.get(name, 0) + away.get(name, 0) for name in {*here, *away}}
    return [Part(name, n, of.get(name)) for name, n in sorted(found.items(), key=lambda x: (-x[1], x[0]))[:30]]


def _by(uow: UnitOfWork, wanted: Wanted, by: By, only: str = "") -> dict[str, int]:
    query = text(f"SELECT {_DIMENSION[by]}, count(*) {_from(wanted)} {only} GROUP BY 1")
    return {str(row[0]): int(row[1]) for row in uow.s.execute(query, _values(uow, wanted))}


@dataclass(frozen=True, slots=True)
class Transport:
    """A ward's minutes from collection to receipt: how many tubes, the middle one, and nine of ten."""

    place: str
    n: int
    median: float
    p90: float
    slow: int


_TRANSPORT = text(f"""
SELECT {_PLACE} AS place, count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY x.m), percentile_cont(0.9) WITHIN GROUP (ORDER BY x.m),
       count(*) FILTER (WHERE x.m > :limit)
FROM specimen s LEFT JOIN visit v ON v.tenant_id = s.tenant_id AND v.id = s.visit_id
CROSS JOIN LATERAL (SELECT extract(epoch FROM s.received_at - s.collected_at) / 60 AS m) x
WHERE s.tenant_id = :t AND s.parent_id IS NULL AND s.received_at >= :start AND s.received_at < :end AND s.collected_at <= s.received_at
  AND {places.TUBE}
GROUP BY 1 ORDER BY 4 DESC LIMIT 30
""")


def transport(uow: UnitOfWork, days: Span) -> list[Transport]:
    """Transport times by ward, the slowest first."""
    values = {"t": uow.tenant_id, "start": days.start, "end": days.end, "limit": late.limits(uow)["collected"], **places.binds(uow)}
    return [Transport(str(r[0]), int(r[1]), float(r[2]), float(r[3]), int(r[4])) for r in uow.s.execute(_TRANSPORT, values)]


def rows(uow: UnitOfWork, wanted: Wanted, before: int = 0, limit: int = PAGE) -> list[Row]:
    """A page of the list, newest first; ``before``: the key of the last line shown."""
    key = _KEY.get(wanted.figure, "s.id")
    facts = _FACTS.format(at=_AT[wanted.figure], why=_WHY.get(wanted.figure, "''"), key=key)
    body = _from(wanted).replace(
        "LEFT JOIN visit", "JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id\nLEFT JOIN visit", 1
    )
    query = text(facts + body + f" AND (:before = 0 OR {key} < :before) ORDER BY {key} DESC LIMIT :n")
    return [Row(*row) for row in uow.s.execute(query, _values(uow, wanted) | {"before": before, "n": limit})]


def document(found: Sequence[Row], wanted: Wanted, hospital: str, by: str, now: datetime) -> ListDocument:
    """The list for paper or Excel."""
    columns = (
        Column("条码", 3), Column("患者", 3), Column("病历号", 3), Column("病区或科室", 3), Column("采集者", 2), Column("采集", 3),
        Column("核收", 3), Column("用时（分）", 2, "right"), Column("发生", 3), Column("原因或说明", 6),
    )  # fmt: skip
    lines = (
        (r.barcode, r.name, r.patient_no, r.place, r.collector, _time(r.collected_at), _time(r.received_at),
         "" if r.minutes is None else str(r.minutes), _time(r.at), r.why)
        for r in found
    )  # fmt: skip
    narrowed = "、".join(x for x in (wanted.place, wanted.reason, wanted.collector) if x)
    subtitle = f"{wanted.days.first} 至 {wanted.days.last}" + (f"，{narrowed}" if narrowed else "")
    title = f"标本统计：{FIGURE_WORDS[wanted.figure]}"
    return ListDocument(hospital, title, columns, tuple(lines), now, by, subtitle, landscape=True)


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(ZONE):%m-%d %H:%M}"
