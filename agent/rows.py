"""What the journal's rows say, and the checksums that tell a damaged row from a whole one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import apsw

from agent.vault import Sealed, Vault
from common.crypto import sha256_hex

PENDING, RECEIPTED, QUARANTINED = 0, 1, 2
SEQ_BITS = 40
SEQ_MASK = (1 << SEQ_BITS) - 1
# Text is read as bytes: a flipped bit may make it no text at all, and must not make it unreadable.
COLUMNS = (
    "id, CAST(kind AS BLOB), CAST(conn AS BLOB), at, CAST(meta AS BLOB), body, CAST(sha256 AS BLOB), crc, urgent, state, receipted_at, mark"
)


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


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the outbox as it stands in the file, whole or not."""

    id: int
    kind: str
    conn: str
    at: int
    meta: str
    body: bytes
    sha256: str
    crc: int
    urgent: int
    state: int
    receipted_at: int
    mark: int

    @property
    def whole(self) -> bool:
        """True when what never changes is as it was written."""
        wanted = message_crc(self.id, self.kind, self.conn, self.at, self.meta, self.sha256)
        return self.crc == wanted and sha256_hex(self.body) == self.sha256

    @property
    def sure_state(self) -> int:
        """The state, or pending where a flipped bit may have changed it: sending once more does no harm."""
        sure = self.mark == state_mark(self.id, self.state, self.receipted_at)
        return self.state if sure and self.state in (PENDING, RECEIPTED, QUARANTINED) else PENDING


def read_row(values: Sequence[Any], vault: Vault) -> Row | None:
    """A row selected by COLUMNS, opened; None when its values have not even the right kinds or its seal does not open."""
    try:
        number, kind, conn, at, meta, body, sha256, *numbers = values
        place = message_place(int(number))
        sealed = (bytes(kind), bytes(conn), vault.open(bytes(meta), place), bytes(sha256))
        texts = [value.decode("utf-8", "replace") for value in sealed]
        opened = vault.open(bytes(body), place)
        crc, urgent, state, receipted_at, mark = (int(value) for value in numbers)
        return Row(int(number), texts[0], texts[1], int(at), texts[2], opened, texts[3], crc, urgent, state, receipted_at, mark)
    except (TypeError, ValueError, Sealed):
        return None


def unfinished(db: apsw.Connection, vault: Vault) -> Iterator[Unfinished]:
    """Sessions whose frames were stored and whose end was not, in the order they began."""
    found: dict[Any, Unfinished] = {}
    for session, raw, at, data, crc in db.execute("SELECT session, CAST(conn AS BLOB), at, data, crc FROM frames ORDER BY id"):
        if data is None:
            found.pop(session, None)
            continue
        conn = bytes(raw).decode("utf-8", "replace") if isinstance(raw, bytes) else ""
        item = found.setdefault(session, Unfinished(session, conn, at if isinstance(at, int) else 0))
        try:
            if not isinstance(data, bytes) or not isinstance(at, int) or crc != frame_crc(session, conn, at, data):
                raise Sealed
            item.frames.append(vault.open(data, FRAME_PLACE))
            item.ended = at
        except Sealed:
            item.damaged += 1
    yield from found.values()


FRAME_PLACE = b"frame"  # a frame's row is held together by its crc; the seal says that it is a frame of this journal


def message_place(number: int) -> bytes:
    """What a message's seals are bound to: moved to another row they do not open."""
    return b"message %d" % number


def state_mark(number: int, state: int, receipted_at: int) -> int:
    """Checksum of a message's state."""
    return crc32(b"%d %d %d" % (number, state, receipted_at))


def text_crc(*parts: object) -> int:
    """Checksum of a small row."""
    return crc32("\x1f".join(map(str, parts)).encode())


def frame_crc(session: int, conn: str, at: int, data: bytes) -> int:
    """Checksum of a frame row: every column but its own."""
    return crc32(data, crc32(b"%d %d %s" % (session, at, conn.encode())))


def message_crc(number: int, kind: str, conn: str, at: int, meta: str, sha256: str) -> int:
    """Checksum of what a message row says beside its body, which its SHA-256 covers."""
    return crc32(f"{number} {kind} {conn} {at} {sha256} {meta}".encode())
