"""preliminary reports: a version may tell a part, a review may be of a part"""

import sqlalchemy as sa
from alembic import op

revision = '0033'
down_revision = '0032'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('report', sa.Column('partial', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('report_version', sa.Column('preliminary', sa.Boolean(), server_default='false', nullable=False))


def downgrade() -> None:
    op.drop_column('report_version', 'preliminary')
    op.drop_column('report', 'partial')
