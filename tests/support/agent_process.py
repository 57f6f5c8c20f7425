"""A real agent as a process, and a broker's cloud side that only knows the wire: for tests and the crash harness."""

from __future__ import annotations

import contextlib
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
    """`jianlian-agent run` as a process of its own."""

    command = (sys.executable, "-m", "agent", "run", "--data")

    def __init__(self, data: Path) -> None:
        self.data = data
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> AgentProcess:
        """Start, and wait until its status file is there."""
        (self.data / "status.json").unlink(missing_ok=True)
        with open(self.data / "agent.log", "ab") as log:
            self.process = subprocess.Popen([*self.command, str(self.data)], cwd=REPO, stdout=log, stderr=log)
        until(self.status, what="the agent's status file")
        return self

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

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(WAIT)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(WAIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(WAIT)

    def log(self) -> str:
        """What it wrote to its log."""
        return (self.data / "agent.log").read_text()


@contextlib.contextmanager
def running(data: Path, *connections: dict[str, Any]) -> Iterator[AgentProcess]:
    """An agent with these connections, while the block runs."""
    if connections:
        configure(data, *connections)
    agent = AgentProcess(data).start()
    try:
        yield agent
    finally:
        agent.stop()
