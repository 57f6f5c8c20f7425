"""signatures wait for the ca"""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('signature', sa.Column('ca_state', sa.Text(), server_default='none', nullable=False))
    op.add_column('signature', sa.Column('ca_serial', sa.Text(), nullable=True))
    op.add_column('signature', sa.Column('ca_certificate', sa.Text(), nullable=True))
    op.add_column('signature', sa.Column('ca_value', sa.Text(), nullable=True))
    op.add_column('signature', sa.Column('ca_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('signature', sa.Column('ca_error', sa.Text(), nullable=True))
    op.create_index('ix_signature_ca', 'signature', ['tenant_id', 'id'], unique=False, postgresql_where=sa.text("ca_state = 'pending'"))


def downgrade() -> None:
    op.drop_index('ix_signature_ca', table_name='signature', postgresql_where=sa.text("ca_state = 'pending'"))
    op.drop_column('signature', 'ca_error')
    op.drop_column('signature', 'ca_at')
    op.drop_column('signature', 'ca_value')
    op.drop_column('signature', 'ca_certificate')
    op.drop_column('signature', 'ca_serial')
    op.drop_column('signature', 'ca_state')
