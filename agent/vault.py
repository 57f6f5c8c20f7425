"""Encryption of what lies on the disk: each record sealed by itself with AES-256-GCM, bound to its place in the file.

The key is made at the first start and kept beside the journal (`journal.key`, owner only, written twice in the file, each with
a checksum). Where the system can keep it better it does: a systemd credential named `jianlian-journal-key` goes before the file,
and on Windows the file holds what DPAPI sealed for this machine. Whoever copies the journal without the key reads nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.config import write_atomic
from common.errors import LocalError

MAGIC = b"\xe5\xc1"  # begins every sealed record; no protocol of ours begins so
KEY_BYTES = 32
KEY_FILE = "journal.key"
CREDENTIAL = "jianlian-journal-key"
_NONCE = 12
_ROLL = 1 << 32


class VaultError(LocalError):
    """The key file is there and cannot be read: nothing may be written under another key by accident."""


class Sealed(Exception):
    """A record that this key does not open, or that was changed."""


class Vault:
    """Seals and opens records with one key. A nonce is 8 random bytes of this process and a counter: never used twice."""

    __slots__ = ("_aead", "_count", "_key", "_salt")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._aead = AESGCM(key)
        self._salt = os.urandom(8)
        self._count = 0

    def seal(self, data: bytes, place: bytes) -> bytes:
        """Encrypt; only `open` with the same place gives it back."""
        count = self._count = self._count + 1
        if count >= _ROLL:
            self._salt, self._count, count = os.urandom(8), 1, 1
        nonce = self._salt + count.to_bytes(4, "big")
        return MAGIC + nonce + self._aead.encrypt(nonce, data, place)

    def open(self, blob: bytes, place: bytes) -> bytes:
        """What was sealed. A record of the time before encryption is given back as it is: its checksum judges it. Raises Sealed."""
        if blob[:2] != MAGIC:
            return blob
        try:
            return self._aead.decrypt(blob[2 : 2 + _NONCE], blob[2 + _NONCE :], place)
        except (InvalidTag, ValueError) as error:
            raise Sealed from error

    def alias(self, text: str) -> str:
        """A name that stands for `text` as a key of a table, and tells nothing about it without our key."""
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:32]


def beside(journal: Path) -> Vault:
    """The vault of a journal's folder; its key is made when there is none. Raises VaultError."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (given := Path(credentials) / CREDENTIAL).exists():
        return Vault(hashlib.sha256(given.read_bytes()).digest())
    path = journal.with_name(KEY_FILE)
    if not path.exists():
        key = os.urandom(KEY_BYTES)
        write_atomic(path, _lines(protect(key)))
        return Vault(key)
    return Vault(unprotect(_read(path)))


def _lines(kept: bytes) -> bytes:
    line = b"%s %08x\n" % (kept.hex().encode(), crc32(kept))
    return line * 2


def _read(path: Path) -> bytes:
    """The kept key: of two copies the first that is whole."""
    for line in path.read_bytes().splitlines():
        try:
            text, crc = line.decode("ascii").split()
            kept = bytes.fromhex(text)
            if crc32(kept) == int(crc, 16):
                return kept
        except ValueError:
            continue
    raise VaultError("journal.key", f"密钥文件 {path} 已损坏。请从备份恢复它；没有备份时移走它和 journal.db，采集会以新库继续。")


if sys.platform == "win32":  # pragma: no cover - never run on the machines this was made on
    import ctypes
    from ctypes import wintypes

    class _Blob(ctypes.Structure):
        _fields_ = [("size", wintypes.DWORD), ("data", ctypes.POINTER(ctypes.c_char))]

    def _dpapi(call: Callable[..., int], data: bytes) -> bytes:
        """CryptProtectData or its opposite, for the machine (flag 4), without a window (flag 1)."""
        given = _Blob(len(data), ctypes.cast(ctypes.create_string_buffer(data, len(data)), ctypes.POINTER(ctypes.c_char)))
        made = _Blob()
        if not call(ctypes.byref(given), None, None, None, None, 5, ctypes.byref(made)):
            raise VaultError("journal.key", "Windows 不能打开本机密钥（DPAPI）。")
        try:
            return ctypes.string_at(made.data, made.size)
        finally:
            ctypes.windll.kernel32.LocalFree(made.data)

    def protect(key: bytes) -> bytes:
        """As it goes into the file."""
        return _dpapi(ctypes.windll.crypt32.CryptProtectData, key)

    def unprotect(kept: bytes) -> bytes:
        """The key of what the file holds."""
        return _dpapi(ctypes.windll.crypt32.CryptUnprotectData, kept)

else:

    def protect(key: bytes) -> bytes:
        """As it goes into the file: here the folder's mode is the protection."""
        return key

    def unprotect(kept: bytes) -> bytes:
        """The key of what the file holds."""
        return kept
