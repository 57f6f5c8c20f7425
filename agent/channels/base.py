"""What every channel shares: the line it belongs to, its health, its one timer."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from functools import lru_cache
from typing import Any, Protocol

from agent.config import Connection
from agent.health import Health, first_look
from agent.journal import Journal
from agent.rows import Outgoing
from agent.tail import Tap
from agent.transport.poller import Poller

LOOK_EVERY_MS = 10_000
LOOK_MOST = 65_536


class Queries(Protocol):
    """What a channel asks when an analyzer asks for orders (agent/host_query.py)."""

    def is_urgent(self, body: bytes) -> bool:
        """True when the message names a tube the cached worklist calls urgent."""

    def asks(self, conn: Connection, body: bytes) -> bool:
        """True when the message may be a host query (a cheap look)."""

    def answer(self, conn: Connection, body: bytes, reply: Callable[[list[bytes]], None]) -> None:
        """Find the orders, then call `reply` once with the messages to send (maybe none)."""


class Fate(Enum):
    """What became of an order sent unasked."""

    TAKEN = auto()
    PARTLY = auto()  # taken, but for some of its tests
    LOST = auto()  # the way to the analyzer broke; whether it has the order nobody knows
    UNANSWERED = auto()  # it got it and says nothing
    REFUSED = auto()  # it does not want it now
    IMPOSSIBLE = auto()  # it says that it cannot do this


Outcome = Callable[[Fate, str], None]
"""Hears once what became of an order, with the analyzer's own words where it has some."""


@dataclass(slots=True)
class Line:
    """A configured connection while the agent runs: what its channels need."""

    conn: Connection
    journal: Journal
    queries: Queries
    loop: asyncio.AbstractEventLoop
    boot: str = ""
    health: Health = field(default_factory=Health)
    poller: Poller | None = None  # where the system has one
    looked: int = -(1 << 40)  # when a message was last read (milliseconds)
    tap: Tap | None = None  # somebody looks at the bytes (agent/tail.py)
    offers: list[Callable[[bytes, Outcome], None]] = field(default_factory=list)  # links that are up and can take an order, the newest last
    refusals: list[dict[str, Any]] = field(default_factory=list)  # orders the analyzer did not take: specimen, tests, why, again

    def trouble(self, text: str) -> None:
        """Remember what went wrong last."""
        self.health.errors += 1
        self.health.last_error = text

    def fault(self, error: OSError, text: str) -> None:
        """The port does not work, for this reason."""
        self.health.state = "fault"
        self.health.errno = errno.errorcode.get(error.errno or 0, type(error).__name__)
        self.trouble(text)

    def look(self, body: bytes) -> None:
        """Read one message as the cloud will, now and then, to know whether its driver fits."""
        try:
            seen = first_look(body, self.conn.driver, self.conn.encoding, self.conn.site)
        except Exception:  # the cloud says what is wrong with it; here it only matters that it cannot be read
            seen = {"unreadable": True}
        for name in (name for name, there in seen.items() if there):
            self.health.notice(name)

    def outgoing(self, body: bytes, started: int, frames: int, *, complete: bool, problems: list[str], peer: str) -> Outgoing:
        """A raw message for the outbox, with what the cloud needs to read it."""
        ended = now_ms()
        conn = self.conn
        urgent = self.queries.is_urgent(body)
        meta: dict[str, Any] = {
            "protocol": conn.protocol,
            "driver": conn.driver,
            "encoding": conn.encoding,
            "complete": complete,
            "started": iso(started),
            "ended": iso(ended),
            "urgent": urgent,
            "frames": frames,
            "problems": problems,
            "peer": peer,
            "captured": {"mono": time.monotonic_ns(), "boot": self.boot},
        }
        health = self.health
        health.messages += 1
        health.incomplete += not complete
        health.result(ended / 1000)
        if (
            complete and ended - self.looked >= LOOK_EVERY_MS and len(body) <= LOOK_MOST and body[:2] != b"PK"
        ):  # a workbook is read in the cloud
            self.looked = ended
            self.loop.call_soon(self.look, body)
        return Outgoing(conn.key, body, ended, meta, urgent)


class Timer:
    """One timer that is cheap to push back: the loop is only asked when it would fire too late."""

    __slots__ = ("_at", "_call", "_deadline", "_handle", "_loop", "_time")

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self._loop = loop
        self._time = loop.time
        self._call = call
        self._deadline: float | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._at = float("inf")  # when the loop was asked to call, never while it was not

    def start(self, seconds: float) -> None:
        """(Re)start."""
        deadline = self._deadline = self._time() + seconds
        if self._at > deadline:
            if self._handle is not None:
                self._handle.cancel()
            self._ask(deadline)

    def stop(self) -> None:
        """Forget it; the pending call then finds nothing to do."""
        self._deadline = None

    def close(self) -> None:
        """Stop for good."""
        self._deadline, self._at = None, float("inf")
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ask(self, deadline: float) -> None:
        self._handle, self._at = self._loop.call_at(deadline, self._ring), deadline

    def _ring(self) -> None:
        self._handle, self._at = None, float("inf")
        if self._deadline is None:
            return
        if self._deadline > self._time() + 0.001:
            self._ask(self._deadline)
            return
        self._deadline = None
        self._call()


class Channel(Protocol):
    """One link while it is up."""

    def received(self, data: bytes) -> None:
        """Bytes came."""

    def closed(self) -> None:
        """The link is gone; nothing can be written any more."""


Write = Callable[[bytes], None]
OpenChannel = Callable[["Line", Write, str], Channel]


def now_ms() -> int:
    """The wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


def iso(ms: int | float) -> str:
    """Milliseconds as ISO 8601 in UTC."""
    second, rest = divmod(int(ms), 1000)
    return f"{_second(second)}.{rest:03d}Z"


@lru_cache(16)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


__all__ = ["Channel", "Health", "Line", "OpenChannel", "Queries", "Timer", "Write", "iso", "now_ms"]
