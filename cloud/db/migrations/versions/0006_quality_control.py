"""quality control: plans, targets, runs, out-of-control work"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('qc_material',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('level', sa.Integer(), nullable=False),
    sa.Column('lot', sa.Text(), nullable=False),
    sa.Column('maker', sa.Text(), server_default='', nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('open_days', sa.Integer(), nullable=True),
    sa.Column('short_life', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('stock', sa.Integer(), nullable=True),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_material_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_material')),
    sa.UniqueConstraint('tenant_id', 'code', 'lot', name=op.f('uq_qc_material_tenant_id_code_lot'))
    )
    op.create_table('qc_note',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('analyzer_id', sa.BigInteger(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('by_name', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'analyzer_id'], ['analyzer.tenant_id', 'analyzer.id'], name=op.f('fk_qc_note_tenant_id_analyzer_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_note_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_note'))
    )
    op.create_index('ix_qc_note_analyzer', 'qc_note', ['tenant_id', 'analyzer_id', 'at'], unique=False)
    op.create_table('qc_plan',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('analyzer_id', sa.BigInteger(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=False),
    sa.Column('method', sa.Text(), server_default='lj', nullable=False),
    sa.Column('levels', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('window_hours', sa.Integer(), server_default='24', nullable=False),
    sa.Column('rules', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('warnings', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('freeze', sa.Text(), server_default='breaks', nullable=False),
    sa.Column('tea_percent', sa.Numeric(), nullable=True),
    sa.Column('tea_absolute', sa.Numeric(), nullable=True),
    sa.Column('tea_below', sa.Numeric(), nullable=True),
    sa.Column('bias_percent', sa.Numeric(), nullable=True),
    sa.Column('cv_standard', sa.Numeric(), nullable=True),
    sa.Column('source', sa.Text(), server_default='', nullable=False),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('overdue_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'analyzer_id'], ['analyzer.tenant_id', 'analyzer.id'], name=op.f('fk_qc_plan_tenant_id_analyzer_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'item_id'], ['test_item.tenant_id', 'test_item.id'], name=op.f('fk_qc_plan_tenant_id_item_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_plan_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_plan')),
    sa.UniqueConstraint('tenant_id', 'analyzer_id', 'item_id', name=op.f('uq_qc_plan_tenant_id_analyzer_id_item_id'))
    )
    op.create_table('qc_bypass',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('plan_id', sa.BigInteger(), nullable=False),
    sa.Column('from_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('until_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('by_id', sa.BigInteger(), nullable=True),
    sa.Column('by_name', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'plan_id'], ['qc_plan.tenant_id', 'qc_plan.id'], name=op.f('fk_qc_bypass_tenant_id_plan_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_bypass_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_bypass'))
    )
    op.create_index('ix_qc_bypass_plan', 'qc_bypass', ['tenant_id', 'plan_id', 'until_at'], unique=False)
    op.create_table('qc_month',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('plan_id', sa.BigInteger(), nullable=False),
    sa.Column('level', sa.Integer(), nullable=False),
    sa.Column('material_id', sa.BigInteger(), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('data', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('comment', sa.Text(), server_default='', nullable=False),
    sa.Column('drafted_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('signed_by', sa.BigInteger(), nullable=True),
    sa.Column('signed_name', sa.Text(), server_default='', nullable=False),
    sa.Column('signed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'plan_id'], ['qc_plan.tenant_id', 'qc_plan.id'], name=op.f('fk_qc_month_tenant_id_plan_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_month_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_month')),
    sa.UniqueConstraint('tenant_id', 'plan_id', 'level', 'material_id', 'month', name=op.f('uq_qc_month_tenant_id_plan_id_level_material_id_month'))
    )
    op.create_table('qc_moving',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('plan_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('size', sa.Integer(), server_default='20', nullable=False),
    sa.Column('weight', sa.Numeric(), server_default='0.1', nullable=False),
    sa.Column('start', sa.Numeric(), nullable=True),
    sa.Column('trunc_low', sa.Numeric(), nullable=True),
    sa.Column('trunc_high', sa.Numeric(), nullable=True),
    sa.Column('low', sa.Numeric(), nullable=False),
    sa.Column('high', sa.Numeric(), nullable=False),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'plan_id'], ['qc_plan.tenant_id', 'qc_plan.id'], name=op.f('fk_qc_moving_tenant_id_plan_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_moving_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_moving')),
    sa.UniqueConstraint('tenant_id', 'plan_id', name=op.f('uq_qc_moving_tenant_id_plan_id'))
    )
    op.create_table('qc_moving_point',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('plan_id', sa.BigInteger(), nullable=False),
    sa.Column('hour', sa.DateTime(timezone=True), nullable=False),
    sa.Column('n', sa.Integer(), nullable=False),
    sa.Column('value', sa.Numeric(), nullable=True),
    sa.Column('out', sa.Boolean(), server_default='false', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'plan_id'], ['qc_plan.tenant_id', 'qc_plan.id'], name=op.f('fk_qc_moving_point_tenant_id_plan_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_moving_point_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_moving_point')),
    sa.UniqueConstraint('tenant_id', 'plan_id', 'hour', name=op.f('uq_qc_moving_point_tenant_id_plan_id_hour'))
    )
    op.create_table('qc_ooc',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('plan_id', sa.BigInteger(), nullable=False),
    sa.Column('run_id', sa.BigInteger(), nullable=False),
    sa.Column('rules', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='open', nullable=False),
    sa.Column('suspect_from', sa.DateTime(timezone=True), nullable=True),
    sa.Column('rejected_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('cause_class', sa.Text(), server_default='', nullable=False),
    sa.Column('cause', sa.Text(), server_default='', nullable=False),
    sa.Column('action', sa.Text(), server_default='', nullable=False),
    sa.Column('corrected_by', sa.BigInteger(), nullable=True),
    sa.Column('corrected_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('retest_run_id', sa.BigInteger(), nullable=True),
    sa.Column('retest_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('verified_by', sa.BigInteger(), nullable=True),
    sa.Column('verified_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_by', sa.BigInteger(), nullable=True),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('conclusion', sa.Text(), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'plan_id'], ['qc_plan.tenant_id', 'qc_plan.id'], name=op.f('fk_qc_ooc_tenant_id_plan_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_ooc_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_ooc'))
    )
    op.create_index('ix_qc_ooc_open', 'qc_ooc', ['tenant_id', 'plan_id'], unique=True, postgresql_where=sa.text('verified_at IS NULL'))
    op.create_index('ix_qc_ooc_plan', 'qc_ooc', ['tenant_id', 'plan_id', 'rejected_at'], unique=False)
    op.create_index('ix_qc_ooc_state', 'qc_ooc', ['tenant_id', 'state', 'id'], unique=False)
    op.create_table('qc_target',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('plan_id', sa.BigInteger(), nullable=False),
    sa.Column('level', sa.Integer(), nullable=False),
    sa.Column('material_id', sa.BigInteger(), nullable=False),
    sa.Column('mean', sa.Numeric(), nullable=True),
    sa.Column('sd', sa.Numeric(), nullable=True),
    sa.Column('expected', sa.Text(), server_default='', nullable=False),
    sa.Column('basis', sa.Text(), server_default='maker', nullable=False),
    sa.Column('n', sa.Integer(), server_default='0', nullable=False),
    sa.Column('proposed_by', sa.BigInteger(), nullable=True),
    sa.Column('proposed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('approved_by', sa.BigInteger(), nullable=True),
    sa.Column('effective_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'material_id'], ['qc_material.tenant_id', 'qc_material.id'], name=op.f('fk_qc_target_tenant_id_material_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'plan_id'], ['qc_plan.tenant_id', 'qc_plan.id'], name=op.f('fk_qc_target_tenant_id_plan_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_target_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_target'))
    )
    op.create_index('ix_qc_target_plan', 'qc_target', ['tenant_id', 'plan_id', 'level', 'id'], unique=False)
    op.create_table('qc_run',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('plan_id', sa.BigInteger(), nullable=False),
    sa.Column('run_key', sa.Text(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('rules', sa.Text(), server_default='', nullable=False),
    sa.Column('ooc_id', sa.BigInteger(), nullable=True),
    sa.Column('signed_by', sa.BigInteger(), nullable=True),
    sa.Column('signed_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'ooc_id'], ['qc_ooc.tenant_id', 'qc_ooc.id'], name=op.f('fk_qc_run_tenant_id_ooc_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'plan_id'], ['qc_plan.tenant_id', 'qc_plan.id'], name=op.f('fk_qc_run_tenant_id_plan_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_run_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_run'))
    )
    op.create_index('ix_qc_run_good', 'qc_run', ['tenant_id', 'plan_id', 'at'], unique=False, postgresql_where=sa.text("state IN ('in_control','warning')"))
    op.create_index('ix_qc_run_plan', 'qc_run', ['tenant_id', 'plan_id', 'at'], unique=False)
    op.create_table('qc_result',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('run_id', sa.BigInteger(), nullable=False),
    sa.Column('plan_id', sa.BigInteger(), nullable=False),
    sa.Column('level', sa.Integer(), nullable=False),
    sa.Column('material_id', sa.BigInteger(), nullable=False),
    sa.Column('target_id', sa.BigInteger(), nullable=True),
    sa.Column('raw_text', sa.Text(), nullable=False),
    sa.Column('value', sa.Numeric(), nullable=True),
    sa.Column('z', sa.Numeric(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('operator_id', sa.BigInteger(), nullable=True),
    sa.Column('operator', sa.Text(), server_default='', nullable=False),
    sa.Column('reagent_lot', sa.Text(), server_default='', nullable=False),
    sa.Column('calibration', sa.Text(), server_default='', nullable=False),
    sa.Column('note', sa.Text(), server_default='', nullable=False),
    sa.Column('observation_id', sa.BigInteger(), nullable=True),
    sa.Column('frozen', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('rejected', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('excluded', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'material_id'], ['qc_material.tenant_id', 'qc_material.id'], name=op.f('fk_qc_result_tenant_id_material_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'plan_id'], ['qc_plan.tenant_id', 'qc_plan.id'], name=op.f('fk_qc_result_tenant_id_plan_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'run_id'], ['qc_run.tenant_id', 'qc_run.id'], name=op.f('fk_qc_result_tenant_id_run_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'target_id'], ['qc_target.tenant_id', 'qc_target.id'], name=op.f('fk_qc_result_tenant_id_target_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_result_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_result')),
    sa.UniqueConstraint('tenant_id', 'observation_id', name=op.f('uq_qc_result_tenant_id_observation_id'))
    )
    op.create_index('ix_qc_result_plan', 'qc_result', ['tenant_id', 'plan_id', 'at'], unique=False)
    op.create_index('ix_qc_result_run', 'qc_result', ['tenant_id', 'run_id'], unique=False)
    op.create_table('qc_violation',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('run_id', sa.BigInteger(), nullable=False),
    sa.Column('plan_id', sa.BigInteger(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('rule', sa.Text(), nullable=False),
    sa.Column('scope', sa.Text(), nullable=False),
    sa.Column('level', sa.Integer(), nullable=True),
    sa.Column('severity', sa.Text(), nullable=False),
    sa.Column('points', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'run_id'], ['qc_run.tenant_id', 'qc_run.id'], name=op.f('fk_qc_violation_tenant_id_run_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_violation_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_violation'))
    )
    op.create_index('ix_qc_violation_plan', 'qc_violation', ['tenant_id', 'plan_id', 'at'], unique=False)
    op.create_table('qc_impact',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('ooc_id', sa.BigInteger(), nullable=False),
    sa.Column('result_id', sa.BigInteger(), nullable=False),
    sa.Column('decision', sa.Text(), server_default='', nullable=False),
    sa.Column('again', sa.Numeric(), nullable=True),
    sa.Column('exceeds', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('by_id', sa.BigInteger(), nullable=True),
    sa.Column('by_name', sa.Text(), server_default='', nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'ooc_id'], ['qc_ooc.tenant_id', 'qc_ooc.id'], name=op.f('fk_qc_impact_tenant_id_ooc_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'result_id'], ['result_version.tenant_id', 'result_version.id'], name=op.f('fk_qc_impact_tenant_id_result_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_qc_impact_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_qc_impact')),
    sa.UniqueConstraint('tenant_id', 'ooc_id', 'result_id', name=op.f('uq_qc_impact_tenant_id_ooc_id_result_id'))
    )
    op.create_index('ix_qc_impact_result', 'qc_impact', ['tenant_id', 'result_id'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_qc_impact_result', table_name='qc_impact')
    op.drop_table('qc_impact')
    op.drop_index('ix_qc_violation_plan', table_name='qc_violation')
    op.drop_table('qc_violation')
    op.drop_index('ix_qc_result_run', table_name='qc_result')
    op.drop_index('ix_qc_result_plan', table_name='qc_result')
    op.drop_table('qc_result')
    op.drop_index('ix_qc_run_plan', table_name='qc_run')
    op.drop_index('ix_qc_run_good', table_name='qc_run', postgresql_where=sa.text("state IN ('in_control','warning')"))
    op.drop_table('qc_run')
    op.drop_index('ix_qc_target_plan', table_name='qc_target')
    op.drop_table('qc_target')
    op.drop_index('ix_qc_ooc_state', table_name='qc_ooc')
    op.drop_index('ix_qc_ooc_plan', table_name='qc_ooc')
    op.drop_index('ix_qc_ooc_open', table_name='qc_ooc', postgresql_where=sa.text('verified_at IS NULL'))
    op.drop_table('qc_ooc')
    op.drop_table('qc_moving_point')
    op.drop_table('qc_moving')
    op.drop_table('qc_month')
    op.drop_index('ix_qc_bypass_plan', table_name='qc_bypass')
    op.drop_table('qc_bypass')
    op.drop_table('qc_plan')
    op.drop_index('ix_qc_note_analyzer', table_name='qc_note')
    op.drop_table('qc_note')
    op.drop_table('qc_material')
