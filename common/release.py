"""The description of an agent's release, signed by the maker's key: what both sides check before anything of it is used.

A manifest is JSON, signed as its exact bytes. It names one bundle by size and SHA-256, so no file of another release can be mixed in;
it ends some day, so an old one cannot be offered for ever; and the version only rises.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from common import crypto
from common.errors import PeerError

PRODUCT = "jianlian-agent"
MAX_BUNDLE = 256 << 20


class ReleaseError(PeerError):
    """A release that must not be used; the code says why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the maker says about one bundle."""

    version: str
    sha256: str
    size: int
    released_at: str
    expires_at: str
    notes: str = ""

    def text(self) -> bytes:
        """The bytes that are signed."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__} | {"product": PRODUCT}
        return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def number(version: str) -> tuple[int, ...]:
    """A version for comparing: 0.10.0 is newer than 0.9.1. Raises ReleaseError."""
    parts = version.split(".")
    if not 2 <= len(parts) <= 4 or not all(part.isascii() and part.isdigit() and len(part) < 7 for part in parts):
        raise ReleaseError("release.version", f"not a version: {version[:32]}")
    return tuple(int(part) for part in parts) + (0,) * (4 - len(parts))


def read(text: bytes, signature: bytes, key: crypto.PublicKey, now: datetime) -> Manifest:
    """A manifest whose signature, product, shape and date are good. Raises ReleaseError."""
    if not crypto.verify(key, text, signature):
        raise ReleaseError("release.signature", "the manifest is not signed by the maker")
    try:
        raw = json.loads(text)
        found = Manifest(
            str(raw["version"]), str(raw["sha256"]), int(raw["size"]), str(raw["released_at"]), str(raw["expires_at"]), str(raw["notes"])
        )
        product, expires = raw["product"], datetime.fromisoformat(found.expires_at)
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError("release.shape", "the manifest cannot be read") from error
    if product != PRODUCT or len(found.sha256) != 64 or not 0 < found.size <= MAX_BUNDLE or expires.tzinfo is None:
        raise ReleaseError("release.shape", "not a manifest of the agent")
    number(found.version)
    if expires <= now:
        raise ReleaseError("release.expired", "the manifest has expired")
    return found
