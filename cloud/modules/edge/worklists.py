"""What analyzers may be told to measure: tubes of the last day with the channel codes of their open items, per connection.

A tube goes only to connections whose analyzer has a code for one of its items. Its ``order_version`` rises with every change of the tube or
of one of its tests, so that an agent never replaces a newer order by an older one (RELIABILITY F25).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from common import ids

MAX_AGE = timedelta(hours=24)
LIVE = ("collected", "sent", "arrived", "received", "conditional", "centrifuged", "aliquoted", "on_analyzer", "tested")
"""Tube states an analyzer may ask about; any other tube is sent as cancelled when it is named."""

TUBES = text("""
SELECT s.id, s.barcode, s.sample_no, s.state, s.priority, s.version AS tube_version, s.collected_at, s.received_at,
       p.patient_no, p.name, p.sex, p.birth, st.code AS specimen,
       ARRAY(SELECT c.barcode FROM specimen c WHERE c.tenant_id = s.tenant_id AND c.parent_id = s.id ORDER BY c.id) AS aliquots,
       coalesce((SELECT sum(t.version) FROM test t WHERE t.tenant_id = s.tenant_id AND t.specimen_id = s.id), 0) AS test_versions
FROM specimen s JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
JOIN specimen_type st ON st.tenant_id = s.tenant_id AND st.id = s.specimen_type_id
WHERE s.tenant_id = :t AND s.id = ANY(:ids)
ORDER BY s.id
""")

# What the requests ask for, and whether it is still to be measured (no result yet, not given up; or a rerun was asked for).
ITEMS = text("""
SELECT a.specimen_id, a.item_id, x.id IS NULL OR x.state = 'expected' OR EXISTS (
  SELECT 1 FROM follow_up f WHERE f.tenant_id = :t AND f.specimen_id = a.specimen_id AND f.test_id = x.id
    AND f.kind IN ('rerun','confirm') AND f.state = 'asked') AS open FROM (
  SELECT oi.specimen_id, m.item_id FROM order_item oi
  JOIN order_set_item m ON m.tenant_id = oi.tenant_id AND m.order_set_id = oi.order_set_id
  WHERE oi.tenant_id = :t AND oi.specimen_id = ANY(:ids) AND oi.status NOT IN ('cancelled', 'refunded')
  UNION
  SELECT specimen_id, item_id FROM test WHERE tenant_id = :t AND specimen_id = ANY(:ids)
) a LEFT JOIN test x ON x.tenant_id = :t AND x.specimen_id = a.specimen_id AND x.item_id = a.item_id
""")

OPEN = text("""
SELECT id FROM specimen WHERE tenant_id = :t AND state = ANY(:live) AND coalesce(received_at, collected_at) > :since ORDER BY id
""")

ASKED = text("""
SELECT coalesce(parent_id, id) FROM specimen
WHERE tenant_id = :t AND barcode = ANY(:codes) AND coalesce(received_at, collected_at) > :since
""")
ASKED_NUMBER = text("""
SELECT id FROM specimen
WHERE tenant_id = :t AND section_id = :section AND sample_day = :day AND ltrim(sample_no, '0') = ANY(:numbers) AND state = ANY(:live)
""")

CONNECTIONS = text("""
SELECT c.agent_id, c.key, coalesce(c.analyzer_id, 0), c.track
FROM connection c JOIN agent a ON a.tenant_id = c.tenant_id AND a.id = c.agent_id
WHERE c.tenant_id = :t AND c.enabled AND (c.analyzer_id IS NOT NULL OR c.track) AND a.state = 'enrolled'
ORDER BY c.agent_id, c.key
""")


@dataclass(frozen=True, slots=True)
class Target:
    """A connection that may be told."""

    agent_id: int
    conn_key: str
    analyzer_id: int
    track: bool = False


def targets(uow: UnitOfWork, agent_id: int | None = None) -> list[Target]:
    """Connections with an analyzer, of one agent or of all."""
    # Asked once a transaction: the relay handles many tubes in one.
    rows: list[Target] | None = uow.s.info.get("targets")
    if rows is None:
        rows = uow.s.info["targets"] = [Target(*row) for row in uow.s.execute(CONNECTIONS, {"t": uow.tenant_id})]
    return [r for r in rows if agent_id in (None, r.agent_id)]


@dataclass(frozen=True, slots=True)
class Tube:
    """A tube and its open items."""

    row: Any
    items: dict[int, bool]
    """Item → still to be measured."""


def tubes(uow: UnitOfWork, specimens: Collection[int]) -> list[Tube]:
    """Tubes with what is still to be measured."""
    if not specimens:
        return []
    at = {"t": uow.tenant_id, "ids": list(specimens)}
    items: dict[int, dict[int, bool]] = {}
    for specimen, item, is_open in uow.s.execute(ITEMS, at):
        items.setdefault(specimen, {})[item] = is_open
    return [Tube(row, items.get(row.id, {})) for row in uow.s.execute(TUBES, at)]


def for_target(catalog: md.Catalog, target: Target, found: Iterable[Tube], *, mention_all: bool = False) -> list[dict[str, Any]]:
    """The tubes of one connection's worklist. ``mention_all``: also say of a tube that nothing is to be done (a change, an answer)."""
    order = {i.id: (i.print_order, i.code) for i in catalog.items.values()}
    out = []
    for tube in found:
        live = tube.row.state in LIVE
        if target.track:
            out += _bodies(tube.row, routes(catalog, tube) if live else [])
            continue
        wanted = sorted((i for i, is_open in tube.items.items() if is_open and i in order), key=order.__getitem__) if live else []
        codes = [c[0] for i in wanted if (c := catalog.item_channels.get((target.analyzer_id, i)))]
        concerned = mention_all and any((target.analyzer_id, i) in catalog.item_channels for i in tube.items)
        if codes or concerned:
            out += _bodies(tube.row, codes)
    return out


FINISHED = "ARCHIVE"
"""Where a track line sends a tube nothing is to be measured from any more."""


def routes(catalog: md.Catalog, tube: Tube) -> list[str]:
    """Where a tube goes: the analyzers that can measure what is open, else the section's own code; to the store when all is done."""
    out: set[str] = set()
    for item in (catalog.items[i] for i, is_open in tube.items.items() if is_open and i in catalog.items):
        able = {catalog.analyzers[a].code for a, i in catalog.item_channels if i == item.id and catalog.analyzers[a].active}
        out |= able or {catalog.sections[item.section_id].code}
    return sorted(out) if out or not tube.items else [FINISHED]


def _bodies(row: Any, codes: list[str]) -> list[dict[str, Any]]:
    """A tube, and its aliquots under their own barcodes: any of them may be what the analyzer meets."""
    return [_body(row, codes), *(_body(row, codes) | {"barcode": code, "sample_no": None} for code in row.aliquots)]


def _body(row: Any, codes: list[str]) -> dict[str, Any]:
    since = row.received_at or row.collected_at
    return {
        "barcode": row.barcode,
        "sample_no": row.sample_no,
        # A code may name one statement of a test ("HCV/F"); what is ordered is the test.
        "tests": list(dict.fromkeys(code.split("/", 1)[0] if "/" in code[1:] else code for code in codes)),
        "priority": "stat" if row.priority == "stat" else "routine",
        "patient_id": row.patient_no,
        "patient_name": row.name,
        "sex": row.sex,
        "birth": None if row.birth is None else row.birth.isoformat(),
        "specimen": row.specimen,
        "collected_at": None if row.collected_at is None else row.collected_at.isoformat(),
        "order_version": int(row.tube_version + row.test_versions),
        "cancelled": not codes,
        "expires_at": None if since is None else (since + MAX_AGE).isoformat(),
    }


def open_specimens(uow: UnitOfWork) -> list[int]:
    """Ids of the tubes of the last 24 hours that analyzers may ask about."""
    return list(uow.s.scalars(OPEN, {"t": uow.tenant_id, "live": list(LIVE), "since": uow.now - MAX_AGE}))


def full(uow: UnitOfWork, agent_id: int) -> dict[str, list[dict[str, Any]]]:
    """The whole worklist of an agent that (re)connected, by connection."""
    goals = targets(uow, agent_id)
    if not goals:
        return {}
    found, catalog = tubes(uow, open_specimens(uow)), md.catalog(uow)
    return {t.conn_key: for_target(catalog, t, found) for t in goals}


def answer(uow: UnitOfWork, agent_id: int, conn_key: str, asked: Iterable[str], day: Any) -> list[dict[str, Any]]:
    """The tubes an agent asked about on one connection, and only those. A name nobody knows gets no tube."""
    goal = next((t for t in targets(uow, agent_id) if t.conn_key == conn_key), None)
    codes = [c for c in (ids.normalise_scan(a) for a in list(asked)[:500]) if c]
    if goal is None or not codes:
        return []
    catalog = md.catalog(uow)
    found = set(uow.s.scalars(ASKED, {"t": uow.tenant_id, "codes": codes, "since": uow.now - MAX_AGE}))
    numbers = [c.lstrip("0") for c in codes if len(c) <= 8 and c.lstrip("0")]
    analyzer = catalog.analyzers.get(goal.analyzer_id)
    if numbers and analyzer is not None:
        at = {"t": uow.tenant_id, "section": analyzer.section_id, "day": day, "numbers": numbers, "live": list(LIVE)}
        found |= set(uow.s.scalars(ASKED_NUMBER, at))
    return for_target(catalog, goal, tubes(uow, found), mention_all=True)
