"""Hashes and seals of identity: Argon2id for secrets people type, SHA-256 for random tokens, Fernet for TOTP seeds."""

from __future__ import annotations

import base64
import hashlib
import secrets

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from cryptography.fernet import Fernet, InvalidToken

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Checked for an unknown user, so that known and unknown take equally long (SR10).
DUMMY = _HASHER.hash(secrets.token_hex(8))
TOTP_STEP_S = 30
PROOF_S = 180


def hash_secret(secret: str) -> str:
    """Argon2id of a password or PIN."""
    return _HASHER.hash(secret)


def check_secret(hashed: str | None, secret: str) -> bool:
    """True when the secret fits; takes as long for a missing hash."""
    try:
        return _HASHER.verify(hashed or DUMMY, secret) and hashed is not None
    except (VerifyMismatchError, InvalidHashError):
        return False


def new_token() -> str:
    """A session token: 256 random bits."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What the database keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _fernet(secret: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"totp:" + secret.encode()).digest()))


def seal(plain: bytes, secret: str) -> bytes:
    """Encrypted under the deployment's secret."""
    return _fernet(secret).encrypt(plain)


def unseal(sealed: bytes, secret: str) -> bytes:
    """What ``seal`` was given."""
    return _fernet(secret).decrypt(bytes(sealed))


def seal_totp(seed: str, secret: str) -> bytes:
    """The TOTP seed, encrypted under the deployment's secret."""
    return seal(seed.encode(), secret)


def proof(employee_no: str, password_hash: str, secret: str, now_s: float, stage: str = "password") -> str:
    """Shows for three minutes that the password (or with ``stage`` 'grant' both factors) was right, instead of sending it again."""
    return seal(f"{int(now_s)}:{_proof_body(employee_no, password_hash, stage)}".encode(), secret).decode()


def proven(token: str, employee_no: str, password_hash: str, secret: str, now_s: float, stage: str = "password") -> bool:
    """True when ``proof`` was made for this person, password and stage at most three minutes ago."""
    try:
        at, _, told = unseal(token.encode(), secret).decode().partition(":")
    except (InvalidToken, ValueError):
        return False
    return secrets.compare_digest(told, _proof_body(employee_no, password_hash, stage)) and 0 <= now_s - int(at) <= PROOF_S


def _proof_body(employee_no: str, password_hash: str, stage: str) -> str:
    return hashlib.sha256(f"{stage}:{employee_no}:{password_hash}".encode()).hexdigest()


def totp_step(sealed: bytes, secret: str, code: str, now_s: float) -> int | None:
    """The time step the code belongs to (±1 step of drift), or None when it is wrong."""
    seed = unseal(sealed, secret).decode()
    totp = pyotp.TOTP(seed, interval=TOTP_STEP_S)
    step = int(now_s) // TOTP_STEP_S
    for candidate in (step, step - 1, step + 1):
        if secrets.compare_digest(totp.at(candidate * TOTP_STEP_S), code.strip()):
            return candidate
    return None


def new_seed() -> str:
    """A fresh TOTP seed (base32)."""
    return pyotp.random_base32()
