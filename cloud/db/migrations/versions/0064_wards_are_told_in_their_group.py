"""critical values are told in the ward's group of WeChat-Work"""

import sqlalchemy as sa
from alembic import op

revision = '0064'
down_revision = '0058'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('critical_robot',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('place', sa.Text(), server_default='', nullable=False),
    sa.Column('url_sealed', sa.LargeBinary(), nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_critical_robot'))
    )
    op.create_table('critical_notice',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('robot_id', sa.BigInteger(), nullable=False),
    sa.Column('event_id', sa.BigInteger(), nullable=False),
    sa.Column('level', sa.Integer(), server_default='0', nullable=False),
    sa.Column('words', sa.Text(), nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('next_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('problem', sa.Text(), server_default='', nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'robot_id'], ['critical_robot.tenant_id', 'critical_robot.id'], name=op.f('fk_critical_notice_tenant_id_robot_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'event_id'], ['critical_event.tenant_id', 'critical_event.id'], name=op.f('fk_critical_notice_tenant_id_event_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_critical_notice')),
    sa.UniqueConstraint('tenant_id', 'robot_id', 'event_id', 'level', name=op.f('uq_critical_notice_tenant_id_robot_id_event_id_level'))
    )
    op.create_index('ix_critical_notice_due', 'critical_notice', ['tenant_id', 'next_at'], unique=False, postgresql_where=sa.text('sent_at IS NULL AND ended_at IS NULL'))


def downgrade() -> None:
    op.drop_index('ix_critical_notice_due', table_name='critical_notice', postgresql_where=sa.text('sent_at IS NULL AND ended_at IS NULL'))
    op.drop_table('critical_notice')
    op.drop_table('critical_robot')
