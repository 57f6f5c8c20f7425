"""A real agent as a process, and a broker's cloud side that only knows the wire: for tests and the crash harness."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw

REPO = Path(__file__).resolve().parents[2]
WAIT = 15.0


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(check: Callable[[], Any], seconds: float = WAIT, what: str = "") -> Any:
    """Wait until check() is true, and return what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError, KeyError):
            found = check()
            if found:
                return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain for {what or check}")


def tcp(key: str, port: int, protocol: str = "astm", **more: Any) -> dict[str, Any]:
    """A listening connection for a configuration."""
    transport = {"type": "tcp-listen", "host": "127.0.0.1", "port": port}
    return {"key": key, "name": key.upper(), "analyzer": key, "protocol": protocol, "transport": transport, **more}


def serial(key: str, device: str, **more: Any) -> dict[str, Any]:
    """A serial connection for a configuration."""
    transport = {"type": "serial", "device": device, "baud": 115200}
    return {"key": key, "name": key.upper(), "analyzer": key, "protocol": "astm", "transport": transport, **more}


def configure(data: Path, *connections: dict[str, Any]) -> None:
    """Write a local configuration."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "local.json").write_text(json.dumps({"version": 1, "connections": list(connections)}))


class AgentProcess:
    """`jianlian-agent run` as a process of its own: forked from one that has imported everything, or (`real`) the command."""

    command = (sys.executable, "-m", "agent", "run", "--data")

    def __init__(self, data: Path, *, real: bool = False) -> None:
        self.data = data
        self.pid = 0
        self._real = real
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> AgentProcess:
        """Start, and wait until its status file is there."""
        (self.data / "status.json").unlink(missing_ok=True)
        if self._real:
            with open(self.data / "agent.log", "ab") as log:
                self._process = subprocess.Popen([*self.command, str(self.data)], cwd=REPO, stdout=log, stderr=log)
            self.pid = self._process.pid
        else:
            self.pid = _nursery().spawn(self.data).pid
        until(self.status, 60, what="the agent's status file")
        return self

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait; SIGKILL when that does not help."""
        try:
            self._end(signal.SIGTERM)
        except AssertionError:
            self._end(signal.SIGKILL)

    def _end(self, sign: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, sign)
        if self._process is not None:
            until(lambda: self._process is None or self._process.poll() is not None, what="the agent's end")
        else:
            until(lambda: not Path(f"/proc/{self.pid}").exists(), what="the agent's end")

    def messages(self, state: int | None = None) -> int:
        """How many messages its journal holds, read beside it: the status file is up to a second old."""
        db = apsw.Connection(str(self.data / "journal.db"), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            sql = "SELECT count(*) FROM messages WHERE ?1 IS NULL OR state = ?1"
            return int(str(db.execute(sql, (state,)).get))
        finally:
            db.close()

    def status(self) -> dict[str, Any]:
        """The live state the agent writes."""
        found: dict[str, Any] = json.loads((self.data / "status.json").read_bytes())
        return found

    def line(self, key: str) -> dict[str, Any]:
        """The live state of one connection."""
        rows: list[dict[str, Any]] = self.status()["connections"]
        return next(row for row in rows if row["conn"] == key)

    def log(self) -> str:
        """What it wrote to its log."""
        return (self.data / "agent.log").read_text()


@functools.cache
def _nursery() -> Any:
    from tests.support.crash.nursery import Nursery

    nursery = Nursery()
    atexit.register(nursery.close)
    return nursery


@contextlib.contextmanager
def running(data: Path, *connections: dict[str, Any], real: bool = False) -> Iterator[AgentProcess]:
    """An agent with these connections, while the block runs."""
    if connections:
        configure(data, *connections)
    agent = AgentProcess(data, real=real).start()
    try:
        yield agent
    finally:
        agent.stop()
