"""analyzers taken on in minutes"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('edge_mapping',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('analyzer_id', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('state', sa.Text(), server_default='draft', nullable=False),
    sa.Column('driver', sa.Text(), nullable=True),
    sa.Column('encoding', sa.Text(), nullable=True),
    sa.Column('site', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('rows', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('author', sa.Text(), nullable=False),
    sa.Column('author_id', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('tested_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('tested_by', sa.Text(), nullable=True),
    sa.Column('active_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('accepted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('accepted_by', sa.Text(), nullable=True),
    sa.Column('accepted_hash', sa.Text(), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'analyzer_id'], ['analyzer.tenant_id', 'analyzer.id'], name=op.f('fk_edge_mapping_tenant_id_analyzer_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_edge_mapping_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_edge_mapping')),
    sa.UniqueConstraint('tenant_id', 'analyzer_id', 'number', name=op.f('uq_edge_mapping_tenant_id_analyzer_id_number'))
    )
    op.create_index('ix_edge_mapping_active', 'edge_mapping', ['tenant_id', 'analyzer_id'], unique=True, postgresql_where=sa.text("state = 'active'"))
    op.create_table('edge_recording',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('analyzer_id', sa.BigInteger(), nullable=True),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('sha256', sa.Text(), nullable=False),
    sa.Column('driver', sa.Text(), nullable=True),
    sa.Column('encoding', sa.Text(), nullable=True),
    sa.Column('site', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('raw_ids', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('by', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'analyzer_id'], ['analyzer.tenant_id', 'analyzer.id'], name=op.f('fk_edge_recording_tenant_id_analyzer_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_edge_recording_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_edge_recording'))
    )
    op.create_index('ix_edge_recording_analyzer', 'edge_recording', ['tenant_id', 'analyzer_id'], unique=False)
    op.create_table('edge_link_hour',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('connection_id', sa.BigInteger(), nullable=False),
    sa.Column('hour', sa.DateTime(timezone=True), nullable=False),
    sa.Column('up', sa.Integer(), server_default='0', nullable=False),
    sa.Column('down', sa.Integer(), server_default='0', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'connection_id'], ['connection.tenant_id', 'connection.id'], name=op.f('fk_edge_link_hour_tenant_id_connection_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_edge_link_hour_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_edge_link_hour')),
    sa.UniqueConstraint('tenant_id', 'connection_id', 'hour', name=op.f('uq_edge_link_hour_tenant_id_connection_id_hour'))
    )
    op.create_table('edge_mapping_approval',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('mapping_id', sa.BigInteger(), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('by', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'mapping_id'], ['edge_mapping.tenant_id', 'edge_mapping.id'], name=op.f('fk_edge_mapping_approval_tenant_id_mapping_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_edge_mapping_approval_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_edge_mapping_approval')),
    sa.UniqueConstraint('tenant_id', 'mapping_id', 'user_id', name=op.f('uq_edge_mapping_approval_tenant_id_mapping_id_user_id'))
    )
    op.create_table('edge_print_check',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('mapping_id', sa.BigInteger(), nullable=False),
    sa.Column('recording_id', sa.BigInteger(), nullable=False),
    sa.Column('idx', sa.Integer(), nullable=False),
    sa.Column('specimen_text', sa.Text(), server_default='', nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=False),
    sa.Column('decoded', sa.Text(), nullable=False),
    sa.Column('printed', sa.Text(), nullable=False),
    sa.Column('unit', sa.Text(), server_default='', nullable=False),
    sa.Column('level', sa.Text(), server_default='', nullable=False),
    sa.Column('equal', sa.Boolean(), nullable=False),
    sa.Column('by', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'item_id'], ['test_item.tenant_id', 'test_item.id'], name=op.f('fk_edge_print_check_tenant_id_item_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'mapping_id'], ['edge_mapping.tenant_id', 'edge_mapping.id'], name=op.f('fk_edge_print_check_tenant_id_mapping_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'recording_id'], ['edge_recording.tenant_id', 'edge_recording.id'], name=op.f('fk_edge_print_check_tenant_id_recording_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_edge_print_check_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_edge_print_check')),
    sa.UniqueConstraint('tenant_id', 'mapping_id', 'recording_id', 'idx', name=op.f('uq_edge_print_check_tenant_id_mapping_id_recording_id_idx'))
    )
    op.add_column('connection', sa.Column('simulator_from', sa.DateTime(timezone=True), nullable=True))
    op.add_column('connection', sa.Column('simulator_until', sa.DateTime(timezone=True), nullable=True))
    op.add_column('connection', sa.Column('usual_gap_s', sa.Integer(), nullable=True))
    op.create_index('ix_raw_message_received', 'raw_message', ['tenant_id', 'received_at'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_raw_message_received', table_name='raw_message')
    op.drop_column('connection', 'usual_gap_s')
    op.drop_column('connection', 'simulator_until')
    op.drop_column('connection', 'simulator_from')
    op.drop_table('edge_print_check')
    op.drop_table('edge_mapping_approval')
    op.drop_table('edge_link_hour')
    op.drop_index('ix_edge_recording_analyzer', table_name='edge_recording')
    op.drop_table('edge_recording')
    op.drop_index('ix_edge_mapping_active', table_name='edge_mapping', postgresql_where=sa.text("state = 'active'"))
    op.drop_table('edge_mapping')
