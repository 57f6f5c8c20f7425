"""whether a request says that its patient fasted and consented, what sets need of it, and what a tube was labelled under"""

import sqlalchemy as sa
from alembic import op

revision = '0046'
down_revision = '0045'
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ('fasting', 'consent'):
        op.add_column('lab_order', sa.Column(name, sa.Boolean(), nullable=True))
        op.add_column('order_set', sa.Column(name, sa.Boolean(), server_default='false', nullable=False))
    op.add_column('specimen', sa.Column('prep', sa.Text(), server_default='', nullable=False))


def downgrade() -> None:
    op.drop_column('specimen', 'prep')
    for name in ('fasting', 'consent'):
        op.drop_column('order_set', name)
        op.drop_column('lab_order', name)
