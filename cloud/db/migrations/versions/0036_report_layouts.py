"""report layouts"""

import sqlalchemy as sa
from alembic import op

revision = '0036'
down_revision = '0035'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('report_layout',
    sa.Column('tenant_id', sa.Integer(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('section_id', sa.BigInteger(), nullable=True),
    sa.Column('paper', sa.Text(), server_default='a5-landscape', nullable=False),
    sa.Column('subtitle', sa.Text(), server_default='', nullable=False),
    sa.Column('logo', sa.Text(), server_default='', nullable=False),
    sa.Column('show_code', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('show_method', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('tester_word', sa.Text(), server_default='检验者', nullable=False),
    sa.Column('verifier_word', sa.Text(), server_default='审核者', nullable=False),
    sa.Column('remarks', sa.Text(), server_default='', nullable=False),
    sa.Column('active', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('placeholder', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'section_id'], ['section.tenant_id', 'section.id'], name=op.f('fk_report_layout_tenant_id_section_id')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_report_layout_tenant_id')),
    sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f('pk_report_layout'))
    )


def downgrade() -> None:
    op.drop_table('report_layout')
