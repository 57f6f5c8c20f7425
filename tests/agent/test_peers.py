"""Peers nobody here wrote: the MLLP clients of the `hl7` package and of npm talk to our agent, our sender to npm's server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import hl7
import pytest
from hl7.client import MLLPClient

from agent.__main__ import main
from cloud.web.assets_build import node_folder
from tests.agent.test_links import dial, has, stored
from tests.support.agent_process import REPO, free_port, running, tcp

ORU = "MSH|^~\\&|BC|Lab|||20260701||ORU^R01|{n}|P|2.3.1||||||UNICODE\rPID|1||P7\rOBR|1||T{n}\rOBX|1|NM|WBC||6.1|10*9/L\r"


@pytest.mark.filterwarnings("ignore")
def test_the_hl7_packages_client_is_answered(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, tcp("bc", port, protocol="hl7")) as agent:
        dial(port).close()
        with MLLPClient("127.0.0.1", port) as client:
            for number in range(5):
                answer = hl7.parse(client.send_message(ORU.format(n=number)).decode().strip("\x0b\x1c\r"))
                assert str(answer.segment("MSA")[1]) == "AA"
                assert str(answer.segment("MSA")[2]) == str(number)
        has(agent, 5)
    assert [b"|T%d" % n in message.body for n, message in enumerate(stored(tmp_path))] == [True] * 5


def node(*args: str) -> list[str]:
    """npm's peers under the Node of the wheel."""
    assert (REPO / "node_modules/node-hl7-server").exists(), "node-hl7-client and node-hl7-server are not installed: ./dev setup"
    return [str(node_folder() / "bin/node"), str(REPO / "tests/agent/peers.cjs"), *args]


def test_npms_client_is_answered(tmp_path: Path) -> None:
    port = free_port()
    command = node("client", str(port), "3")
    with running(tmp_path, tcp("bc", port, protocol="hl7")) as agent:
        dial(port).close()
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert [json.loads(line) for line in done.stdout.splitlines()] == [["AA", f"N{n}"] for n in range(3)], done.stderr
        has(agent, 3)
    assert [b"|T%d" % n in message.body for n, message in enumerate(stored(tmp_path))] == [True] * 3


def test_npms_client_may_send_several_at_once(tmp_path: Path) -> None:
    """Without its own queue, which never ends (peers.cjs says why): all of them are taken, whatever comes in one read."""
    port = free_port()
    with running(tmp_path, tcp("bc", port, protocol="hl7")) as agent:
        dial(port).close()
        with subprocess.Popen(node("burst", str(port), "5"), stdout=subprocess.DEVNULL) as client:
            try:
                has(agent, 5)
            finally:
                client.terminate()
    assert [b"|T%d" % n in message.body for n, message in enumerate(stored(tmp_path))] == [True] * 5


def test_our_sender_is_understood_by_npms_server(tmp_path: Path) -> None:
    port = free_port()
    capture = tmp_path / "bc.hl7"
    capture.write_text(ORU.format(n=7).replace("2.3.1", "2.5"), newline="")
    with subprocess.Popen(node("server", str(port)), stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            assert json.loads(server.stdout.readline()) == "listening"
            sent = main(["simulate", str(capture), "--tcp", f"127.0.0.1:{port}"])
            assert (sent, json.loads(server.stdout.readline())) == (0, ["7", "6.1"])
        finally:
            server.terminate()
