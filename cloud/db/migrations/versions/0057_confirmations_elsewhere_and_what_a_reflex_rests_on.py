"""confirmations elsewhere and what a reflex rests on"""

import sqlalchemy as sa
from alembic import op

revision = '0057'
down_revision = '0056'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('confirmation',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('specimen_id', sa.BigInteger(), nullable=False),
    sa.Column('section_id', sa.BigInteger(), nullable=False),
    sa.Column('test_id', sa.BigInteger(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.Text(), server_default='waiting', nullable=False),
    sa.Column('screened', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('asked_by', sa.Text(), nullable=False),
    sa.Column('lab', sa.Text(), server_default='', nullable=False),
    sa.Column('carrier', sa.Text(), server_default='', nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('sent_by', sa.Text(), server_default='', nullable=False),
    sa.Column('report_no', sa.Text(), server_default='', nullable=False),
    sa.Column('conclusion', sa.Text(), server_default='', nullable=False),
    sa.Column('back_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('back_by', sa.Text(), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'item_id'], ['test_item.tenant_id', 'test_item.id'], name=op.f('fk_confirmation_tenant_id_item_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'section_id'], ['section.tenant_id', 'section.id'], name=op.f('fk_confirmation_tenant_id_section_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'specimen_id'], ['specimen.tenant_id', 'specimen.id'], name=op.f('fk_confirmation_tenant_id_specimen_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'test_id'], ['test.tenant_id', 'test.id'], name=op.f('fk_confirmation_tenant_id_test_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_confirmation'))
    )
    op.create_index('ix_confirmation_test', 'confirmation', ['tenant_id', 'test_id'], unique=False)
    op.create_index('ix_confirmation_section', 'confirmation', ['tenant_id', 'section_id', 'id'], unique=False)
    op.add_column('reflex_rule', sa.Column('authority', sa.Text(), server_default='ask', nullable=False))
    op.add_column('reflex_rule', sa.Column('charge', sa.Text(), server_default='charge', nullable=False))
    # What two people approved to be added by itself goes on doing so; in every hospital's own context (row security binds the owner too).
    conn = op.get_bind()
    for tenant in conn.execute(sa.text("SELECT id FROM tenant ORDER BY id")).scalars().all():
        conn.execute(sa.text("SELECT set_config('app.tenant', :t, true)"), {"t": str(tenant)})
        conn.execute(sa.text("UPDATE reflex_rule SET authority = 'standing' WHERE action = 'add'"))
    conn.execute(sa.text("SELECT set_config('app.tenant', '', true)"))


def downgrade() -> None:
    op.drop_column('reflex_rule', 'charge')
    op.drop_column('reflex_rule', 'authority')
    op.drop_index('ix_confirmation_section', table_name='confirmation')
    op.drop_index('ix_confirmation_test', table_name='confirmation')
    op.drop_table('confirmation')
