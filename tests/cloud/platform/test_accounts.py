"""Accounts from opening to leaving; passwords that age; roles of the hospital's own; access just in time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

import pyotp
import pytest
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from cloud import admin
from cloud.db.session import UnitOfWork
from cloud.modules.platform import accounts, alerts, grants, queries, rules, watch
from cloud.modules.platform.models import AccessLog, User
from cloud.modules.platform.rules import GRANT_MOVES, USER_MOVES, GrantState, UserState
from cloud.modules.servicedesk.queries import open_title
from cloud.modules.servicedesk.service import New, open_ticket
from cloud.web.faults import Conflict, Invalid
from common.errors import UserError
from tests.support.database import TestDatabase
from tests.support.lab import PASSWORD, PIN, SEED, Client, Clock, Lab, make

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
FRESH = "Fresh-Word-2026"


@pytest.fixture
def lab(fresh_db: TestDatabase) -> Iterator[Lab]:
    made = make(fresh_db, Clock(NOW))
    yield made
    made.db.dispose()


def login(lab: Lab, who: str, password: str = PASSWORD, **more: str) -> TestResponse:
    form = {"tenant": "a", "employee_no": who, "password": password, **more}
    return lab.app.test_client().post("/login", base_url="https://localhost", data=form)


def entered(lab: Lab, answer: TestResponse, user: str) -> Client:
    assert answer.status_code == 303, answer.text
    token = answer.headers["Set-Cookie"].split("=", 1)[1].split(";")[0].split(".", 1)[1]
    return Client(lab.app.test_client(), lab.a, token, lab.users.get((lab.a, user), 0))


def ticket(uow: UnitOfWork) -> int:
    """A ticket of the service desk that is being worked on."""
    return open_ticket(uow, New("甲", "三号机不传结果", "P2", "fault"))


def test_a_new_account_is_pending_until_its_person_has_chosen_a_password(lab: Lab) -> None:
    form = {"employee_no": "neu7", "name": "新人", "password": "First-Word-2026", "role": "tester"}
    assert lab.client("secadmin").post("/admin/users", form).status_code == 200

    def state() -> str:
        with lab.uow() as uow:
            return uow.s.scalars(select(User.status).where(User.employee_no == "neu7")).one()

    assert state() == "pending"
    c = entered(lab, login(lab, "neu7", "First-Word-2026"), "neu7")
    assert c.get("/bench").headers["Location"].endswith("/me/password")  # nothing else is open
    given = {"old": "First-Word-2026", "new": FRESH, "again": FRESH}
    assert c.post("/me/password", given | {"again": "x"}).status_code == 422 and state() == "pending"
    assert c.post("/me/password", given).status_code == 200 and state() == "active"
    assert c.get("/me").status_code == 200
    with lab.uow() as uow:
        told = (
            "SELECT action FROM audit_log a JOIN app_user u ON u.id::text = a.entity_id AND a.entity = 'user' WHERE u.employee_no = 'neu7'"
        )
        assert {"create", "change_password", "active"} <= set(uow.s.execute(text(told)).scalars())


def test_a_password_of_ninety_days_opens_nothing_but_its_change(lab: Lab) -> None:
    lab.clock.advance(days=89, hours=23, minutes=59)
    assert "检验者" in entered(lab, login(lab, "tester1"), "tester").get("/me").text
    lab.clock.advance(minutes=1)
    c = entered(lab, login(lab, "tester1"), "tester")
    assert c.get("/me").headers["Location"].endswith("/me/password")
    assert "已到期" in c.get("/me/password").text
    bad = {
        "wrong": ("Wrong-Word-1", FRESH, FRESH),
        "differ": (PASSWORD, FRESH, FRESH + "x"),
        "weak": (PASSWORD, "short", "short"),
        "same": (PASSWORD, PASSWORD, PASSWORD),
    }
    for old, new, again in bad.values():
        assert c.post("/me/password", {"old": old, "new": new, "again": again}).status_code == 422
    assert c.post("/me/password", {"old": PASSWORD, "new": FRESH, "again": FRESH}).status_code == 200
    assert c.get("/me").status_code == 200
    assert login(lab, "tester1").status_code == 422


def test_the_last_five_passwords_are_refused_the_sixth_is_not(lab: Lab) -> None:
    c = lab.client("tester", workstation="")
    words = [PASSWORD, *(f"Fresh-Word-{n}" for n in range(1, 6))]
    for old, new in zip(words, words[1:], strict=False):
        lab.clock.advance(minutes=1)
        assert c.post("/me/password", {"old": old, "new": new, "again": new}).status_code == 200
    for used in words[1:]:
        assert "最近 5 次" in c.post("/me/password", {"old": words[-1], "new": used, "again": used}).text
    assert c.post("/me/password", {"old": words[-1], "new": words[0], "again": words[0]}).status_code == 200


def test_changing_the_password_ends_every_other_login(lab: Lab) -> None:
    here, there = lab.client("tester", workstation=""), lab.client("tester", workstation="")
    here.post("/me/password", {"old": PASSWORD, "new": FRESH, "again": FRESH})
    assert here.get("/me").status_code == 200 and there.get("/me").headers["Location"].startswith("/login")


@pytest.mark.parametrize(
    ("pin", "good"), [("246810", True), ("123456", False), ("987654", False), ("111111", False), ("12345", False), ("12345a", False)]
)
def test_pins(pin: str, good: bool) -> None:
    assert (rules.pin_problem(pin) is None) is good


def test_the_own_pin(lab: Lab) -> None:
    c = lab.client("verifier", workstation="")
    assert c.post("/me/pin", {"password": "x", "pin": "135791"}).status_code == 422
    assert c.post("/me/pin", {"password": PASSWORD, "pin": "135791"}).status_code == 200
    assert c.post("/sign/open", {"pin": PIN}, htmx=True).status_code == 422
    assert c.post("/sign/open", {"pin": "135791"}, htmx=True).status_code == 200


def test_the_second_step_of_a_login_carries_no_password(lab: Lab) -> None:
    first = login(lab, "verifier1")
    assert PASSWORD not in first.text
    proof = first.text.split('name="proof" value="')[1].split('"')[0]
    code = pyotp.TOTP(SEED).at(lab.clock())
    form = {"password": "", "totp": code}
    assert login(lab, "leader1", **form, proof=proof).status_code == 422
    lab.clock.advance(seconds=181)
    assert login(lab, "verifier1", password="", totp=pyotp.TOTP(SEED).at(lab.clock()), proof=proof).status_code == 422
    again = login(lab, "verifier1").text.split('name="proof" value="')[1].split('"')[0]
    assert login(lab, "verifier1", password="", totp=pyotp.TOTP(SEED).at(lab.clock()), proof=again).status_code == 303


@pytest.mark.parametrize(("state", "to"), list(product(UserState, UserState)))
def test_every_move_of_an_account_not_listed_is_refused(state: UserState, to: UserState) -> None:
    listed = {
        ("pending", "active"), ("pending", "left"), ("active", "locked"), ("active", "suspended"), ("active", "left"),
        ("locked", "active"), ("locked", "suspended"), ("locked", "left"), ("suspended", "active"), ("suspended", "left"),
    }  # fmt: skip
    assert rules.may_move(state, to) is ((state.value, to.value) in listed)
    assert USER_MOVES.keys() == set(UserState)


def test_suspended_is_out_at_once_and_the_left_never_come_back(lab: Lab) -> None:
    tester, admin = lab.client("tester"), lab.client("secadmin")
    page = f"/admin/users/{lab.users[(lab.a, 'tester')]}"
    assert admin.post(f"{page}/move", {"to": "suspended"}).status_code == 200
    assert tester.get("/me").headers["Location"].startswith("/login")
    assert login(lab, "tester1").status_code == 422
    assert admin.post(f"{page}/move", {"to": "suspended"}).status_code == 409
    assert admin.post(f"{page}/move", {"to": "active"}).status_code == 200
    assert login(lab, "tester1").status_code == 303
    assert admin.post(f"{page}/move", {"to": "left"}).status_code == 200
    assert admin.post(f"{page}/move", {"to": "active"}).status_code == 409
    assert admin.post(f"{page}/move", {"to": "nonsense"}).status_code == 422
    assert lab.client("secadmin", lab.b).post(f"{page}/move", {"to": "left"}).status_code in (200, 404)


def changes(lab: Lab, user_id: int, **more: object) -> dict[str, object]:
    with lab.uow() as uow:
        version = uow.s.scalar(select(User.version).where(User.id == user_id))
    return {"version": version, "name": "检验者一号", "dept": "检验科", "role": ["tester"], **more}


def test_the_account_page_saves_once_and_shows_a_stale_save(lab: Lab) -> None:
    admin, user = lab.client("secadmin"), lab.users[(lab.a, "tester")]
    form = changes(lab, user, sections="SH，XY", wards="内一病区")
    assert admin.post(f"/admin/users/{user}", form).status_code == 200
    assert admin.post(f"/admin/users/{user}", form).status_code == 409
    with lab.uow() as uow:
        assert uow.s.scalar(select(User.sections).where(User.id == user)) == ["SH", "XY"]
    assert admin.post(f"/admin/users/{user}", changes(lab, user, name=" ")).status_code == 422
    assert admin.post(f"/admin/users/{user}", changes(lab, user, badge="B-leader")).status_code == 422


def test_roles_are_given_by_another_never_two_of_the_three_and_always_told(lab: Lab) -> None:
    admin, user, own = lab.client("secadmin"), lab.users[(lab.a, "tester")], lab.users[(lab.a, "secadmin")]
    assert admin.post(f"/admin/users/{user}", changes(lab, user, role=["tester", "receiver"])).status_code == 200
    with lab.uow() as uow:
        assert accounts.roles_of(uow, user) == {"tester", "receiver"}
        assert any(a.kind == "platform.privilege" for a in alerts.visible(uow, frozenset({rules.Perm.AUDIT})))
        assert {p for p, _ in queries.effective(uow, user)} >= {"specimens:receive"}
    assert admin.post(f"/admin/users/{user}", changes(lab, user, role=["sysadmin", "auditadmin"])).status_code == 422
    assert admin.post(f"/admin/users/{user}", changes(lab, user, role=["nobody"])).status_code == 422
    with lab.uow() as uow:
        version = uow.s.scalar(select(User.version).where(User.id == own))
    refused = admin.post(f"/admin/users/{own}", {"version": version, "name": "安全管理员一号", "role": ["secadmin", "director"]})
    assert refused.status_code == 409


def test_a_role_of_the_own_hospital(lab: Lab) -> None:
    admin = lab.client("secadmin")
    form = {"code": "morning", "name": "早班接收", "permission": ["specimens:receive"]}
    assert admin.post("/admin/roles", form).status_code == 200
    assert admin.post("/admin/roles", {**form, "code": "tester"}).status_code == 422
    assert admin.post("/admin/roles", {**form, "permission": ["platform:users"]}).status_code == 422
    assert admin.post("/admin/roles", {**form, "permission": ["no:such"]}).status_code == 422
    assert admin.post("/admin/roles", {**form, "code": "", "name": ""}).status_code == 422
    assert 'value="morning" readonly' in admin.get("/admin/roles?role=morning").text
    assert admin.post("/admin/roles", {**form, "changing": "morning", "permission": ["specimens:reject"]}).status_code == 200
    assert "早班接收" in admin.get("/admin/roles").text
    with lab.uow(lab.b) as uow:
        assert "morning" not in {r.code for r in queries.roles(uow)}


def test_a_reset_password_must_be_changed_and_the_new_seed_is_shown_once(lab: Lab) -> None:
    admin, user = lab.client("secadmin"), lab.users[(lab.a, "tester")]
    assert admin.post(f"/admin/users/{user}/password", {"password": "weak"}).status_code == 422
    assert admin.post(f"/admin/users/{user}/password", {"password": FRESH}).status_code == 200
    assert entered(lab, login(lab, "tester1", FRESH), "tester").get("/").headers["Location"].endswith("/me/password")
    seed = admin.post(f"/admin/users/{lab.users[(lab.a, 'verifier')]}/totp").text.split("<code>")[1].split("</code>")[0]
    assert login(lab, "verifier1", totp=pyotp.TOTP(SEED).at(lab.clock())).status_code == 422
    assert login(lab, "verifier1", totp=pyotp.TOTP(seed).at(lab.clock())).status_code == 303


def test_a_locked_account_is_opened_by_the_administrator(lab: Lab) -> None:
    for _ in range(5):
        login(lab, "tester1", "Wrong-Word-1")
    admin, user = lab.client("secadmin"), lab.users[(lab.a, "tester")]
    assert login(lab, "tester1").status_code == 422
    assert admin.post(f"/admin/users/{user}/unlock").status_code == 200
    assert login(lab, "tester1").status_code == 303
    assert admin.post(f"/admin/users/{user}/unlock").status_code == 409


@pytest.mark.parametrize(("state", "to"), list(product(GrantState, GrantState)))
def test_every_move_of_an_access_not_listed_is_refused(state: GrantState, to: GrantState) -> None:
    assert (to in GRANT_MOVES[state]) is ((state, to) in {("asked", "approved"), ("asked", "refused"), ("approved", "ended")})


@pytest.mark.parametrize(
    ("hours", "purpose", "good"), [(1, "看日志", True), (8, "看日志", True), (0, "看日志", False), (9, "看日志", False), (2, " ", False)]
)
def test_what_may_be_asked_for(hours: int, purpose: str, good: bool) -> None:
    assert (rules.grant_problem(hours, purpose) is None) is good


def test_an_engineer_comes_in_for_the_approved_hours_reads_only_and_is_recorded(lab: Lab) -> None:
    def come(**more: str) -> TestResponse:
        lab.clock.advance(seconds=60)
        return login(lab, "engineer1", totp=pyotp.TOTP(SEED).at(lab.clock()), **more)

    asked = come()
    assert asked.status_code == 200 and "申请访问" in asked.text
    proof = asked.text.split('name="proof" value="')[1].split('"')[0]
    form = {"tenant": "a", "employee_no": "engineer1", "proof": proof, "hours": "2", "purpose": "查看血球仪链路"}
    http = lab.app.test_client()
    assert "1 到 8 小时" in http.post("/login/access", base_url="https://localhost", data={**form, "hours": "9"}).text
    assert http.post("/login/access", base_url="https://localhost", data={**form, "proof": "x"}).status_code == 422
    assert "没有编号为" in http.post("/login/access", base_url="https://localhost", data={**form, "change_ticket": "CHG-7"}).text
    assert "已送交" in http.post("/login/access", base_url="https://localhost", data=form).text
    assert come().status_code == 200  # not approved yet
    info = lab.client("infogroup", workstation="")
    page = info.get("/admin/grants").text
    assert "查看血球仪链路" in page
    with lab.uow() as uow:
        ((grant, _name, _no),) = grants.page(uow)
    assert info.post(f"/admin/grants/{grant.id}", {"to": "approved"}, htmx=True).status_code == 200
    assert info.post(f"/admin/grants/{grant.id}", {"to": "refused"}, htmx=True).status_code == 409
    engineer = entered(lab, come(), "engineer")
    assert engineer.get("/edge/board").status_code == 200
    refused = engineer.post("/sessions/1/kick")
    assert refused.status_code == 403
    with lab.uow() as uow:
        assert "GET /edge/board" in {e.path for e in uow.s.scalars(select(AccessLog).where(AccessLog.purpose == "support"))}
    lab.clock.set(NOW + timedelta(hours=4))
    assert engineer.get("/me").headers["Location"].startswith("/login")
    with lab.uow() as uow:
        watch.end_grants(uow)
        ((grant, _name, _no),) = grants.page(uow)
        assert grant.state == "ended"
    assert "申请访问" in come().text


def test_a_read_only_engineer_changes_nothing_one_with_a_ticket_may(lab: Lab) -> None:
    with lab.uow() as uow:
        user = uow.s.scalars(select(User).where(User.employee_no == "engineer1")).one()
        grant = grants.ask(uow, open_title, user, 2, "改对照", "")
        with pytest.raises(Conflict):
            grants.ask(uow, open_title, user, 2, "再来一次", "")
    info = lab.client("infogroup")
    info.post(f"/admin/grants/{grant.id}", {"to": "approved"}, htmx=True)
    engineer = lab.client("engineer", workstation="")
    assert (
        "只能查看" in engineer.post("/lang/en").text or engineer.post("/alerts/1/acknowledge", {"note": "x"}, htmx=True).status_code == 403
    )
    info.post(f"/admin/grants/{grant.id}", {"to": "ended"}, htmx=True)
    assert engineer.get("/me").headers["Location"].startswith("/login")
    with lab.uow() as uow:
        user = uow.s.scalars(select(User).where(User.employee_no == "engineer1")).one()
        grant = grants.ask(uow, open_title, user, 2, "改对照", str(ticket(uow)))
    info.post(f"/admin/grants/{grant.id}", {"to": "approved"}, htmx=True)
    engineer = lab.client("engineer", workstation="")
    assert engineer.post("/alerts/1/acknowledge", {"note": "x"}, htmx=True).status_code == 404


@pytest.mark.parametrize("state", list(rules.TenantState))
@pytest.mark.parametrize("to", list(rules.TenantState))
def test_every_move_of_a_hospital_not_listed_is_refused(state: rules.TenantState, to: rules.TenantState) -> None:
    listed = {("trial", "active"), ("active", "read_only"), ("read_only", "active"), ("read_only", "closed")}
    assert (to in rules.TENANT_MOVES[state]) == ((state, to) in listed)


def test_a_read_only_hospital_looks_up_and_prints_and_changes_nothing(lab: Lab) -> None:
    leader = lab.client("leader")
    admin.set_tenant_state(lab.settings, "A", rules.TenantState.READ_ONLY)
    assert leader.get("/critical/register").status_code == 200
    assert leader.post("/critical/register/print", {"kind": "pdf"}).status_code == 303
    assert leader.post("/scan", {"code": "X"}).status_code != 403
    refused = leader.post("/critical/limits/contact", {"level": "1", "phone": "1"})
    assert refused.status_code == 403 and "已转为只读" in refused.text
    assert lab.client("leader", lab.b).post("/critical/limits/contact", {"level": "1", "phone": "1"}).status_code == 303
    with pytest.raises(UserError, match="不能改为"):
        admin.set_tenant_state(lab.settings, "a", rules.TenantState.READ_ONLY)
    admin.set_tenant_state(lab.settings, "a", rules.TenantState.ACTIVE)
    assert leader.post("/critical/limits/contact", {"level": "1", "phone": "1"}).status_code == 303


@pytest.mark.parametrize(
    ("typed", "number"),
    [("12", 12), ("#12", 12), (" 工单 12 ", 12), ("No.12", 12), ("１２", 12), ("CHG-12", None), ("12a", None), ("", None), ("-1", None)],
)
def test_a_tickets_number_as_people_write_it(typed: str, number: int | None) -> None:
    assert rules.ticket_number(typed) == number


def test_r7_changes_need_a_ticket_that_is_being_worked_on(lab: Lab) -> None:
    info = lab.client("infogroup")
    with lab.uow(lab.b) as uow:
        foreign = [ticket(uow) for _ in range(3)][-1]
    with lab.uow() as uow:
        user = uow.s.scalars(select(User).where(User.employee_no == "engineer1")).one()
        real, closed = ticket(uow), ticket(uow)
        uow.s.execute(text("UPDATE ticket /* by hand */ SET state = 'closed' WHERE id = :i"), {"i": closed})
        for given in ("CHG-1", "999", str(closed), str(foreign)):
            with pytest.raises(Invalid, match="没有编号为"):
                grants.ask(uow, open_title, user, 2, "改对照", given)
        grant = grants.ask(uow, open_title, user, 2, "改对照", f"#{real}").id
    page = info.get("/admin/grants").text
    assert f'<a href="/desk/{real}">' in page and "三号机不传结果" in page
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE ticket /* by hand */ SET state = 'closed' WHERE id = :i"), {"i": real})
    assert "已关闭" in info.get("/admin/grants").text
    late = info.post(f"/admin/grants/{grant}", {"to": "approved"}, htmx=True)
    assert late.status_code == 409 and "已关闭或不存在" in late.text
    assert info.post(f"/admin/grants/{grant}", {"to": "refused"}, htmx=True).status_code == 200


def test_nobody_approves_the_own_request(lab: Lab) -> None:
    with lab.uow() as uow:
        user = uow.s.scalars(select(User).where(User.employee_no == "infogroup1")).one()
        grant = grants.ask(uow, open_title, user, 2, "自己批准自己")
    assert lab.client("infogroup").post(f"/admin/grants/{grant.id}", {"to": "approved"}, htmx=True).status_code == 409


def test_dormant_accounts_are_told_until_somebody_uses_them(lab: Lab) -> None:
    lab.clock.advance(days=91)
    lab.client("tester")
    with lab.uow() as uow:
        watch.dormant(uow)
        told = {a.fields["no"] for a in alerts.visible(uow, frozenset({rules.Perm.USERS}))}
        assert "nurse1" in told and "tester1" not in told


def test_the_security_reports(lab: Lab) -> None:
    login(lab, "tester1", "Wrong-Word-1")
    lab.client("secadmin").post(f"/admin/users/{lab.users[(lab.a, 'nurse')]}/move", {"to": "suspended"})
    page = lab.client("auditadmin").get("/admin/reports").text
    assert "密码不正确" in page and "停用" in page


def test_pages_open_in_both_languages(lab: Lab) -> None:
    admin = lab.client("secadmin")
    user = lab.users[(lab.a, "tester")]
    for url in ("/admin/users", "/admin/users?q=test", f"/admin/users/{user}", "/admin/roles?role=tester", "/admin/sso", "/me/password"):
        assert admin.get(url).status_code == 200
        admin.c.set_cookie("lang", "en", domain="localhost", secure=True)
        assert admin.get(url).status_code == 200
    assert "tester1" in admin.get("/admin/users?q=test").text and "nurse1" not in admin.fragment("/admin/users?q=test").text


def test_bad_roles_are_named(lab: Lab) -> None:
    with lab.uow() as uow:
        with pytest.raises(Invalid):
            accounts.compose_role(uow, "中文", "名称", [], frozenset())
