"""Standard roles: a new release's permissions reach the roles a hospital left as they were, once, and no other."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from cloud import admin
from cloud.cli import main
from cloud.modules.platform import rules, standard
from tests.support.database import TestDatabase
from tests.support.lab import Lab, all_permissions

NEW = {"later:read": ("tester", "leader"), "later:write": ("leader",)}


@pytest.mark.parametrize(
    ("offered", "held", "changed"),
    [
        ((), (), False),
        ((), ("a",), False),
        (("a",), ("a",), False),
        (("a",), (), True),
        (("a",), ("a", "b"), True),
        (("a", "gone"), ("a",), False),
        (("a",), ("a", "gone"), False),
    ],
)
def test_a_role_is_changed_when_it_holds_something_else_than_it_was_offered(
    offered: tuple[str, ...], held: tuple[str, ...], changed: bool
) -> None:
    assert rules.role_changed(offered, held, {"a", "b"}) is changed


def held(lab: Lab, role: str, tenant: int = 1) -> set[str]:
    with lab.uow(tenant) as uow:
        query = text(
            "SELECT p.permission FROM role_permission p JOIN role r ON (r.tenant_id, r.id) = (p.tenant_id, p.role_id) WHERE r.code = :r"
        )
        return set(uow.s.execute(query, {"r": role}).scalars())


def test_a_new_permission_reaches_unchanged_roles_once_and_is_told(lab: Lab) -> None:
    with lab.uow() as uow:
        assert standard.bring_up(uow, all_permissions()) == standard.Brought({}, {})
        assert uow.s.execute(text("SELECT count(*) FROM alert")).scalar_one() == 0
    with lab.uow() as uow:
        uow.s.execute(
            text("DELETE FROM role_permission WHERE permission = 'qc:read' AND role_id = (SELECT id FROM role WHERE code = 'tester')")
        )
    with lab.uow() as uow:
        brought = standard.bring_up(uow, all_permissions() | NEW)
    assert brought == standard.Brought({"leader": ["later:read", "later:write"]}, {"tester": ["later:read"]})
    assert {"later:read", "later:write"} <= held(lab, "leader") and not {"later:read", "qc:read"} & held(lab, "tester")
    assert "later:read" not in held(lab, "leader", lab.b)
    with lab.uow() as uow:
        kinds = uow.s.execute(text("SELECT kind FROM alert ORDER BY kind")).scalars().all()
        assert kinds == ["platform.held_back", "platform.privilege"]
        assert uow.s.execute(text("SELECT count(*) FROM audit_log WHERE action = 'standard_roles'")).scalar_one() == 2
        assert standard.bring_up(uow, all_permissions() | NEW) == standard.Brought({}, {})
    # What is taken away afterwards does not come back either.
    with lab.uow() as uow:
        uow.s.execute(text("DELETE FROM role_permission WHERE permission = 'later:write'"))
    with lab.uow() as uow:
        assert standard.bring_up(uow, all_permissions() | NEW) == standard.Brought({}, {})
    assert "later:write" not in held(lab, "leader")


def test_a_hospital_from_before_the_offers_gets_what_it_lacks(
    lab: Lab, fresh_db: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with lab.uow() as uow:
        uow.s.execute(text("DELETE FROM role_offer"))
        uow.s.execute(text("DELETE FROM role_permission WHERE permission = 'quality:read'"))
    for name, value in (("DATABASE_URL", fresh_db.app_url), ("OWNER_URL", fresh_db.owner_url), ("SECRET", lab.settings.secret)):
        monkeypatch.setenv(f"JIANLIAN_{name}", value)
    monkeypatch.setattr("cloud.db.migrate.upgrade", lambda *_: None)  # the schema is there; this is about what follows it
    assert main(["migrate"]) == 0
    assert "a：角色 quality 增加权限 quality:read" in capsys.readouterr().out
    assert "quality:read" in held(lab, "quality")
    assert all(b == standard.Brought({}, {}) for _, b in admin.bring_up_roles(lab.settings))


def test_what_an_earlier_release_gave_a_standard_role_is_taken_back_and_told(lab: Lab) -> None:
    """Workstations are the system administrator's (permissions.md); a hospital that changed the role keeps its own."""
    old = all_permissions() | {"platform:workstations": ("sysadmin", "secadmin")}
    for tenant in (lab.a, lab.b):
        with lab.uow(tenant) as uow:
            standard.bring_up(uow, old)
    assert "platform:workstations" in held(lab, "secadmin") and "platform:workstations" in held(lab, "secadmin", lab.b)
    with lab.uow(lab.b) as uow:
        gone = "DELETE FROM role_permission WHERE permission = 'platform:sso' AND role_id = (SELECT id FROM role WHERE code = 'secadmin')"
        uow.s.execute(text(gone))
    for tenant in (lab.a, lab.b):
        with lab.uow(tenant) as uow:
            standard.bring_up(uow, all_permissions())
            standard.bring_up(uow, all_permissions())
    assert "platform:workstations" not in held(lab, "secadmin") and "platform:workstations" in held(lab, "secadmin", lab.b)
    assert "platform:workstations" in held(lab, "sysadmin")
    with lab.uow() as uow:
        fields = uow.s.execute(text("SELECT fields FROM alert WHERE kind = 'platform.privilege' ORDER BY id DESC LIMIT 1")).scalar_one()
        assert fields["less"] == "platform:workstations"
