"""Analyzers behind a serial device server, with Debian's ser2net as the server: raw and RFC 2217, lost and back."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
import serial as pyserial

from common.protocol.astm.framing import build_frames
from tests.agent.test_links import ACK, ENQ, EOT, has, stored
from tests.support.agent_process import free_port, running, serial, until
from tests.support.agent_pty import cable
from tests.support.crash.load import cbc

SER2NET = shutil.which("ser2net", path="/usr/sbin:/usr/bin:/sbin:/bin")
# ./dev installs it for the suite; who runs this file alone on a bare machine is told.
pytestmark = pytest.mark.skipif(SER2NET is None, reason="ser2net is not installed (apt install ser2net)")
ACCEPTER = {"socket": "tcp,127.0.0.1,{port}", "rfc2217": "telnet(rfc2217),tcp,127.0.0.1,{port}"}


def server(folder: Path, kind: str, port: int, device: str) -> subprocess.Popen[bytes]:
    accepter = ACCEPTER[kind].format(port=port)
    text = f"connection: &c\n  accepter: {accepter}\n  connector: serialdev,{device},115200n81,local\n  options:\n    kickolduser: true\n"
    (folder / "ser2net.yaml").write_text(text)
    assert SER2NET is not None
    with open(folder / "ser2net.log", "ab") as log:
        return subprocess.Popen([SER2NET, "-n", "-d", "-c", str(folder / "ser2net.yaml")], stdout=log, stderr=log)


def send(device: str, key: str) -> bytes:
    """A session as the analyzer at the server's port sends it."""
    frames = build_frames(cbc(key, 3), per_record=True)
    with pyserial.Serial(device, 115200, timeout=10) as link:
        for part in (ENQ, *frames):
            link.write(part)
            assert link.read(1) == ACK
        link.write(EOT)
        time.sleep(0.2)
    return ENQ + b"".join(frames) + EOT


@pytest.mark.parametrize("kind", ["socket", "rfc2217"])
def test_a_device_server_is_a_port_that_may_vanish_and_return(tmp_path: Path, kind: str) -> None:
    port = free_port()
    with cable() as (inside, outside):
        process = server(tmp_path, kind, port, inside)
        try:
            with running(tmp_path / "agent", serial("old", f"{kind}://127.0.0.1:{port}")) as agent:
                until(lambda: agent.line("old")["state"] == "idle", 20, what="the port")
                bodies = [send(outside, "S1")]
                has(agent, 1)
                process.kill()
                process.wait()
                until(lambda: agent.line("old")["state"] == "fault", 20, what="the loss")
                process = server(tmp_path, kind, port, inside)
                until(lambda: agent.line("old")["state"] == "idle", 20, what="the port's return")
                bodies.append(send(outside, "S2"))
                has(agent, 2)
        finally:
            process.kill()
            process.wait()
    assert [message.body for message in stored(tmp_path / "agent")] == bodies
