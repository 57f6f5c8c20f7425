"""Faults of analyzers' lines, put into the product's own channels, journal and heartbeat under a fake clock; the expected layer by hand."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent import status
from agent.channels import astm as astm_module
from agent.channels import base
from agent.channels import hl7 as hl7_module
from agent.channels import oneway as oneway_module
from agent.channels.astm import AstmChannel
from agent.channels.base import Line
from agent.channels.hl7 import Hl7Channel
from agent.channels.oneway import OneWayChannel
from agent.config import Connection, Transport
from agent.host_query import HostQueries
from agent.journal import Journal
from agent.worklist import Worklist
from common import diagnosis
from common.diagnosis import Layer
from common.protocol.astm.framing import build_frames
from common.protocol.hl7 import mllp
from tests.support.crash.load import cbc

START = 1_790_000_000.0
ENQ, EOT = b"\x05", b"\x04"


class Clock:
    """A loop's clock and timers that only move when told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[list[Any]] = []
        self.numbers = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[..., None], *args: Any) -> Any:
        entry = [when, next(self.numbers), call, args]
        self.calls.append(entry)

        class Handle:
            def cancel(self) -> None:
                entry[2] = None

            def when(self) -> float:
                return float(entry[0])

        return Handle()

    def call_later(self, delay: float, call: Callable[..., None], *args: Any) -> Any:
        return self.call_at(self.now + delay, call, *args)

    def call_soon(self, call: Callable[..., None], *args: Any) -> Any:
        return self.call_at(self.now, call, *args)

    def step(self, seconds: float) -> None:
        self.now += seconds
        for entry in sorted((e for e in self.calls if e[0] <= self.now), key=lambda e: (e[0], e[1])):
            self.calls.remove(entry)
            if entry[2] is not None:
                entry[2](*entry[3])


class Lab:
    """Lines of one agent, with the product's channels, journal and heartbeat; no sockets."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.journal = Journal(folder / "journal.db")
        self.queries = HostQueries(Worklist(self.journal), self.clock)  # type: ignore[arg-type]  # a clock with the parts that are used
        self.lines: dict[str, Line] = {}
        self.channels: dict[str, Any] = {}
        self.sessions = itertools.count()
        self.beating = {"a", "s", "h"}
        self.add("a", "astm", "tcp-listen", AstmChannel)
        self.add("s", "astm", "serial", AstmChannel)
        self.add("h", "hl7", "tcp-dial", Hl7Channel)
        for _ in range(12):
            self.second(5)

    def add(self, key: str, protocol: str, kind: str, channel: Any, **more: Any) -> None:
        conn = Connection(key, key, "", protocol, Transport(kind, port=1, device="/dev/ttyS9", folder="/x"), **more)
        line = self.lines[key] = Line(conn, self.journal, self.queries, self.clock)  # type: ignore[arg-type]  # the same clock
        self.channels[key] = channel(line, lambda data: None, "peer")
        line.health.links, line.health.state = 1, "idle"

    def say(self, key: str, *parts: bytes) -> None:
        for part in parts:
            self.channels[key].received(part)
            self.journal.flush()

    def good(self, key: str) -> None:
        """A result, as this line's analyzer sends it."""
        name = f"{key}{next(self.sessions)}"
        if self.lines[key].conn.protocol == "hl7":
            self.say(key, mllp.frame(b"MSH|^~\\&|BC|L|||20260701||ORU^R01|1|P|2.3.1\rOBR|1||" + name.encode() + b"\rOBX|1|NM|WBC||6.1|g\r"))
        else:
            self.say(key, ENQ, *build_frames(cbc(name, 2), per_record=True), EOT)

    def second(self, seconds: float = 1.0) -> None:
        """Time passes; healthy analyzers send a result every five seconds."""
        for _ in range(int(seconds)):
            self.clock.step(1.0)
            if int(self.clock.now) % 5 == 0:
                for key in self.beating:
                    self.good(key)
            self.journal.flush()
            self.troubles()

    def troubles(self) -> dict[str, Layer]:
        rows = status.connections(self.lines.values())
        now = datetime.fromtimestamp(START + self.clock.now, UTC)
        found = [diagnosis.connection(row, now) for row in rows]
        return {trouble.conn: trouble.layer for trouble in found if trouble is not None}


@contextmanager
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Three healthy lines, and a clock that only this laboratory moves."""
    holder: list[Clock] = []
    real = Clock.__init__

    def noted(self: Clock) -> None:
        real(self)
        holder.append(self)

    monkeypatch.setattr(Clock, "__init__", noted)
    for module in (base, astm_module, hl7_module, oneway_module):
        monkeypatch.setattr(module, "now_ms", lambda: int((START + holder[0].now) * 1000))
    monkeypatch.setattr("agent.status.time.monotonic", lambda: holder[0].now)
    found = Lab(folder)
    assert found.troubles() == {}
    yield found
    found.journal.close()


def failing(number: int) -> Callable[[Lab, str], None]:
    def put(lab: Lab, key: str) -> None:
        lab.beating.discard(key)
        lab.lines[key].health.links = 0
        lab.lines[key].fault(OSError(number, "x"), "x")

    return put


def gone(code: str = "") -> Callable[[Lab, str], None]:
    def put(lab: Lab, key: str) -> None:
        lab.beating.discard(key)
        health = lab.lines[key].health
        health.links, health.state, health.errno = 0, "connecting", code

    return put


def each(seconds: int, *parts: bytes, silent: bool = True) -> Callable[[Lab, str], None]:
    """The analyzer sends these bytes again and again."""

    def put(lab: Lab, key: str) -> None:
        if silent:
            lab.beating.discard(key)

        def again() -> None:
            lab.say(key, *parts)
            lab.clock.call_later(seconds, again)

        again()

    return put


def notices(name: str, count: int) -> Callable[[Lab, str], None]:
    def put(lab: Lab, key: str) -> None:
        for _ in range(count):
            lab.lines[key].health.notice(name)

    return put


def silent(lab: Lab, key: str) -> None:
    lab.beating.discard(key)


def stranger(lab: Lab, key: str) -> None:
    gone()(lab, key)
    lab.lines[key].health.notice("peer_refused")


def refusing(lab: Lab, key: str) -> None:
    """The store refuses: what the analyzer of this line sends is answered NAK."""
    frame = lab.journal.frame
    lab.journal.frame = (  # type: ignore[method-assign]  # a store that refuses one line, the others stay real
        lambda session, at, data, done: done(False) if lab.journal._sessions[session].conn == key else frame(session, at, data, done)
    )


FRAMES = build_frames(cbc("x", 2), per_record=True)
WRONG = [frame[:-4] + (b"00" if frame[-4:-2] != b"00" else b"11") + b"\r\n" for frame in FRAMES]
NOISE = bytes((n * 37 + 129) % 256 | 0x80 for n in range(60))
BROKEN = b"H|\\^&\rO|1|x\rR|1|^^^GLU|5.6|\xff\xfe\xc3\rL|1|N\r"
HL7 = mllp.frame(b"MSH|^~\\&|BC|L|||20260701||ORU^R01|1|P|2.3.1\rOBX|1|NM|WBC||6.1|g\r")
ASTM = ENQ + b"".join(FRAMES) + EOT

FAULTS: dict[str, tuple[str, Callable[[Lab, str], None], Layer, int]] = {
    "USB adapter pulled out": ("s", failing(errno.ENOENT), Layer.CABLE, 60),
    "serial device broke while open": ("s", failing(errno.EIO), Layer.CABLE, 60),
    "serial port taken by another program": ("s", failing(errno.EBUSY), Layer.PORT, 60),
    "no right to the serial port": ("s", failing(errno.EACCES), Layer.PORT, 60),
    "a setting the serial port does not take": ("s", failing(errno.EINVAL), Layer.PORT, 60),
    "wrong baud rate": ("s", each(5, NOISE), Layer.PORT, 60),
    "noise on the cable": ("s", each(5, ENQ, WRONG[0], FRAMES[0], EOT, silent=False), Layer.CABLE, 60),
    "listening port taken": ("a", failing(errno.EADDRINUSE), Layer.PORT, 60),
    "analyzer refuses the connection": ("h", failing(errno.ECONNREFUSED), Layer.PORT, 60),
    "analyzer's address does not answer": ("h", failing(errno.ETIMEDOUT), Layer.CABLE, 60),
    "nobody connected": ("a", gone(), Layer.CABLE, 60),
    "half-open peer found by keepalive": ("a", gone("ETIMEDOUT"), Layer.CABLE, 90),
    "connection from an address not on the list": ("a", stranger, Layer.PORT, 60),
    "frozen in mid-frame": ("a", lambda lab, key: (silent(lab, key), lab.say(key, ENQ, FRAMES[0], FRAMES[1][:9]))[0], Layer.LINK, 60),
    "HL7 block that never ends": ("h", lambda lab, key: (silent(lab, key), lab.say(key, HL7[:40]))[0], Layer.LINK, 60),
    "checksum computed another way": ("a", each(5, ENQ, WRONG[0], WRONG[0], EOT), Layer.LINK, 60),
    "frames out of order": ("a", each(5, ENQ, FRAMES[0], FRAMES[3], EOT, silent=False), Layer.LINK, 60),
    "orders not accepted": ("s", notices("not-accepted", 1), Layer.LINK, 60),
    "orders not answered": ("a", notices("no-reply", 1), Layer.LINK, 60),
    "HL7 on an ASTM line": ("a", each(5, HL7), Layer.PROTOCOL, 60),
    "ASTM on an HL7 line": ("h", each(5, ASTM), Layer.PROTOCOL, 60),
    "plain text on an ASTM line": ("s", each(5, b"GLU 5.6 mmol/L  0001\r\n" * 2), Layer.PROTOCOL, 60),
    "a format the driver does not read": ("p", each(5, b"@@0001;;5,6;;\r\n"), Layer.MAPPING, 60),
    "characters that are none": ("e", each(5, ENQ, *build_frames(BROKEN), EOT), Layer.MAPPING, 60),
    "silent against its own rhythm": ("a", silent, Layer.LINK, 61),
    "the disk is full": ("a", refusing, Layer.COMPUTER, 60),
}


def put(lab: Lab, name: str) -> tuple[str, Layer, int]:
    """Bring a fault about: the line's key, the layer to be named, and within how many seconds."""
    key, bring, layer, limit = FAULTS[name]
    if key == "p":
        lab.add("p", "fixed", "serial", OneWayChannel)
    if key == "e":
        lab.add("e", "astm", "tcp-listen", AstmChannel, encoding="utf-8")
    bring(lab, key)
    return key, layer, limit
