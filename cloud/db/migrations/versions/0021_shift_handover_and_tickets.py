"""shift handover and tickets"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import postgresql
revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('day_entry',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('section_id', sa.BigInteger(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('by_id', sa.BigInteger(), nullable=True),
    sa.Column('by_name', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('words', sa.Text(), nullable=False),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('withdrawn_by', sa.Text(), server_default='', nullable=False),
    sa.Column('withdrawn_why', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'section_id'], ['section.tenant_id', 'section.id'], name=op.f('fk_day_entry_tenant_id_section_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_day_entry_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_day_entry'))
    )
    op.create_index('ix_day_entry_day', 'day_entry', ['tenant_id', 'section_id', 'day', 'id'], unique=False)
    op.create_table('handover_note',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('section_id', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.Text(), server_default='writing', nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('text', sa.Text(), server_default='', nullable=False),
    sa.Column('written_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('writer', sa.Text(), nullable=False),
    sa.Column('figures', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('giver_id', sa.BigInteger(), nullable=True),
    sa.Column('giver', sa.Text(), server_default='', nullable=False),
    sa.Column('given_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('given_figures', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('content_sha256', sa.Text(), server_default='', nullable=False),
    sa.Column('receiver_id', sa.BigInteger(), nullable=True),
    sa.Column('receiver', sa.Text(), server_default='', nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('remark', sa.Text(), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'section_id'], ['section.tenant_id', 'section.id'], name=op.f('fk_handover_note_tenant_id_section_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_handover_note_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_handover_note'))
    )
    op.create_index('ix_handover_note_section', 'handover_note', ['tenant_id', 'section_id', 'id'], unique=False)
    op.create_index('uq_handover_note_open', 'handover_note', ['tenant_id', 'section_id'], unique=True, postgresql_where=sa.text("state <> 'received'"))
    op.create_table('ticket',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('notified_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('typed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('late_why', sa.Text(), server_default='', nullable=False),
    sa.Column('reporter', sa.Text(), nullable=False),
    sa.Column('section_id', sa.BigInteger(), nullable=True),
    sa.Column('analyzer_id', sa.BigInteger(), nullable=True),
    sa.Column('category', sa.Text(), nullable=False),
    sa.Column('severity', sa.Text(), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('owner', sa.Text(), server_default='', nullable=False),
    sa.Column('backup', sa.Text(), server_default='', nullable=False),
    sa.Column('state', sa.Text(), server_default='new', nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('solved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('root_cause', sa.Text(), server_default='', nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'analyzer_id'], ['analyzer.tenant_id', 'analyzer.id'], name=op.f('fk_ticket_tenant_id_analyzer_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'section_id'], ['section.tenant_id', 'section.id'], name=op.f('fk_ticket_tenant_id_section_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_ticket_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_ticket'))
    )
    op.create_index('ix_ticket_open', 'ticket', ['tenant_id', 'section_id', 'id'], unique=False, postgresql_where=sa.text("state <> 'closed'"))
    op.create_table('ticket_step',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('ticket_id', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('words', sa.Text(), nullable=False),
    sa.Column('by', sa.Text(), nullable=False),
    sa.Column('by_id', sa.BigInteger(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'ticket_id'], ['ticket.tenant_id', 'ticket.id'], name=op.f('fk_ticket_step_tenant_id_ticket_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_ticket_step_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_ticket_step'))
    )
    op.create_index('ix_ticket_step_ticket', 'ticket_step', ['tenant_id', 'ticket_id', 'id'], unique=False)
    op.add_column('bench_tube', sa.Column('due_at', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column('bench_tube', 'due_at')
    op.drop_index('ix_ticket_step_ticket', table_name='ticket_step')
    op.drop_table('ticket_step')
    op.drop_index('ix_ticket_open', table_name='ticket', postgresql_where=sa.text("state <> 'closed'"))
    op.drop_table('ticket')
    op.drop_index('uq_handover_note_open', table_name='handover_note', postgresql_where=sa.text("state <> 'received'"))
    op.drop_index('ix_handover_note_section', table_name='handover_note')
    op.drop_table('handover_note')
    op.drop_index('ix_day_entry_day', table_name='day_entry')
    op.drop_table('day_entry')
