"""What a patient's other tubes say: values told before, and what is still to come. Read-only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench.shown import Past
from cloud.modules.catalog import queries as md
from cloud.modules.orders import queries as orders

_HISTORY = text(f"""
SELECT i.item_id, h.run_at, h.at, h.reported_text, h.flag, h.critical, h.value, h.unit, h.snapshot, h.ref_text
FROM unnest(CAST(:items AS bigint[])) AS i(item_id) CROSS JOIN {orders.PERSON_SQL} AS p(patient_id)
CROSS JOIN LATERAL (
  SELECT v.run_at, v.at, v.reported_text, v.flag, v.critical, v.value, v.unit, v.snapshot, v.ref_text FROM result_version v
  JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id AND t.current_id = v.id AND t.state IN ('released','amended')
  WHERE v.tenant_id = :t AND v.patient_id = p.patient_id AND v.item_id = i.item_id AND v.released_at IS NOT NULL
    AND t.specimen_id <> :not_this
  ORDER BY v.at DESC LIMIT :n
) h ORDER BY h.at DESC
""")


def history(uow: UnitOfWork, patient_id: int, item_ids: Sequence[int], n: int, not_this: int = 0) -> dict[int, list[Past]]:
    """Item id → the last ``n`` told values of a patient, newest first, of all records read as this person's; a recalled one is not told."""
    params = {"t": uow.tenant_id, "p": patient_id, "items": list(item_ids), "n": n, "not_this": not_this}
    out: dict[int, list[Past]] = {}
    for r in uow.s.execute(_HISTORY, params):
        low, high = _limits(r.snapshot)
        at, method = r.run_at or r.at, r.snapshot.get("method", "")
        past = Past(at, r.reported_text, r.flag, r.critical, r.value, r.unit, method, low, high, r.ref_text)
        out.setdefault(r.item_id, []).append(past)
    return {item: past[:n] for item, past in out.items()}


def _limits(snapshot: dict[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    interval = snapshot.get("interval") or [None, None, None]
    low, high = interval[1], interval[2]
    return (None if low is None else Decimal(low)), (None if high is None else Decimal(high))


def last_told(uow: UnitOfWork, patient_id: int, item_ids: Sequence[int]) -> dict[int, Decimal | None]:
    """The patient's last told number of each item, to hint at a slip of the unit."""
    return {item: past[0].value for item, past in history(uow, patient_id, item_ids, 1).items() if past}


@dataclass(frozen=True, slots=True)
class Coming:
    """A tube of a patient that has not been told yet."""

    specimen_id: int
    barcode: str
    section: str
    state: str
    tube_state: str
    urgent: bool
    items: str
    collected_at: datetime | None
    received_at: datetime | None


_COMING = text(f"""
SELECT sp.id, sp.barcode, sp.section_id, sp.state, coalesce(b.state, 'waiting') AS tube_state, sp.priority = 'stat' AS urgent,
       (SELECT string_agg(DISTINCT os.name, '、') FROM order_item oi
          JOIN order_set os ON os.tenant_id = oi.tenant_id AND os.id = oi.order_set_id
         WHERE oi.tenant_id = sp.tenant_id AND oi.specimen_id = sp.id) AS items,
       sp.collected_at, sp.received_at
FROM specimen sp LEFT JOIN bench_tube b ON b.tenant_id = sp.tenant_id AND b.specimen_id = sp.id
WHERE sp.tenant_id = :t AND sp.patient_id IN {orders.PERSON_SQL} AND sp.state NOT IN ('released','archived','discarded','cancelled')
  AND coalesce(b.state, 'waiting') NOT IN ('released','closed')
ORDER BY sp.id DESC LIMIT 30
""")


def coming(uow: UnitOfWork, patient_id: int) -> list[Coming]:
    """What is still to come for a patient, newest first."""
    sections = md.catalog(uow).sections
    rows = uow.s.execute(_COMING, {"t": uow.tenant_id, "p": patient_id})
    return [
        Coming(r.id, r.barcode, sections[r.section_id].name, r.state, r.tube_state, r.urgent, r.items or "", r.collected_at, r.received_at)
        for r in rows
    ]
