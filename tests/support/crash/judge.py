"""Judges an agent's journal by what the analyzers recorded. Reads the journal's file only after the agent is dead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import apsw
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.crash.recorder import Attempt, Recorder


@dataclass
class Verdict:
    """What was found; `lost`, `doubled` and `invented` must be empty."""

    acked: int = 0
    messages: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """True when nothing is wrong."""
        return not (self.lost or self.doubled or self.invented)

    def __str__(self) -> str:
        found = f"{self.acked} frames acknowledged, {self.messages} messages"
        return f"{found}; lost {self.lost[:5]}, doubled {self.doubled[:5]}, invented {self.invented[:5]}"


def judge(journal: Path, recorder: Recorder) -> Verdict:
    """Every acknowledged frame is stored, in one place, and nothing is stored that was not sent."""
    return judge_bodies(_bodies(journal), recorder)


def judge_bodies(bodies: Sequence[bytes], recorder: Recorder) -> Verdict:
    """The same of messages wherever they are kept."""
    verdict = Verdict(acked=recorder.acked_frames, messages=len(bodies))
    by_frame: Counter[bytes] = Counter()
    for body in bodies:
        for frame in _frames(body):
            by_frame[frame] += 1
    sent: Counter[bytes] = Counter()
    least: Counter[bytes] = Counter()
    for attempt in recorder.attempts:
        _expect(attempt, sent, least)
    for frame, count in least.items():
        if by_frame[frame] < count:
            verdict.lost.append(frame.decode("latin-1"))
    for frame, count in by_frame.items():
        if frame not in sent:
            verdict.invented.append(frame.decode("latin-1"))
        elif count > sent[frame]:
            verdict.doubled.append(frame.decode("latin-1"))
    return verdict


def _expect(attempt: Attempt, sent: Counter[bytes], least: Counter[bytes]) -> None:
    """An unacknowledged frame may or may not be stored: the kill fell between COMMIT and ACK."""
    for number, frame in enumerate(attempt.frames):
        if number <= attempt.acked:
            sent[frame] += 1
        if number < attempt.acked:
            least[frame] += 1


def _frames(body: bytes) -> list[bytes]:
    return [b"\x02" + part.removesuffix(b"\x04") for part in body.removeprefix(b"\x05").split(b"\x02")[1:]]


def _bodies(journal: Path) -> list[bytes]:
    """Messages, and frames of sessions that are not messages yet, read without the product's code."""
    db = apsw.Connection(str(journal))
    key = AESGCM(bytes.fromhex(journal.with_name("journal.key").read_text().split()[0]))

    def plain(sealed: bytes, place: str) -> bytes:
        return key.decrypt(sealed[2:14], sealed[14:], place.encode())

    bodies = [plain(body, f"message {number}") for number, body in db.execute("SELECT id, body FROM messages ORDER BY id")]
    left: dict[object, list[bytes]] = {}
    for session, data in db.execute("SELECT session, data FROM frames ORDER BY id"):
        if data is None:
            left.pop(session, None)
        else:
            left.setdefault(session, []).append(plain(data, "frame"))
    db.close()
    return bodies + [b"".join(frames) for frames in left.values()]
