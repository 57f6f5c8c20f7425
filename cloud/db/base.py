"""Declarative base and the mixins every table is made of.

A tenant's table has the primary key ``(tenant_id, id)`` and every foreign key of it carries ``tenant_id``, so
that a row can only ever point inside its own hospital (RELIABILITY 0.4: a plain foreign key to another tenant's
row is accepted by PostgreSQL even under row security).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, ForeignKeyConstraint, Identity, Integer, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
JOBS_SCHEMA = "jobs"
"""Where Procrastinate's tables lie. Said here, so that whoever only queues jobs need not load what migrates (8 MB)."""


class Base(DeclarativeBase):
    """Root of all tables; text columns are unbounded, money and results are exact, times are aware."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        datetime: DateTime(timezone=True),
        Decimal: Numeric(),
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
    }


class TenantTable:
    """Mixin of a table whose rows belong to one hospital (row security is forced on it, see tenancy.py).

    ``tenant_id`` itself is no foreign key: each row written would look its hospital up and lock it, a hundred times a tube, and those who
    write at the same time would queue for that one row. Row security accepts no other hospital than the transaction's, hospitals are never
    deleted, and the audit chain, without which nothing is written, has the foreign key (``AuditHead``).
    """

    @declared_attr
    def tenant_id(cls) -> Mapped[int]:
        return mapped_column(Integer, primary_key=True, sort_order=-2)

    @declared_attr
    def id(cls) -> Mapped[int]:
        return mapped_column(BigInteger, Identity(), primary_key=True, insert_sentinel=True, sort_order=-1)


class Versioned:
    """Mixin for rows people edit: a stale save raises StaleDataError, which the web layer answers with 409 (C7)."""

    @declared_attr
    def version(cls) -> Mapped[int]:
        return mapped_column(Integer, nullable=False, default=1, server_default="1")

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.version}


def tenant_fk(column: str, target: str) -> ForeignKeyConstraint:
    """Foreign key ``column`` → ``target``.id inside the same tenant."""
    return ForeignKeyConstraint(["tenant_id", column], [f"{target}.tenant_id", f"{target}.id"])
