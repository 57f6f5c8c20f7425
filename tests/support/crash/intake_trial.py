"""Kills of the intake under load. An agent's side sends and keeps; a recorder notes; the checker reads recorder and database only.

``run(edge, broker, kills, seed)`` works at any size and returns a Verdict. By hand:
``python -m tests.support.crash.intake_trial --kills N``.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cloud.modules.edge.intake import _host as intake_host
from cloud.ports.ca import write_secret
from cloud.ports.mqtt import Incoming
from common import crypto, envelope, topics
from tests.cloud.edge.world import Edge, astm
from tests.support import brokers
from tests.support.crash.intake_zygote import POINTS
from tests.support.database import TestDatabase

REPO = Path(__file__).resolve().parents[3]
WINDOW = 60
RESEND_S = 0.8
DRAIN_S = 60.0
POINT_S = 60.0  # a process that has not come to its point by then is killed all the same
REPEAT_SHARE = 0.15  # instrument resends: the same measurement under a new number


@dataclass
class Recorder:
    """Everything seen from outside."""

    sent: dict[int, bytes] = field(default_factory=dict)
    receipted: dict[int, str] = field(default_factory=dict)
    order: list[tuple[float, str, int]] = field(default_factory=list)
    streams: tuple[str, ...] = ()

    def stream(self, seq: int) -> str:
        """Whose number this is: the streams take turns, so that the intake has two lanes to fill."""
        return self.streams[seq % len(self.streams)]

    def note(self, what: str, seq: int) -> None:
        self.order.append((time.monotonic(), what, seq))


@dataclass
class Verdict:
    """What the checker found; ``problems`` empty means passed."""

    kills: int
    sent: int
    receipted: int
    problems: list[str]

    @property
    def bound(self) -> str:
        """What zero of N means: an upper 95 % bound."""
        return f"{len(self.problems)} problems in {self.kills} kills (95 % bound {3 / self.kills:.1e} a kill)" if self.kills else "no kills"


class Agent:
    """The sending side: at most WINDOW unreceipted messages on the way, each sent again until its receipt came."""

    def __init__(self, edge: Edge, broker: brokers.Broker, tubes: list[str], seed: int) -> None:
        self.edge, self.me, self.tubes, self.random = edge, edge.agent, tubes, random.Random(seed)
        self.record = Recorder(streams=(self.me.stream, str(uuid.uuid4())))
        self.waiting: dict[int, tuple[Incoming, float]] = {}
        self.made: list[bytes] = []
        self.n = 0
        pair = broker.pki.pair(f"crash-{self.me.uuid}")
        write_secret(pair.key, crypto.private_pem(self.me.key))
        [(certificate,)] = edge.rows("SELECT certificate FROM agent WHERE uuid = :u", u=self.me.uuid)
        pair.certificate.write_text(certificate)
        self.client = brokers.make_client(broker.pki, pair, topics.client_name(self.me.tenant, self.me.uuid))
        assert brokers.connect(self.client, broker.agent_port) == 0
        self.client.subscribe(topics.down_filter(self.me.tenant, self.me.uuid))

    def step(self, more: bool) -> None:
        """Read receipts, send again what waited too long, and something new."""
        self._hear()
        now = time.monotonic()
        for seq, (message, at) in list(self.waiting.items()):
            if now - at > RESEND_S:
                self._publish(seq, message)
        if more and len(self.waiting) < WINDOW:
            self._new()

    def _new(self) -> None:
        self.n += 1
        if self.made and self.random.random() < REPEAT_SHARE:
            body = self.random.choice(self.made[-20:])
        else:
            k = len(self.made)
            tube = self.tubes[k % len(self.tubes)]
            time_text = f"20260504{10 + k // 3600:02d}{k // 60 % 60:02d}{k % 60:02d}"
            body = astm(tube, {"GLU": f"{5 + (k // len(self.tubes)) / 100:.2f}", "XYZ": str(k)}, time=time_text)
            self.made.append(body)
        message = self.me.raw(body, self.n, stream=self.record.stream(self.n))
        self.record.sent[self.n] = body
        self._publish(self.n, message)

    def _publish(self, seq: int, message: Incoming) -> None:
        self.client.mqtt.publish(message.topic, message.payload, qos=1)
        self.waiting[seq] = (message, time.monotonic())
        self.record.note("sent", seq)

    def _hear(self) -> None:
        while True:
            try:
                _, payload = self.client.heard.get_nowait()
            except queue.Empty:
                return
            read = envelope.parse(payload)
            assert envelope.verify(read, self.edge.cloud_key)
            if read.header.kind != "receipt":
                continue
            for seq, sha in read.json()["items"]:
                if read.json()["stream"] != self.record.stream(seq):
                    continue
                self.record.receipted[seq] = sha
                self.record.note("receipt", seq)
                if seq in self.waiting and sha == crypto.sha256_hex(self.record.sent[seq]):
                    del self.waiting[seq]


@contextmanager
def zygote(edge: Edge, broker: brokers.Broker, database: TestDatabase, mutant: str | None) -> Iterator[subprocess.Popen[str]]:
    """The process that forks intakes."""
    pair = broker.pki.pair(brokers.CLOUD_NAME)
    env = {k: v for k, v in os.environ.items() if not k.startswith("JIANLIAN_")} | {
        "JIANLIAN_DATABASE_URL": database.app_url,
        "JIANLIAN_SECRET": "5e" * 32,
        "JIANLIAN_CLOUD_KEY": str(edge.pki.signing_key),
        "JIANLIAN_MQTT_HOST": "127.0.0.1",
        "JIANLIAN_MQTT_PORT": str(broker.cloud_port),
        "JIANLIAN_MQTT_CA": str(broker.pki.ca_file),
        "JIANLIAN_MQTT_CERT": str(pair.certificate),
        "JIANLIAN_MQTT_KEY": str(pair.key),
    }
    command = [sys.executable, "-m", "tests.support.crash.intake_zygote", *(["--mutant", mutant] if mutant else [])]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=REPO, env=env, stdin=pipe, stdout=pipe, stderr=null, text=True)
    try:
        yield process
    finally:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def start(process: subprocess.Popen[str], command: str = "go") -> int:
    """A new intake; its process id."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(command + "\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run(
    edge: Edge, broker: brokers.Broker, database: TestDatabase, kills: int, seed: int = 1, mutant: str | None = None,
    points: Sequence[str] = POINTS,
) -> Verdict:  # fmt: skip
    """Kill the intake ``kills`` times: half at random moments, half at the named points of its code in turn. Then let it finish, and judge.

    A bug that shows only between two steps is sure to be met with the point that lies there; random moments may miss it.
    """
    dice = random.Random(seed)
    agent = Agent(edge, broker, [edge.tube() for _ in range(8)], seed)
    try:
        with zygote(edge, broker, database, mutant) as process:
            for n in range(kills):
                point = points[n // 2 % len(points)] if n % 2 else None
                pid = start(process, f"go {point} {dice.randint(1, 3)}" if point else "go")
                if n % 4 == 2:
                    _until_receipt(agent, pid)
                _live_and_die(agent, pid, None if point else dice.uniform(0.0, 0.5))
                if n % 4 in (1, 2):
                    forget_session(broker)
            start(process)
            end = time.monotonic() + DRAIN_S
            while agent.waiting and time.monotonic() < end:
                agent.step(False)
                time.sleep(0.01)
            time.sleep(0.2)
            agent.step(False)
    finally:
        agent.client.close()
    return Verdict(kills, len(agent.record.sent), len(agent.record.receipted), check(edge, agent.record))


def forget_session(broker: brokers.Broker) -> None:
    """The broker loses what it kept for the intake (F8): only the agent's own memory can bring those messages back."""
    name = f"{brokers.CLOUD_NAME}-intake-{intake_host()}"
    thief = brokers.make_client(broker.pki, broker.pki.pair(brokers.CLOUD_NAME), name, clean=True)
    assert brokers.connect(thief, broker.cloud_port) == 0
    thief.close()


def _until_receipt(agent: Agent, pid: int) -> None:
    """Load until the new process has given a receipt, so that the next random moment falls into its work."""
    before, end = len(agent.record.order), time.monotonic() + 5
    while time.monotonic() < end and alive(pid) and not any(what == "receipt" for _, what, _ in agent.record.order[before:]):
        agent.step(True)
        time.sleep(0.004)


def _live_and_die(agent: Agent, pid: int, seconds: float | None) -> None:
    """Load until the process dies at its point, however slow the machine is, or kill it after so many seconds."""
    end = time.monotonic() + (seconds if seconds is not None else POINT_S)
    while time.monotonic() < end and alive(pid):
        agent.step(True)
        time.sleep(0.004)
    if alive(pid):
        os.kill(pid, signal.SIGKILL)
    while alive(pid):
        time.sleep(0.002)


def check(edge: Edge, record: Recorder) -> list[str]:
    """Properties of RELIABILITY 2.3 that concern the intake. Reads the recorder and the database only."""
    out: list[str] = []
    rows = edge.rows("SELECT stream_uuid, seq, sha256, body FROM raw_message WHERE kind = 'raw'")
    stored = {r.seq: r for r in rows if r.stream_uuid == record.stream(r.seq)}
    out += [f"stored under a foreign stream: {r.stream_uuid} {r.seq}" for r in rows if r.stream_uuid != record.stream(r.seq)]
    for seq, sha in record.receipted.items():
        if seq not in stored or stored[seq].sha256 != sha:
            out.append(f"receipted but not stored: {seq}")
    for seq, row in stored.items():
        if bytes(row.body) != record.sent.get(seq):
            out.append(f"stored but never sent like this: {seq}")
    out += [f"never receipted: {seq}" for seq in record.sent if seq not in record.receipted]
    out += _results(edge, record)
    return out[:20]


VERSIONS = """
SELECT s.barcode, v.raw_text FROM result_version v JOIN test t ON t.id = v.test_id JOIN specimen s ON s.id = t.specimen_id
"""


def _results(edge: Edge, record: Recorder) -> list[str]:
    contents = Counter(bytes(b) for b in record.sent.values())
    found = edge.rows("SELECT specimen_text, code, time_text, state FROM observation")
    shown: Counter[tuple[str, str]] = Counter()
    total: Counter[tuple[str, str]] = Counter()
    for specimen, code, at, state in found:
        if code == "GLU":
            total[(specimen, at)] += 1
            shown[(specimen, at)] += state == "matched"
    out = [f"shown {n} times: {key}" for key, n in shown.items() if n != 1]
    for body, n in contents.items():
        fields = body.decode().split("\r")
        key = (fields[2].split("|")[2], fields[3].split("|")[12])
        if total[key] != n:
            out.append(f"{key}: sent {n} times, {total[key]} observations")
    count = Counter((r.barcode, r.raw_text) for r in edge.rows(VERSIONS))
    out += [f"{n} versions of one value: {key}" for key, n in count.items() if n != 1]
    if len(count) != len(contents):
        out.append(f"{len(contents)} measurements sent, {len(count)} on the bench")
    return out


def main() -> int:
    """By hand, on parts of its own."""
    from tests.cloud.edge import world
    from tests.support import database

    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--mutant")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jl-crash-") as folder, database.server() as server:
        made = server.create()
        database.build_schema(made)
        with world.build(made, Path(folder)) as edge, brokers.running("mosquitto", Path(folder)) as broker:
            began = time.monotonic()
            verdict = run(edge, broker, made, args.kills, args.seed, args.mutant)
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({**verdict.__dict__, "seed": args.seed, "mutant": args.mutant, "seconds": seconds}, ensure_ascii=False))
    print(verdict.bound)
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main())
