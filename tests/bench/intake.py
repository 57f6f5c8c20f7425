"""The intake's figure: results committed a second in one process, CBCs of 25 results, on a durable database.

    python -m tests.bench.intake [--messages 1200] [--mqtt]

Without --mqtt the envelopes are handed in as the port would; with it they go through a real Mosquitto. One JSON line each.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from cloud.embedded import postgres
from cloud.modules.catalog import models as md
from cloud.ports.mqtt import MAX_BATCH, Incoming
from tests.cloud.bench import world as bench_world
from tests.cloud.edge import world as edge_world
from tests.cloud.edge.world import Edge, astm
from tests.support import database

ITEMS = tuple((f"C{n:02d}", "10*9/L", 2, "1", "9", None, None, True) for n in range(25))


@contextmanager
def laboratory() -> Iterator[Edge]:
    """A hospital with 25 items on a PostgreSQL that syncs every commit."""
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
                    yield edge
            finally:
                bench_world.build.__defaults__ = build


def traffic(edge: Edge, messages: int) -> list[Incoming]:
    """One CBC a tube, signed."""
    barcodes = []
    with edge.lab.uow() as uow:
        patient = edge.bench.patient(uow)
        for _ in range(messages):
            tube = edge.bench.tube(uow, patient)
            barcodes.append(str(uow.s.scalar(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": tube})))
    values = {f"C{n:02d}": f"{1 + n / 10:.2f}" for n in range(25)}
    return [edge.agent.raw(astm(b, values)) for b in barcodes]


def direct(edge: Edge, messages: list[Incoming]) -> float:
    """Seconds for all, in batches as full as the port makes them."""
    start = time.perf_counter()
    for i in range(0, len(messages), MAX_BATCH):
        edge.take(*messages[i : i + MAX_BATCH])
    return time.perf_counter() - start


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=1200)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    with laboratory() as edge:
        warm, load = traffic(edge, 100), traffic(edge, args.messages)
        direct(edge, warm)
        before = time.process_time()
        profile = cProfile.Profile() if args.profile else None
        if profile:
            profile.enable()
        seconds = direct(edge, load)
        if profile:
            profile.disable()
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(40)
        cpu = time.process_time() - before
        stored = edge.rows("SELECT count(*) FROM result_version")[0][0]
        assert stored == 25 * (args.messages + 100), stored
        assert len(edge.receipts()) == args.messages + 100
    print(
        json.dumps(
            {
                "what": "intake results/s, one process",
                "reach": 3000,
                "value": round(25 * args.messages / seconds),
                "messages_per_s": round(args.messages / seconds),
                "cpu_s": round(cpu, 2),
                "wall_s": round(seconds, 2),
                "max_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
