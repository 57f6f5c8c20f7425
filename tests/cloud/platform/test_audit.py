"""The audit chain: append-only for the app, and every tampering named at its first broken entry (C4, AC-PL-4)."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from cloud.db import audit
from tests.support.database import TestDatabase
from tests.support.lab import Lab

TAMPER: dict[str, tuple[str, int, str]] = {
    "body edited": ("UPDATE audit_log SET body = replace(body, 'act-5', 'act-X') WHERE tenant_id = 1 AND action = 'act-5'", 0, "hash"),
    "column edited": ("UPDATE audit_log SET actor = 'nobody' WHERE tenant_id = 1 AND action = 'act-5'", 0, "columns"),
    "entry removed": ("DELETE FROM audit_log WHERE tenant_id = 1 AND action = 'act-5'", 0, "missing"),
    "tail cut": ("DELETE FROM audit_log WHERE tenant_id = 1 AND action = 'act-9'", 4, "tail"),
    "hash edited": ("UPDATE audit_log SET hash = sha256('x') WHERE tenant_id = 1 AND action = 'act-5'", 0, "hash"),
}


def ten(lab: Lab) -> int:
    """Ten entries; returns the seq of the one called act-5."""
    for n in range(10):
        with lab.uow() as uow:
            uow.audit("thing", n, f"act-{n}", before={"值": n}, after={"值": n + 1}, reason="测试")
    with lab.uow() as uow:
        return int(uow.s.execute(text("SELECT seq FROM audit_log WHERE action = 'act-5'")).scalar_one())


def as_superuser(database: TestDatabase, statement: str) -> None:
    engine = create_engine(database.admin_url)
    with engine.begin() as conn:
        conn.execute(text(statement))
    engine.dispose()


def test_untouched_chain_is_whole(lab: Lab) -> None:
    ten(lab)
    with lab.uow() as uow:
        count, broken = audit.verify(uow.s)
    assert broken is None and count >= 10


@pytest.mark.parametrize("how", TAMPER)
def test_ac_pl_4_tampering_names_the_first_broken_entry(lab: Lab, fresh_db: TestDatabase, how: str) -> None:
    seq = ten(lab)
    statement, offset, reason = TAMPER[how]
    as_superuser(fresh_db, statement)
    with lab.uow() as uow:
        _count, broken = audit.verify(uow.s)
    assert broken == audit.Broken(seq + offset, reason)


@pytest.mark.parametrize(
    "verb",
    [
        "UPDATE audit_log SET actor = 'x'",
        "DELETE FROM audit_log",
        "INSERT INTO audit_log SELECT * FROM audit_log",
        "DELETE FROM access_log",
    ],
)
def test_app_role_can_only_append(lab: Lab, verb: str) -> None:
    ten(lab)
    with pytest.raises(DBAPIError, match="permission denied"), lab.uow() as uow:
        uow.s.execute(text(verb))


def test_rolled_back_change_leaves_no_entry(lab: Lab) -> None:
    with lab.uow() as uow:
        before = audit.verify(uow.s)[0]
    with pytest.raises(ZeroDivisionError), lab.uow() as uow:
        uow.audit("thing", 1, "never")
        raise ZeroDivisionError
    with lab.uow() as uow:
        assert audit.verify(uow.s) == (before, None)


def test_ac_pl_1_foreign_and_absent_leave_the_same_access_event(lab: Lab) -> None:
    client = lab.client("secadmin", workstation="")
    other = lab.client("secadmin", lab.b)
    with lab.uow(lab.b) as uow:
        foreign = uow.s.execute(text("SELECT max(id) FROM user_session")).scalar_one()
    for value in (foreign, 987654321):
        assert client.post(f"/sessions/{value}/kick").status_code == 404
    with lab.uow() as uow:
        rows = uow.s.execute(text("SELECT user_id, patient_id, purpose FROM access_log ORDER BY id")).all()
    assert len(rows) == 2 and rows[0] == rows[1]
    assert other.get("/me").status_code == 200


def test_page_searches_and_verifies(lab: Lab) -> None:
    ten(lab)
    client = lab.client("auditadmin", workstation="")
    page = client.get("/audit?entity=thing&entity_id=5").text
    assert "act-5" in page and "act-6" not in page
    assert "链条完整" in client.post("/audit/verify", htmx=True).text


def test_every_view_may_be_asked_in_english(lab: Lab) -> None:
    client = lab.client("auditadmin", workstation="")
    assert "校验链条" in client.get("/audit").text
    client.c.set_cookie("lang", "en", domain="localhost")
    page = client.get("/audit").text
    assert 'lang="en"' in page
    assert "校验链条" not in page


def test_a_hospital_that_is_not_registered_has_no_chain_and_so_no_change(lab: Lab) -> None:
    # No other table asks: see cloud.db.base.TenantTable.
    with pytest.raises(DBAPIError, match="fk_audit_head_tenant_id"), lab.db.tenant(987654) as uow:
        uow.audit("thing", 1, "made")
