"""a digest each morning"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0067"
down_revision = "0064"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "digest",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "user_id"], ["app_user.tenant_id", "app_user.id"], name=op.f("fk_digest_tenant_id_user_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_digest")),
        sa.UniqueConstraint("tenant_id", "day", "user_id", name=op.f("uq_digest_tenant_id_day_user_id"), postgresql_nulls_not_distinct=True),
    )
    op.create_index("ix_digest_user", "digest", ["tenant_id", "user_id", "day"], unique=False)
    op.create_index("ix_digest_next", "digest", ["tenant_id", "next_at"], unique=False, postgresql_where=sa.text("next_at IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("ix_digest_next", table_name="digest", postgresql_where=sa.text("next_at IS NOT NULL"))
    op.drop_index("ix_digest_user", table_name="digest")
    op.drop_table("digest")
