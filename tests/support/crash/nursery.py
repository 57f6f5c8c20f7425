"""Starts agents by forking a process that has imported everything: a kill costs tens of milliseconds, not a second.

    python -m tests.support.crash.nursery [--plant module:function]

Reads data folders, a line each, from standard input; answers each with the child's process id. `--plant` names a
function called in the child before the agent starts, which may patch whatever it likes: so bugs are planted from outside.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.agent_process import REPO, WAIT, until


class Nursery:
    """The forking process, seen from a test."""

    def __init__(self, plant: str | None = None) -> None:
        command = [sys.executable, "-m", "tests.support.crash.nursery"]
        if plant:
            command += ["--plant", plant]
        self.process = subprocess.Popen(command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def spawn(self, data: Path) -> Child:
        """A new agent process for a data folder."""
        assert self.process.stdin is not None and self.process.stdout is not None
        (data / "status.json").unlink(missing_ok=True)
        self.process.stdin.write(f"{data}\n")
        self.process.stdin.flush()
        return Child(int(self.process.stdout.readline()), data)

    def close(self) -> None:
        """End it; agents it started must have been ended before."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(WAIT)
        except subprocess.TimeoutExpired:  # a busy machine: what it was to tell is told long ago
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Child:
    """An agent started by the nursery."""

    def __init__(self, pid: int, data: Path) -> None:
        self.pid = pid
        self.data = data

    def ready(self) -> Child:
        """Wait until it runs."""
        until((self.data / "status.json").exists, 120, what="the agent's status file")  # a busy machine starts it late
        return self

    def end(self, sign: int = signal.SIGKILL) -> None:
        """Kill it, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, sign)
        until(lambda: not Path(f"/proc/{self.pid}").exists() or _zombie(self.pid), what="the agent's end")


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def main() -> None:
    """Serve standard input."""
    from agent import app, log

    parser = argparse.ArgumentParser()
    parser.add_argument("--plant")
    args = parser.parse_args()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    for line in sys.stdin:
        data = Path(line.strip())
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        with open(data / "agent.log", "a") as out:
            os.dup2(out.fileno(), 2)
            os.dup2(out.fileno(), 1)
        log.setup("INFO")
        if args.plant:
            module, _, name = args.plant.partition(":")
            getattr(importlib.import_module(module), name)()
        os._exit(app.run(data))


if __name__ == "__main__":
    main()
