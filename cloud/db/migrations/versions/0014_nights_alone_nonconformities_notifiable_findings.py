"""nights alone in the roster, nonconformities, findings that need a card

``solo_duty`` stays, unread: a night flagged there before must be flagged in the roster again (nobody passes by a forgotten flag).
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('nonconformity',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('url', sa.Text(), server_default='', nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), server_default='', nullable=False),
    sa.Column('severity', sa.Text(), server_default='major', nullable=False),
    sa.Column('section_id', sa.BigInteger(), nullable=True),
    sa.Column('state', sa.Text(), server_default='open', nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('opened_by', sa.Text(), nullable=False),
    sa.Column('due', sa.Date(), nullable=True),
    sa.Column('acting_since', sa.Date(), nullable=True),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'section_id'], ['section.tenant_id', 'section.id'], name=op.f('fk_nonconformity_tenant_id_section_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_nonconformity_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_nonconformity')),
    sa.UniqueConstraint('tenant_id', 'source', 'subject', name=op.f('uq_nonconformity_tenant_id_source_subject'))
    )
    op.create_index('ix_nonconformity_open', 'nonconformity', ['tenant_id', 'id'], unique=False, postgresql_where=sa.text("state <> 'closed'"))
    op.create_table('nonconformity_step',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('nc_id', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('words', sa.Text(), nullable=False),
    sa.Column('by', sa.Text(), nullable=False),
    sa.Column('by_id', sa.BigInteger(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'nc_id'], ['nonconformity.tenant_id', 'nonconformity.id'], name=op.f('fk_nonconformity_step_tenant_id_nc_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_nonconformity_step_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_nonconformity_step'))
    )
    op.create_index('ix_nonconformity_step_nc', 'nonconformity_step', ['tenant_id', 'nc_id', 'id'], unique=False)
    op.create_table('infectious_finding',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('report_id', sa.BigInteger(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=False),
    sa.Column('patient_id', sa.BigInteger(), nullable=False),
    sa.Column('item', sa.Text(), nullable=False),
    sa.Column('value_text', sa.Text(), nullable=False),
    sa.Column('notify', sa.Text(), nullable=False),
    sa.Column('told_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('carded_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('carded_by', sa.Text(), server_default='', nullable=False),
    sa.Column('card_no', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'item_id'], ['test_item.tenant_id', 'test_item.id'], name=op.f('fk_infectious_finding_tenant_id_item_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'patient_id'], ['patient.tenant_id', 'patient.id'], name=op.f('fk_infectious_finding_tenant_id_patient_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'report_id'], ['report.tenant_id', 'report.id'], name=op.f('fk_infectious_finding_tenant_id_report_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_infectious_finding_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_infectious_finding')),
    sa.UniqueConstraint('tenant_id', 'report_id', 'item_id', name=op.f('uq_infectious_finding_tenant_id_report_id_item_id'))
    )
    op.create_index('ix_infectious_finding_open', 'infectious_finding', ['tenant_id', 'due_at'], unique=False, postgresql_where=sa.text('carded_at IS NULL AND withdrawn_at IS NULL'))
    op.add_column('duty', sa.Column('alone', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('test_item', sa.Column('notifiable', sa.Text(), server_default='', nullable=False))


def downgrade() -> None:
    op.drop_column('test_item', 'notifiable')
    op.drop_column('duty', 'alone')
    op.drop_index('ix_infectious_finding_open', table_name='infectious_finding', postgresql_where=sa.text('carded_at IS NULL AND withdrawn_at IS NULL'))
    op.drop_table('infectious_finding')
    op.drop_index('ix_nonconformity_step_nc', table_name='nonconformity_step')
    op.drop_table('nonconformity_step')
    op.drop_index('ix_nonconformity_open', table_name='nonconformity', postgresql_where=sa.text("state <> 'closed'"))
    op.drop_table('nonconformity')
