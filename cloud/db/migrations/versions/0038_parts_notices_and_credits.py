"""what left before the rest of an automatic decision; why a reader is told of a newer report version; credits and missing charges"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0038'
down_revision = '0037'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('av_decision', sa.Column('part', postgresql.JSONB(), server_default='[]', nullable=False))
    op.add_column('report_notice', sa.Column('kind', sa.Text(), server_default='changed', nullable=False))
    op.add_column('report_notice', sa.Column('detail', postgresql.JSONB(), server_default='[]', nullable=False))
    op.add_column('order_item', sa.Column('credited_at', sa.DateTime(timezone=True), nullable=True))
    for name in ('settled', 'settled_why', 'settled_by'):
        op.add_column('order_item', sa.Column(name, sa.Text(), server_default='', nullable=False))
    op.add_column('order_item', sa.Column('settled_at', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for name in ('settled_at', 'settled_by', 'settled_why', 'settled', 'credited_at'):
        op.drop_column('order_item', name)
    op.drop_column('report_notice', 'detail')
    op.drop_column('report_notice', 'kind')
    op.drop_column('av_decision', 'part')
