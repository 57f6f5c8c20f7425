"""pictures beside results"""

import sqlalchemy as sa
from alembic import op

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('run_picture',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('specimen_id', sa.BigInteger(), nullable=False),
    sa.Column('observation_id', sa.BigInteger(), nullable=False),
    sa.Column('analyzer_id', sa.BigInteger(), nullable=True),
    sa.Column('stream', sa.Text(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('media', sa.Text(), server_default='', nullable=False),
    sa.Column('data', sa.LargeBinary(), nullable=False),
    sa.Column('problem', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'analyzer_id'], ['analyzer.tenant_id', 'analyzer.id'], name=op.f('fk_run_picture_tenant_id_analyzer_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'observation_id'], ['observation.tenant_id', 'observation.id'], name=op.f('fk_run_picture_tenant_id_observation_id')),
    sa.ForeignKeyConstraint(['tenant_id', 'specimen_id'], ['specimen.tenant_id', 'specimen.id'], name=op.f('fk_run_picture_tenant_id_specimen_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_run_picture_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_run_picture')),
    sa.UniqueConstraint('tenant_id', 'observation_id', name=op.f('uq_run_picture_tenant_id_observation_id'))
    )
    op.create_index('ix_run_picture_specimen', 'run_picture', ['tenant_id', 'specimen_id', 'id'], unique=False)
    op.add_column('order_set', sa.Column('graphs', sa.Boolean(), server_default='false', nullable=False))


def downgrade() -> None:
    op.drop_column('order_set', 'graphs')
    op.drop_index('ix_run_picture_specimen', table_name='run_picture')
    op.drop_table('run_picture')
