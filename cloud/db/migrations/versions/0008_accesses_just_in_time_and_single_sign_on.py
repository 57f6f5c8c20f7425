"""accesses just in time and single sign-on"""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('sso_nonce',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('nonce', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_sso_nonce_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_sso_nonce')),
    sa.UniqueConstraint('tenant_id', 'source', 'nonce', name=op.f('uq_sso_nonce_tenant_id_source_nonce'))
    )
    op.create_table('sso_source',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('key_sealed', sa.LargeBinary(), nullable=False),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_sso_source_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_sso_source')),
    sa.UniqueConstraint('tenant_id', 'code', name=op.f('uq_sso_source_tenant_id_code'))
    )
    op.create_table('access_grant',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('purpose', sa.Text(), nullable=False),
    sa.Column('change_ticket', sa.Text(), server_default='', nullable=False),
    sa.Column('hours', sa.Integer(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.Text(), nullable=True),
    sa.Column('until', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'user_id'], ['app_user.tenant_id', 'app_user.id'], name=op.f('fk_access_grant_tenant_id_user_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_access_grant_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_access_grant'))
    )
    op.create_index('ix_access_grant_state', 'access_grant', ['tenant_id', 'state', 'id'], unique=False)
    op.add_column('alert', sa.Column('acknowledged_by_id', sa.BigInteger(), nullable=True))
    op.add_column('alert', sa.Column('once', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('app_user', sa.Column('valid_until', sa.DateTime(timezone=True), nullable=True))
    op.add_column('app_user', sa.Column('read_only', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('user_session', sa.Column('must_change', sa.Boolean(), server_default='false', nullable=False))


def downgrade() -> None:
    op.drop_column('user_session', 'must_change')
    op.drop_column('app_user', 'read_only')
    op.drop_column('app_user', 'valid_until')
    op.drop_column('alert', 'once')
    op.drop_column('alert', 'acknowledged_by_id')
    op.drop_index('ix_access_grant_state', table_name='access_grant')
    op.drop_table('access_grant')
    op.drop_table('sso_source')
    op.drop_table('sso_nonce')
