"""What a tube is asked for becomes tests of the bench; doing it again changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench.facts import Tube

_TUBES = text("""
INSERT INTO bench_tube (tenant_id, specimen_id, section_id, patient_id, barcode, sample_no, urgent, received_at, n_tests)
SELECT :t, s.id, s.section_id, s.patient_id, s.barcode, s.sample_no, (s.priority = 'stat')::int, s.received_at, 0
FROM specimen s WHERE s.tenant_id = :t AND s.id = ANY(:ids) ORDER BY s.id
ON CONFLICT (tenant_id, specimen_id) DO UPDATE
SET urgent = excluded.urgent, sample_no = excluded.sample_no, received_at = excluded.received_at, section_id = excluded.section_id
WHERE (bench_tube.urgent, bench_tube.sample_no, bench_tube.received_at, bench_tube.section_id)
      IS DISTINCT FROM (excluded.urgent, excluded.sample_no, excluded.received_at, excluded.section_id)
""")

# The tests that are asked for and not there yet; how many there are then (the new ones are not among the rows this statement sees), and
# when the tube is due: with the shortest promise of what is asked of it.
_TESTS = text("""
WITH asked AS (
  SELECT DISTINCT ON (oi.specimen_id, m.item_id) oi.specimen_id, m.item_id, oi.id AS order_item_id FROM order_item oi
  JOIN order_set_item m ON m.tenant_id = oi.tenant_id AND m.order_set_id = oi.order_set_id
  WHERE oi.tenant_id = :t AND oi.specimen_id = ANY(:ids) AND oi.status NOT IN ('cancelled', 'refunded')
  ORDER BY oi.specimen_id, m.item_id, oi.id
), made AS (
  INSERT INTO test (tenant_id, specimen_id, item_id, section_id, order_item_id, state, version)
  SELECT :t, a.specimen_id, a.item_id, s.section_id, a.order_item_id, 'expected', 1
  FROM asked a JOIN specimen s ON s.tenant_id = :t AND s.id = a.specimen_id ORDER BY a.specimen_id, a.item_id
  ON CONFLICT (tenant_id, specimen_id, item_id) DO NOTHING RETURNING specimen_id
)
UPDATE bench_tube b SET n_tests = c.n, due_at = b.received_at + c.minutes * interval '1 minute' FROM (
  SELECT i.id AS specimen_id,
         (SELECT count(*) FROM test t WHERE t.tenant_id = :t AND t.specimen_id = i.id AND t.state <> 'cancelled')
         + (SELECT count(*) FROM made m WHERE m.specimen_id = i.id) AS n,
         (SELECT min(os.tat_minutes) FROM order_item oi JOIN order_set os ON os.tenant_id = oi.tenant_id AND os.id = oi.order_set_id
          WHERE oi.tenant_id = :t AND oi.specimen_id = i.id AND oi.status NOT IN ('cancelled', 'refunded')) AS minutes
  FROM unnest(CAST(:ids AS bigint[])) AS i(id)
) c WHERE b.tenant_id = :t AND b.specimen_id = c.specimen_id AND c.n > 0
  AND (b.n_tests, b.due_at) IS DISTINCT FROM (c.n, b.received_at + c.minutes * interval '1 minute')
""")

_LOCK = text(
    "SELECT specimen_id, revision FROM bench_tube WHERE tenant_id = :t AND specimen_id = ANY(:ids) ORDER BY specimen_id FOR NO KEY UPDATE"
)


def expect_tests(uow: UnitOfWork, specimen_ids: Iterable[int]) -> None:
    """Make the tests that the tubes' requests ask for, and the tubes' places on the bench. Idempotent."""
    # A fixed order, so that two writers of the same tubes wait for each other instead of deadlocking.
    ids = sorted(set(specimen_ids))
    if ids:
        uow.s.execute(_TUBES, {"t": uow.tenant_id, "ids": ids})
        uow.s.execute(_TESTS, {"t": uow.tenant_id, "ids": ids})


def lock_tubes(uow: UnitOfWork, tubes: Mapping[int, Tube]) -> dict[int, int]:
    """Take the tubes' locks in a fixed order and return their revisions; a tube that a result reaches before the event that announces it
    gets its row here."""
    ids = sorted(tubes)
    found = _lock(uow, ids)
    new = [i for i in ids if i not in found]
    if new:
        expect_tests(uow, new)
        found |= _lock(uow, new)
    return found


def _lock(uow: UnitOfWork, ids: Sequence[int]) -> dict[int, int]:
    return {r.specimen_id: r.revision for r in uow.s.execute(_LOCK, {"t": uow.tenant_id, "ids": list(ids)})}
