"""a recalled version keeps when it was recalled, by whom and why"""

import sqlalchemy as sa
from alembic import op

revision = '0047'
down_revision = '0046'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('report_version', sa.Column('recalled_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('report_version', sa.Column('recalled_by', sa.Text(), server_default='', nullable=False))
    op.add_column('report_version', sa.Column('recall_reason', sa.Text(), server_default='', nullable=False))
    op.create_index('ix_report_version_recalled', 'report_version', ['tenant_id', 'recalled_at'], postgresql_where=sa.text('recalled_at IS NOT NULL'))


def downgrade() -> None:
    op.drop_index('ix_report_version_recalled', 'report_version')
    for name in ('recall_reason', 'recalled_by', 'recalled_at'):
        op.drop_column('report_version', name)
