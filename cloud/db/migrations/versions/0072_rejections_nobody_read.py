"""rejections that nobody has read, and the latest, are found without reading all"""

import sqlalchemy as sa
from alembic import op

revision = "0072"
down_revision = "0071"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_rejection_unread", "rejection", ["tenant_id", "id"], postgresql_where=sa.text("ward_read_at IS NULL"))
    op.create_index("ix_rejection_at", "rejection", ["tenant_id", "at"])


def downgrade() -> None:
    op.drop_index("ix_rejection_at", table_name="rejection")
    op.drop_index("ix_rejection_unread", table_name="rejection")
