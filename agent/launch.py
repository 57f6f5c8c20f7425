"""`launch`: what the service manager starts. Runs the version that is due (agent/update.py), and goes back when a new one does not work.

It belongs to the installed program and to no slot, so no update replaces it. Windows has no signals that reach a child softly; there and
here the child also ends when its standard input does, so it never outlives the one who watches over it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO

from agent.__main__ import default_data
from agent.config import DataDir
from agent.update import Slots

RESTART = 75  # exit code of an agent that wants the version looked at anew
STOP_BY = "JIANLIAN_STOP_BY"
"""Environment of a child: ``stdin`` when the end of its standard input is its order to stop."""
PATIENCE_SECONDS = 15.0


class Keeper:
    """Runs versions one after the other until told to stop."""

    def __init__(self, root: Path, output: IO[bytes] | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self._root, self._output, self._patience = root, output, patience
        self._told = threading.Event()
        self._told_at = 0.0
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Run until a version ends for good; its exit code."""
        data = DataDir(self._root)
        data.create()
        while not self._told.is_set():
            folder, trial = Slots(data).choose()
            child = self._child = self._start(folder)
            if self._told.is_set():  # the order came between two versions
                self._end(child)
            code = self._wait(child)
            self._child = None
            if code != RESTART and trial is None:
                return code
        return 0

    def stop(self) -> None:
        """End the version that runs, and start no other. May be called from a signal handler or a thread."""
        self._told_at = time.monotonic()
        self._told.set()
        if self._child is not None:
            self._end(self._child)

    def _start(self, folder: Path | None) -> subprocess.Popen[bytes]:
        environment = {**os.environ, STOP_BY: "stdin"}
        if folder is not None:
            environment["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        # -P: the current folder is no place to import from, whatever lies there.
        command = [sys.executable, "-P", "-m", "agent", "run", "--data", str(self._root)]
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=self._output, stderr=self._output)

    @staticmethod
    def _end(child: subprocess.Popen[bytes]) -> None:
        if os.name == "posix":
            child.send_signal(signal.SIGTERM)
        if child.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                child.stdin.close()

    def _wait(self, child: subprocess.Popen[bytes]) -> int:
        """Its exit code; one that was told and does not end is killed, which costs nothing that was acknowledged."""
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return child.wait(1.0)
            if self._told.is_set() and time.monotonic() - self._told_at > self._patience:
                child.kill()


def stop_with_stdin(stop: Callable[[], None]) -> None:
    """In a child of a Keeper: call `stop` (from a thread) when standard input ends. Nothing otherwise."""
    if os.environ.get(STOP_BY) != "stdin" or sys.stdin is None:
        return

    def wait() -> None:
        with contextlib.suppress(OSError, ValueError):
            while sys.stdin.buffer.read(1):
                continue
        stop()

    threading.Thread(target=wait, name="stop-with-stdin", daemon=True).start()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--data", type=Path, default=default_data(), help="数据目录 (data folder)")


def main(args: argparse.Namespace) -> int:
    """Run versions until one ends for good; its exit code."""
    keeper = Keeper(args.data)

    def told(_number: int, _frame: FrameType | None) -> None:
        keeper.stop()

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, told)
    return keeper.run()
