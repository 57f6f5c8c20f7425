"""PostgreSQL array literals made fast: a bulk statement of 5 000 rows spends more time in psycopg's array dumper than in the server.

``CAST(:ids AS bigint[])`` takes the text made here as it takes a list; only one-dimensional arrays, only what a column may hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal


def literal(values: Iterable[object]) -> str:
    """``{1,NULL,"a \\"b\\""}`` of ints, Decimals, bools, datetimes, strings and None. Raises TypeError for anything else."""
    return "{" + ",".join([_element(v) for v in values]) + "}"


def _element(value: object) -> str:
    if isinstance(value, str):
        # Two plain replacements are ten times as fast as one expression with a group.
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return '"' + value.isoformat() + '"'
    raise TypeError(f"no array element: {type(value).__name__}")
