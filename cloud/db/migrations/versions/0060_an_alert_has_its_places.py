"""an alert says which sections and wards it is about: a right that counts elsewhere does not show it"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0060"
down_revision = "0067"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alert", sa.Column("at", postgresql.ARRAY(sa.TEXT()), server_default="{}", nullable=False))


def downgrade() -> None:
    op.drop_column("alert", "at")
