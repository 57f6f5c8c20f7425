"""connections nobody counts on"""

import sqlalchemy as sa
from alembic import op

revision = '0035'
down_revision = '0034'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('connection', sa.Column('spare', sa.Boolean(), server_default='false', nullable=False))


def downgrade() -> None:
    op.drop_column('connection', 'spare')
