"""The edge's promises (issue 3): durable frames against what disk and wire allow, sessions, MLLP, backlog, host queries, an idle agent.

    python -m tests.bench.edge [--quick]

Needs the shared load generators (``JIANLIAN_SHARED`` or ``../shared``). What is compared is measured in one run, round by round.
Processor time per frame and the number of writes stand beside each rate: they mean something on a busy machine, too.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from agent.journal import Journal
from agent.rows import Outgoing
from common.protocol.astm.framing import build_frames
from tests.bench.common import arguments, attempt, cpu, emit, percentile, resident, shared
from tests.support import agent_process, brokers
from tests.support.agent_cloud import scripted
from tests.support.agent_process import until
from tests.support.crash.load import cbc

PROBES = {
    "EOT and ENQ in one read": ("--eot-gap-ms", "0"),
    "frames in pieces": ("--split-bytes", "20"),
    "packed frames": ("--framing", "packed"),
    "one long frame": ("--framing", "one"),
}
FRAMES = 29  # records, so frames, of the 25-analyte count in cbc25.astm


def generate(script: str, port: int, connections: int, amount: int, rounds: int, *more: str) -> list[dict[str, Any]]:
    """Run a shared load generator; its rounds."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        what = "--sessions" if script == "astm_load.py" else "--messages"
        command = [sys.executable, script, "--port", str(port), "--connections", str(connections), what, str(amount)]
        prefix = ["--prefix", f"E{time.time_ns() % 10**8}X"]
        command += ["--rounds", str(rounds), "--warmup", "20", "--out", out.name, *prefix, *more]
        subprocess.run(command, cwd=shared(), check=True, stdout=subprocess.DEVNULL)
        found: list[dict[str, Any]] = json.loads(Path(out.name).read_text())["rounds"]
        return found


def writes(pid: int) -> int:
    """Write calls of a process so far."""
    return int(dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())["syscw"])


def commits(folder: Path, seconds: float) -> float:
    """SQLite commits a second at ``synchronous=FULL`` on this disk, as the shared ``limits.py`` measures them."""
    found = shared()
    assert found is not None
    sys.path.insert(0, str(found))
    spec = importlib.util.spec_from_file_location("limits", found / "limits.py")
    assert spec is not None and spec.loader is not None
    limits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(limits)
    return float(limits.sqlite_commit(str(folder), seconds)[0])


@contextmanager
def null_server() -> Iterator[int]:
    """The generator's ceiling: a server that acknowledges and keeps nothing."""
    port = agent_process.free_port()
    server = subprocess.Popen([sys.executable, "null_astm.py", str(port)], cwd=shared())
    try:
        until(lambda: socket.create_connection(("127.0.0.1", port)).close() is None, what="the null server")
        yield port
    finally:
        server.kill()
        server.wait()


def share_of_the_possible(folder: Path, quick: bool) -> None:
    """Durable frames/s on one connection against 1/(1/commits + 1/null frames)."""
    rows: dict[str, list[float]] = {"commits": [], "null": [], "agent": []}
    port = agent_process.free_port()
    with null_server() as null, agent_process.running(folder / "one", agent_process.tcp("one", port), real=True) as agent:
        used, written, frames = cpu(agent.pid), writes(agent.pid), 0
        for _ in range(1 if quick else 5):
            rows["commits"].append(commits(folder, 0.5 if quick else 2))
            rows["null"].append(generate("astm_load.py", null, 1, 50 if quick else 500, 1)[0]["frames_per_s"])
            got = generate("astm_load.py", port, 1, 20 if quick else 300, 1)[0]
            rows["agent"].append(got["frames_per_s"])
            frames += (got["sessions"] + 20) * FRAMES
        more = {
            "cpu_us_per_frame": round((cpu(agent.pid) - used) / frames * 1e6, 1),
            "writes_per_frame": (writes(agent.pid) - written) / frames,
        }
    a, b, c = (median(rows[name]) for name in ("commits", "null", "agent"))
    bound = 1 / (1 / a + 1 / b)
    emit("durable ASTM frames/s at 1 connection, share of the possible", round(c / bound, 3), ">= 0.8", agent=c, commits=a, null=b, **more)


def sessions(folder: Path, quick: bool) -> None:
    """10 and 100 connections, then the probes that must fail no session; all of it must be stored."""
    port, acknowledged = agent_process.free_port(), 0
    with agent_process.running(folder / "many", agent_process.tcp("many", port), real=True) as agent:
        for connections, reach, p99 in ((10, 700, 3), (100, 1200, 40)):
            used, written = cpu(agent.pid), writes(agent.pid)
            rounds = generate("astm_load.py", port, connections, 200 if quick else 3000, 1 if quick else 5)
            done = sum(r["sessions"] for r in rounds) + 20
            acknowledged += done
            more = {
                "failed": sum(r["failed"] for r in rounds),
                "cpu_us_per_frame": round((cpu(agent.pid) - used) / done / FRAMES * 1e6, 1),
                "writes_per_frame": round((writes(agent.pid) - written) / done / FRAMES, 3),
            }
            rate = median(r["sessions_per_s"] for r in rounds)
            emit(f"durable ASTM sessions/s, {connections} connections", rate, f">= {reach}", **more)
            emit(f"ACK p99 at {connections} connections, ms", median(r["ack_p99_ms"] for r in rounds), f"<= {p99}")
        for name, options in PROBES.items():
            (row,) = generate("astm_load.py", port, 5, 20 if quick else 200, 1, "--mode", "persistent", *options)
            acknowledged += row["sessions"] + 20
            emit(f"probe: {name}, sessions failed", row["failed"], "0", sessions=row["sessions"], naks=row["naks"])
        until(lambda: agent.messages() >= acknowledged, 60, what="everything is a message")
        emit("acknowledged sessions that are not stored", acknowledged - agent.messages(), "0", acknowledged=acknowledged)


def mllp(folder: Path, quick: bool) -> None:
    """ORU^R01 with 25 OBX, on disk before its AA."""
    port, acknowledged = agent_process.free_port(), 0
    config = {**agent_process.tcp("mllp", port), "protocol": "hl7"}
    with agent_process.running(folder / "mllp", config, real=True) as agent:
        for connections, reach in ((1, 1500), (10, 2500)):
            used = cpu(agent.pid)
            rounds = generate(
                "mllp_load.py", port, connections, 200 if quick else 3000, 1 if quick else 5, "--message", "msgs/oru_cbc25.hl7"
            )
            done = sum(r["messages"] for r in rounds) + 20
            acknowledged += done
            more = {"cpu_us_per_message": round((cpu(agent.pid) - used) / done * 1e6, 1), "errors": sum(r["errors"] for r in rounds)}
            rate = median(r["messages_per_s"] for r in rounds)
            emit(f"MLLP ORU^R01 of 25 OBX stored before ACK, messages/s, {connections} connections", rate, f">= {reach}", **more)
        until(lambda: agent.messages() >= acknowledged, 60, what="everything is a message")


def analyzer(port: int, records: bytes) -> None:
    """One session over a connection of its own."""
    until(lambda: socket.create_connection(("127.0.0.1", port)).close() is None, what="the agent's port")
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(b"\x05")
        assert link.recv(1) == b"\x06"
        for frame in build_frames(records, per_record=True):
            link.sendall(frame)
            assert link.recv(1) == b"\x06"
        link.sendall(b"\x04")


def backlog(folder: Path, broker: brokers.Broker, quick: bool) -> None:
    """A month's messages are pending; they drain while a new urgent one arrives at once."""
    data, port, pending = folder / "backlog", agent_process.free_port(), 3000 if quick else 600_000
    with scripted(broker, data) as cloud:
        agent_process.configure(data, agent_process.tcp("xn", port))
        fill(data, pending)
        with agent_process.running(data, real=True) as agent:
            until(lambda: len(cloud.raws) > 50, 120, what="the backlog begins")
            cloud.worklist("xn", {"barcode": "URGENT1", "tests": ["WBC"], "priority": "stat", "order_version": 1, "cancelled": False})
            until(lambda: agent.status().get("worklist"), what="the urgent tube's order")
            began, before = time.monotonic(), len(cloud.raws)
            analyzer(port, cbc("URGENT1", 25))
            until(lambda: any(b"URGENT1" in body for body in list(cloud.raws.values())), 60, what="the urgent result")
            overtook = time.monotonic() - began
            time.sleep(0 if quick else 20)
            rate = (len(cloud.raws) - before) / (time.monotonic() - began)
            emit("backlog drained, messages/s", round(rate), ">= 200", pending=pending)
            emit("a new urgent result through the backlog, s", round(overtook, 2), "<= 10")
            emit("agent while draining, MB", resident(agent.pid)["rss"], "<= 200", pending=agent.status()["pending"])


def fill(data: Path, count: int) -> None:
    """Messages as a busy analyzer leaves them when nobody takes them."""
    journal = Journal(data / "journal.db")
    journal.db.execute("PRAGMA synchronous = OFF")
    for number in range(count):
        journal.message(Outgoing("xn", cbc(f"OLD{number}", 8), 1_790_000_000_000 + number, {"protocol": "astm", "complete": True}))
        if number % 2000 == 0:
            journal.flush()
    journal.close()


def query(port: int, specimen: str) -> float:
    """Ask for a tube's orders; seconds from our EOT until the answer's first frame has come."""
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in (b"\x05", *build_frames(f"H|\\^&|||Sim\rQ|1|^{specimen}||ALL\rL|1|N\r".encode(), per_record=True)):
            link.sendall(part)
            assert link.recv(1) == b"\x06"
        began = time.perf_counter()
        link.sendall(b"\x04")
        assert link.recv(1) == b"\x05", "the agent has orders to send"
        link.sendall(b"\x06")
        while b"\x03" not in link.recv(4096):
            continue
        return time.perf_counter() - began


def host_queries(folder: Path, broker: brokers.Broker, quick: bool) -> None:
    """Answered by the cloud, and from the cache without it. The cloud here is a script behind a real broker."""
    data, port, count = folder / "query", agent_process.free_port(), 20 if quick else 300
    with scripted(broker, data) as cloud:
        agent_process.configure(data, {**agent_process.tcp("xn", port), "host_query": True})
        for n in range(count):
            cloud.tubes[f"Q{n}"] = tube(f"Q{n}")
        with agent_process.running(data, real=True) as agent:
            until(lambda: agent.status()["cloud"]["connected"], what="the cloud")
            online = [query(port, f"Q{n}") for n in range(count)]
            emit("host query answered online, p99 ms", round(percentile(online, 0.99) * 1000, 1), "<= 200", queries=count)
            cloud.answering = False
            offline = [query(port, f"Q{n}") for n in range(count)]
            emit("host query answered offline, p99 ms", round(percentile(offline, 0.99) * 1000, 1), "<= 50", queries=count)


def tube(barcode: str) -> dict[str, Any]:
    """An order."""
    return {"barcode": barcode, "sample_no": None, "tests": ["WBC", "RBC"], "priority": "routine", "order_version": 1, "cancelled": False}


def idle(folder: Path, broker: brokers.Broker, quick: bool) -> None:
    """Ten analyzers connected, nobody says a word."""
    data, ports = folder / "idle", [agent_process.free_port() for _ in range(10)]
    with scripted(broker, data):
        agent_process.configure(data, *(agent_process.tcp(f"i{n}", port) for n, port in enumerate(ports)))
        with agent_process.running(data, real=True) as agent:
            for port in ports:
                analyzer(port, cbc("WARM", 25))
            links = [socket.create_connection(("127.0.0.1", port)) for port in ports]
            until(lambda: agent.status()["pending"] == 0, what="all sent")
            time.sleep(2)
            used, began = cpu(agent.pid), time.monotonic()
            time.sleep(5 if quick else 30)
            share = (cpu(agent.pid) - used) / (time.monotonic() - began)
            emit("idle agent with 10 connections, MB", resident(agent.pid)["rss"], "<= 60")
            emit("idle agent with 10 connections, share of a core", round(share, 4), "<= 0.01")
            for link in links:
                link.close()


def main() -> int:
    """Measure and print."""
    quick = arguments(__doc__)
    if shared() is None:
        print("the shared load generators are not here: set JIANLIAN_SHARED", file=sys.stderr)
        return 1
    failed = 0
    with tempfile.TemporaryDirectory(prefix="jl-bench-") as name:
        folder = Path(name)
        for alone in (share_of_the_possible, sessions, mllp):
            failed += not attempt(alone.__name__, alone, folder, quick)
        if brokers.MOSQUITTO is None:
            print("Mosquitto is not installed: backlog, queries and the idle agent are not measured", file=sys.stderr)
            return 1
        with brokers.running("mosquitto", folder / "broker") as broker:
            for beside in (host_queries, idle, backlog):
                failed += not attempt(beside.__name__, beside, folder, broker, quick)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
