"""what was in force"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0030'
down_revision = '0029'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('result_trace',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('result_id', sa.BigInteger(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('lot_id', sa.BigInteger(), nullable=True),
    sa.Column('calibration_id', sa.BigInteger(), nullable=True),
    sa.Column('qc_run_id', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'calibration_id'], ['calibration.tenant_id', 'calibration.id'], name=op.f('fk_result_trace_tenant_id_calibration_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'lot_id'], ['reagent_lot.tenant_id', 'reagent_lot.id'], name=op.f('fk_result_trace_tenant_id_lot_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'qc_run_id'], ['qc_run.tenant_id', 'qc_run.id'], name=op.f('fk_result_trace_tenant_id_qc_run_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'result_id'], ['result_version.tenant_id', 'result_version.id'], name=op.f('fk_result_trace_tenant_id_result_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_result_trace_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_result_trace')),
    sa.UniqueConstraint('tenant_id', 'result_id', name=op.f('uq_result_trace_tenant_id_result_id'))
    )
    op.create_index('ix_result_trace_at', 'result_trace', ['tenant_id', 'at'], unique=False)
    op.create_index('ix_result_trace_lot', 'result_trace', ['tenant_id', 'lot_id', 'id'], unique=False, postgresql_where=sa.text('lot_id IS NOT NULL'))

    op.add_column('lab_order', sa.Column('drugs', sa.Text(), nullable=True))
    op.add_column('specimen', sa.Column('issues', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False))


def downgrade() -> None:
    op.drop_column('specimen', 'issues')
    op.drop_column('lab_order', 'drugs')
    op.drop_index('ix_result_trace_lot', table_name='result_trace', postgresql_where=sa.text('lot_id IS NOT NULL'))
    op.drop_index('ix_result_trace_at', table_name='result_trace')
    op.drop_table('result_trace')
