"""a scan with WeChat-Work as the second factor: the hospital's application, who is bound, logins that wait for a scan"""

import sqlalchemy as sa
from alembic import op

revision = '0051'
down_revision = '0050'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('wework_app',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('corp_id', sa.Text(), nullable=False),
    sa.Column('agent_id', sa.Text(), nullable=False),
    sa.Column('secret_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('api_base', sa.Text(), nullable=False),
    sa.Column('login_base', sa.Text(), nullable=False),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_wework_app_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_wework_app')),
    sa.UniqueConstraint('tenant_id', name=op.f('uq_wework_app_tenant_id'))
    )
    op.create_table('wework_state',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('nonce_hash', sa.Text(), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('password', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_wework_state_tenant_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'user_id'], ['app_user.tenant_id', 'app_user.id'], name=op.f('fk_wework_state_tenant_id_user_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_wework_state')),
    sa.UniqueConstraint('tenant_id', 'nonce_hash', name=op.f('uq_wework_state_tenant_id_nonce_hash'))
    )
    op.add_column('app_user', sa.Column('wework_id', sa.Text(), nullable=True))
    op.create_unique_constraint(op.f('uq_app_user_tenant_id_wework_id'), 'app_user', ['tenant_id', 'wework_id'])


def downgrade() -> None:
    op.drop_constraint(op.f('uq_app_user_tenant_id_wework_id'), 'app_user', type_='unique')
    op.drop_column('app_user', 'wework_id')
    op.drop_table('wework_state')
    op.drop_table('wework_app')
