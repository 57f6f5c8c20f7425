"""The next certificate, fetched without anybody at two thirds of its life (RELIABILITY F19), and a clock that may be wrong (F15).

The question is an envelope signed with our key over HTTPS, so it works with a certificate that has ended, too. The key stays.
"""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.config import DataDir, Identity, write_atomic
from common import crypto, envelope
from common.envelope import Header
from common.errors import PeerError

TIMEOUT_SECONDS = 20
MAX_ANSWER = 1 << 20
BUILT = datetime(2026, 6, 1, tzinfo=UTC)  # no clock of ours can be before the program was made
SILENCE_MOST = timedelta(days=400)  # a clock this far after the cloud's last word is more likely wrong than right
NO_CHECK_TIME = 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python has no name


class RenewalFailed(PeerError):
    """No new certificate this time; the one we have stays in use."""


def due(certificate: bytes, now: datetime) -> bool:
    """True from two thirds of the certificate's life on."""
    found = crypto.load_certificate(certificate)
    life = found.not_valid_after_utc - found.not_valid_before_utc
    return now >= found.not_valid_before_utc + life * 2 / 3


def plausible(now: datetime, cloud_at: datetime | None) -> bool:
    """False when the clock cannot be right: before the program was made or the cloud last spoke, or years after that."""
    floor = max(BUILT, cloud_at - timedelta(days=1)) if cloud_at is not None else BUILT
    return floor <= now and (cloud_at is None or now <= cloud_at + SILENCE_MOST)


def forgive_dates(context: ssl.SSLContext) -> None:
    """With a clock that cannot be right, dates in certificates say nothing: the pinned CA alone decides, so capture reaches the cloud."""
    context.verify_flags |= NO_CHECK_TIME


def ask(data: DataDir, identity: Identity, kind: str, body: dict[str, Any], *, boot: str, path: str, check_dates: bool = True) -> bytes:
    """One signed question over HTTPS; the answer's bytes. Raises RenewalFailed."""
    key = crypto.load_private(data.file("key.pem").read_bytes())
    header = Header(
        tenant=identity.tenant, agent=identity.agent, kind=kind, at=datetime.now(UTC).isoformat(), mono=time.monotonic_ns(), boot=boot
    )
    sealed = envelope.seal(header, json.dumps(body).encode(), key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=str(data.file("ca.pem")))
    if not check_dates:
        forgive_dates(context)
    url = identity.url.rstrip("/") + path
    secure = url.startswith("https://")
    request = urllib.request.Request(url, sealed, {"Content-Type": "application/octet-stream"}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context if secure else None) as answer:
            found: bytes = answer.read(256 << 20)
            return found
    except urllib.error.HTTPError as error:
        with error:
            raise RenewalFailed("renew.refused", f"云端拒绝（{error.code}）") from error
    except (OSError, ValueError) as error:
        raise RenewalFailed("renew.network", f"连接不上 {url}：{getattr(error, 'reason', error)}") from error


def renew(data: DataDir, identity: Identity, boot: str, *, check_dates: bool = True) -> Identity:
    """Fetch and keep the next certificate; the identity, which may name another broker. Raises RenewalFailed, and changes nothing then.

    The CA's certificate is added to those believed, not put in their place: while a CA is being replaced both count.
    """
    key = crypto.load_private(data.file("key.pem").read_bytes())
    csr = crypto.make_csr(key, identity.agent).decode()
    answer = ask(data, identity, "renew", {"csr": csr}, boot=boot, path="/edge/renew", check_dates=check_dates)
    try:
        told = json.loads(answer)
        certificate = crypto.load_certificate(str(told["certificate"]).encode())
        ca = crypto.load_certificate(str(told["ca"]).encode())
        cloud = crypto.public_pem(crypto.load_public(str(told["cloud_key"]).encode()))
        fresh = replace(identity, mqtt_host=str(told["mqtt"]["host"]), mqtt_port=int(told["mqtt"]["port"]))
    except (ValueError, KeyError, TypeError, PeerError) as error:
        raise RenewalFailed("renew.answer", "云端的答复读不懂") from error
    if crypto.public_pem(crypto.certificate_key(certificate)) != crypto.public_pem(key.public_key()):
        raise RenewalFailed("renew.certificate", "云端签发的证书不是本机的密钥")
    if crypto.certificate_agent(certificate) != (identity.tenant, identity.agent):
        raise RenewalFailed("renew.certificate", "云端签发的证书不是给本代理的")
    _keep(data, crypto.certificate_pem(certificate), crypto.certificate_pem(ca), cloud, fresh)
    return fresh


def _keep(data: DataDir, certificate: bytes, ca: bytes, cloud: bytes, identity: Identity) -> None:
    """Each file in one step, and any order of old and new ones works: first what is believed, then what is shown."""
    believed = data.file("ca.pem").read_bytes()
    if ca.strip() not in believed:
        write_atomic(data.file("ca.pem"), ca.strip() + b"\n" + believed)
    write_atomic(data.file("cloud.pem"), cloud)
    mqtt = {"host": identity.mqtt_host, "port": identity.mqtt_port}
    kept = {"agent": identity.agent, "tenant": identity.tenant, "url": identity.url, "mqtt": mqtt}
    write_atomic(data.file("identity.json"), json.dumps(kept).encode())
    write_atomic(data.file("certificate.pem"), certificate)
