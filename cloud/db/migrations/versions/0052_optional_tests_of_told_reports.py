"""optional tests without a value are closed with their report, also where it was told before the program did so"""

from alembic import op
from sqlalchemy import Connection, text

revision = '0052'
down_revision = '0051'
branch_labels = None
depends_on = None

# An open test lets a late value open the tube again, whose review is refused for good because the report is out. As told (or recalled)
# the value is a late one: kept beside the report, for a person to supplement or to set aside. A preliminary report's tube stays as it is,
# and one with a mandatory item open; nothing is added to a tube whose report is out, so what is open there came with its request.
CLOSE = text("""
WITH closed AS (
  UPDATE test t SET state = r.state, pending_id = coalesce(t.pending_id, t.current_id), current_id = NULL, version = t.version + 1
  FROM report r, report_version v, test_item i
  WHERE r.tenant_id = t.tenant_id AND r.specimen_id = t.specimen_id AND r.state IN ('released', 'amended', 'recalled')
    AND v.tenant_id = r.tenant_id AND v.report_id = r.id AND v.version_no = r.current_no AND NOT v.preliminary
    AND i.tenant_id = t.tenant_id AND i.id = t.item_id AND NOT i.mandatory
    AND t.state IN ('expected', 'received', 'held', 'reviewed')
    AND NOT EXISTS (SELECT 1 FROM test o JOIN test_item m ON m.tenant_id = o.tenant_id AND m.id = o.item_id
      WHERE o.tenant_id = t.tenant_id AND o.specimen_id = t.specimen_id AND m.mandatory
        AND o.state IN ('expected', 'received', 'held', 'reviewed', 'no_result'))
  RETURNING t.tenant_id, t.specimen_id, t.pending_id
)
UPDATE bench_tube b SET state = CASE WHEN c.waits > 0 THEN 'held' ELSE 'released' END, n_pending = c.waits, revision = b.revision + 1
FROM (SELECT tenant_id, specimen_id, count(pending_id) AS waits FROM closed GROUP BY 1, 2) c
WHERE b.tenant_id = c.tenant_id AND b.specimen_id = c.specimen_id
""")


def close(conn: Connection) -> None:
    """In every hospital, each in its own context (row security binds the owner too)."""
    for tenant in conn.execute(text("SELECT id FROM tenant ORDER BY id")).scalars().all():
        conn.execute(text("SELECT set_config('app.tenant', :t, true)"), {"t": str(tenant)})
        conn.execute(CLOSE)
    conn.execute(text("SELECT set_config('app.tenant', '', true)"))


def upgrade() -> None:
    close(op.get_bind())


def downgrade() -> None:
    pass
