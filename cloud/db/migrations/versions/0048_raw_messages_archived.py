"""raw messages of an agent or analyzer taken out of use go into files (M27 R7)"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0048'
down_revision = '0047'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('edge_archive',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('agent_id', sa.BigInteger(), nullable=True),
    sa.Column('analyzer_id', sa.BigInteger(), nullable=True),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('connections', postgresql.JSONB(), server_default='[]', nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('by', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_id', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('total', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('messages', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('done_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('problem', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'agent_id'], ['agent.tenant_id', 'agent.id'], name=op.f('fk_edge_archive_tenant_id_agent_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'analyzer_id'], ['analyzer.tenant_id', 'analyzer.id'], name=op.f('fk_edge_archive_tenant_id_analyzer_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_edge_archive_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_edge_archive'))
    )
    op.create_index('ix_edge_archive_open', 'edge_archive', ['tenant_id', 'id'], unique=False, postgresql_where=sa.text('done_at IS NULL'))
    op.create_table('edge_archive_part',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('archive_id', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('sha256', sa.Text(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('messages', sa.Integer(), nullable=False),
    sa.Column('cleared', sa.Integer(), nullable=False),
    sa.Column('first_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'archive_id'], ['edge_archive.tenant_id', 'edge_archive.id'], name=op.f('fk_edge_archive_part_tenant_id_archive_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_edge_archive_part_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_edge_archive_part')),
    sa.UniqueConstraint('tenant_id', 'archive_id', 'number', name=op.f('uq_edge_archive_part_tenant_id_archive_id_number'))
    )


def downgrade() -> None:
    op.drop_table('edge_archive_part')
    op.drop_index('ix_edge_archive_open', table_name='edge_archive')
    op.drop_table('edge_archive')
