"""Two ASTM lines talking over a wire that may be bad: the kit every link test runs over."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from common.protocol.astm import link as core
from common.protocol.astm.effects import Effect, MessageDone, Persist, SendFailed, Sent, StartTimer, StopTimer, Write
from common.protocol.astm.link import Link, Role

Wire = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> list[bytes]:
    """A good wire."""
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    """Every byte is a read of its own."""
    return [data[i : i + 1] for i in range(len(data))]


def lossy(seed: int, rate: float) -> Wire:
    """Loses, flips or doubles single bytes at the given rate."""
    dice = random.Random(seed)

    def wire(data: bytes) -> list[bytes]:
        out = bytearray()
        for byte in data:
            roll = dice.random()
            if roll < rate / 3:
                continue
            out.append(byte ^ (1 << dice.randrange(7)) if roll < 2 * rate / 3 else byte)
            if 2 * rate / 3 < roll < rate:
                out.append(byte)
        cut = dice.randrange(len(out) + 1)
        return [bytes(out[:cut]), bytes(out[cut:])]

    return wire


class End:
    """One end: a Link and a shell that stores in memory, with a timer that the conversation advances."""

    def __init__(self, role: Role) -> None:
        self.link = Link(role)
        self.stored: list[bytes] = []
        self.done: list[MessageDone] = []
        self.sent: list[object] = []
        self.failed: list[SendFailed] = []
        self.log: list[Effect] = []
        self.out = bytearray()
        self.deadline: float | None = None
        self.refuse = False

    def run(self, effects: list[Effect], now: float) -> None:
        """Carry out effects the way the agent does."""
        for effect in effects:
            self.log.append(effect)
            if isinstance(effect, Write):
                self.out += effect.data
            elif isinstance(effect, Persist):
                if self.refuse:
                    self.run(self.link.refused(), now)
                else:
                    self.stored.append(effect.frame)
                    self.run(self.link.persisted(), now)
            elif isinstance(effect, MessageDone):
                self.done.append(effect)
            elif isinstance(effect, Sent):
                self.sent.append(effect.tag)
            elif isinstance(effect, SendFailed):
                self.failed.append(effect)
            elif isinstance(effect, StartTimer):
                self.deadline = now + effect.seconds
            elif isinstance(effect, StopTimer):
                self.deadline = None


class Conversation:
    """Instrument and host on one wire, with a clock that jumps to the next timer when the wire is silent."""

    def __init__(self, up: Wire = whole, down: Wire = whole) -> None:
        self.instrument, self.host = End(Role.INSTRUMENT), End(Role.HOST)
        self.up, self.down = up, down
        self.now = 0.0

    def send(self, frames: list[bytes], tag: object = None) -> None:
        """Give the instrument something to send."""
        self.instrument.run(self.instrument.link.send(frames, tag), self.now)

    def talk(self, seconds: float = 3600) -> None:
        """Until both are silent for good, or the time is over."""
        until = self.now + seconds
        while self.now < until:
            if not self._deliver() and not self._next_timer():
                return

    def _deliver(self) -> bool:
        moved = False
        for source, target, wire in (
            (self.instrument, self.host, self.up),
            (self.host, self.instrument, self.down),
        ):
            data = bytes(source.out)
            source.out.clear()
            for piece in wire(data) if data else ():
                moved = True
                target.run(target.link.receive(piece), self.now)
        return moved

    def _next_timer(self) -> bool:
        ends = [end for end in (self.instrument, self.host) if end.deadline is not None]
        if not ends:
            return False
        end = min(ends, key=lambda e: e.deadline or 0.0)
        self.now = max(self.now, end.deadline or 0.0)
        end.deadline = None
        end.run(end.link.timer(), self.now)
        return True


def texts(frames: Iterable[bytes]) -> bytes:
    """The text the frames carry, joined."""
    return b"".join(frame[2 : max(frame.rfind(b"\x03"), frame.rfind(b"\x17"))] for frame in frames)


__all__ = ["Conversation", "End", "Wire", "bytewise", "core", "lossy", "texts", "whole"]
