"""Faults of RELIABILITY.md at any size, with the parts for real: ``./dev faults F5 --size 1000`` (also F6, F7, F13).

Each prints what was done and found, and returns what went wrong. Rates and latencies are of this machine and its load; zeros are not.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import random
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.journal import Journal
from common.envelope import Envelope
from common.protocol.astm.framing import build_frames
from tests.bench.common import percentile, resident
from tests.support import agent_process, brokers
from tests.support.agent_cloud import ScriptedCloud, enrolled
from tests.support.crash.load import cbc

ENQ, ACK, EOT = b"\x05", b"\x06", b"\x04"
ROOM = 16 << 20  # bytes of the small disk


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes. Raises CalledProcessError without root."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


# --- F5


def full_disk(folder: Path, size: int, seed: int) -> list[str]:
    """The disk fills up `size` times in the middle of work; each time the journal refuses, and takes frames again once there is room."""
    dice, bad, acknowledged, refused = random.Random(seed), [], 0, 0
    with small_disk(folder / "disk", ROOM) as disk:
        journal = Journal(disk / "journal.db")
        for fill in range(size):
            room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - dice.randrange(0, 300_000)
            with open(disk / "filler", "wb") as filler:  # a log, a temporary file: whatever else grows on that PC
                filler.write(bytes(max(0, room)))
            said = _frames_until_refused(journal, dice, str(fill))
            acknowledged, refused = acknowledged + said.count(True), refused + said.count(False)
            if said[-1]:
                bad.append(f"fill {fill}: never refused")
            (disk / "filler").unlink()
            again = _hand_in(journal, journal.open_session("xn", fill), b"after")
            acknowledged += again
            if not again:
                bad.append(f"fill {fill}: refused although there is room: {journal.last_error}")
            if fill % 10 == 9 or fill + 1 == size:  # looked at as a restart would; what was counted makes room
                journal.db.close()
                journal = Journal(disk / "journal.db")
                bad += _whole(journal, acknowledged, fill)
                with journal.db:
                    journal.db.execute("DELETE FROM frames")
                journal.db.execute("VACUUM")
                acknowledged = 0
        journal.db.close()
    print(f"F5: {size} fills, {refused} frames refused, {len(bad)} problems (0 means fewer than {3 / size:.2g} a fill, 95 %)")
    return bad


def _frames_until_refused(journal: Journal, dice: random.Random, key: str) -> list[bool]:
    said: list[bool] = []
    number = journal.open_session("xn", 1)
    while len(said) < 3000 and (not said or said[-1]):
        said.append(_hand_in(journal, number, key.encode() + os.urandom(dice.choice((200, 4_000, 60_000)))))
    return said


def _hand_in(journal: Journal, session: int, frame: bytes) -> bool:
    heard: list[bool] = []
    journal.frame(session, 1, frame, heard.append)
    journal.flush()
    return heard[0]


def _whole(journal: Journal, acknowledged: int, fill: int) -> list[str]:
    stored = journal.db.execute("SELECT count(*) FROM frames").get
    found = [] if stored == acknowledged else [f"until fill {fill}: {acknowledged} acknowledged, {stored} stored"]
    if journal.db.execute("PRAGMA integrity_check").get != "ok":
        found.append(f"until fill {fill}: the file is not whole")
    return found


# --- F6


class Lean(ScriptedCloud):
    """A cloud that keeps a hash a message: a month of them does not fit otherwise."""

    def _take(self, found: Envelope) -> None:
        if found.header.kind != "raw":
            return
        key = (found.header.stream, found.header.seq)
        sha = hashlib.sha256(found.body).digest()
        assert self.raws.setdefault(key, sha) == sha, "one number, two contents"
        self.copies[key] = self.copies.get(key, 0) + 1
        if b"URGENT" in found.body:
            self.came.append(found)
        self._receipt(found)

    def _receipt(self, found: Envelope) -> None:
        assert self._client is not None
        items = [[found.header.seq, found.header.sha256]]
        self._client.mqtt.publish(*self.sealed("receipt", {"stream": found.header.stream, "items": items}), qos=1)


def month_offline(folder: Path, size: int, seed: int) -> list[str]:
    """A month's messages wait (30 days of 20 000 are 600 000); all of them drain while urgent results keep coming."""
    from tests.bench.edge import analyzer, fill

    bad, data, port = [], folder / "agent", agent_process.free_port()
    with brokers.running("mosquitto", folder) as broker:
        cloud = enrolled(broker, data, str(uuid.uuid4()), Lean)
        cloud.connect()
        agent_process.configure(data, agent_process.tcp("xn", port))
        fill(data, size)
        began, most, waits = time.monotonic(), 0.0, []
        try:
            with agent_process.running(data, real=True) as agent:
                agent_process.until(lambda: len(cloud.raws) > 10, 120, "the backlog begins")
                while len(cloud.raws) < size + len(waits):
                    key, asked = f"URGENT{seed}-{len(waits)}", time.monotonic()
                    analyzer(port, cbc(key, 25))
                    agent_process.until(functools.partial(_came, cloud, key.encode()), 120, "the new result")
                    waits.append(time.monotonic() - asked)
                    most = max(most, resident(agent.pid)["rss"])
                    before = len(cloud.raws)
                    time.sleep(min(10.0, size / 2000))
                    if len(cloud.raws) == before and agent.messages(state=0):
                        time.sleep(20)
                seconds = time.monotonic() - began
                agent_process.until(lambda: agent.messages(state=0) == 0, 300, "the last receipts")
        finally:
            cloud.close()
    seqs = {seq for _, seq in cloud.raws}
    if len({stream for stream, _ in cloud.raws}) != 1 or seqs != set(range(1, size + len(waits) + 1)):
        bad.append(f"{len(seqs)} numbers of {size + len(waits)} arrived")
    rate, slowest = len(seqs) / seconds, max(waits)
    said = f"{rate:.0f} a second, {len(waits)} new results in at most {slowest:.1f} s, agent at most {most:.0f} MB, {len(bad)} problems"
    print(f"F6: {size} messages of a month drained in {seconds:.0f} s: {said}")
    return bad


def _came(cloud: Lean, key: bytes) -> bool:
    return any(key in one.body for one in cloud.came)


# --- F7

LINES = 50
NEUTRAL = 30.0  # seconds until the receiver gives a frozen session up (LIS01 8.6.2)


def frozen_peers(folder: Path, size: int, seed: int) -> list[str]:
    """`size` analyzers freeze on a line (after ENQ, inside a frame, between frames) or vanish without a word; every line must recover."""
    ports = [agent_process.free_port() for _ in range(min(LINES, size))]
    bad: list[str] = []
    agent_process.configure(folder / "agent", *(agent_process.tcp(f"f{n}", port) for n, port in enumerate(ports)))
    with agent_process.running(folder / "agent", real=True) as agent:
        for port in ports:
            _session(port, "FIRST")
        agent_process.until(lambda: _all_left(agent.status()["connections"]), what="every line has had its session and its peer has left")
        before = _held(agent.pid)
        rounds = [size // len(ports) + (n < size % len(ports)) for n in range(len(ports))]
        each = enumerate(zip(ports, rounds, strict=True))
        threads = [threading.Thread(target=_freeze, args=(port, count, seed + n, bad)) for n, (port, count) in each]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _settled(lambda: _held(agent.pid) == before, 90)
        if _held(agent.pid) != before:
            bad.append(f"files and threads of the agent: {before} before, {_held(agent.pid)} after")
    print(f"F7: {size} frozen or vanished peers, {len(bad)} problems (0 means fewer than {3 / size:.2g} an event, 95 %)")
    return bad


def _freeze(port: int, count: int, seed: int, bad: list[str]) -> None:
    dice = random.Random(seed)
    for number in range(count):
        frames = build_frames(cbc(f"Z{port}-{number}", 3), per_record=True)
        where = dice.choice((0, 1, len(frames) // 2))
        with socket.create_connection(("127.0.0.1", port), 10) as link:
            link.settimeout(20)
            for part in (ENQ, *frames[:where]):
                link.sendall(part)
                if link.recv(1) != ACK:
                    bad.append(f"{port}: not acknowledged")
            link.sendall(frames[where][: dice.randrange(len(frames[where]))])
            _session(port, f"BESIDE{port}-{number}")  # the analyzer was switched off and on: its new link works at once
            began = time.monotonic()
            if dice.random() < 0.3:
                link.setsockopt(socket.IPPROTO_TCP, 19, 1)  # TCP_REPAIR: gone without FIN or RST, as when its power is cut
                continue
            time.sleep(dice.choice((5.0, 15.0, NEUTRAL)))  # it asks again while the agent still waits, or later
            if not _welcome(link):
                bad.append(f"{port}: not neutral {time.monotonic() - began:.0f} s after the freeze")


def _welcome(link: socket.socket) -> bool:
    """The agent answers an ENQ on the same link: it has given the old session up."""
    for _ in range(5):
        link.sendall(ENQ)
        with contextlib.suppress(TimeoutError):
            if link.recv(1) == ACK:
                link.sendall(EOT)
                return True
    return False


def _session(port: int, key: str) -> None:
    with agent_process.until(lambda: socket.create_connection(("127.0.0.1", port), 10), 60, "the agent's port") as link:
        link.settimeout(60)
        for part in (ENQ, *build_frames(cbc(key, 3), per_record=True)):
            link.sendall(part)
            assert link.recv(1) == ACK, key
        link.sendall(EOT)


def _all_left(lines: list[dict[str, Any]]) -> bool:
    """In one status, as an older one knows of no session yet."""
    return all(line["messages"] and not line["links"] for line in lines)


def _held(pid: int) -> tuple[int, int]:
    """Open files and threads."""
    return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))


def _settled(check: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not check() and time.monotonic() < end:
        time.sleep(0.5)


# --- F13


def one_bad_line(folder: Path, size: int, seed: int) -> list[str]:
    """Ten lines, one of them ill (a dead peer, noise, a freeze) every other round; the others' latency over `size` sessions in all."""
    ports = [agent_process.free_port() for _ in range(9)]
    noisy, dead = agent_process.free_port(), agent_process.free_port()
    dial = {**agent_process.tcp("dead", 1), "transport": {"type": "tcp-dial", "host": "127.0.0.1", "port": dead}}
    lines = [*(agent_process.tcp(f"g{n}", port) for n, port in enumerate(ports)), agent_process.tcp("noisy", noisy), dial]
    agent_process.configure(folder / "agent", *lines)
    times: dict[bool, list[float]] = {False: [], True: []}
    bad: list[str] = []
    with agent_process.running(folder / "agent", real=True) as agent:
        for number in range(20):
            halt = threading.Event()
            ill = threading.Thread(target=_noise, args=(noisy, halt, seed + number))
            if number % 2:
                ill.start()
            for n, port in enumerate(ports):
                for session in range(max(1, size // (20 * len(ports)))):
                    began = time.perf_counter()
                    _session(port, f"G{number}-{n}-{session}")
                    times[bool(number % 2)].append(time.perf_counter() - began)
            halt.set()
            if number % 2:
                ill.join()
        done = sum(map(len, times.values()))
        agent_process.until(lambda: agent.messages() >= done, 60, "every session is a message")
    well, sick = percentile(times[False], 0.95) * 1000, percentile(times[True], 0.95) * 1000
    print(
        f"F13: {done} sessions on nine lines, p95 {well:.1f} ms beside well lines, {sick:.1f} ms beside an ill one ({sick / well - 1:+.0%})"
    )
    return bad


def _noise(port: int, halt: threading.Event, seed: int) -> None:
    """An adapter gone mad: what a 9600-baud line can carry, of nonsense."""
    dice = random.Random(seed)
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        while not halt.wait(0.1):
            link.sendall(dice.choice((b"", ENQ, ENQ + b"\x021H|")) + dice.randbytes(96))


SIZES: dict[str, tuple[int, Callable[[Path, int, int], list[str]]]] = {
    "F5": (1000, full_disk),
    "F6": (600_000, month_offline),
    "F7": (1000, frozen_peers),
    "F13": (20_000, one_bad_line),
}
"""Row → its full size and how it is done."""
