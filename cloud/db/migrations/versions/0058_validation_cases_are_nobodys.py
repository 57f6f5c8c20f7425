"""validation cases are nobody's: the template patient's name, number and tube leave those kept before"""

from alembic import op
from sqlalchemy import Connection, text

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

# What a rule reads stays, whether there is a name and a number among it: a case without either must go on being held.
ANONYMISE = text("""
UPDATE av_case SET snapshot = snapshot || '{"specimen_id": 0}'
  || CASE WHEN coalesce(snapshot->>'patient_no', '') = '' THEN '{}' ELSE jsonb_build_object('patient_no', '0') END
  || CASE WHEN coalesce(snapshot->>'patient_name', '') = '' THEN '{}' ELSE jsonb_build_object('patient_name', '（匿名）') END
""")


def anonymise(conn: Connection) -> None:
    """In every hospital, each in its own context (row security binds the owner too)."""
    for tenant in conn.execute(text("SELECT id FROM tenant ORDER BY id")).scalars().all():
        conn.execute(text("SELECT set_config('app.tenant', :t, true)"), {"t": str(tenant)})
        conn.execute(ANONYMISE)
    conn.execute(text("SELECT set_config('app.tenant', '', true)"))


def upgrade() -> None:
    anonymise(op.get_bind())


def downgrade() -> None:
    pass
