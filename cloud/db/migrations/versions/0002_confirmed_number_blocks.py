"""A kiosk's number block is confirmed once the kiosk has named it as kept.

Additive with a default: the previous release neither reads nor writes it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("number_lease", sa.Column("confirmed", sa.Boolean(), server_default="false", nullable=False))


def downgrade() -> None:
    op.drop_column("number_lease", "confirmed")
