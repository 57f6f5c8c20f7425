"""Read-only: lots, and which lot was on board when a result was measured."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog.queries import HOSPITAL_ZONE


@dataclass(frozen=True, slots=True)
class OnBoard:
    """A pack that serves an item on an analyzer. ``usable``: its lot is accepted (available) today."""

    analyzer_id: int
    item_id: int
    lot_id: int
    lot_no: str
    usable: bool
    opened_at: datetime
    expires_at: datetime
    removed_at: datetime | None

    def at(self, when: datetime) -> bool:
        """Whether it was on board at this moment."""
        return self.opened_at <= when and (self.removed_at is None or when < self.removed_at)


_ON_BOARD = text("""
SELECT p.analyzer_id, i.item_id, l.id AS lot_id, l.lot_no, l.state = 'available' AS usable, p.opened_at, p.expires_at, p.removed_at
FROM open_pack p
JOIN reagent_lot l ON l.tenant_id = p.tenant_id AND l.id = p.lot_id
JOIN reagent_lot_item i ON i.tenant_id = l.tenant_id AND i.lot_id = l.id
WHERE p.tenant_id = :t AND p.analyzer_id = ANY(:analyzers) AND (p.removed_at IS NULL OR p.removed_at > :since)
ORDER BY p.opened_at, p.id
""")


def on_board(uow: UnitOfWork, analyzers: Collection[int], since: datetime) -> dict[tuple[int, int], list[OnBoard]]:
    """(analyzer, item) → packs on board at any time since a moment, the latest opened last; one statement."""
    out: dict[tuple[int, int], list[OnBoard]] = {}
    if analyzers:
        for r in uow.s.execute(_ON_BOARD, {"t": uow.tenant_id, "analyzers": sorted(set(analyzers)), "since": since}):
            out.setdefault((r.analyzer_id, r.item_id), []).append(OnBoard(*r))
    return out


_CHANGES = text("""
SELECT opened_at, product, lot_no FROM (
  SELECT p.opened_at, l.product, l.lot_no, l.id, lag(l.id) OVER (PARTITION BY l.product ORDER BY p.opened_at, p.id) AS before
  FROM open_pack p
  JOIN reagent_lot l ON l.tenant_id = p.tenant_id AND l.id = p.lot_id
  JOIN reagent_lot_item i ON i.tenant_id = l.tenant_id AND i.lot_id = l.id AND i.item_id = :item
  WHERE p.tenant_id = :t AND p.analyzer_id = :analyzer AND p.opened_at < :until) x
WHERE before <> id AND opened_at >= :since ORDER BY opened_at
""")


def changes(uow: UnitOfWork, analyzer_id: int, item_id: int, since: datetime, until: datetime) -> list[tuple[datetime, str]]:
    """When an item's reagent went over to another lot on an analyzer, and to which."""
    params = {"t": uow.tenant_id, "analyzer": analyzer_id, "item": item_id, "since": since, "until": until}
    return [(r.opened_at, f"{r.product} {r.lot_no}") for r in uow.s.execute(_CHANGES, params)]


@dataclass(frozen=True, slots=True)
class Ending:
    """A pack on board that must not be used, or soon may not: its lot and why (unaccepted, expired, soon); ``none``: no pack for items."""

    analyzer_id: int
    lot_no: str
    why: str
    items: tuple[int, ...]
    until: datetime | None = None


def ending(uow: UnitOfWork, measured: Mapping[int, Collection[int]], until: datetime) -> list[Ending]:
    """What is wrong now, or before ``until``, with what is on board for analyzer → items; one row a pack. One statement."""
    found, out = on_board(uow, measured, uow.now), list[Ending]()
    for analyzer, items in measured.items():
        by: dict[tuple[str, str, datetime | None], list[int]] = {}
        for item in items:
            packs = [p for p in found.get((analyzer, item), ()) if p.at(uow.now)]
            if not packs:
                by.setdefault(("none", "", None), []).append(item)
                continue
            pack = packs[-1]
            if not pack.usable or pack.expires_at < until:
                why = "unaccepted" if not pack.usable else "expired" if pack.expires_at < uow.now else "soon"
                by.setdefault((why, pack.lot_no, pack.expires_at), []).append(item)
        out += [Ending(analyzer, lot, why, tuple(ids), at) for (why, lot, at), ids in by.items()]
    return out


_LOTS = text("""
SELECT l.id, l.version, l.product, l.lot_no, l.expiry, l.open_days, l.state, l.evidence,
       (SELECT string_agg(t.abbr, ' ' ORDER BY t.print_order, t.id) FROM reagent_lot_item i
          JOIN test_item t ON t.tenant_id = i.tenant_id AND t.id = i.item_id WHERE i.tenant_id = l.tenant_id AND i.lot_id = l.id) AS items
FROM reagent_lot l WHERE l.tenant_id = :t AND l.state <> 'scrapped'
ORDER BY l.expiry < :today, l.expiry, l.id LIMIT :n OFFSET :start
""")
_PACKS = text("""
SELECT p.id, a.name AS analyzer, l.product, l.lot_no, l.state, p.opened_at, p.expires_at
FROM open_pack p
JOIN reagent_lot l ON l.tenant_id = p.tenant_id AND l.id = p.lot_id
JOIN analyzer a ON a.tenant_id = p.tenant_id AND a.id = p.analyzer_id
WHERE p.tenant_id = :t AND p.removed_at IS NULL ORDER BY p.expires_at, p.id LIMIT :n OFFSET :start
""")


_TO_BOARD = text("""
SELECT id, product, lot_no, expiry FROM reagent_lot WHERE tenant_id = :t AND state = 'available' AND expiry >= :today
ORDER BY product, expiry, id
""")
PAGE = 100


def lots(uow: UnitOfWork, start: int = 0) -> Sequence[Any]:
    """A page of the lots, the first to expire first; expired ones after those that may be used."""
    return uow.s.execute(_LOTS, {"t": uow.tenant_id, "today": _today(uow), "n": PAGE, "start": start}).all()


def to_board(uow: UnitOfWork) -> Sequence[Any]:
    """Every lot that may go on board today."""
    return uow.s.execute(_TO_BOARD, {"t": uow.tenant_id, "today": _today(uow)}).all()


def packs(uow: UnitOfWork, start: int = 0) -> Sequence[Any]:
    """A page of what is on board, the first to end first."""
    return uow.s.execute(_PACKS, {"t": uow.tenant_id, "n": PAGE, "start": start}).all()


def _today(uow: UnitOfWork) -> date:
    return uow.now.astimezone(HOSPITAL_ZONE).date()
