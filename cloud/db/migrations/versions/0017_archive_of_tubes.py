"""archive of tubes"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('discard_batch',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('state', sa.Text(), server_default='open', nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('made_by', sa.Text(), nullable=False),
    sa.Column('first_id', sa.BigInteger(), nullable=True),
    sa.Column('first_by', sa.Text(), server_default='', nullable=False),
    sa.Column('first_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('second_id', sa.BigInteger(), nullable=True),
    sa.Column('second_by', sa.Text(), server_default='', nullable=False),
    sa.Column('second_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('method', sa.Text(), server_default='', nullable=False),
    sa.Column('autoclave', sa.Text(), server_default='', nullable=False),
    sa.Column('note', sa.Text(), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_discard_batch_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_discard_batch'))
    )
    op.create_index('ix_discard_batch_state', 'discard_batch', ['tenant_id', 'state', 'id'], unique=False)
    op.create_table('storage_rack',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), server_default='', nullable=False),
    sa.Column('place', sa.Text(), server_default='', nullable=False),
    sa.Column('condition', sa.Text(), server_default='', nullable=False),
    sa.Column('rows', sa.Integer(), server_default='5', nullable=False),
    sa.Column('cols', sa.Integer(), server_default='10', nullable=False),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_storage_rack_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_storage_rack')),
    sa.UniqueConstraint('tenant_id', 'code', name=op.f('uq_storage_rack_tenant_id_code'))
    )
    op.create_table('stored_tube',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('specimen_id', sa.BigInteger(), nullable=False),
    sa.Column('rack_id', sa.BigInteger(), nullable=False),
    sa.Column('slot', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('by', sa.Text(), nullable=False),
    sa.Column('keep_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('hold', sa.Text(), server_default='', nullable=False),
    sa.Column('taken_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('taken_by', sa.Text(), server_default='', nullable=False),
    sa.Column('taken_why', sa.Text(), server_default='', nullable=False),
    sa.Column('returns', sa.Boolean(), server_default='false', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'rack_id'], ['storage_rack.tenant_id', 'storage_rack.id'], name=op.f('fk_stored_tube_tenant_id_rack_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'specimen_id'], ['specimen.tenant_id', 'specimen.id'], name=op.f('fk_stored_tube_tenant_id_specimen_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_stored_tube_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_stored_tube'))
    )
    op.create_index('ix_stored_tube_due', 'stored_tube', ['tenant_id', 'keep_until'], unique=False, postgresql_where=sa.text('taken_at IS NULL AND keep_until IS NOT NULL'))
    op.create_index('ix_stored_tube_out', 'stored_tube', ['tenant_id', 'taken_at'], unique=False, postgresql_where=sa.text('returns'))
    op.create_index('ix_stored_tube_specimen', 'stored_tube', ['tenant_id', 'specimen_id', 'id'], unique=False)
    op.create_index('uq_stored_tube_slot', 'stored_tube', ['tenant_id', 'rack_id', 'slot'], unique=True, postgresql_where=sa.text('taken_at IS NULL'))
    op.create_index('uq_stored_tube_specimen', 'stored_tube', ['tenant_id', 'specimen_id'], unique=True, postgresql_where=sa.text('taken_at IS NULL'))
    op.create_table('discard_line',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('batch_id', sa.BigInteger(), nullable=False),
    sa.Column('stored_id', sa.BigInteger(), nullable=False),
    sa.Column('outcome', sa.Text(), server_default='waiting', nullable=False),
    sa.Column('why', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'batch_id'], ['discard_batch.tenant_id', 'discard_batch.id'], name=op.f('fk_discard_line_tenant_id_batch_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'stored_id'], ['stored_tube.tenant_id', 'stored_tube.id'], name=op.f('fk_discard_line_tenant_id_stored_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_discard_line_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_discard_line')),
    sa.UniqueConstraint('tenant_id', 'batch_id', 'stored_id', name=op.f('uq_discard_line_tenant_id_batch_id_stored_id'))
    )
    op.create_index('ix_discard_line_stored', 'discard_line', ['tenant_id', 'stored_id'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_discard_line_stored', table_name='discard_line')
    op.drop_table('discard_line')
    op.drop_index('uq_stored_tube_specimen', table_name='stored_tube', postgresql_where=sa.text('taken_at IS NULL'))
    op.drop_index('uq_stored_tube_slot', table_name='stored_tube', postgresql_where=sa.text('taken_at IS NULL'))
    op.drop_index('ix_stored_tube_specimen', table_name='stored_tube')
    op.drop_index('ix_stored_tube_out', table_name='stored_tube', postgresql_where=sa.text('returns'))
    op.drop_index('ix_stored_tube_due', table_name='stored_tube', postgresql_where=sa.text('taken_at IS NULL AND keep_until IS NOT NULL'))
    op.drop_table('stored_tube')
    op.drop_table('storage_rack')
    op.drop_index('ix_discard_batch_state', table_name='discard_batch')
    op.drop_table('discard_batch')
