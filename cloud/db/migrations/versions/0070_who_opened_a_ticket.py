"""who opened a ticket"""

import sqlalchemy as sa
from alembic import op

revision = "0070"
down_revision = "0068"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ticket", sa.Column("opened_by", sa.BigInteger(), nullable=True))
    # Tickets of earlier days are checked, too: row security asks whose. All are of nobody in the new column.
    op.execute("SELECT set_config('app.tenant', '0', true)")
    op.create_foreign_key(
        op.f("fk_ticket_tenant_id_opened_by"), "ticket", "app_user", ["tenant_id", "opened_by"], ["tenant_id", "id"]
    )
    op.execute("SELECT set_config('app.tenant', '', true)")
    op.create_index(
        "ix_ticket_opened_by",
        "ticket",
        ["tenant_id", "opened_by", "id"],
        unique=False,
        postgresql_where=sa.text("opened_by IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_ticket_opened_by", table_name="ticket", postgresql_where=sa.text("opened_by IS NOT NULL"))
    op.drop_constraint(op.f("fk_ticket_tenant_id_opened_by"), "ticket", type_="foreignkey")
    op.drop_column("ticket", "opened_by")
