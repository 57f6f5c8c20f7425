"""What an ASTM `Link` asks of its shell, as values; the shell carries them out in order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Problem(StrEnum):
    """What went wrong on the line, as stable words; the shell has the sentences."""

    CHECKSUM = "checksum"
    FRAME_NUMBER = "frame-number"
    FRAME_CUT = "frame-cut"
    NUMBER_REUSED = "number-reused"
    TOO_LARGE = "too-large"
    OUTSIDE_SESSION = "outside-session"
    TIMEOUT = "timeout"
    RESTARTED = "restarted"
    LINK_LOST = "link-lost"
    NO_END = "no-end"
    REFUSED = "refused"
    NO_REPLY = "no-reply"
    NOT_ACCEPTED = "not-accepted"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Write:
    """Send these bytes."""

    data: bytes


@dataclass(slots=True)
class Persist:
    """Store this accepted frame (raw bytes, STX to LF), then call `persisted()` or `refused()`."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class StartTimer:
    """(Re)start the line's one timer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    """The line's timer is not needed any more."""


@dataclass(frozen=True, slots=True)
class SessionStart:
    """The other side took the line; frames may follow."""


@dataclass(frozen=True, slots=True)
class MessageDone:
    """A session with at least one stored frame ended. `body` is ENQ, the frames, and EOT when it came."""

    body: bytes
    frames: int
    complete: bool
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth counting and showing; nothing is to be done."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Sent:
    """All frames of an outgoing message were accepted."""

    tag: object


@dataclass(frozen=True, slots=True)
class SendFailed:
    """An outgoing message was given up; it is for the shell to offer it again."""

    tag: object
    problem: Problem


Effect = Write | Persist | StartTimer | StopTimer | SessionStart | MessageDone | Notice | Sent | SendFailed
