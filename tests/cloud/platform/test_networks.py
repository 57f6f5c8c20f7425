"""Whoever logs in from outside the hospital shows two factors, whatever the role (M01 R2, SR10)."""

from __future__ import annotations

import pyotp
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from cloud.modules.platform import rules, secrets, sso
from cloud.modules.platform.models import LoginEvent, User, Workstation
from cloud.modules.platform.sso import Ticket
from tests.support.lab import PASSWORD, SECRET, SEED, Lab


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.20.0.0/16", "10.20.0.0/16"),
        (" 10.20.3.4/16 ", "10.20.0.0/16"),
        ("192.168.1.7", "192.168.1.7/32"),
        ("fd00::/8", "fd00::/8"),
        ("0.0.0.0/0", None),  # everybody
        ("::/0", None),
        ("10.20.0.0/33", None),
        ("检验楼", None),
        ("", None),
    ],
)
def test_a_network_has_one_spelling_and_is_never_everybodys(text: str, network: str | None) -> None:
    assert rules.network(text) == network


@pytest.mark.parametrize(
    ("ip", "near", "remote"),
    [
        ("8.8.8.8", [], False),  # nothing is on record: nobody can tell
        ("10.20.255.255", ["10.20.0.0/16"], False),
        ("10.21.0.0", ["10.20.0.0/16"], True),
        ("10.21.0.0", ["10.20.0.0/16", "10.21.0.0/32"], False),
        ("::ffff:10.20.0.1", ["10.20.0.0/16"], False),  # the same address as a dual-stack socket says it
        ("::1", ["10.20.0.0/16"], True),
        ("", ["10.20.0.0/16"], True),
        ("unknown", ["10.20.0.0/16"], True),
    ],
)
def test_outside_is_what_is_in_none_of_them(ip: str, near: list[str], remote: bool) -> None:
    assert rules.is_remote(ip, near) is remote


def login(lab: Lab, who: str, ip: str, totp: str = "") -> int:
    form = {"tenant": "a", "employee_no": who, "password": PASSWORD, "totp": totp}
    return lab.app.test_client().post("/login", base_url="https://localhost", data=form, environ_base={"REMOTE_ADDR": ip}).status_code


def test_a_clinician_comes_in_by_password_in_the_house_and_by_two_factors_from_outside(lab: Lab) -> None:
    assert login(lab, "clinician1", "203.0.113.9") == 303  # before anything is on record
    admin = lab.client("secadmin")
    for cidr, status in (("0.0.0.0/0", 422), ("x", 422), ("10.20.0.0/16", 303), ("10.20.9.9/16", 409)):
        assert admin.post("/admin/networks", {"cidr": cidr, "name": "检验楼"}).status_code == status, cidr
    assert admin.post("/admin/networks", {"cidr": "10.30.0.0/16", "name": " "}).status_code == 422
    assert "不在院内网段中" in admin.get("/admin/networks").text
    assert login(lab, "clinician1", "10.20.0.7") == 303 and login(lab, "clinician1", "203.0.113.9") == 422
    with lab.uow() as uow:
        assert uow.s.scalars(select(LoginEvent.outcome).order_by(LoginEvent.id.desc()).limit(1)).one() == "remote"
        uow.s.execute(text("UPDATE app_user SET totp_sealed = :t WHERE employee_no = 'clinician1'"), {"t": secrets.seal_totp(SEED, SECRET)})
    assert login(lab, "clinician1", "203.0.113.9", pyotp.TOTP(SEED).at(lab.clock())) == 303
    assert lab.client("tester").get("/admin/networks").status_code == 403
    assert login(lab, "clinician1", "203.0.113.9") == 200  # the code is asked for


def test_a_session_by_password_alone_ends_where_it_goes_on_outside(lab: Lab) -> None:
    def enter(who: str, totp: str = "") -> FlaskClient:
        browser = lab.app.test_client()
        form = {"tenant": "a", "employee_no": who, "password": PASSWORD, "totp": totp}
        here = {"REMOTE_ADDR": "10.20.0.7"}
        assert browser.post("/login", base_url="https://localhost", data=form, environ_base=here).status_code == 303
        return browser

    def go_on(browser: FlaskClient, ip: str, url: str = "/me") -> TestResponse:
        return browser.get(url, base_url="https://localhost", environ_base={"REMOTE_ADDR": ip})

    alone = enter("clinician1")
    assert go_on(alone, "203.0.113.9").status_code == 200  # nothing is on record: nobody can tell
    lab.client("secadmin").post("/admin/networks", {"cidr": "10.20.0.0/16", "name": "检验楼"})
    assert go_on(alone, "10.20.255.1").status_code == 200  # another bench of the house
    outside = go_on(alone, "203.0.113.10")
    assert outside.status_code == 302 and "why=remote" in outside.location
    assert "您已离开院内网络" in go_on(alone, "203.0.113.10", outside.location).text
    assert "您已离开" not in go_on(alone, "203.0.113.10", "/login?why=nonsense").text
    assert "/login" in go_on(alone, "10.20.0.7").location  # it is over, inside too
    both = enter("verifier1", pyotp.TOTP(SEED).at(lab.clock()))
    assert go_on(both, "203.0.113.10").status_code == 200  # two factors were shown
    with lab.uow() as uow:
        told = uow.s.execute(text("SELECT body FROM audit_log WHERE action = 'gone_outside'")).scalar_one()
    assert "10.20.0.7" in told and "203.0.113.10" in told and "clinician1" in told


def test_another_system_sends_nobody_over_from_outside(lab: Lab) -> None:
    with lab.uow() as uow:
        key = sso.add_source(uow, "his", "医院信息系统", SECRET).encode()
    lab.client("secadmin").post("/admin/networks", {"cidr": "10.20.0.0/16", "name": "检验楼"})

    def enter(ip: str, nonce: str) -> int:
        made = sso.make_ticket(key, "a", Ticket("his", "clinician1", nonce, lab.clock(), "/clinic"))
        data = {"tenant": "a", "ticket": made}
        return lab.app.test_client().post("/sso", base_url="https://localhost", data=data, environ_base={"REMOTE_ADDR": ip}).status_code

    assert (enter("203.0.113.9", "n" * 16), enter("10.20.0.1", "m" * 16)) == (401, 303)


def test_a_network_taken_off_is_audited_and_another_hospitals_is_nobodys(lab: Lab) -> None:
    admin = lab.client("secadmin")
    admin.post("/admin/networks", {"cidr": "10.20.0.0/16", "name": "检验楼"})
    with lab.uow() as uow:
        number = uow.s.execute(text("SELECT id FROM near_network")).scalar_one()
    assert lab.client("secadmin", lab.b).post(f"/admin/networks/{number}/remove").status_code == 404
    assert admin.post(f"/admin/networks/{number}/remove").status_code == 303
    assert admin.post(f"/admin/networks/{number}/remove").status_code == 404
    with lab.uow() as uow:
        said = uow.s.execute(text("SELECT action FROM audit_log WHERE entity = 'near_network' ORDER BY seq")).scalars().all()
        assert said == ["add", "remove"]


@pytest.mark.parametrize(
    ("text", "card"),
    [
        ("", ""),
        ("3c-52-82-1a-2b-3c", "3C:52:82:1A:2B:3C"),
        ("3c52.821a.2b3c", "3C:52:82:1A:2B:3C"),
        ("3C:52:82:1A:2B", None),
        ("3C:52:82:1A:2B:3G", None),
        ("3C:52:82:1A:2B:3C:00", None),
    ],
)
def test_a_network_card_has_one_spelling(text: str, card: str | None) -> None:
    assert rules.mac(text) == card


def test_a_workstation_says_what_it_is_and_prints_on(lab: Lab) -> None:
    admin = lab.client("sysadmin")
    admin.post("/workstations", {"code": "B1", "name": "生化 1 台"})
    with lab.uow() as uow:
        number = uow.s.scalars(select(Workstation.id).where(Workstation.code == "B1")).one()
    form = {"name": "生化 1 台", "mac": "3c-52-82-1a-2b-3c", "printers": "条码机 2、激光机,  "}
    assert admin.post(f"/workstations/{number}", form).status_code == 303
    assert admin.post(f"/workstations/{number}", form | {"mac": "12"}).status_code == 422
    page = admin.get("/workstations").text
    assert "3C:52:82:1A:2B:3C" in page and "条码机 2、激光机" in page
    assert lab.client("secadmin").get("/workstations").status_code == 403  # workstations are the system administrator's


@pytest.mark.parametrize(("text", "good"), [("", True), ("8123", True), ("+86 (10) 6275-1234", True), ("12", False), ("电话 8123", False)])
def test_a_telephone_is_digits(text: str, good: bool) -> None:
    assert (rules.telephone_problem(text) is None) is good


def test_a_telephone_is_kept_sealed_and_stands_in_no_audit(lab: Lab) -> None:
    admin, user = lab.client("secadmin"), lab.users[(lab.a, "tester")]

    def save(phone: str) -> int:
        with lab.uow() as uow:
            version = uow.s.scalar(select(User.version).where(User.id == user))
        form = {"version": version, "name": "检验者一号", "dept": "检验科", "role": ["tester"], "phone": phone}
        return admin.post(f"/admin/users/{user}", form).status_code

    assert save("电话") == 422 and save("13912345678") == 200
    assert "13912345678" in admin.get(f"/admin/users/{user}").text
    with lab.uow() as uow:
        sealed = uow.s.scalar(select(User.phone_sealed).where(User.id == user))
        assert sealed is not None and b"13912345678" not in sealed
        told = uow.s.execute(text("SELECT l::text FROM audit_log l WHERE entity = 'user' AND action = 'change'")).scalars()
        assert not any("1391234" in each for each in told)
    assert save("") == 200
    with lab.uow() as uow:
        assert uow.s.scalar(select(User.phone_sealed).where(User.id == user)) is None
