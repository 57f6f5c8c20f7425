"""A scan with WeChat-Work as the second factor after the password (M01 R2), beside TOTP and UKey: a hospital's application, who is bound,
and the way of one login from the password to the browser that comes back."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select

from cloud.config import Settings
from cloud.db.session import UnitOfWork
from cloud.modules.platform import secrets
from cloud.modules.platform.models import User, WeworkApp, WeworkState
from cloud.ports import wework
from cloud.web.faults import Conflict, Invalid
from common.errors import LocalError
from common.say import Said, say

STATE_LIFE = timedelta(minutes=10)
CORP_MOST, AGENT_MOST = 64, 20  # as long as the page's fields
OVER = say("扫码登录已过期或已用过，请重新输入密码登录。")
OTHER = say("扫码的企业微信不是登记在您名下的，请用本人的企业微信扫码。连续 5 次错误将锁定 30 分钟。")


@dataclass(frozen=True)
class Given:
    """What the page of the application saves; an empty secret keeps the one there is."""

    corp_id: str
    agent_id: str
    secret: str
    api_base: str
    login_base: str
    active: bool


def kept(uow: UnitOfWork) -> WeworkApp | None:
    """The hospital's application as it was saved."""
    return uow.s.execute(select(WeworkApp)).scalar_one_or_none()


def app_of(uow: UnitOfWork, secret: str) -> wework.App | None:
    """The application that may be used now; None: none, not whole, or switched off."""
    row = kept(uow)
    if row is None or not row.active or missing(row):
        return None
    return _app(row, secret)


@dataclass(frozen=True)
class Outside:
    """The application, and where a message leads its reader back to."""

    app: wework.App
    base_url: str


_settings: list[Settings] = []


def configure(settings: Settings) -> None:
    """For those who are only handed a transaction (jobs): once at the start of the process."""
    _settings[:] = [settings]


def ready(uow: UnitOfWork) -> bool:
    """Whether somebody can be told something there."""
    row = kept(uow)
    return row is not None and row.active and not missing(row)


def current(uow: UnitOfWork) -> Outside | None:
    """The application for a job; None where there is none to use. Raises LocalError before ``configure``."""
    if not _settings:
        raise LocalError("wework_not_configured", "the process has not been told its settings")
    found = app_of(uow, _settings[0].secret)
    return None if found is None else Outside(found, _settings[0].base_url.rstrip("/"))


def _app(row: WeworkApp, secret: str) -> wework.App:
    sealed = b"" if row.secret_sealed is None else secrets.unseal(row.secret_sealed, secret)
    return wework.App(row.corp_id, row.agent_id, sealed.decode(), row.api_base, row.login_base)


def missing(row: WeworkApp | None) -> Sequence[Said]:
    """What is not there yet before anybody can scan."""
    corp, agent, sealed = ("", "", None) if row is None else (row.corp_id, row.agent_id, row.secret_sealed)
    wanted = ((corp, say("企业 ID（CorpID）")), (agent, say("应用 AgentId")), (sealed, say("应用 Secret")))
    return [words for there, words in wanted if not there]


def bound(uow: UnitOfWork) -> int:
    """How many people have a WeChat-Work id on record."""
    return int(uow.s.execute(select(func.count()).select_from(User).where(User.wework_id.is_not(None), User.status != "left")).scalar_one())


def save(uow: UnitOfWork, new: Given, secret: str) -> None:
    """Keep the application. Raises Invalid in words; the secret is sealed and never shown again."""
    api, login = (new.api_base.strip().rstrip("/") or wework.API, new.login_base.strip().rstrip("/") or wework.LOGIN)
    for base in (api, login):
        if not wework.is_address(base):
            raise Invalid(say("企业微信的地址须以 https:// 开头。"), "api_base")
    corp, agent = new.corp_id.strip(), new.agent_id.strip()
    if len(corp) > CORP_MOST:  # cut, it would be another company's
        raise Invalid(say("企业 ID 最多 {n} 个字符，请从企业微信管理后台复制。", n=CORP_MOST), "corp_id")
    if agent and not (agent.isascii() and agent.isdecimal() and len(agent) <= AGENT_MOST):
        raise Invalid(say("AgentId 是一串数字，请从企业微信管理后台复制。"), "agent_id")
    row = kept(uow)
    before = None if row is None else _facts(row)
    if row is None:
        row = WeworkApp(corp_id="", agent_id="", api_base=api, login_base=login)
        uow.s.add(row)
    row.corp_id, row.agent_id, row.api_base, row.login_base = corp, agent, api, login
    if new.secret.strip():
        row.secret_sealed = secrets.seal(new.secret.strip().encode(), secret)
    row.active = new.active
    uow.s.flush()
    uow.audit("wework_app", row.id, "change", before, _facts(row) | {"secret_changed": bool(new.secret.strip())})


def _facts(row: WeworkApp) -> dict[str, object]:
    return {key: getattr(row, key) for key in ("corp_id", "agent_id", "api_base", "login_base", "active")}


def test(uow: UnitOfWork, secret: str) -> None:
    """Ask WeChat-Work for a token with what is saved. Raises Conflict naming what is missing, PeerError with its answer."""
    row = kept(uow)
    if row is None or missing(row):
        raise Conflict(say("还缺少：{parts}。", parts=tuple(missing(row))))
    wework.test(_app(row, secret))


def bind(uow: UnitOfWork, user: User, wework_id: str) -> None:
    """Whose WeChat-Work is this person's; "" takes it away."""
    wanted = wework_id.strip() or None
    if wanted is not None and (len(wanted) > 64 or not wanted.isascii() or any(c.isspace() for c in wanted)):
        raise Invalid(say("企业微信账号（UserID）最多 64 个字母、数字和符号，不含空格，请从企业微信管理后台的成员资料复制。"), "wework_id")
    taken = select(User.name).where(func.lower(User.wework_id) == (wanted or "").lower(), User.id != user.id)
    if wanted is not None and (other := uow.s.execute(taken).scalar()) is not None:
        raise Conflict(say("这个企业微信账号已登记在 {name} 名下。", name=other))
    if user.wework_id != wanted:
        before, user.wework_id = user.wework_id, wanted
        uow.audit("user", user.id, "bind_wework", before={"wework_id": before}, after={"wework_id": wanted})


def begin(uow: UnitOfWork, user: User) -> str:
    """The state of a login whose password was right; it comes back once, within ten minutes, to the same browser."""
    uow.s.execute(delete(WeworkState).where(WeworkState.at < uow.now - STATE_LIFE))
    nonce = secrets.new_token()
    uow.s.add(
        WeworkState(nonce_hash=secrets.token_hash(nonce), user_id=user.id, at=uow.now, password=secrets.token_hash(user.password_hash))
    )
    return nonce


def take(uow: UnitOfWork, state: str, kept_by_browser: str) -> int | None:
    """Whose login a state is; None where it is over, used, or another browser's. It is used up by this."""
    if not state or not hmac.compare_digest(state.encode(), kept_by_browser.encode()):
        return None
    row = uow.s.execute(
        select(WeworkState).where(WeworkState.nonce_hash == secrets.token_hash(state)).with_for_update()
    ).scalar_one_or_none()
    if row is None:
        return None
    user_id, at, password = row.user_id, row.at, row.password
    uow.s.delete(row)
    now = uow.s.execute(select(User.password_hash).where(User.id == user_id)).scalar_one()
    return user_id if uow.now - at < STATE_LIFE and password == secrets.token_hash(now) else None
