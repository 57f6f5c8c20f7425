"""WeChat-Work (企业微信): who scanned the login page's code, told by its server for a one-time code.

The documented way of a web login: the browser goes to ``{login_base}/wwlogin/sso/login`` with corp id, agent id, return address and state,
(inside WeChat-Work's own browser, on a telephone, to ``/connect/oauth2/authorize`` instead: nobody can scan the telephone in the own hand)
comes back with ``code`` and ``state``, and the server asks ``/cgi-bin/gettoken`` (corp id, secret) and ``/cgi-bin/auth/getuserinfo``
(token, code) whose code it was. A hospital with a WeChat-Work of its own names its addresses; everybody else has Tencent's.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from common.errors import PeerError
from common.say import say

API, LOGIN = "https://qyapi.weixin.qq.com", "https://login.work.weixin.qq.com"
INSIDE = "https://open.weixin.qq.com"
TIMEOUT_S = 5.0
MAX_ANSWER = 64 * 1024
SOONER_S = 300  # a token is asked for anew this long before its end
STALE = (40014, 42001)  # the token is invalid or over: asked for once more

REFUSED = {
    40001: say("应用 Secret 不正确，请从企业微信管理后台重新复制"),
    40013: say("企业 ID（CorpID）不正确，请从企业微信管理后台“我的企业”复制"),
    40029: say("这次扫码已过期或已用过"),
    48002: say("应用没有调用接口的权限，请在企业微信管理后台开启“企业微信授权登录”"),
    60020: say("本服务器的出口 IP 不在应用的“企业可信IP”中，请在企业微信管理后台加入"),
}
"""What an administrator does about the numbers that are met while setting up."""

_tokens: dict[tuple[str, str, str], tuple[str, float]] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class App:
    """A hospital's own application in WeChat-Work."""

    corp_id: str
    agent_id: str
    secret: str
    api_base: str = API
    login_base: str = LOGIN

    def page(self, back: str, state: str, inside: bool = False) -> str:
        """Where the browser shows the code to scan, or ``inside`` WeChat-Work lets it say who is at it; it comes back to ``back``."""
        if inside:
            scope = {"appid": self.corp_id, "redirect_uri": back, "response_type": "code", "scope": "snsapi_base", "state": state}
            host = INSIDE if self.login_base == LOGIN else self.login_base
            return f"{host}/connect/oauth2/authorize?{urlencode(scope | {'agentid': self.agent_id})}#wechat_redirect"
        asked = {"login_type": "CorpApp", "appid": self.corp_id, "agentid": self.agent_id, "redirect_uri": back, "state": state}
        return f"{self.login_base}/wwlogin/sso/login?{urlencode(asked)}"


def is_address(base: str) -> bool:
    """Whether this may be asked: https, or http on the loopback."""
    return base.startswith(("https://", "http://127.0.0.1:", "http://localhost:")) and not set(base) & set(" ?#\\@")


def user_of(app: App, code: str) -> str:
    """The user id behind a one-time code. Raises PeerError: away, refused (with its number), or nobody of this company."""
    found = _asked(app, code, _token(app))
    if found.get("errcode") in STALE:
        found = _asked(app, code, _token(app, fresh=True))
    _check(found)
    user = str(found.get("userid") or "")
    if not user:
        raise PeerError("wework_stranger", "扫码的微信不是本单位企业微信的成员。")
    return user


def tell(app: App, user: str, words: str) -> None:
    """A message of the application to one member; the same words within four hours are left out there, however often they are sent.
    Raises PeerError: away, or refused (with its number; a member who may not see the application is one)."""
    body = {
        "touser": user,
        "msgtype": "text",
        "agentid": int(app.agent_id),
        "text": {"content": words},
        "enable_duplicate_check": 1,
        "duplicate_check_interval": 4 * 3600,
    }
    found = _post(f"{app.api_base}/cgi-bin/message/send?{urlencode({'access_token': _token(app)})}", body)
    if found.get("errcode") in STALE:
        found = _post(f"{app.api_base}/cgi-bin/message/send?{urlencode({'access_token': _token(app, fresh=True)})}", body)
    _check(found)
    if user.lower() in str(found.get("invaliduser") or "").lower().split("|"):
        raise PeerError("wework_refused", "企业微信没有这个成员，或应用对该成员不可见。")


def test(app: App) -> None:
    """Ask for a token. Raises PeerError where corp id and secret do not fit or the server is away."""
    _token(app, fresh=True)


def _asked(app: App, code: str, token: str) -> dict[str, Any]:
    return _get(f"{app.api_base}/cgi-bin/auth/getuserinfo?{urlencode({'access_token': token, 'code': code})}")


def _token(app: App, fresh: bool = False) -> str:
    key, now = (app.api_base, app.corp_id, app.secret), time.monotonic()
    with _lock:
        kept = _tokens.get(key)
    if kept is not None and not fresh and now < kept[1]:
        return kept[0]
    found = _get(f"{app.api_base}/cgi-bin/gettoken?{urlencode({'corpid': app.corp_id, 'corpsecret': app.secret})}")
    _check(found)
    token, lives = found.get("access_token"), found.get("expires_in")
    if not isinstance(token, str) or not token or not isinstance(lives, int):
        raise PeerError("wework_answer", "企业微信的回答无法识别。")
    with _lock:
        _tokens[key] = token, now + lives - SOONER_S
    return token


def _get(url: str) -> dict[str, Any]:
    return _answer(urllib.request.Request(url))


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    data = json.dumps(body, ensure_ascii=False).encode()
    return _answer(urllib.request.Request(url, data, {"Content-Type": "application/json"}, method="POST"))


def _answer(asked: urllib.request.Request) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:
            found = json.loads(answer.read(MAX_ANSWER))
    except ValueError as error:
        raise PeerError("wework_answer", "企业微信的回答无法识别。") from error
    except (urllib.error.URLError, OSError) as error:  # its text may hold the address, and that the secret
        raise PeerError("wework_away", say("企业微信连不上（{why}）。", why=type(error).__name__)) from error
    if not isinstance(found, dict):
        raise PeerError("wework_answer", "企业微信的回答无法识别。")
    return found


def _check(found: dict[str, Any]) -> None:
    number = found.get("errcode", 0)
    if number != 0:
        why = REFUSED.get(number)
        if why is None:
            raise PeerError("wework_refused", say("企业微信没有接受（错误号 {number}）。", number=number))
        raise PeerError("wework_refused", say("{why}（企业微信错误号 {number}）。", why=why, number=number))
