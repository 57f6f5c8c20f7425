"""Kills of the broker under load: analyzers → agent → Mosquitto → a cloud that keeps what comes and gives receipts.

The broker keeps its queues on disk here (we ship it without), so that a killed one comes back with a stale store; in a third of the kills
that store is deleted (F8). By hand: ``python -m tests.support.crash.broker_trial --kills N``. The judge reads what the analyzers
recorded and what the cloud holds, nothing of the agent's.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
import uuid
from pathlib import Path

from common import topics
from common.envelope import Envelope
from tests.support import agent_process, brokers
from tests.support.agent_cloud import ScriptedCloud, enrolled
from tests.support.crash.judge import Verdict, judge_bodies
from tests.support.crash.load import Instrument, cbc, under_load
from tests.support.crash.recorder import Recorder

FLOWS = 20.0  # seconds until an agent that found its broker again must have brought something new
DRAIN = 300.0  # a message whose receipt was lost goes out again after 15 s, then after twice as long
PAUSE = 0.05


class Cloud(ScriptedCloud):
    """A cloud with a session at the broker, like the intake's; what it says while the broker is dead is lost."""

    def connect(self) -> None:
        client = brokers.make_client(self._broker.pki, self._broker.pki.pair(brokers.CLOUD_NAME), brokers.CLOUD_NAME + "-kept", clean=False)
        assert brokers.connect(client, self._broker.cloud_port) == 0
        client.subscribe(topics.up_filter())
        self._client = client
        if not self._thread.is_alive():
            self._thread.start()

    def _receipt(self, found: Envelope) -> None:
        client = self._client
        if client is not None:  # else the broker is dead, and the agent will ask again
            items = [[found.header.seq, found.header.sha256]]
            client.mqtt.publish(*self.sealed("receipt", {"stream": found.header.stream, "items": items}), qos=1)


def kill_broker(folder: Path, kills: int, seed: int, *, instruments: int = 3) -> Verdict:
    """`kills` times: let messages flow for a random while, SIGKILL the broker, start it anew. Returns the verdict over all."""
    dice = random.Random(seed)
    data, recorder = folder / "agent", Recorder()
    ports = [agent_process.free_port() for _ in range(instruments)]
    with brokers.running("mosquitto", folder, "persistence true", "autosave_interval 1", f"persistence_location {folder}/") as broker:
        cloud = enrolled(broker, data, str(uuid.uuid4()), Cloud)
        cloud.connect()
        agent_process.configure(data, *(agent_process.tcp(f"i{n}", port) for n, port in enumerate(ports)))
        try:
            with agent_process.running(data) as agent:
                with under_load([_instrument(n, port, recorder) for n, port in enumerate(ports)]):
                    for number in range(kills):
                        if dice.random() < 0.9:  # else it dies again before anybody found it
                            _flowing(cloud)
                        time.sleep(dice.uniform(0.0, 0.3))
                        cloud.disconnect()
                        broker.kill()
                        if number % 3 == 0:
                            (folder / "mosquitto.db").unlink(missing_ok=True)
                        broker.start()
                        cloud.connect()
                agent_process.until(lambda: agent.messages(state=0) == 0, DRAIN, "the last receipts")
        finally:
            cloud.close()
    return judge_bodies([cloud.raws[key] for key in sorted(cloud.raws)], recorder)


def _instrument(number: int, port: int, recorder: Recorder) -> Instrument:
    return Instrument(f"i{number}", ("127.0.0.1", port), recorder, records=lambda key: cbc(key, 3), pause=PAUSE)


def _flowing(cloud: Cloud) -> None:
    """Something new has come through."""
    before = len(cloud.raws)
    with contextlib.suppress(AssertionError):
        agent_process.until(lambda: len(cloud.raws) > before, FLOWS)


def main() -> int:
    """By hand."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="jl-broker-") as folder:
        verdict = kill_broker(Path(folder), args.kills, args.seed)
    print(f"broker: {args.kills} kills in {time.monotonic() - began:.0f} s, store deleted in a third, seed {args.seed}: {verdict}")
    print(f"broker: an acknowledged frame is lost in fewer than {3 / args.kills:.2g} of kills (95 %)", flush=True)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
