"""Electronic signatures (C9): one internal ECDSA P-256 signature (内部签名) over the list of a batch's hashes, and the CA's beside it.

The key is the deployment's (``cloud_key``). Each row keeps its own hash, the batch's, and the signature, so that any one of them can be
checked by itself with the rows of its batch. Where the hospital has set up a CA, a batch is signed internally at once and waits for the
CA's countersignature: a CA that is away never keeps a report from the ward (M09 Bad input).
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
from sqlalchemy import select, text, update

from cloud.config import Settings
from cloud.db.session import UnitOfWork
from cloud.modules.platform.models import Signature
from cloud.ports import signature_server
from common import crypto
from common.errors import LocalError, PeerError

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


@dataclass(frozen=True)
class Desk:
    """What signing needs of the deployment: the key, and the address printed for verification."""

    signer: Signer
    base_url: str


def desk_of(settings: Settings) -> Desk:
    """This deployment's desk."""
    return Desk(open_signer(settings.cloud_key, settings.secret), settings.base_url.rstrip("/"))


_desk: list[Desk] = []


def configure(settings: Settings) -> None:
    """The desk of this process, once at its start, for those who are only handed a transaction (jobs, event handlers)."""
    _desk[:] = [desk_of(settings)]


def current_desk() -> Desk:
    """The desk of this process. Raises LocalError before ``configure``."""
    if not _desk:
        raise LocalError("config_desk", "signing desk used before configure()")
    return _desk[0]


@dataclass(frozen=True, slots=True)
class Act:
    """What a signature means: of what kind of thing, saying what, by whom, in which signing window."""

    target: str
    meaning: str
    signer_id: int
    window_id: str


_SIGN = text("""
INSERT INTO signature (tenant_id, signer_id, target, target_id, meaning, content_sha256, batch_sha256, batch_no, window_id, algorithm,
                       certificate, value, at, ca_state)
SELECT :t, :signer, :target, h.id, :meaning, h.content, :batch, h.n - 1, :window, :algorithm, :certificate, :value, :now, :state
FROM unnest(CAST(:ids AS bigint[]), CAST(:contents AS text[])) WITH ORDINALITY AS h(id, content, n)
ORDER BY h.n
""")


def sign(uow: UnitOfWork, act: Act, hashes: Sequence[tuple[int, str]], signer: Signer) -> None:
    """Sign a batch: ``hashes`` are (id of the thing, SHA-256 of its canonical document)."""
    payload = batch_payload(act.meaning, act.signer_id, act.window_id, uow.now, [h for _, h in hashes])
    value, batch = signer.sign(payload), hashlib.sha256(payload).hexdigest()
    state = "none" if signature_server.current() is None else "pending"
    values = {
        "t": uow.tenant_id,
        "signer": act.signer_id,
        "target": act.target,
        "ids": [i for i, _ in hashes],
        "meaning": act.meaning,
        "contents": [h for _, h in hashes],
        "batch": batch,
        "window": act.window_id,
        "algorithm": ALGORITHM,
        "certificate": signer.public,
        "value": value,
        "now": uow.now,
        "state": state,
    }
    uow.s.execute(_SIGN, values)


def signed(uow: UnitOfWork, target: str, target_id: int, content: str) -> bool:
    """Whether a signature of the thing is over exactly this content, and is its signer's (SR12)."""
    query = select(Signature).where(Signature.target == target, Signature.target_id == target_id, Signature.content_sha256 == content)
    return any(_batch_holds(uow, s) for s in uow.s.execute(query).scalars())


def of(uow: UnitOfWork, target: str, target_id: int) -> Sequence[Signature]:
    """The signatures of a thing, oldest first."""
    query = select(Signature).where(Signature.target == target, Signature.target_id == target_id).order_by(Signature.id)
    return uow.s.execute(query).scalars().all()


def _batch_holds(uow: UnitOfWork, one: Signature) -> bool:
    return holds(one.certificate, _payload(uow, one), one.batch_sha256, one.value)


def _payload(uow: UnitOfWork, one: Signature) -> bytes:
    query = select(Signature.content_sha256).where(Signature.batch_sha256 == one.batch_sha256).order_by(Signature.batch_no)
    return batch_payload(one.meaning, one.signer_id, one.window_id, one.at, list(uow.s.execute(query).scalars()))


CA_BATCHES = 50


def countersign(uow: UnitOfWork) -> None:
    """Calendar job, every minute: batches that wait are shown to the CA, oldest first; one that is away keeps them waiting."""
    authority = signature_server.current()
    if authority is None:
        return
    query = select(Signature).where(Signature.ca_state == "pending", Signature.batch_no == 0).order_by(Signature.id).limit(CA_BATCHES)
    for one in uow.s.execute(query.with_for_update(skip_locked=True)).scalars().all():
        batch = update(Signature).where(Signature.batch_sha256 == one.batch_sha256)
        try:
            got = authority.countersign(_payload(uow, one), one.signer_id)
        except PeerError as error:
            uow.s.execute(batch.values(ca_error=str(error)[:300]))
            return
        uow.s.execute(
            batch.values(
                ca_state="done", ca_serial=got.serial, ca_certificate=got.certificate, ca_value=got.value, ca_at=uow.now, ca_error=None
            )
        )
        uow.audit("signature", one.batch_sha256, "countersigned", after={"serial": got.serial, "signer": one.signer_id})
