"""Where the person at work may read and write (M01): a right given at a campus, in sections or for wards reaches no further.

Nobody bounded, a job or a machine: everywhere. Work on results counts by the section alone; tubes and requests also by their ward.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from common.say import Said, say

TUBE = """(:everywhere OR s.section_id = ANY(:own_sections) OR EXISTS (SELECT 1 FROM visit own WHERE own.tenant_id = s.tenant_id
  AND own.id = s.visit_id AND (own.ward = ANY(:own_wards) OR own.dept = ANY(:own_wards))))"""
"""For statements that list tubes ``s``, with ``binds``."""


def covers(uow: UnitOfWork, section_id: int | None, wards: Collection[str] = ()) -> bool:
    """Whether what is examined in this section, or came from one of these wards, is of the person's own place."""
    reach = uow.actor.reach
    if reach is None:
        return True
    section = None if section_id is None else md.catalog(uow).sections.get(section_id)
    return (section is not None and section.code in reach.sections) or not reach.wards.isdisjoint(w for w in wards if w)


def sections(uow: UnitOfWork) -> frozenset[int] | None:
    """Ids of the sections of the person's own place; None: all."""
    reach = uow.actor.reach
    return None if reach is None else frozenset(s.id for s in md.catalog(uow).sections.values() if s.code in reach.sections)


def binds(uow: UnitOfWork) -> Mapping[str, object]:
    """The values of ``TUBE``."""
    reach = uow.actor.reach
    return {**of_sections(uow), "own_wards": [] if reach is None else sorted(reach.wards)}


def of_sections(uow: UnitOfWork) -> Mapping[str, object]:
    """The values of ``(:everywhere OR x.section_id = ANY(:own_sections))``, for what counts by the section alone."""
    own = sections(uow)
    return {"everywhere": own is None, "own_sections": sorted(own or ())}


def code(uow: UnitOfWork, section_id: int | None) -> tuple[str, ...]:
    """A section as an alert says where it belongs (``Alert.at``); none: everybody's."""
    section = None if section_id is None else md.catalog(uow).sections.get(section_id)
    return () if section is None else (section.code,)


def of_analyzer(uow: UnitOfWork, analyzer_id: int | None) -> tuple[str, ...]:
    """The same of an analyzer's section."""
    analyzer = None if analyzer_id is None else md.catalog(uow).analyzers.get(analyzer_id)
    return code(uow, None if analyzer is None else analyzer.section_id)


_TUBES = text("""
SELECT s.id, s.section_id, v.ward, v.dept FROM specimen s
LEFT JOIN visit v ON v.tenant_id = s.tenant_id AND v.id = s.visit_id WHERE s.tenant_id = :t AND s.id = ANY(:ids)
""")


def of_tubes(uow: UnitOfWork, specimen_ids: Collection[int]) -> dict[int, tuple[str, ...]]:
    """The same of tubes: where they are examined, and where they came from."""
    if not specimen_ids:
        return {}
    rows = uow.s.execute(_TUBES, {"t": uow.tenant_id, "ids": sorted(set(specimen_ids))})
    return {r.id: (*code(uow, r.section_id), *(w for w in (r.ward, r.dept) if w)) for r in rows}


def of_row(sql: str) -> Callable[[UnitOfWork, int], bool]:
    """Whether the row ``:id`` is of the person's own place, by the section that ``sql`` finds for it; one that has none, or does not
    exist, is left to whoever reads it."""
    statement = text(sql)

    def here(uow: UnitOfWork, row_id: int) -> bool:
        section = uow.s.execute(statement, {"t": uow.tenant_id, "id": row_id}).scalar_one_or_none()
        return section is None or covers(uow, section)

    return here


def elsewhere(uow: UnitOfWork, section_id: int) -> Said:
    """What is said of another place's tube: where it belongs, and nothing of its patient."""
    return say("这管标本由{section}检验，不归您所在的院区或专业组办理，请转送。", section=md.catalog(uow).sections[section_id].name)
