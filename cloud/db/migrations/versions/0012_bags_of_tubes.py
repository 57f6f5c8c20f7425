"""bags of tubes on their way"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('specimen_bag',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('origin', sa.Text(), server_default='', nullable=False),
    sa.Column('destination', sa.Text(), server_default='', nullable=False),
    sa.Column('courier', sa.Text(), server_default='', nullable=False),
    sa.Column('state', sa.Text(), server_default='packing', nullable=False),
    sa.Column('packed_by', sa.Text(), nullable=False),
    sa.Column('packed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_by', sa.Text(), server_default='', nullable=False),
    sa.Column('note', sa.Text(), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_specimen_bag_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_specimen_bag'))
    )
    op.create_index('ix_specimen_bag_closed', 'specimen_bag', ['tenant_id', 'closed_at'], unique=False)
    op.create_index('ix_specimen_bag_open', 'specimen_bag', ['tenant_id', 'code'], unique=True, postgresql_where=sa.text("state <> 'closed'"))
    op.create_table('bag_tube',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('bag_id', sa.BigInteger(), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('specimen_id', sa.BigInteger(), nullable=True),
    sa.Column('listed', sa.Boolean(), nullable=False),
    sa.Column('scanned_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('scanned_by', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'bag_id'], ['specimen_bag.tenant_id', 'specimen_bag.id'], name=op.f('fk_bag_tube_tenant_id_bag_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'specimen_id'], ['specimen.tenant_id', 'specimen.id'], name=op.f('fk_bag_tube_tenant_id_specimen_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_bag_tube_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_bag_tube')),
    sa.UniqueConstraint('tenant_id', 'bag_id', 'code', name=op.f('uq_bag_tube_tenant_id_bag_id_code'))
    )
    op.create_index('ix_bag_tube_code', 'bag_tube', ['tenant_id', 'code'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_bag_tube_code', table_name='bag_tube')
    op.drop_table('bag_tube')
    op.drop_index('ix_specimen_bag_open', table_name='specimen_bag', postgresql_where=sa.text("state <> 'closed'"))
    op.drop_index('ix_specimen_bag_closed', table_name='specimen_bag')
    op.drop_table('specimen_bag')
