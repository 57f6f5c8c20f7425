"""Whose analyzer it is (M01): its section decides who may see what it said; one that is assigned to nobody yet is everybody's."""

from __future__ import annotations

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.web.faults import NotFound
from cloud.web.view import Places
from common import ids

OF_ANALYZER = """(:everywhere OR {analyzer} IS NULL OR EXISTS (SELECT 1 FROM analyzer own WHERE own.tenant_id = :t
  AND own.id = {analyzer} AND own.section_id = ANY(:own_sections)))"""
"""For statements that list what analyzers said, with ``places.of_sections``."""
_OF = "SELECT a.section_id FROM {table} x JOIN analyzer a ON a.tenant_id = x.tenant_id AND a.id = x.analyzer_id WHERE x.tenant_id = :t AND "
_RAW = "x.id = (SELECT r.connection_id FROM raw_message r WHERE r.tenant_id = :t AND r.id = :id)"
_TABLES = {"connection_id": "connection", "mapping_id": "edge_mapping", "recording_id": "edge_recording", "archive_id": "edge_archive"}
analyzer_here = places.of_row("SELECT section_id FROM analyzer WHERE tenant_id = :t AND id = :id")
raw_here = places.of_row(_OF.format(table="connection") + _RAW)
AT: Places = {
    "analyzer_id": analyzer_here,
    "raw_id": raw_here,
    **{name: places.of_row(_OF.format(table=table) + "x.id = :id") for name, table in _TABLES.items()},
}
_SECTION = text("SELECT section_id FROM specimen WHERE tenant_id = :t AND barcode = :code")


def require_analyzer(uow: UnitOfWork, analyzer_id: int) -> None:
    """Refuse another place's analyzer, named by a form."""
    if uow.actor.reach is not None and not analyzer_here(uow, analyzer_id):
        raise NotFound("这台仪器")


def require_tube(uow: UnitOfWork, barcode: str) -> None:
    """Refuse to attach results to another place's tube."""
    section = uow.s.execute(_SECTION, {"t": uow.tenant_id, "code": ids.normalise_scan(barcode)}).scalar_one_or_none()
    if section is not None and not places.covers(uow, section):
        raise NotFound("这管标本")
