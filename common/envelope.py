"""The signed message between agent and cloud, both ways, version 1.

    b"JLE1" · u32be len(header) · header (JSON, UTF-8, sorted keys) · u32be len(body) · body · signature

The signature (ECDSA-P256-SHA256, DER) covers everything before it. Up envelopes are signed with the key of the agent's
certificate, down envelopes with the cloud key the agent pinned when it enrolled (RELIABILITY R7).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from common import crypto
from common.errors import PeerError

VERSION = 1
MAGIC = b"JLE1"
MAX_HEADER = 1 << 20
# M06: a message of up to 16 MB is kept whole; the margin is for link bytes around it.
MAX_BODY = 17 << 20

_LENGTH = struct.Struct(">I")
_TEXT_FIELDS = ("tenant", "agent", "stream", "kind", "conn", "at", "boot", "sha256")


class EnvelopeError(PeerError):
    """Bytes that are not an envelope of a version we read, or whose parts contradict each other."""


@dataclass(frozen=True, slots=True)
class Header:
    """Who sent what, when. `at` is the sender's wall clock (ISO, UTC), `mono` its monotonic clock in ns since `boot`."""

    tenant: str
    agent: str
    kind: str
    at: str
    mono: int = 0
    boot: str = ""
    stream: str = ""
    seq: int = 0  # 0 = unsequenced: not kept until a receipt
    conn: str = ""
    sha256: str = ""  # of the body, hex; filled in by seal()
    meta: Mapping[str, Any] = field(default_factory=dict)
    v: int = VERSION


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope; nothing about it is trusted before verify() said so."""

    header: Header
    body: bytes
    signed: bytes
    signature: bytes

    def json(self) -> Any:
        """The body read as JSON. Raises EnvelopeError when it is not."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise EnvelopeError("envelope.body", "the body is not JSON", kind=self.header.kind) from error


def seal(header: Header, body: bytes, private_key: crypto.PrivateKey) -> bytes:
    """Build and sign an envelope; the body's SHA-256 is filled in."""
    if len(body) > MAX_BODY:
        raise EnvelopeError("envelope.size", "the body is too large", size=len(body))
    header = replace(header, sha256=crypto.sha256_hex(body))
    text = json.dumps(_as_dict(header), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    signed = b"".join((MAGIC, _LENGTH.pack(len(text)), text, _LENGTH.pack(len(body)), body))
    return signed + crypto.sign(private_key, signed)


def parse(data: bytes) -> Envelope:
    """Take an envelope apart and check its shape and body hash, not its signature. Raises EnvelopeError."""
    text, at = _block(data, len(MAGIC), MAX_HEADER)
    if data[: len(MAGIC)] != MAGIC:
        raise EnvelopeError("envelope.magic", "not an envelope of version 1")
    body, end = _block(data, at, MAX_BODY)
    header = _header(text)
    if crypto.sha256_hex(body) != header.sha256:
        raise EnvelopeError("envelope.hash", "the body does not have the hash the header names")
    return Envelope(header, body, data[:end], data[end:])


def verify(envelope: Envelope, public_key: crypto.PublicKey) -> bool:
    """True when the envelope was signed by the holder of this key."""
    return crypto.verify(public_key, envelope.signed, envelope.signature)


def _block(data: bytes, at: int, limit: int) -> tuple[bytes, int]:
    start = at + _LENGTH.size
    if len(data) < start:
        raise EnvelopeError("envelope.cut", "the envelope is cut short")
    (length,) = _LENGTH.unpack_from(data, at)
    if length > limit or len(data) < start + length:
        raise EnvelopeError("envelope.cut", "the envelope is cut short or a length is wrong")
    return data[start : start + length], start + length


def _header(text: bytes) -> Header:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EnvelopeError("envelope.header", "the header is not JSON") from error
    if not isinstance(raw, dict) or raw.get("v") != VERSION:
        raise EnvelopeError("envelope.version", "an envelope of another version")
    texts = {name: _typed(raw, name, str) for name in _TEXT_FIELDS}
    seq, mono, meta = _typed(raw, "seq", int), _typed(raw, "mono", int), _typed(raw, "meta", dict)
    if not 0 <= seq < 1 << 63 or not 0 <= mono < 1 << 63:
        raise EnvelopeError("envelope.header", "a number of the header is out of range")
    return Header(seq=seq, mono=mono, meta=meta, **texts)


def _typed(raw: dict[str, Any], name: str, kind: type) -> Any:
    value = raw.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise EnvelopeError("envelope.header", f"the header's {name} is missing or of a wrong kind", name=name)
    return value


def _as_dict(header: Header) -> dict[str, Any]:
    return {
        "v": header.v,
        "tenant": header.tenant,
        "agent": header.agent,
        "stream": header.stream,
        "seq": header.seq,
        "kind": header.kind,
        "conn": header.conn,
        "at": header.at,
        "mono": header.mono,
        "boot": header.boot,
        "sha256": header.sha256,
        "meta": dict(header.meta),
    }
