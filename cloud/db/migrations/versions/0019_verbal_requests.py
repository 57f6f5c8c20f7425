"""verbal requests"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('verbal_order',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('order_id', sa.BigInteger(), nullable=False),
    sa.Column('caller', sa.Text(), nullable=False),
    sa.Column('phone', sa.Text(), server_default='', nullable=False),
    sa.Column('taken_by', sa.Text(), nullable=False),
    sa.Column('taken_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('deadline', sa.DateTime(timezone=True), nullable=False),
    sa.Column('confirmed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('confirmed_by', sa.Text(), server_default='', nullable=False),
    sa.Column('written', sa.Text(), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'order_id'], ['lab_order.tenant_id', 'lab_order.id'], name=op.f('fk_verbal_order_tenant_id_order_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_verbal_order_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_verbal_order')),
    sa.UniqueConstraint('tenant_id', 'order_id', name=op.f('uq_verbal_order_tenant_id_order_id'))
    )
    op.create_index('ix_verbal_order_open', 'verbal_order', ['tenant_id', 'deadline'], unique=False, postgresql_where=sa.text('confirmed_at IS NULL'))


def downgrade() -> None:
    op.drop_index('ix_verbal_order_open', table_name='verbal_order', postgresql_where=sa.text('confirmed_at IS NULL'))
    op.drop_table('verbal_order')
