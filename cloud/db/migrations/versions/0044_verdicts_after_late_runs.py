"""a control run judged again when one before it arrived late: its verdicts before, and rules that turned out not to be broken"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0044'
down_revision = '0043'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('qc_run', sa.Column('history', postgresql.JSONB(), server_default='[]', nullable=False))
    op.add_column('qc_violation', sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column('qc_violation', 'ended_at')
    op.drop_column('qc_run', 'history')
