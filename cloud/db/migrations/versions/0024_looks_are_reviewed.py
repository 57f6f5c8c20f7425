"""looks are reviewed"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("break_glass", sa.Column("kind", sa.Text(), server_default="patient", nullable=False))
    op.add_column("break_glass", sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("break_glass", sa.Column("reviewed_by", sa.BigInteger(), nullable=True))
    op.add_column("break_glass", sa.Column("verdict", sa.Text(), server_default="", nullable=False))
    op.add_column("break_glass", sa.Column("note", sa.Text(), server_default="", nullable=False))
    op.create_index("ix_break_glass_open", "break_glass", ["tenant_id", "id"], postgresql_where=sa.text("reviewed_at IS NULL"))
    # Rows that stand are checked, and row security asks whose they are; in the new column all are nobody's.
    op.execute("SELECT set_config('app.tenant', '0', true)")
    op.create_foreign_key(
        op.f("fk_break_glass_tenant_id_reviewed_by"), "break_glass", "app_user", ["tenant_id", "reviewed_by"], ["tenant_id", "id"]
    )
    op.execute("SELECT set_config('app.tenant', '', true)")


def downgrade() -> None:
    op.drop_constraint(op.f("fk_break_glass_tenant_id_reviewed_by"), "break_glass", type_="foreignkey")
    op.drop_index("ix_break_glass_open", table_name="break_glass")
    for name in ("note", "verdict", "reviewed_by", "reviewed_at", "kind"):
        op.drop_column("break_glass", name)
