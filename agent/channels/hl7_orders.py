"""Orders sent unasked over HL7, one at a time, and what the analyzer answers about them (IHE LAW LAB-28: ORL^O34; others: ACK).

MSA-1 says whether the message was taken. An ORL says it of every work order by ORC-1, so a message can be taken and a test in it refused;
that is final, an order refused as a whole (AE, AR) may be taken later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agent.channels.base import Fate, Outcome, Timer
from agent.channels.hl7_ack import read_head
from common.protocol.hl7.messages import Segment, parse

ANSWER_SECONDS = 20.0
"""An order without an answer for so long counts as unanswered; the next one goes."""

_TAKEN = ("AA", "CA")
_UNABLE = ("UA", "UC", "UX", "DE")
"""HL7 table 0119: unable to accept, to cancel, to change; data errors."""


@dataclass(frozen=True, slots=True)
class Said:
    """An acknowledgement: of which message (MSH-10), how it ended, and why not."""

    control: str
    fate: Fate
    refusal: str = ""
    commit: bool = False
    """Only that the bytes arrived (CA); what the analyzer makes of them may follow."""


def heard(message: bytes) -> Said | None:
    """What an acknowledgement says; None when the message is none."""
    head = read_head(message)
    if head is None or head.type not in (b"ACK", b"ORL", b"ORR"):
        return None
    read = parse(message)
    msa = read.first("MSA")
    if msa is None:
        return None
    code, control = msa.get(1).strip().upper(), msa.get(2).strip()
    if code not in _TAKEN:
        return Said(control, Fate.REFUSED, _why(read.first("ERR"), msa) or code or "MSA")
    unable = [_test(segment, read.segments[at + 1 :]) for at, segment in enumerate(read.segments) if _unable(segment)]
    if unable:
        why, all_of_it = _why(read.first("ERR"), msa), len(unable) == len(read.all("ORC"))
        fate = Fate.IMPOSSIBLE if all_of_it else Fate.PARTLY
        return Said(control, fate, "、".join(unable) + (f"（{why}）" if why else ""))
    return Said(control, Fate.TAKEN, commit=code == "CA")


def _unable(segment: Segment) -> bool:
    return segment.name == "ORC" and segment.get(1).strip().upper() in _UNABLE


def _test(order: Segment, after: list[Segment]) -> str:
    """The test of a refused work order: its OBR-4, else the order's number, and the reason where ORC-16 has one."""
    upto = next((n for n, segment in enumerate(after) if segment.name == "ORC"), len(after))
    request = next((segment for segment in after[:upto] if segment.name == "OBR"), None)
    name = (request.id(4) if request is not None else None) or order.id(2) or order.get(1)
    reason = order.id(16, 2) or order.id(16)
    return f"{name} {reason}" if reason else name


def _why(err: Segment | None, msa: Segment) -> str:
    """The reason in the analyzer's words: ERR-8, ERR-7, ERR-3, MSA-3."""
    said = [] if err is None else [err.text(8), err.text(7), err.id(3, 2) or err.id(3) or ""]
    return next((words.strip()[:200] for words in (*said, msa.text(3)) if words.strip()), "")


@dataclass(slots=True)
class _Waiting:
    message: bytes
    outcome: Outcome
    control: str
    arrived: bool = False


class Orders:
    """The orders of one link: the next goes when the one before is answered."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[list[bytes]], None]) -> None:
        self._send = send
        self._queue: deque[_Waiting] = deque()
        self._timer = Timer(loop, self._late)

    def offer(self, message: bytes, outcome: Outcome) -> None:
        """Send it when its turn comes; `outcome` hears once what became of it."""
        head = read_head(message)
        control = "" if head is None else head.get(10).decode("utf-8", "replace").strip()
        self._queue.append(_Waiting(message, outcome, control))
        if len(self._queue) == 1:
            self._next()

    def answered(self, said: Said) -> None:
        """An acknowledgement came; one of another message is none of ours."""
        if not self._queue or self._queue[0].control != said.control:
            return
        if said.commit:  # the answer proper may follow; when it does not, this was it
            self._queue[0].arrived = True
            return
        self._end(said.fate, said.refusal)

    def lost(self) -> None:
        """The link is gone."""
        self._timer.close()
        while self._queue:
            self._queue.popleft().outcome(Fate.LOST, "")

    def _late(self) -> None:
        if self._queue:
            arrived = self._queue[0].arrived
            self._end(Fate.TAKEN if arrived else Fate.UNANSWERED, "" if arrived else "仪器没有应答 (no answer)")

    def _end(self, fate: Fate, why: str) -> None:
        self._timer.stop()
        done = self._queue.popleft()
        if self._queue:
            self._next()
        done.outcome(fate, why)

    def _next(self) -> None:
        self._timer.start(ANSWER_SECONDS)
        self._send([self._queue[0].message])
