"""Tubes that are late to appear (M05 alerts): drawn and not here, here and not measured, expected and never seen. List and alerts.

Limits [C] are minutes of the setting ``specimens``/``late_minutes`` (the keys of ``MINUTES``). Aliquots of a track line are their
parent's: they are never counted by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.modules.specimens.labels import ZONE
from cloud.modules.specimens.rules import STATE_WORDS, Perm, State
from cloud.reports.documents import Column, ListDocument
from common.say import Said, say

PAGE, MOST, SINGLE = 200, 5_000, 50
"""Rows of a page, rows looked for at all, tubes told one by one; the others are told by their number."""
BACK = timedelta(days=3)
"""Older ones are nobody's morning any more; the tube finder still knows them."""
MINUTES: Mapping[str, int] = {"collected": 120, "collected_stat": 30, "received": 60, "received_stat": 20, "expected": 30}


class Late(StrEnum):
    """In which way a tube is late."""

    ON_THE_WAY = "way"
    NOT_MEASURED = "idle"
    NOT_SEEN = "unseen"


LATE_WORDS: Mapping[Late, Said] = {
    Late.ON_THE_WAY: say("采集后未送达"),
    Late.NOT_MEASURED: say("核收后未上机"),
    Late.NOT_SEEN: say("应到未到"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A late tube. ``since``: from when its time counts; ``why``: what made it expected (sibling, bag)."""

    id: int
    barcode: str
    state: str
    priority: str
    name: str
    patient_no: str
    place: str
    section_id: int
    since: datetime
    why: str
    names: str


# Expected: another tube of the same drawing is here already, or its bag was opened and it was not in it.
_WHERE = {
    # A request's own transport limit counts instead of the hospital's, in an urgent tube only where it is shorter.
    Late.ON_THE_WAY: """s.state IN ('collected', 'sent', 'arrived') AND s.collected_at > :back
      AND s.collected_at < CASE s.priority WHEN 'routine' THEN coalesce(w.at, :collected)
                           ELSE greatest(w.at, CAST(:collected_stat AS timestamptz)) END""",
    Late.NOT_MEASURED: """s.section_id = ANY(:sections) AND s.state IN ('received', 'conditional', 'centrifuged', 'aliquoted')
      AND s.received_at > :back
      AND s.received_at < CASE s.priority WHEN 'routine' THEN CAST(:received AS timestamptz) ELSE :received_stat END""",
    Late.NOT_SEEN: "s.state IN ('collected', 'sent', 'arrived') AND s.collected_at > :back AND (b.at < :expected OR m.at < :expected)",
}
_SINCE = {
    Late.ON_THE_WAY: "s.collected_at",
    Late.NOT_MEASURED: "s.received_at",
    Late.NOT_SEEN: "least(coalesce(b.at, m.at), coalesce(m.at, b.at))",
}
_OWN = """
LEFT JOIN LATERAL (
  SELECT :now - min(coalesce(os.transport_minutes, :general)) * interval '1 minute' AS at
  FROM order_item i JOIN order_set os ON os.tenant_id = i.tenant_id AND os.id = i.order_set_id
  WHERE i.tenant_id = s.tenant_id AND i.specimen_id = s.id) w ON true
"""
_SEEN = """
LEFT JOIN LATERAL (
  SELECT min(coalesce(g.opened_at, g.closed_at)) AS at FROM bag_tube t JOIN specimen_bag g ON g.tenant_id = t.tenant_id AND g.id = t.bag_id
  WHERE t.tenant_id = s.tenant_id AND t.code = s.barcode AND t.listed AND t.scanned_at IS NULL AND g.opened_at > :back) b ON true
LEFT JOIN LATERAL (
  SELECT min(o.received_at) AS at FROM specimen o WHERE o.tenant_id = s.tenant_id AND o.patient_id = s.patient_id AND o.id <> s.id
    AND o.parent_id IS NULL AND o.labelled_at = s.labelled_at AND o.received_at >= s.collected_at) m ON true
"""
_LATE = """
SELECT s.id, s.barcode, s.state, s.priority, p.name, p.patient_no, coalesce(nullif(v.ward, ''), v.dept, '') AS place, s.section_id,
       {since} AS since, {why} AS why,
       (SELECT coalesce(string_agg(coalesce(nullif(i.his_name, ''), i.his_code), '、' ORDER BY i.id), '') FROM order_item i
         WHERE i.tenant_id = s.tenant_id AND i.specimen_id = s.id) AS names
FROM specimen s JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
LEFT JOIN visit v ON v.tenant_id = s.tenant_id AND v.id = s.visit_id {seen}
WHERE s.tenant_id = :t AND s.parent_id IS NULL AND {where} AND {here} ORDER BY (s.priority = 'routine'), since LIMIT :n
"""
_QUERIES = {
    late: text(
        _LATE.format(
            where=where,
            here=places.TUBE,
            since=_SINCE[late],
            seen={Late.NOT_SEEN: _SEEN, Late.ON_THE_WAY: _OWN}.get(late, ""),
            why="CASE WHEN b.at IS NULL THEN 'sibling' ELSE 'bag' END" if late is Late.NOT_SEEN else "''",
        )
    )
    for late, where in _WHERE.items()
}


def limits(uow: UnitOfWork) -> dict[str, int]:
    """Minutes by name: the hospital's own, else the defaults; a transport limit that is set counts for what is on its way."""
    known = md.catalog(uow)
    transport = known.setting("specimens", "transport_minutes", MINUTES["collected"])
    own = {k: int(v) for k, v in known.setting("specimens", "late_minutes", {}).items() if k in MINUTES}
    return {**MINUTES, "collected": int(transport), **own}


def rows(uow: UnitOfWork, late: Late) -> list[Row]:
    """Tubes late in this way, urgent ones first, then the oldest."""
    allowed = limits(uow)
    ends = {name: uow.now - timedelta(minutes=n) for name, n in allowed.items()}
    values = {"t": uow.tenant_id, "back": uow.now - BACK, "n": MOST, "sections": list(md.catalog(uow).sections), **ends}
    values |= {"now": uow.now, "general": allowed["collected"], **places.binds(uow)}
    return [Row(*row) for row in uow.s.execute(_QUERIES[late], values)]


# Optional tests keep nobody waiting: a tube without them is measured.
_LACKING = text("""
SELECT s.barcode, s.received_at, array_agg(t.item_id) AS items
FROM specimen s JOIN test t ON t.tenant_id = s.tenant_id AND t.specimen_id = s.id
JOIN test_item i ON i.tenant_id = t.tenant_id AND i.id = t.item_id
WHERE s.tenant_id = :t AND s.parent_id IS NULL AND s.section_id = ANY(:sections)
  AND s.state IN ('received', 'conditional', 'centrifuged', 'aliquoted', 'on_analyzer')
  AND s.received_at > :back AND s.received_at < CASE s.priority WHEN 'routine' THEN CAST(:received AS timestamptz) ELSE :received_stat END
  AND t.state = 'expected' AND i.mandatory AND t.item_id = ANY(:items)
GROUP BY s.id, s.barcode, s.received_at ORDER BY s.received_at, s.id LIMIT :n
""")


@dataclass(frozen=True, slots=True)
class Lacking:
    """A tube here beyond its time, with those of the asked tests that nobody has measured."""

    barcode: str
    since: datetime
    items: frozenset[int]


def lacking(uow: UnitOfWork, items: Collection[int]) -> list[Lacking]:
    """Tubes of the whole house that are late to be measured in one of these, the oldest first; measured in part is not measured."""
    ends = {name: uow.now - timedelta(minutes=n) for name, n in limits(uow).items() if name.startswith("received")}
    values = {"t": uow.tenant_id, "sections": list(md.catalog(uow).sections), "back": uow.now - BACK, "n": PAGE, **ends}
    rows = uow.s.execute(_LACKING, values | {"items": sorted(items)})
    return [Lacking(row.barcode, row.received_at, frozenset(row.items)) for row in rows]


def document(late: Late, found: Sequence[Row], hospital: str, by: str, now: datetime) -> ListDocument:
    """The list for paper or Excel."""
    columns = (
        Column("条码", 3), Column("患者", 3), Column("病历号", 3), Column("病区或科室", 3), Column("项目", 6), Column("状态", 2),
        Column("起算时间", 3), Column("已过（分）", 2, "right"),
    )  # fmt: skip
    lines = (
        (r.barcode, r.name, r.patient_no, r.place, r.names, str(STATE_WORDS[State(r.state)]),
         f"{r.since.astimezone(ZONE):%m-%d %H:%M}", str(int((now - r.since) / timedelta(minutes=1))))
        for r in found
    )  # fmt: skip
    title = f"迟到标本：{LATE_WORDS[late]}"
    return ListDocument(hospital, title, columns, tuple(lines), now, by, landscape=True)


# --- alerts -----------------------------------------------------------------------------------------------------------


def look(uow: UnitOfWork) -> None:
    """Every minute: one alert a ward for what does not arrive, one a section for what is not measured, one a tube never seen."""
    known = md.catalog(uow)
    way = _grouped(rows(uow, Late.ON_THE_WAY), lambda r: r.place or "—")
    words = "%(place)s：%(n)s 管标本采集后超时未送达，最早 %(code)s（%(at)s 采集）"
    told = []
    for place, found in way.items():
        at = (place, *sorted({known.sections[r.section_id].code for r in found}))
        told.append(_alert("specimen.on_the_way", place, found, words, Late.ON_THE_WAY, place, at))
    alerts.sync(uow, "specimen.on_the_way", told)
    idle = _grouped(rows(uow, Late.NOT_MEASURED), lambda r: str(r.section_id))
    words = "%(place)s：%(n)s 管标本核收后超时未上机，最早 %(code)s（%(at)s 核收）"
    alerts.sync(
        uow,
        "specimen.idle",
        [
            _alert("specimen.idle", k, found, words, Late.NOT_MEASURED, known.sections[int(k)].name, (known.sections[int(k)].code,))
            for k, found in idle.items()
        ],
    )
    words, away = "应到未到：%(name)s 的标本 %(code)s，同批标本已到实验室", rows(uow, Late.NOT_SEEN)
    unseen = [
        alerts.Alert(
            "specimen.unseen", r.barcode, alerts.Level.WARNING, words, "/sp/late?show=unseen", Perm.RECEIVE,
            {"name": r.name, "code": r.barcode}, at=(*places.code(uow, r.section_id), r.place),
        )
        for r in away[:SINGLE]
    ]  # fmt: skip
    more = _grouped(away[SINGLE:], lambda r: str(r.section_id))
    words = "%(place)s：另有 %(n)s 管应到未到，最早 %(code)s（%(at)s 起）"
    for section, found in more.items():
        row = known.sections[int(section)]
        unseen.append(_alert("specimen.unseen", f"section:{section}", found, words, Late.NOT_SEEN, row.name, (row.code,)))
    alerts.sync(uow, "specimen.unseen", unseen)


def _grouped(found: Iterable[Row], key: Callable[[Row], str]) -> dict[str, list[Row]]:
    out: dict[str, list[Row]] = {}
    for row in found:
        out.setdefault(key(row), []).append(row)
    return out


def _alert(kind: str, subject: str, found: Sequence[Row], words: str, late: Late, place: str, at: tuple[str, ...]) -> alerts.Alert:
    oldest = min(found, key=lambda r: r.since)
    fields = {"place": place, "n": len(found), "code": oldest.barcode, "at": f"{oldest.since.astimezone(ZONE):%H:%M}"}
    level = alerts.Level.URGENT if any(r.priority != "routine" for r in found) else alerts.Level.WARNING
    return alerts.Alert(kind, subject, level, words, f"/sp/late?show={late.value}", Perm.RECEIVE, fields, at=at)
