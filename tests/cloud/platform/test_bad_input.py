"""M01 *Bad input*, a test a line of the specification (an expired certificate stands in test_certificates.py): in words, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import select, text

from cloud.modules.catalog.models import Section, raise_version
from cloud.modules.catalog.queries import HOSPITAL_ZONE
from cloud.modules.changes.models import CatalogChange
from cloud.modules.platform import accounts, alerts, delegation
from cloud.modules.platform.alerts import Alert
from cloud.modules.platform.models import Role, User
from cloud.modules.platform.rules import Level
from cloud.modules.scheduling import service as scheduling
from cloud.modules.servicedesk import service as desk
from cloud.modules.servicedesk.models import Ticket
from tests.support.database import TestDatabase, TestServer
from tests.support.lab import Clock, Lab, make

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def lab(pg: TestServer, schema_template: TestDatabase) -> Iterator[Lab]:
    database = pg.create(schema_template.name)
    made = make(database, Clock(NOW))
    yield made
    made.db.dispose()
    pg.drop(database.name)


@pytest.mark.parametrize(("host", "status"), [("nobody.localhost", 404), ("localhost", 200)])
def test_m01_bad_input_unknown_tenant_host_is_a_neutral_404(lab: Lab, host: str, status: int) -> None:
    """unknown tenant host → neutral 404, the same as for any page that is not there"""
    c = lab.app.test_client()
    for answer in (c.get("/login", base_url=f"https://{host}"), c.get("/login", base_url=f"https://{host}", headers={"Host": host})):
        assert answer.status_code == status
        assert status == 200 or ("不存在，请核对后重试" in answer.text and "医院" not in answer.text)


@pytest.mark.parametrize(
    ("typed", "words", "field"),
    [
        ({"name": "另一个"}, "角色代码 morning 已存在（早班接收）。要修改它，请先取用该角色。", "code"),
        ({"code": "evening"}, "已有名为“早班接收”的角色，请换一个名称。", "name"),
        ({"code": "中文"}, "请填写角色代码（字母和数字）和名称。", "code"),
    ],
)
def test_m01_bad_input_duplicate_role_is_a_field_error(lab: Lab, typed: dict[str, str], words: str, field: str) -> None:
    """role duplicate → field error, with everything that was composed"""
    admin = lab.client("secadmin")
    form = {"code": "morning", "name": "早班接收", "permission": ["specimens:receive", "orders:read"]}
    with lab.uow() as uow:
        if uow.s.scalars(select(Role).where(Role.code == "morning")).first() is None:
            accounts.compose_role(uow, "morning", "早班接收", ["specimens:receive"], frozenset(["specimens:receive"]))
    refused = admin.post("/admin/roles", form | typed)
    assert refused.status_code == 422 and words in refused.text
    kept = form | typed
    assert f'name="{field}"' in refused.text and f'value="{kept["code"]}"' in refused.text and f'value="{kept["name"]}"' in refused.text
    assert all(f'value="{p}" checked' in refused.text for p in form["permission"]) and refused.text.count(" checked") == 2
    with lab.uow() as uow:
        assert [r.name for r in uow.s.scalars(select(Role).where(Role.code.in_(["morning", "evening"])))] == ["早班接收"]


def test_m01_bad_input_rights_never_go_round_in_a_circle(lab: Lab) -> None:
    """role cycle: no role holds another one, and what was lent is not lent on, nor back"""
    quality = lab.users[(lab.a, "quality")]
    with lab.uow() as uow:
        assert "results:release" not in delegation.own_rights(uow, quality)
    give = {"until": "2026-11-24T08:00", "permission": ["results:release"], "reason": "休假"}
    lent = lab.client("verifier").post("/me/delegations", give | {"to": "quality1"})
    assert lent.status_code == 303, lent.text
    holder = lab.client("quality")
    assert "审核发布报告" in holder.get("/me").text
    for to in ("verifier1", "director1"):
        back = holder.post("/me/delegations", give | {"to": to}, htmx=True)
        assert back.status_code == 422 and "请从您自己角色的权限中选择要委托的；代理来的权限不能再委托。" in back.text


def test_m01_bad_input_leaver_with_open_tasks_hands_them_over_first(lab: Lab) -> None:
    """leaver with open tasks → forced hand-over list before closing"""
    user = lab.users[(lab.a, "receiver")]
    with lab.uow() as uow:
        alerts.raise_alert(uow, Alert("specimens.late", "tube:1", Level.WARNING, "标本迟到", "/sp/late", "specimens:receive"))
        (row,) = alerts.visible(uow, frozenset({"specimens:receive"}))
    lab.client("receiver").post(f"/alerts/{row.id}/acknowledge", {"note": "我来"}, htmx=True)
    admin, page = lab.client("secadmin"), f"/admin/users/{user}"
    for successor in ("", "receiver1", "nobody"):
        refused = admin.post(f"{page}/move", {"to": "left", "successor": successor})
        assert refused.status_code == 422 and "还有未了的事项，离职前须交接：请填写接手人的工号。" in refused.text
        assert "未了的事项" in refused.text and "标本迟到" in refused.text, "the list itself"
        assert not successor or f'name="successor" value="{successor}"' in refused.text
        with lab.uow() as uow:
            assert uow.s.get_one(User, (lab.a, user)).status == "active"
    assert admin.post(f"{page}/move", {"to": "left", "successor": "leader1"}).status_code == 200
    with lab.uow() as uow:
        assert [a.subject for a in alerts.held_by(uow, lab.users[(lab.a, "leader")])] == ["tube:1"]


def test_m01_a_leavers_tickets_duty_and_changes_go_to_the_successor(lab: Lab) -> None:
    user, to = lab.users[(lab.a, "leader")], lab.users[(lab.a, "senior")]
    admin, page = lab.client("secadmin"), f"/admin/users/{user}"
    with lab.uow() as uow:
        today = uow.now.astimezone(HOSPITAL_ZONE).date()
        section = Section(code="CHEM", name="生化")
        uow.s.add(section)
        uow.s.flush()
        raise_version(uow.s)
        ticket = desk.open_ticket(uow, desk.New("甲", "仪器不传结果", "P2", "fault"))
        uow.s.execute(
            text("UPDATE ticket /* by hand */ SET state = 'accepted', owner = u.name, backup = 'x' FROM app_user u WHERE u.id = :u"),
            {"u": user},
        )
        shift = scheduling.add_shift(uow, "A", "白班", time(8), time(17))
        scheduling.assign(uow, user, section.id, shift.id, today - timedelta(days=3), today + timedelta(days=3), "8001")
        scheduling.assign(uow, user, section.id, shift.id, today + timedelta(days=10), today + timedelta(days=10))
        clash = scheduling.assign(uow, to, section.id, shift.id, today + timedelta(days=2), today + timedelta(days=2)).id
        change = CatalogChange(
            kind="items", title="改单位", rows=[], reason="x", requested_by=user, requested_name="甲", requested_at=uow.now
        )
        change.section_by = to
        uow.s.add(change)
        uow.s.flush()
        number = change.id
    listed = admin.get(page).text
    assert "仪器不传结果" in listed and "改单位" in listed and listed.count("值班 生化") == 2
    leave = {"to": "left", "successor": "senior1"}
    refused = admin.post(f"{page}/move", leave)
    assert refused.status_code == 409 and "批准过，不能再由其提出" in refused.text
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE catalog_change SET section_by = NULL"))
    refused = admin.post(f"{page}/move", leave)
    assert refused.status_code == 409 and "时间重叠" in refused.text
    with lab.uow() as uow:
        assert uow.s.get_one(User, (lab.a, user)).status == "active" and uow.s.get_one(Ticket, (lab.a, ticket)).backup == "x"
        assert uow.s.get_one(CatalogChange, (lab.a, number)).requested_by == user, "all or nothing"
        scheduling.cancel(uow, clash, "换人")
    assert admin.post(f"{page}/move", leave).status_code == 200
    with lab.uow() as uow:
        row = uow.s.get_one(Ticket, (lab.a, ticket))
        assert (row.owner, row.backup) == (uow.s.get_one(User, (lab.a, to)).name, "x")
        assert uow.s.get_one(CatalogChange, (lab.a, number)).requested_by == to
        query = text("SELECT user_id, first, last, phone FROM duty WHERE cancelled_at IS NULL ORDER BY first")
        assert [tuple(r) for r in uow.s.execute(query)] == [
            (user, today - timedelta(days=3), today - timedelta(days=1), "8001"),
            (to, today, today + timedelta(days=3), "8001"),
            (to, today + timedelta(days=10), today + timedelta(days=10), ""),
        ]
    # Owner and backup of a ticket stay two people.
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE ticket SET backup = u.name FROM app_user u WHERE u.id = :u"), {"u": lab.users[(lab.a, "quality")]})
    refused = admin.post(f"/admin/users/{to}/move", {"to": "left", "successor": "quality1"})
    assert refused.status_code == 409 and "不能是同一人" in refused.text
