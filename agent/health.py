"""What a line notices about itself: counters, the last ten minutes of them, its own rhythm, and what kind of bytes come."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.instruments.site import Site

WINDOW_SECONDS = 600.0
MARK_SECONDS = 10.0
RHYTHM_LEAST = 5  # results before a rhythm is believed
RHYTHM_MOST = 12 * 3600.0  # a night is no gap
SAMPLE = 200
CALL_SECONDS = 120.0  # an analyzer that calls for each message hangs up within this time
CALLS_LEAST = 3  # such calls in a row before its absence counts as its habit


@dataclass(slots=True)
class Health:
    """What the board shows of a line. Counters since the agent started."""

    state: str = "connecting"
    since: float = 0.0
    links: int = 0
    peer: str = ""
    last_byte: float | None = None
    last_result: float | None = None
    messages: int = 0
    incomplete: int = 0
    frames: int = 0
    checksum_errors: int = 0
    refused: int = 0
    errors: int = 0
    queries: int = 0
    queries_offline: int = 0
    last_error: str = ""
    errno: str = ""  # of the fault that keeps the port from working, or ended the last link
    unread: int = 0  # bytes since the last frame or message
    sample: bytes = b""  # the newest of them; never leaves this PC
    bad_run: int = 0  # wrong checksums since the last good frame
    usual_gap: float | None = None  # seconds between results, smoothed
    results: int = 0
    calls: int = 0  # connections in a row that were short, carried something and ended in order
    notices: dict[str, int] = field(default_factory=dict)
    _marks: deque[tuple[float, dict[str, int]]] = field(default_factory=deque)

    def notice(self, name: str) -> None:
        """Count something."""
        self.notices[name] = self.notices.get(name, 0) + 1

    def result(self, at: float) -> None:
        """A result came (seconds since 1970): the rhythm learns."""
        if self.last_result is not None and 0 < at - self.last_result < RHYTHM_MOST:
            gap = at - self.last_result
            self.usual_gap = gap if self.usual_gap is None else 0.9 * self.usual_gap + 0.1 * gap
        self.last_result = at
        self.results += 1

    def hung_up(self, seconds: float, carried: bool, in_order: bool) -> None:
        """A connection of the analyzer's ended after so many seconds."""
        self.calls = self.calls + 1 if carried and in_order and seconds < CALL_SECONDS else 0

    @property
    def on_demand(self) -> bool:
        """Whether this analyzer connects for each message, so that nobody being connected is no fault."""
        return self.calls >= CALLS_LEAST

    @property
    def rhythm(self) -> float | None:
        """The usual gap, once it is known."""
        return self.usual_gap if self.results > RHYTHM_LEAST else None

    def counts(self) -> dict[str, int]:
        """The counters whose recent past matters."""
        return {**self.notices, "frames": self.frames, "refused": self.refused}

    def recent(self, now: float) -> dict[str, int]:
        """What was counted in the last ten minutes; to be asked at least every minute (the heartbeat does)."""
        counts = self.counts()
        marks = self._marks
        if not marks:
            marks.append((now, {}))
        elif now - marks[-1][0] >= MARK_SECONDS:
            marks.append((now, counts))
        while len(marks) > 1 and now - marks[1][0] >= WINDOW_SECONDS:
            marks.popleft()
        base = marks[0][1]
        return {name: count - base.get(name, 0) for name, count in counts.items() if count > base.get(name, 0)}

    @property
    def seen(self) -> str:
        """What kind of bytes came last without being a frame: astm, hl7, text, garbage, or nothing to say."""
        return kind_of(self.sample)


def kind_of(data: bytes) -> str:
    """What bytes look like, by their control characters and how much of them is text."""
    if len(data) < 8:
        return ""
    if b"MSH|" in data or (b"\x0b" in data and b"\x1c" in data):
        return "hl7"
    if b"\x02" in data and (b"\x03" in data or b"\x17" in data):
        return "astm"
    readable = sum(32 <= byte < 127 or byte in b"\r\n\t" for byte in data)
    return "text" if readable >= 0.9 * len(data) else "garbage"


def first_look(body: bytes, driver: str | None, encoding: str | None, site: Site | None = None) -> dict[str, Any]:
    """What reading a message shows at once: whether anything was found in it, and whether its text is whole."""
    from common.instruments.decode import decode

    reading = decode(body, driver, encoding, site)
    found = any(message.query or any(s.results for s in message.specimens) for message in reading.messages)
    problems = [*reading.problems, *(problem for message in reading.messages for problem in message.problems)]
    return {"unreadable": not found, "undecodable": any(problem.code in ("charset.bytes", "charset.declared") for problem in problems)}
