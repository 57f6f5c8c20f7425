"""rule sets: what a simulation ran with, each case of a validation, cases taken out of use, who wrote a set, when it takes over"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0053'
down_revision = '0052'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('av_simulation', sa.Column('fingerprint', sa.Text(), server_default='', nullable=False))
    op.add_column('av_validation', sa.Column('results', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False))
    op.add_column('av_case', sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint('uq_av_case_tenant_id_section_id_name', 'av_case', type_='unique')
    op.create_index('uq_av_case_name', 'av_case', ['tenant_id', 'section_id', 'name'], unique=True,
                    postgresql_where=sa.text('retired_at IS NULL'))
    op.add_column('av_rule_set', sa.Column('makers', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False))
    op.add_column('av_rule_set', sa.Column('activate_at', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column('av_rule_set', 'activate_at')
    op.drop_column('av_rule_set', 'makers')
    op.drop_index('uq_av_case_name', 'av_case')
    op.execute("DELETE FROM av_case WHERE retired_at IS NOT NULL")
    op.create_unique_constraint('uq_av_case_tenant_id_section_id_name', 'av_case', ['tenant_id', 'section_id', 'name'])
    op.drop_column('av_case', 'retired_at')
    op.drop_column('av_validation', 'results')
    op.drop_column('av_simulation', 'fingerprint')
