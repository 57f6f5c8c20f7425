"""`jianlian demo` as a newcomer starts it: one JSON object, everything reachable, Ctrl-C ends it all, a second start goes on."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cloud.demo.processes import MARK
from tests.support.brokers import free_port
from tests.support.sources import REPO

READY = 180.0  # seconds; a busy machine may be slow, and no test judges speed
WAIT = 60.0
ORDER = (
    "MSH|^~\\&|VISITOR|SOMEWHERE|LIS|LAB|20260506080910||OML^O21^OML_O21|VISIT1|P|2.5.1||||||UNICODE UTF-8\r"
    "PID|1||V900001^^^X^PI||来访䶮||19900307|F\rPV1|1|O|门诊|||||||内科|||||||||V900001\r"
    "ORC|NW|VISIT1-1||VISIT1|||||20260506080900|||D007^李四\rOBR|1|VISIT1-1||CBC^血常规^L\r"
).encode()
RESULT = b"H|\\^&|||TEST^1|||||||P|1|20260506080910\rP|1\rO|1|NOSUCHTUBE||^^^WBC|R\rR|1|^^^WBC|6.6|10*3/uL||N||F\rL|1|N\r"


@dataclass
class Run:
    """A started demo."""

    process: subprocess.Popen[str]
    facts: dict[str, Any]

    def stop(self) -> int:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=WAIT)
        return self.process.returncode


def start(data: Path, port: int) -> Run:
    """Start and wait for the JSON object."""
    progress = (data.parent / "progress.txt").open("a")
    command = [sys.executable, "-m", "cloud.demo", "--json", "--data", str(data), "--port", str(port)]
    process = subprocess.Popen(command, cwd=REPO, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=progress, text=True)
    progress.close()
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait(WAIT)
        raise AssertionError((data.parent / "progress.txt").read_text())
    return Run(process, json.loads(line))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Not pytest's folder: its long name would not fit a socket's.
    with tempfile.TemporaryDirectory(prefix="jl-demo-") as name:
        yield Path(name) / "data"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def demo(folder: Path, port: int) -> Iterator[Run]:
    run = start(folder, port)
    yield run
    if run.process.poll() is None:
        run.stop()


def own_processes(data: Path) -> list[int]:
    """Every process that carries this demo's mark."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"{MARK}={data}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.2)


def rows(demo: Run, tenant: int, query: str) -> list[tuple[Any, ...]]:
    """Ask the demo's database as the app role inside one hospital."""
    with psycopg.connect(demo.facts["database"]) as app:
        app.execute("SELECT set_config('app.tenant', %s, true)", (str(tenant),))
        return app.execute(query.encode()).fetchall()


def test_the_json_object_has_the_promised_shape(demo: Run) -> None:
    facts = demo.facts
    assert {"web", "kiosk", "mllp", "agents", "users"} <= set(facts)
    assert {"plain", "tls", "ca"} <= set(facts["mllp"])
    for agent in facts["agents"]:
        assert all({"name", "protocol", "transport", "mode", "address"} <= set(row) for row in agent["instruments"])
        assert {row["mode"] for row in agent["instruments"]} <= {"listen", "dial"}
        idle = [(row["transport"], row["mode"]) for row in agent["instruments"] if row["idle"]]
        assert sorted(idle) == [("serial", "listen"), ("tcp", "dial"), ("tcp", "listen")]
    assert all({"tenant", "username", "password", "pin", "role"} <= set(user) for user in facts["users"])
    assert len({user["tenant"] for user in facts["users"]}) == 2
    assert len({user["password"] for user in facts["users"]}) == len(facts["users"])


def test_the_web_answers_over_tls_of_its_own_authority(demo: Run) -> None:
    context = ssl.create_default_context(cafile=demo.facts["ca"])
    for address in (demo.facts["web"], demo.facts["web"].replace("localhost", "127.0.0.1")):
        with urllib.request.urlopen(f"{address}/healthz", timeout=WAIT, context=context) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"{address}/login", timeout=WAIT, context=context) as answer:
            assert "检联" in answer.read().decode()


def test_the_kiosk_answers(demo: Run) -> None:
    for address in demo.facts["kiosks"].values():
        with urllib.request.urlopen(address, timeout=WAIT) as answer:
            assert answer.status == 200


def test_a_visitors_order_arrives_whole_plain_and_over_tls(demo: Run, folder: Path) -> None:
    for kind in ("plain", "tls"):
        host, _, number = demo.facts["mllp"][kind].rpartition(":")
        with socket.create_connection((host, int(number)), WAIT) as raw:
            line = (
                raw
                if kind == "plain"
                else ssl.create_default_context(cafile=demo.facts["mllp"]["ca"]).wrap_socket(raw, server_hostname=host)
            )
            line.sendall(b"\x0b" + ORDER + b"\x1c\r")
            assert b"MSA|AA|VISIT1" in line.recv(65536)
            line.close()
    found = rows(
        demo, 1, "SELECT count(*), min(p.name) FROM lab_order o JOIN patient p ON p.id = o.patient_id WHERE p.patient_no = 'V900001'"
    )
    assert found == [(1, "来访䶮")]


@pytest.mark.parametrize("transport", ["tcp", "serial"])
def test_a_visitor_plays_an_analyzer_on_an_idle_line(demo: Run, folder: Path, tmp_path: Path, transport: str) -> None:
    agent = demo.facts["agents"][0]
    row = next(r for r in agent["instruments"] if r["idle"] and r["transport"] == transport and r["mode"] == "listen")
    specimen = f"NOSUCHTUBE{transport.upper()}"
    (tmp_path / "message.txt").write_bytes(RESULT.replace(b"NOSUCHTUBE", specimen.encode()))
    command = [sys.executable, "-m", "agent", "simulate", str(tmp_path / "message.txt"), f"--{transport}", row["address"]]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=WAIT)
    assert done.returncode == 0, done.stdout + done.stderr
    until(lambda: rows(demo, 1, f"SELECT 1 FROM observation WHERE specimen_text = '{specimen}' AND value = '6.6' AND state = 'orphan'"))


def test_the_simulated_his_has_ordered_in_both_hospitals(demo: Run, folder: Path) -> None:
    for tenant, source in ((1, "HIS-RM"), (2, "HIS-ZX")):
        until(lambda t=tenant, s=source: rows(demo, t, f"SELECT 1 FROM lab_order WHERE source = '{s}'"))  # type: ignore[misc]


def test_a_second_launcher_with_the_same_folder_is_refused(demo: Run, folder: Path) -> None:
    command = [sys.executable, "-m", "cloud.demo", "--data", str(folder), "--port", str(free_port())]
    second = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=WAIT)
    assert second.returncode == 1
    assert second.stdout == ""


def test_a_process_that_dies_comes_back(demo: Run, folder: Path) -> None:
    pids = json.loads((folder / "processes.json").read_text())
    os.kill(pids[0], signal.SIGKILL)  # the broker
    until(lambda: json.loads((folder / "processes.json").read_text())[0] != pids[0])


def test_ctrl_c_stops_everything_and_a_second_start_goes_on(demo: Run, folder: Path, port: int) -> None:
    line = "jsonb_build_object('type', 'tcp-listen', 'host', '127.0.0.1', 'port', 1)"
    own = f"SELECT tenant_id, agent_id, 'own', 'own', 'astm', {line} FROM connection ORDER BY id LIMIT 1"
    rows(demo, 1, f"INSERT INTO connection (tenant_id, agent_id, key, name, protocol, transport) {own} RETURNING id")
    orders = rows(demo, 1, "SELECT count(*) FROM lab_order")[0][0]
    assert demo.stop() == 0
    assert own_processes(folder) == []
    with pytest.raises(psycopg.OperationalError):
        rows(demo, 1, "SELECT 1")
    again = start(folder, port)  # also after a visitor added an analyzer on a page
    try:
        assert again.facts == demo.facts
        assert rows(again, 1, "SELECT count(*) FROM lab_order")[0][0] >= orders
    finally:
        assert again.stop() == 0
    assert own_processes(folder) == []
