"""`launch`: what the service manager starts. Runs the version that is due (agent/update.py), and goes back when a new one does not work.

It belongs to the installed program and to no slot, so no update replaces it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from agent.__main__ import default_data
from agent.config import DataDir
from agent.update import Slots

RESTART = 75  # exit code of an agent that wants the version looked at anew


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--data", type=Path, default=default_data(), help="数据目录 (data folder)")


def main(args: argparse.Namespace) -> int:
    """Run versions until one ends for good; its exit code."""
    data = DataDir(args.data)
    data.create()
    told: list[int] = []  # signals to end
    running: list[subprocess.Popen[bytes]] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        for child in running:
            child.send_signal(signal.SIGTERM)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    while not told:
        folder, trial = Slots(data).choose()
        environment = dict(os.environ)
        if folder is not None:
            environment["PYTHONPATH"] = str(folder)
        # -P: the current folder is no place to import from, whatever lies there.
        child = subprocess.Popen([sys.executable, "-P", "-m", "agent", "run", "--data", str(args.data)], env=environment)
        running[:] = [child]
        if told:  # the signal came between two versions
            child.send_signal(signal.SIGTERM)
        code = child.wait()
        running.clear()
        if code != RESTART and trial is None:
            return code
    return 0
