"""Durable ASTM sessions a second into a real agent: a CBC of 25, each frame on disk before its ACK, at 1, 10 and 100 connections.

    python -m tests.bench.astm [--quick]

The generator is ``astm_load.py`` of the shared load generators where the machine has them, else a small one of our own here.
Afterwards the journal must hold exactly what was acknowledged.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from common.protocol.astm.framing import build_frames
from tests.bench.common import arguments, cpu, emit, percentile, resident, shared
from tests.support import agent_process
from tests.support.crash import load

REACH = {1: "100", 10: "500", 100: "800"}
WARM = 20
KEY = "bench"


def shared_generator(folder: Path, port: int, connections: int, sessions: int, rounds: int) -> dict[str, Any]:
    """Run ``astm_load.py``; the median round."""
    out = folder / f"load-{connections}.json"
    command = [sys.executable, "astm_load.py", "--port", str(port), "--connections", str(connections), "--sessions", str(sessions)]
    command += ["--rounds", str(rounds), "--warmup", str(WARM), "--prefix", f"B{connections}X", "--out", str(out)]
    subprocess.run(command, cwd=shared(), check=True, stdout=subprocess.DEVNULL)
    rows = sorted(json.loads(out.read_text())["rounds"], key=lambda r: float(r["sessions_per_s"]))
    row = rows[len(rows) // 2]
    acknowledged = sum(r["sessions"] for r in rows) + WARM
    return {
        "rate": row["sessions_per_s"], "p99": row["ack_p99_ms"], "acknowledged": acknowledged,
        "failed": sum(r["failed"] for r in rows), "naks": sum(r["naks"] for r in rows), "generator": "astm_load.py",
    }  # fmt: skip


def own_generator(_folder: Path, port: int, connections: int, sessions: int, _rounds: int) -> dict[str, Any]:
    """A thread a connection; slower than the shared one, so the figure is a lower bound."""
    acks: list[float] = []
    done = [0] * connections

    def analyzer(n: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(sessions // connections):
                line.sendall(b"\x05")
                assert line.recv(1) == b"\x06"
                for frame in build_frames(load.cbc(f"B{connections}-{n}-{number}", 25)):
                    start = time.perf_counter()
                    line.sendall(frame)
                    assert line.recv(1) == b"\x06"
                    acks.append(time.perf_counter() - start)
                line.sendall(b"\x04")
                done[n] += 1

    threads = [threading.Thread(target=analyzer, args=(n,)) for n in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(done) / (time.perf_counter() - start)
    more = {"failed": sessions // connections * connections - sum(done), "naks": 0, "generator": "own, threads"}
    return {"rate": round(rate, 1), "p99": round(percentile(acks, 0.99) * 1000, 2), "acknowledged": sum(done), **more}


def main() -> int:
    """Measure and print."""
    quick = arguments(__doc__)
    measure = shared_generator if shared() else own_generator
    acknowledged = 0
    with tempfile.TemporaryDirectory(prefix="jl-bench-") as name:
        folder, port = Path(name), agent_process.free_port()
        with agent_process.running(folder / "agent", agent_process.tcp(KEY, port), real=True) as agent:
            for connections in (1, 10, 100):
                sessions = 100 if quick else {1: 500, 10: 2000, 100: 4000}[connections]
                used = cpu(agent.pid)
                got = measure(folder, port, connections, sessions, 1 if quick else 3)
                acknowledged += got["acknowledged"]
                agent_process.until(lambda: agent.messages() >= acknowledged, what="everything is a message")  # noqa: B023
                stored = agent.messages()
                used = (cpu(agent.pid) - used) * 1000 / got["acknowledged"]
                more = {k: got[k] for k in ("failed", "naks", "generator")} | {"acknowledged": acknowledged, "stored": stored}
                more["agent_cpu_ms_per_session"] = round(used, 2)
                emit(f"durable ASTM sessions/s, {connections} connections", got["rate"], f">= {REACH[connections]}", **more)
                if connections == 10:
                    emit("ASTM ACK p99 at 10 connections, ms", got["p99"], "<= 5")
                assert stored == acknowledged, f"{acknowledged} acknowledged, {stored} stored"
            emit("agent under this load, MB", resident(agent.pid)["rss"], "", note="the target of 60 is for an idle one, see memory")
    return 0


if __name__ == "__main__":
    sys.exit(main())
