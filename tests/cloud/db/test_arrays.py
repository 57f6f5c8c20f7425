"""Array literals must come back from PostgreSQL as what went in, whatever a text holds."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud.db.arrays import literal
from tests.support.database import TestDatabase

NASTY = ["", "NULL", "null", '"', "\\", '\\"', "{}", "{a,b}", "a,b", " a ", "\r\n\t", "张三丰䶮", "𠮷", "'", "%s", ":x", "\x01\x1c", None]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


class Kind(StrEnum):
    PLAIN = "plain"


def back(conn: psycopg.Connection[tuple[object]], kind: str, values: list[object]) -> object:
    return conn.execute(f"SELECT %s::{kind}[]", (literal(values),)).fetchone()[0]  # type: ignore[index]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(values=st.lists(TEXT) | st.lists(st.none() | TEXT))
def test_texts_survive(empty_db: TestDatabase, values: list[object]) -> None:
    with psycopg.connect(empty_db.app_conninfo) as conn:
        assert back(conn, "text", values) == values


def test_every_kind_survives(empty_db: TestDatabase) -> None:
    at = datetime(2026, 5, 4, 2, 0, 0, 123456, tzinfo=UTC)
    with psycopg.connect(empty_db.app_conninfo) as conn:
        assert back(conn, "text", list(NASTY)) == NASTY
        assert back(conn, "bigint", [1, -5, 2**62, None]) == [1, -5, 2**62, None]
        assert back(conn, "numeric", [Decimal("0.10"), Decimal("1E+3"), None]) == [Decimal("0.10"), Decimal("1000"), None]
        assert back(conn, "boolean", [True, False, None]) == [True, False, None]
        assert back(conn, "timestamptz", [at, None]) == [at, None]
        assert back(conn, "text", []) == []
        assert back(conn, "bigint", [1, -5, 2**62]) == [1, -5, 2**62]
        assert back(conn, "boolean", [True, False]) == [True, False]
        assert back(conn, "bigint", [None, None]) == [None, None]
        assert back(conn, "text", ["a", "b,c", Kind.PLAIN]) == ["a", "b,c", "plain"]
        assert back(conn, "text", ["a", 'b"c']) == ["a", 'b"c']
        assert back(conn, "text", ['b","c', "d\\"]) == ['b","c', "d\\"]
        assert back(conn, "timestamptz", [at, at, at + timedelta(microseconds=1)]) == [at, at, at + timedelta(microseconds=1)]


def test_what_no_column_holds_is_refused() -> None:
    with pytest.raises(TypeError):
        literal([b"bytes"])
    with pytest.raises(TypeError):
        literal([1.5])
