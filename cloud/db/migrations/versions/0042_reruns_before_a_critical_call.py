"""a critical value knows whether its rule asks for a rerun before the call, and the run that found it"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0042'
down_revision = '0041'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('critical_event', sa.Column('needs_rerun', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('critical_event', sa.Column('rerun_waived', sa.Text(), server_default='', nullable=False))
    op.add_column('critical_event', sa.Column('analyzer_id', sa.BigInteger(), nullable=True))
    op.add_column('critical_event', sa.Column('run_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('critical_event', sa.Column('alarms', postgresql.JSONB(), server_default='[]', nullable=False))


def downgrade() -> None:
    for name in ('alarms', 'run_at', 'analyzer_id', 'rerun_waived', 'needs_rerun'):
        op.drop_column('critical_event', name)
