"""recollection and referral"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('referral',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('specimen_id', sa.BigInteger(), nullable=False),
    sa.Column('lab', sa.Text(), nullable=False),
    sa.Column('contract', sa.Text(), server_default='', nullable=False),
    sa.Column('courier', sa.Text(), server_default='', nullable=False),
    sa.Column('due', sa.Date(), nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('sent_by', sa.Text(), nullable=False),
    sa.Column('returned_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('returned_by', sa.Text(), server_default='', nullable=False),
    sa.Column('outcome', sa.Text(), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'specimen_id'], ['specimen.tenant_id', 'specimen.id'], name=op.f('fk_referral_tenant_id_specimen_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_referral_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_referral'))
    )
    op.create_index('ix_referral_sent', 'referral', ['tenant_id', 'sent_at'], unique=False)
    op.create_index('uq_referral_open', 'referral', ['tenant_id', 'specimen_id'], unique=True, postgresql_where=sa.text('returned_at IS NULL'))
    op.create_table('rejection_item',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('rejection_id', sa.BigInteger(), nullable=False),
    sa.Column('order_item_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'order_item_id'], ['order_item.tenant_id', 'order_item.id'], name=op.f('fk_rejection_item_tenant_id_order_item_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'rejection_id'], ['rejection.tenant_id', 'rejection.id'], name=op.f('fk_rejection_item_tenant_id_rejection_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_rejection_item_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_rejection_item')),
    sa.UniqueConstraint('tenant_id', 'rejection_id', 'order_item_id', name=op.f('uq_rejection_item_tenant_id_rejection_id_order_item_id'))
    )
    op.create_index('ix_rejection_item_item', 'rejection_item', ['tenant_id', 'order_item_id'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_rejection_item_item', table_name='rejection_item')
    op.drop_table('rejection_item')
    op.drop_index('uq_referral_open', table_name='referral', postgresql_where=sa.text('returned_at IS NULL'))
    op.drop_index('ix_referral_sent', table_name='referral')
    op.drop_table('referral')
