"""limits are reviewed every year"""

import sqlalchemy as sa
from alembic import op

revision = '0056'
down_revision = '0055'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('limit_review',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('by_id', sa.BigInteger(), nullable=True),
    sa.Column('by_name', sa.Text(), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'item_id'], ['test_item.tenant_id', 'test_item.id'], name=op.f('fk_limit_review_tenant_id_item_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_limit_review'))
    )
    op.create_index('ix_limit_review_item', 'limit_review', ['tenant_id', 'item_id', 'kind', 'at'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_limit_review_item', table_name='limit_review')
    op.drop_table('limit_review')
