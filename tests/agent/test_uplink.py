"""The way to the cloud over a real broker with TLS: kept until the receipt, urgent first, nothing believed unsigned."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.journal import Journal
from agent.rows import Outgoing
from common import crypto
from tests.agent.test_links import dial, session
from tests.support import brokers
from tests.support.agent_cloud import ScriptedCloud, scripted
from tests.support.agent_process import REPO, configure, free_port, running, tcp, until

pytestmark = pytest.mark.skipif(brokers.MOSQUITTO is None, reason="Mosquitto is not installed (apt install mosquitto)")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[brokers.Broker]:
    with brokers.running("mosquitto", tmp_path_factory.mktemp("broker")) as found:
        yield found


@pytest.fixture
def cloud(broker: brokers.Broker, tmp_path: Path) -> Iterator[ScriptedCloud]:
    with scripted(broker, tmp_path) as found:
        yield found


def backlog(data: Path, count: int) -> list[bytes]:
    journal = Journal(data / "journal.db")
    bodies = [b"\x05\x021H|\\^&|%d\r\x0300\r\n\x04" % number for number in range(count)]
    for number, body in enumerate(bodies):
        journal.message(Outgoing("xn", body, 1_790_000_000_000 + number, {"complete": True}))
    journal.close()
    return bodies


def test_a_session_reaches_the_cloud_and_waits_for_its_receipt(cloud: ScriptedCloud, tmp_path: Path) -> None:
    port = free_port()
    cloud.answering = False
    with running(tmp_path, tcp("xn", port)) as agent:
        with dial(port) as link:
            body = session(link, "S1")
        until(lambda: cloud.raws, what="the message")
        (found,) = cloud.of_kind("raw")
        assert (found.body, found.header.conn, found.header.seq) == (body, "xn", 1)
        assert found.header.meta["protocol"] == "astm"
        assert agent.messages(state=0) == 1, "a PUBACK is no receipt"
        cloud.receipts()
        until(lambda: agent.messages(state=1) == 1, what="the receipt's effect")
        assert agent.messages(state=0) == 0


def test_the_heartbeat_tells_what_is_pending(cloud: ScriptedCloud, tmp_path: Path) -> None:
    backlog(tmp_path, 5)
    cloud.answering = False
    with running(tmp_path, tcp("xn", free_port())):
        first = until(lambda: cloud.of_kind("status"))[0].json()
    assert first["pending_ranges"] == [[1, 5]]
    assert (first["pending"], first["config_version"]) == (5, 1)
    assert first["oldest"].startswith("2026-")
    assert [line["conn"] for line in first["connections"]] == ["xn"]


def test_ac_ed_3_a_backlog_arrives_in_order_without_loss_or_doubles(cloud: ScriptedCloud, tmp_path: Path) -> None:
    bodies = backlog(tmp_path, 500)
    with running(tmp_path, tcp("xn", free_port())) as agent:
        until(lambda: agent.messages(state=1) == 500, 30, "all receipts")
    assert [found.body for found in cloud.of_kind("raw")] == bodies


def test_what_comes_after_the_backlog_overtakes_it(cloud: ScriptedCloud, tmp_path: Path) -> None:
    backlog(tmp_path, 1500)
    port = free_port()
    with running(tmp_path, tcp("xn", port)) as agent:
        until(lambda: cloud.raws)
        with dial(port) as link:
            body = session(link, "S1")
        until(lambda: body in cloud.raws.values(), 30)
        assert len(cloud.raws) < 1500, "the new one came before the backlog's end"
        until(lambda: agent.messages(state=1) == 1501, 60)


def test_the_broker_loses_everything_and_the_agent_sends_again(cloud: ScriptedCloud, tmp_path: Path) -> None:
    backlog(tmp_path, 50)
    cloud.answering = False
    with running(tmp_path, tcp("xn", free_port())) as agent:
        until(lambda: len(cloud.raws) == 50)
        cloud.disconnect()
        cloud.raws.clear()
        cloud.came.clear()
        cloud._broker.restart()
        cloud.answering = True
        cloud.connect()
        until(lambda: agent.messages(state=1) == 50, 40, "receipts after the broker's restart")


def test_receipts_signed_by_somebody_else_are_not_believed(cloud: ScriptedCloud, tmp_path: Path) -> None:
    backlog(tmp_path, 2)
    cloud.answering = False
    with running(tmp_path, tcp("xn", free_port())) as agent:
        until(lambda: len(cloud.raws) == 2)
        first, second = cloud.of_kind("raw")
        forged = {"stream": first.header.stream, "items": [[1, first.header.sha256]]}
        cloud.down("receipt", forged, key=crypto.new_key())
        cloud.down("receipt", {"stream": first.header.stream, "items": [[2, first.header.sha256]]})
        cloud.down("receipt", {"nothing": "we read"})
        cloud.down("receipt", {"stream": second.header.stream, "items": [[2, second.header.sha256]]})
        until(lambda: agent.messages(state=1) == 1)
        assert agent.messages(state=0) == 1
        assert "down.signature" in agent.log()


def test_a_query_is_answered_by_the_cloud_and_then_without_it(cloud: ScriptedCloud, tmp_path: Path) -> None:
    port = free_port()
    tube = {"barcode": "B77", "tests": ["WBC", "PLT"], "priority": "routine", "order_version": 1, "cancelled": False}
    cloud.tubes["B77"] = tube
    ask = tmp_path / "query.astm"
    ask.write_text("H|\\^&|||Sim\nQ|1|^B77||ALL\nL|1|N\n")
    command = [sys.executable, "-m", "agent", "simulate", str(ask), "--tcp", f"127.0.0.1:{port}"]
    with running(tmp_path, tcp("xn", port, host_query=True)):
        until(lambda: cloud.of_kind("status"))
        for answering in (True, False):
            cloud.answering = answering
            done = subprocess.run(command, cwd=REPO, capture_output=True, timeout=60, check=False)
            told = json.loads(done.stdout)
            assert told["orders"] == [{"specimen_id": "B77", "tests": ["WBC", "PLT"]}], done.stderr
    assert [found.json()["specimen_ids"] for found in cloud.of_kind("query")] == [["B77"]]


def test_a_signed_configuration_is_applied_and_an_older_one_is_not(cloud: ScriptedCloud, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"version": 1, "connections": []}))
    ports = [free_port(), free_port()]
    with running(tmp_path) as agent:
        until(lambda: cloud.of_kind("status"))
        cloud.down("config", {"version": 2, "connections": [tcp("xn", ports[0])]})
        until(lambda: agent.status()["config_version"] == 2)
        dial(ports[0]).close()
        old = datetime.now(UTC) - timedelta(hours=1)
        cloud.down("config", {"version": 1, "connections": []}, at=old)
        cloud.down("config", {"version": 3, "connections": []}, key=crypto.new_key())
        cloud.down("config", {"version": 3, "connections": [{"key": "bad"}]})
        cloud.down("config", {"version": 4, "connections": [tcp("xn", ports[0]), tcp("bc", ports[1], "hl7")]})
        until(lambda: agent.status()["config_version"] == 4)
        assert [row["conn"] for row in agent.status()["connections"]] == ["xn", "bc"]
    assert json.loads((tmp_path / "config.json").read_text())["version"] == 4


def test_a_copied_folder_uses_the_same_stream_under_another_boot(cloud: ScriptedCloud, tmp_path: Path) -> None:
    """What the cloud needs to see a cloned disk (F17)."""
    data, copy = tmp_path, tmp_path.parent / f"{tmp_path.name}-copy"
    configure(data, tcp("xn", free_port()))
    with running(data):
        until(lambda: cloud.of_kind("status"))
    shutil.copytree(data, copy)
    with running(copy):
        until(lambda: len({found.header.boot for found in cloud.of_kind("status")}) == 2)
    assert len({found.header.stream for found in cloud.of_kind("status")}) == 1


def test_a_revoked_or_missing_certificate_does_not_stop_capture(cloud: ScriptedCloud, tmp_path: Path) -> None:
    (tmp_path / "certificate.pem").write_text("damaged")
    port = free_port()
    with running(tmp_path, tcp("xn", port)) as agent:
        with dial(port) as link:
            session(link, "S1")
        until(lambda: agent.messages() == 1)
        until(lambda: agent.status()["config_error"])
