"""Client certificates (UKey, the hospital's CA) as a person's cryptographic factor beside the password (M01 R2).

The TLS front asks the browser for a certificate and hands it over as ``X-Client-Cert`` (escaped PEM, nginx's ``$ssl_client_escaped_cert``)
with ``X-Front-Key``, a secret that only the front and this process know: anybody may hold a copy of a certificate, and only the front has
seen in its handshake that the browser holds the key. Issuer and dates are checked here, so that an expired card is told in words instead
of a broken connection. Which certificate is whose is registered on the account page by its SHA-256.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from sqlalchemy import select, update

from cloud.config import Settings
from cloud.db.session import UnitOfWork
from cloud.modules.platform import accounts, alerts, revocation
from cloud.modules.platform.models import User, UserSession
from cloud.modules.platform.revocation import Standing
from cloud.modules.platform.rules import Level, Perm
from cloud.web.faults import Conflict, Invalid
from common.say import Said, say

SOON = timedelta(days=2)
MOST = 20_000  # characters of a PEM; a certificate of a card has about 2 000


@dataclass(frozen=True)
class Shown:
    """A certificate as the browser showed it; ``trusted``: issued by a CA of the settings;
    ``standing``: what its revocation list says, None where the hospital keeps none."""

    sha256: str
    serial: str
    subject: str
    issuer: str
    first: datetime
    until: datetime
    trusted: bool
    standing: Standing | None = None

    def problem(self, now: datetime) -> Said | None:
        """Why it cannot be used at this moment, and what to do."""
        if not self.trusted:
            return say("这张证书不是本院认可的机构签发的，请插入本院发放的 UKey。")
        if now >= self.until:
            day = self.until.date()
            return say(
                "证书已于 {day} 过期，不能登录。请到发证部门续期，再由安全管理员登记新证书；续期之前请拔出 UKey，用动态口令登录。", day=day
            )
        if now < self.first:
            return say("证书从 {day} 起才有效，请核对。", day=self.first.date())
        return None if self.standing is None else self.standing.problem(now)


def shown_by(settings: Settings, headers: Mapping[str, str]) -> Shown | None:
    """The certificate that the front vouches for, or None: none shown, no front, or headers that somebody else wrote."""
    key = headers.get("X-Front-Key", "")
    if not settings.client_ca or not settings.front_key or not hmac.compare_digest(key.encode(), settings.front_key.encode()):
        return None
    return read(unquote(headers.get("X-Client-Cert", "")), settings)


def read(pem: str, settings: Settings) -> Shown | None:
    """A certificate from PEM, or None for what is none."""
    try:
        found = x509.load_pem_x509_certificate(pem.strip()[:MOST].encode())
        subject, issuer = found.subject.rfc4514_string(), found.issuer.rfc4514_string()
        first, until = found.not_valid_before_utc, found.not_valid_after_utc
    except ValueError:
        return None
    sha256 = found.fingerprint(hashes.SHA256()).hex()
    authority = _issuer(found, settings)
    told = None
    if settings.client_crl and authority is not None:
        told = revocation.standing(found.serial_number, authority, revocation.lists(settings.client_crl))
    return Shown(sha256, f"{found.serial_number:X}", subject, issuer, first, until, authority is not None, told)


def authorities(settings: Settings) -> list[x509.Certificate]:
    """Those whose certificates people may log in with."""
    return x509.load_pem_x509_certificates(Path(settings.client_ca).read_bytes()) if settings.client_ca else []


def _issuer(found: x509.Certificate, settings: Settings) -> x509.Certificate | None:
    for authority in authorities(settings):
        try:
            found.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return authority
    return None


_settings: list[Settings] = []


def configure(settings: Settings) -> None:
    """Where this process finds authorities and lists, once at its start, for the job below."""
    _settings[:] = [settings]


_REGISTERED = select(User).where(User.cert_sha256.is_not(None), User.status != "left")


def look(uow: UnitOfWork) -> None:
    """Every 15 minutes: a list that is absent or runs out within two days, and registered certificates that were revoked: their sessions
    end, their holders and the security administrator are told."""
    settings = _settings[0] if _settings else None
    if settings is None or not settings.client_ca or not settings.client_crl:
        return
    found = revocation.lists(settings.client_crl)
    by_name = {each.subject.rfc4514_string(): each for each in authorities(settings)}
    old, gone = [], []
    for name, authority in by_name.items():
        until = revocation.standing(0, authority, found).until
        if until is None or until - uow.now < SOON:
            words = "客户端证书的吊销列表（%(name)s）缺失、已过期或两天内到期，证书将不能用于登录，请更新文件。"
            old.append(alerts.Alert("platform.crl", name, Level.URGENT, words, "/admin/users", Perm.USERS, {"name": name}))
    for user in uow.s.execute(_REGISTERED).scalars():
        issuer = by_name.get(user.cert.get("issuer", ""))
        told = None if issuer is None else revocation.standing(int(user.cert["serial"], 16), issuer, found)
        if told is not None and told.revoked is not None:
            words = "%(who)s（%(no)s）登记的证书已被发证机构吊销，请取消登记并换发。"
            given = {"who": user.name, "no": user.employee_no}
            url = f"/admin/users/{user.id}"
            gone.append(alerts.Alert("platform.revoked", f"user:{user.id}", Level.URGENT, words, url, Perm.USERS, given))
            if "revoked" not in user.cert:  # once: who logs in by code afterwards stays
                living = UserSession.user_id == user.id, UserSession.revoked_at.is_(None)
                uow.s.execute(update(UserSession).where(*living).values(revoked_at=uow.now, signing_until=None))
                user.cert = user.cert | {"revoked": told.revoked.isoformat()}
                uow.audit("user", user.id, "certificate_revoked", after={"serial": user.cert["serial"]})
    alerts.sync(uow, "platform.crl", old)
    alerts.sync(uow, "platform.revoked", gone)


def register(uow: UnitOfWork, user_id: int, pem: str, settings: Settings) -> User:
    """Make a certificate a person's factor, or take it away (empty). Raises Invalid or Conflict in words."""
    user = accounts.load(uow, user_id)
    before = user.cert.get("serial", "")
    if not pem.strip():
        if user.cert_sha256 is None:
            raise Invalid(say("请粘贴证书（PEM，以 -----BEGIN CERTIFICATE----- 开头）。"), "pem")
        user.cert_sha256, user.cert = None, {}
        uow.audit("user", user.id, "remove_certificate", before={"serial": before})
        return user
    if not settings.client_ca or not settings.front_key:
        raise Conflict(say("本系统还没有设置客户端证书的签发机构（client_ca、front_key），请联系系统管理员。"))
    found = read(pem, settings)
    if found is None:
        raise Invalid(say("这不是可以读出的证书，请粘贴 PEM 全文（-----BEGIN CERTIFICATE----- 至 END CERTIFICATE-----）。"), "pem")
    problem = found.problem(uow.now)
    if problem is not None:
        raise Invalid(problem, "pem")
    holder = uow.s.execute(select(User.name).where(User.cert_sha256 == found.sha256, User.id != user.id)).scalar()
    if holder is not None:
        raise Conflict(say("这张证书已登记在 {name} 名下。", name=holder))
    user.cert_sha256, user.cert = found.sha256, _kept(found)
    uow.audit("user", user.id, "certificate", before={"serial": before}, after=user.cert)
    return user


def _kept(found: Shown) -> dict[str, Any]:
    facts = asdict(found) | {"first": found.first.isoformat(), "until": found.until.isoformat()}
    del facts["trusted"], facts["standing"]
    return facts
