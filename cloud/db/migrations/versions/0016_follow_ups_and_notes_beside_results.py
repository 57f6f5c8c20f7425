"""follow ups and notes beside results"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('follow_up',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('specimen_id', sa.BigInteger(), nullable=False),
    sa.Column('section_id', sa.BigInteger(), nullable=False),
    sa.Column('test_id', sa.BigInteger(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='asked', nullable=False),
    sa.Column('rule', sa.Text(), server_default='', nullable=False),
    sa.Column('depth', sa.Integer(), server_default='0', nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('dilution', sa.Numeric(), server_default='1', nullable=False),
    sa.Column('first_id', sa.BigInteger(), nullable=True),
    sa.Column('second_id', sa.BigInteger(), nullable=True),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('asked_by', sa.BigInteger(), nullable=True),
    sa.Column('asked_name', sa.Text(), server_default='', nullable=False),
    sa.Column('settled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('settled_by', sa.BigInteger(), nullable=True),
    sa.Column('settled_name', sa.Text(), server_default='', nullable=False),
    sa.Column('outcome', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'item_id'], ['test_item.tenant_id', 'test_item.id'], name=op.f('fk_follow_up_tenant_id_item_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'section_id'], ['section.tenant_id', 'section.id'], name=op.f('fk_follow_up_tenant_id_section_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'specimen_id'], ['specimen.tenant_id', 'specimen.id'], name=op.f('fk_follow_up_tenant_id_specimen_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'test_id'], ['test.tenant_id', 'test.id'], name=op.f('fk_follow_up_tenant_id_test_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_follow_up_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_follow_up'))
    )
    op.create_index('ix_follow_up_section', 'follow_up', ['tenant_id', 'section_id', 'id'], unique=False)
    op.create_index('ix_follow_up_specimen', 'follow_up', ['tenant_id', 'specimen_id'], unique=False)
    op.create_index('uq_follow_up_open', 'follow_up', ['tenant_id', 'test_id', 'item_id'], unique=True, postgresql_where=sa.text("state IN ('asked','back','refused')"))
    op.add_column('hil_limit', sa.Column('reject_above', sa.Numeric(), nullable=True))
    op.add_column('hil_limit', sa.Column('direction', sa.Text(), server_default='', nullable=False))
    op.add_column('test', sa.Column('notes', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False))


def downgrade() -> None:
    op.drop_column('test', 'notes')
    op.drop_column('hil_limit', 'direction')
    op.drop_column('hil_limit', 'reject_above')
    op.drop_index('uq_follow_up_open', table_name='follow_up', postgresql_where=sa.text("state IN ('asked','back','refused')"))
    op.drop_index('ix_follow_up_specimen', table_name='follow_up')
    op.drop_index('ix_follow_up_section', table_name='follow_up')
    op.drop_table('follow_up')
