"""patients read together"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0028'
down_revision = '0027'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('patient_merge',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('keep_id', sa.BigInteger(), nullable=False),
    sa.Column('other_id', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.Text(), server_default='proposed', nullable=False),
    sa.Column('why', sa.Text(), server_default='', nullable=False),
    sa.Column('proposed_by', sa.Text(), nullable=False),
    sa.Column('proposed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('decided_by', sa.Text(), server_default='', nullable=False),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('undone_by', sa.Text(), server_default='', nullable=False),
    sa.Column('undone_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('undone_why', sa.Text(), server_default='', nullable=False),
    sa.Column('moved', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'keep_id'], ['patient.tenant_id', 'patient.id'], name=op.f('fk_patient_merge_tenant_id_keep_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'other_id'], ['patient.tenant_id', 'patient.id'], name=op.f('fk_patient_merge_tenant_id_other_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_patient_merge_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_patient_merge'))
    )
    op.create_index('ix_patient_merge_open', 'patient_merge', ['tenant_id', 'state', 'id'], unique=False)
    op.create_index('ix_patient_merge_other', 'patient_merge', ['tenant_id', 'other_id'], unique=False)
    op.create_index('ix_patient_merged', 'patient', ['tenant_id', 'merged_into'], unique=False, postgresql_where=sa.text('merged_into IS NOT NULL'))


def downgrade() -> None:
    op.drop_index('ix_patient_merged', table_name='patient', postgresql_where=sa.text('merged_into IS NOT NULL'))
    op.drop_index('ix_patient_merge_other', table_name='patient_merge')
    op.drop_index('ix_patient_merge_open', table_name='patient_merge')
    op.drop_table('patient_merge')
