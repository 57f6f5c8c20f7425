"""Read-only selects of the archive: racks with what stands in them, batches with their tubes, the register, what is out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.specimens import storage_rules as rules
from cloud.modules.specimens.storage_models import DiscardBatch

PAGE = 200
REGISTER_MOST = 5_000


@dataclass(frozen=True, slots=True)
class RackRow:
    """A rack with how much of it is used, and how many of its tubes are due."""

    id: int
    code: str
    name: str
    place: str
    condition: str
    rows: int
    cols: int
    active: bool
    used: int
    due: int

    @property
    def size(self) -> int:
        """How many tubes it holds."""
        return self.rows * self.cols


_RACKS = text("""
SELECT r.id, r.code, r.name, r.place, r.condition, r.rows, r.cols, r.active, count(t.id) AS used,
       count(t.id) FILTER (WHERE t.keep_until <= :now AND t.hold = '') AS due
FROM storage_rack r LEFT JOIN stored_tube t ON t.tenant_id = r.tenant_id AND t.rack_id = r.id AND t.taken_at IS NULL
WHERE r.tenant_id = :t GROUP BY r.tenant_id, r.id ORDER BY r.place, r.code, r.id LIMIT :n OFFSET :start
""")


def racks(uow: UnitOfWork, start: int = 0, most: int | None = None) -> list[RackRow]:
    """Racks by place: all of them, or a page."""
    return [RackRow(*row) for row in uow.s.execute(_RACKS, {"t": uow.tenant_id, "now": uow.now, "start": start, "n": most})]


@dataclass(frozen=True, slots=True)
class Cell:
    """A tube where it stands."""

    slot: int
    specimen_id: int
    barcode: str
    state: str
    name: str
    keep_until: datetime | None
    hold: str
    at: datetime
    by: str


_CELLS = text(f"""
SELECT t.slot, s.id, CASE WHEN {places.TUBE} THEN s.barcode ELSE '—' END, s.state, CASE WHEN {places.TUBE} THEN p.name ELSE '' END,
       t.keep_until, t.hold, t.at, t.by
FROM stored_tube t JOIN specimen s ON s.tenant_id = t.tenant_id AND s.id = t.specimen_id
JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
WHERE t.tenant_id = :t AND t.rack_id = :rack AND t.taken_at IS NULL ORDER BY t.slot
""")


def cells(uow: UnitOfWork, rack_id: int) -> dict[int, Cell]:
    """What stands in a rack, by slot."""
    return {row[0]: Cell(*row) for row in uow.s.execute(_CELLS, {"t": uow.tenant_id, "rack": rack_id, **places.binds(uow)})}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tube stands or stood last."""

    rack_id: int
    rack: str
    place: str
    condition: str
    slot: int
    cols: int
    at: datetime
    by: str
    keep_until: datetime | None
    hold: str
    taken_at: datetime | None
    taken_by: str
    taken_why: str

    @property
    def position(self) -> str:
        """As people read it."""
        return rules.position(self.slot, self.cols)


_PLACE = text("""
SELECT r.id, r.code, r.place, r.condition, t.slot, r.cols, t.at, t.by, t.keep_until, t.hold, t.taken_at, t.taken_by, t.taken_why
FROM stored_tube t JOIN storage_rack r ON r.tenant_id = t.tenant_id AND r.id = t.rack_id
WHERE t.tenant_id = :t AND t.specimen_id = :id ORDER BY t.id DESC LIMIT 1
""")


def place(uow: UnitOfWork, specimen_id: int) -> Place | None:
    """The tube's last place; None when it was never in a rack."""
    row = uow.s.execute(_PLACE, {"t": uow.tenant_id, "id": specimen_id}).one_or_none()
    return None if row is None else Place(*row)


_VOID = text("""
SELECT s.id FROM stored_tube t JOIN specimen s ON s.tenant_id = t.tenant_id AND s.id = t.specimen_id
WHERE t.tenant_id = :t AND t.taken_at IS NULL AND s.state IN ('cancelled', 'rejected') ORDER BY s.id
""")


def void(uow: UnitOfWork) -> Sequence[int]:
    """Tubes in racks that nobody may use any more."""
    return uow.s.scalars(_VOID, {"t": uow.tenant_id}).all()


@dataclass(frozen=True, slots=True)
class OutRow:
    """A tube that was taken out to come back."""

    specimen_id: int
    barcode: str
    name: str
    rack: str
    position: str
    taken_at: datetime
    taken_by: str
    taken_why: str


_OUT = text(f"""
SELECT s.id, s.barcode, p.name, r.code, t.slot, r.cols, t.taken_at, t.taken_by, t.taken_why
FROM stored_tube t JOIN specimen s ON s.tenant_id = t.tenant_id AND s.id = t.specimen_id
JOIN storage_rack r ON r.tenant_id = t.tenant_id AND r.id = t.rack_id
JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
WHERE t.tenant_id = :t AND t.returns AND t.taken_at <= :before AND {places.TUBE} ORDER BY t.taken_at LIMIT :n
""")


def out(uow: UnitOfWork, before: datetime) -> list[OutRow]:
    """Tubes taken out before a moment and not put back, longest first."""
    rows = uow.s.execute(_OUT, {"t": uow.tenant_id, "before": before, "n": PAGE, **places.binds(uow)})
    return [OutRow(r[0], r[1], r[2], r[3], rules.position(r[4], r[5]), *r[6:]) for r in rows]


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch in the list."""

    id: int
    state: str
    made_at: datetime
    made_by: str
    first_by: str
    first_at: datetime | None
    second_by: str
    second_at: datetime | None
    method: str
    autoclave: str
    note: str
    tubes: int
    kept: int


HERE = f"""(:everywhere OR NOT EXISTS (SELECT 1 FROM discard_line h JOIN stored_tube d ON d.tenant_id = h.tenant_id AND d.id = h.stored_id
  JOIN specimen s ON s.tenant_id = d.tenant_id AND s.id = d.specimen_id
  WHERE h.tenant_id = b.tenant_id AND h.batch_id = b.id AND NOT {places.TUBE}))"""
"""A batch ``b`` is of one's own place when each of its tubes is."""
_BATCHES = text(f"""
SELECT b.id, b.state, b.made_at, b.made_by, b.first_by, b.first_at, b.second_by, b.second_at, b.method, b.autoclave, b.note,
  (SELECT count(*) FROM discard_line l WHERE l.tenant_id = b.tenant_id AND l.batch_id = b.id AND l.outcome <> 'kept') AS tubes,
  (SELECT count(*) FROM discard_line l WHERE l.tenant_id = b.tenant_id AND l.batch_id = b.id AND l.outcome = 'kept') AS kept
FROM discard_batch b WHERE b.tenant_id = :t AND {HERE} AND (NOT :open OR b.state IN ('open', 'signed')) AND b.id < :before
ORDER BY b.state IN ('open', 'signed') DESC, b.id DESC LIMIT :n
""")


def batches(uow: UnitOfWork, open_only: bool = False, before: int | None = None) -> list[BatchRow]:
    """Batches, those that wait first."""
    values = {"t": uow.tenant_id, "open": open_only, "before": before or 2**62, "n": PAGE, **places.binds(uow)}
    return [BatchRow(*row) for row in uow.s.execute(_BATCHES, values)]


_SECTIONS = text("""
SELECT DISTINCT l.batch_id, s.section_id FROM discard_line l JOIN stored_tube d ON d.tenant_id = l.tenant_id AND d.id = l.stored_id
JOIN specimen s ON s.tenant_id = d.tenant_id AND s.id = d.specimen_id WHERE l.tenant_id = :t AND l.batch_id = ANY(:ids)
ORDER BY l.batch_id, s.section_id
""")


def sections_of(uow: UnitOfWork, batch_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Batch → the sections its tubes are of, as an alert says where it belongs."""
    out: dict[int, tuple[str, ...]] = {}
    for batch_id, section in uow.s.execute(_SECTIONS, {"t": uow.tenant_id, "ids": list(batch_ids)}):
        out[batch_id] = (*out.get(batch_id, ()), *places.code(uow, section))
    return out


def batch(uow: UnitOfWork, batch_id: int) -> DiscardBatch | None:
    """One batch; another place's is absent."""
    return uow.s.get(DiscardBatch, (uow.tenant_id, batch_id)) if is_here(uow, batch_id) else None


_IS_HERE = text(f"SELECT {HERE} FROM discard_batch b WHERE b.tenant_id = :t AND b.id = :id")


def is_here(uow: UnitOfWork, batch_id: int) -> bool:
    """Whether all tubes of a batch are of the place of the person at work."""
    return bool(uow.s.execute(_IS_HERE, {"t": uow.tenant_id, "id": batch_id, **places.binds(uow)}).scalar())


@dataclass(frozen=True, slots=True)
class LineRow:
    """A tube of a batch with the place to fetch it from."""

    id: int
    specimen_id: int
    barcode: str
    name: str
    specimen_type_id: int
    rack: str
    place: str
    position: str
    stored_at: datetime
    keep_until: datetime | None
    outcome: str
    why: str


_LINES = f"""
SELECT l.id, s.id, s.barcode, p.name, s.specimen_type_id, r.code, r.place, t.slot, r.cols, t.at, t.keep_until, l.outcome, l.why
FROM discard_line l JOIN discard_batch b ON b.tenant_id = l.tenant_id AND b.id = l.batch_id
JOIN stored_tube t ON t.tenant_id = l.tenant_id AND t.id = l.stored_id
JOIN storage_rack r ON r.tenant_id = t.tenant_id AND r.id = t.rack_id
JOIN specimen s ON s.tenant_id = t.tenant_id AND s.id = t.specimen_id
JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
WHERE l.tenant_id = :t AND {places.TUBE} AND
"""
_LINES_OF = text(_LINES + "l.batch_id = :batch AND l.id > :after ORDER BY l.id LIMIT :n")
_REGISTER = text(
    _LINES.replace("l.why\n", "l.why, b.id, b.method, b.autoclave, b.first_by, b.second_by, b.second_at\n")
    + "l.outcome = 'discarded' AND (b.second_at AT TIME ZONE 'Asia/Shanghai')::date BETWEEN :first AND :last "
    "ORDER BY b.second_at, l.id LIMIT :n"
)


def lines(uow: UnitOfWork, batch_id: int, after: int = 0) -> list[LineRow]:
    """The tubes of a batch, rack by rack as they are fetched; a page at a time."""
    values = {"t": uow.tenant_id, "batch": batch_id, "after": after, "n": PAGE, **places.binds(uow)}
    return [_line(row) for row in uow.s.execute(_LINES_OF, values)]


def register(uow: UnitOfWork, first: date, last: date) -> list[tuple[LineRow, Sequence[object]]]:
    """What was discarded on these days, with (batch, method, autoclave, first, second, when)."""
    values = {"t": uow.tenant_id, "first": first, "last": last, "n": REGISTER_MOST, **places.binds(uow)}
    return [(_line(row), row[13:]) for row in uow.s.execute(_REGISTER, values)]


def _line(row: Sequence[object]) -> LineRow:
    v: list[object] = list(row)
    v[7:9] = [rules.position(int(str(v[7])), int(str(v[8])))]
    return LineRow(*v[:12])  # type: ignore[arg-type]
