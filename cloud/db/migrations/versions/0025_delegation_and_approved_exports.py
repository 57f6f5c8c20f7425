"""delegation and approved exports"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "delegation",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("to_id", sa.BigInteger(), nullable=False),
        sa.Column("first", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("permissions", postgresql.ARRAY(sa.TEXT()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id", "from_id"], ["app_user.tenant_id", "app_user.id"], name=op.f("fk_delegation_tenant_id_from_id")),
        sa.ForeignKeyConstraint(["tenant_id", "to_id"], ["app_user.tenant_id", "app_user.id"], name=op.f("fk_delegation_tenant_id_to_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_delegation_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_delegation")),
    )
    op.create_index("ix_delegation_to", "delegation", ["tenant_id", "to_id", "until"])
    op.add_column("list_job", sa.Column("rows", sa.Integer(), server_default="0", nullable=False))
    op.add_column("list_job", sa.Column("approval", sa.Text(), server_default="", nullable=False))
    op.add_column("list_job", sa.Column("purpose", sa.Text(), server_default="", nullable=False))
    op.add_column("list_job", sa.Column("decided_by", sa.Text(), nullable=True))
    op.add_column("list_job", sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_list_job_asked", "list_job", ["tenant_id", "id"], postgresql_where=sa.text("approval = 'asked'"))


def downgrade() -> None:
    op.drop_index("ix_list_job_asked", table_name="list_job")
    for name in ("decided_at", "decided_by", "purpose", "approval", "rows"):
        op.drop_column("list_job", name)
    op.drop_table("delegation")
