"""Trouble on the agent's own PC: a full disk, a damaged file while it runs, a frozen peer."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import app, disk, salvage
from agent.channels.base import Timer
from agent.journal import Journal
from agent.rows import Outgoing
from agent.transport import tcp as tcp_transport
from common.protocol.astm.framing import build_frames
from tests.agent.test_links import dial, has, session, stored
from tests.support.agent_process import configure, free_port, running, tcp, until
from tests.support.crash.load import cbc

ENQ, ACK, NAK = b"\x05", b"\x06", b"\x15"


def test_when_the_disk_counts_as_full() -> None:
    gigabyte = 1 << 30
    assert disk.Space(100 * gigabyte, 400 << 20).stop, "less than 500 MB"
    assert disk.Space(100 * gigabyte, 4 * gigabyte).stop, "96 % used"
    assert not disk.Space(4000 * gigabyte, 100 * gigabyte).stop, "97 % used, and 100 GB left"
    assert disk.Space(100 * gigabyte, 15 * gigabyte).warn
    assert not disk.Space(100 * gigabyte, 50 * gigabyte).warn


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB. Its free space is under the 500 MB rule from the start, so the rule is lowered by `lowered`."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting needs root: the full disk was not tried")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_refuses_and_recovers_alone(small_disk: Path) -> None:
    """F5: 500 MB are not there from the beginning, so every ENQ is refused; nothing breaks, and the tile says so."""
    port = free_port()
    with running(small_disk, tcp("xn", port)) as agent:
        until(lambda: agent.status()["refusing"])
        with dial(port) as link:
            link.sendall(ENQ)
            assert link.recv(1) == NAK
        until(lambda: agent.line("xn")["refused"] >= 1)
        subprocess.run(["mount", "-o", "remount,size=900m", str(small_disk)], check=True)
        until(lambda: not agent.status()["refusing"])
        with dial(port) as link:
            session(link, "S1")
            has(agent, 1)


def test_no_room_in_the_middle_of_a_commit(tmp_path: Path, small_disk: Path) -> None:
    """ENOSPC while writing: NAK for what was not stored, and what was acknowledged is there."""
    journal = Journal(small_disk / "journal.db")
    heard: list[bool] = []
    (small_disk / "filler").write_bytes(b"x" * (10 << 20))
    number = journal.open_session("xn", 1)
    for _ in range(400):
        journal.frame(number, 1, os.urandom(20_000), heard.append)
        journal.flush()
    assert heard[0] and not heard[-1]
    acknowledged = heard.count(True)
    (small_disk / "filler").unlink()
    journal.frame(number, 1, b"after", heard.append)
    journal.flush()
    assert heard[-1], "it takes frames again when there is room"
    journal.db.close()
    again = Journal(small_disk / "journal.db")
    assert again.db.execute("SELECT count(*) FROM frames").get == acknowledged + 1
    assert again.db.execute("PRAGMA integrity_check").get == "ok"


def test_damage_met_while_running_starts_anew_with_what_is_whole(tmp_path: Path) -> None:
    configure(tmp_path)
    journal = Journal(tmp_path / "journal.db")
    for number in range(3):
        journal.message(Outgoing("xn", b"message %d" % number, 1))
    journal.close()
    runs: list[str] = []

    class Shaken(app.Agent):
        def tick(self, count: int) -> None:
            super().tick(count)
            runs.append(self.journal.stream)
            self.journal.damaged = True  # as a read of a broken page sets it
            if len(set(runs)) > 1:
                self.stop()

    assert app.run(tmp_path, Shaken) == 0
    assert len(set(runs)) == 2
    assert len(salvage.damaged_files(tmp_path / "journal.db")) == 1
    found = stored(tmp_path)
    assert [(s.stream, s.seq, s.body) for s in found] == [(runs[0], n + 1, b"message %d" % n) for n in range(3)]


def test_a_silent_peer_is_noticed_in_thirty_seconds() -> None:
    """F7: what the system is told about dead peers; the wait itself is too long for a test."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as link:
        tcp_transport.tune(link)
        idle = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        probes = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) * link.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert idle + probes <= 30


def test_a_stop_in_mid_session_keeps_its_half(tmp_path: Path) -> None:
    port = free_port()
    frames = build_frames(cbc("S1"), per_record=True)
    with running(tmp_path, tcp("xn", port)) as agent, dial(port) as link:
        link.sendall(ENQ + frames[0])
        assert link.recv(1) + link.recv(1) == ACK * 2
        agent.stop()
        assert agent.messages() == 1
    (found,) = stored(tmp_path)
    assert (found.body, found.meta["complete"]) == (ENQ + frames[0], False)


def test_half_a_session_of_a_killed_agent_is_listed_after_the_start(tmp_path: Path) -> None:
    port = free_port()
    frames = build_frames(cbc("S1"), per_record=True)
    with running(tmp_path, tcp("xn", port)) as agent:
        with dial(port) as link:
            link.sendall(ENQ + frames[0])
            assert link.recv(1) + link.recv(1) == ACK * 2
            agent.kill()
    with running(tmp_path) as agent:
        assert agent.messages() == 1
    (found,) = stored(tmp_path)
    assert (found.body, found.meta["complete"]) == (ENQ + frames[0], False)
    assert "代理在会话中途停止" in found.meta["problems"][0]


def test_a_timer_pushed_back_rings_once_and_late() -> None:
    async def test() -> list[float]:
        loop = asyncio.get_running_loop()
        rang: list[float] = []
        began = loop.time()
        timer = Timer(loop, lambda: rang.append(loop.time() - began))
        timer.start(0.05)
        timer.start(0.2)
        await asyncio.sleep(0.1)
        assert rang == []
        await asyncio.sleep(0.2)
        timer.start(5)
        timer.start(0.01)
        await asyncio.sleep(0.05)
        timer.start(0.01)
        timer.stop()
        await asyncio.sleep(0.05)
        return rang

    rang = asyncio.run(test())
    assert len(rang) == 2
    assert rang[0] >= 0.19
