"""``jianlian mllp`` as a process of its own: it answers, survives nonsense, and ends when told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.db.session import Database
from cloud.modules.interfaces import hl7_ack, service
from cloud.modules.orders.models import OrderItem
from tests.cloud.interfaces.messages import order
from tests.support.database import TestDatabase
from tests.support.fake_his import send
from tests.support.orders import hospitals
from tests.support.tls import authority

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture
def db(fresh_db: TestDatabase) -> Iterator[Database]:
    with hospitals(fresh_db) as made:
        with made.tenant(1) as uow:
            service.save_endpoint(uow, "HIS-IN", "甲院 HIS", "in", {"sender_facility": "H1"}, source="HIS")
        yield made


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"listener did not open port {port}: exit code {process.poll()}")


def test_listener_process_takes_orders_on_both_ports_and_ends_on_sigterm(db: Database, fresh_db: TestDatabase) -> None:
    with authority() as pki:
        cert, key = pki.pair("localhost", server=True)
        plain, tls = free_port(), free_port()
        env = os.environ | {
            "JIANLIAN_DATABASE_URL": fresh_db.app_url, "JIANLIAN_SECRET": "5e" * 32, "JIANLIAN_MLLP_PORT": str(plain),
            "JIANLIAN_MLLP_TLS_PORT": str(tls), "JIANLIAN_TLS_CERT": str(cert), "JIANLIAN_TLS_KEY": str(key),
            "JIANLIAN_CA_CERT": str(pki.ca_file),
        }  # fmt: skip
        process = subprocess.Popen([sys.executable, "-m", "cloud.cli", "mllp"], cwd=ROOT, env=env)
        try:
            wait_for(plain, process)
            wait_for(tls, process)
            answers = send(plain, order(), b"nonsense", order([("I2", "GLU", "葡萄糖")], control="M2", form="F2"), timeout=30)
            answers += send(tls, order([("I3", "GLU", "葡萄糖")], control="M3", form="F3"), tls=pki.client(None), timeout=30)
            codes = [found.code for a in answers if (found := hl7_ack.read(a)) is not None]
            assert codes == ["AA", "AR", "AA", "AA"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    with db.tenant(1) as uow:
        assert uow.s.query(OrderItem).count() == 3
