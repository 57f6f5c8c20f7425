"""breakpoints and their editions; kinds of specimen and containers are retired; client certificates of people"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0037'
down_revision = '0036'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('breakpoint_set',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('standard', sa.Text(), nullable=False),
    sa.Column('edition', sa.Integer(), nullable=False),
    sa.Column('effective', sa.Date(), nullable=False),
    sa.Column('source', sa.Text(), server_default='', nullable=False),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('placeholder', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_breakpoint_set_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_breakpoint_set')),
    sa.UniqueConstraint('tenant_id', 'standard', 'edition', name=op.f('uq_breakpoint_set_tenant_id_standard_edition'))
    )
    op.create_table('breakpoint',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('set_id', sa.BigInteger(), nullable=False),
    sa.Column('level', sa.Text(), server_default='species', nullable=False),
    sa.Column('organism', sa.Text(), nullable=False),
    sa.Column('drug', sa.Text(), nullable=False),
    sa.Column('drug_name', sa.Text(), server_default='', nullable=False),
    sa.Column('method', sa.Text(), nullable=False),
    sa.Column('disk_ug', sa.Numeric(), nullable=True),
    sa.Column('site', sa.Text(), server_default='', nullable=False),
    sa.Column('route', sa.Text(), server_default='', nullable=False),
    sa.Column('s', sa.Numeric(), nullable=True),
    sa.Column('sdd', sa.Numeric(), nullable=True),
    sa.Column('r', sa.Numeric(), nullable=True),
    sa.Column('note', sa.Text(), server_default='', nullable=False),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('placeholder', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'set_id'], ['breakpoint_set.tenant_id', 'breakpoint_set.id'], name=op.f('fk_breakpoint_tenant_id_set_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_breakpoint_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_breakpoint'))
    )
    op.create_index('ix_breakpoint_set', 'breakpoint', ['tenant_id', 'set_id', 'drug'], unique=False)
    op.add_column('container', sa.Column('active', sa.Boolean(), server_default='true', nullable=False))
    op.add_column('app_user', sa.Column('cert_sha256', sa.Text(), nullable=True))
    op.add_column('app_user', sa.Column('cert', postgresql.JSONB(), server_default='{}', nullable=False))
    op.create_unique_constraint('uq_app_user_tenant_id_cert_sha256', 'app_user', ['tenant_id', 'cert_sha256'])
    op.add_column('specimen_type', sa.Column('active', sa.Boolean(), server_default='true', nullable=False))


def downgrade() -> None:
    op.drop_column('specimen_type', 'active')
    op.drop_constraint('uq_app_user_tenant_id_cert_sha256', 'app_user')
    op.drop_column('app_user', 'cert')
    op.drop_column('app_user', 'cert_sha256')
    op.drop_column('container', 'active')
    op.drop_index('ix_breakpoint_set', table_name='breakpoint')
    op.drop_table('breakpoint')
    op.drop_table('breakpoint_set')
