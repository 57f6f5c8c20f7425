"""What the analyzers saw: every attempt to send a session, which of its frames were acknowledged, whether EOT was sent."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Attempt:
    """One transfer phase, from ENQ on. `key` is in its records, so that its bytes are like no other's."""

    key: str
    conn: str
    frames: list[bytes]
    acked: int = 0
    """So many frames from the first were answered with ACK."""
    ended: bool = False
    """EOT was sent after the last ACK."""


@dataclass
class Recorder:
    """All attempts of a run."""

    attempts: list[Attempt] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, key: str, conn: str, frames: list[bytes]) -> Attempt:
        """A new attempt, noted before its first byte leaves."""
        attempt = Attempt(key, conn, frames)
        with self._lock:
            self.attempts.append(attempt)
        return attempt

    @property
    def acked_frames(self) -> int:
        """How many frames were acknowledged."""
        return sum(attempt.acked for attempt in self.attempts)

    @property
    def ended(self) -> int:
        """How many sessions came to their EOT."""
        return sum(attempt.ended for attempt in self.attempts)

    def save(self, path: Path) -> None:
        """Write it down, a line an attempt, to judge or replay later."""
        with open(path, "w") as out:
            for a in self.attempts:
                row = {"key": a.key, "conn": a.conn, "frames": [f.hex() for f in a.frames], "acked": a.acked, "ended": a.ended}
                out.write(json.dumps(row) + "\n")
