"""Told reports in the lists of those who read them: a patient's, and those of one's own wards. Values are not here, only how many."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.orders import queries as orders


class Flagged(StrEnum):
    """Which of them by what stands in them."""

    ANY = "any"
    ABNORMAL = "abnormal"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Brief:
    """A told report in a list."""

    id: int
    no: str
    state: str
    patient_id: int
    patient_no: str
    name: str
    sex: str
    dept: str
    ward: str
    bed: str
    section: str
    titles: str
    urgent: int
    n_abnormal: int
    n_critical: int
    current_no: int
    released_at: datetime
    unread: bool
    notice: str
    """What this reader does not know yet of a newer version (rules.Notice; the strongest of several): corrected, differs, final; ""."""
    preliminary: bool
    """What was told last is a part."""
    changed: bool
    """What was told last corrects what was told before."""
    specimen_id: int
    shut: bool = False
    """A sensitive item is in it that the reader may not see."""


_BRIEF = """
SELECT r.id, r.no, r.state, r.patient_id, p.patient_no, p.name, p.sex, r.dept, r.ward, coalesce(vi.bed, '') AS bed, se.name AS section,
       coalesce((SELECT string_agg(DISTINCT os.name, '、') FROM order_item oi
          JOIN order_set os ON os.tenant_id = oi.tenant_id AND os.id = oi.order_set_id
         WHERE oi.tenant_id = r.tenant_id AND oi.specimen_id = r.specimen_id), '') AS titles,
       r.urgent, r.n_abnormal, r.n_critical, r.current_no, r.released_at,
       NOT EXISTS (SELECT 1 FROM report_view w WHERE w.tenant_id = r.tenant_id AND w.report_id = r.id AND w.user_id = :user
                   AND w.version_no = r.current_no) AS unread,
       coalesce((SELECT min(n.kind) FROM report_notice n WHERE n.tenant_id = r.tenant_id AND n.report_id = r.id AND n.user_id = :user
                 AND n.read_at IS NULL), '') AS notice, v.preliminary, v.reason_class IS NOT NULL AS changed, r.specimen_id
FROM report r
JOIN report_version v ON v.tenant_id = r.tenant_id AND v.report_id = r.id AND v.version_no = r.current_no
JOIN patient p ON p.tenant_id = r.tenant_id AND p.id = r.patient_id
JOIN section se ON se.tenant_id = r.tenant_id AND se.id = r.section_id
JOIN specimen sp ON sp.tenant_id = r.tenant_id AND sp.id = r.specimen_id
LEFT JOIN visit vi ON vi.tenant_id = sp.tenant_id AND vi.id = sp.visit_id
WHERE r.tenant_id = :t AND r.released_at IS NOT NULL AND {where}
ORDER BY r.released_at DESC LIMIT :n
"""


def of_patient(uow: UnitOfWork, patient_id: int, user_id: int, limit: int = 60) -> list[Brief]:
    """A patient's told reports, newest first, of all records read as this person's."""
    people = orders.person_ids(uow, patient_id)
    # Nearly everybody has one record, and for one the plan can be kept: with a list the database planned these tables anew for each page,
    # which took twenty times what it takes to read a patient's reports.
    where, params = ("r.patient_id = :one", {"one": people[0]}) if len(people) == 1 else ("r.patient_id = ANY(:people)", {"people": people})
    query = text(_BRIEF.format(where=where))
    return [Brief(*row) for row in uow.s.execute(query, {"t": uow.tenant_id, "user": user_id, "n": limit, **params})]


_AT_PLACES = "r.tenant_id = :t AND (r.ward = ANY(:places) OR r.dept = ANY(:places)) AND r.released_at >= :since"
_UNREAD = """(NOT EXISTS (SELECT 1 FROM report_view w WHERE w.tenant_id = r.tenant_id AND w.report_id = r.id AND w.user_id = :user
                   AND w.version_no = r.current_no)
  OR EXISTS (SELECT 1 FROM report_notice n WHERE n.tenant_id = r.tenant_id AND n.report_id = r.id AND n.user_id = :user
             AND n.read_at IS NULL))"""
_FLAGGED = {Flagged.ANY: "", Flagged.ABNORMAL: "AND r.n_abnormal > 0", Flagged.CRITICAL: "AND r.n_critical > 0"}


def of_places(
    uow: UnitOfWork, places: Collection[str], user_id: int, since: datetime, *, unread: bool, flagged: Flagged, limit: int
) -> list[Brief]:
    """Reports told to these wards or departments since a moment, those that this reader does not know first, then newest first."""
    which = f"{_AT_PLACES} {_FLAGGED[flagged]} {f'AND {_UNREAD}' if unread else ''}"
    first = f"{'' if unread else f'{_UNREAD} DESC, '}r.released_at DESC"
    # What is shown of a report is looked up for those of the page alone: a ward has thousands in a week.
    where = f"r.id = ANY(ARRAY(SELECT r.id FROM report r WHERE {which} ORDER BY {first} LIMIT :n))"
    params = {"t": uow.tenant_id, "places": list(places), "user": user_id, "since": since, "n": limit}
    return [Brief(*row) for row in uow.s.execute(text(_BRIEF.format(where=where)), params)]


_COUNT_UNREAD = text(f"SELECT count(*) FROM report r WHERE {_AT_PLACES} AND {_UNREAD}")


def count_unread(uow: UnitOfWork, places: Collection[str], user_id: int, since: datetime) -> int:
    """How many ``of_places`` has that this reader does not know, without reading them."""
    params = {"t": uow.tenant_id, "places": list(places), "user": user_id, "since": since}
    return int(uow.s.execute(_COUNT_UNREAD, params).scalar_one())


_CORRECTED = """SELECT n.report_id FROM report_notice n
WHERE n.tenant_id = :t AND n.user_id = :user AND n.read_at IS NULL AND n.kind <> 'final'"""
_COUNT_CORRECTED = text(f"SELECT count(DISTINCT c.report_id) FROM ({_CORRECTED}) c")


def corrected(uow: UnitOfWork, user_id: int, limit: int) -> list[Brief]:
    """Reports that were corrected, withdrawn or ended otherwise than their preliminary one since this person saw them, wherever and however
    old, until they take note (R4)."""
    params = {"t": uow.tenant_id, "user": user_id, "n": limit}
    return [Brief(*row) for row in uow.s.execute(text(_BRIEF.format(where=f"r.id IN ({_CORRECTED})")), params)]


def count_corrected(uow: UnitOfWork, user_id: int) -> int:
    """How many."""
    return int(uow.s.execute(_COUNT_CORRECTED, {"t": uow.tenant_id, "user": user_id}).scalar_one())
