"""sealed numbers of patients"""

import sqlalchemy as sa
from alembic import op

revision = '0031'
down_revision = '0030'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('patient', sa.Column('phone_sealed', sa.LargeBinary(), nullable=True))
    op.add_column('patient', sa.Column('phone_key', sa.Text(), nullable=True))
    op.create_index('ix_patient_phone', 'patient', ['tenant_id', 'phone_key'], unique=False, postgresql_where=sa.text('phone_key IS NOT NULL'))
    op.add_column('patient_identifier', sa.Column('sealed', sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column('patient_identifier', 'sealed')
    op.drop_index('ix_patient_phone', table_name='patient')
    op.drop_column('patient', 'phone_key')
    op.drop_column('patient', 'phone_sealed')
