"""What stands beside a critical value while somebody decides about it (M10 R1): the run's QC, its flags, the tube as it was received."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.critical.models import CriticalEvent
from cloud.modules.qc import queries as qc

_TUBE = text("""
SELECT s.issues, s.caveat, coalesce((SELECT f.lab FROM referral f
  WHERE f.tenant_id = s.tenant_id AND f.specimen_id = s.id ORDER BY f.id DESC LIMIT 1), '') AS referred
FROM specimen s WHERE s.tenant_id = :t AND s.id = :id
""")


@dataclass(frozen=True, slots=True)
class Beside:
    """``gate`` None: measured by hand, or the analyzer is not known; ``section`` the code of the bench that has the tube."""

    section: str
    analyzer: str
    gate: qc.Gate | None
    alarms: Sequence[str]
    issues: Sequence[str]
    caveat: str
    referred: str = ""
    """The laboratory that examined it for us (R8)."""


def beside(uow: UnitOfWork, event: CriticalEvent) -> Beside:
    """The facts of this moment: QC that failed since the value was found shows here too."""
    known = md.catalog(uow)
    tube = uow.s.execute(_TUBE, {"t": uow.tenant_id, "id": event.specimen_id}).one_or_none()
    section = known.sections.get(event.section_id or 0)
    analyzer = known.analyzers.get(event.analyzer_id or 0)
    gate = None
    if analyzer is not None and event.item_id is not None:
        ask = qc.Ask(event.item_id, analyzer.id, event.run_at)
        gate = qc.gate_state(uow, [ask])[ask]
    return Beside(
        "" if section is None else section.code,
        "" if analyzer is None else analyzer.name,
        gate,
        tuple(event.alarms),
        () if tube is None else tuple(tube.issues),
        "" if tube is None else tube.caveat,
        "" if tube is None else tube.referred,
    )
