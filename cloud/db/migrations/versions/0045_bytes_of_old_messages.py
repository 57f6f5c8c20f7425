"""bytes of messages are kept as long as a fault may be looked into, what was read from them for ever (M06 R11)"""

import sqlalchemy as sa
from alembic import op

revision = '0045'
down_revision = '0044'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('raw_message', sa.Column('cleared_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('ix_raw_message_kept', 'raw_message', ['tenant_id', 'received_at'], postgresql_where=sa.text("cleared_at IS NULL AND kind = 'raw'"))


def downgrade() -> None:
    op.drop_index('ix_raw_message_kept', 'raw_message')
    op.drop_column('raw_message', 'cleared_at')
