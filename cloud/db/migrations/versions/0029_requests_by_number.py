"""requests by their number alone"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_lab_order_placer", "lab_order", ["tenant_id", "placer_no"])


def downgrade() -> None:
    op.drop_index("ix_lab_order_placer", table_name="lab_order")
