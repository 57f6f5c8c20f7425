"""requests held, repeats and charges told; wards' own alerts"""

import sqlalchemy as sa
from alembic import op

revision = '0032'
down_revision = '0031'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('order_item', sa.Column('hold', sa.Text(), server_default='', nullable=False))
    op.add_column('order_item', sa.Column('hold_cleared', sa.Text(), server_default='', nullable=False))
    op.add_column('order_item', sa.Column('twin_id', sa.BigInteger(), nullable=True))
    op.add_column('order_item', sa.Column('charged_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('ix_order_item_held', 'order_item', ['tenant_id', 'id'], unique=False, postgresql_where=sa.text("hold <> ''"))
    op.create_index('ix_order_item_twin', 'order_item', ['tenant_id', 'id'], unique=False, postgresql_where=sa.text('twin_id IS NOT NULL'))
    op.add_column('report_notice', sa.Column('told_by', sa.Text(), server_default='', nullable=False))
    op.add_column('report_notice', sa.Column('told_note', sa.Text(), server_default='', nullable=False))
    op.add_column('alert', sa.Column('place', sa.Text(), server_default='', nullable=False))


def downgrade() -> None:
    op.drop_column('alert', 'place')
    op.drop_column('report_notice', 'told_note')
    op.drop_column('report_notice', 'told_by')
    op.drop_index('ix_order_item_twin', table_name='order_item', postgresql_where=sa.text('twin_id IS NOT NULL'))
    op.drop_index('ix_order_item_held', table_name='order_item', postgresql_where=sa.text("hold <> ''"))
    op.drop_column('order_item', 'charged_at')
    op.drop_column('order_item', 'twin_id')
    op.drop_column('order_item', 'hold_cleared')
    op.drop_column('order_item', 'hold')
