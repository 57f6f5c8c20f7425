"""What stands in the database only sealed: identity numbers and telephones (M01 R11), under a key of the secret and the hospital.

A sealed value reads back; its ``blind`` finds it again without opening anything (a keyed hash: equal texts, equal blinds, within one
hospital). Who holds a copy of the database but not the secret has neither. A lost secret is a lost telephone number.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import cached_property

from cryptography.fernet import Fernet

MARK = "~"
"""Begins every blind, so that it is never taken for a number somebody typed."""


class Vault:
    """One hospital's seal. Raises RuntimeError when a process without the deployment's secret asks it for anything."""

    def __init__(self, secret: str, tenant_id: int) -> None:
        self._secret, self._tenant = secret, tenant_id

    @cached_property
    def _key(self) -> bytes:
        if not self._secret:
            raise RuntimeError("this process was given no secret: nothing can be sealed or read")
        return hmac.digest(self._secret.encode(), f"vault:{self._tenant}".encode(), hashlib.sha256)

    @cached_property
    def _fernet(self) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(self._key))

    def seal(self, text: str) -> bytes:
        """Encrypted and authenticated; twice the same text gives different bytes."""
        return self._fernet.encrypt(text.encode())

    def unseal(self, sealed: bytes) -> str:
        """What was sealed. Raises cryptography's InvalidToken for another hospital's or a changed value."""
        return self._fernet.decrypt(bytes(sealed)).decode()

    def blind(self, text: str) -> str:
        """The searchable stand-in; case does not matter (an identity number's last x is typed either way)."""
        return MARK + hmac.new(self._key, b"blind:" + text.strip().upper().encode(), hashlib.sha256).hexdigest()[:40]
