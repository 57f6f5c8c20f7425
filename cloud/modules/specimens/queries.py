"""Read-only selects for the pages of tubes: what happened to one, what is on the way, what was rejected, today's counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.specimens import facts, rules
from cloud.modules.specimens.facts import Item, TubeRow
from cloud.modules.specimens.labels import ZONE
from cloud.modules.specimens.late import Lacking as Lacking
from cloud.modules.specimens.late import lacking as lacking
from cloud.modules.specimens.models import LabelJob, Specimen, SpecimenEvent

WAITING_DAYS = 7


@dataclass(frozen=True, slots=True)
class Life:
    """A tube with all that happened to it."""

    tube: TubeRow
    items: list[Item]
    events: list[SpecimenEvent]


def life(uow: UnitOfWork, specimen_id: int) -> Life | None:
    """The closed loop of one tube; None when it is not there."""
    tube = facts.tubes(uow, [specimen_id]).get(specimen_id)
    if tube is None or not facts.is_here(uow, tube):
        return None
    events = uow.s.scalars(select(SpecimenEvent).where(SpecimenEvent.specimen_id == specimen_id).order_by(SpecimenEvent.id))
    return Life(tube, facts.items(uow, [specimen_id]).get(specimen_id, []), list(events))


def waiting_patients(uow: UnitOfWork, wards: frozenset[str]) -> list[facts.WaitingPatient]:
    """Who still needs labels, of the last week; a nurse with wards sees those only."""
    return facts.waiting_patients(uow, uow.now - timedelta(days=WAITING_DAYS), wards)


def received_today(uow: UnitOfWork) -> dict[int, int]:
    """Tubes received today by section; read along the unique key of sample numbers, so that each scan can afford it."""
    day = uow.now.astimezone(ZONE).date()
    own = [s for s in md.catalog(uow).sections if places.covers(uow, s)]
    here = (Specimen.section_id.in_(own)) & (Specimen.sample_day == day)
    rows = uow.s.execute(select(Specimen.section_id, func.count()).where(here).group_by(Specimen.section_id))
    return {row[0]: row[1] for row in rows}


def on_the_way(uow: UnitOfWork) -> tuple[int, int]:
    """Tubes collected and not received, of the last two days, and how many of them are urgent."""
    values = {"t": uow.tenant_id, "since": uow.now - timedelta(days=2), **places.binds(uow)}
    count, stat = uow.s.execute(_ON_THE_WAY, values).one()
    return count, stat


_ON_THE_WAY = text(f"""
SELECT count(*), count(*) FILTER (WHERE s.priority <> 'routine') FROM specimen s
WHERE s.tenant_id = :t AND s.state IN ('collected', 'sent', 'arrived') AND s.collected_at > :since AND {places.TUBE}
""")


@dataclass(frozen=True, slots=True)
class RejectionRow:
    """A rejection as the ward sees it. ``stage``: how far the recollection is; ``new``: the tubes drawn instead, (id, barcode)."""

    id: int
    specimen_id: int
    at: datetime
    reason: str
    note: str
    read_at: datetime | None
    read_by: str | None
    barcode: str
    priority: str
    items: str
    patient_no: str
    name: str
    ward: str
    bed: str
    dept: str
    stage: str
    new: list[tuple[int, str]]

    @property
    def open(self) -> bool:
        """Whether somebody still has to do something."""
        return self.stage not in ("done", "ended")


PAGE = 100
REJECTED_DAYS, OPEN_DAYS = 3, 92
"""So long a list shows what was read and is done; so far back one is looked for that is not done yet (its requests run out sooner)."""
# A rejection of before requests were written down has none: then it is those that still hang on the tube.
_REJECTIONS = f"""
WITH recent AS (
  SELECT r.* FROM rejection r
  WHERE r.tenant_id = :t AND (r.ward_read_at IS NULL OR NOT :unread AND (r.at > :since OR r.at > :oldest AND EXISTS (
    SELECT 1 FROM rejection_item x JOIN order_item i ON i.tenant_id = x.tenant_id AND i.id = x.order_item_id
    WHERE x.tenant_id = r.tenant_id AND x.rejection_id = r.id AND i.status = ANY(:open))))
),
asked AS (
  SELECT r.id AS rejection_id, i.id, i.status, i.specimen_id, coalesce(nullif(i.his_name, ''), i.his_code) AS name
  FROM recent r JOIN rejection_item x ON x.tenant_id = :t AND x.rejection_id = r.id
  JOIN order_item i ON i.tenant_id = :t AND i.id = x.order_item_id
  UNION
  SELECT r.id, i.id, i.status, i.specimen_id, coalesce(nullif(i.his_name, ''), i.his_code)
  FROM recent r JOIN order_item i ON i.tenant_id = :t AND i.specimen_id = r.specimen_id
)
SELECT {{what}}
FROM recent r JOIN specimen s ON s.tenant_id = r.tenant_id AND s.id = r.specimen_id
JOIN reject_reason q ON q.tenant_id = r.tenant_id AND q.id = r.reason_id
JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
LEFT JOIN visit v ON v.tenant_id = s.tenant_id AND v.id = s.visit_id
WHERE (:all_wards OR v.ward = ANY(:wards) OR v.dept = ANY(:wards)) AND {places.TUBE}
  AND (NOT :only_open OR EXISTS (SELECT 1 FROM asked a WHERE a.rejection_id = r.id AND a.status = ANY(:open)))
"""
_ROWS = text(
    _REJECTIONS.format(
        what="""r.id, s.id, r.at, q.name, r.note, r.ward_read_at, r.ward_read_by, s.barcode, s.priority,
       (SELECT coalesce(string_agg(a.name, '、' ORDER BY a.id), '') FROM asked a WHERE a.rejection_id = r.id),
       p.patient_no, p.name, coalesce(v.ward, ''), coalesce(v.bed, ''), coalesce(v.dept, ''),
       ARRAY(SELECT a.status FROM asked a WHERE a.rejection_id = r.id),
       ARRAY(SELECT DISTINCT n.id || ' ' || n.barcode FROM asked a JOIN specimen n ON n.tenant_id = :t AND n.id = a.specimen_id
             WHERE a.rejection_id = r.id AND n.id <> s.id)"""
    )
    + "ORDER BY (r.ward_read_at IS NULL) DESC, r.id DESC LIMIT :n OFFSET :start"
)
_COUNT = text(_REJECTIONS.format(what="count(*)"))


@dataclass(frozen=True, slots=True)
class Rejected:
    """Which rejections: of which wards (none: all), those nobody of the ward has read (``unread``), those whose recollection has not ended
    (``only_open``), else also what was sent back in the last ``days``."""

    wards: frozenset[str] = frozenset()
    days: int = REJECTED_DAYS
    unread: bool = False
    only_open: bool = False


def _asked(uow: UnitOfWork, which: Rejected) -> dict[str, Any]:
    since, oldest = (uow.now - timedelta(days=n) for n in (which.days, OPEN_DAYS))
    values = {"t": uow.tenant_id, "wards": sorted(which.wards), "all_wards": not which.wards, "since": since, "oldest": oldest}
    return values | {"unread": which.unread, "only_open": which.only_open, "open": list(rules.OPEN_REQUESTS), **places.binds(uow)}


def rejections(uow: UnitOfWork, which: Rejected, start: int = 0, most: int | None = None) -> list[RejectionRow]:
    """Unread ones first, then the newest; all of them, or a page."""
    out = []
    for row in uow.s.execute(_ROWS, _asked(uow, which) | {"start": start, "n": most}):
        new = [(int(n), code) for n, code in (each.split(" ", 1) for each in row[16])]
        values_of: list[Any] = [*row[:15], rules.recollection(row[15]), new]
        out.append(RejectionRow(*values_of))
    return out


def count_rejections(uow: UnitOfWork, which: Rejected) -> int:
    """How many there are."""
    return int(uow.s.execute(_COUNT, _asked(uow, which)).scalar_one())


def label_job(uow: UnitOfWork, job_id: int) -> LabelJob | None:
    """A print job with what the worker made of it."""
    return uow.s.get(LabelJob, (uow.tenant_id, job_id))


_REFERRED = text("SELECT specimen_id, lab FROM referral WHERE tenant_id = :t AND specimen_id = ANY(:ids) ORDER BY id")


def referral_labs(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, str]:
    """Tube → the laboratory that examined it for us; tubes examined here are not in it (M09 R3: the report names it)."""
    rows = uow.s.execute(_REFERRED, {"t": uow.tenant_id, "ids": list(specimen_ids)})
    return {row.specimen_id: row.lab for row in rows}
