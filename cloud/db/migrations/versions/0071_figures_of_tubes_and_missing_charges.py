"""figures of tubes and missing charges read what they count"""

import sqlalchemy as sa
from alembic import op

revision = "0071"
down_revision = "0070"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_specimen_received",
        "specimen",
        ["received_at"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    )
    op.create_index(
        "ix_specimen_event_counted",
        "specimen_event",
        ["tenant_id", "kind", "at"],
        unique=False,
        postgresql_where=sa.text("kind IN ('conditional','lost')"),
    )
    op.create_index(
        "ix_order_item_uncharged",
        "order_item",
        ["tenant_id", "status_at"],
        unique=False,
        postgresql_where=sa.text(
            "status IN ('in_test', 'partly_reported', 'reported')"
            " AND (charge_state = 'refunded' OR charge_state = 'unpaid' AND charged_at IS NULL)"
        ),
    )


def downgrade() -> None:
    op.drop_index("ix_order_item_uncharged", table_name="order_item")
    op.drop_index("ix_specimen_event_counted", table_name="specimen_event")
    op.drop_index("ix_specimen_received", table_name="specimen", postgresql_using="brin")
