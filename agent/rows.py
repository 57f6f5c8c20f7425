"""What the journal's rows say, and the checksums that tell a damaged row from a whole one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import apsw

PENDING, RECEIPTED, QUARANTINED = 0, 1, 2
SEQ_BITS = 40
SEQ_MASK = (1 << SEQ_BITS) - 1
COLUMNS = "id, kind, conn, at, meta, body, sha256, crc, urgent, state"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to put into the outbox. `at` is wall-clock milliseconds of its end."""

    conn: str
    body: bytes
    at: int
    meta: Mapping[str, Any] = field(default_factory=dict)
    urgent: bool = False
    kind: str = "raw"


@dataclass(frozen=True, slots=True)
class Stored:
    """A message read from the outbox."""

    id: int
    stream: str
    seq: int
    kind: str
    conn: str
    at: int
    meta: dict[str, Any]
    body: bytes
    sha256: str
    urgent: bool
    state: int


@dataclass(slots=True)
class Unfinished:
    """What is left of a session that was cut by a crash. `damaged` counts frames whose checksum was wrong."""

    session: int
    conn: str
    started: int
    ended: int = 0
    frames: list[bytes] = field(default_factory=list)
    damaged: int = 0


Build = Callable[[Unfinished], Outgoing]


def unfinished(db: apsw.Connection) -> Iterator[Unfinished]:
    """Sessions whose frames were stored and whose end was not, in the order they began."""
    found: dict[Any, Unfinished] = {}
    for session, conn, at, data, crc in db.execute("SELECT session, conn, at, data, crc FROM frames ORDER BY id"):
        if data is None:
            found.pop(session, None)
            continue
        item = found.setdefault(session, Unfinished(session, conn, at))
        item.ended = at
        if crc == frame_crc(session, conn, at, data):
            item.frames.append(data)
        else:
            item.damaged += 1
    yield from found.values()


def frame_crc(session: int, conn: str, at: int, data: bytes) -> int:
    """Checksum of a frame row: every column but its own."""
    return crc32(data, crc32(b"%d %d %s" % (session, at, conn.encode())))


def message_crc(number: int, kind: str, conn: str, at: int, meta: str, sha256: str) -> int:
    """Checksum of what a message row says beside its body, which its SHA-256 covers."""
    return crc32(f"{number} {kind} {conn} {at} {sha256} {meta}".encode())
