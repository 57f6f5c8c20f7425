"""a result that a person attached stays with its tube while its code waits for an item"""

import sqlalchemy as sa
from alembic import op

revision = '0041'
down_revision = '0040'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('observation', sa.Column('attached', sa.Boolean(), server_default='false', nullable=False))


def downgrade() -> None:
    op.drop_column('observation', 'attached')
