"""track lines and broadcast"""

import sqlalchemy as sa
from alembic import op

revision = '0022'
down_revision = '0021'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('tube_position',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('specimen_id', sa.BigInteger(), nullable=True),
    sa.Column('step', sa.Text(), nullable=False),
    sa.Column('said', sa.Text(), server_default='', nullable=False),
    sa.Column('place', sa.Text(), server_default='', nullable=False),
    sa.Column('device', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('noted_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'specimen_id'], ['specimen.tenant_id', 'specimen.id'], name=op.f('fk_tube_position_tenant_id_specimen_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_tube_position_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_tube_position')),
    sa.UniqueConstraint('tenant_id', 'code', name=op.f('uq_tube_position_tenant_id_code'))
    )
    op.create_index('ix_tube_position_noted', 'tube_position', ['tenant_id', 'noted_at'], unique=False)
    op.create_index('ix_tube_position_error', 'tube_position', ['tenant_id', 'id'], unique=False, postgresql_where=sa.text("step = 'error'"))
    op.add_column('connection', sa.Column('broadcast', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('connection', sa.Column('track', sa.Boolean(), server_default='false', nullable=False))
    op.create_index('ix_specimen_parent', 'specimen', ['tenant_id', 'parent_id'], unique=False, postgresql_where=sa.text('parent_id IS NOT NULL'))


def downgrade() -> None:
    op.drop_index('ix_specimen_parent', table_name='specimen', postgresql_where=sa.text('parent_id IS NOT NULL'))
    op.drop_column('connection', 'track')
    op.drop_column('connection', 'broadcast')
    op.drop_index('ix_tube_position_error', table_name='tube_position', postgresql_where=sa.text("step = 'error'"))
    op.drop_index('ix_tube_position_noted', table_name='tube_position')
    op.drop_table('tube_position')
