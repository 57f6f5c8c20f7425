"""what a bag's temperature logger recorded on the way; which items are in an accreditation's scope"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0040'
down_revision = '0039'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('specimen_bag', sa.Column('temp_curve', postgresql.JSONB(), server_default='[]', nullable=False))
    op.add_column('test_item', sa.Column('accredited', sa.Text(), server_default='', nullable=False))


def downgrade() -> None:
    op.drop_column('test_item', 'accredited')
    op.drop_column('specimen_bag', 'temp_curve')
