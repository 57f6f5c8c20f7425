"""The hospital's signature server (CA, 签名验签服务器): a second signature with a certificate that others trust.

Spoken to in the plainest way such a server can be put behind: ``POST {ca_sign_url}`` with JSON ``{"payload": base64, "signer": id}``,
answered by ``{"certificate": PEM, "signature": base64}``; a vendor's own protocol goes into a small proxy of that form. What comes back is
believed only when the signature holds over the payload under that certificate. Not set up means 未配置: nothing waits, nothing is claimed.
"""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from cloud.config import Settings
from common.errors import LocalError, PeerError

TIMEOUT_S = 5.0
MAX_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Countersignature:
    """What a CA gives: the certificate (PEM) with its serial number in hex, and its signature (base64)."""

    serial: str
    certificate: str
    value: str


class Authority(Protocol):
    """What signers may rely on."""

    def countersign(self, payload: bytes, signer_id: int) -> Countersignature:
        """Sign the payload in the name of this person. Raises PeerError while the server is away or its answer does not hold."""


class HttpAuthority:
    """A signature server behind HTTPS (HTTP on the loopback only)."""

    def __init__(self, url: str, ca_pem: str = "") -> None:
        if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise LocalError("config_ca", f"ca_sign_url 须为 https 地址：{url}")
        self._url = url
        self._tls = ssl.create_default_context(cafile=ca_pem or None) if url.startswith("https://") else None

    def countersign(self, payload: bytes, signer_id: int) -> Countersignature:
        """One request; the answer is verified."""
        body = json.dumps({"payload": base64.b64encode(payload).decode("ascii"), "signer": signer_id}).encode()
        asked = urllib.request.Request(self._url, data=body, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=TIMEOUT_S, context=self._tls) as answer:
                found = json.loads(answer.read(MAX_ANSWER))
            pem, value = str(found["certificate"]), str(found["signature"])
            certificate = x509.load_pem_x509_certificate(pem.encode())
            signature = base64.b64decode(value, validate=True)
        except (urllib.error.URLError, OSError) as error:
            raise PeerError("ca_away", f"CA 签名服务连不上：{error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise PeerError("ca_answer", f"CA 签名服务的回答无法识别：{error}") from error
        if not _holds(certificate, payload, signature):
            raise PeerError("ca_answer", "CA 签名服务的签名与内容不符。")
        return Countersignature(f"{certificate.serial_number:x}", pem, value)


def _holds(certificate: x509.Certificate, payload: bytes, signature: bytes) -> bool:
    key = certificate.public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, payload, padding.PKCS1v15(), hashes.SHA256())
        else:
            return False
    except InvalidSignature:
        return False
    return True


_opened: list[Authority | None] = [None]


def configure(settings: Settings) -> None:
    """The authority of this process, once at its start; none where no address is set."""
    _opened[:] = [HttpAuthority(settings.ca_sign_url, settings.ca_sign_pem) if settings.ca_sign_url else None]


def current() -> Authority | None:
    """The authority, or None: 未配置."""
    return _opened[0]
