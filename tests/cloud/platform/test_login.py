"""Logging in, lockout, locks, quick-switch, signing window (M01)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from cloud.modules.platform import rules, service
from cloud.modules.platform.identity import SessionIdentity
from cloud.modules.platform.models import User
from cloud.web.faults import Conflict
from cloud.web.principal import Principal
from tests.support.database import TestDatabase
from tests.support.lab import PASSWORD, PIN, SEED, Clock, Lab, make


@pytest.fixture
def lab(fresh_db: TestDatabase) -> Iterator[Lab]:
    made = make(fresh_db, Clock(datetime(2026, 11, 23, 2, 0, tzinfo=UTC)))
    yield made
    made.db.dispose()


def login(lab: Lab, employee_no: str, password: str, totp: str = "", tenant: str = "a") -> TestResponse:
    form = {"tenant": tenant, "employee_no": employee_no, "password": password, "totp": totp}
    return lab.app.test_client().post("/login", base_url="https://localhost", data=form)


def test_right_password_enters_and_page_names_the_person(lab: Lab) -> None:
    c = lab.app.test_client()
    assert (
        c.post("/login", base_url="https://localhost", data={"tenant": "a", "employee_no": "tester1", "password": PASSWORD}).status_code
        == 303
    )
    assert "检验者一号" in c.get("/", base_url="https://localhost").text


def test_unknown_person_wrong_password_and_unknown_hospital_answer_alike(lab: Lab) -> None:
    answers = [login(lab, "nobody", PASSWORD), login(lab, "tester1", "wrong-Pass-1"), login(lab, "tester1", "wrong-Pass-1", tenant="zzz")]
    assert {a.status_code for a in answers} == {422}
    assert all("工号或密码不正确" in a.text for a in answers)


def test_ac_pl_2_five_wrong_passwords_lock_for_thirty_minutes(lab: Lab) -> None:
    start = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)
    for n in range(5):
        lab.clock.set(start + timedelta(seconds=10 * n))
        assert login(lab, "tester1", "wrong-Pass-1").status_code == 422
    lab.clock.set(start.replace(minute=20))
    assert login(lab, "tester1", PASSWORD).status_code == 422
    lab.clock.set(start.replace(minute=30, second=39))
    assert login(lab, "tester1", PASSWORD).status_code == 422
    lab.clock.set(start.replace(minute=30, second=41))
    assert login(lab, "tester1", PASSWORD).status_code == 303


def test_release_roles_need_the_second_factor_and_a_code_works_once(lab: Lab) -> None:
    first = login(lab, "verifier1", PASSWORD)
    assert first.status_code == 200 and "动态口令" in first.text
    wrong = login(lab, "verifier1", PASSWORD, "000000")
    assert wrong.status_code == 422 and "动态口令不正确" in wrong.get_data(as_text=True) and 'name="totp"' in wrong.get_data(as_text=True)
    code = pyotp.TOTP(SEED).at(lab.clock())
    assert login(lab, "verifier1", PASSWORD, code).status_code == 303
    assert login(lab, "verifier1", PASSWORD, code).status_code == 422


def test_idle_session_locks_and_opens_with_pin(lab: Lab) -> None:
    c = lab.client("tester", workstation="")
    lab.clock.advance(minutes=14)
    assert c.get("/me").status_code == 200
    lab.clock.advance(minutes=15)
    assert c.get("/me").headers["Location"].startswith("/locked")
    assert c.post("/unlock", {"pin": "999999"}).status_code == 422
    assert c.post("/unlock", {"pin": PIN}).status_code == 303
    assert c.get("/me").status_code == 200


def test_tubes_scanned_at_a_locked_screen_lock_nobody_out(lab: Lab) -> None:
    """Found by hand: the lock came between two tubes, and each scan after it counted as a wrong PIN."""
    c = lab.client("tester", workstation="")
    lab.clock.advance(minutes=30)
    for code in ["126332000192"] * 3 + ["Q26332A00012", "R126332000010", "6200000000103"]:
        refused = c.post("/unlock", {"pin": code})
        assert refused.status_code == 422 and "没有计为输错" in refused.text
    assert c.post("/unlock", {"pin": PIN}).status_code == 303
    assert "没有计为输错" in c.post("/sign/open", {"pin": "126332000192"}, htmx=True).text
    # A guess counts: of a PIN, and of a password also where there is no PIN.
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET pin_hash = NULL WHERE employee_no = 'tester1'"))
    lab.clock.advance(minutes=30)
    for _ in range(5):
        assert "连续 5 次错误" in c.post("/unlock", {"pin": "Guess-1234-x"}).text
    assert c.post("/unlock", {"pin": PASSWORD}).status_code == 422, "locked"


@pytest.mark.parametrize(
    ("secret", "scan"),
    [("126332000192", True), ("Q26332A00012", True), ("12345678", True), ("1234567", False), ("419952", False), ("Guess-1234-x", False)],
)
def test_what_is_a_scan_and_what_a_guess(secret: str, scan: bool) -> None:
    assert rules.looks_scanned(secret) is scan


def test_bench_locks_after_five_minutes(lab: Lab) -> None:
    c = lab.client("tester", workstation="WS1")
    lab.clock.advance(minutes=5)
    assert c.get("/me").headers["Location"].startswith("/locked")


def test_session_ends_after_twelve_hours_whatever_happens(lab: Lab) -> None:
    c = lab.client("tester", workstation="")
    for _ in range(72):
        lab.clock.advance(minutes=10)
        c.get("/me")
    assert c.get("/me").headers["Location"].startswith("/login")


def test_logged_out_cookie_is_refused(lab: Lab) -> None:
    c = lab.client("tester")
    assert c.post("/logout").status_code == 303
    c.c.set_cookie("__Host-jl", f"{c.tenant_id}.{c.token}", domain="localhost", secure=True)
    assert c.get("/me").headers["Location"].startswith("/login")


def test_quick_switch_needs_registered_workstation(lab: Lab) -> None:
    c = lab.client("tester", workstation="")
    assert c.post("/switch", {"badge": "B-verifier", "pin": PIN}).status_code == 409
    bench = lab.client("tester", workstation="WS1")
    assert bench.post("/switch", {"badge": "B-verifier", "pin": "0"}).status_code == 422
    assert bench.post("/switch", {"badge": "B-verifier", "pin": PIN}).status_code == 303
    assert "审核者一号" in bench.get("/me").text


def test_a_badge_does_not_outlive_the_password(lab: Lab) -> None:
    """R1: who only ever switches at the bench would never renew it."""
    bench = lab.client("tester", workstation="WS1")
    with lab.uow() as uow:
        old = "UPDATE app_user SET password_set_at = :at WHERE badge = 'B-verifier'"
        uow.s.execute(text(old), {"at": lab.clock() - timedelta(days=90)})
    assert bench.post("/switch", {"badge": "B-verifier", "pin": PIN}).status_code == 303
    with lab.uow() as uow:
        newest = "SELECT must_change FROM user_session ORDER BY id DESC LIMIT 1"
        assert uow.s.execute(text(newest)).scalar_one() is True


def test_signing_window_is_five_minutes_and_ends_at_lock(lab: Lab) -> None:
    c = lab.client("verifier", workstation="")
    assert c.post("/sign/open", {"pin": "1"}, htmx=True).status_code == 422
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE user_session SET mfa_at = NULL WHERE user_id = :u"), {"u": c.user_id})
    bare = c.post("/sign/open", {"pin": PIN}, htmx=True)
    assert bare.status_code == 422 and "<dialog" in bare.text and "动态口令" in bare.text, "said where the person looks: in the dialog"
    c = lab.client("verifier", workstation="")
    lab.sign(c)
    assert "未打开" not in c.get("/me").text
    lab.clock.advance(minutes=5)
    assert "未打开" in c.get("/me").text
    lab.sign(c)
    c.post("/lock")
    c.post("/unlock", {"pin": PIN})
    assert "未打开" in c.get("/me").text


def test_who_needs_no_second_factor_signs_but_releases_nothing(lab: Lab) -> None:
    for role, opens in (("tester", True), ("verifier", False)):
        with lab.uow() as uow:
            user = uow.s.get_one(User, (uow.tenant_id, lab.users[(lab.a, role)]))
            token = service.enter_as(uow, user, "WS1", "test", mfa=False).token
            who = SessionIdentity().authenticate(uow, token, "")
            assert isinstance(who, Principal) and not who.mfa
            if not opens:
                with pytest.raises(Conflict, match="动态口令"):
                    service.open_signing(uow, who, PIN)
                continue
            assert service.open_signing(uow, who, PIN)
            assert service.require_signing(uow, who)
            with pytest.raises(Conflict, match="动态口令"):
                service.require_signing(uow, who, release=True)


def test_post_without_or_with_foreign_csrf_token_is_refused(lab: Lab) -> None:
    c = lab.client("tester")
    assert c.c.post("/lock", base_url="https://localhost").status_code == 403
    other = lab.client("verifier")
    from cloud.web import csrf
    from tests.support.lab import SECRET

    stolen = {csrf.HEADER: csrf.token_for(other.token, SECRET)}
    assert c.c.post("/lock", base_url="https://localhost", headers=stolen).status_code == 403
    assert c.post("/lock", headers={"Origin": "https://evil.example"}).status_code == 403
    assert c.post("/lock", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_expired_session_inside_htmx_goes_to_the_whole_login_page(lab: Lab) -> None:
    c = lab.client("tester")
    c.post("/logout")
    c.c.set_cookie("__Host-jl", f"{c.tenant_id}.{c.token}", domain="localhost", secure=True)
    answer = c.fragment("/me")
    assert answer.status_code == 204 and answer.headers["HX-Redirect"].startswith("/login")
