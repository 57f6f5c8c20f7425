"""a request may tell the patient's pregnancy, kept as the day it is counted from"""

import sqlalchemy as sa
from alembic import op

revision = '0043'
down_revision = '0042'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('lab_order', sa.Column('gest_from', sa.Date(), nullable=True))


def downgrade() -> None:
    op.drop_column('lab_order', 'gest_from')
