"""campuses of a hospital, where a role counts, and which modules a hospital has"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0050'
down_revision = '0049'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('campus',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('address', sa.Text(), server_default='', nullable=False),
    sa.Column('sections', postgresql.ARRAY(sa.TEXT()), server_default='{}', nullable=False),
    sa.Column('wards', postgresql.ARRAY(sa.TEXT()), server_default='{}', nullable=False),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_campus_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_campus')),
    sa.UniqueConstraint('tenant_id', 'code', name=op.f('uq_campus_tenant_id_code'))
    )
    op.add_column('tenant', sa.Column('edition', sa.Text(), server_default='full', nullable=False))
    op.add_column('workstation', sa.Column('campus', sa.Text(), server_default='', nullable=False))
    op.add_column('user_role', sa.Column('scope', sa.Text(), server_default='tenant', nullable=False))
    op.add_column('user_role', sa.Column('campus_id', sa.BigInteger(), nullable=True))
    # Rows that stand are checked, and row security asks whose they are; in the new column all are nobody's.
    op.execute("SELECT set_config('app.tenant', '0', true)")
    op.create_foreign_key(op.f('fk_user_role_tenant_id_campus_id'), 'user_role', 'campus', ['tenant_id', 'campus_id'], ['tenant_id', 'id'])
    op.execute("SELECT set_config('app.tenant', '', true)")


def downgrade() -> None:
    op.drop_constraint(op.f('fk_user_role_tenant_id_campus_id'), 'user_role', type_='foreignkey')
    op.drop_column('user_role', 'campus_id')
    op.drop_column('user_role', 'scope')
    op.drop_column('workstation', 'campus')
    op.drop_column('tenant', 'edition')
    op.drop_table('campus')
