"""Read-only selects for the pages of tubes: what happened to one, what is on the way, what was rejected, today's counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.specimens import facts
from cloud.modules.specimens.facts import Item, TubeRow
from cloud.modules.specimens.labels import ZONE
from cloud.modules.specimens.models import LabelJob, Specimen, SpecimenEvent, StrayTube

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
    if tube is None:
        return None
    events = uow.s.scalars(select(SpecimenEvent).where(SpecimenEvent.specimen_id == specimen_id).order_by(SpecimenEvent.id))
    return Life(tube, facts.items(uow, [specimen_id]).get(specimen_id, []), list(events))


def waiting_patients(uow: UnitOfWork, wards: frozenset[str]) -> list[facts.WaitingPatient]:
    """Who still needs labels, of the last week; a nurse with wards sees those only."""
    return facts.waiting_patients(uow, uow.now - timedelta(days=WAITING_DAYS), wards)


def received_today(uow: UnitOfWork) -> dict[int, int]:
    """Tubes received today by section; read along the unique key of sample numbers, so that each scan can afford it."""
    day = uow.now.astimezone(ZONE).date()
    here = (Specimen.section_id.in_(list(md.catalog(uow).sections))) & (Specimen.sample_day == day)
    rows = uow.s.execute(select(Specimen.section_id, func.count()).where(here).group_by(Specimen.section_id))
    return {row[0]: row[1] for row in rows}


def on_the_way(uow: UnitOfWork) -> tuple[int, int]:
    """Tubes collected and not received, of the last two days, and how many of them are urgent."""
    here = Specimen.state.in_(("collected", "sent", "arrived")) & (Specimen.collected_at > uow.now - timedelta(days=2))
    urgent = func.count().filter(Specimen.priority != "routine")
    count, stat = uow.s.execute(select(func.count(), urgent).select_from(Specimen).where(here)).one()
    return count, stat


@dataclass(frozen=True, slots=True)
class RejectionRow:
    """A rejection as the ward sees it."""

    id: int
    at: datetime
    reason: str
    note: str
    read_at: datetime | None
    read_by: str | None
    barcode: str
    items: str
    patient_no: str
    name: str
    ward: str
    bed: str
    dept: str


_REJECTIONS = text("""
SELECT r.id, r.at, q.name, r.note, r.ward_read_at, r.ward_read_by, s.barcode,
       (SELECT coalesce(string_agg(coalesce(nullif(i.his_name, ''), i.his_code), '、'), '') FROM order_item i
         WHERE i.tenant_id = s.tenant_id AND i.specimen_id = s.id),
       p.patient_no, p.name, coalesce(v.ward, ''), coalesce(v.bed, ''), coalesce(v.dept, '')
FROM rejection r JOIN specimen s ON s.tenant_id = r.tenant_id AND s.id = r.specimen_id
JOIN reject_reason q ON q.tenant_id = r.tenant_id AND q.id = r.reason_id
JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
LEFT JOIN visit v ON v.tenant_id = s.tenant_id AND v.id = s.visit_id
WHERE r.tenant_id = :t AND (r.ward_read_at IS NULL OR r.at > :since) AND (:everywhere OR v.ward = ANY(:wards) OR v.dept = ANY(:wards))
ORDER BY (r.ward_read_at IS NULL) DESC, r.id DESC LIMIT 100
""")


def rejections(uow: UnitOfWork, wards: frozenset[str]) -> list[RejectionRow]:
    """Unread rejections and those read in the last three days; a nurse with wards sees those of the own wards."""
    values = {"t": uow.tenant_id, "wards": sorted(wards), "everywhere": not wards, "since": uow.now - timedelta(days=3)}
    return [RejectionRow(*row) for row in uow.s.execute(_REJECTIONS, values)]


def strays(uow: UnitOfWork) -> list[StrayTube]:
    """Open 无主标本."""
    return list(uow.s.scalars(select(StrayTube).where(StrayTube.closed_at.is_(None)).order_by(StrayTube.id.desc()).limit(50)))


def label_job(uow: UnitOfWork, job_id: int) -> LabelJob | None:
    """A print job with what the worker made of it."""
    return uow.s.get(LabelJob, (uow.tenant_id, job_id))
