"""Structured logs as JSON lines on standard error. No patient data: callers name connections, counts and codes only.

Our own thirty lines in place of structlog: with the console parts it imports, that takes 9 MB of the agent's 60.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections import deque
from datetime import UTC, datetime

_QUIET: deque[dict[str, str]] = deque(maxlen=60)
_LOUD: deque[dict[str, str]] = deque(maxlen=90)
LEVELS = {"DEBUG": 0, "INFO": 1, "WARNING": 2, "ERROR": 3}
_least = [LEVELS["INFO"]]


def setup(level: str = "INFO") -> None:
    """Set the least level that is written."""
    _least[0] = LEVELS[level]


class Log:
    """A part's logger."""

    def __init__(self, part: str) -> None:
        self._part = part

    def info(self, event: str, **fields: object) -> None:
        """Something worth knowing happened."""
        self._write("INFO", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something that may need a look."""
        self._write("WARNING", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Something went wrong."""
        self._write("ERROR", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Our own bug: with where it happened. The exception's text is left out, for it may quote data."""
        kind, _, trace = sys.exc_info()
        where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)[-6:]]
        self._write("ERROR", event, {"exception": kind.__name__ if kind else None, "where": where, **fields})

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        if LEVELS[level] < _least[0]:
            return
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        row = {"at": at, "level": level.lower(), "part": self._part, "event": event, **fields}
        line = json.dumps(row, ensure_ascii=False, default=str)
        said = f"{level} {self._part} {event} {json.dumps(fields, ensure_ascii=False, default=str) if fields else ''}"
        (_LOUD if LEVELS[level] >= LEVELS["WARNING"] else _QUIET).append({"at": at, "text": said.rstrip()[:600]})
        sys.stderr.write(line + "\n")


def recent() -> list[dict[str, str]]:
    """The newest lines, for an engineer who asks from afar; what went wrong is kept longer than what went well."""
    return sorted([*_QUIET, *_LOUD], key=lambda line: line["at"])


def get(part: str) -> Log:
    """A logger."""
    return Log(part)
