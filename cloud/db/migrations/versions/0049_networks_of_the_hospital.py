"""addresses of the hospital's own network; telephones of people; what a workstation is and prints on"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0049'
down_revision = '0048'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('near_network',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('cidr', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('by_name', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_near_network_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_near_network')),
    sa.UniqueConstraint('tenant_id', 'cidr', name=op.f('uq_near_network_tenant_id_cidr'))
    )
    op.add_column('app_user', sa.Column('phone_sealed', sa.LargeBinary(), nullable=True))
    op.add_column('workstation', sa.Column('mac', sa.Text(), server_default='', nullable=False))
    op.add_column('workstation', sa.Column('printers', postgresql.ARRAY(sa.TEXT()), server_default='{}', nullable=False))


def downgrade() -> None:
    op.drop_column('workstation', 'printers')
    op.drop_column('workstation', 'mac')
    op.drop_column('app_user', 'phone_sealed')
    op.drop_table('near_network')
