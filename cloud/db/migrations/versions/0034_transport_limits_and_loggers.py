"""a request's own transport limit; the temperature logger of a bag"""

import sqlalchemy as sa
from alembic import op

revision = '0034'
down_revision = '0033'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('order_set', sa.Column('transport_minutes', sa.Integer(), nullable=True))
    op.add_column('specimen_bag', sa.Column('logger_no', sa.Text(), server_default='', nullable=False))
    op.add_column('specimen_bag', sa.Column('temp_low', sa.Numeric(), nullable=True))
    op.add_column('specimen_bag', sa.Column('temp_high', sa.Numeric(), nullable=True))
    op.add_column('specimen_bag', sa.Column('temp_by', sa.Text(), server_default='', nullable=False))


def downgrade() -> None:
    op.drop_column('specimen_bag', 'temp_by')
    op.drop_column('specimen_bag', 'temp_high')
    op.drop_column('specimen_bag', 'temp_low')
    op.drop_column('specimen_bag', 'logger_no')
    op.drop_column('order_set', 'transport_minutes')
