"""Read-only: what QC material measured, as sent. It lies with the observations and never on a patient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.qc.gate import Ask, Gate, gate_state

LIMIT = 500


@dataclass(frozen=True, slots=True)
class Measured:
    """One QC observation."""

    id: int
    analyzer: str
    material: str
    code: str
    item: str | None
    value: str
    unit: str
    flags: list[str]
    time_text: str | None
    received_at: datetime


_SINCE = text("""
SELECT o.id, coalesce(a.name, '—') AS analyzer, coalesce(o.specimen_text, '—') AS material, coalesce(o.code, '—') AS code, i.name AS item,
       coalesce(o.value, '—') AS value, coalesce(o.unit, '') AS unit, o.flags, o.time_text, o.received_at
FROM observation o
LEFT JOIN analyzer a ON a.tenant_id = o.tenant_id AND a.id = o.analyzer_id
LEFT JOIN analyzer_item_map m ON m.tenant_id = o.tenant_id AND m.analyzer_id = o.analyzer_id AND m.channel_code = o.code
LEFT JOIN test_item i ON i.tenant_id = m.tenant_id AND i.id = m.item_id
WHERE o.tenant_id = :t AND o.state = 'qc' AND o.received_at >= :since
ORDER BY analyzer, o.id DESC LIMIT :n
""")


def since(uow: UnitOfWork, start: datetime) -> dict[str, list[Measured]]:
    """Analyzer → what its QC material measured since a moment, newest first."""
    out: dict[str, list[Measured]] = {}
    for row in uow.s.execute(_SINCE, {"t": uow.tenant_id, "since": start, "n": LIMIT}):
        out.setdefault(row.analyzer, []).append(Measured(*row))
    return out


def total(groups: dict[str, list[Measured]]) -> int:
    """How many there are."""
    return sum(len(each) for each in groups.values())


__all__ = ["LIMIT", "Ask", "Gate", "Measured", "gate_state", "since", "total"]
