"""critical values from finding to handling"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('critical_contact',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('level', sa.Integer(), nullable=False),
    sa.Column('place', sa.Text(), server_default='', nullable=False),
    sa.Column('contact', sa.Text(), nullable=False),
    sa.Column('phone', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_critical_contact_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_critical_contact')),
    sa.UniqueConstraint('tenant_id', 'level', 'place', name=op.f('uq_critical_contact_tenant_id_level_place'))
    )
    op.create_table('list_job',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('by_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('back', sa.Text(), server_default='', nullable=False),
    sa.Column('document', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('data', sa.LargeBinary(), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'by_id'], ['app_user.tenant_id', 'app_user.id'], name=op.f('fk_list_job_tenant_id_by_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_list_job_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_list_job'))
    )
    op.create_index('ix_list_job_at', 'list_job', ['tenant_id', 'at'], unique=False)
    op.create_table('critical_quiet',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('dept', sa.Text(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=False),
    sa.Column('worse_percent', sa.Numeric(), server_default='20', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'item_id'], ['test_item.tenant_id', 'test_item.id'], name=op.f('fk_critical_quiet_tenant_id_item_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_critical_quiet_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_critical_quiet')),
    sa.UniqueConstraint('tenant_id', 'dept', 'item_id', name=op.f('uq_critical_quiet_tenant_id_dept_item_id'))
    )
    op.create_table('critical_check',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('event_id', sa.BigInteger(), nullable=False),
    sa.Column('no', sa.Integer(), nullable=False),
    sa.Column('by_id', sa.BigInteger(), nullable=False),
    sa.Column('by_name', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('value_text', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'event_id'], ['critical_event.tenant_id', 'critical_event.id'], name=op.f('fk_critical_check_tenant_id_event_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_critical_check_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_critical_check')),
    sa.UniqueConstraint('tenant_id', 'event_id', 'no', name=op.f('uq_critical_check_tenant_id_event_id_no'))
    )
    op.add_column('critical_attempt', sa.Column('outcome', sa.Text(), server_default='', nullable=False))
    op.add_column('critical_attempt', sa.Column('level', sa.Integer(), server_default='0', nullable=False))
    op.add_column('critical_event', sa.Column('round', sa.Integer(), server_default='1', nullable=False))
    op.add_column('critical_event', sa.Column('specimen_id', sa.BigInteger(), nullable=True))
    op.add_column('critical_event', sa.Column('item_id', sa.BigInteger(), nullable=True))
    op.add_column('critical_event', sa.Column('section_id', sa.BigInteger(), nullable=True))
    op.add_column('critical_event', sa.Column('dept', sa.Text(), server_default='', nullable=False))
    op.add_column('critical_event', sa.Column('ward', sa.Text(), server_default='', nullable=False))
    op.add_column('critical_event', sa.Column('dept_class', sa.Text(), server_default='', nullable=False))
    op.add_column('critical_event', sa.Column('urgent', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('critical_event', sa.Column('value', sa.Numeric(), nullable=True))
    op.add_column('critical_event', sa.Column('direction', sa.Text(), server_default='', nullable=False))
    op.add_column('critical_event', sa.Column('reruns', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False))
    op.add_column('critical_event', sa.Column('handling', sa.Text(), server_default='full', nullable=False))
    op.add_column('critical_event', sa.Column('repeat_of', sa.BigInteger(), nullable=True))
    op.add_column('critical_event', sa.Column('n_checks', sa.Integer(), server_default='0', nullable=False))
    op.add_column('critical_event', sa.Column('notified_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('critical_event', sa.Column('received_dept', sa.Text(), nullable=True))
    op.add_column('critical_event', sa.Column('received_by_id', sa.BigInteger(), nullable=True))
    op.add_column('critical_event', sa.Column('doctor_name', sa.Text(), nullable=True))
    op.add_column('critical_event', sa.Column('doctor_ack_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('critical_event', sa.Column('action_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('critical_event', sa.Column('action_by', sa.Text(), nullable=True))
    op.add_column('critical_event', sa.Column('escalation_level', sa.Integer(), server_default='0', nullable=False))
    op.add_column('critical_event', sa.Column('reminded_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('critical_event', sa.Column('nagged_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('critical_event', sa.Column('difficulty', sa.Text(), server_default='', nullable=False))
    # The key grows by the round: a tube that must be told again gets a second event. No earlier release is installed anywhere yet.
    op.drop_constraint(op.f('uq_critical_event_tenant_id_test_id'), 'critical_event', type_='unique')
    op.create_index('ix_critical_event_found', 'critical_event', ['tenant_id', 'found_at'], unique=False)
    op.create_index('ix_critical_event_repeat', 'critical_event', ['tenant_id', 'patient_id', 'item_id', 'found_at'], unique=False)
    op.create_index('ix_critical_event_running', 'critical_event', ['tenant_id', 'id'], unique=False, postgresql_where=sa.text("state NOT IN ('handled','closed','false_alarm','merged')"))
    op.create_index('ix_critical_event_specimen', 'critical_event', ['tenant_id', 'specimen_id'], unique=False)
    op.create_unique_constraint(op.f('uq_critical_event_tenant_id_test_id_round'), 'critical_event', ['tenant_id', 'test_id', 'round'])
    op.create_foreign_key(op.f('fk_critical_event_tenant_id_section_id'), 'critical_event', 'section', ['tenant_id', 'section_id'], ['tenant_id', 'id'])
    op.create_foreign_key(op.f('fk_critical_event_tenant_id_specimen_id'), 'critical_event', 'specimen', ['tenant_id', 'specimen_id'], ['tenant_id', 'id'])
    op.create_foreign_key(op.f('fk_critical_event_tenant_id_item_id'), 'critical_event', 'test_item', ['tenant_id', 'item_id'], ['tenant_id', 'id'])


def downgrade() -> None:
    op.drop_constraint(op.f('fk_critical_event_tenant_id_item_id'), 'critical_event', type_='foreignkey')
    op.drop_constraint(op.f('fk_critical_event_tenant_id_specimen_id'), 'critical_event', type_='foreignkey')
    op.drop_constraint(op.f('fk_critical_event_tenant_id_section_id'), 'critical_event', type_='foreignkey')
    op.drop_constraint(op.f('uq_critical_event_tenant_id_test_id_round'), 'critical_event', type_='unique')
    op.drop_index('ix_critical_event_specimen', table_name='critical_event')
    op.drop_index('ix_critical_event_running', table_name='critical_event', postgresql_where=sa.text("state NOT IN ('handled','closed','false_alarm','merged')"))
    op.drop_index('ix_critical_event_repeat', table_name='critical_event')
    op.drop_index('ix_critical_event_found', table_name='critical_event')
    op.create_unique_constraint(op.f('uq_critical_event_tenant_id_test_id'), 'critical_event', ['tenant_id', 'test_id'], postgresql_nulls_not_distinct=False)
    op.drop_column('critical_event', 'difficulty')
    op.drop_column('critical_event', 'nagged_at')
    op.drop_column('critical_event', 'reminded_at')
    op.drop_column('critical_event', 'escalation_level')
    op.drop_column('critical_event', 'action_by')
    op.drop_column('critical_event', 'action_at')
    op.drop_column('critical_event', 'doctor_ack_at')
    op.drop_column('critical_event', 'doctor_name')
    op.drop_column('critical_event', 'received_by_id')
    op.drop_column('critical_event', 'received_dept')
    op.drop_column('critical_event', 'notified_at')
    op.drop_column('critical_event', 'n_checks')
    op.drop_column('critical_event', 'repeat_of')
    op.drop_column('critical_event', 'handling')
    op.drop_column('critical_event', 'reruns')
    op.drop_column('critical_event', 'direction')
    op.drop_column('critical_event', 'value')
    op.drop_column('critical_event', 'urgent')
    op.drop_column('critical_event', 'dept_class')
    op.drop_column('critical_event', 'ward')
    op.drop_column('critical_event', 'dept')
    op.drop_column('critical_event', 'section_id')
    op.drop_column('critical_event', 'item_id')
    op.drop_column('critical_event', 'specimen_id')
    op.drop_column('critical_event', 'round')
    op.drop_column('critical_attempt', 'level')
    op.drop_column('critical_attempt', 'outcome')
    op.drop_table('critical_check')
    op.drop_table('critical_quiet')
    op.drop_index('ix_list_job_at', table_name='list_job')
    op.drop_table('list_job')
    op.drop_table('critical_contact')
