"""reports of other hospitals, and groups told of a rejection"""

import sqlalchemy as sa
from alembic import op

revision = '0054'
down_revision = '0053'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('qc_robot',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('section_id', sa.BigInteger(), nullable=True),
    sa.Column('url_sealed', sa.LargeBinary(), nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'section_id'], ['section.tenant_id', 'section.id'], name=op.f('fk_qc_robot_tenant_id_section_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_robot_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_robot'))
    )
    op.create_table('outside_report',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('patient_id', sa.BigInteger(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=False),
    sa.Column('hospital', sa.Text(), nullable=False),
    sa.Column('report_no', sa.Text(), server_default='', nullable=False),
    sa.Column('mark', sa.Text(), nullable=False),
    sa.Column('value', sa.Text(), nullable=False),
    sa.Column('unit', sa.Text(), server_default='', nullable=False),
    sa.Column('sampled_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('entered_by', sa.Text(), nullable=False),
    sa.Column('entered_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('withdrawn_by', sa.Text(), server_default='', nullable=False),
    sa.Column('withdrawn_why', sa.Text(), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'item_id'], ['test_item.tenant_id', 'test_item.id'], name=op.f('fk_outside_report_tenant_id_item_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'patient_id'], ['patient.tenant_id', 'patient.id'], name=op.f('fk_outside_report_tenant_id_patient_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_outside_report_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_outside_report'))
    )
    op.create_index('ix_outside_report_patient', 'outside_report', ['tenant_id', 'patient_id'], unique=False)
    op.create_table('qc_notice',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('robot_id', sa.BigInteger(), nullable=False),
    sa.Column('run_id', sa.BigInteger(), nullable=False),
    sa.Column('words', sa.Text(), nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('next_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('problem', sa.Text(), server_default='', nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'robot_id'], ['qc_robot.tenant_id', 'qc_robot.id'], name=op.f('fk_qc_notice_tenant_id_robot_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'run_id'], ['qc_run.tenant_id', 'qc_run.id'], name=op.f('fk_qc_notice_tenant_id_run_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_notice_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_notice')),
    sa.UniqueConstraint('tenant_id', 'robot_id', 'run_id', name=op.f('uq_qc_notice_tenant_id_robot_id_run_id'))
    )
    op.create_index('ix_qc_notice_due', 'qc_notice', ['tenant_id', 'next_at'], unique=False, postgresql_where=sa.text('sent_at IS NULL AND ended_at IS NULL'))
    op.add_column('order_item', sa.Column('outside_id', sa.BigInteger(), nullable=True))
    op.create_index('ix_order_item_outside', 'order_item', ['tenant_id', 'outside_id'], unique=False, postgresql_where=sa.text('outside_id IS NOT NULL'))


def downgrade() -> None:
    op.drop_index('ix_order_item_outside', table_name='order_item', postgresql_where=sa.text('outside_id IS NOT NULL'))
    op.drop_column('order_item', 'outside_id')
    op.drop_index('ix_qc_notice_due', table_name='qc_notice', postgresql_where=sa.text('sent_at IS NULL AND ended_at IS NULL'))
    op.drop_table('qc_notice')
    op.drop_index('ix_outside_report_patient', table_name='outside_report')
    op.drop_table('outside_report')
    op.drop_table('qc_robot')
