"""The intake's figure: results committed a second in one process, CBCs of 25 results, on a durable database.

    python -m tests.bench.intake [--messages 1200] [--streams 8] [--mqtt] [--profile]

Without --mqtt the envelopes are handed in as the port would; with it they go through a real Mosquitto. One JSON line each. A stream is an
agent's: its messages are taken one after another, those of several streams side by side (cloud/modules/edge/lanes.py).
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from cloud import memory
from cloud.embedded import postgres
from cloud.modules.catalog import models as md
from cloud.ports.ca import write_secret
from cloud.ports.mqtt import MAX_BATCH, Incoming
from common import crypto, envelope, topics
from tests.bench.common import cpu
from tests.cloud.bench import world as bench_world
from tests.cloud.edge import world as edge_world
from tests.cloud.edge.world import Edge, astm
from tests.support import brokers, database

ITEMS = tuple((f"C{n:02d}", "10*9/L", 2, "1", "9", None, None, True) for n in range(25))


@contextmanager
def laboratory() -> Iterator[tuple[Edge, int]]:
    """A hospital with 25 items on a PostgreSQL that syncs every commit, and that server's process id."""
    with tempfile.TemporaryDirectory(prefix="jl-bench-") as folder:
        with postgres.EmbeddedPostgres(Path(folder) / "pg", durable=True) as server:
            testing = database.TestServer(server.conninfo(postgres.SUPERUSER, "postgres"), server)
            base = testing.create()
            database.build_schema(base)
            bench_world.ITEMS = ITEMS
            edge_world.CODES = {}
            build, bench_world.build.__defaults__ = bench_world.build.__defaults__, (None, ITEMS)
            try:
                with edge_world.build(base, Path(folder)) as edge:
                    with edge.lab.uow() as uow:
                        for code, item in edge.bench.items.items():
                            uow.s.add(md.AnalyzerItemMap(analyzer_id=edge.bench.analyzer, channel_code=code, item_id=item))
                    assert server.process is not None
                    yield edge, server.process.pid
            finally:
                bench_world.build.__defaults__ = build


def traffic(edge: Edge, messages: int, streams: int = 1) -> list[Incoming]:
    """One CBC a tube, signed, over so many streams in turn: as many agents, to the intake."""
    barcodes = []
    with edge.lab.uow() as uow:
        patient = edge.bench.patient(uow)
        for _ in range(messages):
            tube = edge.bench.tube(uow, patient)
            barcodes.append(str(uow.s.scalar(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": tube})))
    values = {f"C{n:02d}": f"{1 + n / 10:.2f}" for n in range(25)}
    names = [str(uuid.uuid4()) for _ in range(streams)]
    return [edge.agent.raw(astm(b, values), stream=names[n % streams]) for n, b in enumerate(barcodes)]


def direct(edge: Edge, messages: list[Incoming]) -> float:
    """Seconds for all, in batches as full as the port makes them."""
    start = time.perf_counter()
    for i in range(0, len(messages), MAX_BATCH):
        edge.take(*messages[i : i + MAX_BATCH])
    return time.perf_counter() - start


def through_mosquitto(edge: Edge, url: str, folder: Path, messages: list[Incoming]) -> tuple[float, float]:
    """Seconds from the first publish to the last receipt, and the intake's peak memory in MB, as real processes."""
    with brokers.running("mosquitto", folder) as broker:
        pair, cloud = broker.pki.pair("me"), broker.pki.pair(brokers.CLOUD_NAME)
        write_secret(pair.key, crypto.private_pem(edge.agent.key))
        pair.certificate.write_text(edge.rows("SELECT certificate FROM agent WHERE uuid = :u", u=edge.agent.uuid)[0][0])
        env = os.environ | {
            "JIANLIAN_DATABASE_URL": url, "JIANLIAN_SECRET": "5e" * 32, "JIANLIAN_CLOUD_KEY": str(edge.pki.signing_key),
            "JIANLIAN_MQTT_HOST": "127.0.0.1", "JIANLIAN_MQTT_PORT": str(broker.cloud_port), "JIANLIAN_MQTT_CA": str(broker.pki.ca_file),
            "JIANLIAN_MQTT_CERT": str(cloud.certificate), "JIANLIAN_MQTT_KEY": str(cloud.key), "JIANLIAN_LOG_LEVEL": "WARNING",
        }  # fmt: skip
        process = subprocess.Popen([sys.executable, "-m", "cloud.cli", "intake"], env=env)
        try:
            me = brokers.make_client(broker.pki, pair, topics.client_name("a", edge.agent.uuid))
            me.mqtt.max_inflight_messages_set(100)
            assert brokers.connect(me, broker.agent_port) == 0
            me.subscribe(topics.down_filter("a", edge.agent.uuid))
            hello = edge.agent.say("status", {"config_version": 1, "connections": []}, conn="")
            while me.heard.empty():
                me.mqtt.publish(hello.topic, hello.payload, qos=0)
                time.sleep(0.5)
            time.sleep(1)
            start, got = time.perf_counter(), 0
            for message in messages:
                me.mqtt.publish(message.topic, message.payload, qos=1)
            while got < len(messages):
                read = envelope.parse(me.heard.get(timeout=60)[1])
                got += len(read.json()["items"]) if read.header.kind == "receipt" else 0
            seconds = time.perf_counter() - start
            peak = next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
            me.close()
        finally:
            process.terminate()
            process.wait(10)
    return seconds, int(peak.split()[1]) / 1024


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=1200)
    parser.add_argument("--streams", type=int, default=8, help="agents at work")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--mqtt", action="store_true", help="through Mosquitto into the real process")
    args = parser.parse_args()
    more: dict[str, float] = {}
    with laboratory() as (edge, server):
        warm, load = traffic(edge, 100, args.streams), traffic(edge, args.messages, args.streams)
        if args.mqtt:
            url = edge.lab.db.engine.url.render_as_string(hide_password=False)
            seconds, peak = through_mosquitto(edge, url, edge.pki.folder.parent, warm + load)
            seconds *= args.messages / len(warm + load)
        else:
            direct(edge, warm)
            memory.settle()  # as the process does when it starts
            memory.seldom_collect()
            profile = cProfile.Profile() if args.profile else None
            if profile:
                profile.enable()
            python, postgres = time.process_time(), cpu(server)
            seconds = direct(edge, load)
            # To compare by on a busy machine: microseconds of processor time a result.
            spent = {"python": time.process_time() - python, "database": cpu(server) - postgres}
            more = {f"{name}_us": round(1e6 * used / 25 / args.messages) for name, used in spent.items()}
            if profile:
                profile.disable()
                pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(40)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        stored = edge.rows("SELECT count(*) FROM result_version")[0][0]
        assert stored == 25 * (args.messages + 100), stored
    way = "MQTT to COMMIT and receipt" if args.mqtt else "in one process without broker"
    figure = {"what": f"intake results/s, {way}", "reach": 3000, "value": round(25 * args.messages / seconds), "streams": args.streams}
    print(json.dumps({**figure, "messages_per_s": round(args.messages / seconds), "peak_mb": round(peak), **more}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
