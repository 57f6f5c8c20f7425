"""A scan with WeChat-Work as the second factor (M01 R2): beside TOTP and UKey, bound to its person, once, in the browser that began."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from cloud.ports import wework as port
from common.errors import PeerError
from tests.support.fake_wework import FakeWework
from tests.support.lab import PASSWORD, SEED, Lab

ORIGIN = {"Origin": "https://localhost"}


@pytest.fixture
def company() -> Iterator[FakeWework]:
    made = FakeWework()
    yield made
    made.close()


def app(company: FakeWework, **more: str) -> port.App:
    given = {"corp_id": "ww-corp", "agent_id": "1000002", "secret": "ww-secret", "api_base": company.base, "login_base": company.base}
    return port.App(**given | more)


def test_the_address_of_the_scan_page_is_the_documented_one() -> None:
    asked = urlsplit(port.App("ww1", "1000002", "s").page("https://lis.example/login/wework", "n&1"))
    assert (asked.scheme, asked.netloc, asked.path) == ("https", "login.work.weixin.qq.com", "/wwlogin/sso/login")
    assert parse_qs(asked.query) == {
        "login_type": ["CorpApp"],
        "appid": ["ww1"],
        "agentid": ["1000002"],
        "redirect_uri": ["https://lis.example/login/wework"],
        "state": ["n&1"],
    }


def test_a_code_tells_its_member_once(company: FakeWework) -> None:
    code = company.scan("WangWu")
    assert port.user_of(app(company), code) == "WangWu"
    with pytest.raises(PeerError, match="40029"):
        port.user_of(app(company), code)
    assert company.asked.count("/cgi-bin/gettoken") == 1  # kept until shortly before its end
    company.tokens.clear()
    assert port.user_of(app(company), company.scan("WangWu")) == "WangWu"  # a token that is over is asked for anew
    with pytest.raises(PeerError, match="不是本单位"):
        port.user_of(app(company), company.scan(openid="o-1"))
    with pytest.raises(PeerError, match="40001"):
        port.user_of(app(company, secret="other"), company.scan("WangWu"))
    company.broken = True
    with pytest.raises(PeerError, match="无法识别"):
        port.user_of(app(company), "x")
    with pytest.raises(PeerError, match="连不上") as away:
        port.user_of(app(company, api_base="http://127.0.0.1:1", secret="hidden"), "x")
    assert "hidden" not in away.value.message


@pytest.mark.parametrize(
    ("base", "good"),
    [
        ("https://qyapi.weixin.qq.com", True),
        ("http://127.0.0.1:80", True),
        ("http://qyapi.weixin.qq.com", False),
        ("file:///etc/passwd", False),
        ("https://a b", False),
        ("https://a?b=", False),
        ("http://127.0.0.1:80@evil.example", False),
        ("", False),
    ],
)
def test_which_addresses_are_asked(base: str, good: bool) -> None:
    assert port.is_address(base) is good


def configure(lab: Lab, company: FakeWework, **more: str) -> TestResponse:
    form = {"corp_id": "ww-corp", "agent_id": "1000002", "secret": "ww-secret", "api_base": company.base, "login_base": company.base}
    return lab.client("secadmin").post("/admin/wework", form | {"active": "1"} | more)


def bind(lab: Lab, who: str, userid: str) -> TestResponse:
    return lab.client("secadmin").post(f"/admin/users/{lab.users[(lab.a, who)]}/wework", {"wework_id": userid})


def begin(lab: Lab, who: str, following: str = "/me") -> tuple[FlaskClient, TestResponse, str]:
    """Password typed; the browser, the page, and the state in the link to scan ("" where there is none)."""
    browser = lab.app.test_client()
    form = {"tenant": "a", "employee_no": who, "password": PASSWORD, "next": following}
    page = browser.post("/login", base_url="https://localhost", data=form, headers=ORIGIN)
    link = re.search(r'id="scan" href="([^"]+)"', page.text)
    return browser, page, "" if link is None else parse_qs(urlsplit(unescape(link[1])).query)["state"][0]


def back(browser: FlaskClient, code: str, state: str) -> TestResponse:
    given = browser.get(f"/login/wework?code={code}&state={state}", base_url="https://localhost")
    assert given.status_code == 200 and code in given.text
    return browser.post("/login/wework", base_url="https://localhost", data={"code": code, "state": state}, headers=ORIGIN)


def test_a_scan_stands_beside_the_code(lab: Lab, company: FakeWework) -> None:
    assert begin(lab, "verifier1")[2] == ""  # nothing is set up
    assert configure(lab, company).status_code == 200
    assert begin(lab, "verifier1")[2] == ""  # not bound
    assert bind(lab, "verifier", "LiSi").status_code == 200
    browser, page, state = begin(lab, "verifier1")
    assert state and 'id="totp"' in page.text
    entered = back(browser, company.scan("lisi"), state)  # WeChat-Work's ids know no case
    assert entered.status_code == 303 and entered.location == "/me"
    assert browser.get("/me", base_url="https://localhost").status_code == 200
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT mfa_at IS NOT NULL FROM user_session ORDER BY id DESC LIMIT 1")).scalar_one()
        assert uow.s.execute(text("SELECT count(*) FROM wework_state")).scalar_one() == 0
    assert back(browser, company.scan("lisi"), state).status_code == 422  # used up
    form = {"tenant": "a", "employee_no": "verifier1", "password": PASSWORD, "totp": pyotp.TOTP(SEED).at(lab.clock())}
    assert lab.app.test_client().post("/login", base_url="https://localhost", data=form, headers=ORIGIN).status_code == 303


def test_a_scan_alone_is_a_second_factor_too(lab: Lab, company: FakeWework) -> None:
    configure(lab, company)
    bind(lab, "verifier", "LiSi")
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET totp_sealed = NULL WHERE employee_no = 'verifier1'"))
    browser, page, state = begin(lab, "verifier1")
    assert page.status_code == 200 and state and 'id="totp"' not in page.text
    assert back(browser, company.scan("LiSi"), state).status_code == 303
    configure(lab, company, active="")
    assert begin(lab, "verifier1")[1].status_code == 422  # switched off: no second factor is left


def test_anothers_scan_is_refused_and_counts_towards_the_lock(lab: Lab, company: FakeWework) -> None:
    configure(lab, company)
    bind(lab, "verifier", "LiSi")
    for n in range(5):
        browser, _page, state = begin(lab, "verifier1")
        assert state, n
        refused = back(browser, company.scan("WangWu"), state)
        assert refused.status_code == 422 and "不是登记在您名下的" in refused.text
        assert ('id="totp"' in refused.text) is (n < 4), "back to the second factor, until the account is shut"
    assert begin(lab, "verifier1")[1].status_code == 422
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM login_event WHERE outcome = 'wework'")).scalar_one() == 5


def test_a_state_is_good_once_in_its_own_browser_for_ten_minutes_and_this_password(lab: Lab, company: FakeWework) -> None:
    configure(lab, company)
    bind(lab, "verifier", "LiSi")
    browser, _page, state = begin(lab, "verifier1")
    stranger, _other, theirs = begin(lab, "verifier1")
    assert back(stranger, company.scan("LiSi"), state).status_code == 422  # begun in another browser
    assert back(lab.app.test_client(), company.scan("LiSi"), state).status_code == 422
    assert back(browser, company.scan("LiSi"), "").status_code == 422
    lab.clock.set(lab.clock() + timedelta(minutes=10))
    assert back(browser, company.scan("LiSi"), state).status_code == 422
    assert back(stranger, company.scan("LiSi"), theirs).status_code == 422
    browser, _page, state = begin(lab, "verifier1")
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET password_hash = password_hash || 'x' WHERE employee_no = 'verifier1'"))
    assert back(browser, company.scan("LiSi"), state).status_code == 422  # the password was changed meanwhile


def test_wework_that_is_away_is_told_and_the_code_still_opens(lab: Lab, company: FakeWework) -> None:
    configure(lab, company)
    bind(lab, "verifier", "LiSi")
    browser, _page, state = begin(lab, "verifier1")
    company.broken = True
    refused = back(browser, "x", state)
    assert refused.status_code == 422 and "企业微信没有确认这次扫码" in refused.text
    # Nothing is typed again: the number, the proof of the password, where to go; and another scan may follow.
    assert "verifier1" in refused.text and 'name="next" value="/me"' in refused.text and 'id="password"' not in refused.text
    company.broken = False
    link = re.search(r'id="scan" href="([^"]+)"', refused.text)
    assert link is not None
    again = back(browser, company.scan("LiSi"), parse_qs(urlsplit(unescape(link[1])).query)["state"][0])
    assert again.status_code == 303 and again.location == "/me"
    proof = refused.text.split('name="proof" value="')[1].split('"')[0]
    code = {"tenant": "a", "employee_no": "verifier1", "proof": proof, "totp": pyotp.TOTP(SEED).at(lab.clock())}
    assert lab.app.test_client().post("/login", base_url="https://localhost", data=code, headers=ORIGIN).status_code == 303
    with lab.uow() as uow:
        told = uow.s.execute(text("SELECT employee_no FROM login_event WHERE outcome = 'wework_away'")).scalars()
        assert list(told) == ["verifier1"]


def test_a_scan_that_is_over_asks_for_the_number_first(lab: Lab, company: FakeWework) -> None:
    configure(lab, company)
    bind(lab, "verifier", "LiSi")
    browser, _page, state = begin(lab, "verifier1")
    lab.clock.advance(minutes=10)
    refused = back(browser, company.scan("LiSi"), state).text
    fields = {name: "autofocus" in rest for name, rest in re.findall(r'<input id="(\w+)"([^>]*)>', refused)}
    assert fields == {"tenant": False, "employee_no": True, "password": False}
    assert 'name="next" value="/me"' in refused


def test_inside_wework_nobody_scans_the_own_telephone(lab: Lab, company: FakeWework) -> None:
    configure(lab, company)
    bind(lab, "verifier", "LiSi")
    form = {"tenant": "a", "employee_no": "verifier1", "password": PASSWORD}
    for agent, words, path in (
        (
            "Mozilla/5.0 (Linux; Android 13) Mobile Chrome/109 wxwork/4.1 MicroMessenger/7.0.1",
            "用企业微信登录",
            "/connect/oauth2/authorize",
        ),
        ("Mozilla/5.0 (Linux; Android 13) Mobile Chrome/109", "用企业微信扫码", "/wwlogin/sso/login"),
    ):
        headers = ORIGIN | {"User-Agent": agent}
        page = lab.app.test_client().post("/login", base_url="https://localhost", data=form, headers=headers).text
        link = re.search(r'id="scan" href="([^"]+)"', page)
        assert link is not None and words in page and urlsplit(unescape(link[1])).path == path
    asked = urlsplit(port.App("ww1", "1000002", "s").page("https://lis.example/login/wework", "n&1", inside=True))
    assert (asked.netloc, asked.fragment) == ("open.weixin.qq.com", "wechat_redirect")
    query = parse_qs(asked.query)
    assert query["state"] == ["n&1"] and query["scope"] == ["snsapi_base"] and query["response_type"] == ["code"]


def test_the_numbers_met_while_setting_up_say_what_to_do(company: FakeWework) -> None:
    with pytest.raises(PeerError, match="Secret 不正确.*40001"):
        port.test(app(company, secret="other"))
    with pytest.raises(PeerError, match="CorpID.*40013"):
        port.test(app(company, corp_id="other"))
    with pytest.raises(PeerError, match="没有接受（错误号 -1）"):
        port._check({"errcode": -1})


def test_the_page_says_what_is_missing_and_keeps_the_secret(lab: Lab, company: FakeWework) -> None:
    admin = lab.client("secadmin")
    assert all(part in admin.get("/admin/wework").text for part in ("CorpID", "AgentId", "Secret", "还缺少", "localhost"))
    for wrong in ({"agent_id": "应用"}, {"agent_id": "１００"}, {"agent_id": "1" * 21}, {"corp_id": "w" * 65}):
        assert configure(lab, company, **wrong).status_code == 422
    assert configure(lab, company, agent_id="1" * 20, corp_id="w" * 64).status_code == 200
    assert configure(lab, company, api_base="http://elsewhere.example").status_code == 422
    assert "还没有人登记" in configure(lab, company).text
    shown = admin.get("/admin/wework").text
    assert "ww-secret" not in shown and "还缺少" not in shown
    assert "ww-secret" not in configure(lab, company, secret="").text
    assert "接受了这些资料" in admin.post("/admin/wework/test").text  # an empty secret kept the one there was
    configure(lab, company, secret="wrong")
    assert "40001" in admin.post("/admin/wework/test").text
    with lab.uow() as uow:
        assert b"wrong" not in bytes(uow.s.execute(text("SELECT secret_sealed FROM wework_app")).scalar_one())
        assert not uow.s.execute(text("SELECT count(*) FROM audit_log WHERE body LIKE '%ww-secret%'")).scalar_one()
    assert lab.client("secadmin", lab.b).post("/admin/wework/test").status_code == 409  # another hospital has its own
    assert lab.client("tester").get("/admin/wework").status_code == 403


def test_an_id_is_bound_to_one_person(lab: Lab) -> None:
    assert bind(lab, "verifier", "LiSi").status_code == 200
    taken = bind(lab, "tester", "lisi")
    assert taken.status_code == 409 and "verifier" not in taken.headers.get("Location", "")
    assert bind(lab, "tester", "Li Si").status_code == 422 and bind(lab, "tester", "x" * 65).status_code == 422
    assert bind(lab, "verifier", "").status_code == 200 and bind(lab, "tester", "lisi").status_code == 200
