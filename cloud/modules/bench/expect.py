"""What a tube is asked for becomes tests of the bench; doing it again changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import facts
from cloud.modules.bench.facts import Ordered, Tube
from cloud.modules.catalog import queries as md

_TUBES = text("""
INSERT INTO bench_tube (tenant_id, specimen_id, section_id, patient_id, barcode, sample_no, urgent, received_at, n_tests)
SELECT :t, u.specimen_id, u.section_id, u.patient_id, u.barcode, u.sample_no, u.urgent, u.received_at, 0
FROM unnest(CAST(:specimen_id AS bigint[]), CAST(:section_id AS bigint[]), CAST(:patient_id AS bigint[]), CAST(:barcode AS text[]),
            CAST(:sample_no AS text[]), CAST(:urgent AS int[]), CAST(:received_at AS timestamptz[]))
     AS u(specimen_id, section_id, patient_id, barcode, sample_no, urgent, received_at)
ON CONFLICT (tenant_id, specimen_id) DO UPDATE
SET urgent = excluded.urgent, sample_no = excluded.sample_no, received_at = excluded.received_at, section_id = excluded.section_id
WHERE (bench_tube.urgent, bench_tube.sample_no, bench_tube.received_at, bench_tube.section_id)
      IS DISTINCT FROM (excluded.urgent, excluded.sample_no, excluded.received_at, excluded.section_id)
""")

_TESTS = text("""
INSERT INTO test (tenant_id, specimen_id, item_id, section_id, order_item_id, state, version)
SELECT :t, u.specimen_id, u.item_id, u.section_id, u.order_item_id, 'expected', 1
FROM unnest(CAST(:specimen_id AS bigint[]), CAST(:item_id AS bigint[]), CAST(:section_id AS bigint[]), CAST(:order_item_id AS bigint[]))
     AS u(specimen_id, item_id, section_id, order_item_id)
ON CONFLICT (tenant_id, specimen_id, item_id) DO NOTHING
""")

# How many tests there are, and when the tube is due: with the shortest promise of what is asked of it.
_COUNT = text("""
UPDATE bench_tube b SET n_tests = c.n, due_at = b.received_at + c.minutes * interval '1 minute' FROM (
  SELECT t.specimen_id, count(*) AS n,
         (SELECT min(os.tat_minutes) FROM order_item oi JOIN order_set os ON os.tenant_id = oi.tenant_id AND os.id = oi.order_set_id
          WHERE oi.tenant_id = :t AND oi.specimen_id = t.specimen_id AND oi.status NOT IN ('cancelled', 'refunded')) AS minutes
  FROM test t WHERE t.tenant_id = :t AND t.specimen_id = ANY(:ids) AND t.state <> 'cancelled' GROUP BY t.specimen_id
) c WHERE b.tenant_id = :t AND b.specimen_id = c.specimen_id
  AND (b.n_tests, b.due_at) IS DISTINCT FROM (c.n, b.received_at + c.minutes * interval '1 minute')
""")

_LOCK = text(
    "SELECT specimen_id, revision FROM bench_tube WHERE tenant_id = :t AND specimen_id = ANY(:ids) ORDER BY specimen_id FOR NO KEY UPDATE"
)


def expect_tests(uow: UnitOfWork, specimen_ids: Iterable[int]) -> None:
    """Make the tests that the tubes' requests ask for, and the tubes' places on the bench. Idempotent."""
    tubes = facts.tubes(uow, specimen_ids)
    _expect(uow, tubes)


def _expect(uow: UnitOfWork, tubes: Mapping[int, Tube]) -> None:
    if not tubes:
        return
    # A fixed order, so that two writers of the same tubes wait for each other instead of deadlocking.
    rows = [tubes[i] for i in sorted(tubes)]
    uow.s.execute(
        _TUBES,
        {
            "t": uow.tenant_id,
            "specimen_id": [r.specimen_id for r in rows],
            "section_id": [r.section_id for r in rows],
            "patient_id": [r.patient_id for r in rows],
            "barcode": [r.barcode for r in rows],
            "sample_no": [r.sample_no for r in rows],
            "urgent": [int(r.urgent) for r in rows],
            "received_at": [r.received_at for r in rows],
        },
    )
    asked = facts.ordered(uow, tubes)
    if asked:
        uow.s.execute(_TESTS, {"t": uow.tenant_id, **_columns(asked, tubes, md.catalog(uow))})
        uow.s.execute(_COUNT, {"t": uow.tenant_id, "ids": sorted(tubes)})


def _columns(asked: Sequence[Ordered], tubes: Mapping[int, Tube], catalog: md.Catalog) -> dict[str, list[int]]:
    rows = sorted((a for a in asked if a.item_id in catalog.items), key=lambda a: (a.specimen_id, a.item_id))
    return {
        "specimen_id": [r.specimen_id for r in rows],
        "item_id": [r.item_id for r in rows],
        "section_id": [tubes[r.specimen_id].section_id for r in rows],
        "order_item_id": [r.order_item_id for r in rows],
    }


def lock_tubes(uow: UnitOfWork, tubes: Mapping[int, Tube]) -> dict[int, int]:
    """Take the tubes' locks in a fixed order and return their revisions; a tube that a result reaches before the event that announces it
    gets its row here."""
    ids = sorted(tubes)
    found = _lock(uow, ids)
    new = {i: tubes[i] for i in ids if i not in found}
    if new:
        _expect(uow, new)
        found |= _lock(uow, sorted(new))
    return found


def _lock(uow: UnitOfWork, ids: Sequence[int]) -> dict[int, int]:
    return {r.specimen_id: r.revision for r in uow.s.execute(_LOCK, {"t": uow.tenant_id, "ids": list(ids)})}
