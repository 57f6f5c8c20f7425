"""Looking into one connection while it works: the live tail for a page in the cloud, and a capture to a file on this PC.

Both are ordered by the cloud for a limited time and cost nothing while nobody looks. Tail lines leave this PC with the patient's
fields hidden already (common/visible.py); a capture holds the bytes as they came and stays in the data folder, owner only.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, BinaryIO

from common.visible import MASK, tail_text

MAX_LINES = 200  # lines sent a second; more are counted, not kept
MAX_LINE = 16_384
MAX_CAPTURE = 64 << 20
_ENDS = b"\r\n\x04\x05\x06\x15\x1c"


class Tap:
    """What is on one connection, while somebody wants to know."""

    def __init__(self, encoding: str | None) -> None:
        self._encoding = encoding
        self._parts = {"in": bytearray(), "out": bytearray()}
        self._lines: list[dict[str, str]] = []
        self._dropped = 0
        self._file: BinaryIO | None = None
        self._written = 0
        self.tail_until = 0.0
        self.capture_until = 0.0

    def note(self, direction: str, data: bytes, at: str) -> None:
        """Bytes passed; `direction` is in or out, seen from us."""
        if self._file is not None and direction == "in" and self._written < MAX_CAPTURE:
            try:
                self._file.write(data)
                self._written += len(data)
            except OSError:  # the disk is full: the recording ends, the line does not
                self.close()
        if self.tail_until:
            self._tail(direction, data, at)

    def _tail(self, direction: str, data: bytes, at: str) -> None:
        buffer = self._parts[direction]
        buffer += data
        cut = max(map(buffer.rfind, (bytes([end]) for end in _ENDS))) + 1
        if not cut and len(buffer) > MAX_LINE:
            self._add(direction, MASK, at)  # one endless line: what is the patient's in it nobody can say
            buffer.clear()
        whole = bytes(buffer[:cut])
        del buffer[:cut]
        for text in tail_text(whole, self._encoding) if whole else ():
            self._add(direction, text, at)

    def _add(self, direction: str, text: str, at: str) -> None:
        if len(self._lines) < MAX_LINES:
            self._lines.append({"at": at, "dir": direction, "text": text[:2000]})
        else:
            self._dropped += 1

    def take(self, at: str) -> list[dict[str, str]]:
        """The lines since the last time."""
        if self._dropped:
            self._lines.append({"at": at, "dir": "in", "text": f"… {self._dropped} 行未显示 (lines left out)"})
        found, self._lines, self._dropped = self._lines, [], 0
        return found

    def capture(self, path: Path, until: float) -> None:
        """Write what comes in to a file from now on."""
        if self._file is None:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
        self.capture_until = until

    def expire(self, now: float) -> bool:
        """End what has had its time; True when nobody looks any more."""
        if now >= self.tail_until:
            self.tail_until = 0.0
        if now >= self.capture_until:
            self.close()
        return not self.tail_until and self._file is None

    def close(self) -> None:
        """End the capture."""
        file, self._file, self.capture_until = self._file, None, 0.0
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()


def order(body: dict[str, Any], encoding: str | None, tap: Tap | None, now: float, file: Path) -> Tap:
    """Begin, or make longer, what a command of the cloud asks for. Raises ValueError for one that cannot be."""
    tap = tap or Tap(encoding)
    seconds = float(body["seconds"])
    if body["do"] == "tail":
        tap.tail_until = now + min(seconds, 300.0)
    else:
        tap.capture(file, now + min(seconds, 3600.0))
    return tap
