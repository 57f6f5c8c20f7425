"""Internal electronic signatures (C9, 内部签名): one ECDSA P-256 signature over the list of a batch's hashes.

The key is the deployment's (``cloud_key``). Each report's row keeps its own hash, the batch's, and the signature, so that any one of them
can be checked by itself with the rows of its batch.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from common import crypto
from common.errors import LocalError

ALGORITHM = "ECDSA-P256-SHA256 内部签名"
# Order of the curve's group (FIPS 186-4, D.1.2.3): a private key is a number below it.
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class Signer:
    """Signs for this deployment."""

    key: crypto.PrivateKey
    public: str

    def sign(self, payload: bytes) -> str:
        """Base64 of the signature."""
        return base64.b64encode(crypto.sign(self.key, payload)).decode("ascii")


@cache
def open_signer(key_file: str, secret: str) -> Signer:
    """The deployment's signer: the key in ``key_file``, or one derived from ``secret`` where no file is set. Raises LocalError."""
    if key_file:
        try:
            key = crypto.load_private(Path(key_file).read_bytes())
        except (OSError, crypto.CryptoError) as error:
            raise LocalError("signing_key", f"签名密钥 {key_file} 读不出来：{error}") from error
    else:
        number = int.from_bytes(hmac.new(secret.encode(), b"report signature", hashlib.sha512).digest(), "big")
        key = ec.derive_private_key(number % (_P256_ORDER - 1) + 1, ec.SECP256R1())
    return Signer(key, crypto.public_pem(key.public_key()).decode("ascii"))


def canonical(document: Any) -> bytes:
    """The one byte form of a stored document: keys sorted, no blanks, UTF-8."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def content_hash(document: Any) -> str:
    """SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(document)).hexdigest()


def batch_payload(meaning: str, signer_id: int, window: str, at: datetime, hashes: Sequence[str]) -> bytes:
    """What is signed: who, what it means, when, in which window, and the hashes in their order."""
    when = at.astimezone(UTC).isoformat()
    return canonical({"meaning": meaning, "signer": signer_id, "window": window, "at": when, "hashes": list(hashes)})


def holds(public: str, payload: bytes, batch_sha256: str, value: str) -> bool:
    """Whether the signature is over exactly this payload."""
    if hashlib.sha256(payload).hexdigest() != batch_sha256:
        return False
    try:
        return crypto.verify(crypto.load_public(public.encode()), payload, base64.b64decode(value, validate=True))
    except (crypto.CryptoError, ValueError):
        return False
