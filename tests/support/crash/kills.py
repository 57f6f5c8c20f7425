"""Kill an agent again and again while analyzers send, then judge what is left."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from tests.support import agent_process
from tests.support.crash.judge import Verdict, judge
from tests.support.crash.load import Instrument, under_load
from tests.support.crash.nursery import Nursery
from tests.support.crash.recorder import Recorder


def kill_agent(folder: Path, kills: int, seed: int, *, instruments: int = 3, plant: str | None = None, longest: float = 0.12) -> Verdict:
    """`kills` times: start the agent, let analyzers send for a random while, SIGKILL. Returns the verdict over all."""
    dice = random.Random(seed)
    data = folder / "agent"
    ports = [agent_process.free_port() for _ in range(instruments)]
    agent_process.configure(data, *(agent_process.tcp(f"i{n}", port) for n, port in enumerate(ports)))
    recorder = Recorder()
    nursery = Nursery(plant)
    child = None
    try:
        with under_load([Instrument(f"i{n}", ("127.0.0.1", port), recorder) for n, port in enumerate(ports)]):
            for _ in range(kills):
                child = nursery.spawn(data).ready()
                _busy(recorder, dice)
                time.sleep(dice.uniform(0.0, longest))
                child.end()
        child = nursery.spawn(data).ready()
        child.end(signal.SIGTERM)
    finally:
        if child is not None:
            child.end()
        nursery.close()
    recorder.save(folder / "recorder.jsonl")
    return judge(data / "journal.db", recorder)


def _busy(recorder: Recorder, dice: random.Random) -> None:
    """Most kills come when analyzers are at work; some at once, into the start."""
    if dice.random() < 0.1:
        return
    before, end = recorder.ended, time.monotonic() + 5
    while recorder.ended == before and time.monotonic() < end:
        time.sleep(0.005)
