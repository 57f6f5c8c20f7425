"""Plain statements on the short way behave as on SQLAlchemy's own."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from cloud.modules.catalog.models import SavedSetting
from tests.support.hospital import Hospital, hospital, shared_db

__all__ = ["hospital", "shared_db"]


def test_what_was_changed_in_memory_is_seen(hospital: Hospital) -> None:
    with hospital.uow() as uow:
        uow.s.add(SavedSetting(key="k", value={"a": [1, "二"]}))
        assert uow.s.execute(text("SELECT value FROM setting WHERE key = :k"), {"k": "k"}).scalar_one() == {"a": [1, "二"]}
        uow.s.query(SavedSetting).one().value = {"a": 2}
        assert uow.s.execute(text("SELECT value FROM setting")).scalar() == {"a": 2}


def test_results_answer_like_any_result(hospital: Hospital) -> None:
    with hospital.uow() as uow:
        row = uow.s.execute(text("SELECT 1 AS a, CAST(:x AS numeric) AS b, '100%' AS c"), {"x": Decimal("1.50")}).one()
        assert (row.a, row.b, row[2]) == (1, Decimal("1.50"), "100%")
        assert uow.s.execute(text("SELECT 1 WHERE false")).one_or_none() is None
        assert list(uow.s.scalars(text("SELECT n FROM generate_series(1, 3) AS s(n)"))) == [1, 2, 3]
        assert uow.s.scalar(text("SELECT count(*) FROM unnest(CAST(:l AS int[])) AS u"), {"l": [1, 2]}) == 2
        uow.s.execute(text("UPDATE setting SET value = value WHERE key LIKE 'a%'"))


def test_errors_are_sqlalchemys_and_roll_back(hospital: Hospital) -> None:
    insert = text("INSERT INTO setting (tenant_id, key, value) VALUES (:t, 'twice', '{}')")
    with pytest.raises(IntegrityError), hospital.uow() as uow:
        for _ in range(2):
            uow.s.execute(insert, {"t": uow.tenant_id})
    with pytest.raises(DBAPIError), hospital.uow() as uow:
        uow.s.execute(text("SELECT nonsense FROM setting"))
    assert hospital.rows("SELECT 1 FROM setting WHERE key = 'twice'") == []


def test_a_savepoint_takes_plain_statements_back(hospital: Hospital) -> None:
    """Also the first of them, also after an error, and what was written before and after it stays."""
    insert = text("INSERT INTO setting (tenant_id, key, value) VALUES (:t, :k, '{}')")
    with hospital.uow() as uow:
        uow.s.execute(insert, {"t": uow.tenant_id, "k": "before"})
        point = uow.s.begin_nested()
        uow.s.execute(insert, {"t": uow.tenant_id, "k": "taken back"})
        point.rollback()
        with pytest.raises(IntegrityError), uow.s.begin_nested():
            uow.s.execute(insert, {"t": uow.tenant_id, "k": "before"})
        with uow.s.begin_nested():
            uow.s.execute(insert, {"t": uow.tenant_id, "k": "kept"})
        uow.s.execute(insert, {"t": uow.tenant_id, "k": "after"})
    assert [r[0] for r in hospital.rows("SELECT key FROM setting WHERE key IN ('before', 'taken back', 'kept', 'after') ORDER BY 1")] == [
        "after",
        "before",
        "kept",
    ]
