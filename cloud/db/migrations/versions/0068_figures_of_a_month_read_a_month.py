"""figures of a month read a month"""

from alembic import op

revision = "0068"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_report_version_released",
        "report_version",
        ["released_at"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    )


def downgrade() -> None:
    op.drop_index("ix_report_version_released", table_name="report_version", postgresql_using="brin")
